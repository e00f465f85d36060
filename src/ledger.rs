//! The ledger: what was done on this target, kept in the target itself.
//!
//! A task's effect and its row are committed together, so a task is done exactly if the ledger says so. After a COMMIT whose answer was
//! lost, the ledger is queried. This module writes and reads rows; the engine decides what they mean for the next step.

mod beginning;
mod condition;
mod failure;
mod foreign_key;
mod lease;
pub mod order;
mod pending;
mod plan;
mod procedure;
mod records;
mod session_entry;
mod stop_request;
mod text;

use crate::action::Action;
use crate::closed_set::Unknown;
use crate::error::{Error, Kind, Result, Side};
use crate::name::{LEDGER_TABLES, SCHEMA_COMMENT, ident, literal};
use crate::pg::Session;
use crate::pg::event_triggers::{self, LEFT_OUT};
use crate::plan::TaskKind;
use crate::record::RowMode;
pub use crate::record::{Effect, Record, Run};
use crate::row_format::RowFormat;
use crate::status::{RunState, TaskStatus};
pub use failure::TaskFailure;
pub use foreign_key::Taken;
pub use lease::{Lease, LeaseRole, Progress};
pub use procedure::{Journal, LockHolder, Subject};
pub use records::Standing;
pub use session_entry::SessionEntry;
use std::collections::HashMap;
use std::str::FromStr;

/// The first key of pgmigrate's advisory locks, "pgmi" as a number; the second says what is locked. `engine::lifecycle` lists who holds
/// which.
const LOCK_CLASS: i32 = 0x7067_6d69;
const LOCK_RUN: i32 = 1;
const LOCK_BEGIN: i32 = 2;
const LOCK_HOLD: i32 = 3;
const LOCK_STOP: i32 = 4;
const LOCK_ORDER: i32 = 5;
const LOCK_SAFE: i32 = 6;

/// A run as it begins.
pub struct NewRun<'a, P> {
    /// What it is.
    pub run: &'a Run,
    /// All of its tasks.
    pub records: &'a [Record],
    /// Its plan, in pieces.
    pub plan: P,
}

/// Where the ledger is.
#[derive(Debug, Clone)]
pub struct Ledger {
    schema: String,
}

impl Ledger {
    /// The ledger in `schema`.
    pub fn new(schema: impl Into<String>) -> Self {
        Ledger { schema: schema.into() }
    }

