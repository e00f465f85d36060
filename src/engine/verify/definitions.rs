//! Compares definitions in both directions: each object of the source that the configuration chooses must have an equal one on the target,
//! and the target must have no other.
//!
//! Both archives are written by one `pg_dump`, so equal objects have equal texts where the major versions are equal. Entries without an
//! equal text are inspected by `verdict`; entries without a counterpart are named by `lonely`.

use super::archive::{Archive, is_same_text};
use super::lonely::{self, Lonely};
use super::scopes::{Scopes, object};
use super::subject::{Sides, Subject};
use super::verdict::{DefinitionComparer, Different, Verdict};
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::scope::{self};
use crate::engine::dump_filter;
use crate::error::Result;
use crate::name::readable;
use crate::pg::client::archive;
use crate::pg::client::tool::Tools;
use crate::pg::compare::Readers;
use crate::plan::{Plan, TaskKind};
use crate::server_version::Versions;
use crate::verification::{Difference, DifferenceKind, Remark, Verification};
use std::collections::HashSet;

/// Compares the definitions. What `before` names as missing or invalid is not named again.
pub async fn compare(subject: &Subject<'_>, sides: &mut Sides, before: &Verification) -> Result<Verification> {
    let mut part = Verification::default();
    let Some(tools) = subject.tools else {
        part.push_unchecked("definitions", "no pg_dump serves both servers");
        return Ok(part);
    };
    match archives(subject, tools).await {
        Ok((source, target)) => (sides.source.entries, sides.target.entries) = (source, target),
        Err(error) => {
            part.push_unchecked("definitions", error.chain());
            return Ok(part);
        }
    }
    let scopes = Scopes {
        source: scope::select(&sides.source, subject.options),
        target: scope::select(&sides.target, subject.options),
        planned: planned(subject.plan),
        with_owners: subject.options.scope.owners,
    };
    let comparer = DefinitionComparer {
        source: &Archive::new(&sides.source.entries),
        target: &Archive::new(&sides.target.entries),
        versions: Versions { source: subject.source.leader.version(), target: subject.target.version() },
        with_tablespaces: subject.options.schema.tablespaces,
        named: named(before),
    };
    let found = pair(&comparer, &scopes, &mut part);
    part.not_moved.extend(rows_not_moved(subject, sides, &scopes, &found));
    let lonely = Lonely { comparer: &comparer, scopes: &scopes, sides, ledger_schema: &subject.options.ledger.schema };
    let extra = lonely.extra(&found.left, &found.suspect_tables());
    let had = lonely::EarlierObjects::look(subject).await?;
    let mut mismatches = found.mismatches;
    mismatches.extend(extra.into_iter().map(|entry| Mismatch {
        entry: None,
        other: Some(entry),
        was_before: lonely.was_before(entry, &had),
    }));
    Box::pin(report_mismatches(subject, &comparer, &mismatches, &mut part)).await?;
    Ok(part)
}

fn planned(plan: &Plan) -> HashSet<(TaskKind, String, String)> {
    plan.tasks.iter().map(|task| (task.kind.clone(), task.schema.clone(), task.name.clone())).collect()
}

async fn archives(subject: &Subject<'_>, tools: &Tools) -> Result<(Vec<Entry>, Vec<Entry>)> {
    let lock_timeout = subject.source.lock_timeout;
    let snapshot = Some(subject.source.snapshot.id.as_str());
    let filter = dump_filter::of(subject.options.scope, &subject.source.leader).await?;
    let source = archive::read_schema(tools, subject.source.leader.conninfo(), snapshot, lock_timeout, &filter.options);
    let target = archive::read_schema(tools, subject.target.conninfo(), None, lock_timeout, &[]);
    tokio::try_join!(source, target)
}

/// The objects that were found missing or invalid.
fn named(before: &Verification) -> HashSet<&str> {
    use DifferenceKind::{DifferentObject, InvalidConstraint, InvalidIndex, MissingObject};
    let is_object =
        |d: &&Difference| matches!(d.kind, DifferentObject | InvalidConstraint | InvalidIndex | MissingObject);
    before.differences.iter().filter(is_object).map(|difference| difference.object.as_str()).collect()
}

