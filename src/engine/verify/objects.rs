//! Compares what is neither a row nor a definition: sequences' values, large objects, and whether indexes and constraints are valid.

use super::item::{Item, LargeObjects, SequencePair};
use super::lonely;
use super::subject::{Sides, Subject};
use crate::catalog::RelationKind;
use crate::catalog::object_kind::ObjectKind;
use crate::config::ScopeOptions;
use crate::error::Result;
use crate::name::{QualifiedName, readable};
use crate::pg::compare::Readers;
use crate::pg::compare::objects::{self as read, Unusable, UnusableKind};
use crate::plan::{self, Plan, TaskKind};
use crate::record::RowMode;
use crate::status::TableStatus;
use crate::verification::{Difference, DifferenceKind, Remark, TableResult, Verification};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The sequences of one item: a few round trips, and enough items for all workers.
const SEQUENCES: usize = 100;

/// The items for the sequences and the large objects of a plan.
pub fn items(plan: &Plan, sides: &Sides, options: &ScopeOptions) -> Vec<Item> {
    let history = &sides.history;
    let of_kind = |kind: TaskKind| plan.tasks.iter().filter(move |task| task.kind == kind);
    let sequences: Vec<SequencePair> = of_kind(TaskKind::SequenceValue)
        .map(|task| {
            let object = task.object();
            SequencePair {
                may_be_ahead: history.mode(&object) == Some(RowMode::Forward),
                object,
                sql: task.source_sql.clone(),
            }
        })
        .collect();
    let large = of_kind(TaskKind::LargeObjects).map(|task| {
        Item::LargeObjects(LargeObjects {
            name: task.object(),
            oids: task.large_objects().to_vec(),
            with_owners: options.owners,
            with_privileges: options.privileges,
        })
    });
    let relations = sides.source.relations.iter().filter(|relation| relation.kind == RelationKind::MaterializedView);
    let by_name: HashMap<(&str, String), &QualifiedName> =
        relations.map(|view| ((view.name.schema.as_str(), readable(&view.name.name)), &view.name)).collect();
    let views = of_kind(TaskKind::Refresh)
        .filter_map(|task| by_name.get(&(task.schema.as_str(), task.name.clone())))
        .map(|view| Item::View((*view).clone()));
    sequences.chunks(SEQUENCES).map(|batch| Item::Sequences(batch.to_vec())).chain(large).chain(views).collect()
}

/// Compares the values of sequences. Sequences are not transactional: the source's value is the current one.
pub async fn compare_sequences(readers: &Readers, sequences: &[SequencePair]) -> Result<Verification> {
    let mut part = Verification::default();
    part.count("sequence value", sequences.len());
    for sequence in sequences {
        let (source, target) = tokio::try_join!(
            read::sequence(&readers.source, &sequence.sql),
            read::sequence(&readers.target, &sequence.sql)
        )?;
        let Some(source) = source else {
            part.push_unchecked(&sequence.object, "the sequence is no longer on the source");
            readers.release().await?;
            continue;
        };
        if let Some(difference) = compare_sequence(sequence, &source, target.as_ref()) {
            part.push_difference(difference);
        }
    }
    Ok(part)
}

fn compare_sequence(
    sequence: &SequencePair,
    source: &read::SequenceValue,
    target: Option<&read::SequenceValue>,
) -> Option<Difference> {
    let Some(target) = target else {
        let message = "the sequence is missing on the target";
        return Some(Difference::new(DifferenceKind::MissingObject, &sequence.object, message));
    };
    if source == target || sequence.may_be_ahead && target.is_ahead_of(source) {
        return None;
    }
    let message = format!(
        "it is at {source} on the source and at {target} on the target; a sequence that the source has used since it was copied differs, too"
    );
    Some(Difference::new(DifferenceKind::Sequence, &sequence.object, message))
}

