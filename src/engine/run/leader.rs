//! The leader on the target: the session whose advisory lock shows that this process works on the run.
//!
//! The lock ends with its session, so a lost connection loses it. The leader then connects again, terminates what the lost session has left
//! on the server, and takes the lock again; where another process has taken it meanwhile, this one has to stop. Made by `open` and `part`;
//! kept by `pool` while tasks run and by `close` at the end.

use super::lost;
use super::lost::{AWAY, LINGER, end_lost};
use crate::action::Action;
use crate::engine::StopToken;
use crate::engine::refuse::already_running;
use crate::engine::stop_token::interrupted;
use crate::error::{Error, Kind, Result, Side};
use crate::ledger::Ledger;
use crate::pg::backend::{self, Backend};
use crate::pg::{Session, introspect};
use std::ops::Deref;
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How a process holds the run's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunLock {
    /// Alone: for the whole run.
    Exclusive,
    /// Shared: for a part, or for a holder while it begins.
    Shared,
    /// For the safe procedure, which has a lock of its own.
    Procedure,
}

impl RunLock {
    fn owner(self) -> &'static str {
        match self {
            RunLock::Exclusive | RunLock::Shared => "run",
            RunLock::Procedure => "procedure",
        }
    }
}

/// The session that holds the run's lock.
pub struct Leader {
    session: Session,
    backend: Backend,
    ledger: Ledger,
    lock: RunLock,
    purpose: String,
    was_lost: bool,
    /// The run that it leads, once it is known.
    run: Option<i64>,
    /// The identity of the database on which the safe procedure works; for a run the ledger has it.
    database: Option<String>,
}

impl Deref for Leader {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Leader {
    /// Makes a session the leader; it takes the lock.
    pub async fn of(session: Session, ledger: &Ledger, lock: RunLock) -> Result<Leader> {
        let is_taken = take(ledger, &session, lock).await?
            || lost::end_of_dead_processes(&session, ledger).await? && take(ledger, &session, lock).await?;
        if !is_taken {
            return Err(already_running());
        }
        Leader::with_lock(session, ledger, lock).await
    }

    /// Makes the session that has the lock the leader.
    pub async fn with_lock(session: Session, ledger: &Ledger, lock: RunLock) -> Result<Leader> {
        let backend = backend::identify(&session).await?;
        let database = match lock {
            RunLock::Procedure => Some(introspect::server(&session).await?.identity()),
            RunLock::Exclusive | RunLock::Shared => None,
        };
        let (ledger, purpose) = (ledger.clone(), "leader".to_owned());
        Ok(Leader { session, backend, ledger, lock, purpose, was_lost: false, run: None, database })
    }

    /// Sets the run that it leads: another host may replace a lost one only where it has this run.
    pub fn leads(&mut self, run: i64) {
        self.run = Some(run);
    }

    /// The same leader; sessions that replace a lost one show this purpose.
    pub fn shown_as(self, purpose: &str) -> Leader {
        Leader { purpose: purpose.to_owned(), ..self }
    }

    /// Whether other processes may share the lock.
    pub fn is_shared(&self) -> bool {
        self.lock == RunLock::Shared
    }

    /// Whether the connection, and the lock with it, is gone.
    pub fn is_lost(&self) -> bool {
        self.session.is_closed()
    }

    /// Whether the connection was lost at any time. Where it never was, neither the lock nor anything that was committed can be lost.
    pub fn was_lost(&self) -> bool {
        self.was_lost
    }

