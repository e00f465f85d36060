//! One worker: it does one task at a time, each in one transaction of the target together with its ledger row.
//!
//! A worker keeps a session on each side and opens them when first needed. A failed attempt is rolled back; the SQLSTATE of the error
//! decides whether it is made again. The attempt after a lost connection asks the ledger first, so that work whose confirmation was lost is
//! not done twice. Driven by `pool`.

pub mod batch;
mod by_path;
mod emptying;
mod live;
mod one;
pub mod order;
mod privileges;
mod refresh;
mod retry;
mod rows;
pub mod statistics;
mod unqualified;

use super::job::{Job, TaskExecution};
use super::lost::end_lost;
use crate::action;
use crate::catalog::object_kind::ObjectKind;
use crate::engine::stop_token::interrupted;
use crate::error::{Error, Kind, Result, Side};
use crate::event::Event;
use crate::finding::{Finding, Severity};
use crate::ledger::TaskFailure;
use crate::name::{QualifiedName, ident};
use crate::pg::apply::{self, Orphans};
use crate::pg::backend::{self, Backend};
use crate::pg::{Session, snapshot, table_lock};
use crate::plan::foreign_key::{self, ForeignKey};
use crate::plan::{Task, TaskKind};
use crate::record::Effect;
use crate::status::TaskStatus;
use by_path::ByPath;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// How a task ended.
#[derive(Debug)]
pub enum Outcome {
    /// It is on the target and in the ledger; the status there, and what it did.
    Settled(TaskStatus, Effect),
    /// It failed for good.
    Failed(Box<Error>),
    /// The run was asked to stop; the task is as it was before.
    Stopped,
}

/// Interval between progress reports.
const PROGRESS: Duration = Duration::from_millis(100);

/// How a task ended that is on the target and in the ledger: its status there, and what it did.
pub type Settled = (TaskStatus, Effect);

/// A worker.
pub struct Worker {
    number: usize,
    job: Arc<Job>,
    source: Option<Session>,
    target: Option<Session>,
    /// Tables that the source session has locked and found as the snapshot contains them.
    guarded: HashSet<QualifiedName>,
    /// Which statements of tasks resolve names by the source database's `search_path`.
    by_path: ByPath,
    /// Whether the last error was the reader's refusal of a table.
    is_refused: bool,
    /// The server process of the target session.
    backend: Option<Backend>,
    /// The one of a target session that was lost.
    lost: Option<Backend>,
}

impl Worker {
    /// A worker of the run.
    #[must_use]
    pub fn new(number: usize, job: Arc<Job>) -> Self {
        Worker {
            number,
            job,
            source: None,
            target: None,
            guarded: HashSet::new(),
            by_path: ByPath::None,
            is_refused: false,
            backend: None,
            lost: None,
        }
    }

    /// Its number, from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// Its number in the ledger, which no worker of another process has.
    fn number_in_run(&self) -> i32 {
        self.job.first_worker.saturating_add(i32::try_from(self.number).unwrap_or(i32::MAX))
    }

    /// Cancels what runs on both servers and forgets the sessions; the transactions roll back with them.
    async fn abandon(&mut self, task: &Task) -> Outcome {
        let sessions = [self.source.take(), self.target.take()];
        for session in sessions.iter().flatten() {
            // A server that does not answer the request ends the statement when the connection goes.
            let _ = session.canceller().cancel().await;
        }
        drop(sessions);
        tracing::info!("task {} ({}): {}", task.id, task.object(), interrupted());
        Outcome::Stopped
    }

    /// After a failed attempt: nothing of it stays open.
    async fn clear(&mut self, error: &Error) {
        let is_refused = std::mem::take(&mut self.is_refused);
        // Any error in the reader's transaction aborts it and loses its snapshot, except the refusal of a table, which a savepoint undid.
        if !is_refused {
            self.source = None;
        }
        let is_lost = error.is_retryable() || error.sqlstate.is_none() && !is_refused;
        if error.kind == Kind::Connect {
            self.lost = self.backend.take().or(self.lost.take());
        }
        match &self.target {
            Some(target) if !is_lost && !target.is_closed() && apply::rollback(target).await.is_ok() => {}
            _ => self.target = None,
        }
    }

    /// Whether another part of the run has done the task meanwhile, and only blocked this one.
    async fn is_settled(&mut self, task: &Task) -> bool {
        let job = Arc::clone(&self.job);
        match self.target().await {
            Ok(target) => job.ledger.is_settled(target, job.run, &task.id).await.unwrap_or(false),
            Err(_) => false,
        }
    }

