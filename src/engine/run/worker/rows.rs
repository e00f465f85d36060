//! The tasks that move data: rows of tables, values of sequences, large objects, and the emptying of a table before its rows.
//!
//! Each is one transaction of the target together with its ledger row, and is settled only where the target has stored what the source
//! sent. Called by `worker`; `batch` does several small tables at once, `live` tables that reference each other.

use super::{PROGRESS, Worker, refused_optional};
use crate::action::Action;
use crate::engine::run::job::TaskExecution;
use crate::error::{Error, Kind, Result, Side};
use crate::event::Event;
use crate::ledger::TaskFailure;
use crate::name::QualifiedName;
use crate::pg::copy::large_object;
use crate::pg::copy::large_object::Obstacle;
use crate::pg::copy::{self, Copied, Copy};
use crate::pg::triggers::Silenced;
use crate::pg::{apply, merge};
use crate::plan::Task;
use crate::plan::merge::Merge;
use crate::plan::merge::STAGE;
use crate::record::{Effect, RowMode};
use crate::row_format::RowFormat;
use crate::status::TaskStatus;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

/// The error codes besides class 22 that a type's receive function may raise where it refuses what another server sent.
const REFUSED_AS_BINARY: [&str; 2] = ["XX000", "08P01"];

/// Whether rows that could not be sent in binary may be sent as text.
pub(super) fn may_be_text(error: &Error) -> bool {
    error.sqlstate.as_deref().is_some_and(|code| code.starts_with("22") || REFUSED_AS_BINARY.contains(&code))
}

/// The report's note for rows that were sent as text because of `error`.
pub(super) fn as_text(error: &Error) -> String {
    format!("copied as text, because binary was refused: {}", error.chain())
}

impl Worker {
    /// Copies a task's rows; once more as text where a type refuses its binary form.
    pub(super) async fn copy_rows(&mut self, task: &Task, form: TaskExecution) -> Result<(TaskStatus, Effect)> {
        let error = match self.copy_rows_once(task, form, "").await {
            Err(error) if form.format == RowFormat::Binary && may_be_text(&error) => error,
            result => return result,
        };
        tracing::warn!("task {} ({}): tried again as text: {}", task.id, task.object(), error.chain());
        self.clear(&error).await;
        self.copy_rows_once(task, TaskExecution { format: RowFormat::Text, ..form }, &as_text(&error)).await
    }

    async fn copy_rows_once(&mut self, task: &Task, form: TaskExecution, note: &str) -> Result<(TaskStatus, Effect)> {
        self.open_source_of(std::iter::once(task)).await?;
        self.begin(task).await?;
        let (mut effect, silenced) =
            self.bring_rows(task, form, true).await.map_err(|error| of_configuration(error, form))?;
        effect.note = joined([note, &effect.note]);
        silenced.restore(self.target().await?).await?;
        self.settle(task, TaskStatus::Done, effect).await
    }

    /// Copies a task's rows within the open transaction; triggers stay disabled where they are to be. `is_alone` says whether the
    /// transaction is the task's own.
    pub(super) async fn bring_rows(
        &mut self,
        task: &Task,
        form: TaskExecution,
        is_alone: bool,
    ) -> Result<(Effect, Silenced)> {
        let load = task.load().ok_or_else(|| {
            Error::new("copy_statement_invalid", Kind::State, "the plan's target_sql is not a COPY into a table")
                .object(task.object())
        })?;
        let into = load.into.sql();
        let into = into.as_str();
        let silenced = self.silence(task, into, form).await?;
        let (_, target) = self.sessions()?;
        let from = form.format.apply(&task.source_sql);
        let mut progress = self.progress(task);
        let mut effect = Effect { snapshot: self.job.snapshot.text.clone(), ..Effect::default() };
        let mut refused = String::new();
        let is_staged = form.mode == RowMode::Merge || form.mode == RowMode::Replace && !task.merge_sql.is_empty();
        let copied = if is_staged {
            merge::create_stage(target, into).await?;
            let stage = form.format.apply(&format!("COPY {STAGE}{} FROM STDIN", load.column_list()));
            let copied = self.copy_by_path(Copy { from, into: stage, format: form.format }, &mut progress).await?;
            refused = self.delete_replaced(task, form).await?;
            let (rows, kept) = self.merge_rows(task, copied, is_alone).await.map_err(as_copy)?;
            effect.rows = rows;
            if kept > 0 {
                effect.note = format!("{kept} rows whose key the target had were kept as they were there");
            }
            copied
        } else {
            let into_sql = if form.is_frozen {
                apply::empty(target, into).await?;
                form.format.apply_frozen(&task.target_sql)
            } else {
                refused = self.delete_replaced(task, form).await?;
                form.format.apply(&task.target_sql)
            };
            let copied = self.copy_by_path(Copy { from, into: into_sql, format: form.format }, &mut progress).await?;
            self.check_stored(into, copied.sent.rows, copied.written).await?;
            effect.rows = copied.written;
            copied
        };
        effect.bytes = copied.sent.bytes;
        effect.hash = copied.sent.hash_text();
        effect.format = Some(form.format);
        effect.note = joined([&effect.note, &silenced.note(), &refused]);
        Ok((effect, silenced))
    }

