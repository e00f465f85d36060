//! One session on one of the two databases: statements in, rows or errors out.
//!
//! A session has its settings pinned from the start (see `connect`), so that every server writes values in the same way. It does not retry
//! and does not interpret its statements. All adapters of this layer use it.

use super::conninfo::Conninfo;
use super::notice::{Warning, Warnings};
use super::{reply, scrub};
use crate::error::{Error, Kind, Result, ServerError, Side};
use crate::pg::connection::cancel::Owner;
pub use crate::pg::connection::cancel::{Canceller, closed};
use crate::pg::connection::connect;
use crate::pg::connection::gate::{Gate, HeldStream};
use crate::server_version::ServerVersion;
use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, CopyInSink, CopyOutStream, Row, SimpleQueryMessage};

/// An open session. Dropping it closes the connection; a statement that still runs then is cancelled.
pub struct Session {
    client: Client,
    canceller: Canceller,
    _owner: Owner,
    warnings: Warnings,
    gate: Gate,
    copy_encoding: Option<String>,
    conninfo: Conninfo,
    side: Side,
    version: ServerVersion,
    backend_pid: i32,
}

impl Session {
    /// Connects, and pins the settings. `purpose` follows the program's name in `application_name`.
    ///
    /// A server that cannot be reached or refuses the login is a [`Kind::Connect`] error with its remedy; a certificate
    /// file that cannot be read is a [`Kind::Config`] error.
    pub async fn open(conninfo: &Conninfo, side: Side, purpose: &str) -> Result<Session> {
        let connected = Box::pin(connect::connect(conninfo, side, &application_name(purpose))).await?;
        Ok(Session {
            client: connected.client,
            canceller: connected.canceller,
            _owner: connected.owner,
            warnings: connected.warnings,
            gate: connected.gate,
            copy_encoding: None,
            conninfo: connected.conninfo,
            side,
            version: connected.version,
            backend_pid: connected.backend_pid,
        })
    }

    /// The database it is on.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }

    /// The connection string of this session, with only the host that answered: further sessions opened with it reach the same one.
    #[must_use]
    pub fn conninfo(&self) -> &Conninfo {
        &self.conninfo
    }

    /// The server's version.
    #[must_use]
    pub fn version(&self) -> ServerVersion {
        self.version
    }

