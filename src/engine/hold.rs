//! The holder: one process that keeps one snapshot of the source for all parts of a run, on any number of machines.
//!
//! It does what every run does before its first task, including the run's rows in the ledger; then it registers its snapshot lease there
//! and only keeps the snapshot. It ends when all rows are on the target, when it is asked to stop, when no process has worked for a long
//! time, or when it has lost what it holds. It waits for tasks that failed or whose process was killed: only the caller that started a part
//! knows whether it is tried again.

use super::Context;
use super::connect::{Endpoints, Source};
use super::lifecycle::conclude;
use crate::closed_set::closed_set;
use crate::config::Config;
use crate::engine::run::begin::enter;
use crate::engine::run::check::check;
use crate::engine::run::inspect::inspect;
use crate::engine::run::join::take_up;
use crate::engine::run::open::{Opening, Planned, Way, open};
use crate::engine::run::prepared::{BeginOptions, Prepared};
use crate::engine::run::settings::Settings;
use crate::engine::run::{part, unplanned};
use crate::error::{Error, Kind, Result, Side};
use crate::event::Event;
use crate::ledger::{LeaseRole, Ledger, Progress};
use crate::pg::Session;
use crate::pg::snapshot::{self, Snapshot};
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// The settings of a holder besides its configuration.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HoldSettings {
    /// Seconds after which it gives up while no part works and rows are missing; 0: never.
    pub idle_timeout: Option<f64>,
    /// Overrides `options.consistent`.
    pub consistent: Option<bool>,
}

closed_set! {
    /// How the holding of a snapshot ended.
    pub enum HoldStatus, "status of a held snapshot" {
        /// All rows are on the target.
        Settled = "settled",
        /// It was requested that the snapshot is released.
        Released = "released",
        /// It was stopped.
        Stopped = "stopped",
    }
}

/// The holding of a snapshot, after its end.
#[derive(Debug, Clone, Serialize)]
pub struct Held {
    /// The run's number in the ledger.
    pub run: i64,
    /// How it ended.
    pub status: HoldStatus,
    /// The state of the source that the snapshot sees, as `pg::snapshot` writes it.
    pub snapshot: String,
    /// Tasks of the data phase that are settled.
    pub settled: u64,
    /// Tasks of the data phase that are not settled.
    pub open: u64,
    /// How long it was held.
    pub seconds: f64,
}

const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// How long the session of a holder that was just killed may remain on the target.
const LINGER: Duration = Duration::from_secs(10);
/// How long a lost target may stay unreachable.
const AWAY: Duration = Duration::from_secs(300);

impl HoldSettings {
    fn idle_timeout(&self) -> Result<Option<Duration>> {
        let wrong = |seconds| Error::config(vec![format!("idle_timeout is {seconds}: use seconds, or 0 for no limit")]);
        match self.idle_timeout {
            None => Ok(Some(IDLE_TIMEOUT)),
            Some(0.0) => Ok(None),
            Some(seconds) => Duration::try_from_secs_f64(seconds).map(Some).map_err(|_| wrong(seconds)),
        }
    }
}

