//! Replaces the contents of a database by those of an archive: the database is emptied and filled in one transaction, so it has either the
//! old contents or those of the archive.
//!
//! `pg_restore` turns the archive into a script and `psql` runs it, both from the folder of `pg_dump`. This module passes the script from
//! one to the other: it sends the statements that empty the database before the script, and the COMMIT after it, the latter only after
//! `pg_restore` has succeeded. `pg_restore --clean` would keep objects that the archive does not have. A new database under the old name
//! would require more rights, lose the database's own privileges and slots, and leave a moment without a database. Called by
//! `engine::backup`.

use super::tool::{Tools, connect_by};
use super::tunnel::Tunnel;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::error::{Error, Kind, Result, ServerError, Side};
use crate::name::{ident, readable};
use crate::pg::pinned::Program;
use crate::pg::{Conninfo, Session};
use crate::server_version::ServerVersion;
use std::collections::HashSet;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long the statements that empty the database wait for a lock of another session.
const LOCK_TIMEOUT: &str = "60s";
/// The last setting at the head of every script.
const HEAD_ENDS: &str = "SET row_security = off;";
/// The classes of SQLSTATE whose messages name objects and settings, not values; for others only the code is shown.
const HARMLESS_CLASSES: [&str; 13] = ["08", "0A", "23", "28", "2B", "3D", "3F", "40", "42", "53", "54", "55", "57"];
const RIGHTS: &str = "restore as the owner of everything in the database, or as a superuser";

/// The text of the last line before the check.
const LOCKED: &str = "locked";

/// Decides, while all tables are locked, whether the database may be emptied.
pub type Check<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// A restore: the archive and the database.
pub struct ArchiveRestore<'a> {
    /// The client programs.
    pub tools: &'a Tools,
    /// The database.
    pub target: &'a Conninfo,
    /// A session on it, which inspects it, and ends the work if the work is cancelled.
    pub session: &'a Arc<Session>,
    /// The archive.
    pub path: &'a Path,
    /// Its table of contents, as `pg_restore -l` prints it.
    pub contents: &'a str,
    /// The same as values.
    pub entries: &'a [Entry],
}

/// Properties of the target that decide how it is emptied.
struct State {
    /// The extensions that stay.
    kept: Vec<String>,
    /// The schemas that these need.
    held: Vec<String>,
    has_public: bool,
    is_owner: bool,
}

