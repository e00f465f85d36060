//! Warnings: messages of a server about a statement that it executed.
//!
//! A GRANT of a role that may not grant succeeds with SQLSTATE 01007 and grants nothing, so success alone is no proof
//! (<https://www.postgresql.org/docs/current/sql-grant.html>). `cancel` collects the warnings of a connection in the order in which they
//! arrive, which is before the end of their statement; `Session::take_warnings` returns them.

use super::reply::{self, is_raised_by_function};
use crate::error::ServerError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_postgres::error::{DbError, Severity};

/// The number of warnings that are kept until they are taken. A statement over many rows can cause one for each.
const KEPT: usize = 100;

/// A warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Its code and text, without what could show a row.
    pub reply: ServerError,
    /// Whether a function raised it with a text of its own.
    pub is_from_function: bool,
}

impl Warning {
    /// Whether the statement granted or revoked nothing, or not all that it names.
    #[must_use]
    pub fn is_about_privileges(&self) -> bool {
        matches!(self.reply.sqlstate.as_str(), "01006" | "01007")
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reply)
    }
}

/// The warnings of a connection that no statement's caller has taken yet; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Warnings(Arc<Mutex<Vec<Warning>>>);

impl Warnings {
    /// Keeps a notice that is a warning.
    pub(super) fn add(&self, notice: &DbError) {
        if notice.parsed_severity() != Some(Severity::Warning) {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            let is_from_function = notice.routine().is_some_and(is_raised_by_function);
            kept.push(Warning { reply: reply::server_error(notice), is_from_function });
        }
    }

    /// Takes all of them.
    pub(super) fn take(&self) -> Vec<Warning> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
