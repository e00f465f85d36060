//! Why a server could not be reached or refused the login, and the remedy.
//!
//! It reads SQLSTATEs and the types of errors. Only the two kinds that tokio-postgres keeps private are recognized by their text, which no
//! server can influence. Called by `connect`.

use crate::pg::conninfo::Conninfo;
use rustls::CertificateError;
use std::error::Error as _;
use std::io;
use tokio_postgres::Error;

/// What to do about a server that does not answer.
pub const UNREACHABLE: &str =
    "check host and port, that the server runs and listens there (listen_addresses), and the firewalls in between";

/// The remedy for `error`, if one is known.
pub fn remedy(error: &Error, conninfo: &Conninfo) -> Option<String> {
    let words = match error.code() {
        Some(state) => by_state(state.code(), conninfo)?,
        None if is_password_missing(error) => {
            "the server requires a password: set it in the conninfo, in PGPASSWORD or in ~/.pgpass".into()
        }
        None if is_about_tls(error) => about_tls(error, conninfo),
        None => io_cause(error).map(by_io_error)?.into(),
    };
    Some(words)
}

fn by_state(sqlstate: &str, conninfo: &Conninfo) -> Option<String> {
    let (user, dbname) = (conninfo.user(), conninfo.dbname());
    Some(match sqlstate {
        "28P01" => format!("check the password of role {user:?}: conninfo, PGPASSWORD, ~/.pgpass, in this order"),
        "28000" => {
            format!("check that role {user:?} exists and may log in, and the server's pg_hba.conf for this host")
        }
        "3D000" => format!("create database {dbname:?} first, or name another one in dbname"),
        "42501" => format!(
            "for a database that may not be connected to: GRANT CONNECT ON DATABASE {dbname:?} TO {user:?}; for a setting that may \
             not be set: give it its default by ALTER ROLE or ALTER DATABASE ... RESET, or from 15 on \
             GRANT SET ON PARAMETER ... TO {user:?}"
        ),
        "53300" => "lower the number of jobs, close other sessions, or raise max_connections".into(),
        "57P03" => "wait until the server has started".into(),
        // Connection poolers accept no startup options, and reuse sessions with their settings for other clients.
        "08P01" => "connect to the server itself and not through a connection pooler".into(),
        _ => return None,
    })
}

/// What to do about a socket that cannot be opened.
pub fn by_io_error(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "no Unix socket there: check that the server runs, or use host=... for TCP",
        io::ErrorKind::PermissionDenied => "the Unix socket may not be opened by this operating system user",
        _ => UNREACHABLE,
    }
}

fn about_tls(error: &Error, conninfo: &Conninfo) -> String {
    let words = match rustls_cause(error) {
        Some(rustls::Error::InvalidCertificate(problem)) => about_certificate(problem),
        Some(_) => "check that the server accepts TLS 1.2 or 1.3, and the client certificate if it requests one",
        None if conninfo.ssl.direct => "sslnegotiation=direct needs PostgreSQL 17 or newer: leave it out",
        None if io_cause(error).is_some() => "the server ended the handshake: see its log",
        None => "the server offers no TLS: turn its setting ssl on, or use sslmode=prefer if the network is trusted",
    };
    words.to_owned()
}

fn about_certificate(problem: &CertificateError) -> &'static str {
    use CertificateError as Cert;
    match problem {
        Cert::UnknownIssuer => "name the file with the certificate of the server's authority in sslrootcert",
        Cert::NotValidForName | Cert::NotValidForNameContext { .. } => {
            "the certificate's subjectAltName must have the host as the conninfo writes it; \
             sslmode=verify-ca does without that check"
        }
        Cert::Expired | Cert::ExpiredContext { .. } => "the server's certificate has expired: renew it",
        Cert::Other(_) => {
            "create a server certificate of X.509 version 3 with a subjectAltName, or put this very certificate into \
             sslrootcert"
        }
        _ => "the server's certificate cannot be trusted: check it and sslrootcert",
    }
}

/// Whether the server wanted a password and there was none to send.
pub fn is_password_missing(error: &Error) -> bool {
    error.to_string() == "invalid configuration"
}

/// In TLS 1.3 the server checks the client's certificate after the handshake, so its alert arrives as an I/O error.
fn is_about_tls(error: &Error) -> bool {
    error.to_string() == "error performing TLS handshake" || rustls_cause(error).is_some()
}

/// Whether the same server may accept the login with TLS if it did not without it, or vice versa.
pub fn may_differ_with_tls(error: &Error) -> bool {
    error.code().map_or_else(|| is_about_tls(error), |state| state.code() == "28000")
}

fn io_cause(error: &Error) -> Option<&io::Error> {
    error.source()?.downcast_ref::<io::Error>()
}

fn rustls_cause(error: &Error) -> Option<&rustls::Error> {
    io_cause(error)?.get_ref()?.downcast_ref::<rustls::Error>()
}