impl ArchiveRestore<'_> {
    /// Restores the archive up to its COMMIT. If it or the check fails, or if its future or result is dropped, the database is unchanged.
    /// The check begins after all tables are locked against writers.
    pub async fn prepare(&self, check: Option<Check<'_>>) -> Result<Prepared> {
        let state = self.state().await?;
        let name = format!("pgmigrate restore {}", self.session.backend_pid());
        let guard = Guard { session: Some(Arc::clone(self.session)), name: name.clone() };
        let (mut psql, tunnel) = self.start_psql(&name)?;
        let said = drain(psql.stderr.take());
        match self.feed(&mut psql, &state, check).await {
            Ok((to, transaction)) => Ok(Prepared { psql, to, said, transaction, guard, _tunnel: tunnel }),
            Err(error) => {
                let reported = ended(&mut psql, said, guard).await?.1;
                // A broken pipe is the consequence of an error that psql has printed.
                Err(server_error(&reported).unwrap_or(error))
            }
        }
    }

    /// Inspects the target. Extensions that are installed and in the archive stay, because making them again may require a superuser.
    async fn state(&self) -> Result<State> {
        let row = self.session.query_one(include_str!("../../sql/restore/target.sql"), &[]).await?;
        let subscriptions: Vec<String> = row.get("subscriptions");
        if !subscriptions.is_empty() {
            let names: Vec<String> = subscriptions.iter().map(|name| readable(name)).collect();
            let doing =
                format!("the target has subscriptions, which cannot be dropped in a transaction: {}", names.join(", "));
            return Err(Error::new("target_subscriptions", Kind::Backup, doing)
                .remedy("drop them, each with its slot on the publisher, and restore again"));
        }
        let archived: HashSet<&str> =
            self.entries.iter().filter(|e| e.kind == ObjectKind::Extension).map(|e| e.tag.as_str()).collect();
        let mut kept: Vec<String> = row.get("extensions");
        // An archive never contains plpgsql, which every new database has.
        kept.retain(|name| archived.contains(name.as_str()) || name == "plpgsql");
        let held = self.session.query(include_str!("../../sql/restore/held_schemas.sql"), &[&kept]).await?;
        Ok(State {
            kept,
            held: held.iter().map(|row| row.get(0)).collect(),
            has_public: row.get("has_public"),
            is_owner: row.get("is_owner"),
        })
    }

    async fn statements_before(&self, state: &State) -> Result<String> {
        let mut sql = String::new();
        for row in self.session.query(include_str!("../../sql/restore/drop.sql"), &[&state.kept, &state.held]).await? {
            sql.extend([row.get::<_, &str>(0), ";\n"]);
        }
        if !state.has_public && self.entries.iter().any(|entry| entry.namespace == "public") {
            sql += "CREATE SCHEMA public;\n";
        }
        if state.is_owner {
            sql.extend(
                self.entries
                    .iter()
                    .filter(|e| e.kind == ObjectKind::DatabaseProperties)
                    .map(|e| format!("{}\n", e.statement)),
            );
        }
        Ok(sql)
    }

    /// The lines of the table of contents to restore: all except those of objects that stay.
    fn list(&self, state: &State) -> String {
        let tags: HashSet<String> =
            state.kept.iter().map(|name| format!("EXTENSION {}", plain_or_quoted(name))).collect();
        let stays = |entry: &&Entry| match &entry.kind {
            ObjectKind::Extension => state.kept.contains(&entry.tag),
            ObjectKind::Schema => state.held.contains(&entry.tag) && entry.tag != "public",
            ObjectKind::Comment => tags.contains(&entry.tag),
            _ => false,
        };
        let left_out: HashSet<String> = self.entries.iter().filter(stays).map(|entry| entry.id.to_string()).collect();
        let is_in = |line: &&str| line.split_once(';').is_none_or(|(id, _)| !left_out.contains(id));
        self.contents.lines().filter(is_in).flat_map(|line| [line, "\n"]).collect()
    }

    fn start_psql(&self, application: &str) -> Result<(Child, Option<Tunnel>)> {
        let mut command = Command::new(self.tools.pg_dump.with_file_name("psql"));
        command.args([
            "-X",
            "-q",
            "--no-password",
            "-v",
            "ON_ERROR_STOP=1",
            "-v",
            "VERBOSITY=verbose",
            "-v",
            "SHOW_CONTEXT=never",
        ]);
        command.args(["-o", "/dev/null", "-f", "-"]);
        let tunnel = connect_by(&mut command, self.target, Program::Psql)?;
        command.env("PGAPPNAME", application);
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.stdout(Stdio::piped());
        let child = command.spawn().map_err(|e| {
            failed()
                .caused_by(format!("psql: {e}"))
                .remedy("install psql in the folder of pg_dump: pip install 'pgmigrate[pgtools]' installs both")
        })?;
        Ok((child, tunnel))
    }

    /// Sends the whole transaction to psql except its COMMIT, without which the end of the input rolls it back; returns the input and the
    /// transaction's number.
    async fn feed(&self, psql: &mut Child, state: &State, check: Option<Check<'_>>) -> Result<(ChildStdin, i64)> {
        let Some(mut to) = psql.stdin.take() else { return Err(failed()) };
        let begin = format!(
            "BEGIN READ WRITE;\nSET LOCAL lock_timeout = '{LOCK_TIMEOUT}';\nSET client_min_messages = 'warning';\n\
             SELECT pg_catalog.txid_current() AS transaction \\gset\n\\echo :transaction\n"
        );
        to.write_all(begin.as_bytes()).await.map_err(|e| failed().caused_by(e))?;
        let Some(mut said) = psql.stdout.take().map(BufReader::new) else { return Err(failed()) };
        let transaction = line(&mut said).await?.parse().map_err(|e| failed().caused_by(e))?;
        if let Some(check) = check {
            self.lock(&mut to, &mut said).await?;
            check.await?;
        }
        // From here on nothing else reads the output of psql; a full pipe would block it.
        tokio::spawn(async move { said.read_to_end(&mut Vec::new()).await });
        // Only now: if there is no check, objects that were made meanwhile are to be dropped, too.
        let before = self.statements_before(state).await?;
        to.write_all(before.as_bytes()).await.map_err(|e| failed().caused_by(e))?;
        let mut script = self.start_pg_restore(&self.list(state)).await?;
        let said = drain(script.stderr.take());
        let Some(from) = script.stdout.take() else { return Err(failed()) };
        pump(BufReader::with_capacity(1 << 17, from), &mut to, self.session.version())
            .await
            .map_err(|e| failed().caused_by(e))?;
        let ended = script.wait().await.map_err(|e| failed().caused_by(e))?;
        if !ended.success() {
            let said = said.await.unwrap_or_default();
            return Err(failed().caused_by(
                said.lines().find(|line| line.contains("error:")).unwrap_or("pg_restore ended early").to_owned(),
            ));
        }
        Ok((to, transaction))
    }

    /// Locks all tables within the transaction, and waits until it has the locks.
    async fn lock(&self, to: &mut ChildStdin, said: &mut BufReader<ChildStdout>) -> Result<()> {
        let row = self.session.query_one(include_str!("../../sql/restore/lock.sql"), &[]).await?;
        let lock = row.get::<_, Option<String>>("statement").map(|sql| sql + ";\n").unwrap_or_default();
        let statements = format!("{lock}\\echo {LOCKED}\n");
        to.write_all(statements.as_bytes()).await.map_err(|e| failed().caused_by(e))?;
        if line(said).await? == LOCKED { Ok(()) } else { Err(failed().caused_by("the tables could not be locked")) }
    }

    async fn start_pg_restore(&self, list: &str) -> Result<Child> {
        let mut command = Command::new(self.tools.pg_restore());
        command.args(["-f", "-", "-L", "/dev/stdin"]).arg(self.path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|e| failed().caused_by(format!("pg_restore: {e}")))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(list.as_bytes()).await.map_err(|e| failed().caused_by(e))?;
        }
        Ok(child)
    }
}

