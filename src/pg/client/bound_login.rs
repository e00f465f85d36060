//! A client program's login, bound to the TLS channel that pgmigrate has opened for it (`channel_binding=require`).
//!
//! The program sees no TLS and could not bind the login, so pgmigrate logs in itself: SCRAM-SHA-256-PLUS over the server's certificate
//! (<https://www.postgresql.org/docs/current/sasl-authentication.html>). The program receives the message that the login succeeded. Called
//! by `tunnel`.

use crate::pg::connection::tls::der_element;
use bytes::BytesMut;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::frontend;
use sha2::{Digest, Sha256, Sha384, Sha512};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const MECHANISM: &str = "SCRAM-SHA-256-PLUS";
const AUTHENTICATION: u8 = b'R';
const OK: u32 = 0;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;
/// A startup packet of protocol 3; any other first packet is a special request, such as to cancel a statement.
const PROTOCOL_3: [u8; 2] = [0, 3];

/// Logs the program in, and passes on the server's message of success or error.
pub async fn log_in(
    program: &mut (impl AsyncRead + AsyncWrite + Unpin),
    server: &mut (impl AsyncRead + AsyncWrite + Unpin),
    password: &[u8],
    certificate: Option<&[u8]>,
) -> io::Result<()> {
    let startup = read_packet(program, &[]).await?;
    send(server, &startup).await?;
    if startup.get(4..6) != Some(&PROTOCOL_3) {
        return Ok(());
    }
    match bind(server, password, certificate).await {
        Ok(answer) => send(program, &answer).await,
        Err(error) => {
            send(program, &refusal(&error)).await?;
            Err(error)
        }
    }
}

/// The server's answer once the login is bound, or its error.
async fn bind(
    server: &mut (impl AsyncRead + AsyncWrite + Unpin),
    password: &[u8],
    certificate: Option<&[u8]>,
) -> io::Result<Vec<u8>> {
    let offer = match read_authentication(server).await? {
        Said::Authentication(SASL, names) => names,
        Said::Authentication(..) => return Err(refused("the server requests no login that supports channel binding")),
        Said::Other(message) => return Ok(message),
    };
    if !offer.split(|byte| *byte == 0).any(|name| name == MECHANISM.as_bytes()) {
        return Err(refused("the server offers no channel binding"));
    }
    let end_point =
        certificate.and_then(end_point).ok_or_else(|| refused("the server's certificate cannot be bound to"))?;
    let mut scram = ScramSha256::new(password, ChannelBinding::tls_server_end_point(end_point));
    let mut message = BytesMut::new();
    frontend::sasl_initial_response(MECHANISM, scram.message(), &mut message)?;
    send(server, &message).await?;
    loop {
        match read_authentication(server).await? {
            Said::Authentication(SASL_CONTINUE, data) => {
                scram.update(&data)?;
                message.clear();
                frontend::sasl_response(scram.message(), &mut message)?;
                send(server, &message).await?;
            }
            Said::Authentication(SASL_FINAL, data) => scram.finish(&data)?,
            Said::Authentication(OK, _) => {
                return Ok([&[AUTHENTICATION][..], &8u32.to_be_bytes(), &OK.to_be_bytes()].concat());
            }
            Said::Authentication(..) => return Err(refused("the server requests another login than it began")),
            Said::Other(message) => return Ok(message),
        }
    }
}

/// A message of a server during a login.
enum Said {
    /// An authentication request or its end, by its number, with its data.
    Authentication(u32, Vec<u8>),
    /// Another message, such as an error.
    Other(Vec<u8>),
}

async fn read_authentication(server: &mut (impl AsyncRead + Unpin)) -> io::Result<Said> {
    let kind = server.read_u8().await?;
    let message = read_packet(server, &[kind]).await?;
    match (kind, message.get(5..9)) {
        (AUTHENTICATION, Some(&[a, b, c, d])) => {
            Ok(Said::Authentication(u32::from_be_bytes([a, b, c, d]), message[9..].to_vec()))
        }
        _ => Ok(Said::Other(message)),
    }
}

