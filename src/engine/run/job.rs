//! A run in progress, as all of its workers share it: the plan's tasks, how each is done, and where.
//!
//! Made by `run` once everything is decided; workers only read it.

use super::tuning::Tuning;
use crate::config::{ScopeOptions, Secret};
use crate::engine::Context;
use crate::finding::Finding;
use crate::ledger::{Ledger, SessionEntry};
use crate::pg::Conninfo;
use crate::pg::backend::Backend;
use crate::pg::snapshot::Snapshot;
use crate::plan::Task;
use crate::record::RowMode;
use crate::row_format::RowFormat;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How one task is done, by what the run found on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskExecution {
    /// How rows are written.
    pub mode: RowMode,
    /// The format in which they are sent.
    pub format: RowFormat,
    /// Whether the rows are frozen as they are written.
    pub is_frozen: bool,
    /// Whether triggers of the target's table are disabled meanwhile.
    pub is_silent: bool,
}

/// Where the leader's session on the target is.
#[derive(Debug, Clone)]
pub struct Target {
    /// How to connect to the same server.
    pub conninfo: Conninfo,
    /// The leader's server process.
    pub leader: Backend,
}

/// A run in progress.
#[derive(Debug)]
pub struct Job {
    /// Its number in the ledger.
    pub run: i64,
    /// Whether other processes may be at work in the run.
    pub is_part: bool,
    /// The number of its first worker in the ledger, where other processes may have workers, too.
    pub first_worker: i32,
    /// The plan's tasks.
    pub tasks: Vec<Task>,
    /// How each is done.
    pub forms: Vec<TaskExecution>,
    /// Groups of tasks that are done in one transaction, by their first.
    pub atomic_groups: HashMap<usize, Vec<usize>>,
    /// The ledger.
    pub ledger: Ledger,
    /// The source, narrowed to the leader's server.
    pub source: Conninfo,
    /// The target as its leader has it now.
    pub target: Mutex<Target>,
    /// This process, as `process` writes it.
    pub process: String,
    /// The snapshot that the readers use.
    pub snapshot: Snapshot,
    /// The encoding that both databases have, where it is the same and not UTF8.
    pub encoding: Option<String>,
    /// The role that owns on the target what it creates, where that is known.
    pub owner: Option<String>,
    /// The source database's `search_path`, for functions that name objects without a schema.
    pub search_path: String,
    /// Whether both databases sort text in the same way.
    pub same_collation: bool,
    /// What is migrated.
    pub scope: ScopeOptions,
    /// Seconds that a statement waits for a lock; 0: no limit.
    pub lock_timeout: u64,
    /// Attempts after the first for transient failures.
    pub retries: u32,
    /// The memory and workers that the target gives to index builds.
    pub tuning: Tuning,
    /// Events and the request to stop.
    pub context: Context,
    /// Findings of the workers, for the end of the run.
    pub found: Mutex<KnownFindings>,
}

/// Findings, and the keys of those that were added.
#[derive(Debug, Default)]
pub struct KnownFindings {
    findings: Vec<Finding>,
    /// Check, object and message of each: there may be one for each task, too many to compare a new one with all of them.
    known: HashSet<[String; 3]>,
}

impl KnownFindings {
    fn add(&mut self, findings: Vec<Finding>) {
        self.known.extend(findings.iter().map(KnownFindings::key));
        self.findings.extend(findings);
    }

    /// Adds a finding, unless there is one of the same check, object and message; whether it was added.
    fn add_new(&mut self, finding: &Finding) -> bool {
        let is_new = self.known.insert(KnownFindings::key(finding));
        if is_new {
            self.findings.push(finding.clone());
        }
        is_new
    }

    fn key(finding: &Finding) -> [String; 3] {
        [&finding.check, &finding.object, &finding.message].map(String::clone)
    }
}

impl Job {
    /// Where the leader's session on the target is.
    pub fn target(&self) -> Target {
        self.target.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Points the workers to the server where the leader is now.
    pub fn follow(&self, conninfo: &Conninfo, leader: &Backend) {
        let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = target.conninfo.secrets();
        *target = Target { conninfo: conninfo.clone().with_secrets(secrets), leader: leader.clone() };
    }

    /// A session of this process, for the ledger.
    pub fn session_entry(&self, backend: &Backend) -> SessionEntry {
        let (backend, leader) = (backend.clone(), self.target().leader);
        SessionEntry { run: self.run, backend, leader, process: self.process.clone() }
    }

    /// Redacts these values in all messages of the target.
    pub fn hide(&mut self, secrets: Vec<Secret>) {
        let target = self.target.get_mut().unwrap_or_else(PoisonError::into_inner);
        target.conninfo = target.conninfo.clone().with_secrets(secrets);
    }

    /// Reports the findings of a task, at once and at the end of the run.
    pub fn report(&self, findings: Vec<Finding>) {
        self.context.report(&findings);
        self.found().add(findings);
    }

    /// The same, unless an equal finding was reported before.
    pub fn report_once(&self, finding: Finding) {
        if self.found().add_new(&finding) {
            self.context.report(&[finding]);
        }
    }

    /// Takes all findings that were reported.
    pub fn take_found(&self) -> Vec<Finding> {
        std::mem::take(&mut *self.found()).findings
    }

    fn found(&self) -> MutexGuard<'_, KnownFindings> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    #[test]
    fn an_equal_finding_is_added_once() {
        let find = |check: &str, object: &str, message: &str| {
            Finding::new(check, Severity::Warning, object, message, "remedy")
        };
        let mut found = KnownFindings::default();
        found.add(vec![find("a", "t", "m"), find("a", "t", "m")]);
        let once = [find("a", "t", "m"), find("b", "t", "m"), find("a", "u", "m"), find("a", "t", "n")];
        assert_eq!(once.each_ref().map(|finding| found.add_new(finding)), [false, true, true, true]);
        assert_eq!(once.each_ref().map(|finding| found.add_new(finding)), [false; 4]);
        assert_eq!(found.findings.len(), 5);
    }
}