/// Compares the large objects of a batch: whether they exist, who owns them and may use them, what they contain.
pub async fn compare_large_objects(readers: &Readers, batch: &LargeObjects) -> Result<Verification> {
    let oids = &batch.oids;
    let (source, target) =
        tokio::try_join!(read::large_objects(&readers.source, oids), read::large_objects(&readers.target, oids))?;
    let mut part = Verification::default();
    part.count("large object", source.len());
    let mut differs = |oid: u32, message: String| {
        part.push_difference(Difference::new(DifferenceKind::LargeObject, format!("large object {oid}"), message));
    };
    let both: Vec<u32> = source.keys().copied().filter(|oid| target.contains_key(oid)).collect();
    for (&oid, facts) in &source {
        match target.get(&oid) {
            None => differs(oid, "it is missing on the target".into()),
            Some(other) => compare_facts(batch, facts, other).into_iter().for_each(|message| differs(oid, message)),
        }
    }
    for oid in read::differing_contents(readers, &both).await? {
        differs(oid, "its content differs".into());
    }
    for oid in oids.iter().filter(|oid| !source.contains_key(oid)) {
        part.push_unchecked(format!("large object {oid}"), "it is no longer on the source");
    }
    Ok(part)
}

fn compare_facts(
    batch: &LargeObjects,
    source: &read::LargeObjectFacts,
    target: &read::LargeObjectFacts,
) -> Vec<String> {
    let mut found = Vec::new();
    if batch.with_owners && source.owner != target.owner {
        let owners = (readable(&source.owner), readable(&target.owner));
        found.push(format!("its owner is {} on the source and {} on the target", owners.0, owners.1));
    }
    if source.comment != target.comment {
        found.push("its comment differs".into());
    }
    let only = |one: &[String], other: &[String], side: &str| -> Vec<String> {
        let alone = one.iter().filter(|privilege| !other.contains(privilege));
        alone.map(|privilege| format!("{privilege} on the {side} only")).collect()
    };
    let mut privileges = only(&source.privileges, &target.privileges, "source");
    privileges.extend(only(&target.privileges, &source.privileges, "target"));
    if batch.with_privileges && !privileges.is_empty() {
        found.push(format!("its privileges differ: {}", privileges.join(", ")));
    }
    found
}

/// Large objects that only one side has: those of the source that the plan lacks, and those of the target alone.
pub async fn lonely_large_objects(subject: &Subject<'_>, sides: &Sides) -> Result<Verification> {
    let mut part = Verification::default();
    if !plan::moves_large_objects(subject.options.scope) {
        return Ok(part);
    }
    let mut planned: HashSet<u32> = HashSet::new();
    for task in subject.plan.tasks.iter().filter(|task| task.kind == TaskKind::LargeObjects) {
        planned.extend(task.large_objects());
    }
    let all: HashSet<u32> = sides.source.large_objects.iter().flat_map(|batch| batch.oids.iter().copied()).collect();
    let mut left_out: Vec<u32> = all.iter().copied().filter(|oid| !planned.contains(oid)).collect();
    left_out.sort_unstable();
    part.not_moved.extend(left_out.into_iter().map(|oid| {
        let message = "it is in scope, and the plan does not have it: make a new plan";
        Remark::new("large object", format!("large object {oid}"), message)
    }));
    let first = lonely::made_before(subject).await?;
    let present: BTreeSet<u32> =
        sides.target.large_objects.iter().flat_map(|batch| batch.oids.iter().copied()).collect();
    let extra = present.into_iter().filter(|oid| !all.contains(oid));
    let (before, later): (Vec<u32>, Vec<u32>) = extra.partition(|&oid| first.is_some_and(|first| oid < first));
    part.only_on_target.extend(before.into_iter().map(|oid| {
        let message = "it is on the target only, and was there before the first run";
        Remark::new("large object", format!("large object {oid}"), message)
    }));
    part.differences.extend(later.into_iter().map(|oid| {
        let object = format!("large object {oid}");
        Difference::new(DifferenceKind::ExtraObject, object, "it is on the target only")
    }));
    Ok(part)
}