async fn send(to: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    to.write_all(message).await?;
    to.flush().await
}

fn refused(why: &str) -> io::Error {
    io::Error::other(format!("channel_binding=require: {why}"))
}

/// An error in the form in which a server sends it, so that the program shows why the login failed.
fn refusal(error: &io::Error) -> Vec<u8> {
    let fields = format!("SFATAL\0VFATAL\0C28000\0M{error}\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap_or_default();
    [&b"E"[..], &length.to_be_bytes(), fields.as_bytes()].concat()
}

/// The hash of a certificate for the channel binding: by the function of its own signature, or by SHA-256 if that function is older
/// (<https://www.rfc-editor.org/rfc/rfc5929#section-4.1>).
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
    let (whole, _) = der_element(certificate)?;
    let (_to_be_signed, rest) = der_element(whole.content)?;
    let (algorithm, _) = der_element(rest)?;
    let (identifier, _) = der_element(algorithm.content)?;
    let sha256 = || Some(Sha256::digest(certificate).to_vec());
    let sha384 = || Some(Sha384::digest(certificate).to_vec());
    let sha512 = || Some(Sha512::digest(certificate).to_vec());
    if let Some(function) = identifier.content.strip_prefix(RSA) {
        return match function {
            // MD5, SHA-1, SHA-256.
            [4 | 5 | 11] => sha256(),
            [12] => sha384(),
            [13] => sha512(),
            _ => None,
        };
    }
    match identifier.content.strip_prefix(ECDSA)? {
        // SHA-1, SHA-256.
        [1] | [3, 2] => sha256(),
        [3, 3] => sha384(),
        [3, 4] => sha512(),
        _ => None,
    }
}

/// A packet whose length follows `head` and includes itself.
pub async fn read_packet(from: &mut (impl AsyncRead + Unpin), head: &[u8]) -> io::Result<Vec<u8>> {
    const LARGEST: u32 = 64 * 1024;
    let length = from.read_u32().await?;
    if !(4..=LARGEST).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut packet = head.to_vec();
    packet.extend_from_slice(&length.to_be_bytes());
    let begin = packet.len();
    packet.resize(begin + length as usize - 4, 0);
    from.read_exact(&mut packet[begin..]).await?;
    Ok(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that contains only the algorithm of its signature.
    fn signed_by(identifier: &[u8]) -> Vec<u8> {
        let element = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
        let algorithm = element(0x30, &element(0x06, identifier));
        element(0x30, &[element(0x30, &[]), algorithm].concat())
    }

    #[test]
    fn a_certificate_is_hashed_by_the_function_of_its_signature() {
        const RSA: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
        const ECDSA: [u8; 6] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
        let length =
            |identifier: &[u8], end: &[u8]| end_point(&signed_by(&[identifier, end].concat())).map(|h| h.len());
        assert_eq!([5, 11, 12, 13].map(|end| length(&RSA, &[end])), [Some(32), Some(32), Some(48), Some(64)]);
        assert_eq!([2, 3, 4].map(|end| length(&ECDSA, &[3, end])), [Some(32), Some(48), Some(64)]);
        assert_eq!(length(&RSA, &[10]), None, "RSASSA-PSS names its function elsewhere");
        assert_eq!(end_point(b"no certificate"), None);
    }

    #[tokio::test]
    async fn a_server_that_offers_no_binding_is_refused_by_name() {
        let (mut program, mut own) = tokio::io::duplex(1000);
        let (mut to_server, mut server) = tokio::io::duplex(1000);
        program.write_all(&[0, 0, 0, 9, 0, 3, 0, 0, 0]).await.unwrap();
        server.write_all(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0").await.unwrap();
        log_in(&mut own, &mut to_server, b"x", None).await.unwrap_err();
        drop(own);
        let mut received = Vec::new();
        program.read_to_end(&mut received).await.unwrap();
        let received = String::from_utf8_lossy(&received);
        assert!(received.starts_with('E') && received.contains("the server offers no channel binding"), "{received}");
    }
}
