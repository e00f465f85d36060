//! How much memory and how many parallel workers the target gives to one index build or one check of a foreign key.
//!
//! Two builds side by side, each in one process with much memory, end sooner than the same two one after the other with parallel workers.
//! So a build uses parallel workers only in place of idle jobs, and the server's own number of them where nothing else can run at all. Its
//! memory is each job's share of half of `shared_buffers`, because no statement returns how much the machine has: never less than the
//! server's own setting, and no more than the build can use. A check of a foreign key takes the same memory
//! (<https://www.postgresql.org/docs/current/runtime-config-resource.html#GUC-MAINTENANCE-WORK-MEM>). The pool reports what is open,
//! workers query it; small tasks that share a transaction keep the server's settings.

use crate::catalog::object_kind::ObjectKind;
use crate::config::SchemaOptions;
use crate::error::Result;
use crate::pg::Session;
use crate::pg::maintenance::{self, Maintenance};
use crate::plan::{Task, TaskKind};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A sort takes at most this many times the size of the finished index, whose pages hold equal keys once, and no data of the sort for each
/// row.
const SORT_OVER_INDEX: u64 = 8;

/// The rules of one run.
#[derive(Debug)]
pub struct Tuning {
    own: Maintenance,
    share: u64,
    memory: Option<u64>,
    workers: Option<u64>,
    jobs: usize,
    open: AtomicUsize,
}

impl Tuning {
    /// The rules for `jobs` at once on a target with these settings and this much `shared_buffers`.
    #[must_use]
    pub fn new(options: &SchemaOptions, (own, shared): (Maintenance, u64), jobs: usize) -> Self {
        Tuning {
            own,
            share: shared / 2 / jobs.max(1) as u64,
            memory: options.maintenance_work_mem,
            workers: options.parallel_maintenance_workers,
            jobs,
            open: AtomicUsize::new(jobs),
        }
    }

    /// Sets how many tasks run or could run now.
    pub fn set_open(&self, tasks: usize) {
        self.open.store(tasks, Ordering::Relaxed);
    }

    /// Sets the memory and workers for the task's transaction, where they differ from the server's own settings.
    pub async fn apply(&self, target: &Session, task: &Task) -> Result<()> {
        if !takes_memory(task) {
            return Ok(());
        }
        let wanted = self.wanted(task);
        if wanted == self.own {
            return Ok(());
        }
        tracing::debug!(
            "task {} ({}): maintenance_work_mem {} kB, max_parallel_maintenance_workers {}",
            task.id,
            task.object(),
            wanted.memory / 1024,
            wanted.workers
        );
        maintenance::set(target, wanted).await
    }

    fn wanted(&self, task: &Task) -> Maintenance {
        // A build whose size the plan does not know may need it all.
        let need = if task.bytes == 0 { u64::MAX } else { task.bytes.saturating_mul(SORT_OVER_INDEX) };
        Maintenance {
            memory: self.memory.unwrap_or_else(|| self.share.min(need).max(self.own.memory)),
            workers: self.workers.unwrap_or_else(|| self.spare_workers()),
        }
    }

    fn spare_workers(&self) -> u64 {
        match self.open.load(Ordering::Relaxed) {
            0 | 1 => self.own.workers,
            _ if self.jobs == 1 => self.own.workers,
            open => (self.jobs.saturating_sub(open) as u64).min(self.own.workers),
        }
    }
}

/// Whether the task builds an index or checks all rows of a foreign key.
fn takes_memory(task: &Task) -> bool {
    match task.kind {
        TaskKind::Entry(ObjectKind::Index) | TaskKind::FkValidation => true,
        TaskKind::Entry(ObjectKind::Constraint) => !task.target_sql.contains(" USING INDEX "),
        TaskKind::Entry(ObjectKind::FkConstraint) => !task.target_sql.ends_with(" NOT VALID"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Phase;

    const MB: u64 = 1 << 20;

    fn tuning(options: &SchemaOptions, jobs: usize) -> Tuning {
        Tuning::new(options, (Maintenance { memory: 64 * MB, workers: 2 }, 1024 * MB), jobs)
    }

    fn index(bytes: u64) -> Task {
        let mut task = Task::new(Phase::Index, TaskKind::Entry(ObjectKind::Index), "s", "i");
        task.bytes = bytes;
        task
    }

    #[test]
    fn memory_lies_between_the_servers_own_and_a_jobs_share() {
        let memory = |jobs, bytes| tuning(&SchemaOptions::default(), jobs).wanted(&index(bytes)).memory / MB;
        assert_eq!(memory(2, 100 * MB), 256, "half of shared_buffers by the jobs");
        assert_eq!(memory(2, 10 * MB), 80, "no more than it can use");
        assert_eq!(memory(2, MB), 64, "never less than the server's own");
        assert_eq!(memory(16, 100 * MB), 64, "never less than the server's own");
        assert_eq!(memory(2, 0), 256, "of unknown size");
    }

    #[test]
    fn parallel_workers_stand_in_for_jobs_without_a_task() {
        let workers = |jobs, open| {
            let tuning = tuning(&SchemaOptions::default(), jobs);
            tuning.set_open(open);
            tuning.wanted(&index(MB)).workers
        };
        assert_eq!((workers(2, 3), workers(2, 2), workers(8, 8)), (0, 0, 0), "others build, too");
        assert_eq!((workers(8, 7), workers(8, 3)), (1, 2), "some jobs have nothing to do");
        assert_eq!((workers(1, 9), workers(2, 1), workers(8, 1)), (2, 2, 2), "nothing else runs");
    }

    #[test]
    fn what_is_configured_is_what_is_set() {
        let options = SchemaOptions {
            maintenance_work_mem: Some(2 * MB),
            parallel_maintenance_workers: Some(5),
            ..SchemaOptions::default()
        };
        assert_eq!(tuning(&options, 4).wanted(&index(0)), Maintenance { memory: 2 * MB, workers: 5 });
    }

    #[test]
    fn only_what_sorts_or_hashes_rows_takes_memory() {
        let takes = |kind, sql: &str| {
            let mut task = Task::new(Phase::Constraint, kind, "s", "t c");
            task.target_sql = sql.into();
            takes_memory(&task)
        };
        assert!(takes(TaskKind::Entry(ObjectKind::Constraint), "ALTER TABLE s.t ADD CONSTRAINT c PRIMARY KEY (a)"));
        assert!(!takes(
            TaskKind::Entry(ObjectKind::Constraint),
            "ALTER TABLE s.t ADD CONSTRAINT c PRIMARY KEY USING INDEX c"
        ));
        assert!(takes(
            TaskKind::Entry(ObjectKind::FkConstraint),
            "ALTER TABLE s.t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES s.u(a)"
        ));
        assert!(!takes(
            TaskKind::Entry(ObjectKind::FkConstraint),
            "ALTER TABLE s.t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES s.u(a) NOT VALID"
        ));
        assert!(takes(TaskKind::FkValidation, "ALTER TABLE s.t VALIDATE CONSTRAINT c"));
        assert!(!takes(TaskKind::Analyze, "ANALYZE s.t"));
    }
}
