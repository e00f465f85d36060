//! The one error of the crate: what kind it is, what was being done in words, where, and the cause below it.
//!
//! Classification and the retry decision read the SQLSTATE, never a message text
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>). Messages carry no password and no row value;
//! the adapter that turns a server's reply into a [`ServerError`] drops what could hold one.

use crate::finding::Finding;
use serde::Serialize;
use std::fmt;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Which of the two databases something happened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The database that is read.
    Source,
    /// The database that is written.
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Source => "source",
            Side::Target => "target",
        })
    }
}

/// What went wrong; callers distinguish errors by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A wrong key, type or value in what the user wrote; `problems` lists all of them.
    Config,
    /// A server cannot be reached, or refuses the login.
    Connect,
    /// A blocking finding before the target was touched; `findings` lists them.
    Preflight,
    /// A statement on the schema failed.
    Schema,
    /// Rows could not be copied.
    Copy,
    /// The ledger, the plan file or the state file cannot be used as asked.
    State,
    /// Plan and reality differ; a `State` error to a caller that does not distinguish.
    Drift,
    /// Source and target differ, or could not be compared.
    Verify,
    /// A backup or its restore failed.
    Backup,
    /// The run was requested to stop and stopped cleanly.
    Interrupted,
    /// A defect of this program.
    Internal,
}

/// What a server replied, without the parts that may quote a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message} (SQLSTATE {sqlstate})")]
pub struct ServerError {
    /// The five characters of the code.
    pub sqlstate: String,
    /// The primary message, or only the condition's class where the message may quote a row.
    pub message: String,
    /// `schema.table`, column and constraint as far as the server named them.
    pub object: Option<String>,
    /// The column that the server named.
    pub column: Option<String>,
    /// The constraint that the server named.
    pub constraint: Option<String>,
    /// The function in whose body it happened, as the server writes it: qualified and with its arguments, or its bare name.
    pub function: Option<String>,
}

/// Where an error happened; each caller on the way up fills in what it knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Context {
    /// The database it happened on.
    pub side: Option<Side>,
    /// The phase of the run.
    pub phase: Option<String>,
    /// The task's id in the plan.
    pub task: Option<String>,
    /// The object, quoted as SQL quotes it.
    pub object: Option<String>,
}

/// Everything that was wrong, if an error reports more than one thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Details {
    /// Every mistake of a [`Kind::Config`] error, each with the path of its key; every difference of a [`Kind::Drift`] error.
    pub problems: Vec<String>,
    /// Every finding of a [`Kind::Preflight`] error.
    pub findings: Vec<Finding>,
}

/// The crate's error.
#[derive(Debug)]
pub struct Error {
    /// Its stable name, such as `plan_mismatch`; scripts may rely on it. One name has one meaning, wherever it is used.
    pub name: &'static str,
    /// The kind by which a caller distinguishes it.
    pub kind: Kind,
    /// What was being done and failed, in lower case words.
    pub doing: String,
    /// Where.
    pub context: Box<Context>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// The SQLSTATE where a server replied with one.
    pub sqlstate: Option<Box<str>>,
    /// Every mistake of a configuration, every finding of a preflight.
    pub details: Box<Details>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A new error of `kind`; `name` is its stable name, and `doing` says what failed, in lower case.
    pub fn new(name: &'static str, kind: Kind, doing: impl Into<String>) -> Self {
        Error {
            name,
            kind,
            doing: doing.into(),
            context: Box::default(),
            remedy: None,
            sqlstate: None,
            details: Box::default(),
            source: None,
        }
    }

    /// A [`Kind::Config`] error that carries all `problems` at once.
    #[must_use]
    pub fn config(problems: Vec<String>) -> Self {
        let mut error = Error::new(
            "invalid_configuration",
            Kind::Config,
            format!("invalid configuration: {}", problems.join("; ")),
        );
        error.details.problems = problems;
        error
    }

