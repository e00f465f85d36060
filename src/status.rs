//! How runs and their tasks stand, as the ledger, events and results say it.

use crate::closed_set::closed_set;

closed_set! {
    /// How a task stands.
    pub enum TaskStatus, "status of a task" {
        /// It was not tried yet, or is to be tried again.
        Pending = "pending",
        /// A worker has taken it.
        Running = "running",
        /// Its effect is on the target.
        Done = "done",
        /// The target had its object already.
        Kept = "kept",
        /// The options or the target leave nothing to do for it.
        Skipped = "skipped",
        /// It was tried and had no effect.
        Failed = "failed",
        /// It was not tried, because one that it requires failed.
        Blocked = "blocked",
    }
}

impl TaskStatus {
    /// Those of tasks for which nothing is left to do.
    pub const SETTLED: [TaskStatus; 3] = [TaskStatus::Done, TaskStatus::Kept, TaskStatus::Skipped];

    /// Those of tasks whose object is missing on the target because of a failure.
    pub const FAILED: [TaskStatus; 2] = [TaskStatus::Failed, TaskStatus::Blocked];

    /// Whether nothing is left to do for the task.
    #[must_use]
    pub fn is_settled(self) -> bool {
        Self::SETTLED.contains(&self)
    }

    /// Whether the task failed, or was blocked by one that did.
    #[must_use]
    pub fn is_failed(self) -> bool {
        Self::FAILED.contains(&self)
    }
}

closed_set! {
    /// How a run stands, as its row in the ledger says.
    pub enum RunState, "state of a run" {
        /// A process works on it, or died before it could record an end.
        Running = "running",
        /// No process works on it, tasks are open, none of them failed.
        Interrupted = "interrupted",
        /// No process works on it, and a task failed.
        Failed = "failed",
        /// Every task of the plan is settled.
        Done = "done",
    }
}

closed_set! {
    /// How the part of a run ended that one report shows.
    #[derive(Default)]
    pub enum ReportStatus, "status of a report" {
        /// All of its tasks are settled.
        Done = "done",
        /// A task failed.
        Failed = "failed",
        /// It was stopped before its end; as long as nothing else is known.
        #[default]
        Interrupted = "interrupted",
        /// Nothing was run.
        DryRun = "dry_run",
    }
}

closed_set! {
    /// How the comparison of a table's rows ended.
    pub enum TableStatus, "status of a compared table" {
        /// Both sides have the same rows.
        Equal = "equal",
        /// Every row of the source is on the target, which has more.
        ContainsSource = "contains_source",
        /// Rows differ.
        Different = "different",
        /// The rows could not be compared.
        Unchecked = "unchecked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_read_back_and_another_one_is_named() {
        for status in TaskStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), serde_json::json!(status.to_string()));
        }
        let unknown = "paused".parse::<TaskStatus>().unwrap_err().to_string();
        assert!(unknown.starts_with("\"paused\" is no status of a task; known are pending, running, "), "{unknown}");
    }
}
