//! Opens both connections of a process that begins a run, or resumes the whole of one, with its snapshot and its locks.
//!
//! The leader on the target takes the run's lock, and the source's leader locks the tables that are to be read, before any step that takes
//! time. A part that joins a run is opened in `part`. Called by `run` and `hold`.

use super::connections::{Connections, Entry};
use super::leader::{Leader, RunLock};
use super::part;
use super::request::RunRequest;
use super::settings::Settings;
use crate::config::{ConnectionOptions, LedgerOptions, ScopeOptions};
use crate::engine::Context;
use crate::engine::connect::{Endpoints, Source};
use crate::engine::programs;
use crate::engine::programs::Majors;
use crate::error::{Result, Side};
use crate::ledger::Ledger;
use crate::name::QualifiedName;
use crate::pg::Session;
use crate::pg::snapshot::Snapshot;
use crate::plan::Plan;

/// Connects to both servers; as a part where tasks are chosen of a plan whose run has begun.
pub async fn connect(request: &RunRequest, context: &Context) -> Result<Connections> {
    let (plan, settings) = (request.plan.as_ref(), &request.settings);
    if let (Some(plan), Some(_)) = (plan, &settings.tasks)
        && let Some(joined) = part::connect(request, plan, context).await?
    {
        return Ok(joined);
    }
    let opening = Opening {
        endpoints: &request.endpoints,
        connection: &request.config.connection,
        scope: &request.config.scope,
        ledger: &request.config.ledger,
        way: if settings.tasks.is_some() { Way::Part } else { Way::Whole },
        planned: plan.map(|plan| Planned::of(plan, settings)),
    };
    open(opening, context).await
}

/// What decides how the connections are opened.
pub struct Opening<'a> {
    pub endpoints: &'a Endpoints,
    pub connection: &'a ConnectionOptions,
    pub scope: &'a ScopeOptions,
    pub ledger: &'a LedgerOptions,
    pub way: Way<'a>,
    /// None where the run makes the plan.
    pub planned: Option<Planned>,
}

/// The role of a process in its run.
#[derive(Clone, Copy)]
pub enum Way<'a> {
    /// It does the whole of it.
    Whole,
    /// It does chosen tasks.
    Part,
    /// It holds a snapshot for parts: one of these where one still exists.
    Holder(&'a [Snapshot]),
}

/// What a given plan determines before any of it is done.
pub struct Planned {
    /// The tables that it reads; without a plan, the filters determine them. They are locked before any step that takes time.
    tables: Vec<QualifiedName>,
    /// The major version of the `pg_dump` that wrote its definitions.
    pg_dump: Option<u32>,
}

impl Planned {
    /// What `plan` determines, as far as the chosen tasks need it.
    pub fn of(plan: &Plan, settings: &Settings) -> Planned {
        Planned { tables: part::tables(plan, settings), pg_dump: plan.header.pg_dump }
    }
}

/// Opens both connections, and chooses the client programs for the servers that answered.
pub async fn open(opening: Opening<'_>, context: &Context) -> Result<Connections> {
    let Opening { endpoints, connection, scope, way, .. } = opening;
    let ledger = Ledger::new(&opening.ledger.schema);
    let lock = if matches!(way, Way::Whole) { RunLock::Exclusive } else { RunLock::Shared };
    let (tables, pg_dump) = opening.planned.map_or((None, None), |planned| (Some(planned.tables), planned.pg_dump));
    let locked = async {
        let target = Session::open(&endpoints.target, Side::Target, "leader").await?;
        Leader::of(target, &ledger, lock).await
    };
    let source = async {
        let mut source = open_source(endpoints, connection.lock_timeout, way).await?;
        match source.refuse_raw_texts().await {
            // The query of a definition waits for a table that another session keeps locked; the locks that follow name that session.
            Err(error) if error.is("55P03") => {}
            result => result?,
        }
        match tables {
            Some(tables) => source.lock_all(tables).await?,
            None => source.lock_scope(scope).await?,
        }
        Ok(source)
    };
    let found = programs::find(scope, connection, context);
    let (found, target, source) = tokio::try_join!(Box::pin(found), Box::pin(locked), Box::pin(source))?;
    let majors = Majors { planned: pg_dump, ..Majors::of(&source.leader, &target, None) };
    let programs = found.map(|found| programs::choose(&found, majors)).transpose()?;
    // Emitted before a difference that may result from it.
    context.report(programs.as_ref().map_or(&[], |programs| programs.finding.as_slice()));
    Ok(Connections { source, target, ledger, programs, entry: Entry::Whole })
}

async fn open_source(endpoints: &Endpoints, lock_timeout: u64, way: Way<'_>) -> Result<Source> {
    if let Way::Holder(known) = way {
        for snapshot in known {
            // The process that held it may have ended meanwhile, or lost its server.
            if let Ok(source) = Source::adopt(&endpoints.source, lock_timeout, snapshot).await {
                return Ok(source);
            }
        }
    }
    Source::open(&endpoints.source, lock_timeout).await
}