    async fn copy_by_path(&self, copy: Copy, progress: impl FnMut(u64, u64)) -> Result<Copied> {
        let (source, target) = self.sessions()?;
        self.enter_source_path(source).await?;
        self.enter_source_path(target).await?;
        let copied = copy::copy_one(source, target, copy, progress).await?;
        self.leave_source_path(source).await?;
        self.leave_source_path(target).await?;
        Ok(copied)
    }

    /// Deletes the rows that CREATE EXTENSION has inserted in place of a configuration table's rows; returns what the target refuses of it,
    /// as text.
    async fn delete_replaced(&self, task: &Task, form: TaskExecution) -> Result<String> {
        if form.mode != RowMode::Replace {
            return Ok(String::new());
        }
        let refused = apply::optional(self.sessions()?.1, &task.optional_sql).await?;
        Ok(refused.map(|error| refused_optional(&self.job, task, &error)).unwrap_or_default())
    }

    /// Adds the rows of the staging table to their table; returns how many were stored, and how many the table had already.
    async fn merge_rows(&self, task: &Task, staged: Copied, is_alone: bool) -> Result<(u64, u64)> {
        let no_merge = || {
            Error::new(
                "merge_key_missing",
                Kind::State,
                "the plan's merge_sql names no key by which rows are identified",
            )
            .object(task.object())
            .remedy("make a new plan")
        };
        let statement = task.load().and_then(Merge::of).ok_or_else(no_merge)?;
        self.check_stored(STAGE, staged.sent.rows, staged.written).await?;
        let (_, target) = self.sessions()?;
        self.enter_source_path(target).await?;
        let merged = merge::merge(target, &statement, staged.written, is_alone).await?;
        self.leave_source_path(target).await?;
        self.check_stored(&statement.into, merged.expected, merged.written).await?;
        Ok((merged.written, merged.kept))
    }

    /// Fails where the target has stored another number of rows than it was sent, and names what may be the cause on the target.
    async fn check_stored(&self, into: &str, sent: u64, stored: u64) -> Result<()> {
        if sent == stored {
            return Ok(());
        }
        let (_, target) = self.sessions()?;
        let (causes, remedy) = apply::in_words(&apply::losses(target, into, apply::Change::Add).await?);
        let doing = format!("{sent} rows were sent and {stored} stored: {causes}");
        Err(Error::new("rows_not_stored", Kind::Copy, doing).on(Side::Target).remedy(remedy))
    }

    fn progress(&self, task: &Task) -> impl FnMut(u64, u64) + use<> {
        let (events, id, phase) = (self.job.context.events.clone(), task.id.clone(), task.phase);
        let mut last = Instant::now();
        move |rows, bytes| {
            if last.elapsed() >= PROGRESS {
                last = Instant::now();
                events.send(Event::TaskProgress { task: id.clone(), phase, rows, bytes });
            }
        }
    }

    /// An existing sequence keeps its value where it is ahead: values that the target has given out stay given out.
    pub(super) async fn set_sequence(&mut self, task: &Task, form: TaskExecution) -> Result<(TaskStatus, Effect)> {
        self.open_source().await?;
        self.begin(task).await?;
        // Several parts may set it, each after its own rows. The value is read under the lock, so the last part to set it has read it last.
        let job = Arc::clone(&self.job);
        if job.is_part && !job.ledger.lock_task(self.target().await?, job.run, &task.id).await? {
            apply::rollback(self.target().await?).await?;
            return Ok((TaskStatus::Done, Effect::default()));
        }
        let (source, target) = self.sessions()?;
        let wanted = apply::sequence_value(source, &task.source_sql).await?;
        let mut effect = Effect::default();
        if form.mode == RowMode::Forward
            && apply::is_ahead(apply::sequence_value(target, &task.source_sql).await?, wanted)
        {
            effect.note = "the target's value is ahead of the source's and was kept".into();
            return self.settle(task, TaskStatus::Kept, effect).await;
        }
        apply::set_sequence(target, &task.target_sql, wanted).await?;
        let found = apply::sequence_value(target, &task.source_sql).await?;
        if found != wanted && !apply::is_ahead(found, wanted) {
            let doing = format!("the sequence was set to {} and is at {}", wanted.0, found.0);
            return Err(Error::new("sequence_value", Kind::Copy, doing)
                .on(Side::Target)
                .remedy("compare the sequence's definitions on both servers"));
        }
        self.settle(task, TaskStatus::Done, effect).await
    }