/// Holds a snapshot for the parts of a run.
pub async fn hold(config: &Config, plan: &Plan, settings: &HoldSettings, context: &Context) -> Result<Held> {
    let idle_timeout = settings.idle_timeout()?;
    // The settings of a part without tasks.
    let part = Settings { tasks: Some(Vec::new()), consistent: settings.consistent, ..Settings::default() };
    let mut config = part.over(config);
    let endpoints = Endpoints::new(&config.connection, context)?;
    let ledger = Ledger::new(&config.ledger.schema);
    let target = context.stop.or(take_place(&ledger, &endpoints)).await?;
    let fingerprint = plan.fingerprint();
    let known = known(&ledger, &target, &fingerprint).await?;
    let opening = Opening {
        endpoints: &endpoints,
        connection: &config.connection,
        scope: &config.scope,
        ledger: &config.ledger,
        way: Way::Holder(&known),
        // All tables that the plan reads.
        planned: Some(Planned::of(plan, &Settings::default())),
    };
    let opening = async {
        let connections = open(opening, context).await?;
        let inspection = inspect(config.run(), None, &connections).await?;
        Ok((connections, inspection))
    };
    let (connections, inspection) = context.step("connect", Box::pin(opening)).await?;
    let has_begun = part::run_of(&ledger, &target, &fingerprint).await?.is_some();
    // Only a process that begins the run makes the backup.
    config.safety.backup &= !has_begun;
    let prepared = Prepared { settings: &part, connections: &connections, inspection: &inspection, plan, jobs: 1 };
    let drift = check(config.run(), &prepared, context).await?.drift;
    unplanned::changes(&prepared, config.plan(), &drift, context);
    let options = BeginOptions::of(config.run());
    let run = if has_begun {
        context.step("ledger", take_up(&prepared, options)).await?.run
    } else {
        Box::pin(enter(&prepared, options, context)).await?.run
    };
    let mut watch = HoldWatch { endpoints, ledger, source: connections.source, target, run, context };
    watch.register_lease().await?;
    // From here on this process is not a part, and the whole run may go on as soon as the last part has ended.
    drop(connections.target);
    context.events.send(Event::SnapshotHeld {
        run: watch.run,
        id: watch.source.snapshot.id.clone(),
        sees: watch.source.snapshot.text.clone(),
    });
    watch.stay(idle_timeout).await
}

/// The snapshots that living parts of the run still read: a new holder adopts one of these in place of a lost holder.
async fn known(ledger: &Ledger, target: &Session, fingerprint: &str) -> Result<Vec<Snapshot>> {
    let Some(run) = part::run_of(ledger, target, fingerprint).await? else { return Ok(Vec::new()) };
    Ok(ledger.leases(target, run.run).await?.into_iter().map(|one| one.snapshot).collect())
}

/// Becomes the only holder on the target.
async fn take_place(ledger: &Ledger, endpoints: &Endpoints) -> Result<Session> {
    let target = Session::open(&endpoints.target, Side::Target, "holder").await?;
    let began = Instant::now();
    while !ledger.lock_hold(&target).await? {
        if began.elapsed() >= LINGER {
            let holder = ledger.holder(&target).await?;
            let end = holder.map_or_else(String::new, |pid| {
                format!("; if the holder is dead, run SELECT pg_terminate_backend({pid}) on the target")
            });
            let doing = "another process already holds a snapshot for the target";
            return Err(Error::new("snapshot_held", Kind::State, doing)
                .on(Side::Target)
                .remedy(format!("join it, or stop its holder{end}")));
        }
        tokio::time::sleep(BETWEEN_LOOKS / 4).await;
    }
    Ok(target)
}

struct HoldWatch<'a> {
    endpoints: Endpoints,
    ledger: Ledger,
    source: Source,
    /// The session whose lock shows that the holder lives.
    target: Session,
    run: i64,
    context: &'a Context,
}

