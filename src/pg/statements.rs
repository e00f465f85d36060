//! Statements one by one: what each of them came to, where one that fails must not take the others with it.
//!
//! Every statement runs within a savepoint of the transaction that is open. What a refusal or a warning means the engine decides.

use super::Session;
use super::notice::Warning;
use crate::error::{Error, Result};
use std::fmt;

/// What came of a statement.
#[derive(Debug)]
pub enum Effect {
    /// It did what it says, as far as the server reports.
    Done,
    /// It ran, and the server warned.
    Warned(Vec<Warning>),
    /// It was refused and undone.
    Refused(Error),
}

/// A statement and what came of it.
#[derive(Debug)]
pub struct Applied<'a> {
    /// The statement, or several that only make sense together.
    pub sql: &'a str,
    /// What came of it.
    pub effect: Effect,
}

impl Applied<'_> {
    /// Whether there is nothing to report.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.effect, Effect::Done)
    }

    /// The server's code, where it refused or warned.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match &self.effect {
            Effect::Done => None,
            Effect::Warned(warnings) => warnings.first().map(|warning| warning.reply.sqlstate.as_str()),
            Effect::Refused(error) => error.sqlstate.as_deref(),
        }
    }
}

/// The words of the server, and the statement that they are about.
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

/// Runs the statements in their order; an error that another attempt may not meet ends them.
pub async fn each<'a>(session: &Session, statements: &[&'a str]) -> Result<Vec<Applied<'a>>> {
    // In a message of its own: one with a statement that cannot be parsed does nothing at all.
    session.batch("SAVEPOINT pgmigrate_each").await?;
    session.forget_warnings();
    let mut all = Vec::with_capacity(statements.len());
    for sql in statements {
        // The semicolon stands on a line of its own, because a statement may end in a comment.
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
