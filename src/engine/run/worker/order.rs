//! Runs tasks one after another in the plan's order on one session; each is sent before the earlier ones are answered.
//!
//! Several tasks with their ledger rows are one message and so one transaction, which is cheaper for the server than one each. Where one of
//! them fails, all are undone and sent again by themselves. Each is then a transaction of its own, in one message or in four, so a failure
//! is that task's alone. What requires a failed task fails with it, because a task's ledger row is written only where the rows of the tasks
//! that it requires are. Tasks that were sent after them and failed are sent again, too, because they may have depended on them. The result
//! of a task is determined by the answers to its own statement and to the ledger's, never by the answer to COMMIT. After a lost session,
//! and after a stop, the server may still execute what it has received: the session is terminated there, and then the ledger shows what is
//! done. Called by `pool`.

mod share;

use super::retry::Pause;
use super::unqualified;
use super::unqualified::{may_lack_path, of_both};
use super::{Outcome, Worker, described, refused_optional};
use crate::engine::run::job::Job;
use crate::error::{Error, Result, Side};
use crate::event::Event;
use crate::ledger::order::Failure;
use crate::pg::pipeline::{self, Answer, Reply, Transaction};
use crate::pg::{Session, apply, search_path};
use crate::plan::Task;
use crate::record::Effect;
use crate::status::TaskStatus;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// The largest number of transactions in flight, and about how many bytes.
const WINDOW: usize = 400;
const WINDOW_BYTES: usize = 1 << 20;
/// How long a stop waits for the server to end the session.
const FAREWELL: Duration = Duration::from_secs(10);

/// The end of a task, reported while the worker goes on with others.
#[derive(Debug)]
pub struct FinishedTask {
    /// Its position in the plan.
    pub at: usize,
    /// How long it took.
    pub seconds: f64,
    /// How it ended.
    pub outcome: Outcome,
}

/// What was sent and is not answered yet.
enum Sent {
    Tasks(Message),
    Record(String, Answer),
}

/// Tasks of one transaction.
struct Message {
    tasks: Vec<usize>,
    bytes: usize,
    answers: Vec<Answer>,
}

/// The tasks and their state.
struct Order<'a> {
    job: &'a Job,
    position: HashMap<&'a str, usize>,
    /// Tasks that have not ended.
    open: BTreeSet<usize>,
    /// Tasks that have to wait for the next round.
    later: HashSet<usize>,
    failed: HashSet<usize>,
    sent: HashSet<usize>,
    /// Tasks that share no transaction, because one that they were in was undone.
    alone: HashSet<usize>,
    /// Tasks to be sent again once nothing is in flight.
    again: BTreeSet<usize>,
    attempts: HashMap<usize, u32>,
    /// Tasks that are done with the source database's `search_path`, and how they failed without it.
    by_path: HashMap<usize, Error>,
    flight: VecDeque<Sent>,
    bytes: usize,
    /// Statements for the ledger that are not in the transaction of a task.
    records: VecDeque<String>,
    ended: UnboundedSender<FinishedTask>,
    /// When the last answer was received.
    last: Instant,
    worker: usize,
    number: i32,
    /// The process on the target that may still be at work.
    backend: Option<i32>,
    /// Consecutive rounds in which no task was sent.
    idle_rounds: u32,
}

