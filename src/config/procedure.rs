//! The safe procedure around a migration: the application's commands, and what is undone when a step fails.
//!
//! Checked values only; `read/procedure.rs` makes them, and the Python face runs the commands, because it is the application's machine
//! and not a server that they belong to. Values of `env` may be secrets and are shown as `***`.

use super::choice::Choice;
use super::secret::Secret;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Everything under `procedure`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Procedure {
    /// What stops the application.
    pub stop: Vec<Command>,
    /// What shows that it is stopped.
    pub check_stopped: Vec<Check>,
    /// What starts it after the migration.
    pub start: Vec<Command>,
    /// What starts it again when a step has failed.
    pub start_on_failure: StartOnFailure,
    /// Whether the application is started on a target that had to be restored and is not.
    pub start_on_failed_restore: bool,
    /// What becomes of the target when a step has failed.
    pub on_failure: OnFailure,
    /// Whether the target is backed up before it is touched.
    pub backup: bool,
    /// Seconds to wait until the application is stopped, and as many until nobody writes.
    pub wait_for_writers: u64,
    /// Seconds that a command may take; 0: without end.
    pub timeout: u64,
    /// The folder that commands run in.
    pub cwd: String,
    /// Variables that commands get beside the environment.
    pub env: BTreeMap<String, Secret>,
    /// Points of the checklist that only a person can tick.
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

/// How a command is written down for the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// A program and its arguments, as they are.
    Words(Vec<String>),
    /// A text for `/bin/sh -c`.
    Shell(String),
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What is run.
    pub run: Run,
    /// Seconds that it may take; 0: without end.
    pub timeout: u64,
}

impl Command {
    fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match &self.run {
            Run::Words(words) => map.serialize_entry("run", words)?,
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

/// A command whose end tells whether the application is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The command.
    pub command: Command,
    /// What it does where the application is stopped.
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

/// What a check does where the application is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// It ends with exit code 0.
    Success,
    /// It ends with another one.
    Failure,
    /// It prints nothing; a failure that prints an error does not count.
    NoOutput,
}

impl Choice for Expect {
    const WORDS: &'static [(&'static str, Self)] =
        &[("success", Expect::Success), ("failure", Expect::Failure), ("no_output", Expect::NoOutput)];
}

/// What becomes of a target that was changed when a step has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The backup is restored.
    Restore,
    /// It stays as it is, to be resumed.
    Keep,
}

impl Choice for OnFailure {
    const WORDS: &'static [(&'static str, Self)] = &[("restore", OnFailure::Restore), ("keep", OnFailure::Keep)];
}

/// What starts the application when a step has failed.
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
