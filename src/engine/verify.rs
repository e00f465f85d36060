//! Proves that the target holds what the plan moves, and nothing else in scope: rows, sequences, large objects, validity, definitions,
//! roles, settings.
//!
//! Rows are compared by sums that do not depend on their order; only where these differ are both sides sorted and merged to name the rows.
//! Where the ledger has the sums of the rows as the run sent them, these are used for the source, which is then not read again. What cannot
//! be compared is named as such and never counts as equal. Called by the verbs `verify` and `run`.

mod archive;
mod definitions;
mod item;
mod lonely;
mod objects;
mod pair;
mod pairs;
mod pool;
mod roles;
mod rows;
mod scopes;
mod subject;
mod verdict;

use super::Context;
use crate::engine::target::foreign_keys::Left;
use crate::engine::target::members;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::pg::compare::Readers;
use crate::pg::introspect;
use crate::verification::{Remark, Verification};
pub use subject::Subject;
use subject::{Sides, ends, readers};

/// Compares source and target as far as the plan and the configuration go.
///
/// A difference is a result and no error; an error means that a server could not be reached or the run was stopped.
pub async fn verify(subject: &Subject<'_>, context: &Context) -> Result<Verification> {
    context.stop.or(compare(subject, context)).await
}

async fn compare(subject: &Subject<'_>, context: &Context) -> Result<Verification> {
    let mut sides = Sides::read(subject).await?;
    let mut verification = context.step("verify rows", Box::pin(compare_contents(subject, &sides, context))).await?;
    let ledger = Ledger::new(&subject.options.ledger.schema);
    verification.differences.extend(Left::read(&ledger, subject.target).await?.differences());
    if subject.options.scope.data_only {
        // The definitions of the target's own tables are not the run's work.
        return Ok(verification.settled());
    }
    let definitions = Box::pin(compare_catalogs(subject, &mut sides, &verification));
    verification.absorb(context.step("verify catalog", definitions).await?);
    Ok(verification.settled())
}

async fn compare_contents(subject: &Subject<'_>, sides: &Sides, context: &Context) -> Result<Verification> {
    let mut items = pairs::build(subject, sides);
    items.extend(objects::items(subject.plan, sides, subject.options.scope));
    let ends = ends(subject, sides.encoding.clone());
    let search_path = introspect::search_path(&subject.source.leader).await?;
    let mut verification = pool::run(ends, items, search_path, subject.jobs, context).await?;
    if !subject.options.scope.data_only {
        let readers = readers(subject).await?;
        verification.absorb(objects::compare_usability(&readers, subject.plan).await?);
        verification.absorb(objects::compare_silenced_keys(&readers, subject.plan).await?);
    }
    Ok(verification)
}

async fn compare_catalogs(subject: &Subject<'_>, sides: &mut Sides, before: &Verification) -> Result<Verification> {
    let mut part = definitions::compare(subject, sides, before).await?;
    part.absorb(objects::lonely_large_objects(subject, sides).await?);
    part.absorb(roles::compare(subject.options.scope, subject.plan, sides));
    let readers = readers(subject).await?;
    part.absorb(roles::compare_extensions(&readers, subject.plan).await?);
    part.absorb(compare_members(&readers, subject).await?);
    Ok(part)
}

/// The members of extensions that are not moved by anything.
async fn compare_members(readers: &Readers, subject: &Subject<'_>) -> Result<Verification> {
    let mut part = Verification::default();
    for unmoved in members::unmoved(readers, subject.plan).await? {
        part.not_moved.push(Remark::new(unmoved.kind, unmoved.object, unmoved.reason));
    }
    Ok(part)
}