/// Whether the comparison of rows, values and validity names such an object when it is missing or invalid.
fn is_named_elsewhere(entry: &Entry) -> bool {
    entry.kind.is_named_with_rows()
}

/// An entry without an equal: of the source with its counterpart on the target, or of the target alone.
pub struct Mismatch<'a> {
    /// The source's.
    pub entry: Option<&'a Entry>,
    /// The target's.
    pub other: Option<&'a Entry>,
    /// Whether the target had it before the first run.
    pub was_before: bool,
}

/// The result of the comparison of texts.
struct PairedEntries<'a> {
    mismatches: Vec<Mismatch<'a>>,
    /// The tables of the source that the target lacks.
    missing: HashSet<i32>,
    /// The target's entries without a counterpart.
    left: Vec<usize>,
}

impl PairedEntries<'_> {
    /// The target's tables whose texts differ.
    fn suspect_tables(&self) -> HashSet<i32> {
        let others = self.mismatches.iter().filter_map(|mismatch| mismatch.entry.and(mismatch.other));
        others.filter(|other| other.kind == ObjectKind::Table).map(|other| other.id).collect()
    }
}

fn pair<'a>(comparer: &DefinitionComparer<'a>, scopes: &Scopes, part: &mut Verification) -> PairedEntries<'a> {
    let wanted: Vec<&Entry> = comparer.source.entries.iter().filter(|entry| scopes.is_wanted(entry)).collect();
    let (others, left) = comparer.target.match_with(&wanted, comparer.with_tablespaces);
    let mut found = PairedEntries { mismatches: Vec::new(), missing: HashSet::new(), left };
    for (entry, other) in wanted.into_iter().zip(others) {
        let other = other.map(|at| &comparer.target.entries[at]);
        if other.is_none() {
            let belongs_to_missing = entry.is_part() && entry.dependencies.iter().any(|id| found.missing.contains(id));
            found.missing.insert(entry.id);
            if belongs_to_missing {
                continue;
            }
        }
        part.count(&entry.kind.name(), 1);
        let object = object(entry);
        if scopes.with_owners {
            part.differences.extend(other.and_then(|other| owner_difference(&object, entry, other)));
        }
        if other.is_none() && !scopes.is_planned(entry) {
            let message = "it is in scope, and the plan does not have it: make a new plan";
            part.not_moved.push(Remark::new(entry.kind.name(), object, message));
            continue;
        }
        let is_same = other.is_some_and(|other| is_same_text(entry, other, comparer.with_tablespaces));
        let is_named = is_named_elsewhere(entry) && comparer.named.contains(object.as_str());
        if !is_same && !is_named && !is_part_of_table_definition(comparer, entry, other) {
            found.mismatches.push(Mismatch { entry: Some(entry), other, was_before: false });
        }
    }
    found
}

/// Whether a default or a check is missing as an entry of its own and the text of its table differs, whose properties then name it: the
/// archive writes both within the table where it can.
fn is_part_of_table_definition(comparer: &DefinitionComparer<'_>, entry: &Entry, other: Option<&Entry>) -> bool {
    let differs = |table: &Entry| {
        comparer.target.same(table).is_some_and(|other| !is_same_text(table, other, comparer.with_tablespaces))
    };
    other.is_none()
        && entry.kind.may_be_written_in_table()
        && comparer.source.needed(entry).any(|table| table.kind == ObjectKind::Table && differs(table))
}

