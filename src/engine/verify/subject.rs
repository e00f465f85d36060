//! What is compared, and what both sides contain.

use crate::catalog::Catalog;
use crate::config::PlanOptions;
use crate::engine::Source;
use crate::engine::target::column_mapping::TypeCompatibility;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::pg::client::tool::Tools;
use crate::pg::compare::{ComparedConnections, Readers};
use crate::pg::{Session, introspect};
use crate::plan::{Plan, columns};
use crate::record::{Record, RowMode};
use std::collections::HashMap;

/// What is compared.
pub struct Subject<'a> {
    /// What the plan obeys.
    pub options: PlanOptions<'a>,
    /// What should be on the target.
    pub plan: &'a Plan,
    /// The source, opened in a snapshot.
    pub source: &'a Source,
    /// A session on the target.
    pub target: &'a Session,
    /// The client programs; none where only rows are compared.
    pub tools: Option<&'a Tools>,
    /// How many sessions per side read at once.
    pub jobs: usize,
    /// Whether the source is read although the ledger has the sums of what the run sent: it may have been written to since.
    pub rereads: bool,
}

/// Sessions on both sides for what is not compared by the pool.
pub(super) async fn readers(subject: &Subject<'_>) -> Result<Readers> {
    Readers::open(&ends(subject, None)).await
}

pub(super) fn ends(subject: &Subject<'_>, encoding: Option<String>) -> ComparedConnections {
    ComparedConnections {
        source: subject.source.leader.conninfo().clone(),
        target: subject.target.conninfo().clone(),
        snapshot: subject.source.snapshot.clone(),
        encoding,
    }
}

/// What both sides contain.
pub(super) struct Sides {
    pub(super) source: Catalog,
    pub(super) target: Catalog,
    pub(super) encoding: Option<String>,
    pub(super) history: RunHistory,
    /// Set where the tables are the target's own.
    pub(super) compatibility: Option<TypeCompatibility>,
}

/// The ledger's records of the last run from this source.
#[derive(Debug, Default)]
pub(super) struct RunHistory {
    /// The records by task; empty where the run had another plan.
    pub(super) by_task: HashMap<String, Record>,
    /// How rows, or a sequence's value, were written into an object.
    pub(super) modes: HashMap<String, RowMode>,
    /// Whether the sums of the records can be used for the source.
    pub(super) has_sums: bool,
}

impl Sides {
    pub(super) async fn read(subject: &Subject<'_>) -> Result<Sides> {
        let mut source = introspect::catalog(&subject.source.leader).await?;
        columns::exclude(&mut source.relations, &subject.options.scope.tables);
        let target = introspect::catalog(subject.target).await?;
        let encoding = &target.server.encoding;
        let encoding = (source.server.encoding == *encoding && encoding != "UTF8").then(|| encoding.clone());
        let history = RunHistory::read(subject).await?;
        let compatibility =
            TypeCompatibility::of(subject.options.scope, &subject.source.leader, subject.target).await?;
        Ok(Sides { source, target, encoding, history, compatibility })
    }
}

impl RunHistory {
    pub(super) async fn read(subject: &Subject<'_>) -> Result<RunHistory> {
        let ledger = Ledger::new(&subject.options.ledger.schema);
        let mut history = RunHistory { has_sums: !subject.rereads, ..RunHistory::default() };
        if !ledger.exists(subject.target).await? {
            return Ok(history);
        }
        let Some(run) = ledger.last_run(subject.target).await? else { return Ok(history) };
        if run.source != subject.plan.header.source {
            return Ok(history);
        }
        let is_same_plan = run.plan == subject.plan.fingerprint();
        for record in ledger.records(subject.target, run.run).await? {
            if let Some(mode) = record.mode {
                history.modes.insert(record.object.clone(), mode);
            }
            if is_same_plan {
                history.by_task.insert(record.task.clone(), record);
            }
        }
        Ok(history)
    }

    pub(super) fn mode(&self, object: &str) -> Option<RowMode> {
        self.modes.get(object).copied()
    }
}
