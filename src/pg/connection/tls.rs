//! TLS with the meaning of libpq's `sslmode`, on rustls with the ring provider, which is passed explicitly and not installed for the whole
//! process. This module reads the certificate files and decides which certificates are trusted; it opens no connection. `connect` calls it,
//! and the cancel requests of a session use the same connector.

use crate::error::{Error, Kind, Result};
use crate::pg::conninfo::{RootCert, Ssl, SslMode, TlsVersion};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore};
use rustls::{SignatureScheme, version};
use std::path::Path;
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// The connector that encrypts a connection to a server.
pub fn connector(ssl: &Ssl) -> Result<MakeRustlsConnect> {
    client_config(ssl).map(MakeRustlsConnect::new)
}

/// The settings of rustls for `ssl`; certificate files that cannot be read are a [`Kind::Config`] error.
pub fn client_config(ssl: &Ssl) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let versions: Vec<_> = [(TlsVersion::V12, &version::TLS12), (TlsVersion::V13, &version::TLS13)]
        .into_iter()
        .filter(|(version, _)| (ssl.oldest..=ssl.newest).contains(version))
        .map(|(_, supported)| supported)
        .collect();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| broken("preparing TLS", error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier::new(ssl, Arc::clone(&provider))?));
    // With TLS disabled, certificate files need not exist.
    let mut config = match ssl.client.as_ref().filter(|_| ssl.mode != SslMode::Disable) {
        Some((cert, key)) => builder.with_client_cert_resolver(client_certificate(cert, key, &provider)?),
        None => builder.with_no_client_auth(),
    };
    config.enable_sni = ssl.sni;
    if ssl.direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(config)
}

fn broken(doing: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new("tls_settings", Kind::Config, doing).caused_by(cause)
}

fn read_certificates(keyword: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let doing = || format!("reading the certificates of {keyword} from {}", path.display());
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| broken(&doing(), error.to_string()))?;
    if certificates.is_empty() {
        return Err(broken(&doing(), "the file holds no PEM certificate"));
    }
    Ok(certificates)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        broken(&format!("reading the key of sslkey from {}", path.display()), error.to_string())
            .remedy("sslkey must name an unencrypted PEM key that you may read")
    })
}

/// The client's certificate, which only the server checks: rustls would refuse those of X.509 version 1, which servers accept and
/// `openssl x509` makes.
fn client_certificate(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<Arc<SingleCertAndKey>> {
    let doing = "using the client certificate of sslcert and sslkey";
    let signer = provider.key_provider.load_private_key(read_key(key)?).map_err(|error| broken(doing, error))?;
    let certified = CertifiedKey::new(read_certificates("sslcert", cert)?, signer);
    match certified.keys_match() {
        Err(error @ rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(broken(doing, error)),
        _ => Ok(Arc::new(certified.into())),
    }
}

/// Decides whether a server's certificate is good enough for the `sslmode`.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Checks the chain; without it any certificate is accepted.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that are trusted directly; a self-signed server certificate is its own authority.
    trusted: Vec<CertificateDer<'static>>,
    /// Whether the certificate must name the host.
    named: bool,
}

impl Verifier {
    fn new(ssl: &Ssl, provider: Arc<CryptoProvider>) -> Result<Self> {
        let root = ssl.root.as_ref().filter(|_| ssl.mode != SslMode::Disable);
        let trusted = root.map(authorities).transpose()?.unwrap_or_default();
        let chain = match root {
            Some(_) => Some(chain_verifier(&trusted, &provider)?),
            None => None,
        };
        Ok(Verifier { provider, chain, trusted, named: ssl.mode == SslMode::VerifyFull })
    }

    fn check_name(&self, end_entity: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), rustls::Error> {
        if self.named {
            rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
        }
        Ok(())
    }
}

fn authorities(root: &RootCert) -> Result<Vec<CertificateDer<'static>>> {
    let RootCert::File(path) = root else {
        let found = rustls_native_certs::load_native_certs();
        if found.certs.is_empty() {
            return Err(broken("looking for the operating system's certificates", "none found")
                .remedy("install them (package ca-certificates), or name a file in sslrootcert"));
        }
        return Ok(found.certs);
    };
    read_certificates("sslrootcert", path)
}

fn chain_verifier(
    trusted: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| broken("using the certificates of sslrootcert", error))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Ok(verified) => Ok(verified),
            Err(rustls::Error::InvalidCertificate(error)) if is_about_name(&error) && !self.named => {
                Ok(ServerCertVerified::assertion())
            }
            // The server presents the trusted certificate itself, and webpki rejects only its form (most often an authority used as a
            // server), after it has checked the dates. OpenSSL accepts it.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if self.trusted.iter().any(|trusted| trusted == end_entity) =>
            {
                self.check_name(end_entity, name).map(|()| ServerCertVerified::assertion())
            }
            Err(error) => Err(error),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match verify_tls13_signature(message, cert, dss, algorithms) {
            // If any certificate is accepted, so is one whose form webpki cannot parse (X.509 version 1).
            Err(error @ rustls::Error::InvalidCertificate(CertificateError::Other(_))) if self.chain.is_none() => {
                let key = public_key(cert).ok_or(error)?;
                verify_tls13_signature_with_raw_key(message, &key, dss, algorithms)
            }
            verdict => verdict,
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The key in a version 1 certificate: the sixth field of its first part
/// (<https://www.rfc-editor.org/rfc/rfc5280#section-4.1>).
fn public_key<'c>(cert: &'c CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'c>> {
    let (certificate, _) = der_element(cert)?;
    let (mut fields, _) = der_element(certificate.content)?;
    for _ in 0..5 {
        let (_, rest) = der_element(fields.content)?;
        fields.content = rest;
    }
    der_element(fields.content).map(|(key, _)| SubjectPublicKeyInfoDer::from(key.whole))
}

/// One element of DER: with its tag and length, and without.
pub struct Der<'c> {
    pub whole: &'c [u8],
    pub content: &'c [u8],
}

/// The first element of `bytes`, and what follows it.
pub fn der_element(bytes: &[u8]) -> Option<(Der<'_>, &[u8])> {
    let [_tag, first, rest @ ..] = bytes else { return None };
    let extra = if *first < 0x80 { 0 } else { usize::from(first & 0x7f) };
    let length = match extra {
        0 => usize::from(*first),
        1..=3 => rest.get(..extra)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
        _ => return None,
    };
    let (head, end) = (2 + extra, 2 + extra + length);
    let whole = bytes.get(..end)?;
    Some((Der { whole, content: &whole[head..] }, &bytes[end..]))
}

fn is_about_name(error: &CertificateError) -> bool {
    matches!(error, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
}
