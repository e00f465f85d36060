//! The life cycle of a run: which process holds what in which state, and what each loss means.
//!
//! Locks on the target (session advisory locks of class "pgmi"; they end with their session):
//!
//! | lock | mode | held by | from | to | owner in code |
//! |---|---|---|---|---|---|
//! | RUN (1) | exclusive | whole run, cleanup | before the source is read | end of the process | `leader::Leader`, `verbs::cleanup` |
//! | RUN (1) | shared | part; holder while it begins | part: once it has a snapshot to read | its end | `leader::Leader` |
//! | BEGIN (2) | exclusive, waits | a process that begins, joins, takes up or concludes a run | `begin::enter`, `join::take_up`, `conclude` | same call | `Ledger::lock_begin` |
//! | HOLD (3) | exclusive | holder | before it reads the source | end of the hold | `hold::take_place` |
//! | STOP (4) | shared | `pgmigrate stop` | its request | its end | `stop::stop` |
//! | ORDER (5) | exclusive, waits | the session that makes pre-data | its first entry | its last entry, or its end | `worker::order` |
//! | SAFE (6) | exclusive | `pgmigrate safe` | before it stops the application | after it has started it again | `procedure::hold_procedure` |
//!
//! On the source: the snapshot lives as long as its leader, or a session that joined it; ACCESS SHARE on every table that is to be read
//! is taken right after the export, before `pg_dump`, backup and any wait (`connect::Source::lock`), and once more by each reader for
//! what it reads (`worker::Worker::open_source_of`, `pg::compare`). Materialized views are not read as data. Sequences cannot be locked:
//! their value is read when it is set, and is never behind the snapshot. Large objects are covered by the snapshot.
//!
//! What a process holds from each step of `run` on:
//!
//! | from | it holds | until |
//! |---|---|---|
//! | connect | RUN, the snapshot, ACCESS SHARE on the tables of the plan or of the filters | its end; RUN until `conclude` where tasks are open |
//! | begin | BEGIN, also while the target is backed up | the run's rows are committed |
//! | execute | each worker: its own locks on the table that it reads and the one that it writes; one of them ORDER | the end of its transaction |
//! | close | BEGIN in `conclude`; RUN and the snapshot while both sides are compared | its end |
//!
//! Order in which locks are taken: SAFE, HOLD, RUN, snapshot, table locks on the source, BEGIN, ORDER, table locks on the target. SAFE, RUN
//! and HOLD are only tried, never waited for under another lock; ORDER is waited for under RUN alone, by a session that holds no other
//! lock. So there is no cycle.
//!
//! | state in the ledger | means | who sets it |
//! |---|---|---|
//! | running | a process works on the run, or a holder waits for parts | `begin`, `join`, `conclude` |
//! | running, no lock is held | the last process was killed; shown as interrupted | no process |
//! | interrupted | no process works on it, tasks are open, none failed | `conclude` |
//! | failed | no process works on it, a task failed | `conclude` |
//! | done | every task of the plan is settled | `conclude` |
//!
//! Work is put back to pending by the process that does it again, under BEGIN: `begin::resume_run` (the whole run: all that is open,
//! half-copied tables of another snapshot, sequences of an earlier one), `join::join` (a part: half-copied tables that it has to itself, and
//! sequences that its rows may have left behind, which it then sets itself), `join::take_up` (a holder, for the parts that follow). Sequences
//! that were put back by a part that has died are set by the next part that works on the data phase. See `join::put_back`.
//!
//! | lost | means |
//! |---|---|
//! | leader on the target | reconnects to any host of the conninfo, terminates its lost backend, takes RUN again; workers follow (`Job::follow`); another process has it: this one stops (`Leader::keep`) |
//! | leader on the source | readers that are in the snapshot go on, each under locks of its own; new ones fail with `snapshot_gone` (`pg::snapshot::join`) |
//! | the session that holds SAFE | reconnects and takes it again; another procedure has it: this one stops, and undoes nothing (`Leader::keep`) |
//! | a worker's connection | its transaction rolls back; tried again after the ledger was queried and its lost backend was terminated (`worker`) |
//! | holder | parts at work go on; new parts wait for another holder, which adopts the snapshot while a part still has it (`hold`) |
//! | a process, whose sessions stay on the target | the next process terminates those that the ledger has (`lost`) |
//! | part | its tasks stay `running` until a part with the same ids, or the whole run, does them again (`join`, `begin::resume_run`) |
//! | source server | the snapshot is lost: open tasks fail, `--resume` takes a new one |
//! | target server | leader and workers reconnect; what an asynchronous commit lost is open in the ledger, and the run is not done; its beginning is never lost |
//! | the ledger | nothing more is recorded, and the report says that the run was not closed (`Ledger::set_state`) |
//! | any, while the run is closed | the report is made from what this process knows, and says that the ledger could not be read (`close`) |

