//! Whether a plan may run on the databases as found, and where an earlier run of it stopped.
//!
//! A plan is refused where source, configuration or catalog are not those it was made for; the error names both sides. Chunks of two
//! snapshots are never mixed in one table: a table that was half copied from another state of the source is copied again.

use crate::action::Action;
use crate::catalog::{Catalog, Server};
use crate::config::{Config, PlanOptions};
use crate::engine::target::load_order::LoadConstraints;
use crate::error::{Error, Kind, Result};
use crate::finding::{Finding, Severity};
use crate::name::QualifiedName;
use crate::plan::{Plan, Task, TaskKind, difference};
use crate::record::{Record, RowMode, Run};
use crate::status::TaskStatus;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The finding of a run that was to be resumed and found no run that has begun.
#[must_use]
pub fn nothing_begun() -> Finding {
    let message = "the target has no run to resume: a new run begins";
    let remedy = "if a run was begun, check the target's conninfo and options.ledger_schema";
    Finding::new("resume", Severity::Info, "", message, remedy)
}

/// What is done with a plan that differs from the one that would be made now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDrift {
    /// It is followed as far as it is of the same source and configuration; findings report the differences.
    #[default]
    Warn,
    /// It is refused.
    Refuse,
}

/// Refuses to follow a plan that differs from the one that would be made now.
pub fn refuse_difference(kept: &Plan, now: &Plan) -> Result<()> {
    const SHOWN: usize = 5;
    let lines = difference::compare(kept, now).lines();
    if lines.is_empty() {
        return Ok(());
    }
    let more = lines.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    let named = lines.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
    let doing = format!("the plan is not the one that would be made now: {named}{more}");
    let mut error = Error::new("plan_differs", Kind::Drift, doing)
        .remedy("make a new plan, or accept the differences where only objects differ");
    error.details.problems = lines;
    Err(error)
}

/// What differs between the plan and the current source and configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// Another source or configuration: never the same migration.
    pub other: Vec<String>,
    /// Tables that changed since.
    pub tables: Vec<String>,
    /// Their names.
    pub names: Vec<String>,
}

/// Compares the plan with the source's identity and with the configuration.
#[must_use]
pub fn drift_of_server(plan: &Plan, server: &Server, options: PlanOptions<'_>) -> Drift {
    let mut drift = Drift::default();
    let now = server.identity();
    if plan.header.source != now {
        drift.other.push(format!("the plan was made for the source {}, this one is {now}", plan.header.source));
    }
    drift.other.extend(Config::differences(&plan.header.config.to_string(), &options.fingerprint_text()));
    drift
}

/// Compares the plan with the source and the configuration as they are now.
#[must_use]
pub fn drift(plan: &Plan, catalog: &Catalog, options: PlanOptions<'_>) -> Drift {
    let mut drift = drift_of_server(plan, &catalog.server, options);
    let names: HashSet<&str> = plan.header.tables.keys().map(String::as_str).collect();
    let by_oid: std::collections::HashMap<u32, String> =
        catalog.relations.iter().map(|relation| (relation.oid, relation.name.to_string())).collect();
    let found = catalog.digests(&|oid| by_oid.get(&oid).is_some_and(|name| names.contains(name.as_str())));
    for (table, digest) in &plan.header.tables {
        if found.get(table) != Some(digest) {
            drift.names.push(table.clone());
        }
        match found.get(table) {
            None => drift.tables.push(format!("table {table} no longer exists on the source")),
            Some(now) if now != digest => {
                drift.tables.push(format!("table {table} has other columns, indexes or constraints"));
            }
            Some(_) => {}
        }
    }
    drift
}

impl Drift {
    /// Refuses what is not the plan's migration; a resumed run also refuses changed tables.
    pub fn refuse(&self, resuming: bool) -> Result<()> {
        let tables = self.tables.iter().filter(|_| resuming);
        let all: Vec<&str> = self.other.iter().chain(tables).map(String::as_str).collect();
        if all.is_empty() {
            return Ok(());
        }
        let doing = format!("the plan no longer matches the databases: {}", all.join("; "));
        Err(Error::new("plan_mismatch", Kind::Drift, doing)
            .remedy(format!("make a new plan; to discard the old run, use {} first", Action::Cleanup)))
    }

