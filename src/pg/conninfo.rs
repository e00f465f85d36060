//! A connection string with everything that libpq would add to it: where a database is and how to log in.
//!
//! A [`Conninfo`] is complete and checked: environment, service file, password file and defaults are in it, and nothing is read later. It
//! opens no connection and never shows a password. The engine and the bindings parse it; `connect` uses it, and the programs of
//! `PostgreSQL` get it as text.

mod passfile;
mod read;
mod service;
mod settings;
#[cfg(test)]
mod tests;
mod text;
mod tool;

pub(super) use tool::SETTING_VARIABLES;

use crate::config::Secret;
use crate::error::Side;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::config::ChannelBinding;

/// Whether and how TLS is used (libpq's `sslmode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never.
    Disable,
    /// Only if the server requires it.
    Allow,
    /// If the server offers it.
    Prefer,
    /// Always, without a check of the server's identity; with a root certificate as `VerifyCa`.
    Require,
    /// Always, with a certificate that a trusted authority signed.
    VerifyCa,
    /// As `VerifyCa`, and the certificate names the host.
    VerifyFull,
}

const SSL_MODES: [(&str, SslMode); 6] = [
    ("prefer", SslMode::Prefer),
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

/// The authorities that may sign the server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCert {
    /// Those of the operating system.
    System,
    /// Those of a PEM file.
    File(PathBuf),
}

/// A version of TLS; older ones than these are never used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2; also used for an older configured minimum.
    V12,
    /// TLS 1.3.
    V13,
}

/// The TLS settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssl {
    /// How much of it.
    pub mode: SslMode,
    /// The trusted authorities; `None` if any certificate is accepted.
    pub root: Option<RootCert>,
    /// The client's own certificate chain and key, as PEM files.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Start with TLS without negotiation (`sslnegotiation=direct`).
    pub direct: bool,
    /// Send the host name to the server (SNI).
    pub sni: bool,
    /// The oldest version to use.
    pub oldest: TlsVersion,
    /// The newest version to use.
    pub newest: TlsVersion,
}

/// What the session must be able to do (libpq's `target_session_attrs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionAttrs {
    /// Anything.
    Any,
    /// Write.
    ReadWrite,
    /// Only read.
    ReadOnly,
    /// Run on the primary.
    Primary,
    /// Run on a standby.
    Standby,
    /// Run on a standby if one answers.
    PreferStandby,
}

const SESSION_ATTRS: [(&str, SessionAttrs); 6] = [
    ("any", SessionAttrs::Any),
    ("read-write", SessionAttrs::ReadWrite),
    ("read-only", SessionAttrs::ReadOnly),
    ("primary", SessionAttrs::Primary),
    ("standby", SessionAttrs::Standby),
    ("prefer-standby", SessionAttrs::PreferStandby),
];

impl SessionAttrs {
    /// The value as libpq writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        name_of(&SESSION_ATTRS, self)
    }
}

