//! Runs a job's tasks: takes ready tasks from the schedule, passes them to free workers, and reports their results.
//!
//! Every worker is a task of the runtime with two sessions of its own. This loop is the only one that changes the schedule, so
//! it needs no lock. Called by `execute`.

use super::job::Job;
use super::leader::Leader;
use super::outcome::{Known, RunOutcome};
use super::state_file;
use super::state_file::StateFile;
use super::worker::{Outcome, Worker, order};
use crate::engine::schedule::{End, Schedule};
use crate::engine::time_left::Watch;
use crate::error::{Error, Kind, Result, Side};
use crate::event::Event;
use crate::ledger::LeaseRole;
use crate::ledger::TaskFailure;
use crate::pg::Session;
use crate::plan::Task;
use crate::plan::build::order as plan_order;
use crate::record::{Effect, Record};
use crate::status::TaskStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

type Finished = (Worker, Instant, Vec<(usize, Outcome)>);

/// What the pool waits for.
enum Next {
    /// A worker is free again.
    Free(Box<std::result::Result<Finished, JoinError>>),
    /// A task has ended, and its worker goes on.
    Ended(order::FinishedTask),
}

/// The loop's state.
pub struct Pool<'a> {
    /// The tasks, and how they are done.
    pub job: Arc<Job>,
    /// Which task is next.
    pub schedule: Schedule,
    /// The leader on the target, for rows of blocked tasks.
    pub leader: &'a mut Leader,
    /// The session on the source that holds the snapshot.
    pub holder: &'a Session,
    /// Whether it is known to be lost.
    pub is_snapshot_lost: bool,
    /// The mirror of the ledger.
    pub state: Option<StateFile>,
    /// Lines for it that are not written yet.
    pub lines: Vec<Record>,
    /// When it was last written.
    pub written: Instant,
    /// When the run's lock, snapshot and stop requests were last checked.
    pub looked: Instant,
    /// The results of the tasks.
    pub outcome: RunOutcome,
    /// What is known of the time left.
    pub watch: Watch,
    /// The channel on which the worker that runs tasks in the plan's order reports how they end.
    pub in_order: (mpsc::UnboundedSender<order::FinishedTask>, mpsc::UnboundedReceiver<order::FinishedTask>),
}

const BETWEEN_WRITES: Duration = Duration::from_secs(1);
/// Interval between checks of what the run depends on, and of a stop request from another session.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