    async fn give_up(&mut self, task: &Task, error: Error) -> Outcome {
        if let Some(effect) = self.go_without_statistics(task, &error).await {
            return Outcome::Settled(TaskStatus::Skipped, effect);
        }
        let note = described(&error);
        let failure = TaskFailure {
            status: TaskStatus::Failed,
            sqlstate: error.sqlstate.as_deref().unwrap_or_default(),
            note: &note,
        };
        let job = Arc::clone(&self.job);
        if let Ok(target) = self.target().await
            && let Err(second) = job.ledger.fail(target, job.run, &task.id, failure).await
        {
            tracing::error!("task {}: its failure could not be recorded: {}", task.id, second.chain());
        }
        Outcome::Failed(Box::new(error))
    }

    async fn target(&mut self) -> Result<&Session> {
        if self.target.as_ref().is_some_and(Session::is_closed) {
            self.target = None;
            self.lost = self.backend.take().or(self.lost.take());
        }
        if self.target.is_none() {
            let mut session = Session::open(&self.job.target().conninfo, Side::Target, "worker").await?;
            session.set_copy_encoding(self.job.encoding.clone());
            // A backend that the network has kept from ending would hold its locks against the next attempt.
            if let Some(lost) = &self.lost {
                end_lost(&session, lost).await?;
            }
            self.lost = None;
            let backend = backend::identify(&session).await?;
            self.note_session(&session, &backend).await?;
            self.backend = Some(backend);
            self.target = Some(session);
        }
        self.target.as_ref().ok_or_else(no_session)
    }

    /// Notes a session in the ledger, under the leader that the process has when the note is written.
    async fn note_session(&self, session: &Session, backend: &Backend) -> Result<()> {
        let mut entry = self.job.session_entry(backend);
        self.job.ledger.add_session(session, &entry).await?;
        while entry.leader != self.job.target().leader {
            let newer = self.job.session_entry(backend);
            self.job.ledger.add_session(session, &newer).await?;
            self.job.ledger.forget_sessions(session, self.job.run, &[entry]).await?;
            entry = newer;
        }
        Ok(())
    }

    /// Opens the reader, in the run's snapshot where it has one.
    async fn open_source(&mut self) -> Result<()> {
        if self.source.as_ref().is_some_and(|session| !session.is_closed()) {
            return Ok(());
        }
        let mut session = Session::open(&self.job.source, Side::Source, "reader").await?;
        session.set_copy_encoding(self.job.encoding.clone());
        apply::limit_lock_wait(&session, self.job.lock_timeout).await?;
        snapshot::join(&session, &self.job.snapshot).await?;
        self.source = Some(session);
        self.guarded.clear();
        Ok(())
    }

    /// Opens the reader, and makes it lock and check the tables that these data tasks read: once per table and session.
    async fn open_source_of(&mut self, tasks: impl Iterator<Item = &Task>) -> Result<()> {
        self.open_source().await?;
        let tables: HashSet<QualifiedName> = tasks.map(Task::source_table).collect();
        let new: Vec<QualifiedName> = tables.difference(&self.guarded).cloned().collect();
        if let Some(source) = &self.source {
            let guarded = table_lock::guard(source, &new).await;
            self.is_refused = guarded.is_err() && !source.is_closed();
            guarded?;
        }
        self.guarded.extend(new);
        Ok(())
    }

    fn sessions(&self) -> Result<(&Session, &Session)> {
        match (&self.source, &self.target) {
            (Some(source), Some(target)) => Ok((source, target)),
            _ => Err(Error::new("worker_session_missing", Kind::Internal, "a worker has no session")),
        }
    }