/// How libpq writes `wanted`.
fn name_of<T: Copy + PartialEq>(choices: &[(&'static str, T)], wanted: T) -> &'static str {
    choices.iter().find(|(_, choice)| *choice == wanted).map_or("", |(name, _)| *name)
}

/// One of the hosts of the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Host {
    /// A host name, an address, or the folder of a Unix socket.
    pub name: String,
    /// The address, if the user gave it in addition to or instead of the name.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// The password for this host, database and user.
    pub password: Option<Secret>,
}

impl Host {
    /// Whether this is a Unix socket, on which TLS has no meaning.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.address.is_none() && self.name.starts_with('/')
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// How to notice that the peer is gone. `None` is the program's or the system's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keepalive {
    /// Whether probes are sent.
    pub enabled: bool,
    /// Silence before the first probe.
    pub idle: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
    /// Probes before the connection is given up.
    pub count: Option<u32>,
    /// How long sent data may stay unacknowledged.
    pub user_timeout: Option<Duration>,
}

/// After how long the next host is tried if the user sets no `connect_timeout`.
const OTHER_HOSTS_AFTER: Duration = Duration::from_secs(10);

/// A complete connection string.
#[derive(Clone, PartialEq, Eq)]
pub struct Conninfo {
    pub(super) hosts: Vec<Host>,
    /// The hosts that the user named, if `hosts` was narrowed to the one that answered.
    named_hosts: Vec<Host>,
    /// Whether the session for which this was narrowed is encrypted.
    pub(super) is_encrypted: bool,
    user: String,
    dbname: String,
    pub(super) options: Option<String>,
    pub(super) ssl: Ssl,
    pub(super) channel_binding: ChannelBinding,
    pub(super) session_attrs: SessionAttrs,
    pub(super) any_order: bool,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) keepalive: Keepalive,
    /// Settings of `pg::pinned` that only a superuser can change, and that this role had to change and was able to.
    forced: Vec<String>,
    /// Values that sessions redact in a server's messages.
    pub(super) secrets: Arc<[Secret]>,
}

/// Whether a connection string contains a password. One that cannot be parsed counts as if it did.
#[must_use]
pub fn has_password(text: &str) -> bool {
    text::parse(text).map_or(true, |settings| settings.get("password").is_some_and(|password| !password.is_empty()))
}

impl Conninfo {
    /// `host:port/dbname`, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(Host::to_string).collect();
        format!("{}/{}", hosts.join(","), self.dbname)
    }

    /// The database.
    #[must_use]
    pub fn dbname(&self) -> &str {
        &self.dbname
    }

    /// The role to log in as.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The same server and login, another database.
    #[must_use]
    pub fn with_dbname(&self, dbname: &str) -> Conninfo {
        Conninfo { dbname: dbname.into(), ..self.clone() }
    }

    /// The same, with only the host that answered, so that all later connections reach the same server.
    pub(super) fn with_host(&self, host: &Host) -> Conninfo {
        let named = if self.named_hosts.is_empty() { &self.hosts } else { &self.named_hosts };
        Conninfo { hosts: vec![host.clone()], named_hosts: named.clone(), ..self.clone() }
    }

    /// The same, for a session that is encrypted or not.
    pub(super) fn with_encryption(self, is_encrypted: bool) -> Conninfo {
        Conninfo { is_encrypted, ..self }
    }

    /// The same, with all hosts that the user named, the one that answered last first: for a session that replaces a lost one.
    #[must_use]
    pub fn with_all_hosts(&self) -> Conninfo {
        let mut hosts = self.hosts.clone();
        hosts.extend(self.named_hosts.iter().filter(|host| !self.hosts.contains(host)).cloned());
        // A host that does not answer must not use up the time of all.
        let is_alone = hosts.len() == 1;
        let connect_timeout = self.connect_timeout.or(if is_alone { None } else { Some(OTHER_HOSTS_AFTER) });
        Conninfo { hosts, connect_timeout, any_order: false, ..self.clone() }
    }

    /// Whether both have the same hosts.
    #[must_use]
    pub fn has_same_host(&self, other: &Conninfo) -> bool {
        self.hosts == other.hosts
    }

    /// The same, with the names of the settings that a session had to change as a superuser, so that client programs change them, too.
    pub(super) fn with_forced(self, forced: Vec<String>) -> Conninfo {
        Conninfo { forced, ..self }
    }

    /// The same, for sessions that write these values: they redact them.
    #[must_use]
    pub fn with_secrets(self, secrets: Vec<Secret>) -> Conninfo {
        Conninfo { secrets: secrets.into(), ..self }
    }

    /// The values that its sessions redact.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        self.secrets.to_vec()
    }

    /// The settings in the user's `options` that have no effect, because sessions have another value pinned.
    #[must_use]
    pub fn overridden(&self, side: Side) -> Vec<&'static str> {
        self.options.as_deref().map(|options| super::pinned::overridden(options, side)).unwrap_or_default()
    }
}

impl fmt::Debug for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conninfo({}@{})", self.user, self.describe())
    }
}