impl Pool<'_> {
    /// Runs everything that can be run with `jobs` workers.
    pub async fn run(&mut self, jobs: usize) -> Result<()> {
        let mut idle: Vec<Worker> = (0..jobs).rev().map(|number| Worker::new(number, Arc::clone(&self.job))).collect();
        let mut busy: JoinSet<Finished> = JoinSet::new();
        loop {
            self.wait_for_room().await?;
            while !self.job.context.stop.is_stopped()
                && (busy.is_empty() || self.job.context.events.have_room())
                && let Some(worker) = idle.pop()
            {
                let in_order = self.schedule.next_in_order();
                if !in_order.is_empty() {
                    self.begin_in_order(&mut busy, worker, in_order);
                    continue;
                }
                let Some(at) = self.schedule.next() else {
                    idle.push(worker);
                    break;
                };
                let batch = self.batch(at, jobs);
                self.job.tuning.set_open(busy.len() + 1 + self.schedule.ready());
                self.begin(&mut busy, worker, batch);
            }
            let finished = match self.next_of(&mut busy).await? {
                None => break,
                Some(Next::Free(finished)) => *finished,
                Some(Next::Ended(order::FinishedTask { at, seconds, outcome })) => {
                    self.end(at, seconds, outcome).await?;
                    self.write_state(false).await?;
                    continue;
                }
            };
            let (worker, started, outcomes) = finished.map_err(|e| {
                Error::new("worker_panicked", Kind::Internal, "a worker task panicked or was aborted").caused_by(e)
            })?;
            idle.push(worker);
            let seconds =
                started.elapsed().as_secs_f64() / f64::from(u32::try_from(outcomes.len()).unwrap_or(1).max(1));
            for (at, outcome) in outcomes {
                self.end(at, seconds, outcome).await?;
            }
            self.write_state(false).await?;
        }
        self.write_state(true).await?;
        self.outcome.stopped = self.job.context.stop.is_stopped() && !self.schedule.is_done();
        Ok(())
    }

    /// The next batch or task that ends; none where no worker is busy.
    async fn next_of(&mut self, busy: &mut JoinSet<Finished>) -> Result<Option<Next>> {
        loop {
            // The check is made however fast tasks end.
            let rest = BETWEEN_LOOKS.saturating_sub(self.looked.elapsed());
            if rest.is_zero() {
                self.check().await?;
                continue;
            }
            tokio::select! {
                biased;
                // The messages about tasks are taken before the worker that has sent them becomes free.
                Some(ended) = self.in_order.1.recv() => return Ok(Some(Next::Ended(ended))),
                finished = busy.join_next() => return Ok(finished.map(|finished| Next::Free(Box::new(finished)))),
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Begins nothing new while the caller has not read the events of finished work: these would fill the memory.
    async fn wait_for_room(&mut self) -> Result<()> {
        let context = self.job.context.clone();
        while !context.events.have_room() && !context.stop.is_stopped() {
            let rest = BETWEEN_LOOKS.saturating_sub(self.looked.elapsed());
            if rest.is_zero() {
                self.check().await?;
            }
            tokio::select! {
                biased;
                () = context.stop.stopped() => {}
                () = context.events.room() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
        Ok(())
    }

    /// Checks what the run depends on: the leader's lock, the snapshot, and whether another session asks the run to stop.
    async fn check(&mut self) -> Result<()> {
        self.looked = Instant::now();
        self.keep_leader().await?;
        self.watch.tick(self.leader, &self.job).await;
        if !self.is_snapshot_lost && self.holder.is_closed() {
            self.is_snapshot_lost = true;
            tracing::warn!(
                "the session on the source that held the snapshot is lost: readers that have joined it continue, and no new ones can join"
            );
        }
        // An error of the query is ignored: where the session is lost, the next check finds that.
        let is_asked = self.job.ledger.is_asked_to_stop(self.leader).await.unwrap_or_default();
        if is_asked && !self.job.context.stop.is_stopped() {
            tracing::warn!("another session on the target asked this run to stop");
            self.job.context.stop.stop();
        }
        Ok(())
    }

    /// Connects the leader again where its connection is lost; the snapshot lease of a part has ended with the lost session.
    async fn keep_leader(&mut self) -> Result<()> {
        let old = self.leader.backend().clone();
        if !self.leader.keep(&self.job.context.stop).await? {
            return Ok(());
        }
        self.job.follow(self.leader.conninfo(), self.leader.backend());
        // A worker may have noted a new session under the old leader before it could follow.
        if let Err(error) = self.job.ledger.replace_leader(self.leader, &old, self.leader.backend()).await {
            tracing::debug!("the sessions of this process have their old leader in the ledger: {}", error.chain());
        }
        if !self.job.is_part {
            return Ok(());
        }
        let (job, reads) = (&self.job, self.job.tasks.iter().any(Task::is_data));
        if reads {
            job.ledger.register_lease(self.leader, job.run, &job.snapshot, LeaseRole::Part).await?;
        }
        Ok(())
    }

    /// The tasks that are done together with `at`.
    fn batch(&mut self, at: usize, jobs: usize) -> Vec<usize> {
        if let Some(group) = self.job.atomic_groups.get(&at) {
            return group.clone();
        }
        let mut batch = vec![at];
        batch.extend(self.schedule.next_like(at, jobs));
        batch
    }

    fn begin(&self, busy: &mut JoinSet<Finished>, mut worker: Worker, batch: Vec<usize>) {
        for task in batch.iter().map(|at| &self.job.tasks[*at]) {
            self.job.context.events.send(order::started(task, worker.number()));
        }
        let span = tracing::Span::current();
        let work = async move {
            let started = Instant::now();
            let outcomes = worker.perform_many(&batch).await;
            (worker, started, outcomes)
        };
        busy.spawn(tracing::Instrument::instrument(work, span));
    }

    /// Lets a worker run tasks in the plan's order; it reports the end of each while it goes on.
    fn begin_in_order(&self, busy: &mut JoinSet<Finished>, mut worker: Worker, tasks: Vec<usize>) {
        let ended = self.in_order.0.clone();
        let work = async move {
            worker.perform_in_order(&tasks, ended).await;
            (worker, Instant::now(), Vec::new())
        };
        busy.spawn(tracing::Instrument::instrument(work, tracing::Span::current()));
    }

    /// Writes the waiting lines into the state file, about once a second. First it makes the commits that the lines describe safe against a
    /// crash of the target, because a file that knows more than the ledger stops a resumed run. A file that can no longer be written is
    /// given up, and the run goes on.
    async fn write_state(&mut self, is_last: bool) -> Result<()> {
        let is_due = is_last || self.written.elapsed() >= BETWEEN_WRITES;
        let Some(state) = self.state.as_mut().filter(|_| is_due && !self.lines.is_empty()) else { return Ok(()) };
        let job = Arc::clone(&self.job);
        if let Err(error) = job.ledger.flush(self.leader, job.run).await {
            self.leader.recover(&job.context.stop, error).await?;
            job.ledger.flush(self.leader, job.run).await?;
        }
        if let Err(error) = state.append(&std::mem::take(&mut self.lines)) {
            self.state = None;
            self.job.report(vec![state_file::lost(&error)]);
        }
        self.written = Instant::now();
        Ok(())
    }

    async fn end(&mut self, at: usize, seconds: f64, outcome: Outcome) -> Result<()> {
        let (status, effect, sqlstate, end) = match outcome {
            Outcome::Stopped => {
                self.emit(&self.job.tasks[at], TaskStatus::Pending, &Effect::default(), seconds);
                return Ok(());
            }
            Outcome::Settled(status, effect) => (status, effect, String::new(), End::Settled),
            Outcome::Failed(error) if self.is_put_off(at, &error) => {
                let task = &self.job.tasks[at];
                let reason = error.chain();
                tracing::warn!("task {} ({}) is tried again behind others: {reason}", task.id, task.object());
                self.job.context.events.send(Event::TaskRetried { task: task.id.clone(), attempt: 1, reason });
                return Ok(());
            }
            Outcome::Failed(error) => {
                tracing::error!(
                    "task {} ({}) failed: {}",
                    self.job.tasks[at].id,
                    self.job.tasks[at].object(),
                    error.chain()
                );
                let effect = Effect { note: error.chain(), ..Effect::default() };
                (TaskStatus::Failed, effect, error.sqlstate.as_deref().unwrap_or_default().to_owned(), End::Failed)
            }
        };
        self.emit(&self.job.tasks[at], status, &effect, seconds);
        self.mirror(line(&self.job.tasks[at], status, &effect, (seconds, &sqlstate)));
        self.know(at, status, &effect);
        match end {
            End::Settled => self.outcome.settled += 1,
            End::Failed => self.outcome.failed += 1,
        }
        let blocked = self.schedule.end(at, end);
        self.block(&blocked, at).await
    }

    /// Whether a failed task is tried again later, after the tasks whose effect it may have lacked.
    fn is_put_off(&mut self, at: usize, error: &Error) -> bool {
        self.may_need_rows(at, error) && self.schedule.put_off(at)
            || self.may_need_objects(at, error) && self.schedule.wait_for_objects(at)
    }

    /// Whether the rows of a task may have been refused because they name objects that are created later, as values of `regclass` do.
    fn may_need_objects(&self, at: usize, error: &Error) -> bool {
        const UNDEFINED: [&str; 4] = ["42P01", "42704", "42883", "3F000"];
        let is_undefined = error.sqlstate.as_deref().is_some_and(|code| UNDEFINED.contains(&code));
        let is_grouped = self.job.atomic_groups.values().flatten().any(|other| *other == at);
        is_undefined && self.job.tasks[at].is_data() && error.context.side == Some(Side::Target) && !is_grouped
    }

    /// Whether the rows of a task may have been refused because other rows are missing: by a CHECK, or by a function that reads them.
    fn may_need_rows(&self, at: usize, error: &Error) -> bool {
        let Some(sqlstate) = error.sqlstate.as_deref() else { return false };
        let task = &self.job.tasks[at];
        let is_of_function =
            sqlstate == "23514" || ["P0", "2F", "38", "39"].iter().any(|class| sqlstate.starts_with(class));
        let is_grouped = self.job.atomic_groups.values().flatten().any(|other| *other == at);
        task.is_data() && !error.is_retryable() && (is_of_function || plan_order::is_late(task)) && !is_grouped
    }

    /// Records tasks that cannot be tried because `cause` failed.
    async fn block(&mut self, blocked: &[usize], cause: usize) -> Result<()> {
        let job = Arc::clone(&self.job);
        let cause = &job.tasks[cause].id;
        for &at in blocked {
            let task = &job.tasks[at];
            let note = format!("not tried: it requires task {cause}, which is not done");
            let failure = TaskFailure { status: TaskStatus::Blocked, sqlstate: "", note: &note };
            if let Err(error) = job.ledger.fail(self.leader, job.run, &task.id, failure).await {
                self.leader.recover(&job.context.stop, error).await?;
                job.ledger.fail(self.leader, job.run, &task.id, failure).await?;
            }
            let effect = Effect { note, ..Effect::default() };
            self.know(at, TaskStatus::Blocked, &effect);
            self.outcome.failed += 1;
            self.emit(task, TaskStatus::Blocked, &effect, 0.0);
            self.mirror(line(task, TaskStatus::Blocked, &effect, (0.0, "")));
        }
        Ok(())
    }

    /// Keeps a line for the state file, where there is one.
    fn mirror(&mut self, line: Record) {
        if self.state.is_some() {
            self.lines.push(line);
        }
    }

    fn know(&mut self, at: usize, status: TaskStatus, effect: &Effect) {
        let known = Known { status, rows: effect.rows.cast_signed(), bytes: effect.bytes.cast_signed() };
        self.outcome.known.insert(at, known);
    }

    fn emit(&self, task: &Task, status: TaskStatus, effect: &Effect, seconds: f64) {
        tracing::debug!("task {} ({}) {status} in {seconds:.3} s", task.id, task.object());
        self.job.context.events.send(Event::TaskFinished {
            task: task.id.clone(),
            phase: task.phase,
            kind: task.kind.to_string(),
            object: task.object(),
            status,
            rows: effect.rows,
            bytes: effect.bytes,
            seconds,
            note: effect.note.clone(),
        });
    }
}

/// A task's line in the state file.
fn line(task: &Task, status: TaskStatus, effect: &Effect, end: (f64, &str)) -> Record {
    Record {
        status,
        attempts: 1,
        rows: effect.rows.cast_signed(),
        bytes: effect.bytes.cast_signed(),
        hash: effect.hash.clone(),
        snapshot: effect.snapshot.clone(),
        seconds: end.0,
        sqlstate: end.1.into(),
        note: effect.note.clone(),
        ..Record::planned(task)
    }
}
