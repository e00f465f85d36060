//! Encrypted connections for client programs that cannot make them: `pg_dump` builds without `OpenSSL` exist, those of Python packages among them.
//!
//! If a conninfo requires TLS, or the session that it comes from is encrypted, the program connects to a Unix socket in a folder that only
//! this role can enter, and its bytes are passed on over TLS in the same way as pgmigrate's own connections, with the same checks. `tool`
//! and `restore` open one for each program that they run.

use super::bound_login::{self, read_packet};
use super::private_folder;
use crate::error::{Error, Kind, Result};
use crate::pg::connection::net::Net;
use crate::pg::connection::tls;
use crate::pg::conninfo::{Conninfo, SslMode};
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio_postgres::config::ChannelBinding;
use tokio_rustls::TlsConnector;

/// The port in the socket's name; any number will do, because the folder is private.
const PORT: u16 = 5432;

/// An open tunnel; it closes when dropped.
pub struct Tunnel {
    folder: TempDir,
    accepting: tokio::task::JoinHandle<()>,
}

impl Tunnel {
    /// Opens one if `conninfo` requires TLS or the session's connection was encrypted; otherwise none, because the program can connect
    /// directly.
    pub fn open(conninfo: &Conninfo) -> Result<Option<Tunnel>> {
        let insists = matches!(conninfo.ssl.mode, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull);
        if !insists && !conninfo.is_encrypted || conninfo.hosts.iter().any(crate::pg::conninfo::Host::is_socket) {
            return Ok(None);
        }
        let failed = |error: io::Error| {
            Error::new("tunnel_not_opened", Kind::Connect, "opening an encrypted connection for a client program")
                .caused_by(error)
        };
        let connector = TlsConnector::from(Arc::new(tls::client_config(&conninfo.ssl)?));
        let folder = private_folder().map_err(failed)?;
        let listener = UnixListener::bind(folder.path().join(format!(".s.PGSQL.{PORT}"))).map_err(failed)?;
        let accepting = tokio::spawn(accept(listener, connector, conninfo.clone()));
        Ok(Some(Tunnel { folder, accepting }))
    }

    /// The conninfo with which a program connects through the tunnel.
    pub fn conninfo(&self, user: &str, dbname: &str) -> String {
        let quote = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
        let folder = self.folder.path().display().to_string();
        let (folder, user, dbname) = (quote(&folder), quote(user), quote(dbname));
        // Set here, because the environment may have another value, or one that the program does not know.
        format!("host='{folder}' port={PORT} user='{user}' dbname='{dbname}' sslmode=disable channel_binding=disable")
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: UnixListener, connector: TlsConnector, conninfo: Conninfo) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((program, _)) = listener.accept().await {
        let (connector, conninfo) = (connector.clone(), conninfo.clone());
        connections.spawn(async move {
            // The program sees and reports a closed connection; pgmigrate reports why it could not be made.
            if let Err(error) = pass(program, connector, &conninfo).await {
                tracing::debug!("the encrypted way of a client program ended: {error}");
            }
        });
    }
}

async fn pass(mut program: UnixStream, connector: TlsConnector, conninfo: &Conninfo) -> io::Result<()> {
    let host = conninfo.hosts.first().ok_or(io::ErrorKind::NotFound)?;
    let mut server = Net::open(host, &conninfo.keepalive).await?;
    if !conninfo.ssl.direct {
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        server.write_all(&request).await?;
        if server.read_u8().await? != b'S' {
            return Err(io::Error::other("the server does not offer TLS"));
        }
    }
    let name = ServerName::try_from(host.name.clone()).map_err(io::Error::other)?;
    let mut encrypted = connector.connect(name, server).await?;
    if conninfo.channel_binding == ChannelBinding::Require {
        let certificates = encrypted.get_ref().1.peer_certificates().unwrap_or_default();
        let certificate = certificates.first().map(|certificate| certificate.to_vec());
        let password = host.password.as_ref().map_or("", |password| password.expose()).as_bytes();
        bound_login::log_in(&mut program, &mut encrypted, password, certificate.as_deref()).await?;
    } else {
        open_conversation(&mut program, &mut encrypted).await?;
    }
    copy_bidirectional(&mut program, &mut encrypted).await.map(|_| ())
}

/// Passes on the program's first packet and the server's first message. The offer of a server to bind the login to the TLS channel is
/// removed, because a program that sees no TLS takes it for an attack. The login is still SCRAM, inside pgmigrate's TLS; if the user
/// requires the binding, `bound_login` logs in instead (<https://www.postgresql.org/docs/current/sasl-authentication.html>).
async fn open_conversation(
    program: &mut UnixStream,
    server: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<()> {
    let startup = read_packet(program, &[]).await?;
    server.write_all(&startup).await?;
    server.flush().await?;
    let kind = server.read_u8().await?;
    let message = read_packet(server, &[kind]).await?;
    program.write_all(&without_binding(&message)).await
}

/// `AuthenticationSASL` without the mechanisms that bind the channel; any other message as it is.
fn without_binding(message: &[u8]) -> Vec<u8> {
    const SASL: [u8; 4] = 10u32.to_be_bytes();
    const HEADER: usize = 5;
    if message.first() != Some(&b'R') || message.get(HEADER..HEADER + 4) != Some(&SASL) {
        return message.to_vec();
    }
    let names = message[HEADER + 4..].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut body = SASL.to_vec();
    for name in names.filter(|name| !name.ends_with(b"-PLUS")) {
        body.extend_from_slice(name);
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap_or_default();
    [&b"R"[..], &length.to_be_bytes(), &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_offer_to_bind_is_left_out() {
        let offer = b"R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
        assert_eq!(without_binding(offer), b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0");
        let others: [&[u8]; 2] = [b"R\0\0\0\x08\0\0\0\0", b"E\0\0\0\x05\0"];
        for message in others {
            assert_eq!(without_binding(message), message);
        }
    }
}