    /// Gives it a more specific name.
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds a server's reply as the cause, with its SQLSTATE and the object it named.
    #[must_use]
    pub fn caused_by_server(mut self, reply: ServerError) -> Self {
        self.sqlstate = Some(reply.sqlstate.as_str().into());
        if self.context.object.is_none() {
            self.context.object.clone_from(&reply.object);
        }
        self.source = Some(Box::new(reply));
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Says which database it happened on.
    #[must_use]
    pub fn on(mut self, side: Side) -> Self {
        self.context.side = Some(side);
        self
    }

    /// Names the object, unless a more specific one is named already.
    #[must_use]
    pub fn object(mut self, object: impl Into<String>) -> Self {
        self.context.object.get_or_insert_with(|| object.into());
        self
    }

    /// Names the task and its phase.
    #[must_use]
    pub fn task(mut self, task: impl Into<String>, phase: impl Into<String>) -> Self {
        self.context.task = Some(task.into());
        self.context.phase = Some(phase.into());
        self
    }

    /// The server's reply among the causes, if there is one.
    #[must_use]
    pub fn server(&self) -> Option<&ServerError> {
        self.source.as_deref()?.downcast_ref::<ServerError>()
    }

    /// Whether the server's code is `sqlstate`.
    #[must_use]
    pub fn is(&self, sqlstate: &str) -> bool {
        self.sqlstate.as_deref() == Some(sqlstate)
    }

    /// Whether a name in a statement, or in a function that it calls, was not found: a function, a relation, or another object.
    #[must_use]
    pub fn is_undefined(&self) -> bool {
        ["42883", "42P01", "42704"].iter().any(|sqlstate| self.is(sqlstate))
    }

    /// Whether the same work may succeed when it is tried again: the connection was lost, a resource was short, or a
    /// concurrent transaction was in the way. Never for wrong data (22, 23) or a wrong statement (42).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.sqlstate.as_deref() {
            Some(code) => is_transient(code),
            None => matches!(self.kind, Kind::Connect),
        }
    }

    /// The whole chain on one line: this error, then each cause.
    #[must_use]
    pub fn chain(&self) -> String {
        use std::error::Error as _;
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

fn is_transient(sqlstate: &str) -> bool {
    matches!(sqlstate.get(..2), Some("08" | "53"))
        || matches!(sqlstate, "57P01" | "57P02" | "57P03" | "40001" | "40P01" | "55P03")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)?;
        if let Some(side) = self.context.side
            && !self.doing.contains(&format!("the {side}"))
        {
            write!(f, " on the {side}")?;
        }
        if let Some(object) = &self.context.object
            && !self.doing.contains(object.as_str())
        {
            write!(f, " ({object})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(sqlstate: &str) -> Error {
        Error::new("copy_refused", Kind::Copy, "copying rows").caused_by_server(ServerError {
            sqlstate: sqlstate.into(),
            message: "no".into(),
            object: Some("public.t".into()),
            column: None,
            constraint: None,
            function: None,
        })
    }

    #[test]
    fn only_transient_states_are_retried() {
        for code in ["08006", "53300", "57P01", "40001", "40P01", "55P03"] {
            assert!(reply(code).is_retryable(), "{code}");
        }
        for code in ["22P02", "23505", "42P01", "42501", "57014", "XX000", "", "0", "5", "\u{fc}\u{fc}"] {
            assert!(!reply(code).is_retryable(), "{code}");
        }
    }

    #[test]
    fn the_side_is_named_once() {
        let error = |doing| Error::new("run_active", Kind::State, doing).on(Side::Target).to_string();
        assert_eq!(error("a run is active"), "a run is active on the target");
        assert_eq!(error("a run is active on the target"), "a run is active on the target");
        assert_eq!(error("rows of the source are there"), "rows of the source are there on the target");
    }

    #[test]
    fn the_cause_stands_only_in_the_chain() {
        let error = reply("23505").on(Side::Target);
        assert_eq!(error.to_string(), "copying rows on the target (public.t)");
        assert_eq!(error.chain(), "copying rows on the target (public.t): no (SQLSTATE 23505)");
    }
}
