//! A part of a run: chosen tasks beside others of the same plan, on this machine or another.
//!
//! Whoever begins the run looks both databases over; a part that joins it only proves that it is on the same servers and that the
//! plan still fits, so that its first row comes soon. In a held snapshot not even the catalog is read: the holder has compared it,
//! and keeps it from changing by its locks. Called by `run`.

use super::connect::{Endpoints, Source};
use super::ends::{Ends, already_running};
use super::run::Settings;
use super::{Context, resume};
use crate::config::Config;
use crate::error::{Error, Kind, Result, Side};
use crate::finding::{Finding, Severity};
use crate::ledger::{Announcement, Ledger, Role};
use crate::pg::snapshot::Snapshot;
use crate::pg::{Session, introspect};
use crate::plan::{Phase, Plan, kind};
use crate::record::Run;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Which snapshot a part reads the source in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// One of its own.
    Own,
    /// The one that a holder has announced.
    Held,
}

impl Reading {
    /// The reading of that word.
    pub(super) fn from_word(word: &str) -> Result<Reading> {
        match word {
            "own" => Ok(Reading::Own),
            "held" => Ok(Reading::Held),
            other => Err(Error::config(vec![format!("snapshot is {other:?}: use own or held")])),
        }
    }
}

/// How long a part waits for a snapshot to be announced where nobody says how long.
pub(super) const WAIT: Duration = Duration::from_secs(300);
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Connects a part that joins a run; none where there is no run of the plan yet, and this part has to begin it.
pub(super) async fn connect(
    config: &Config,
    endpoints: &Endpoints,
    (settings, plan): (&Settings, &Plan),
    context: &Context,
) -> Result<Option<Ends>> {
    let ledger = Ledger::new(&config.options.ledger_schema);
    let target = Session::open(&endpoints.target, Side::Target, "leader").await?;
    let reading = settings.reading()?;
    let lock_timeout = config.options.lock_timeout;
    let fingerprint = plan.fingerprint();
    let source = if reading == Reading::Held {
        let held = context.stop.or(await_snapshot(&ledger, &target, &fingerprint, settings.wait()?)).await?;
        Source::adopt(&endpoints.source, lock_timeout, &held).await?
    } else {
        if !ledger.lock(&target, true).await? {
            return Err(already_running());
        }
        if run_of(&ledger, &target, &fingerprint).await?.is_none() {
            return Ok(None);
        }
        Source::open(&endpoints.source, lock_timeout).await?
    };
    let source_server = introspect::server(&source.leader).await?;
    resume::drift_of_server(plan, &source_server, config).refuse(true)?;
    if reading == Reading::Own {
        resume::drift(plan, &introspect::catalog(&source.leader).await?, config).refuse(true)?;
    }
    let target_server = introspect::server(&target).await?;
    Ok(Some(Ends { source, target, source_server, target_server, looked: None, ledger }))
}

/// The last run in the ledger, where it is of the plan with this fingerprint.
pub(super) async fn run_of(ledger: &Ledger, target: &Session, fingerprint: &str) -> Result<Option<Run>> {
    if !ledger.exists(target).await? {
        return Ok(None);
    }
    let last = ledger.last_run(target).await?;
    Ok(last.filter(|run| run.plan == fingerprint))
}

/// Waits for a holder's announcement, and has the run's lock when it is there. The lock is not held while waiting: a holder that begins
/// anew must see that nobody is at work.
async fn await_snapshot(ledger: &Ledger, target: &Session, fingerprint: &str, wait: Duration) -> Result<Snapshot> {
    let deadline = Instant::now() + wait;
    loop {
        let run = run_of(ledger, target, fingerprint).await?;
        if let Some(held) = held(ledger, target, run.as_ref()).await? {
            if ledger.lock(target, true).await? {
                return Ok(held.snapshot);
            }
            if Instant::now() >= deadline {
                return Err(already_running());
            }
        }
        if Instant::now() >= deadline {
            return Err(not_held(wait));
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

async fn held(ledger: &Ledger, target: &Session, run: Option<&Run>) -> Result<Option<Announcement>> {
    let Some(run) = run else { return Ok(None) };
    let announced = ledger.announced(target, run.run).await?;
    Ok(announced.into_iter().find(|one| one.role == Role::Holder && !one.is_released))
}

fn not_held(wait: Duration) -> Error {
    let doing = format!("no snapshot of this plan's run is held, and none was in {} s", wait.as_secs_f64());
    Error::new(Kind::State, doing)
        .on(Side::Target)
        .remedy("start the holder again (Migration.hold_snapshot), or let the part wait longer for it")
}

/// What a part should know that reads some of the rows in a snapshot of its own.
pub(super) fn finding(plan: &Plan, settings: &Settings) -> Option<Finding> {
    let reads_its_own = settings.reading().is_ok_and(|reading| reading == Reading::Own);
    let chosen = settings.tasks.as_ref().filter(|_| reads_its_own)?;
    let chosen: HashSet<&str> = chosen.iter().map(String::as_str).collect();
    let mut rows = plan.tasks.iter().filter(|task| task.phase == Phase::Data && task.kind != kind::TRUNCATE);
    let is_chosen = |id: &str| chosen.contains(id);
    let reads = rows.clone().any(|task| is_chosen(&task.id));
    if !reads || rows.all(|task| is_chosen(&task.id)) {
        return None;
    }
    let message = "this part of the run reads the source in a snapshot of its own: its rows fit those of the other parts only if \
                   nothing writes to the source until all of them are done";
    let remedy = "keep the source quiet, or hold one snapshot for all parts (Migration.hold_snapshot, and \
                  run_tasks(snapshot=\"held\"))";
    Some(Finding::new("own_snapshot", Severity::Warning, "", message, remedy))
}