/// An archive that is restored except for the COMMIT.
pub struct Prepared {
    psql: Child,
    to: ChildStdin,
    said: tokio::task::JoinHandle<String>,
    /// The number of its transaction.
    transaction: i64,
    guard: Guard,
    _tunnel: Option<Tunnel>,
}

/// The outcome of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Committed,
    RolledBack,
    /// The server could not be queried, or no longer knows.
    Unknown,
}

impl Prepared {
    /// Sends the COMMIT and waits for its outcome; the future may not be dropped. If the answer is lost or late, the server is queried.
    /// After the future of `asked_to_stop` ends, this takes at most a few more seconds.
    pub async fn commit<F: Future<Output = ()>>(self, target: &Conninfo, asked_to_stop: impl Fn() -> F) -> Result<()> {
        let Prepared { mut psql, mut to, said, transaction, mut guard, _tunnel } = self;
        let sent_and_ended = async {
            let sent = async {
                to.write_all(b"\nCOMMIT;\n").await?;
                to.shutdown().await
            };
            let is_sent = sent.await.is_ok();
            drop(to);
            psql.wait().await.is_ok_and(|ended| ended.success()) && is_sent
        };
        let answer = tokio::select! {
            biased;
            is_success = sent_and_ended => Some(is_success),
            () = patience(COMMIT_ANSWERED_WITHIN, asked_to_stop()) => None,
        };
        // From here on the server's process must not be terminated, because it may be committing.
        guard.session = None;
        if answer == Some(true) {
            return Ok(());
        }
        if answer.is_none() {
            // psql was needed only for its answer.
            let _ = psql.kill().await;
        }
        let ended = if answer.is_none() { "psql had no answer in time" } else { "psql ended early" };
        let error = server_error(&said.await.unwrap_or_default()).unwrap_or_else(|| failed().caused_by(ended));
        let fate = tokio::select! {
            biased;
            fate = fate(target, transaction) => fate,
            () = patience(FATE_KNOWN_WITHIN, asked_to_stop()) => Fate::Unknown,
        };
        match fate {
            Fate::Committed => {
                tracing::warn!("the answer to the COMMIT of the restore was lost; the server says that it is done");
                Ok(())
            }
            Fate::RolledBack => Err(rolled_back(error)),
            Fate::Unknown => Err(unknown(transaction).caused_by(error)),
        }
    }
}