    /// The server's major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.version.major()
    }

    /// The process that serves this session.
    #[must_use]
    pub fn backend_pid(&self) -> i32 {
        self.backend_pid
    }

    /// Whether the connection is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Takes the warnings that the server has sent since they were last taken.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<Warning> {
        self.warnings.take()
    }

    /// Forgets the warnings of earlier statements.
    pub fn forget_warnings(&self) {
        drop(self.warnings.take());
    }

    /// The object that cancels the running statement, from any thread.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Runs one statement; returns the number of rows that it wrote.
    pub async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        self.client.execute(sql, params).await.map_err(|error| self.failed(&error, sql))
    }

    /// Runs one query; returns all of its rows.
    pub async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        self.client.query(sql, params).await.map_err(|error| self.failed(&error, sql))
    }

    /// Runs one query without parameters and passes its rows on one by one, so that memory holds only one of them.
    pub async fn each(&self, sql: &str, mut take: impl FnMut(&Row)) -> Result<()> {
        let none: [&str; 0] = [];
        let rows = self.client.query_raw(sql, none).await.map_err(|error| self.failed(&error, sql))?;
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = rows.try_next().await.map_err(|error| self.failed(&error, sql))? {
            take(&row);
        }
        Ok(())
    }

    /// As [`Session::each`], with parameters that are text or NULL.
    pub async fn each_of(&self, sql: &str, params: &[Option<&str>], mut take: impl FnMut(&Row)) -> Result<()> {
        let rows = self.client.query_raw(sql, params).await.map_err(|error| self.failed(&error, sql))?;
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = rows.try_next().await.map_err(|error| self.failed(&error, sql))? {
            take(&row);
        }
        Ok(())
    }

    /// Runs a query that returns exactly one row.
    pub async fn query_one(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row> {
        self.client.query_one(sql, params).await.map_err(|error| self.failed(&error, sql))
    }

    /// Runs a query that returns one row or none.
    pub async fn query_opt(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Option<Row>> {
        self.client.query_opt(sql, params).await.map_err(|error| self.failed(&error, sql))
    }

    /// Runs statements by the simple protocol, all in one transaction unless they say otherwise.
    pub async fn batch(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|error| self.failed(&error, sql))
    }

    /// The client, for code that sends statements before the answers to earlier ones.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// As [`Session::batch`], and returns the rows of all the statements, their values as text.
    pub async fn simple(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let messages = self.client.simple_query(sql).await.map_err(|error| self.failed(&error, sql))?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Starts `COPY ... TO STDOUT`. Cancel before dropping the stream early, because otherwise the remaining rows are read and discarded.
    pub async fn copy_out(&self, sql: &str) -> Result<CopyOutStream> {
        self.client.copy_out(sql).await.map_err(|error| self.error(&error, Kind::Copy, "starting to copy rows out"))
    }

    /// Starts `COPY ... FROM STDIN`. A sink that is dropped before its `finish` makes the statement fail.
    pub async fn copy_in(&self, sql: &str) -> Result<CopyInSink<Bytes>> {
        self.client.copy_in(sql).await.map_err(|error| self.error(&error, Kind::Copy, "starting to copy rows in"))
    }

    /// Takes the stream for raw frames, with nothing of earlier statements left on it: the answer to an empty statement follows the answers
    /// to everything that tokio-postgres has sent by itself, such as the closing of prepared statements.
    pub(super) async fn hold(&self) -> Result<HeldStream> {
        self.batch("").await?;
        let lost =
            || Error::new("connection_lost", Kind::Connect, "using a session whose connection is closed").on(self.side);
        self.gate.hold().ok_or_else(lost)
    }

    /// Sets `encoding` for the rows of the pump's COPY. Statements stay in UTF8, as the whole crate writes them.
    pub fn set_copy_encoding(&mut self, encoding: Option<String>) {
        self.copy_encoding = encoding;
    }

    pub(super) fn copy_encoding(&self) -> Option<&str> {
        self.copy_encoding.as_deref()
    }

    /// The crate's error for what tokio-postgres reports of this session; `doing` says what failed.
    #[must_use]
    pub fn error(&self, error: &tokio_postgres::Error, kind: Kind, doing: &str) -> Error {
        let error = reply::from_postgres(error, kind, doing).on(self.side);
        let Some(reply) = error.server().cloned() else { return error };
        match scrub::scrub(&reply.message, &self.conninfo.secrets) {
            Some(message) => error.caused_by_server(ServerError { message, ..reply }),
            None => error,
        }
    }

    fn failed(&self, error: &tokio_postgres::Error, sql: &str) -> Error {
        self.error(error, Kind::Schema, &format!("running {}", command(sql)))
    }
}

fn application_name(purpose: &str) -> String {
    format!("pgmigrate {purpose}")
}

/// The command with which `sql` begins. The rest is not shown, because it may contain a role's password or a value.
fn command(sql: &str) -> String {
    let is_keyword = |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
    let words: Vec<&str> = sql.split([' ', '\n', ';', '(']).skip_while(|word| word.is_empty()).take(2).collect();
    let keywords: Vec<&str> = words.into_iter().take_while(is_keyword).collect();
    if keywords.is_empty() { "a statement".into() } else { keywords.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_command_of_a_statement_is_shown() {
        assert_eq!(command("ALTER ROLE joe PASSWORD 'x'"), "ALTER ROLE");
        assert_eq!(command("SELECT 'secret'"), "SELECT");
        assert_eq!(command("\nCREATE TABLE t ()"), "CREATE TABLE");
        assert_eq!(command("select 1"), "a statement");
    }

    #[test]
    fn a_session_moves_between_threads() {
        fn is_shared<T: Send + Sync>() {}
        is_shared::<Session>();
        is_shared::<Canceller>();
    }
}
