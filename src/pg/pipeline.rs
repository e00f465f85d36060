//! Messages that are sent before the answers to earlier ones have arrived, so that many of them need only one round trip on a slow link.
//!
//! The server executes them one by one, in the order in which they were sent; a message without BEGIN is one transaction, and its failure
//! undoes only that message (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SIMPLE-QUERY>). The engine decides
//! what the messages are for, and what follows from an answer.

use super::Session;
use crate::error::{Error, Kind, Result};
use crate::name::literal;
use futures_util::TryStreamExt;
use std::pin::Pin;
use tokio_postgres::SimpleQueryStream;

/// The answer to one message, which may not have arrived yet.
pub struct Answer {
    stream: Pin<Box<SimpleQueryStream>>,
}

/// What one transaction does.
#[derive(Debug, Clone, Copy)]
pub struct Transaction<'a> {
    /// Shown in `application_name`.
    pub purpose: &'a str,
    /// The statements that have to succeed.
    pub sql: &'a str,
    /// Statements that the server may refuse; empty where there are none.
    pub optional_sql: &'a str,
    /// The statement that records the effect.
    pub record: &'a str,
}

/// The outcome of a transaction.
#[derive(Debug)]
pub enum Reply {
    /// It is committed; with the server's refusal of the optional statements, if there was one.
    Committed(Option<Error>),
    /// It is undone, and the session can go on.
    Undone(Error),
}

impl Transaction<'_> {
    /// The messages that make the transaction. With an optional part they are four, and each is correct for any outcome of the one before
    /// it: the record is written only if the savepoint after the effect exists, and COMMIT also ends a failed transaction. The transaction
    /// itself and not a subtransaction writes the record, so that its xmin is the transaction of the effect.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        const POINT: &str = "pgmigrate_optional";
        let name = literal(&format!("pgmigrate {}", self.purpose));
        // Statements are on lines of their own, because one may end in a comment.
        let effect = format!("SET LOCAL application_name = {name};\n{}\n;\n", self.sql);
        if self.optional_sql.is_empty() {
            return vec![format!("{effect}{}", self.record)];
        }
        vec![
            format!("BEGIN; {effect}SAVEPOINT {POINT}"),
            format!("{}\n;\nRELEASE {POINT}; SAVEPOINT {POINT}", self.optional_sql),
            format!("ROLLBACK TO {POINT}; RELEASE {POINT}; {}", self.record),
            "COMMIT".into(),
        ]
    }
}

/// Waits for the answers to a transaction's messages; an error where the session is lost.
pub async fn reply(session: &Session, answers: &mut [Answer]) -> Result<Reply> {
    let mut results = Vec::with_capacity(answers.len());
    for answer in answers {
        match answer.wait(session).await {
            Err(error) if is_lost(&error) => return Err(error),
            result => results.push(result.err()),
        }
    }
    // The error of the effect is the first; all later messages fail as a consequence, with errors that have no information.
    let refused = if results.len() > 1 && results[0].is_none() { results.remove(1) } else { None };
    Ok(results.into_iter().flatten().next().map_or(Reply::Committed(refused), Reply::Undone))
}

/// Whether an error is the end of its session.
fn is_lost(error: &Error) -> bool {
    match error.sqlstate.as_deref() {
        Some(code) => code.starts_with("08") || code.starts_with("57P"),
        None => true,
    }
}

impl Session {
    /// Sends statements by the simple protocol and does not wait for their answer. Messages are sent in the order of the calls.
    pub async fn send(&self, sql: &str) -> Result<Answer> {
        // The message is queued when this returns; only the stream waits for the server.
        let stream = self.client().simple_query_raw(sql).await.map_err(|error| failed(self, &error))?;
        Ok(Answer { stream: Box::pin(stream) })
    }
}

impl Answer {
    /// Waits for the answer: whether all statements of the message succeeded.
    pub async fn wait(&mut self, session: &Session) -> Result<()> {
        while self.stream.try_next().await.map_err(|error| failed(session, &error))?.is_some() {}
        Ok(())
    }
}

fn failed(session: &Session, error: &tokio_postgres::Error) -> Error {
    session.error(error, Kind::Schema, "running a statement")
}
