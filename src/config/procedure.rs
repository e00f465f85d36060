//! The safe procedure around a migration: the application's commands, and what is undone when a step fails.
//!
//! Checked values only; `read/procedure.rs` makes them, and the Python package runs the commands, because they belong to the application's
//! machine and not to a server. Values of `env` may be secrets and are shown as `***`.

use super::secret::Secret;
use crate::closed_set::closed_set;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Everything under `procedure`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Procedure {
    /// Commands that stop the application.
    pub stop: Vec<Command>,
    /// Checks that it is stopped.
    pub check_stopped: Vec<Check>,
    /// Commands that start it after the migration.
    pub start: Vec<Command>,
    /// Commands that start it again when a step has failed.
    pub start_on_failure: StartOnFailure,
    /// Whether the application is started on a target whose restore was required and failed.
    pub start_on_failed_restore: bool,
    /// What happens to the target when a step has failed.
    pub on_failure: OnFailure,
    /// Whether the target is backed up before it is changed.
    pub backup: bool,
    /// Seconds to wait until the application is stopped, and as many until no session writes.
    pub wait_for_writers: u64,
    /// The time limit of a command in seconds; 0: no limit.
    pub timeout: u64,
    /// The working directory of the commands.
    pub cwd: String,
    /// Variables that commands get in addition to the environment.
    pub env: BTreeMap<String, Secret>,
    /// Points of the checklist that only a person can confirm.
    pub checklist: Vec<String>,
}

impl Default for Procedure {
    fn default() -> Self {
        Procedure {
            stop: Vec::new(),
            check_stopped: Vec::new(),
            start: Vec::new(),
            start_on_failure: StartOnFailure::AsStart,
            start_on_failed_restore: false,
            on_failure: OnFailure::Restore,
            backup: true,
            wait_for_writers: 60,
            timeout: 300,
            cwd: ".".to_owned(),
            env: BTreeMap::new(),
            checklist: Vec::new(),
        }
    }
}

/// The two forms of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// A program and its arguments, as they are.
    Interner(Vec<String>),
    /// A text for `/bin/sh -c`.
    Shell(String),
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The command itself.
    pub run: Run,
    /// Its time limit in seconds; 0: no limit.
    pub timeout: u64,
}

impl Command {
    fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match &self.run {
            Run::Interner(words) => map.serialize_entry("run", words)?,
            Run::Shell(text) => map.serialize_entry("run", text)?,
        }
        map.serialize_entry("shell", &matches!(self.run, Run::Shell(_)))?;
        map.serialize_entry("timeout", &self.timeout)
    }
}

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.entries(&mut map)?;
        map.end()
    }
}

/// A command whose result says whether the application is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The command.
    pub command: Command,
    /// Its result if the application is stopped.
    pub expect: Expect,
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.command.entries(&mut map)?;
        map.serialize_entry("expect", &self.expect)?;
        map.end()
    }
}

closed_set! {
    /// The result of a check if the application is stopped.
    pub enum Expect, "result of a check" {
        /// It ends with exit code 0.
        Success = "success",
        /// It ends with another one.
        Failure = "failure",
        /// It prints nothing; a failure that prints an error does not count.
        NoOutput = "no_output",
    }
}

closed_set! {
    /// What happens to a changed target when a step has failed.
    pub enum OnFailure, "value of on_failure" {
        /// The backup is restored.
        Restore = "restore",
        /// It stays as it is, to be resumed.
        Keep = "keep",
    }
}

/// The commands that start the application when a step has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartOnFailure {
    /// The commands of `start`; written `true`.
    AsStart,
    /// Nothing; written `false`.
    Never,
    /// Commands of its own.
    Commands(Vec<Command>),
}

impl Serialize for StartOnFailure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            StartOnFailure::AsStart => serializer.serialize_bool(true),
            StartOnFailure::Never => serializer.serialize_bool(false),
            StartOnFailure::Commands(commands) => commands.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests;
