//! Makes a [`Conninfo`] of the settings: gathers them from text, service file, environment and password file, checks
//! the values and fills the defaults. Called by `Conninfo::parse`; reads files, opens no connection.

use super::settings::{Settings, problem};
use super::{Conninfo, Host, Keepalive, RootCert, SESSION_ATTRS, SSL_MODES, Ssl, SslMode, TlsVersion};
use super::{passfile, service, text};
use crate::error::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres::config::ChannelBinding;

/// The default time in which one host has to answer and log the session in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The folders in which the servers of distributions, and servers built from source, place their Unix sockets.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

type Env = BTreeMap<String, String>;

impl Conninfo {
    /// Reads `text`, a `keyword=value` string or a `postgresql://` URI, as libpq would with the environment `env`:
    /// `PG*` variables, service file, password file (`HOME`), operating system user (`USER`).
    pub fn parse(text: &str, env: &Env) -> Result<Conninfo> {
        let mut settings = text::parse(text)?;
        service::fill(&mut settings, env)?;
        settings.fill_from_environment(env)?;
        settings.choice("client_encoding", &["auto", "UTF8", "utf8", "UTF-8", "utf-8"].map(|name| (name, ())))?;
        settings.choice("gssencmode", &["prefer", "disable"].map(|name| (name, ())))?;
        let home = env.get("HOME").map(Path::new);
        let user = user(&settings, env)?;
        let dbname = settings.text("dbname").unwrap_or_else(|| user.clone());
        let mut hosts = hosts(&settings)?;
        fill_passwords(&mut hosts, &settings, [&dbname, &user], home);
        Ok(Conninfo {
            hosts,
            named_hosts: Vec::new(),
            is_encrypted: false,
            user,
            dbname,
            options: settings.text("options"),
            ssl: ssl(&settings, home)?,
            channel_binding: channel_binding(&settings)?,
            session_attrs: settings.choice("target_session_attrs", &SESSION_ATTRS)?,
            any_order: settings.choice("load_balance_hosts", &[("disable", false), ("random", true)])?,
            connect_timeout: connect_timeout(&settings)?,
            keepalive: keepalive(&settings)?,
            forced: Vec::new(),
            secrets: Vec::new().into(),
        })
    }
}

fn user(settings: &Settings, env: &Env) -> Result<String> {
    let account = || ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| env.get(*name)).cloned();
    settings.text("user").or_else(account).ok_or_else(|| {
        problem("user", "missing, and the environment names no user").remedy("say user=... or set PGUSER")
    })
}

fn hosts(settings: &Settings) -> Result<Vec<Host>> {
    let (names, addresses, ports) = (settings.list("host"), settings.list("hostaddr"), settings.list("port"));
    let count = if addresses.is_empty() { names.len().max(1) } else { addresses.len() };
    if !names.is_empty() && names.len() != count {
        return Err(problem("hostaddr", &format!("{count} addresses for {} hosts", names.len())));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(problem("port", &format!("{} ports for {count} hosts", ports.len())));
    }
    (0..count)
        .map(|at| {
            let part = |list: &[&str]| list.get(at).copied().unwrap_or_default().to_owned();
            host(part(&names), &part(&addresses), ports.get(at).or(ports.first()).copied().unwrap_or_default())
        })
        .collect()
}

fn host(name: String, address: &str, port: &str) -> Result<Host> {
    let port = match port {
        "" => 5432,
        text => text.parse().ok().filter(|port| *port > 0).ok_or_else(|| problem("port", "expected 1 to 65535"))?,
    };
    let address = match address {
        "" => None,
        text => Some(text.parse().map_err(|_| problem("hostaddr", "expected an IPv4 or IPv6 address"))?),
    };
    if name.starts_with('@') {
        return Err(problem("host", "abstract Unix sockets are not supported"));
    }
    let name = match (name.is_empty(), address) {
        (false, _) => name,
        (true, Some(ip)) => std::net::IpAddr::to_string(&ip),
        (true, None) => default_host(port),
    };
    Ok(Host { name, address, port, password: None })
}

fn default_host(port: u16) -> String {
    let is_there = |folder: &&&str| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
    SOCKET_FOLDERS.iter().find(is_there).map_or("localhost", |folder| *folder).to_owned()
}

fn fill_passwords(hosts: &mut [Host], settings: &Settings, [dbname, user]: [&str; 2], home: Option<&Path>) {
    if let Some(password) = settings.text("password").map(crate::config::Secret::new) {
        for host in hosts {
            host.password = Some(password.clone());
        }
        return;
    }
    let path = settings.get("passfile").map(PathBuf::from).or_else(|| Some(home?.join(".pgpass")));
    let Some(text) = path.and_then(|path| passfile::read(&path)) else { return };
    for host in hosts {
        let is_default_socket = SOCKET_FOLDERS.contains(&host.name.as_str());
        let name = if is_default_socket { "localhost" } else { &host.name };
        host.password = passfile::find(&text, [name, &host.port.to_string(), dbname, user]);
    }
}