/// Compares the rows of a materialized view. A refresh may legitimately return other rows than the source holds: the view's query may read
/// the time, a role's rights or random numbers, and the source's own rows may be older than those of its tables.
pub async fn compare_view(readers: &Readers, view: &QualifiedName) -> Result<Verification> {
    readers.begin().await?;
    let sql = view.sql();
    let (source, target) =
        tokio::try_join!(read::view_rows(&readers.source, &sql), read::view_rows(&readers.target, &sql))?;
    let is_equal = (source.rows, source.hash) == (target.rows, target.hash);
    let (status, note) = if is_equal {
        (TableStatus::Equal, "")
    } else {
        (TableStatus::Different, "the target's rows are from a refresh, and differ from the source's")
    };
    let mut result = TableResult::unread(view.to_string(), status, note);
    (result.source_rows, result.target_rows) = (source.rows, target.rows);
    Ok(Verification { materialized_views: vec![result], ..Verification::default() })
}

/// Names foreign keys that are valid and not enforced by a trigger on the target, although they are on the source.
pub async fn compare_silenced_keys(readers: &Readers, plan: &Plan) -> Result<Verification> {
    let (source, target) =
        tokio::try_join!(read::silenced_keys(&readers.source), read::silenced_keys(&readers.target))?;
    let accepted: HashSet<&read::SilencedKey> = source.iter().collect();
    let made: HashSet<(&str, &str)> = plan
        .tasks
        .iter()
        .filter(|task| task.kind == ObjectKind::Table)
        .map(|task| (task.schema.as_str(), task.name.as_str()))
        .collect();
    let mut part = Verification::default();
    for key in target.iter().filter(|key| !accepted.contains(key)) {
        if made.contains(&(key.schema.as_str(), key.table.as_str())) {
            let object = format!("{}.{} {}", readable(&key.schema), key.table, key.constraint);
            let message = "triggers that enforce the foreign key are disabled on the target";
            part.push_difference(Difference::new(DifferenceKind::DifferentObject, object, message));
        }
    }
    Ok(part)
}

/// Reports what belongs to the plan's tables on the target and cannot be relied on, unless it is so on the source.
pub async fn compare_usability(readers: &Readers, plan: &Plan) -> Result<Verification> {
    let (source, target) = tokio::try_join!(read::unusable(&readers.source), read::unusable(&readers.target))?;
    let accepted: HashSet<&Unusable> = source.iter().collect();
    let made = plan.tasks.iter().filter(|task| {
        matches!(task.kind, TaskKind::Data | TaskKind::Entry(ObjectKind::Table | ObjectKind::MaterializedView))
    });
    let made: HashSet<(&str, &str)> = made.map(|task| (task.schema.as_str(), task.name.as_str())).collect();
    let found = target
        .iter()
        .filter(|found| made.contains(&(found.schema.as_str(), found.relation.as_str())) && !accepted.contains(found));
    let differences = found.map(unusable).collect();
    Ok(Verification { differences, ..Verification::default() })
}

/// The names are those of the plan's tasks.
fn unusable(found: &Unusable) -> Difference {
    let schema = readable(&found.schema);
    let (kind, object, message) = match found.kind {
        UnusableKind::Index => {
            (DifferenceKind::InvalidIndex, readable(&found.name), "the index is not valid: queries do not use it")
        }
        UnusableKind::Constraint => {
            let object = format!("{} {}", found.relation, found.name);
            (DifferenceKind::InvalidConstraint, object, "the constraint is NOT VALID: rows may violate it")
        }
        UnusableKind::View => {
            (DifferenceKind::DifferentObject, readable(&found.name), "the materialized view was never filled")
        }
    };
    Difference::new(kind, format!("{schema}.{object}"), message)
}
