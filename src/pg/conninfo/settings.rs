//! The keywords of a connection string: which exist, the environment variable of each, and their values as types. This module does not
//! depend on the form of the text; `text`, `service` and the environment fill it, and `Conninfo::parse` reads it. A problem names the
//! keyword, never its value, which may be a password.

use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// How a keyword that libpq knows is handled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It has its effect, or has no meaning for this program and is ignored.
    Taken,
    /// If it was ignored, the connection would differ from what the user requested.
    Refused,
}

/// Every keyword of libpq 18 with its environment variable
/// (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>).
const KEYWORDS: &[(&str, &str, Use)] = &[
    ("application_name", "", Use::Taken),
    ("channel_binding", "PGCHANNELBINDING", Use::Taken),
    ("client_encoding", "", Use::Taken),
    ("connect_timeout", "PGCONNECT_TIMEOUT", Use::Taken),
    ("dbname", "PGDATABASE", Use::Taken),
    ("fallback_application_name", "", Use::Taken),
    ("gssdelegation", "", Use::Refused),
    ("gssencmode", "PGGSSENCMODE", Use::Taken),
    ("gsslib", "", Use::Refused),
    ("host", "PGHOST", Use::Taken),
    ("hostaddr", "PGHOSTADDR", Use::Taken),
    ("keepalives", "", Use::Taken),
    ("keepalives_count", "", Use::Taken),
    ("keepalives_idle", "", Use::Taken),
    ("keepalives_interval", "", Use::Taken),
    ("krbsrvname", "", Use::Refused),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS", Use::Taken),
    ("max_protocol_version", "", Use::Refused),
    ("min_protocol_version", "PGMINPROTOCOLVERSION", Use::Refused),
    ("oauth_client_id", "", Use::Refused),
    ("oauth_client_secret", "", Use::Refused),
    ("oauth_issuer", "", Use::Refused),
    ("oauth_scope", "", Use::Refused),
    ("options", "PGOPTIONS", Use::Taken),
    ("passfile", "PGPASSFILE", Use::Taken),
    ("password", "PGPASSWORD", Use::Taken),
    ("port", "PGPORT", Use::Taken),
    ("replication", "", Use::Refused),
    ("require_auth", "PGREQUIREAUTH", Use::Refused),
    ("requirepeer", "PGREQUIREPEER", Use::Refused),
    ("scram_client_key", "", Use::Refused),
    ("scram_server_key", "", Use::Refused),
    ("service", "PGSERVICE", Use::Taken),
    ("servicefile", "PGSERVICEFILE", Use::Taken),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", Use::Taken),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", Use::Taken),
    ("sslcert", "PGSSLCERT", Use::Taken),
    ("sslcertmode", "PGSSLCERTMODE", Use::Taken),
    ("sslcompression", "", Use::Taken),
    ("sslcrl", "PGSSLCRL", Use::Refused),
    ("sslcrldir", "PGSSLCRLDIR", Use::Refused),
    ("sslkey", "PGSSLKEY", Use::Taken),
    ("sslkeylogfile", "", Use::Refused),
    ("sslmode", "PGSSLMODE", Use::Taken),
    ("sslnegotiation", "PGSSLNEGOTIATION", Use::Taken),
    ("sslpassword", "", Use::Refused),
    ("sslrootcert", "PGSSLROOTCERT", Use::Taken),
    ("sslsni", "PGSSLSNI", Use::Taken),
    ("target_session_attrs", "PGTARGETSESSIONATTRS", Use::Taken),
    ("tcp_user_timeout", "", Use::Taken),
    ("user", "PGUSER", Use::Taken),
];

/// An error in a connection string, about one keyword.
pub(super) fn problem(keyword: &str, words: &str) -> Error {
    Error::config(vec![format!("conninfo: {keyword}: {words}")])
}

/// An error in the syntax of a connection string.
pub(super) fn malformed(words: &str) -> Error {
    Error::config(vec![format!("conninfo: {words}")])
}