    /// The findings for a new run of an older plan.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let found = self.tables.iter().map(|what| {
            Finding::new("drift", Severity::Warning, "", format!("{what} since the plan was made"), "make a new plan")
        });
        found.collect()
    }
}

/// Refuses to go on with a run of another plan, by the plan's fingerprint and by what the plan is based on.
pub fn check_run(run: &Run, (plan, fingerprint): (&Plan, &str), target: &str) -> Result<()> {
    let mut differences = Config::differences(&run.config, &plan.header.config.to_string());
    if run.source != plan.header.source {
        differences.push(format!("the run's source was {}, the plan's is {}", run.source, plan.header.source));
    }
    if run.target != target {
        differences.push(format!("the ledger was written on the target {}, this one is {target}", run.target));
    }
    if differences.is_empty() && run.plan != fingerprint {
        differences
            .push("the plan is another one than the run's, although source and configuration are the same".into());
    }
    if differences.is_empty() {
        return Ok(());
    }
    let doing = format!("run {} cannot be resumed with this plan: {}", run.run, differences.join("; "));
    Err(Error::new("resume_mismatch", Kind::Drift, doing)
        .remedy(format!("resume with the run's own plan and configuration, or start over after {}", Action::Cleanup)))
}

/// Refuses a task that is DONE in the file and not in the ledger: the target was restored, or is another database.
pub fn check_state(done: &[String], records: &[Record]) -> Result<()> {
    let settled: HashSet<&str> = records.iter().filter(|record| record.is_settled()).map(|r| r.task.as_str()).collect();
    let Some(task) = done.iter().find(|task| !settled.contains(task.as_str())) else { return Ok(()) };
    let doing = format!("the state file says that task {task} is DONE and the target's ledger does not");
    Err(Error::new("state_file_ahead", Kind::State, doing).remedy(
        "the target was restored or is another database: check its conninfo, or start over without the state file",
    ))
}

/// A table that has to be copied again from its first chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// The table that is emptied first, as quoted SQL; none where rows are merged and may stay.
    pub empty: Option<String>,
    /// Its data tasks.
    pub tasks: Vec<String>,
}

/// Which tables may have chunks of several snapshots of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mixing {
    /// None.
    Never,
    /// Those that are not cut by pages: a row that exists all the time keeps its key, while an UPDATE moves it to another page, and so from
    /// a chunk that is still to be copied into one that was copied, or the other way round.
    ByKey,
}

/// What is recorded of a run that this process goes on with, and the state of the source that it reads.
pub struct History<'a> {
    pub plan: &'a Plan,
    pub records: &'a [Record],
    pub mixing: Mixing,
    pub snapshot_text: &'a str,
}

impl<'a> History<'a> {
    /// The tables that have to be copied again, because their rows were read in another state of the source; only tables with an open task
    /// that `is_wanted`.
    pub fn restarts(&self, is_wanted: &dyn Fn(&Record) -> bool) -> Result<Vec<Restart>> {
        let mut restarts = Vec::new();
        for (table, records) in self.by_table() {
            let is_half =
                records.iter().any(|r| r.is_settled()) && records.iter().any(|r| !r.is_settled() && is_wanted(r));
            let is_mixed = records.iter().any(|r| r.status == TaskStatus::Done && r.snapshot != self.snapshot_text);
            if is_half && is_mixed {
                restarts.push(restart(table, &records, self.mixing)?);
            }
        }
        Ok(restarts)
    }