impl HoldWatch<'_> {
    async fn register_lease(&self) -> Result<()> {
        self.ledger.register_lease(&self.target, self.run, &self.source.snapshot, LeaseRole::Holder).await
    }

    async fn stay(&mut self, idle_timeout: Option<Duration>) -> Result<Held> {
        let began = Instant::now();
        let mut progress = Progress::default();
        let ended = self.watch(idle_timeout, &mut progress).await;
        if let Err(error) = self.leave().await {
            tracing::warn!("the lease of the held snapshot could not be removed: {}", error.chain());
        }
        Ok(Held {
            run: self.run,
            status: ended?,
            snapshot: self.source.snapshot.text.clone(),
            settled: progress.settled,
            open: progress.open(),
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    async fn watch(&mut self, idle_timeout: Option<Duration>, progress: &mut Progress) -> Result<HoldStatus> {
        let stop = self.context.stop.clone();
        let mut at_work = Instant::now();
        loop {
            let looked = tokio::select! {
                biased;
                () = stop.stopped() => return Ok(HoldStatus::Stopped),
                looked = self.look() => looked?,
            };
            let Some(look) = looked else { return Ok(HoldStatus::Settled) };
            if look.progress != *progress || look.is_worked_on {
                at_work = Instant::now();
            }
            if look.progress != *progress {
                *progress = look.progress;
                self.emit(look.progress);
            }
            match look {
                HoldState { progress, .. } if progress.open() == 0 => return Ok(HoldStatus::Settled),
                HoldState { is_released: true, .. } => return Ok(HoldStatus::Released),
                _ if idle_timeout.is_some_and(|limit| at_work.elapsed() >= limit) => {
                    return Err(idle(at_work.elapsed(), progress));
                }
                _ => {}
            }
            tokio::select! {
                biased;
                () = stop.stopped() => return Ok(HoldStatus::Stopped),
                () = tokio::time::sleep(BETWEEN_LOOKS) => {}
            }
        }
    }

    /// The state of the run; none where its ledger is gone, which only a complete run drops.
    async fn look(&mut self) -> Result<Option<HoldState>> {
        snapshot::is_held(&self.source.leader).await.map_err(lost)?;
        let began = Instant::now();
        loop {
            match self.ask().await {
                Err(error) if self.target.is_closed() || error.is_retryable() => {
                    tracing::warn!("the holder's session on the target is lost: {}", error.chain());
                    if began.elapsed() >= AWAY {
                        return Err(error);
                    }
                    tokio::time::sleep(BETWEEN_LOOKS).await;
                    if let Err(error) = self.come_back().await {
                        tracing::warn!("the holder cannot connect to the target again: {}", error.chain());
                    }
                }
                answer => return answer,
            }
        }
    }

    async fn ask(&self) -> Result<Option<HoldState>> {
        if !self.ledger.exists(&self.target).await? {
            return Ok(None);
        }
        Ok(Some(HoldState {
            progress: self.ledger.progress(&self.target, self.run).await?,
            is_worked_on: self.ledger.is_locked(&self.target).await?,
            is_released: self.ledger.is_released(&self.target, self.run).await?,
        }))
    }

    async fn come_back(&mut self) -> Result<()> {
        self.target = take_place(&self.ledger, &self.endpoints).await?;
        self.register_lease().await
    }

    fn emit(&self, progress: Progress) {
        let Progress { settled, running, failed, pending } = progress;
        tracing::debug!(
            "snapshot held: {settled} data tasks settled, {running} taken, {failed} failed, {pending} left"
        );
        self.context.events.send(Event::HoldProgress { settled, running, failed, pending });
    }

    /// Deregisters the snapshot lease, and records the state of the run in the ledger.
    async fn leave(&self) -> Result<()> {
        if !self.ledger.exists(&self.target).await? {
            return Ok(());
        }
        self.ledger.deregister_lease(&self.target, self.run).await?;
        conclude(&self.ledger, &self.target, self.run, Some(&[])).await.map(|_| ())
    }
}

struct HoldState {
    progress: Progress,
    is_worked_on: bool,
    is_released: bool,
}

fn lost(error: Error) -> Error {
    Error::new("holder_session_lost", Kind::Connect, "the session on the source that held the snapshot is lost")
        .on(Side::Source)
        .remedy("start the holder again: running parts continue, and new ones wait for it")
        .caused_by(error)
}

fn idle(elapsed: Duration, progress: &Progress) -> Error {
    let doing = format!(
        "no part of the run was at work for {:.0} s, and {} of its data tasks are not settled ({} failed)",
        elapsed.as_secs_f64(),
        progress.open(),
        progress.failed
    );
    Error::new("holder_idle", Kind::State, doing)
        .remedy("start the holder and the missing parts again, or let the holder wait longer by idle_timeout")
}