/// The keywords that are set, with their values as text.
#[derive(Default)]
pub(super) struct Settings(BTreeMap<&'static str, String>);

impl Settings {
    /// Sets `keyword`, or refuses it by name.
    pub(super) fn set(&mut self, keyword: &str, value: String) -> Result<()> {
        let known = KEYWORDS.iter().find(|(name, ..)| *name == keyword);
        match known {
            Some((name, _, Use::Taken)) => self.0.insert(name, value),
            Some((name, _, Use::Refused)) => return Err(refused(name)),
            None => return Err(unknown(keyword)),
        };
        Ok(())
    }

    /// As [`Settings::set`], unless a place with precedence has set the keyword already.
    pub(super) fn set_default(&mut self, keyword: &str, value: String) -> Result<()> {
        if self.0.contains_key(keyword) { Ok(()) } else { self.set(keyword, value) }
    }

    /// Fills what is not set from the `PG*` variables.
    pub(super) fn fill_from_environment(&mut self, env: &BTreeMap<String, String>) -> Result<()> {
        for (name, variable, _) in KEYWORDS.iter().filter(|(_, variable, _)| !variable.is_empty()) {
            if let Some(value) = env.get(*variable).filter(|value| !value.is_empty()) {
                self.set_default(name, value.clone())?;
            }
        }
        Ok(())
    }

    /// The value of `keyword`; an empty one counts as none, as for libpq.
    pub(super) fn get(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value as an owned string.
    pub(super) fn text(&self, keyword: &str) -> Option<String> {
        self.get(keyword).map(str::to_owned)
    }

    /// The elements of a comma-separated value; none if it is not set.
    pub(super) fn list(&self, keyword: &str) -> Vec<&str> {
        self.get(keyword).map(|value| value.split(',').map(str::trim).collect()).unwrap_or_default()
    }

    /// The value as a whole number.
    pub(super) fn integer(&self, keyword: &str) -> Result<Option<i64>> {
        let parse = |value: &str| value.trim().parse().map_err(|_| problem(keyword, "expected a whole number"));
        self.get(keyword).map(parse).transpose()
    }

    /// The value as a count greater than 0; in libpq 0 and less mean the system's default.
    pub(super) fn positive(&self, keyword: &str) -> Result<Option<u32>> {
        Ok(self.integer(keyword)?.filter(|n| *n > 0).map(|n| u32::try_from(n).unwrap_or(u32::MAX)))
    }

    /// The value as one of `choices`, the first of which is the default.
    pub(super) fn choice<T: Copy>(&self, keyword: &str, choices: &[(&str, T)]) -> Result<T> {
        let Some(value) = self.get(keyword) else { return Ok(choices[0].1) };
        choices.iter().find(|(text, _)| *text == value).map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(text, _)| *text).collect();
            problem(keyword, &format!("expected one of {}", names.join(", ")))
        })
    }
}

fn refused(keyword: &str) -> Error {
    let remedy = match keyword {
        "krbsrvname" | "gsslib" | "gssdelegation" => "GSSAPI is not supported: use a password or a client certificate",
        "sslpassword" => "name an unencrypted key file in sslkey",
        "replication" => "leave it out: an ordinary connection is needed",
        name if name.starts_with("oauth") => "OAuth is not supported: use a password or a client certificate",
        name if name.starts_with("scram") => "use the password instead",
        _ => "leave it out of the connection string, the service file and the environment",
    };
    problem(keyword, "not supported").remedy(remedy)
}

/// An unquoted blank in a password makes its rest look like a keyword, so only text that looks like a keyword is repeated.
fn unknown(keyword: &str) -> Error {
    let plain = keyword.len() < 32 && keyword.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let name = if plain { keyword } else { "(one)" };
    problem(name, "no such keyword").remedy("see the list of parameter key words in the documentation of libpq")
}