    async fn attempt(&mut self, task: &Task, form: TaskExecution) -> Result<(TaskStatus, Effect)> {
        let job = Arc::clone(&self.job);
        let number = self.number_in_run();
        let target = self.target().await?;
        if !job.ledger.start(target, job.run, &task.id, number).await? {
            return Ok((TaskStatus::Done, Effect::default()));
        }
        match task.kind {
            TaskKind::Data => self.copy_rows(task, form).await,
            TaskKind::SequenceValue => self.set_sequence(task, form).await,
            TaskKind::LargeObjects => self.copy_large_objects(task).await,
            TaskKind::Role => self.make_role(task).await,
            TaskKind::Entry(ObjectKind::Index) => self.build_view_index(task).await,
            TaskKind::Refresh => self.refresh(task).await,
            TaskKind::Entry(ObjectKind::Constraint) => self.add_key(task).await,
            TaskKind::Entry(ObjectKind::FkConstraint) => self.add_foreign_key(task).await,
            TaskKind::FkValidation if let Some(key) = task.foreign_key() => self.validate(task, key).await,
            TaskKind::Truncate => self.empty(task, form).await,
            TaskKind::FkDrop => self.take_keys(task).await,
            TaskKind::FkRestore => self.bring_keys_back(task).await,
            TaskKind::FkCheck => self.check_keys(task).await,
            TaskKind::Entry(ObjectKind::StatisticsData) => self.bring_statistics(task, form).await,
            TaskKind::Entry(ObjectKind::Acl | ObjectKind::DefaultAcl) | TaskKind::DatabaseAcl => self.grant(task).await,
            TaskKind::Membership => self.add_member(task).await,
            TaskKind::PrivilegeCheck => self.check_privileges(task).await,
            _ => self.run_statement(task).await,
        }
    }

    async fn begin(&mut self, task: &Task) -> Result<()> {
        let (timeout, id) = (self.job.lock_timeout, task.id.clone());
        apply::begin(self.target().await?, timeout, &id).await
    }

    /// The end of every task: the ledger's row, and the commit of both.
    async fn settle(&mut self, task: &Task, status: TaskStatus, effect: Effect) -> Result<(TaskStatus, Effect)> {
        let job = Arc::clone(&self.job);
        let target = self.target().await?;
        job.ledger.finish(target, job.run, &task.id, status, &effect).await?;
        apply::commit(target).await?;
        Ok((status, effect))
    }

    /// An index that an interrupted build left unusable is built again; an existing one of the name must be the one that the plan makes.
    async fn build_index(&mut self, task: &Task) -> Result<(TaskStatus, Effect)> {
        self.begin(task).await?;
        self.tune(task).await?;
        let name = QualifiedName::new(&task.schema, &task.name);
        let target = self.target().await?;
        match apply::find_index(target, &name.sql()).await? {
            Some(found) if found.is_usable && found.is_made_by(&task.target_sql) => {
                let effect = Effect { note: "it existed on the target and was kept".into(), ..Effect::default() };
                return self.settle(task, TaskStatus::Kept, effect).await;
            }
            Some(found) if !found.is_made_by(&task.target_sql) => return Err(other_index(name.to_string())),
            Some(_) => apply::drop_index(target, &name.sql()).await?,
            None => {}
        }
        self.finish_statement(task).await
    }

    async fn tune(&mut self, task: &Task) -> Result<()> {
        let job = Arc::clone(&self.job);
        job.tuning.apply(self.target().await?, task).await
    }

    async fn run_statement(&mut self, task: &Task) -> Result<(TaskStatus, Effect)> {
        self.begin(task).await?;
        self.tune(task).await?;
        self.finish_statement(task).await
    }

    async fn finish_statement(&mut self, task: &Task) -> Result<(TaskStatus, Effect)> {
        self.target().await?.forget_warnings();
        self.run_by_path(&task.target_sql).await.map_err(|mut error| {
            error.doing = format!("creating {}", task.title());
            error
        })?;
        let warned = self.warned(task).await?;
        let refused = self.try_optional(task).await?;
        let note = [warned, refused].into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("; ");
        self.settle(task, TaskStatus::Done, Effect { note, ..Effect::default() }).await
    }

    /// A key that makes its own index. An index of the name that belongs to no constraint, left by an interrupted run or made by hand, is
    /// replaced where it is the same.
    async fn add_key(&mut self, task: &Task) -> Result<(TaskStatus, Effect)> {
        let error = match self.run_statement(task).await {
            Err(error) if error.is("42P07") => error,
            result => return result,
        };
        apply::rollback(self.target().await?).await?;
        self.begin(task).await?;
        let target = self.target().await?;
        let Some(index) = apply::index_in_the_way(target, &task.schema, &task.name).await? else { return Err(error) };
        let found = apply::find_index(target, &index).await?;
        apply::drop_index(target, &index).await?;
        self.run_by_path(&task.target_sql).await?;
        let target = self.target().await?;
        let made = apply::find_index(target, &index).await?;
        if found.map(|found| found.statement) != made.map(|made| made.statement) {
            return Err(other_index(index));
        }
        self.settle(task, TaskStatus::Done, Effect::default()).await
    }