/// The tables in scope that exist on the target and whose rows no task of the plan copies.
fn rows_not_moved<'a>(
    subject: &'a Subject<'_>,
    sides: &'a Sides,
    scopes: &'a Scopes,
    found: &'a PairedEntries<'_>,
) -> impl Iterator<Item = Remark> + 'a {
    let copied: HashSet<(&str, &str)> = subject
        .plan
        .tasks
        .iter()
        .filter(|task| task.is_data())
        .map(|task| (task.schema.as_str(), task.name.as_str()))
        .collect();
    let missing: HashSet<u32> = sides
        .source
        .entries
        .iter()
        .filter(|entry| found.missing.contains(&entry.id) && entry.kind == ObjectKind::Table)
        .map(|entry| entry.oid)
        .collect();
    let tables = sides.source.relations.iter().filter(|table| scopes.source.tables.contains(&table.oid));
    tables
        .filter(move |table| {
            !missing.contains(&table.oid) && !copied.contains(&(table.name.schema.as_str(), table.name.name.as_str()))
        })
        .map(|table| Remark::new("rows", table.name.to_string(), "the plan does not copy its rows: make a new plan"))
}

fn owner_difference(object: &str, entry: &Entry, other: &Entry) -> Option<Difference> {
    if entry.owner == other.owner || entry.owner_statement().is_none() {
        return None;
    }
    let owners = (readable(&entry.owner), readable(&other.owner));
    let message = format!("its owner is {} on the source and {} on the target", owners.0, owners.1);
    Some(Difference::new(DifferenceKind::DifferentObject, object, message))
}

/// Inspects entries without an equal.
async fn report_mismatches(
    subject: &Subject<'_>,
    comparer: &DefinitionComparer<'_>,
    mismatches: &[Mismatch<'_>],
    part: &mut Verification,
) -> Result<()> {
    let mut open: Option<Readers> = None;
    for mismatch in mismatches {
        let readers = match open.take() {
            Some(readers) => readers,
            None => super::subject::readers(subject).await?,
        };
        let verdict = comparer.verdict(&readers, mismatch.entry, mismatch.other).await;
        open = readers.release().await.is_ok().then_some(readers);
        let Some(entry) = mismatch.entry.or(mismatch.other) else { continue };
        let (object, kind) = (object(entry), entry.kind.name());
        match verdict {
            Ok(Verdict::Same) => {}
            Ok(Verdict::ByVersion(reason)) => part.by_version.push(Remark::new(kind, object, reason)),
            Ok(Verdict::Missing | Verdict::Different(_)) if mismatch.was_before => {
                let message = "it is on the target only, and was there before the first run";
                part.only_on_target.push(Remark::new(kind, object, message));
            }
            Ok(Verdict::Missing) => part.push_difference(missing(mismatch, object)),
            Ok(Verdict::Different(what)) => part.push_difference(different(mismatch, object, what)),
            Ok(Verdict::Unknown) => part.push_unchecked(object, unknown(&kind, comparer.versions)),
            Err(error) => part.push_unchecked(object, error.chain()),
        }
    }
    Ok(())
}

fn missing(mismatch: &Mismatch<'_>, object: String) -> Difference {
    let entry = mismatch.entry.or(mismatch.other);
    let words = entry.map(|entry| entry.kind.called()).unwrap_or_default();
    if mismatch.entry.is_some() {
        let kind = DifferenceKind::MissingObject;
        return Difference::new(kind, object, format!("{words} is missing on the target"));
    }
    let kind = if entry.is_some_and(|entry| entry.kind.is_property()) {
        DifferenceKind::DifferentObject
    } else {
        DifferenceKind::ExtraObject
    };
    Difference::new(kind, object, format!("{words} is on the target only"))
}

fn different(mismatch: &Mismatch<'_>, object: String, what: Different) -> Difference {
    let words = mismatch.entry.or(mismatch.other).map(|entry| entry.kind.called()).unwrap_or_default();
    let verb = if words.ends_with("privileges") { "differ" } else { "differs" };
    let mut message = format!("{words} {verb} on the target");
    if !what.what.is_empty() {
        message = format!("{message}: {}", what.what.join(", "));
    }
    let mut difference = Difference::new(DifferenceKind::DifferentObject, object, message);
    difference.columns = what.columns;
    difference
}

fn unknown(kind: &str, Versions { source, target }: Versions) -> String {
    format!(
        "the {kind} has another text on the target; versions {source} and {target} may write one definition in two ways"
    )
}