    /// The same for a part with `chosen` tasks. Refuses what other parts would have to know of: a table that another living part fills from
    /// another state of the source, one of `living`, or a half-copied table whose tasks are not all chosen.
    pub fn restarts_of_part(&self, chosen: &HashSet<&str>, living: &HashSet<String>) -> Result<Vec<Restart>> {
        self.check_claims(chosen, living)?;
        let restarts = self.restarts(&|record| chosen.contains(record.task.as_str()))?;
        self.check_joining(&restarts, chosen)?;
        Ok(restarts)
    }

    /// The data tasks by the table that they write; only tables whose chunks must be of one state of the source.
    fn by_table(&self) -> BTreeMap<&'a QualifiedName, Vec<&'a Record>> {
        let tasks: HashMap<&str, &'a Task> = self.plan.tasks.iter().map(|task| (task.id.as_str(), task)).collect();
        let mut tables: BTreeMap<&QualifiedName, Vec<&Record>> = BTreeMap::new();
        let mut is_paged: HashSet<&QualifiedName> = HashSet::new();
        for record in self.records.iter().filter(|record| record.kind == TaskKind::Data) {
            let Some(task) = tasks.get(record.task.as_str()) else { continue };
            let Some(load) = task.load() else { continue };
            tables.entry(&load.into).or_default().push(record);
            if load.by_pages {
                is_paged.insert(&load.into);
            }
        }
        tables.retain(|into, _| self.mixing == Mixing::Never || is_paged.contains(into));
        tables
    }

    /// Refuses a part of a run that would copy rows into a table that another living part fills from another state of the source, one of
    /// `living`.
    fn check_claims(&self, chosen: &HashSet<&str>, living: &HashSet<String>) -> Result<()> {
        for records in self.by_table().values().filter(|_| !living.is_empty()) {
            let mut open = records.iter().filter(|record| !record.is_settled());
            if !open.clone().any(|record| chosen.contains(record.task.as_str())) {
                continue;
            }
            if let Some(other) = open.find(|record| living.contains(&record.snapshot)) {
                let doing = "another part of the run copies this table from another snapshot of the source";
                return Err(Error::new("table_copied_elsewhere", Kind::State, doing)
                    .object(other.object.clone())
                    .task(&other.task, other.phase.as_str())
                    .remedy(format!(
                        "hold one snapshot for all parts with {}, or wait until the other part has ended",
                        Action::Hold
                    )));
            }
        }
        Ok(())
    }

    /// Refuses a part of a run that would copy rows of another state of the source into a half-copied table, unless all tasks of the table are
    /// its own: only then the table may be copied again, because no other process will work on it.
    fn check_joining(&self, restarts: &[Restart], chosen: &HashSet<&str>) -> Result<()> {
        for restart in restarts {
            let (own, others): (Vec<&str>, Vec<&str>) =
                restart.tasks.iter().map(String::as_str).partition(|id| chosen.contains(id));
            if let (Some(task), false) = (own.first(), others.is_empty()) {
                let doing =
                    format!("task {task} would copy rows of another snapshot of the source into a half-copied table");
                return Err(Error::new("snapshots_mixed", Kind::State, doing).remedy(match self.mixing {
                    Mixing::Never => format!(
                        "resume the whole run, hold one snapshot for all parts with {}, or allow it with {}",
                        Action::Hold,
                        Action::NotConsistent
                    ),
                    Mixing::ByKey => format!(
                        "the table is divided by pages: resume the whole run, or hold one snapshot for all parts with {}",
                        Action::Hold
                    ),
                }));
            }
        }
        Ok(())
    }
}

/// Sequences whose value was read, or is being read, in another state of the source than `snapshot_text`, while rows that are numbered
/// from them may still be copied.
#[must_use]
pub fn stale_sequences(run: &Run, records: &[Record], snapshot_text: &str) -> Vec<String> {
    let rows_are_in = records.iter().filter(|record| record.kind == TaskKind::Data).all(Record::is_settled);
    if run.snapshot == snapshot_text || rows_are_in {
        return Vec::new();
    }
    let sequences = records.iter().filter(|record| record.kind == TaskKind::SequenceValue);
    sequences
        .filter(|record| record.is_settled() || record.status == TaskStatus::Running)
        .map(|record| record.task.clone())
        .collect()
}

