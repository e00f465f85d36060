//! Compares what is neither a row nor a definition: sequences' values, large objects, and whether indexes and
//! constraints hold.

use super::Past;
use super::pool::Item;
use crate::error::Result;
use crate::name::readable;
use crate::pg::compare::Readers;
use crate::pg::compare::objects::{self as read, Unusable, UnusableKind};
use crate::plan::{Plan, kind};
use crate::verification::{Difference, DifferenceKind, Verification};
use std::collections::HashSet;

/// Sequences of one item: a few round trips, and enough items for all workers.
const SEQUENCES: usize = 100;

/// A sequence on both sides.
#[derive(Debug, Clone)]
pub struct SequencePair {
    /// The sequence.
    pub object: String,
    /// The query that reads it.
    pub sql: String,
    /// Whether it was there before, so that its value could only go forward.
    pub may_be_ahead: bool,
}

/// The items for the sequences and the large objects of a plan.
pub fn items(plan: &Plan, past: &Past) -> Vec<Item> {
    let of_kind = |kind: &'static str| plan.tasks.iter().filter(move |task| task.kind == kind);
    let sequences: Vec<SequencePair> = of_kind(kind::SEQUENCE_VALUE)
        .map(|task| {
            let object = task.object();
            SequencePair { may_be_ahead: past.mode(&object) == "forward", object, sql: task.source_sql.clone() }
        })
        .collect();
    let large = of_kind(kind::LARGE_OBJECTS).map(|task| Item::LargeObjects(task.object(), task.source_sql.clone()));
    sequences.chunks(SEQUENCES).map(|batch| Item::Sequences(batch.to_vec())).chain(large).collect()
}

/// Compares the values of sequences. These take no part in transactions: the source's is the present one.
pub async fn compare_sequences(readers: &Readers, sequences: &[SequencePair]) -> Result<Verification> {
    let mut part = Verification::default();
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
        "it stands at {source} on the source and at {target} on the target; \
         a sequence that the source has used since it was copied differs, too"
    );
    Some(Difference::new(DifferenceKind::Sequence, &sequence.object, message))
}

/// Compares the large objects that `list` gives: whether they exist, who owns them, what they hold.
pub async fn compare_large_objects(readers: &Readers, list: &str) -> Result<Verification> {
    let oids = crate::pg::large_object::oids(&readers.source, list).await?;
    let (source, target) =
        tokio::try_join!(read::owners(&readers.source, &oids), read::owners(&readers.target, &oids))?;
    let mut part = Verification::default();
    let mut differs = |oid: u32, message: String| {
        part.push_difference(Difference::new(DifferenceKind::LargeObject, format!("large object {oid}"), message));
    };
    let both: Vec<u32> = source.keys().copied().filter(|oid| target.contains_key(oid)).collect();
    for (&oid, owner) in &source {
        match target.get(&oid) {
            None => differs(oid, "it is missing on the target".into()),
            Some(other) if other != owner => {
                differs(
                    oid,
                    format!("its owner is {} on the source and {} on the target", readable(owner), readable(other)),
                );
            }
            Some(_) => {}
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

/// Tells what stands on the plan's tables on the target and cannot be relied on, unless it is so on the source.
pub async fn compare_usability(readers: &Readers, plan: &Plan) -> Result<Verification> {
    let (source, target) = tokio::try_join!(read::unusable(&readers.source), read::unusable(&readers.target))?;
    let accepted: HashSet<&Unusable> = source.iter().collect();
    let made =
        plan.tasks.iter().filter(|task| task.is_data() || matches!(task.kind.as_str(), "table" | "materialized view"));
    let made: HashSet<(&str, &str)> = made.map(|task| (task.schema.as_str(), task.name.as_str())).collect();
    let told = target
        .iter()
        .filter(|found| made.contains(&(found.schema.as_str(), found.relation.as_str())) && !accepted.contains(found));
    let differences = told.map(unusable).collect();
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