    /// Copies a batch. For an object that cannot be copied the task fails with an error that has its OID; the others are kept, also by a
    /// task that is done again.
    pub(super) async fn copy_large_objects(&mut self, task: &Task) -> Result<(TaskStatus, Effect)> {
        self.open_source().await?;
        self.begin(task).await?;
        let (source, target) = self.sessions()?;
        let batch = task.large_object_batch().ok_or_else(|| no_batch(task))?;
        let large_object::CopiedObjects { mut effect, failed } =
            large_object::copy(source, target, &batch.oids).await?;
        effect.snapshot.clone_from(&self.job.snapshot.text);
        let left_out: HashSet<u32> = failed.iter().map(|(oid, _)| *oid).collect();
        target.batch(&batch.comments_sql(|oid| !left_out.contains(&oid))).await?;
        let copied = batch.oids.iter().copied().filter(|oid| !left_out.contains(oid));
        let refused = self.try_optional_sql(task, &batch.owner_sql(copied)).await?;
        effect.note = joined([&effect.note, &refused]);
        if failed.is_empty() {
            return self.settle(task, TaskStatus::Done, effect).await;
        }
        let error = not_copied(&failed, batch.oids.len());
        let job = Arc::clone(&self.job);
        let target = self.target().await?;
        job.ledger
            .fail(
                target,
                job.run,
                &task.id,
                TaskFailure { status: TaskStatus::Failed, sqlstate: "", note: &error.chain() },
            )
            .await?;
        apply::commit(target).await?;
        Err(error)
    }

    pub(super) async fn empty(&mut self, task: &Task, form: TaskExecution) -> Result<(TaskStatus, Effect)> {
        self.begin(task).await?;
        let table = QualifiedName::new(&task.schema, &task.name).sql();
        let silenced = self.silence(task, &table, form).await?;
        self.target().await?;
        let target = self.target.as_ref().ok_or_else(super::no_session)?;
        self.enter_source_path(target).await?;
        apply::empty(target, &table).await?;
        self.leave_source_path(target).await?;
        let note = silenced.note();
        silenced.restore(target).await?;
        self.settle(task, TaskStatus::Done, Effect { note, ..Effect::default() }).await
    }
}

/// The error of a task without the fields that its code needs, which the reader of plans refuses.
fn no_batch(task: &Task) -> Error {
    Error::new("plan_unreadable", Kind::State, format!("{} lists no large objects", task.title()))
        .remedy(format!("make a new plan with {}", Action::Plan))
}

/// The error of a configuration table that the target's version of its extension lacks, or that has other columns there.
fn of_configuration(error: Error, form: TaskExecution) -> Error {
    if form.mode != RowMode::Replace || !(error.is("42P01") || error.is("42703")) {
        return error;
    }
    error.remedy(
        "the version of the extension on the target has no such configuration table or column: install the source's version there, \
         or leave the table out with tables.exclude",
    )
}

fn as_copy(mut error: Error) -> Error {
    error.kind = if error.kind == Kind::Schema { Kind::Copy } else { error.kind };
    error
}

pub(super) fn joined<const N: usize>(notes: [&str; N]) -> String {
    notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("; ")
}

/// The failure of a batch some of whose objects could not be copied.
fn not_copied(failed: &[(u32, Obstacle)], all: usize) -> Error {
    let kinds = [
        (Obstacle::Taken, "the target has other large objects of these OIDs"),
        (Obstacle::Unreadable, "the target has large objects of these OIDs, which the role may not read"),
        (Obstacle::Gone, "dropped from the source since the plan was made"),
        (Obstacle::Short, "the target stored another number of bytes than were sent"),
    ];
    let mut parts = Vec::new();
    for (kind, words) in kinds {
        let oids: Vec<String> = failed.iter().filter(|(_, why)| *why == kind).map(|(oid, _)| oid.to_string()).collect();
        if !oids.is_empty() {
            parts.push(format!("{}: {words}", oids.join(", ")));
        }
    }
    let is_gone = failed.iter().all(|(_, why)| *why == Obstacle::Gone);
    let remedy = if is_gone {
        format!("make a new plan, or restore the large objects on the source, then {}", Action::Resume)
    } else {
        format!(
            "give the target's large objects other OIDs (lo_from_bytea, then lo_unlink), or drop them, then {}",
            Action::Resume
        )
    };
    let doing = format!("{} of {all} large objects were not copied: {}", failed.len(), parts.join("; "));
    Error::new("large_objects_not_copied", Kind::Copy, doing).remedy(remedy)
}
