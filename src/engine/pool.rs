//! Runs a job's tasks: takes what is ready from the schedule, gives it to free workers, and tells what became of it.
//!
//! Every worker is a task of the runtime with two sessions of its own. This loop is the only one that changes the schedule, so
//! it needs no lock. Called by `run`.

use super::job::Job;
use super::schedule::{End, Schedule};
use super::state_file::StateFile;
use super::worker::{Outcome, Worker, batch};
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::pg::Session;
use crate::plan::Task;
use crate::record::{Effect, Record};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::{JoinError, JoinSet};

/// How the tasks ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// Tasks that were settled in this run.
    pub settled: u64,
    /// Tasks that failed or were blocked in this run.
    pub failed: u64,
    /// Whether the run was asked to stop.
    pub stopped: bool,
}

type Finished = (Worker, Instant, Vec<(usize, Outcome)>);

/// The loop's state.
pub struct Pool<'a> {
    /// What is run.
    pub job: Arc<Job>,
    /// What is next.
    pub schedule: Schedule,
    /// The leader session on the target, for rows of blocked tasks.
    pub leader: &'a Session,
    /// The mirror of the ledger.
    pub state: Option<StateFile>,
    /// Lines for it that are not written yet.
    pub lines: Vec<Record>,
    /// When it was last written.
    pub written: Instant,
    /// When it was last asked whether somebody wishes the run to stop.
    pub looked: Instant,
    /// What became of the tasks.
    pub ended: Ended,
}

const BETWEEN_WRITES: Duration = Duration::from_secs(1);
/// How often a run looks whether somebody wishes from elsewhere that it stops.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