    /// The schema that it is in.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    fn table(&self, at: usize) -> String {
        format!("{}.{}", ident(&self.schema), ident(LEDGER_TABLES[at]))
    }

    fn runs(&self) -> String {
        self.table(0)
    }

    fn tasks(&self) -> String {
        self.table(1)
    }

    /// The same from a column that is empty where there is no value.
    fn value_if_any<T: FromStr<Err = Unknown>>(&self, text: &str) -> Result<Option<T>> {
        (!text.is_empty()).then(|| self.value(text)).transpose()
    }

    /// A value of a closed set, from a column of the ledger.
    fn value<T: FromStr<Err = Unknown>>(&self, text: &str) -> Result<T> {
        text.parse().map_err(|unknown: Unknown| {
            Error::new(
                "ledger_newer",
                Kind::State,
                format!("the ledger has a value that this version does not know: {unknown}"),
            )
            .object(ident(&self.schema))
            .remedy("use the version of pgmigrate that wrote the ledger")
        })
    }

    /// Takes the lock that prevents a second run on this target, for as long as the session lives. Runs of chosen tasks share it.
    pub async fn lock(&self, session: &Session, shared: bool) -> Result<bool> {
        let function = if shared { "pg_try_advisory_lock_shared" } else { "pg_try_advisory_lock" };
        let sql = format!("SELECT pg_catalog.{function}($1, $2)");
        Ok(session.query_one(&sql, &[&LOCK_CLASS, &LOCK_RUN]).await?.get(0))
    }

    /// Waits for its turn to begin a run: of several processes that share the lock, one writes the run into the ledger and the others join
    /// it.
    pub async fn lock_begin(&self, session: &Session) -> Result<()> {
        session.query_one("SELECT pg_catalog.pg_advisory_lock($1, $2)", &[&LOCK_CLASS, &LOCK_BEGIN]).await.map(|_| ())
    }

    /// Lets the next process begin.
    pub async fn unlock_begin(&self, session: &Session) -> Result<()> {
        session.query_one("SELECT pg_catalog.pg_advisory_unlock($1, $2)", &[&LOCK_CLASS, &LOCK_BEGIN]).await.map(|_| ())
    }

    /// Releases the lock before the session ends, in whichever mode it was taken.
    pub async fn unlock(&self, session: &Session) -> Result<()> {
        let sql = "SELECT CASE WHEN mode = 'ShareLock' THEN pg_catalog.pg_advisory_unlock_shared($1, $2) \
                   ELSE pg_catalog.pg_advisory_unlock($1, $2) END FROM pg_catalog.pg_locks \
                   WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid() \
                   AND classid::int8 = $1::int4 AND objid::int8 = $2::int4";
        session.query(sql, &[&LOCK_CLASS, &LOCK_RUN]).await.map(|_| ())
    }

    /// Whether some other session holds the lock.
    pub async fn is_locked(&self, session: &Session) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database \
                   WHERE l.locktype = 'advisory' AND d.datname = pg_catalog.current_database() \
                   AND l.classid::int8 = $1::int4 AND l.objid::int8 = $2::int4 AND l.granted AND l.pid <> pg_catalog.pg_backend_pid())";
        Ok(session.query_one(sql, &[&LOCK_CLASS, &LOCK_RUN]).await?.get(0))
    }

    /// Whether the ledger's tables exist.
    pub async fn exists(&self, session: &Session) -> Result<bool> {
        let sql = "SELECT count(*) = 2 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                   WHERE n.nspname = $1 AND c.relname IN ('migration_run', 'migration_task')";
        Ok(session.query_one(sql, &[&self.schema]).await?.get(0))
    }

    /// Creates the schema and the tables if they are missing.
    pub async fn create(&self, session: &Session) -> Result<()> {
        let found = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)";
        let schema = ident(&self.schema);
        let make_schema = if session.query_one(found, &[&self.schema]).await?.get(0) {
            String::new()
        } else {
            format!("CREATE SCHEMA {schema};\nCOMMENT ON SCHEMA {schema} IS {};\n", literal(SCHEMA_COMMENT))
        };
        let make_tables = include_str!("sql/ledger.sql").replace(":\"ledger\"", &schema);
        let sql = format!("BEGIN;\n{LEFT_OUT}{make_schema}{make_tables}COMMIT");
        if let Err(e) = session.batch(&sql).await {
            let is_refused = e.is("42501");
            let e = e.object(&schema);
            let remedy = "grant CREATE on the target's database, or name a schema that the role can write to with options.ledger_schema";
            return Err(event_triggers::explained(session, if is_refused { e.remedy(remedy) } else { e }).await);
        }
        self.add_columns(session).await
    }

    /// Adds the columns that a ledger of an older version lacks.
    pub async fn add_columns(&self, session: &Session) -> Result<()> {
        let found = "SELECT count(*) = 3 FROM pg_catalog.pg_attribute WHERE (attrelid, attname) IN \
                     (($1::text::regclass, 'workers'), ($1::text::regclass, 'sessions'), ($2::text::regclass, 'worker'))";
        if session.query_one(found, &[&self.runs(), &self.tasks()]).await?.get(0) {
            return Ok(());
        }
        let sql = include_str!("sql/ledger_columns.sql").replace(":\"ledger\"", &ident(&self.schema));
        session.batch(&sql).await.map_err(|e| {
            let is_refused = e.is("42501");
            let e = e.object(self.tasks());
            let remedy = format!(
                "let the role that owns the ledger continue the run, or discard the run with {}",
                Action::Cleanup
            );
            if is_refused { e.remedy(remedy) } else { e }
        })
    }

    /// The latest run, if there was one.
    pub async fn last_run(&self, session: &Session) -> Result<Option<Run>> {
        let sql = format!(
            "SELECT run, plan, source, target, config, state, snapshot, consistent, \
                    to_char(started, 'YYYY-MM-DD\"T\"HH24:MI:SSOF'), \
                    extract(epoch FROM coalesce(finished, now()) - started)::float8 \
             FROM {} ORDER BY run DESC LIMIT 1",
            self.runs()
        );
        let Some(row) = session.query_opt(&sql, &[]).await? else { return Ok(None) };
        Ok(Some(Run {
            run: row.get(0),
            plan: row.get(1),
            source: text::original(row.get(2)),
            target: row.get(3),
            config: text::original(row.get(4)),
            state: self.value(row.get(5))?,
            snapshot: row.get(6),
            consistent: row.get(7),
            started: row.get(8),
            seconds: row.get(9),
        }))
    }

    /// Writes a new run; returns its number.
    pub async fn begin_run<P: Iterator<Item = String>>(&self, session: &Session, new: NewRun<'_, P>) -> Result<i64> {
        let NewRun { run, records, plan } = new;
        // All later records depend on this row, and sessions commit asynchronously.
        let (source, config) = (text::kept(session, &run.source).await?, text::kept(session, &run.config).await?);
        session.batch("BEGIN; SET LOCAL synchronous_commit = on").await?;
        let sql = format!(
            "INSERT INTO {} (plan, source, target, config, state, snapshot, consistent) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING run",
            self.runs()
        );
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&run.plan, &source, &run.target, &config, &run.state.as_str(), &run.snapshot, &run.consistent];
        let number: i64 = session.query_one(&sql, &params).await?.get(0);
        for batch in records.chunks(5_000) {
            self.add_tasks(session, number, batch).await?;
        }
        self.keep_plan(session, number, plan).await?;
        session.batch("COMMIT").await?;
        Ok(number)
    }

    async fn add_tasks(&self, session: &Session, run: i64, records: &[Record]) -> Result<()> {
        let column = |value: fn(&Record) -> &str| records.iter().map(value).collect::<Vec<&str>>();
        let kinds: Vec<String> = records.iter().map(|record| record.kind.to_string()).collect();
        let sql = format!(
            "INSERT INTO {} (run, task, phase, kind, object, mode, format, status, note, planned_rows, planned_bytes) \
             SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], \
                                      $10::int8[], $11::int8[])",
            self.tasks()
        );
        session
            .execute(
                &sql,
                &[
                    &run,
                    &column(|r| &r.task),
                    &column(|r| r.phase.as_str()),
                    &kinds,
                    &column(|r| &r.object),
                    &column(|r| r.mode.map_or("", RowMode::as_str)),
                    &column(|r| r.format.map_or("", RowFormat::as_str)),
                    &column(|r| r.status.as_str()),
                    &column(|r| &r.note),
                    &records.iter().map(|r| r.planned_rows).collect::<Vec<i64>>(),
                    &records.iter().map(|r| r.planned_bytes).collect::<Vec<i64>>(),
                ],
            )
            .await?;
        Ok(())
    }

    /// Records durably that a run goes on, or how it ended: this row survives a crash of the server.
    pub async fn set_state(&self, session: &Session, run: i64, state: RunState, consistent: bool) -> Result<()> {
        let finished = if state == RunState::Running { "NULL" } else { "now()" };
        let sql =
            format!("UPDATE {} SET state = $2, consistent = $3, finished = {finished} WHERE run = $1", self.runs());
        session.batch("SET synchronous_commit = on").await?;
        let written = session.execute(&sql, &[&run, &state.as_str(), &consistent]).await?;
        session.batch("SET synchronous_commit = off").await?;
        if written == 0 {
            return Err(gone(run));
        }
        Ok(())
    }

    /// Reserves numbers for the `count` workers of a process that joins the run; returns the first. They begin at 0 if no other process can
    /// be at work in the run, and otherwise follow all numbers reserved so far.
    pub async fn take_workers(&self, session: &Session, run: i64, count: usize, is_alone: bool) -> Result<i32> {
        let sql = format!(
            "UPDATE {} SET workers = CASE WHEN $2 THEN 0 ELSE workers END + $3 WHERE run = $1 RETURNING workers - $3",
            self.runs()
        );
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        Ok(session.query_one(&sql, &[&run, &is_alone, &count]).await?.get(0))
    }

    /// Records that a worker has started the task; false if the task is settled already.
    pub async fn start(&self, session: &Session, run: i64, task: &str, worker: i32) -> Result<bool> {
        let sql = format!(
            "UPDATE {} SET status = '{}', attempts = attempts + 1, started = clock_timestamp(), note = '', sqlstate = '', worker = $3 \
             WHERE run = $1 AND task = $2 AND {}",
            self.tasks(),
            TaskStatus::Running,
            condition::open()
        );
        Ok(session.execute(&sql, &[&run, &task, &worker]).await? == 1)
    }

    /// Records the task as `status` in the open transaction, so that effect and record are committed together.
    pub async fn finish(
        &self,
        session: &Session,
        run: i64,
        task: &str,
        status: TaskStatus,
        effect: &Effect,
    ) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET status = $3, rows = $4, bytes = $5, hash = $6, snapshot = $7, note = $8, sqlstate = '', \
                    format = CASE WHEN $9 = '' THEN format ELSE $9 END, \
                    seconds = extract(epoch FROM clock_timestamp() - started)::float8 \
             WHERE run = $1 AND task = $2 AND {}",
            self.tasks(),
            condition::open()
        );
        let (rows, bytes) = (effect.rows.cast_signed(), effect.bytes.cast_signed());
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 9] = [
            &run,
            &task,
            &status.as_str(),
            &rows,
            &bytes,
            &effect.hash,
            &effect.snapshot,
            &effect.note,
            &effect.format.map_or("", RowFormat::as_str),
        ];
        if session.execute(&sql, &params).await? == 1 {
            return Ok(());
        }
        Err(settled_elsewhere(&format!("task {task}"), run))
    }

    /// As [`Ledger::finish`], for tasks that one transaction of a worker has done in so many seconds. They were not started one by one; the
    /// time is divided among them as if each had followed the one before it.
    pub async fn finish_many(
        &self,
        session: &Session,
        run: i64,
        done: &[(&str, &Effect)],
        seconds: f64,
        worker: i32,
    ) -> Result<()> {
        let sql = format!(
            "UPDATE {} t SET status = '{}', attempts = attempts + 1, rows = d.rows, bytes = d.bytes, hash = d.hash, \
                    snapshot = d.snapshot, note = '', sqlstate = '', seconds = $2::float8 / $3::float8, worker = $9, \
                    started = statement_timestamp() - make_interval(secs => $2::float8 * ($3::float8 + 1 - d.place) / $3::float8) \
             FROM unnest($4::text[], $5::int8[], $6::int8[], $7::text[], $8::text[]) \
                  WITH ORDINALITY d(task, rows, bytes, hash, snapshot, place) \
             WHERE t.run = $1 AND t.task = d.task AND {}",
            self.tasks(),
            TaskStatus::Done,
            condition::open()
        );
        let numbers =
            |value: fn(&Effect) -> u64| done.iter().map(|(_, e)| value(e).cast_signed()).collect::<Vec<i64>>();
        let words = |value: fn(&Effect) -> &str| done.iter().map(|(_, effect)| value(effect)).collect::<Vec<&str>>();
        let tasks: Vec<&str> = done.iter().map(|(task, _)| *task).collect();
        #[expect(clippy::cast_precision_loss, reason = "a handful of tasks")]
        let count = done.len() as f64;
        let (rows, bytes) = (numbers(|e| e.rows), numbers(|e| e.bytes));
        let (hashes, snapshots) = (words(|e| &e.hash), words(|e| &e.snapshot));
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 9] =
            [&run, &seconds, &count, &tasks, &rows, &bytes, &hashes, &snapshots, &worker];
        if session.execute(&sql, &params).await? == done.len() as u64 {
            return Ok(());
        }
        Err(settled_elsewhere(&format!("some of {} tasks", done.len()), run))
    }

    /// Makes everything committed so far survive a crash of the server: a commit that waits for its WAL on disk also flushes the WAL before
    /// it.
    pub async fn flush(&self, session: &Session, run: i64) -> Result<()> {
        let sql = format!(
            "BEGIN; SET LOCAL synchronous_commit = on; UPDATE {} SET finished = NULL WHERE run = {run}; COMMIT",
            self.runs()
        );
        session.batch(&sql).await
    }

    /// Prevents other processes from settling the task until the transaction ends; false if it is settled.
    pub async fn lock_task(&self, session: &Session, run: i64, task: &str) -> Result<bool> {
        let sql = format!("SELECT status FROM {} WHERE run = $1 AND task = $2 FOR UPDATE", self.tasks());
        let row = session.query_opt(&sql, &[&run, &task]).await?;
        row.map_or(Ok(false), |row| Ok(!self.value::<TaskStatus>(row.get(0))?.is_settled()))
    }

    /// Whether the ledger has the task as settled: the query after a COMMIT whose answer was lost.
    pub async fn is_settled(&self, session: &Session, run: i64, task: &str) -> Result<bool> {
        let sql = format!("SELECT status FROM {} WHERE run = $1 AND task = $2", self.tasks());
        let row = session.query_opt(&sql, &[&run, &task]).await?;
        let row = row.ok_or_else(|| settled_elsewhere(&format!("task {task}"), run))?;
        Ok(self.value::<TaskStatus>(row.get(0))?.is_settled())
    }

    /// The tasks outside the data phase that are not plainly done: the status of each, and whether it has a note.
    pub async fn notes(&self, session: &Session, run: i64) -> Result<HashMap<String, (TaskStatus, bool)>> {
        let sql = format!(
            "SELECT task, status, note <> '' FROM {} WHERE run = $1 AND phase <> 'data' AND (status <> '{}' OR note <> '')",
            self.tasks(),
            TaskStatus::Done
        );
        let rows = session.query(&sql, &[&run]).await?;
        rows.iter().map(|row| Ok((row.get(0), (self.value(row.get(1))?, row.get(2))))).collect()
    }

    /// Whether nothing is left to do for any of the tasks.
    pub async fn are_settled(&self, session: &Session, run: i64, tasks: &[&str]) -> Result<bool> {
        let sql = format!(
            "SELECT NOT EXISTS (SELECT FROM {} WHERE run = $1 AND task = ANY ($2) AND {})",
            self.tasks(),
            condition::open()
        );
        Ok(session.query_one(&sql, &[&run, &tasks]).await?.get(0))
    }

    /// Tables all of whose rows an earlier finished run copied here, as the plan names their object.
    pub async fn loaded_objects(&self, session: &Session) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT t.object FROM {} t JOIN {} r USING (run) WHERE t.kind = '{}' AND r.state = '{}' \
             GROUP BY r.run, t.object HAVING bool_and(t.status = '{}')",
            self.tasks(),
            self.runs(),
            TaskKind::Data,
            RunState::Done,
            TaskStatus::Done
        );
        Ok(session.query(&sql, &[]).await?.iter().map(|row| row.get(0)).collect())
    }

    /// Drops the ledger; returns what was dropped. The schema is dropped only if the ledger made it and nothing else is in it.
    pub async fn drop(&self, session: &Session) -> Result<Vec<String>> {
        if !self.exists(session).await? {
            return Ok(Vec::new());
        }
        let tables: Vec<String> = (0..LEDGER_TABLES.len()).rev().map(|at| self.table(at)).collect();
        // Ledgers of older versions lack some.
        let sql = "SELECT name FROM unnest($1::text[]) WITH ORDINALITY AS t (name, place) \
                   WHERE pg_catalog.to_regclass(name) IS NOT NULL ORDER BY place";
        let mut dropped: Vec<String> = session.query(sql, &[&tables]).await?.iter().map(|row| row.get(0)).collect();
        let sql = format!("{LEFT_OUT}DROP TABLE IF EXISTS {}", dropped.join(", "));
        if let Err(error) = session.batch(&sql).await {
            return Err(event_triggers::explained(session, error).await);
        }
        let sql = "SELECT pg_catalog.obj_description(n.oid, 'pg_namespace') IS NOT DISTINCT FROM $2 \
                   AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid) \
                   FROM pg_catalog.pg_namespace n WHERE n.nspname = $1";
        if session.query_one(sql, &[&self.schema, &SCHEMA_COMMENT]).await?.get::<_, bool>(0) {
            session.batch(&format!("{LEFT_OUT}DROP SCHEMA {} RESTRICT", ident(&self.schema))).await?;
            dropped.push(ident(&self.schema));
        }
        Ok(dropped)
    }
}

fn gone(run: i64) -> Error {
    Error::new("run_gone", Kind::State, format!("run {run} is no longer in the ledger")).on(Side::Target).remedy(
        format!("compare both databases with {}; keep the ledger of a run until the run has ended", Action::Verify),
    )
}

fn settled_elsewhere(what: &str, run: i64) -> Error {
    Error::new(
        "settled_elsewhere",
        Kind::State,
        format!("run {run}: another process has settled {what}, or the ledger was dropped"),
    )
    .remedy("start one run at a time for a target, and keep the ledger until the run has ended")
}
