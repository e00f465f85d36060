//! Opens one connection: hosts in turn, TLS as configured, login, and the settings that every session has pinned.
//!
//! It makes one attempt for each host; the engine decides about later attempts. Called by `Session::open`.

use super::cancel::{Canceller, Owner, Way};
use super::gate::{Gate, GatedTls, Wire};
use super::net::Net;
use super::refusal::{UNREACHABLE, by_io_error, is_password_missing, may_differ_with_tls, remedy};
use super::tls;
use crate::error::{Error, Kind, Result, Side};
use crate::pg::conninfo::{Conninfo, Host, SessionAttrs, SslMode};
use crate::pg::notice::Warnings;
use crate::pg::{pinned, reply};
use crate::server_version::ServerVersion;
use std::hash::{BuildHasher, RandomState};
use std::sync::PoisonError;
use tokio_postgres::{Client, SimpleQueryMessage, config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The limits that would stop a long statement or end an idle snapshot, disabled from the first statement on. All servers know them;
/// poolers that are configured for these startup options would refuse others. The other pins follow as statements.
const NO_TIMEOUTS: &str = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0";
/// Writes are refused from the first statement on.
const READ_ONLY: &str = "-c default_transaction_read_only=on";
/// Without a schema in the search path, no later statement can use an object of another schema by mistake.
const FACTS: &str = "\
    SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.pg_backend_pid(), \
    pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('default_transaction_read_only'), \
    pg_catalog.set_config('search_path', '', false); ";

/// The result of a successful login.
pub struct Connected {
    pub client: Client,
    pub canceller: Canceller,
    pub owner: Owner,
    /// The warnings that the server has sent.
    pub warnings: Warnings,
    /// The stream under the client.
    pub gate: Gate,
    /// The conninfo with only the host that answered.
    pub conninfo: Conninfo,
    pub version: ServerVersion,
    pub backend_pid: i32,
}

/// Connects to the first suitable host, in the order in which libpq would try them.
pub async fn connect(conninfo: &Conninfo, side: Side, application: &str) -> Result<Connected> {
    let hosts = in_order(conninfo);
    let passes: &[SessionAttrs] = match &conninfo.session_attrs {
        SessionAttrs::PreferStandby => &[SessionAttrs::Standby, SessionAttrs::Any],
        wanted => std::slice::from_ref(wanted),
    };
    let tls = tls::connector(&conninfo.ssl).map_err(|error| error.on(side))?;
    let mut failures = Vec::new();
    for wanted in passes {
        for host in &hosts {
            let attempt = Attempt { conninfo, host, side, application, wanted: *wanted, tls: tls.clone() };
            match attempt.run().await {
                Ok(connected) => return Ok(connected),
                Err(error) if goes_for_all_hosts(&error) => return Err(error.on(side)),
                Err(error) => failures.push(error),
            }
        }
    }
    Err(summary(conninfo, failures).on(side))
}

/// `load_balance_hosts=random` requires an unpredictable order, which the hasher's random keys provide.
fn in_order(conninfo: &Conninfo) -> Vec<&Host> {
    let mut hosts: Vec<&Host> = conninfo.hosts.iter().collect();
    if conninfo.any_order {
        let random = RandomState::new();
        hosts.sort_by_cached_key(|host| random.hash_one(host.to_string()));
    }
    hosts
}

/// A server that answers with an error ends the search, as in libpq, unless it is starting up or shutting down.
fn goes_for_all_hosts(error: &Error) -> bool {
    error.sqlstate.is_some() && !error.is("57P03")
}

fn summary(conninfo: &Conninfo, mut failures: Vec<Error>) -> Error {
    let words: Vec<String> = failures.iter().map(Error::chain).collect();
    let Some(last) = failures.pop() else {
        return Error::new("no_host", Kind::Internal, "the conninfo names no host");
    };
    if words.len() == 1 {
        return last;
    }
    let mut error =
        Error::new(last.name, last.kind, format!("connecting to {}", conninfo.describe())).caused_by(words.join("; "));
    error.remedy = last.remedy;
    error.sqlstate = last.sqlstate;
    error
}

/// One attempt at one host.
struct Attempt<'a> {
    conninfo: &'a Conninfo,
    host: &'a Host,
    side: Side,
    application: &'a str,
    wanted: SessionAttrs,
    tls: MakeRustlsConnect,
}

