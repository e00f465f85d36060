//! Proves that the target holds what the plan moves, and nothing else in scope: rows, sequences, large objects, validity, definitions,
//! roles, settings.
//!
//! Rows are compared by sums that do not depend on their order; only where these differ are both sides sorted and
//! merged to name the rows. Where the ledger has the sums of the rows as the run sent them, these stand for the
//! source, which is then not read again. What cannot be compared is named as such and never counts as equal. Called by
//! the verbs `verify` and `run`.

mod archive;
mod definitions;
mod lonely;
mod objects;
mod pairs;
mod pool;
mod roles;
mod rows;
mod verdict;

use super::adapt::Judge;
use super::foreign_keys::Left;
use super::{Context, Source, members};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::pg::client::tool::Tools;
use crate::pg::compare::{Ends, Readers};
use crate::pg::{Session, introspect};
use crate::plan::{Plan, columns};
use crate::record::Record;
use crate::verification::{Remark, Verification};
use std::collections::HashMap;

/// What is compared.
pub struct Subject<'a> {
    /// The configuration that the plan was made with.
    pub config: &'a Config,
    /// What should be on the target.
    pub plan: &'a Plan,
    /// The source, opened in a snapshot.
    pub source: &'a Source,
    /// A session on the target.
    pub target: &'a Session,
    /// The client programs; none where only rows are compared.
    pub tools: Option<&'a Tools>,
    /// How many sessions a side read at once.
    pub jobs: usize,
    /// Whether the source is read although the ledger has the sums of what the run sent: it may have been written to since.
    pub rereads: bool,
}

/// Compares source and target as far as the plan and the configuration go.
///
/// A difference is a result and no error; an error means that a server could not be reached or the run was stopped.
pub async fn verify(subject: &Subject<'_>, context: &Context) -> Result<Verification> {
    context.stop.or(compare(subject, context)).await
}

async fn compare(subject: &Subject<'_>, context: &Context) -> Result<Verification> {
    let mut sides = Sides::read(subject).await?;
    let mut verification = context.step("verify rows", Box::pin(compare_contents(subject, &sides, context))).await?;
    let ledger = Ledger::new(&subject.config.options.ledger_schema);
    verification.differences.extend(Left::read(&ledger, subject.target).await?.differences());
    if subject.config.options.data_only {
        // What stands on the target's own tables is not the run's.
        return Ok(verification.settled());
    }
    let definitions = Box::pin(compare_catalogs(subject, &mut sides, &verification));
    verification.absorb(context.step("verify catalog", definitions).await?);
    Ok(verification.settled())
}

async fn compare_contents(subject: &Subject<'_>, sides: &Sides, context: &Context) -> Result<Verification> {
    let mut items = pairs::build(subject, sides);
    items.extend(objects::items(subject.plan, sides, &subject.config.options));
    let ends = ends(subject, sides.encoding.clone());
    let search_path = introspect::search_path(&subject.source.leader).await?;
    let mut verification = pool::run(ends, items, search_path, subject.jobs, context).await?;
    if !subject.config.options.data_only {
        let readers = readers(subject).await?;
        verification.absorb(objects::compare_usability(&readers, subject.plan).await?);
        verification.absorb(objects::compare_silenced_keys(&readers, subject.plan).await?);
    }
    Ok(verification)
}

async fn compare_catalogs(subject: &Subject<'_>, sides: &mut Sides, before: &Verification) -> Result<Verification> {
    let mut part = definitions::compare(subject, sides, before).await?;
    part.absorb(objects::lonely_large_objects(subject, sides).await?);
    part.absorb(roles::compare(subject.config, subject.plan, sides));
    let readers = readers(subject).await?;
    part.absorb(roles::compare_extensions(&readers, subject.plan).await?);
    part.absorb(compare_members(&readers, subject).await?);
    Ok(part)
}

/// What belongs to an extension and is not moved by anything.
async fn compare_members(readers: &Readers, subject: &Subject<'_>) -> Result<Verification> {
    let mut part = Verification::default();
    for unmoved in members::unmoved(readers, subject.plan).await? {
        part.not_moved.push(Remark::new(unmoved.kind, unmoved.object, unmoved.reason));
    }
    Ok(part)
}

/// Sessions on both sides for what is not compared by the pool.
async fn readers(subject: &Subject<'_>) -> Result<Readers> {
    Readers::open(&ends(subject, None)).await
}

fn ends(subject: &Subject<'_>, encoding: Option<String>) -> Ends {
    Ends {
        source: subject.source.leader.conninfo().clone(),
        target: subject.target.conninfo().clone(),
        snapshot: subject.source.snapshot.clone(),
        encoding,
    }
}

/// What both sides contain.
struct Sides {
    source: Catalog,
    target: Catalog,
    encoding: Option<String>,
    past: Past,
    /// Where the tables are the target's own.
    judge: Option<Judge>,
}

/// What the ledger says of the last run from this source.
#[derive(Debug, Default)]
struct Past {
    /// The records by task; empty where the run had another plan.
    by_task: HashMap<String, Record>,
    /// How rows, or a sequence's value, came into an object.
    modes: HashMap<String, String>,
    /// Whether the sums of the records stand for the source.
    has_sums: bool,
}

impl Sides {
    async fn read(subject: &Subject<'_>) -> Result<Sides> {
        let mut source = introspect::catalog(&subject.source.leader).await?;
        columns::exclude(&mut source.relations, subject.config);
        let target = introspect::catalog(subject.target).await?;
        let encoding = &target.server.encoding;
        let encoding = (source.server.encoding == *encoding && encoding != "UTF8").then(|| encoding.clone());
        let past = Past::read(subject).await?;
        let judge = Judge::of(subject.config, &subject.source.leader, subject.target).await?;
        Ok(Sides { source, target, encoding, past, judge })
    }
}

impl Past {
    async fn read(subject: &Subject<'_>) -> Result<Past> {
        let ledger = Ledger::new(&subject.config.options.ledger_schema);
        let mut past = Past { has_sums: !subject.rereads, ..Past::default() };
        if !ledger.exists(subject.target).await? {
            return Ok(past);
        }
        let Some(run) = ledger.last_run(subject.target).await? else { return Ok(past) };
        if run.source != subject.plan.header.source {
            return Ok(past);
        }
        let is_same_plan = run.plan == subject.plan.fingerprint();
        for record in ledger.records(subject.target, run.run).await? {
            if !record.mode.is_empty() {
                past.modes.insert(record.object.clone(), record.mode.clone());
            }
            if is_same_plan {
                past.by_task.insert(record.task.clone(), record);
            }
        }
        Ok(past)
    }

    fn mode(&self, object: &str) -> &str {
        self.modes.get(object).map(String::as_str).unwrap_or_default()
    }
}
