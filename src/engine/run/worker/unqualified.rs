//! Tasks that call functions whose bodies name objects without a schema, as indexes, CHECKs, generated columns and views may.
//!
//! Every session has an empty `search_path`, so such a name is not found. The task is done once more, in a new transaction whose statement
//! has the source database's `search_path`, for which the functions were written. A finding names the function, because a restore by other
//! programs, and each session with another `search_path`, fails in the same way. Called by `worker`, `live` and `order`.

use super::by_path::ByPath;
use super::{Settled, Worker};
use crate::action::Action;
use crate::engine::run::job::{Job, TaskExecution};
use crate::error::{Error, Result, Side};
use crate::finding::{Finding, Severity};
use crate::name::QualifiedName;
use crate::pg::{Session, search_path, unqualified};
use crate::plan::{Task, TaskKind};
use crate::record::Effect;
use std::sync::Arc;

/// Whether a task's statements evaluate expressions over rows, or plan those of generated columns and partition keys, which inlines
/// functions. Emptying a table builds its indexes.
fn evaluates(task: &Task) -> bool {
    match &task.kind {
        TaskKind::Entry(kind) => kind.evaluates(),
        kind => matches!(
            kind,
            TaskKind::Data | TaskKind::Truncate | TaskKind::FkValidation | TaskKind::Refresh | TaskKind::Analyze
        ),
    }
}

/// Whether a task that failed may succeed with the source database's `search_path`.
pub(super) fn may_lack_path(job: &Job, task: &Task, error: &Error) -> bool {
    let is_set = !matches!(job.search_path.trim(), "" | "\"\"");
    // Planning a query of a table reads its indexes, on the source, too.
    let is_of_side = error.context.side == Some(Side::Target) || task.is_data();
    is_set && error.is_undefined() && is_of_side && evaluates(task)
}

/// The error of a task that failed with both paths: a name that the second attempt did not find either does not exist.
pub(super) fn of_both(job: &Job, first: Error, second: Error) -> Error {
    if !second.is_undefined() {
        return second;
    }
    if function(&first).is_none() || first.remedy.is_some() {
        return first;
    }
    let remedy = format!("if it exists: {}, then {}", remedy(job, &first), Action::Resume);
    first.remedy(remedy)
}

/// Reports that a task was done with the source database's `search_path` after it had failed with `error` without that path.
pub(super) fn report(job: &Job, error: &Error) {
    let missing = error.server().map(|reply| reply.message.clone()).unwrap_or_default();
    let by = function(error).map(|name| format!(", and function {name} names it without a schema")).unwrap_or_default();
    let path = &job.search_path;
    let message = format!("{missing} under an empty search_path{by}: done under that of the source database, {path}");
    let object = error.context.object.clone().unwrap_or_default();
    job.report_once(Finding::new("unqualified_name", Severity::Warning, object, message, remedy(job, error)));
}

fn remedy(job: &Job, error: &Error) -> String {
    let path = &job.search_path;
    match function(error) {
        // A procedural language names its schema and arguments.
        Some(name) if name.contains('.') => format!("on both sides, ALTER FUNCTION {name} SET search_path = {path}"),
        Some(name) => format!("on both sides, ALTER FUNCTION ... SET search_path = {path}, for function {name}"),
        None => format!("on both sides, ALTER FUNCTION ... SET search_path = {path}, for the function that names it"),
    }
}

impl Worker {
    /// Which sessions have the path in a second attempt of these tasks.
    async fn second_path(&mut self, tasks: &[&Task]) -> Result<ByPath> {
        for task in tasks.iter().filter(|task| task.is_data()) {
            self.open_source().await?;
            let table = QualifiedName::new(&task.schema, &task.name).sql();
            if unqualified::names_objects(self.sessions()?.0, &table).await? {
                return Ok(ByPath::Target);
            }
        }
        Ok(ByPath::Both)
    }

    /// One attempt of a task; where a name is not found, a second one with the source database's `search_path`.
    pub(super) async fn attempt_by_path(&mut self, task: &Task, form: TaskExecution) -> Result<Settled> {
        let job = Arc::clone(&self.job);
        let first = match self.attempt(task, form).await {
            Err(error) if may_lack_path(&job, task, &error) => error.object(task.object()),
            result => return result,
        };
        self.clear(&first).await;
        self.by_path = self.second_path(&[task]).await?;
        let second = self.attempt(task, form).await;
        self.by_path = ByPath::None;
        judged(&job, first, second)
    }

    /// The same for a group of tasks in one transaction.
    pub(super) async fn attempt_together_by_path(
        &mut self,
        group: &[usize],
        as_text: Option<&str>,
    ) -> Result<Vec<Effect>> {
        let job = Arc::clone(&self.job);
        let first = match self.attempt_together(group, as_text).await {
            Err(error) if group.iter().all(|at| may_lack_path(&job, &job.tasks[*at], &error)) => error,
            result => return result,
        };
        self.clear(&first).await;
        let tasks: Vec<&Task> = group.iter().map(|at| &job.tasks[*at]).collect();
        self.by_path = self.second_path(&tasks).await?;
        let second = self.attempt_together(group, as_text).await;
        self.by_path = ByPath::None;
        judged(&job, first, second)
    }

    /// Runs statements of a task, in the second attempt with the source database's `search_path`.
    pub(super) async fn run_by_path(&mut self, sql: &str) -> Result<()> {
        self.target().await?;
        let target = self.target.as_ref().ok_or_else(super::no_session)?;
        self.enter_source_path(target).await?;
        target.batch(sql).await?;
        self.leave_source_path(target).await
    }

    pub(super) async fn enter_source_path(&self, session: &Session) -> Result<()> {
        if self.has_path(session) {
            session.batch(&search_path::of_transaction(&self.job.search_path)).await
        } else {
            Ok(())
        }
    }

    /// Sets the path back for what follows in the transaction, such as the ledger's row.
    pub(super) async fn leave_source_path(&self, session: &Session) -> Result<()> {
        if self.has_path(session) { session.batch(&search_path::of_transaction("")).await } else { Ok(()) }
    }

    fn has_path(&self, session: &Session) -> bool {
        match self.by_path {
            ByPath::None => false,
            ByPath::Target => session.side() == Side::Target,
            ByPath::Both => true,
        }
    }
}

/// The result of the second attempt.
fn judged<T>(job: &Job, first: Error, second: Result<T>) -> Result<T> {
    match second {
        Ok(done) => {
            report(job, &first);
            Ok(done)
        }
        Err(second) => Err(of_both(job, first, second)),
    }
}

/// The function whose body has the name.
fn function(error: &Error) -> Option<&str> {
    error.server()?.function.as_deref()
}