/// Refuses chosen tasks whose rows the target's foreign keys accept only after the rows of other tasks, which are neither done nor chosen.
pub fn check_order(plan: &Plan, records: &[Record], chosen: &[String], constraints: &LoadConstraints) -> Result<()> {
    let chosen: HashSet<&str> = chosen.iter().map(String::as_str).collect();
    let settled: HashSet<&str> = records.iter().filter(|record| record.is_settled()).map(|r| r.task.as_str()).collect();
    let is_open = |at: &&usize| !settled.contains(plan.tasks[**at].id.as_str());
    let is_chosen = |at: &&usize| chosen.contains(plan.tasks[**at].id.as_str());
    for wait in constraints.all_waits() {
        let at = wait.after.iter().find(|at| is_chosen(at) && is_open(at));
        let other = wait.before.iter().find(|at| !is_chosen(at) && is_open(at));
        if let (Some(at), Some(other)) = (at, other) {
            let (task, other) = (&plan.tasks[*at], &plan.tasks[*other]);
            let doing = format!(
                "task {} must follow task {} ({}) because of a foreign key of the target, and that task is neither done nor chosen",
                task.id,
                other.id,
                other.object()
            );
            return Err(Error::new("task_order", Kind::State, doing)
                .object(task.object())
                .remedy("run that one first, or with it"));
        }
    }
    Ok(())
}

/// Refuses chosen tasks that the plan does not have, or that require what is neither chosen nor done.
pub fn check_chosen(plan: &Plan, records: &[Record], chosen: &[String]) -> Result<()> {
    let ids: HashSet<&str> = chosen.iter().map(String::as_str).collect();
    let tasks: BTreeMap<&str, &Task> = plan.tasks.iter().map(|task| (task.id.as_str(), task)).collect();
    let settled: HashSet<&str> = records.iter().filter(|record| record.is_settled()).map(|r| r.task.as_str()).collect();
    for id in chosen {
        let Some(task) = tasks.get(id.as_str()) else {
            return Err(Error::new("task_unknown", Kind::State, format!("the plan has no task {id}"))
                .remedy("name tasks by the ids of this plan"));
        };
        let is_open = |other: &&String| !ids.contains(other.as_str()) && !settled.contains(other.as_str());
        let named = |other: &String| {
            tasks.get(other.as_str()).map_or(other.clone(), |task| format!("{other} ({})", task.object()))
        };
        let open: Vec<String> = task.requires.iter().filter(is_open).map(named).collect();
        if !open.is_empty() && !settled.contains(id.as_str()) {
            let doing = format!("task {id} requires tasks that are neither done nor chosen: {}", open.join(", "));
            return Err(Error::new("task_requirement_open", Kind::State, doing)
                .object(task.object())
                .remedy("run those first, or with it"));
        }
    }
    Ok(())
}

fn restart(table: &QualifiedName, records: &[&Record], mixing: Mixing) -> Result<Restart> {
    let tasks = records
        .iter()
        .filter(|record| record.status != TaskStatus::Skipped)
        .map(|record| record.task.clone())
        .collect();
    match records.iter().find(|record| record.status == TaskStatus::Done).map(|record| record.mode) {
        Some(Some(RowMode::Append)) => {
            Err(Error::new("table_restart_refused", Kind::State, "a half-copied table cannot be copied again: it held rows of its own before")
                .object(table.sql())
                .remedy(match mixing {
                    Mixing::Never => format!(
                        "restore the backup, or, if the table is not divided by pages, copy its missing chunks from the source as \
                         it is now, with {}",
                        Action::NotConsistent
                    ),
                    Mixing::ByKey => {
                        "restore the backup: the table is divided by pages, and an update moves a row to another page".to_owned()
                    }
                }))
        }
        Some(Some(RowMode::Merge | RowMode::Replace)) => Ok(Restart { empty: None, tasks }),
        _ => Ok(Restart { empty: Some(table.sql()), tasks }),
    }
}