impl Worker {
    /// Runs tasks in the given order, and reports how each ended; tasks that require a failed one are not reported.
    pub async fn perform_in_order(&mut self, tasks: &[usize], ended: UnboundedSender<FinishedTask>) {
        let job = Arc::clone(&self.job);
        let mut order = Order::new(&job, tasks, ended, self.number, self.number_in_run());
        let mut pause = Pause::default();
        while !order.is_done() {
            let open = order.open.len();
            let round = tokio::select! {
                biased;
                () = job.context.stop.stopped() => None,
                result = self.go(&mut order) => Some(result),
            };
            match round {
                None => return self.stop_order(&mut order).await,
                Some(Ok(())) if order.is_done() => return,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    self.target = None;
                    order.lose(error);
                }
            }
            if !pause.wait(&job.context.stop).await {
                return self.stop_order(&mut order).await;
            }
            // The pause grows only after rounds that settle nothing.
            if order.open.len() < open {
                pause = Pause::default();
            }
        }
    }

    /// One round over all open tasks.
    async fn go(&mut self, order: &mut Order<'_>) -> Result<()> {
        let job = Arc::clone(&self.job);
        order.begin_round();
        let target = self.enter_order(order).await?;
        job.ledger.prepare_settling(target, job.run, order.number).await?;
        order.run(target).await?;
        job.ledger.end_order(target).await?;
        apply::limit_lock_wait(target, 0).await?;
        order.backend = None;
        Ok(())
    }

    /// Returns a session that is the only one to run tasks in order, after the backend of a lost one was terminated.
    async fn enter_order(&mut self, order: &mut Order<'_>) -> Result<&Session> {
        let job = Arc::clone(&self.job);
        let target = self.target().await?;
        let pid = target.backend_pid();
        if let Some(lost) = order.backend.replace(pid).filter(|lost| *lost != pid)
            && let Err(error) = apply::terminate(target, lost).await
        {
            order.backend = Some(lost);
            return Err(error);
        }
        job.ledger.lock_order(target).await?;
        order.find_settled(&job.ledger.settled_of(target, job.run, &order.open_ids()).await?);
        apply::limit_lock_wait(target, job.lock_timeout).await?;
        Ok(target)
    }

    /// Terminates the session on the server; what it has done by then is done, and the rest is unchanged.
    async fn stop_order(&mut self, order: &mut Order<'_>) {
        self.target = None;
        order.flight.clear();
        let entered = tokio::time::timeout(FAREWELL, self.enter_order(order)).await;
        if !matches!(entered, Ok(Ok(_))) {
            tracing::warn!(
                "the ledger could not be read: which of the last tasks are done is known when the run is resumed"
            );
        }
        self.target = None;
        let stopped: Vec<usize> = order.open.intersection(&order.sent.iter().copied().collect()).copied().collect();
        for at in stopped {
            order.end(at, Outcome::Stopped);
        }
    }
}

impl<'a> Order<'a> {
    fn new(job: &'a Job, tasks: &[usize], ended: UnboundedSender<FinishedTask>, worker: usize, number: i32) -> Self {
        Order {
            job,
            position: tasks.iter().map(|at| (job.tasks[*at].id.as_str(), *at)).collect(),
            open: tasks.iter().copied().collect(),
            later: HashSet::new(),
            failed: HashSet::new(),
            sent: HashSet::new(),
            alone: HashSet::new(),
            again: BTreeSet::new(),
            attempts: HashMap::new(),
            by_path: HashMap::new(),
            flight: VecDeque::new(),
            bytes: 0,
            records: VecDeque::new(),
            ended,
            last: Instant::now(),
            worker,
            number,
            backend: None,
            idle_rounds: 0,
        }
    }

    fn is_done(&self) -> bool {
        self.open.is_empty() && self.records.is_empty()
    }

