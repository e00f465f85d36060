//! A connection string for the programs of `PostgreSQL`, so that they connect as pgmigrate does, without a password in their arguments.
//! This module runs no program; its callers take the text and the environment from here.

use super::{Conninfo, Host, RootCert, SSL_MODES, SessionAttrs, SslMode, TlsVersion, name_of};
use crate::config::Secret;
use crate::pg::pinned::{self, Program};
use tokio_postgres::config::ChannelBinding;

/// Environment variables with settings that libpq would send after the options and so override them.
pub(in crate::pg) const SETTING_VARIABLES: [&str; 3] = ["PGDATESTYLE", "PGTZ", "PGGEQO"];

type Pairs = Vec<(&'static str, String)>;

impl Conninfo {
    /// The parameters with which `pg_dump`, `pg_restore` and `psql` connect in the same way: a connection string without the password for
    /// their arguments, and the environment for it. The pinned settings follow the user's own options.
    #[must_use]
    pub fn for_libpq_tool(&self, program: Program) -> (String, Vec<(String, Secret)>) {
        let options: Vec<String> =
            self.options.iter().cloned().chain([pinned::options(program, &self.forced)]).collect();
        let timeout = self.connect_timeout.map_or(0, |timeout| timeout.as_secs());
        let mut env = vec![
            ("PGOPTIONS".to_owned(), Secret::new(options.join(" "))),
            ("PGAPPNAME".to_owned(), Secret::new("pgmigrate")),
            ("PGCONNECT_TIMEOUT".to_owned(), Secret::new(timeout.to_string())),
            ("PGCLIENTENCODING".to_owned(), Secret::new("UTF8")),
            // pgmigrate parses the messages.
            ("LC_ALL".to_owned(), Secret::new("C")),
        ];
        // One variable cannot hold two passwords: of several hosts with different ones, the first one is used.
        let password = self.hosts.iter().find_map(|host| host.password.clone());
        env.extend(password.map(|password| ("PGPASSWORD".to_owned(), password)));
        (self.tool_text(), env)
    }

    fn tool_text(&self) -> String {
        let list = |part: fn(&Host) -> String| self.hosts.iter().map(part).collect::<Vec<_>>().join(",");
        let mut pairs = vec![
            ("host", list(|host| host.name.clone())),
            ("port", list(|host| host.port.to_string())),
            ("user", self.user.clone()),
            ("dbname", self.dbname.clone()),
        ];
        if self.hosts.iter().any(|host| host.address.is_some()) {
            pairs.push(("hostaddr", list(|host| host.address.map_or(String::new(), |ip| ip.to_string()))));
        }
        self.add_ssl(&mut pairs);
        self.add_network(&mut pairs);
        let quote = |value: String| value.replace('\\', "\\\\").replace('\'', "\\'");
        let text: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}='{}'", quote(value))).collect();
        text.join(" ")
    }

    /// Defaults are left out, because a program built without TLS, or older than a keyword, refuses keywords that it does not know.
    fn add_ssl(&self, pairs: &mut Pairs) {
        let ssl = &self.ssl;
        if ssl.mode != SslMode::Prefer {
            pairs.push(("sslmode", name_of(&SSL_MODES, ssl.mode).into()));
        }
        match &ssl.root {
            Some(RootCert::System) => pairs.push(("sslrootcert", "system".into())),
            Some(RootCert::File(path)) => pairs.push(("sslrootcert", path.display().to_string())),
            None => {}
        }
        if let Some((cert, key)) = &ssl.client {
            pairs.push(("sslcert", cert.display().to_string()));
            pairs.push(("sslkey", key.display().to_string()));
        }
        let versions =
            [("ssl_min_protocol_version", ssl.oldest, "TLSv1.3"), ("ssl_max_protocol_version", ssl.newest, "TLSv1.2")];
        let defaults = [TlsVersion::V12, TlsVersion::V13];
        for ((keyword, version, text), default) in versions.into_iter().zip(defaults) {
            if version != default {
                pairs.push((keyword, text.into()));
            }
        }
        if ssl.direct {
            pairs.push(("sslnegotiation", "direct".into()));
        }
        if !ssl.sni {
            pairs.push(("sslsni", "0".into()));
        }
    }

    fn add_network(&self, pairs: &mut Pairs) {
        if self.session_attrs != SessionAttrs::Any {
            pairs.push(("target_session_attrs", self.session_attrs.name().into()));
        }
        match self.channel_binding {
            ChannelBinding::Require => pairs.push(("channel_binding", "require".into())),
            ChannelBinding::Disable => pairs.push(("channel_binding", "disable".into())),
            _ => {}
        }
        let keepalive = &self.keepalive;
        pairs.push(("keepalives", u8::from(keepalive.enabled).to_string()));
        let seconds = [("keepalives_idle", keepalive.idle), ("keepalives_interval", keepalive.interval)];
        pairs.extend(seconds.into_iter().filter_map(|(name, time)| Some((name, time?.as_secs().to_string()))));
        pairs.extend(keepalive.count.map(|count| ("keepalives_count", count.to_string())));
        pairs.extend(keepalive.user_timeout.map(|time| ("tcp_user_timeout", time.as_millis().to_string())));
    }
}