impl Pool<'_> {
    /// Runs everything that can be run with `jobs` workers.
    pub async fn run(&mut self, jobs: usize) -> Result<()> {
        let mut idle: Vec<Worker> = (0..jobs).rev().map(|number| Worker::new(number, Arc::clone(&self.job))).collect();
        let mut busy: JoinSet<Finished> = JoinSet::new();
        loop {
            while !self.job.context.stop.is_stopped()
                && let Some(worker) = idle.pop()
            {
                let Some(at) = self.schedule.next() else {
                    idle.push(worker);
                    break;
                };
                let batch = self.batch(at, jobs);
                self.job.tuning.tell_open(busy.len() + 1 + self.schedule.ready());
                self.begin(&mut busy, worker, batch);
            }
            let Some(finished) = self.next_of(&mut busy).await else { break };
            let (worker, started, outcomes) =
                finished.map_err(|e| Error::new(Kind::Internal, "a worker ended without a word").caused_by(e))?;
            idle.push(worker);
            let seconds =
                started.elapsed().as_secs_f64() / f64::from(u32::try_from(outcomes.len()).unwrap_or(1).max(1));
            for (at, outcome) in outcomes {
                self.end(at, seconds, outcome).await?;
            }
            self.write_state(false).await?;
        }
        self.write_state(true).await?;
        self.ended.stopped = self.job.context.stop.is_stopped() && !self.schedule.is_done();
        Ok(())
    }

    /// The next batch that ends; none where no worker is busy. Meanwhile somebody may wish from elsewhere that the run stops.
    async fn next_of(&mut self, busy: &mut JoinSet<Finished>) -> Option<std::result::Result<Finished, JoinError>> {
        loop {
            // However fast tasks end, the look comes.
            let rest = BETWEEN_LOOKS.saturating_sub(self.looked.elapsed());
            if rest.is_zero() {
                self.heed().await;
                continue;
            }
            tokio::select! {
                biased;
                finished = busy.join_next() => return finished,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    async fn heed(&mut self) {
        self.looked = Instant::now();
        // A look that fails says nothing: where the session is lost, whatever needs it next will say so.
        let is_asked = self.job.ledger.is_asked_to_stop(self.leader).await.unwrap_or_default();
        if is_asked && !self.job.context.stop.is_stopped() {
            tracing::warn!("somebody asked this run to stop, from another session on the target");
            self.job.context.stop.stop();
        }
    }

    /// The tasks that are done together with `at`.
    fn batch(&mut self, at: usize, jobs: usize) -> Vec<usize> {
        if let Some(group) = self.job.together.get(&at) {
            return group.clone();
        }
        let mut batch = vec![at];
        batch.extend(self.schedule.next_like(at, batch::LARGEST, jobs));
        batch
    }

    fn begin(&self, busy: &mut JoinSet<Finished>, mut worker: Worker, batch: Vec<usize>) {
        for task in batch.iter().map(|at| &self.job.tasks[*at]) {
            self.job.context.events.send(Event::TaskStarted {
                task: task.id.clone(),
                phase: task.phase.word().into(),
                kind: task.kind.clone(),
                object: task.object(),
                worker: worker.number(),
            });
        }
        let span = tracing::Span::current();
        let work = async move {
            let started = Instant::now();
            let outcomes = worker.perform_many(&batch).await;
            (worker, started, outcomes)
        };
        busy.spawn(tracing::Instrument::instrument(work, span));
    }

    /// Writes lines that wait into the state file, about once a second: what they say is made to survive a crash of the target first, for
    /// a file that knows more than the ledger stops a resumed run.
    async fn write_state(&mut self, is_last: bool) -> Result<()> {
        let is_due = is_last || self.written.elapsed() >= BETWEEN_WRITES;
        let Some(state) = self.state.as_mut().filter(|_| is_due && !self.lines.is_empty()) else { return Ok(()) };
        self.job.ledger.flush(self.leader, self.job.run).await?;
        state.append(&std::mem::take(&mut self.lines))?;
        self.written = Instant::now();
        Ok(())
    }

    async fn end(&mut self, at: usize, seconds: f64, outcome: Outcome) -> Result<()> {
        let (status, effect, sqlstate, end) = match outcome {
            Outcome::Stopped => {
                self.tell(&self.job.tasks[at], "pending", &Effect::default(), seconds);
                return Ok(());
            }
            Outcome::Settled(status, effect) => (status, effect, String::new(), End::Settled),
            Outcome::Failed(error) => {
                tracing::error!(
                    "task {} ({}) failed: {}",
                    self.job.tasks[at].id,
                    self.job.tasks[at].object(),
                    error.chain()
                );
                let effect = Effect { note: error.chain(), ..Effect::default() };
                ("failed", effect, error.sqlstate.clone().unwrap_or_default(), End::Failed)
            }
        };
        self.tell(&self.job.tasks[at], status, &effect, seconds);
        self.lines.push(line(&self.job.tasks[at], status, &effect, (seconds, &sqlstate)));
        match end {
            End::Settled => self.ended.settled += 1,
            End::Failed => self.ended.failed += 1,
        }
        let blocked = self.schedule.end(at, end);
        self.block(&blocked, at).await
    }

    /// Records tasks that cannot be tried because `cause` failed.
    async fn block(&mut self, blocked: &[usize], cause: usize) -> Result<()> {
        let cause = &self.job.tasks[cause].id;
        for &at in blocked {
            let task = &self.job.tasks[at];
            let note = format!("not tried: it requires task {cause}, which is not done");
            self.job.ledger.fail(self.leader, self.job.run, &task.id, ("blocked", "", &note)).await?;
            let effect = Effect { note, ..Effect::default() };
            self.ended.failed += 1;
            self.tell(task, "blocked", &effect, 0.0);
            self.lines.push(line(task, "blocked", &effect, (0.0, "")));
        }
        Ok(())
    }

    fn tell(&self, task: &Task, status: &str, effect: &Effect, seconds: f64) {
        tracing::debug!("task {} ({}) {status} in {seconds:.3} s", task.id, task.object());
        self.job.context.events.send(Event::TaskFinished {
            task: task.id.clone(),
            phase: task.phase.word().into(),
            kind: task.kind.clone(),
            object: task.object(),
            status: status.into(),
            rows: effect.rows,
            bytes: effect.bytes,
            seconds,
            note: effect.note.clone(),
        });
    }
}

/// A task's line in the state file.
fn line(task: &Task, status: &str, effect: &Effect, end: (f64, &str)) -> Record {
    Record {
        task: task.id.clone(),
        phase: task.phase.word().into(),
        kind: task.kind.clone(),
        object: task.object(),
        mode: String::new(),
        format: task.format.clone(),
        status: status.into(),
        attempts: 1,
        planned_rows: task.rows.cast_signed(),
        planned_bytes: task.bytes.cast_signed(),
        rows: effect.rows.cast_signed(),
        bytes: effect.bytes.cast_signed(),
        hash: effect.hash.clone(),
        snapshot: effect.snapshot.clone(),
        begun: None,
        seconds: end.0,
        worker: None,
        sqlstate: end.1.into(),
        note: effect.note.clone(),
    }
}