/// How long a COMMIT may take; it may have to wait for a standby.
const COMMIT_ANSWERED_WITHIN: Duration = Duration::from_secs(600);
/// How long to wait for an answer after a stop request.
const GRACE: Duration = Duration::from_secs(2);
/// How long one query may take: a host that is down does not refuse a connection.
const QUESTION_ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// Ends when there is no more time to wait for an answer.
async fn patience(longest: Duration, asked_to_stop: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = asked_to_stop => tokio::time::sleep(GRACE).await,
        () = tokio::time::sleep(longest) => {}
    }
}

/// How long the server may take to report the outcome of a transaction.
const FATE_KNOWN_WITHIN: Duration = Duration::from_secs(60);
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(200);

/// Queries the outcome of a transaction on a session of its own; repeatedly, because the server may be restarting.
async fn fate(target: &Conninfo, transaction: i64) -> Fate {
    let began = Instant::now();
    while began.elapsed() < FATE_KNOWN_WITHIN {
        let asked = async {
            let session = Session::open(target, Side::Target, "restore").await?;
            let row = session.query_one("SELECT pg_catalog.txid_status($1)", &[&transaction]).await?;
            Ok::<Option<String>, Error>(row.get(0))
        };
        let Ok(answer) = tokio::time::timeout(QUESTION_ANSWERED_WITHIN, asked).await else { continue };
        match answer.as_ref().map(Option::as_deref) {
            Ok(Some("committed")) => return Fate::Committed,
            Ok(Some("aborted")) => return Fate::RolledBack,
            Ok(Some(_)) => {}
            Err(error) if error.is_retryable() => tracing::debug!("{}", error.chain()),
            Ok(None) | Err(_) => return Fate::Unknown,
        }
        tokio::time::sleep(BETWEEN_QUESTIONS).await;
    }
    Fate::Unknown
}

fn rolled_back(mut error: Error) -> Error {
    error.doing = "restoring the backup failed, and the target is as it was before".into();
    error
}

fn unknown(transaction: i64) -> Error {
    let doing = "the connection was lost during the COMMIT of the restore: the target is either restored or unchanged";
    Error::new("restore_outcome_unknown", Kind::Backup, doing).on(Side::Target).remedy(format!(
        "when the target answers again, run SELECT txid_status({transaction}): committed means that it is restored"
    ))
}

/// Waits for the end of psql; returns whether it succeeded, and its messages.
async fn ended(psql: &mut Child, said: tokio::task::JoinHandle<String>, mut guard: Guard) -> Result<(bool, String)> {
    let ended = psql.wait().await.map_err(|e| failed().caused_by(e))?;
    guard.session = None;
    Ok((ended.success(), said.await.unwrap_or_default()))
}

/// The next line that psql prints.
async fn line(said: &mut BufReader<ChildStdout>) -> Result<String> {
    let mut line = String::new();
    said.read_line(&mut line).await.map_err(|e| failed().caused_by(e))?;
    Ok(line.trim_end().to_owned())
}

/// The name as `pg_dump` writes it in a tag.
fn plain_or_quoted(name: &str) -> String {
    if readable(name) == name { name.to_owned() } else { ident(name) }
}