    /// Connects again where the connection is lost, and takes the lock again; returns whether it had to. Tries for a limited time, unless
    /// asked to stop.
    pub async fn keep(&mut self, stop: &StopToken) -> Result<bool> {
        if !self.is_lost() {
            return Ok(false);
        }
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        self.was_lost = true;
        let owner = self.lock.owner();
        tracing::warn!("the session on the target that holds the {owner}'s lock is lost; connecting again");
        loop {
            match self.come_back().await {
                Ok(()) => {
                    tracing::warn!("the session on the target that holds the {owner}'s lock is back");
                    return Ok(true);
                }
                Err(error) if !error.is_retryable() || began.elapsed() >= AWAY => return Err(error),
                Err(error) => tracing::debug!("the target cannot be reached: {}", error.chain()),
            }
            tokio::select! {
                biased;
                () = stop.stopped() => return Err(interrupted()),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// After `error` of a statement on the session: connects again where the connection is lost, so that the statement can be tried once
    /// more. Any other error is returned.
    pub async fn recover(&mut self, stop: &StopToken, error: Error) -> Result<()> {
        if !error.is_retryable() {
            return Err(error);
        }
        // The server's last message may arrive before the connection is seen to end.
        tokio::time::sleep(FIRST_PAUSE).await;
        if self.keep(stop).await? { Ok(()) } else { Err(error) }
    }

    async fn come_back(&mut self) -> Result<()> {
        let conninfo = self.session.conninfo().with_all_hosts();
        let session = Session::open(&conninfo, Side::Target, &self.purpose).await?;
        if !session.conninfo().has_same_host(self.session.conninfo()) {
            self.check_successor(&session).await?;
        }
        end_lost(&session, &self.backend).await?;
        let began = Instant::now();
        while !take(&self.ledger, &session, self.lock).await? {
            if began.elapsed() >= LINGER {
                return Err(taken_over(self.lock.owner()));
            }
            tokio::time::sleep(FIRST_PAUSE).await;
        }
        let backend = backend::identify(&session).await?;
        if self.lock != RunLock::Procedure && self.ledger.exists(&session).await? {
            self.ledger.replace_leader(&session, &self.backend, &backend).await?;
        }
        self.backend = backend;
        self.session = session;
        Ok(())
    }

    /// Another host has answered: it must have the same database, such as a standby that has become the primary.
    async fn check_successor(&self, session: &Session) -> Result<()> {
        let server = introspect::server(session).await?;
        if server.in_recovery {
            // It may still become the primary.
            let doing = format!(
                "{} answers in place of the lost host and is a standby of the target",
                session.conninfo().describe()
            );
            return Err(Error::new("successor_is_standby", Kind::Connect, doing).on(Side::Target));
        }
        let identity = server.identity();
        let is_known = match &self.database {
            Some(database) => *database == identity,
            None => {
                self.ledger.exists(session).await?
                    && self
                        .ledger
                        .last_run(session)
                        .await?
                        .is_some_and(|run| run.target == identity && self.run.is_none_or(|own| own == run.run))
            }
        };
        if is_known {
            tracing::warn!("{} has answered in place of the host that is lost", session.conninfo().describe());
            return Ok(());
        }
        let (who, lacks) = (
            session.conninfo().describe(),
            if self.database.is_some() {
                "is another database than the target"
            } else {
                "does not have the run of the target"
            },
        );
        let doing = format!("{who} answers in place of the lost host and {lacks}");
        Err(Error::new("successor_without_run", Kind::State, doing)
            .on(Side::Target)
            .remedy(format!("name only hosts of the same database in the target's conninfo, then {}", Action::Resume)))
    }

    /// The server process of the session.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }
}

async fn take(ledger: &Ledger, session: &Session, lock: RunLock) -> Result<bool> {
    match lock {
        RunLock::Procedure => ledger.lock_procedure(session).await,
        RunLock::Exclusive | RunLock::Shared => ledger.lock(session, lock == RunLock::Shared).await,
    }
}

fn taken_over(owner: &str) -> Error {
    let doing = format!("the connection to the target was lost, and another process works on the {owner} meanwhile");
    Error::new("run_taken_over", Kind::State, doing)
        .on(Side::Target)
        .remedy(format!("wait for the other process; {} shows its progress", Action::Status))
}