    /// A foreign key that is added and checked at once, unless the plan has its check as a task of its own.
    async fn add_foreign_key(&mut self, task: &Task) -> Result<(TaskStatus, Effect)> {
        let Some(key) = task.foreign_key() else { return self.run_statement(task).await };
        match self.run_statement(task).await {
            Err(error) if error.is("23503") => {
                apply::rollback(self.target().await?).await?;
                self.run_apart(&foreign_key::unchecked(&task.target_sql)).await?;
                Err(self.orphans(key, error).await?)
            }
            // An earlier attempt has left it NOT VALID, because of rows that may be corrected by now.
            Err(error) if error.is("42710") && self.is_left_unchecked(task, key).await? => {
                tracing::debug!("{}", error.chain());
                self.validate(task, key).await
            }
            result => result,
        }
    }

    async fn run_apart(&mut self, sql: &str) -> Result<()> {
        let timeout = self.job.lock_timeout;
        let target = self.target().await?;
        apply::begin(target, timeout, "foreign key").await?;
        target.batch(sql).await?;
        apply::commit(target).await
    }

    async fn is_left_unchecked(&mut self, task: &Task, key: &ForeignKey) -> Result<bool> {
        let target = self.target().await?;
        apply::rollback(target).await?;
        let found = apply::constraint(target, &key.table.sql(), &ident(&key.name)).await?.unwrap_or_default();
        Ok(found.ends_with(" NOT VALID") && foreign_key::unchecked(&task.target_sql).ends_with(&found))
    }

    async fn validate(&mut self, task: &Task, key: &ForeignKey) -> Result<(TaskStatus, Effect)> {
        self.begin(task).await?;
        self.tune(task).await?;
        match self.run_by_path(&key.validation()).await {
            Ok(()) => self.settle(task, TaskStatus::Done, Effect::default()).await,
            Err(error) if error.is("23503") => Err(self.orphans(key, error).await?),
            Err(error) => Err(error),
        }
    }

    /// Orphan rows leave the constraint NOT VALID; the error reports how many there are and how to list them.
    async fn orphans(&mut self, key: &ForeignKey, error: Error) -> Result<Error> {
        let target = self.target().await?;
        apply::rollback(target).await?;
        let found = apply::orphans(target, &key.table.sql(), &ident(&key.name)).await?;
        let Some(Orphans { count, query }) = found else { return Ok(error) };
        let doing =
            format!("validating a foreign key: {count} rows reference nothing, and the constraint stays NOT VALID");
        let reported =
            Error::new("orphan_rows", Kind::Schema, doing).on(Side::Target).remedy(format!("list them with: {query}"));
        Ok(match error.server().cloned() {
            Some(reply) => reported.caused_by_server(reply),
            None => error,
        })
    }

    /// Runs a task's optional statements; returns a description of what the target refuses, which is also a finding.
    async fn try_optional(&mut self, task: &Task) -> Result<String> {
        self.try_optional_sql(task, &task.optional_sql).await
    }

    async fn try_optional_sql(&mut self, task: &Task, sql: &str) -> Result<String> {
        let refused = apply::optional(self.target().await?, sql).await?;
        Ok(refused.map(|error| refused_optional(&self.job, task, &error)).unwrap_or_default())
    }
}

fn no_session() -> Error {
    Error::new("worker_session_missing", Kind::Internal, "a worker has no session on the target")
}

/// An error as the ledger keeps it.
fn described(error: &Error) -> String {
    let chain = error.chain();
    error.remedy.as_deref().map_or(chain.clone(), |remedy| format!("{chain}; {}", action::plain(remedy)))
}

/// Reports that the target refused a task's optional statements; the note for its row.
fn refused_optional(job: &Job, task: &Task, error: &Error) -> String {
    let note = format!("refused by the target: {}", error.chain());
    let remedy = match task.kind {
        TaskKind::LargeObjects => format!("as a role that may, run for each of their OIDs: {}", task.optional_sql),
        _ => format!("as a role that may, run: {}", task.optional_sql),
    };
    let finding = Finding::new("refused", Severity::Warning, task.object(), note.clone(), remedy);
    job.context.events.send(Event::Found(finding));
    tracing::warn!("{}: {note}", task.object());
    note
}

fn other_index(name: String) -> Error {
    Error::new("index_name_taken", Kind::Schema, "the target has another index of this name")
        .object(name)
        .on(Side::Target)
        .remedy("compare both definitions, and drop or rename the target's index")
}