    fn open_ids(&self) -> Vec<&'a str> {
        self.open.iter().map(|at| self.job.tasks[*at].id.as_str()).collect()
    }

    fn begin_round(&mut self) {
        self.later.clear();
        self.again.clear();
        self.flight.clear();
        self.bytes = 0;
        self.idle_rounds += 1;
        self.last = Instant::now();
    }

    /// The tasks of this order that a task requires.
    fn required(&self, at: usize) -> impl Iterator<Item = usize> {
        self.job.tasks[at].requires.iter().filter_map(|id| self.position.get(id.as_str()).copied())
    }

    fn requires_failed(&self, at: usize) -> bool {
        self.required(at).any(|other| self.failed.contains(&other))
    }

    fn requires_later(&self, at: usize) -> bool {
        self.required(at).any(|other| self.later.contains(&other))
    }

    fn find_settled(&mut self, settled: &[String]) {
        for at in settled.iter().filter_map(|id| self.position.get(id.as_str()).copied()).collect::<Vec<_>>() {
            if let Some(error) = self.by_path.remove(&at) {
                unqualified::report(self.job, &error);
            }
            self.end(at, Outcome::Settled(TaskStatus::Done, Effect::default()));
        }
    }

    /// Reports how a task ended.
    fn end(&mut self, at: usize, outcome: Outcome) {
        let seconds = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        self.end_after(seconds, at, outcome);
    }

    fn end_after(&mut self, seconds: f64, at: usize, outcome: Outcome) {
        self.open.remove(&at);
        // Without a receiver the run has ended already.
        let _ = self.ended.send(FinishedTask { at, seconds, outcome });
    }

    /// Counts the loss of a session against the task that was at work, or against all where none could be sent. Of several tasks that were
    /// at work together, the next round determines which one it was.
    fn lose(&mut self, error: Error) {
        let retries = self.job.retries;
        let records = std::mem::take(&mut self.flight).into_iter();
        let (mut first, mut unwritten) = (None, VecDeque::new());
        for sent in records {
            match sent {
                Sent::Tasks(message) => first = first.or(Some(message.tasks)),
                Sent::Record(sql, _) => unwritten.push_back(sql),
            }
        }
        unwritten.append(&mut self.records);
        self.records = unwritten;
        match first.as_deref() {
            Some([at]) => self.try_again(*at, error),
            Some(tasks) => {
                tracing::warn!("{} tasks in the plan's order: {}", tasks.len(), error.chain());
                self.alone.extend(tasks);
            }
            None if error.is_retryable() && self.idle_rounds <= retries => {
                tracing::warn!("tasks in the plan's order: {}", error.chain());
            }
            None => {
                self.records.clear();
                let chain = error.chain();
                for at in std::mem::take(&mut self.open) {
                    if !self.requires_failed(at) {
                        let cause = Error::new(error.name, error.kind, "").on(Side::Target).caused_by(chain.clone());
                        self.end(at, Outcome::Failed(Box::new(self.in_words(at, cause))));
                    }
                    self.failed.insert(at);
                }
            }
        }
    }

    /// Leaves a task that failed for the next round, or gives it up.
    fn try_again(&mut self, at: usize, error: Error) {
        let task = &self.job.tasks[at];
        let attempt = self.attempts.entry(at).or_default();
        *attempt += 1;
        if error.is_retryable() && *attempt <= self.job.retries {
            tracing::warn!("task {} ({}): attempt {attempt} failed: {}", task.id, task.object(), error.chain());
            let reason = error.chain();
            self.job.context.events.send(Event::TaskRetried { task: task.id.clone(), attempt: *attempt, reason });
            self.later.insert(at);
            self.records.push_back(self.job.ledger.counting(self.job.run, &task.id));
            return;
        }
        let error = self.in_words(at, error);
        let error = match self.by_path.remove(&at) {
            Some(first) => of_both(self.job, first, error),
            None => error,
        };
        let note = described(&error);
        let sqlstate = error.sqlstate.as_deref().unwrap_or_default();
        let failure = Failure { task: &task.id, worker: self.number, sqlstate, note: &note };
        self.records.push_back(self.job.ledger.failing(self.job.run, failure));
        self.failed.insert(at);
        self.end(at, Outcome::Failed(Box::new(error)));
    }

    fn in_words(&self, at: usize, mut error: Error) -> Error {
        let task = &self.job.tasks[at];
        error.doing = format!("creating {}", task.title());
        error.task(&task.id, task.phase.as_str()).object(task.object())
    }

    async fn run(&mut self, target: &Session) -> Result<()> {
        let mut next: VecDeque<usize> = self.open.iter().copied().collect();
        loop {
            self.fill(target, &mut next).await?;
            // It stays at the front until it is answered, because a loss is counted against it.
            match self.flight.front_mut() {
                None => return Ok(()),
                Some(Sent::Record(_, answer)) => {
                    let written = answer.wait(target).await;
                    if let Err(error) = written {
                        if target.is_closed() {
                            return Err(error);
                        }
                        tracing::error!("a row of the ledger could not be written: {}", error.chain());
                    }
                    self.flight.pop_front();
                }
                Some(Sent::Tasks(message)) => {
                    let reply = pipeline::reply(target, &mut message.answers).await?;
                    let tasks = std::mem::take(&mut message.tasks);
                    self.bytes -= message.bytes;
                    self.flight.pop_front();
                    self.conclude(target, tasks, reply).await?;
                }
            }
        }
    }

    /// Sends as much as the window allows.
    async fn fill(&mut self, target: &Session, next: &mut VecDeque<usize>) -> Result<()> {
        if !self.again.is_empty() {
            if !self.flight.is_empty() {
                return Ok(());
            }
            for at in std::mem::take(&mut self.again).into_iter().rev() {
                next.push_front(at);
            }
        }
        while self.flight.len() < WINDOW && self.bytes < WINDOW_BYTES {
            if let Some(sql) = self.records.pop_front() {
                let answer = target.send(&sql).await;
                match answer {
                    Ok(answer) => self.flight.push_back(Sent::Record(sql, answer)),
                    Err(error) => {
                        self.records.push_front(sql);
                        return Err(error);
                    }
                }
                continue;
            }
            let tasks = self.take_sharing(next);
            if !tasks.is_empty() {
                self.send(target, tasks).await?;
            } else if next.is_empty() {
                break;
            }
        }
        Ok(())
    }

    async fn send(&mut self, target: &Session, tasks: Vec<usize>) -> Result<()> {
        let job = self.job;
        let ids: Vec<&str> = tasks.iter().map(|at| job.tasks[*at].id.as_str()).collect();
        let together: HashSet<usize> = tasks.iter().copied().collect();
        let in_flight: BTreeSet<&str> = tasks
            .iter()
            .flat_map(|at| self.required(*at))
            .filter(|other| self.open.contains(other) && !together.contains(other))
            .map(|other| job.tasks[other].id.as_str())
            .collect();
        let record = job.ledger.settling(&ids, &Vec::from_iter(in_flight));
        let statements: Vec<&str> = tasks.iter().map(|at| job.tasks[*at].target_sql.as_str()).collect();
        // Tasks that share a transaction have no optional part.
        let optional_sql = self.optional_sql(&job.tasks[tasks[0]]);
        let mut sql = apply::joined(&statements);
        if self.by_path.contains_key(&tasks[0]) {
            let (path, empty) = (search_path::of_transaction(&job.search_path), search_path::of_transaction(""));
            sql = format!("{path};\n{sql}{empty}");
        }
        let messages = Transaction { purpose: ids[0], sql: &sql, optional_sql, record: &record }.messages();
        let mut answers = Vec::with_capacity(messages.len());
        for message in &messages {
            answers.push(target.send(message).await?);
        }
        let bytes = messages.iter().map(String::len).sum();
        self.bytes += bytes;
        self.idle_rounds = 0;
        for at in &tasks {
            if self.sent.insert(*at) {
                job.context.events.send(started(&job.tasks[*at], self.worker));
            }
        }
        self.flight.push_back(Sent::Tasks(Message { tasks, bytes, answers }));
        Ok(())
    }

    async fn conclude(&mut self, target: &Session, tasks: Vec<usize>, reply: Reply) -> Result<()> {
        match reply {
            Reply::Committed(refused) => {
                self.conclude_committed(&tasks, refused);
                Ok(())
            }
            Reply::Undone(error) if tasks.len() > 1 => {
                tracing::debug!("{} tasks are done one by one: {}", tasks.len(), error.chain());
                self.alone.extend(&tasks);
                self.again.extend(tasks);
                Ok(())
            }
            Reply::Undone(error) => self.conclude_undone(target, tasks[0], error).await,
        }
    }

    fn conclude_committed(&mut self, tasks: &[usize], refused: Option<Error>) {
        if let Some(error) = self.by_path.remove(&tasks[0]) {
            unqualified::report(self.job, &error);
        }
        let first = &self.job.tasks[tasks[0]];
        let note = refused.map(|error| refused_optional(self.job, first, &error)).unwrap_or_default();
        if !note.is_empty() {
            self.records.push_back(self.job.ledger.noting(self.job.run, &first.id, &note));
        }
        #[expect(clippy::cast_precision_loss, reason = "a handful of tasks")]
        let seconds = self.last.elapsed().as_secs_f64() / tasks.len() as f64;
        self.last = Instant::now();
        for at in tasks {
            self.end_after(
                seconds,
                *at,
                Outcome::Settled(TaskStatus::Done, Effect { note: note.clone(), ..Effect::default() }),
            );
        }
    }

    async fn conclude_undone(&mut self, target: &Session, at: usize, error: Error) -> Result<()> {
        let task = &self.job.tasks[at];
        if self.requires_failed(at) {
            self.open.remove(&at);
            self.failed.insert(at);
        } else if self.requires_later(at) {
            self.later.insert(at);
        } else if !self.again.is_empty() {
            self.again.insert(at);
        } else if error.is(NOT_RECORDED) && self.job.ledger.is_settled(target, self.job.run, &task.id).await? {
            self.end(at, Outcome::Settled(TaskStatus::Done, Effect::default()));
        } else if !self.by_path.contains_key(&at) && may_lack_path(self.job, task, &error) {
            self.by_path.insert(at, self.in_words(at, error));
            self.alone.insert(at);
            self.again.insert(at);
        } else {
            self.try_again(at, error);
        }
        Ok(())
    }
}

/// The SQLSTATE with which the ledger's statement undoes a message.
const NOT_RECORDED: &str = "22012";

/// The event of a task that a worker has taken.
pub fn started(task: &Task, worker: usize) -> Event {
    Event::TaskStarted {
        task: task.id.clone(),
        phase: task.phase,
        kind: task.kind.to_string(),
        object: task.object(),
        worker,
    }
}