fn ssl(settings: &Settings, home: Option<&Path>) -> Result<Ssl> {
    let root = root(settings, home);
    let stated = settings.get("sslmode").is_some();
    let mode = match root {
        Some(RootCert::System) if !stated => SslMode::VerifyFull,
        _ => settings.choice("sslmode", &SSL_MODES)?,
    };
    if root == Some(RootCert::System) && mode != SslMode::VerifyFull {
        return Err(problem("sslmode", "too weak for sslrootcert=system").remedy("use sslmode=verify-full"));
    }
    if root.is_none() && mode >= SslMode::VerifyCa {
        return Err(problem("sslrootcert", "missing, and there is no ~/.postgresql/root.crt")
            .remedy("name the file with the authority's certificate, or say sslrootcert=system"));
    }
    let direct = settings.choice("sslnegotiation", &[("postgres", false), ("direct", true)])?;
    if direct && mode < SslMode::Require {
        return Err(problem("sslmode", "too weak for sslnegotiation=direct").remedy("use sslmode=require or stronger"));
    }
    let (oldest, newest) = versions(settings)?;
    let sni = settings.choice("sslsni", &[("1", true), ("0", false)])?;
    Ok(Ssl { mode, root, client: client_certificate(settings, home)?, direct, sni, oldest, newest })
}

/// The default file of the user applies only if it exists; a named file must exist, which `tls` checks.
fn root(settings: &Settings, home: Option<&Path>) -> Option<RootCert> {
    match settings.get("sslrootcert") {
        Some("system") => Some(RootCert::System),
        Some(path) => Some(RootCert::File(path.into())),
        None => own_file(home, "root.crt").map(RootCert::File),
    }
}

fn own_file(home: Option<&Path>, name: &str) -> Option<PathBuf> {
    Some(home?.join(".postgresql").join(name)).filter(|path| path.exists())
}

fn client_certificate(settings: &Settings, home: Option<&Path>) -> Result<Option<(PathBuf, PathBuf)>> {
    let wanted = settings.choice("sslcertmode", &[("allow", true), ("disable", false)])?;
    let cert = settings.get("sslcert").map(PathBuf::from).or_else(|| own_file(home, "postgresql.crt"));
    let Some(cert) = cert.filter(|_| wanted) else { return Ok(None) };
    let key = settings.get("sslkey").map(PathBuf::from).or_else(|| own_file(home, "postgresql.key"));
    let key = key.ok_or_else(|| {
        problem("sslkey", "missing for the client certificate").remedy("name the file with the certificate's key")
    })?;
    Ok(Some((cert, key)))
}

fn versions(settings: &Settings) -> Result<(TlsVersion, TlsVersion)> {
    use TlsVersion::{V12, V13};
    let older = [("TLSv1.2", V12), ("TLSv1", V12), ("TLSv1.1", V12), ("TLSv1.3", V13)];
    let oldest = settings.choice("ssl_min_protocol_version", &older)?;
    let newest = settings.choice("ssl_max_protocol_version", &[("TLSv1.3", V13), ("TLSv1.2", V12)])?;
    if oldest > newest {
        return Err(problem("ssl_min_protocol_version", "newer than ssl_max_protocol_version"));
    }
    Ok((oldest, newest))
}

fn channel_binding(settings: &Settings) -> Result<ChannelBinding> {
    let choices = [
        ("prefer", ChannelBinding::Prefer),
        ("disable", ChannelBinding::Disable),
        ("require", ChannelBinding::Require),
    ];
    settings.choice("channel_binding", &choices)
}

fn connect_timeout(settings: &Settings) -> Result<Option<Duration>> {
    Ok(match settings.integer("connect_timeout")? {
        None => Some(CONNECT_TIMEOUT),
        Some(seconds) => u64::try_from(seconds).ok().filter(|n| *n > 0).map(Duration::from_secs),
    })
}

fn keepalive(settings: &Settings) -> Result<Keepalive> {
    let seconds = |keyword| Ok(settings.positive(keyword)?.map(|n| Duration::from_secs(n.into())));
    Ok(Keepalive {
        enabled: settings.integer("keepalives")? != Some(0),
        idle: seconds("keepalives_idle")?,
        interval: seconds("keepalives_interval")?,
        count: settings.positive("keepalives_count")?,
        user_timeout: settings.positive("tcp_user_timeout")?.map(|n| Duration::from_millis(n.into())),
    })
}