/// Passes the script on without two settings in its head: one that an older server does not know, and the one that would end the lock
/// timeout.
async fn pump(mut from: BufReader<ChildStdout>, to: &mut ChildStdin, version: ServerVersion) -> std::io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if from.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        let is_unknown = !version.has_transaction_timeout() && text.starts_with("SET transaction_timeout = ");
        let is_unwanted = is_unknown || text.starts_with("SET lock_timeout = ");
        if !is_unwanted {
            to.write_all(&line).await?;
        }
        if text.starts_with(HEAD_ENDS) {
            break;
        }
    }
    tokio::io::copy_buf(&mut from, to).await.map(|_| ())
}

/// Reads a program's output concurrently with all else, because a full pipe would block the program.
fn drain(said: Option<tokio::process::ChildStderr>) -> tokio::task::JoinHandle<String> {
    tokio::spawn(async move {
        let mut text = Vec::new();
        if let Some(mut said) = said {
            // On a failure, the text read so far is returned.
            let _ = said.read_to_end(&mut text).await;
        }
        String::from_utf8_lossy(&text).into_owned()
    })
}

fn failed() -> Error {
    Error::new("restore_failed", Kind::Backup, "restoring the backup")
}

/// The last message of psql, which ends the script. In its verbose form the SQLSTATE follows the severity, a word in the server's own
/// language.
fn server_error(said: &str) -> Option<Error> {
    let (sqlstate, message) = said.lines().rev().find_map(|line| {
        let (_, message) = line.strip_prefix("psql:")?.split_once(":  ")?;
        let is_code =
            |code: &str| code.len() == 5 && code.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
        message.split_once(": ").filter(|(code, _)| is_code(code))
    })?;
    let is_harmless = HARMLESS_CLASSES.iter().any(|class| sqlstate.starts_with(class));
    let message =
        if is_harmless { message.to_owned() } else { "the server refused a statement of the backup".to_owned() };
    let remedy = match sqlstate {
        "55P03" => "end the other sessions on the target, which hold locks, and restore again",
        "53200" => "raise max_locks_per_transaction on the target and restart it, then restore again",
        "42501" => RIGHTS,
        _ => "see the message; a new, empty database can take the archive with pg_restore -d",
    };
    let sqlstate = sqlstate.to_owned();
    let reply = ServerError { sqlstate, message, object: None, column: None, constraint: None, function: None };
    Some(failed().caused_by_server(reply).remedy(remedy))
}

/// Ends psql's session when the work is cancelled: psql itself is killed then, and its server process would finish its statement first.
struct Guard {
    session: Option<Arc<Session>>,
    name: String,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (Some(session), Ok(runtime)) = (self.session.take(), tokio::runtime::Handle::try_current()) else { return };
        let name = std::mem::take(&mut self.name);
        runtime.spawn(async move { session.query(include_str!("../../sql/restore/terminate.sql"), &[&name]).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_reported_without_what_may_quote_a_row() {
        let said = "psql:<stdin>:3: WARNING:  01000: x\npsql:<stdin>:9: ERROR:  22P02: invalid input syntax for type integer: \"secret\"\n";
        let error = server_error(said).expect("an error");
        assert_eq!(error.sqlstate.as_deref(), Some("22P02"));
        let said = "psql:<stdin>:1: FEHLER:  42P07: Relation existiert bereits\n";
        assert_eq!(server_error(said).expect("an error").sqlstate.as_deref(), Some("42P07"));
        assert!(!error.chain().contains("secret"), "{}", error.chain());
        let error =
            server_error("psql:<stdin>:1: ERROR:  42501: must be owner of table t\nLOCATION: x").expect("an error");
        assert!(error.chain().ends_with("must be owner of table t (SQLSTATE 42501)"));
        assert_eq!(error.remedy.as_deref(), Some(RIGHTS));
        assert!(server_error("psql: error: no such file").is_none());
    }
}