use crate::error::Result;
use crate::ledger::{Ledger, Standing};
use crate::pg::Session;
use crate::report::TaskResult;
use crate::status::RunState;

/// The state of a run when one of its processes has ended its work.
pub(super) struct Concluded {
    /// The state in the ledger from now on.
    pub(super) state: RunState,
    /// Whether every task of it is settled.
    pub(super) is_complete: bool,
    /// The states of the source that its tasks saw.
    pub(super) snapshots: Vec<String>,
    /// The requested tasks.
    pub(super) tasks: Vec<TaskResult>,
}

/// Which other processes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OtherProcesses {
    /// Another process works on the run.
    AtWork,
    /// A holder waits for parts.
    Holding,
    /// No other process.
    None,
}

/// Records the state of the run in the ledger when one of its processes ends; with the `wanted` tasks, or all of them.
pub(super) async fn conclude(
    ledger: &Ledger,
    target: &Session,
    run: i64,
    wanted: Option<&[String]>,
) -> Result<Concluded> {
    // One process at a time: otherwise the first of two that end together would overwrite the state that the last one has recorded for the
    // whole run.
    ledger.lock_begin(target).await?;
    let Standing { is_complete, has_failed, snapshots } = ledger.standing(target, run).await?;
    let records = match wanted {
        Some(wanted) => ledger.records_of(target, run, wanted).await?,
        None => ledger.records(target, run).await?,
    };
    let mut tasks: Vec<TaskResult> = records.into_iter().map(TaskResult::from).collect();
    tasks.shrink_to_fit();
    let others = if ledger.is_locked(target).await? {
        OtherProcesses::AtWork
    } else if ledger.holder(target).await?.is_some() {
        OtherProcesses::Holding
    } else {
        OtherProcesses::None
    };
    let state = state(is_complete, has_failed, others);
    ledger.set_state(target, run, state, snapshots.len() <= 1).await?;
    if !is_complete {
        // The next process that ends asks whether others are at work, and this process no longer is.
        ledger.unlock(target).await?;
    }
    ledger.unlock_begin(target).await?;
    Ok(Concluded { state, is_complete, snapshots, tasks })
}

fn state(is_complete: bool, has_failed: bool, others: OtherProcesses) -> RunState {
    match (is_complete, others) {
        (true, _) => RunState::Done,
        (false, OtherProcesses::AtWork) => RunState::Running,
        (false, _) if has_failed => RunState::Failed,
        (false, OtherProcesses::Holding) => RunState::Running,
        (false, OtherProcesses::None) => RunState::Interrupted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_done_only_when_every_task_is() {
        for others in [OtherProcesses::AtWork, OtherProcesses::Holding, OtherProcesses::None] {
            assert_eq!(state(true, false, others), RunState::Done);
            assert_ne!(state(false, false, others), RunState::Done);
        }
        assert_eq!(state(false, true, OtherProcesses::AtWork), RunState::Running);
        assert_eq!(state(false, true, OtherProcesses::Holding), RunState::Failed);
        assert_eq!(state(false, false, OtherProcesses::Holding), RunState::Running);
        assert_eq!(state(false, false, OtherProcesses::None), RunState::Interrupted);
    }
}