impl Attempt<'_> {
    async fn run(&self) -> Result<Connected> {
        let Some(limit) = self.conninfo.connect_timeout else { return self.log_in().await };
        tokio::time::timeout(limit, self.log_in()).await.unwrap_or_else(|_| {
            let words = format!("no answer within {} s", limit.as_secs());
            Err(Error::new("connect_timeout", Kind::Connect, self.doing()).caused_by(words).remedy(UNREACHABLE))
        })
    }

    async fn log_in(&self) -> Result<Connected> {
        let mut modes = self.ssl_modes().iter().peekable();
        while let Some(mode) = modes.next() {
            let net = Net::open(self.host, &self.conninfo.keepalive).await.map_err(|error| self.unreachable(error))?;
            let plain = Gate::new(Box::new(net));
            let (tls, inner) = GatedTls::new(self.tls.clone(), &self.host.name);
            match self.config(*mode).connect_raw(plain.clone(), tls).await {
                Ok((client, wire)) => {
                    let encrypted = inner.lock().unwrap_or_else(PoisonError::into_inner).take();
                    let conninfo = self.conninfo.with_host(self.host).with_encryption(encrypted.is_some());
                    return self.settle(client, wire, encrypted.unwrap_or(plain), conninfo).await;
                }
                Err(error) if modes.peek().is_some() && may_differ_with_tls(&error) => {}
                Err(error) => return Err(self.explain(&error)),
            }
        }
        Err(Error::new("no_tls_mode", Kind::Internal, self.doing()))
    }

    /// The TLS modes to try, in their order.
    fn ssl_modes(&self) -> &'static [config::SslMode] {
        use config::SslMode as Try;
        match self.conninfo.ssl.mode {
            _ if self.host.is_socket() => &[Try::Disable],
            SslMode::Disable => &[Try::Disable],
            SslMode::Allow => &[Try::Disable, Try::Require],
            SslMode::Prefer => &[Try::Prefer, Try::Disable],
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Try::Require],
        }
    }

    fn config(&self, mode: config::SslMode) -> tokio_postgres::Config {
        let conninfo = self.conninfo;
        let mut config = tokio_postgres::Config::new();
        config
            .user(conninfo.user())
            .dbname(conninfo.dbname())
            .application_name(self.application)
            .options(self.startup_options())
            .ssl_mode(mode)
            .channel_binding(conninfo.channel_binding);
        if conninfo.ssl.direct && mode != config::SslMode::Disable {
            config.ssl_negotiation(config::SslNegotiation::Direct);
        }
        self.host.password.as_ref().map(|password| config.password(password.expose()));
        config
    }

    fn startup_options(&self) -> String {
        let own = self.conninfo.options.iter().map(String::as_str);
        let read_only = Some(READ_ONLY).filter(|_| self.side == Side::Source && !self.must_ask_default());
        own.chain([NO_TIMEOUTS]).chain(read_only).collect::<Vec<_>>().join(" ")
    }

    /// Whether the choice of the host depends on a setting that pgmigrate's own value would hide. It is then pinned after the choice, but
    /// before any statement of a caller.
    fn must_ask_default(&self) -> bool {
        matches!(self.wanted, SessionAttrs::ReadWrite | SessionAttrs::ReadOnly)
    }

    /// Pins the settings and reads which server has answered.
    async fn settle(&self, client: Client, wire: Wire, gate: Gate, conninfo: Conninfo) -> Result<Connected> {
        let major = wire.parameter("server_version").map_or(0, leading_number);
        let canceller = Canceller::new(client.cancel_token(), Way::new(self.host, &self.conninfo.keepalive, &self.tls));
        let warnings = Warnings::default();
        let owner = Owner::of(wire, gate.clone(), canceller.clone(), warnings.clone());
        let sql = format!("{FACTS}{}{}", pinned::CHECK_CLIENT, pinned::statements(self.side, major));
        let messages = client.simple_query(&sql).await.map_err(|error| self.explain(&error))?;
        let rows = || {
            messages.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
        };
        let facts = rows().find_map(Facts::of);
        let facts = facts.ok_or_else(|| {
            Error::new("unexpected_reply", Kind::Connect, self.doing()).caused_by("an unexpected reply")
        })?;
        if !facts.fit(self.wanted) {
            let words = format!("the server is not {}, which target_session_attrs requires", self.wanted.name());
            return Err(Error::new("session_attributes", Kind::Connect, self.doing()).caused_by(words));
        }
        let forced = rows().filter(|row| row.len() == 2).filter_map(|row| row.get(0).map(str::to_owned));
        let conninfo = conninfo.with_forced(forced.collect());
        Ok(Connected {
            client,
            canceller,
            owner,
            warnings,
            gate,
            conninfo,
            version: facts.version,
            backend_pid: facts.backend_pid,
        })
    }

    fn doing(&self) -> String {
        format!("connecting to {}/{}", self.host, self.conninfo.dbname())
    }

    fn unreachable(&self, error: std::io::Error) -> Error {
        let words = by_io_error(&error);
        Error::new("server_unreachable", Kind::Connect, self.doing()).caused_by(error).remedy(words)
    }

    fn explain(&self, error: &tokio_postgres::Error) -> Error {
        let failed = reply::from_postgres(error, Kind::Connect, &self.doing());
        let is_refused = failed.server().is_some();
        let mut explained = if is_refused { failed.named("login_refused") } else { failed.named("login_failed") };
        if is_password_missing(error) {
            explained = Error::new("password_missing", Kind::Connect, self.doing()).caused_by("no password was given");
            // The code that the server itself uses for a missing password, so that no caller tries again without one.
            explained.sqlstate = Some("28P01".into());
        }
        explained.remedy = remedy(error, self.conninfo);
        explained
    }
}

/// The facts that a new session reads about itself.
struct Facts {
    version: ServerVersion,
    backend_pid: i32,
    in_recovery: bool,
    read_only: bool,
}

impl Facts {
    fn of(row: &tokio_postgres::SimpleQueryRow) -> Option<Facts> {
        Some(Facts {
            version: ServerVersion(row.get(0)?.parse().ok()?),
            backend_pid: row.get(1)?.parse().ok()?,
            in_recovery: row.get(2)? == "t",
            read_only: row.get(3)? == "on",
        })
    }

    fn fit(&self, wanted: SessionAttrs) -> bool {
        match wanted {
            SessionAttrs::Any | SessionAttrs::PreferStandby => true,
            SessionAttrs::Primary => !self.in_recovery,
            SessionAttrs::Standby => self.in_recovery,
            SessionAttrs::ReadOnly => self.in_recovery || self.read_only,
            SessionAttrs::ReadWrite => !(self.in_recovery || self.read_only),
        }
    }
}

fn leading_number(text: &str) -> u32 {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap_or(0)
}
