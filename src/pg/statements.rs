//! Statements one by one, with the outcome of each, so that the failure of one does not undo the others.
//!
//! Every statement runs within a savepoint of the open transaction. The engine decides what a refusal or a warning means.

use super::Session;
use super::notice::Warning;
use crate::error::{Error, Result};
use std::fmt;

/// The outcome of a statement.
#[derive(Debug)]
pub enum Effect {
    /// It succeeded, as far as the server reports.
    Done,
    /// It was executed with warnings.
    Warned(Vec<Warning>),
    /// It was refused and undone.
    Refused(Error),
}

/// A statement and its outcome.
#[derive(Debug)]
pub struct Applied<'a> {
    /// The statement, or several that belong together.
    pub sql: &'a str,
    /// Its outcome.
    pub effect: Effect,
}

impl Applied<'_> {
    /// Whether there is nothing to report.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.effect, Effect::Done)
    }

    /// The server's code, if it refused or warned.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match &self.effect {
            Effect::Done => None,
            Effect::Warned(warnings) => warnings.first().map(|warning| warning.reply.sqlstate.as_str()),
            Effect::Refused(error) => error.sqlstate.as_deref(),
        }
    }
}

/// The server's message, and the statement that it is about.
impl fmt::Display for Applied<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.effect {
            Effect::Done => {}
            Effect::Warned(warnings) => {
                let words: Vec<String> = warnings.iter().map(ToString::to_string).collect();
                write!(f, "{}", words.join(", "))?;
            }
            Effect::Refused(error) => match error.server() {
                Some(reply) => write!(f, "{reply}")?,
                None => write!(f, "{}", error.chain())?,
            },
        }
        write!(f, " [{}]", self.sql)
    }
}

/// Runs the statements in their order; stops at an error that another attempt may not meet.
pub async fn each<'a>(session: &Session, statements: &[&'a str]) -> Result<Vec<Applied<'a>>> {
    // In a message of its own, because the server executes nothing of a message with a statement that it cannot parse.
    session.batch("SAVEPOINT pgmigrate_each").await?;
    session.forget_warnings();
    let mut all = Vec::with_capacity(statements.len());
    for sql in statements {
        // The semicolon is on a line of its own, because a statement may end in a comment.
        let and_next = format!("{sql}\n;RELEASE SAVEPOINT pgmigrate_each; SAVEPOINT pgmigrate_each");
        let effect = match session.batch(&and_next).await {
            Ok(()) => match session.take_warnings() {
                warnings if warnings.is_empty() => Effect::Done,
                warnings => Effect::Warned(warnings),
            },
            Err(error) if error.sqlstate.is_some() && !error.is_retryable() => {
                session.batch("ROLLBACK TO SAVEPOINT pgmigrate_each").await?;
                Effect::Refused(error)
            }
            Err(error) => return Err(error),
        };
        all.push(Applied { sql, effect });
    }
    session.batch("RELEASE SAVEPOINT pgmigrate_each").await?;
    Ok(all)
}
