//! A connection's bytes: TCP or a Unix socket, with the keepalives of the conninfo.
//!
//! This module does not interpret the bytes. `connect` and `cancel` open it.

use crate::pg::conninfo::{Host, Keepalive};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// The default idle time before the first probe; firewalls drop idle connections within minutes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_COUNT: u32 = 6;

/// A stream to a server, not encrypted.
#[derive(Debug)]
pub enum Net {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Net {
    /// Connects to a host.
    pub async fn open(host: &Host, keepalive: &Keepalive) -> io::Result<Net> {
        if host.is_socket() {
            return UnixStream::connect(format!("{}/.s.PGSQL.{}", host.name, host.port)).await.map(Net::Unix);
        }
        let stream = match host.address {
            Some(address) => TcpStream::connect((address, host.port)).await?,
            None => TcpStream::connect((host.name.as_str(), host.port)).await?,
        };
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        if keepalive.enabled {
            let probes = TcpKeepalive::new()
                .with_time(keepalive.idle.unwrap_or(KEEPALIVE_IDLE))
                .with_interval(keepalive.interval.unwrap_or(KEEPALIVE_INTERVAL))
                .with_retries(keepalive.count.unwrap_or(KEEPALIVE_COUNT));
            socket.set_tcp_keepalive(&probes)?;
        }
        #[cfg(target_os = "linux")]
        if let Some(limit) = keepalive.user_timeout {
            socket.set_tcp_user_timeout(Some(limit))?;
        }
        Ok(Net::Tcp(stream))
    }
}

impl AsyncRead for Net {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Net::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Net::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Net {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Net::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Net::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Net::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Net::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Net::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Net::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
