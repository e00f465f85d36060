//! A part of a run: chosen tasks alongside others of the same plan, on this machine or another.
//!
//! The process that begins the run inspects both databases; a part that joins it only checks that it is on the same servers and that the
//! plan still matches, so that its first row is copied soon. With a held snapshot not even the catalog is read: the holder has compared it,
//! and its locks keep it from changing. Called by `run`.

use super::connections::{Connections, Entry};
use super::leader::{Leader, RunLock};
use super::request::RunRequest;
use super::settings::{Reading, Settings};
use crate::action::Action;
use crate::engine::connect::Source;
use crate::engine::refuse::already_running;
use crate::engine::{Context, POLL_INTERVAL};
use crate::error::{Error, Kind, Result, Side};
use crate::finding::{Finding, Severity};
use crate::ledger::{LeaseRole, Ledger};
use crate::name::QualifiedName;
use crate::pg::Session;
use crate::pg::snapshot::Snapshot;
use crate::plan::{Phase, Plan, Task, TaskKind};
use crate::record::Run;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Connects a part that joins a run; none where there is no run of the plan yet, and this part has to begin it.
pub async fn connect(request: &RunRequest, plan: &Plan, context: &Context) -> Result<Option<Connections>> {
    let RunRequest { config, endpoints, settings, .. } = request;
    let ledger = Ledger::new(&config.ledger.schema);
    let target = Session::open(&endpoints.target, Side::Target, "leader").await?;
    let reading = settings.reading()?;
    let lock_timeout = config.connection.lock_timeout;
    let fingerprint = plan.fingerprint();
    let rows = rows(plan, settings);
    let (awaited, target) = if reading == Reading::Held && !rows.is_empty() {
        let wait = settings.wait()?;
        let found = context.stop.or(await_snapshot(&ledger, &target, (&fingerprint, &rows), wait)).await?;
        (found, Leader::with_lock(target, &ledger, RunLock::Shared).await?)
    } else {
        (Awaited::Nothing, Leader::of(target, &ledger, RunLock::Shared).await?)
    };
    if run_of(&ledger, &target, &fingerprint).await?.is_none() {
        return Ok(None);
    }
    let mut source = match &awaited {
        Awaited::Held(snapshot) => Source::adopt(&endpoints.source, lock_timeout, snapshot).await?,
        Awaited::Settled | Awaited::Nothing => Source::open(&endpoints.source, lock_timeout).await?,
    };
    match awaited {
        Awaited::Nothing => source.lock_all(tables(plan, settings)).await?,
        Awaited::Held(_) => source.lock(tables(plan, settings)).await.map(drop)?,
        Awaited::Settled => {}
    }
    let entry = Entry::Joined { may_differ: matches!(awaited, Awaited::Nothing) };
    Ok(Some(Connections { source, target, ledger, programs: None, entry }))
}

/// The last run in the ledger, where it is of the plan with this fingerprint.
pub async fn run_of(ledger: &Ledger, target: &Session, fingerprint: &str) -> Result<Option<Run>> {
    if !ledger.exists(target).await? {
        return Ok(None);
    }
    let last = ledger.last_run(target).await?;
    Ok(last.filter(|run| run.plan == fingerprint))
}

/// The result of a part's wait.
enum Awaited {
    /// It need not wait.
    Nothing,
    /// The snapshot to read.
    Held(Snapshot),
    /// All of its rows are on the target, and no process holds a snapshot for them any more.
    Settled,
}

/// Waits for a holder's snapshot lease, and takes the run's lock when there is one. The lock is not held during the wait: a holder that
/// begins again must see that no process is at work.
async fn await_snapshot(
    ledger: &Ledger,
    target: &Session,
    (fingerprint, rows): (&str, &[&str]),
    wait: Duration,
) -> Result<Awaited> {
    let deadline = Instant::now() + wait;
    loop {
        let run = run_of(ledger, target, fingerprint).await?;
        let found = match &run {
            Some(run) => look(ledger, target, run, rows).await?,
            None => Awaited::Nothing,
        };
        let is_there = !matches!(found, Awaited::Nothing);
        if is_there && ledger.lock(target, true).await? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(if is_there { already_running() } else { not_held(wait) });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn look(ledger: &Ledger, target: &Session, run: &Run, rows: &[&str]) -> Result<Awaited> {
    let leases = ledger.leases(target, run.run).await?;
    if let Some(held) = leases.into_iter().find(|one| one.role == LeaseRole::Holder && !one.is_released) {
        return Ok(Awaited::Held(held.snapshot));
    }
    let are_settled = ledger.are_settled(target, run.run, rows).await?;
    Ok(if are_settled { Awaited::Settled } else { Awaited::Nothing })
}

/// The chosen tasks that read rows or values of sequences on the source.
fn rows<'a>(plan: &'a Plan, settings: &Settings) -> Vec<&'a str> {
    let chosen: HashSet<&str> = settings.tasks.iter().flatten().map(String::as_str).collect();
    readers(plan).map(|task| task.id.as_str()).filter(|id| chosen.contains(id)).collect()
}

/// The tables that the chosen tasks read rows of; without a choice, all that the plan reads.
pub fn tables(plan: &Plan, settings: &Settings) -> Vec<QualifiedName> {
    let chosen: Option<HashSet<&str>> = settings.tasks.as_ref().map(|tasks| tasks.iter().map(String::as_str).collect());
    let is_chosen = |task: &&Task| chosen.as_ref().is_none_or(|chosen| chosen.contains(task.id.as_str()));
    plan.tasks.iter().filter(|task| task.is_data()).filter(is_chosen).map(Task::source_table).collect()
}

fn readers(plan: &Plan) -> impl Iterator<Item = &Task> {
    plan.tasks.iter().filter(|task| task.phase == Phase::Data && task.kind != TaskKind::Truncate)
}

fn not_held(wait: Duration) -> Error {
    let doing =
        format!("no snapshot is held for this plan's run, and none was registered within {} s", wait.as_secs_f64());
    Error::new("snapshot_not_held", Kind::State, doing)
        .on(Side::Target)
        .remedy(format!("start {} again, or let the part wait longer for it", Action::Hold))
}

/// The finding for a part that reads some of the rows in a snapshot of its own.
pub fn finding(plan: &Plan, settings: &Settings) -> Option<Finding> {
    let reads_its_own = settings.reading().is_ok_and(|reading| reading == Reading::Own);
    let chosen = rows(plan, settings).len();
    if !reads_its_own || chosen == 0 || chosen == readers(plan).count() {
        return None;
    }
    let message = "this part of the run reads its own snapshot of the source: its rows are consistent with those of the other parts only if \
                   nothing writes to the source until all parts are done";
    let remedy =
        format!("write nothing to the source meanwhile, or hold one snapshot for all parts with {}", Action::Hold);
    Some(Finding::new("own_snapshot", Severity::Warning, "", message, remedy))
}
