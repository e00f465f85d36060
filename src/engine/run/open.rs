//! Both connections of a run, opened, checked and inspected, as every step of the run needs them.
//!
//! A process that begins a run reads the whole catalog and checks for whatever would prevent that; a part that joins a run is opened in
//! `part`. Called by `run` and `hold`.

use super::connections::{Ends, Looked};
use super::leader::{Leader, RunLock};
use super::part;
use super::settings::Settings;
use crate::config::Config;
use crate::engine::connect::{Endpoints, Source};
use crate::engine::programs;
use crate::engine::programs::{Majors, Writer};
use crate::engine::refuse::refuse;
use crate::engine::{Context, preflight};
use crate::error::{Result, Side};
use crate::ledger::Ledger;
use crate::name::QualifiedName;
use crate::pg::snapshot::Snapshot;
use crate::pg::{Session, introspect};
use crate::plan::Plan;

/// Connects to both servers; as a part where tasks are chosen of a plan whose run has begun.
pub async fn connect(
    config: &Config,
    endpoints: &Endpoints,
    (settings, plan): (&Settings, Option<&Plan>),
    context: &Context,
) -> Result<Ends> {
    if let (Some(plan), Some(_)) = (plan, &settings.tasks)
        && let Some(ends) = part::connect(config, endpoints, (settings, plan), context).await?
    {
        return Ok(ends);
    }
    let way = if settings.tasks.is_some() { Way::Part } else { Way::Whole };
    look_over(config, endpoints, way, plan.map(|plan| Planned::of(plan, settings)), context).await
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
    /// Which `pg_dump` wrote its definitions.
    writer: Writer,
}

impl Planned {
    /// What `plan` determines, as far as the chosen tasks need it.
    pub fn of(plan: &Plan, settings: &Settings) -> Planned {
        Planned { tables: part::tables(plan, settings), writer: Writer::of(plan) }
    }
}

/// Connects a process that begins a run, or resumes the whole of one.
pub async fn look_over(
    config: &Config,
    endpoints: &Endpoints,
    way: Way<'_>,
    planned: Option<Planned>,
    context: &Context,
) -> Result<Ends> {
    let ledger = Ledger::new(&config.ledger.schema);
    let lock = if matches!(way, Way::Whole) { RunLock::Exclusive } else { RunLock::Shared };
    let locked = async {
        let target = Session::open(&endpoints.target, Side::Target, "leader").await?;
        Leader::of(target, &ledger, lock).await
    };
    let (tables, writer) = planned.map_or((None, Writer::None), |planned| (Some(planned.tables), planned.writer));
    let source = async {
        let mut source = open_source(config, endpoints, way).await?;
        match source.refuse_raw_texts().await {
            // The query of a definition waits for a table that another session keeps locked; the locks that follow name that session.
            Err(error) if error.is("55P03") => {}
            result => result?,
        }
        match tables {
            Some(tables) => source.lock_all(tables, config.connection.lock_timeout).await?,
            None => source.lock_scope(config).await?,
        }
        Ok(source)
    };
    let found = programs::find(config, context);
    let (found, target, source) = tokio::try_join!(Box::pin(found), Box::pin(locked), Box::pin(source))?;
    let majors = Majors { planned: writer, ..Majors::of(&source.leader, &target, None) };
    let programs = found.map(|found| programs::choose(&found, majors)).transpose()?;
    let finding = programs.as_ref().and_then(|programs| programs.finding.as_ref());
    // Emitted before a difference that may result from it.
    context.tell(finding.map_or(&[], std::slice::from_ref));
    // What would prevent the catalog from being read is reported as such, and not as an error of pg_dump.
    refuse(preflight::outset(config, &source.leader, &target, programs.as_ref()).await?)?;
    let catalog = source.catalog(config, programs.as_ref().map(|programs| &programs.source)).await?;
    let (source_server, target_server) = (catalog.server.clone(), introspect::server(&target).await?);
    Ok(Ends { source, target, source_server, target_server, ledger, looked: Some(Looked { programs, catalog }) })
}

async fn open_source(config: &Config, endpoints: &Endpoints, way: Way<'_>) -> Result<Source> {
    if let Way::Holder(known) = way {
        for snapshot in known {
            // The process that held it may have ended meanwhile, or lost its server.
            if let Ok(source) = Source::adopt(&endpoints.source, config.connection.lock_timeout, snapshot).await {
                return Ok(source);
            }
        }
    }
    Source::open(&endpoints.source, config.connection.lock_timeout).await
}
