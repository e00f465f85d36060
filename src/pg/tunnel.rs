//! Encrypted connections for client programs that cannot make them: `pg_dump` builds without OpenSSL exist, those on PyPI among them.
//!
//! Where a conninfo insists on TLS, the program connects to a Unix socket in a folder that only we can enter, and its bytes
//! go on over TLS as all our own connections do, with the same checks. `tool` and `replay` open one for each program that they run.

use super::conninfo::{Conninfo, SslMode};
use super::net::Net;
use super::tls;
use crate::error::{Error, Kind, Result};
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio_rustls::TlsConnector;

/// The port in the socket's name; any will do, for the folder is ours.
const PORT: u16 = 5432;

/// An open tunnel; it closes when dropped.
pub(super) struct Tunnel {
    folder: PathBuf,
    accepting: tokio::task::JoinHandle<()>,
}

impl Tunnel {
    /// Opens one where `conninfo` insists on TLS; none elsewhere, for there the program's own way will do.
    pub(super) fn open(conninfo: &Conninfo) -> Result<Option<Tunnel>> {
        let insists = matches!(conninfo.ssl.mode, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull);
        if !insists || conninfo.hosts.iter().any(super::conninfo::Host::is_socket) {
            return Ok(None);
        }
        let failed = |error: io::Error| {
            Error::new(Kind::Connect, "opening an encrypted way for a client program").caused_by(error)
        };
        let connector = TlsConnector::from(Arc::new(tls::client_config(&conninfo.ssl)?));
        let folder = private_folder().map_err(failed)?;
        let listener = UnixListener::bind(folder.join(format!(".s.PGSQL.{PORT}"))).map_err(failed)?;
        let accepting = tokio::spawn(accept(listener, connector, conninfo.clone()));
        Ok(Some(Tunnel { folder, accepting }))
    }

    /// The conninfo by which a program comes through.
    pub(super) fn conninfo(&self, user: &str, dbname: &str) -> String {
        let quote = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
        let folder = self.folder.display().to_string();
        let (folder, user, dbname) = (quote(&folder), quote(user), quote(dbname));
        // Said here, for the environment may say otherwise, and the program may not know what it says.
        format!("host='{folder}' port={PORT} user='{user}' dbname='{dbname}' sslmode=disable channel_binding=disable")
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.accepting.abort();
        // What cannot be removed is left to the system's own cleaning of temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn private_folder() -> io::Result<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("pgmigrate-{}-tls-{number}", std::process::id()));
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

async fn accept(listener: UnixListener, connector: TlsConnector, conninfo: Conninfo) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((program, _)) = listener.accept().await {
        let (connector, conninfo) = (connector.clone(), conninfo.clone());
        connections.spawn(async move {
            // The program sees its connection close and says so; we tell why it could not be made.
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
    copy_bidirectional(&mut program, &mut encrypted).await.map(|_| ())
}
