//! Compares definitions: each entry of the source's archive that the plan makes must have its equal on the target.
//!
//! Both archives are written by one `pg_dump`, so equal objects have equal texts where the majors are equal. What has
//! not gets a closer look by `verdict`.

use super::Subject;
use super::verdict::{Closer, Verdict};
use crate::catalog::archive::Entry;
use crate::error::Result;
use crate::name::{QualifiedName, readable};
use crate::pg::archive;
use crate::pg::tool::Tools;
use crate::plan::Task;
use crate::verification::{Difference, DifferenceKind, Verification};
use std::collections::{HashMap, HashSet};

/// What the same object is known by on both sides: kind, schema, name.
pub type Key = (String, String, String);

/// The entries of one side.
pub struct Archive {
    entries: Vec<Entry>,
    by_id: HashMap<i32, usize>,
    by_key: HashMap<Key, Vec<usize>>,
}

impl Archive {
    fn new(entries: Vec<Entry>) -> Self {
        let by_id = entries.iter().enumerate().map(|(at, entry)| (entry.id, at)).collect();
        let mut by_key: HashMap<Key, Vec<usize>> = HashMap::new();
        for (at, entry) in entries.iter().enumerate() {
            by_key.entry(key(entry)).or_default().push(at);
        }
        Archive { entries, by_id, by_key }
    }

    /// The object that a comment or a privilege is about.
    pub fn holder(&self, part: &Entry) -> Option<&Entry> {
        let holders = part.dependencies.iter().filter_map(|id| self.by_id.get(id)).map(|&at| &self.entries[at]);
        holders.into_iter().find(|entry| entry.desc != "ACL")
    }

    /// The entry that stands for the same object as one of the other side.
    pub fn same(&self, entry: &Entry) -> Option<&Entry> {
        self.by_key.get(&key(entry))?.first().map(|&at| &self.entries[at])
    }

    /// Takes the entry that is another side's equal, else the first of the name: a tag of two names may be ambiguous.
    fn take(&mut self, entry: &Entry) -> Option<usize> {
        let candidates = self.by_key.get(&key(entry))?;
        let is_equal = |at: &&usize| is_same_text(entry, &self.entries[**at]);
        let found = candidates.iter().find(is_equal).or_else(|| candidates.first()).copied();
        // The others of an ambiguous name are left for its other entries.
        if let (Some(at), Some(list)) = (found, self.by_key.get_mut(&key(entry)))
            && list.len() > 1
        {
            list.retain(|&other| other != at);
        }
        found
    }
}

fn key(entry: &Entry) -> Key {
    (entry.desc.to_lowercase(), entry.namespace.to_string(), entry.tag.clone())
}

/// Compares the definitions that the plan makes. What `before` tells as missing or invalid is not told again.
pub async fn compare(subject: &Subject<'_>, before: &Verification) -> Result<Verification> {
    let mut part = Verification::default();
    let made = made(subject);
    if made.is_empty() {
        return Ok(part);
    }
    let Some(tools) = subject.tools else { return Ok(part) };
    let (source, mut target) = match archives(subject, tools).await {
        Ok(archives) => archives,
        Err(error) => {
            part.push_unchecked("the catalog", error.chain());
            return Ok(part);
        }
    };
    let told = told(before);
    let mut suspects = Vec::new();
    for entry in &source.entries {
        let Some(object) = made.get(&key(entry)) else { continue };
        let other = target.take(entry);
        part.differences.extend(other.and_then(|at| owner_difference(object, entry, &target.entries[at])));
        let is_same = other.is_some_and(|at| is_same_text(entry, &target.entries[at]));
        let is_told = is_told_elsewhere(entry) && told.contains(object.as_str());
        if !is_same && !is_told {
            suspects.push((object.as_str(), entry, other));
        }
    }
    let found =
        |(object, entry, at): (_, _, Option<usize>)| Suspect { object, entry, other: at.map(|at| &target.entries[at]) };
    let suspects: Vec<Suspect<'_>> = suspects.into_iter().map(found).collect();
    let closer = Closer { source: &source, target: &target, majors: majors(subject) };
    Box::pin(judge(subject, &closer, &suspects, &mut part)).await?;
    Ok(part)
}

/// The plan's tasks that may stand for entries, with what their objects are called.
fn made(subject: &Subject<'_>) -> HashMap<Key, String> {
    use crate::plan::kind::{DATA, LARGE_OBJECTS, ROLE, SEQUENCE_VALUE, TRUNCATE};
    let is_entry = |kind: &str| !matches!(kind, DATA | LARGE_OBJECTS | ROLE | SEQUENCE_VALUE | TRUNCATE);
    let tasks = subject.plan.tasks.iter().filter(|task| is_entry(&task.kind));
    tasks.map(|task| ((task.kind.clone(), task.schema.clone(), task.name.clone()), object(task))).collect()
}

fn majors(subject: &Subject<'_>) -> (u32, u32) {
    (subject.source.leader.major(), subject.target.major())
}

async fn archives(subject: &Subject<'_>, tools: &Tools) -> Result<(Archive, Archive)> {
    let lock_timeout = subject.config.options.lock_timeout;
    let snapshot = Some(subject.source.snapshot.id.as_str());
    let source = archive::read_schema(tools, subject.source.leader.conninfo(), snapshot, lock_timeout);
    let target = archive::read_schema(tools, subject.target.conninfo(), None, lock_timeout);
    let (source, target) = tokio::try_join!(source, target)?;
    Ok((Archive::new(source), Archive::new(target)))
}

/// The objects that were found missing or invalid.
fn told(before: &Verification) -> HashSet<&str> {
    use DifferenceKind::{DifferentObject, InvalidConstraint, InvalidIndex, MissingObject};
    let is_object =
        |d: &&Difference| matches!(d.kind, DifferentObject | InvalidConstraint | InvalidIndex | MissingObject);
    before.differences.iter().filter(is_object).map(|difference| difference.object.as_str()).collect()
}

/// Whether the comparison of rows, values and validity tells that such an object is missing or invalid.
fn is_told_elsewhere(entry: &Entry) -> bool {
    ["TABLE", "SEQUENCE", "INDEX", "CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT"].contains(&entry.desc.as_str())
}

fn is_same_text(entry: &Entry, other: &Entry) -> bool {
    entry.with_settings(false) == other.with_settings(false)
}

fn owner_difference(object: &str, entry: &Entry, other: &Entry) -> Option<Difference> {
    if entry.owner == other.owner || entry.owner_statement().is_none() {
        return None;
    }
    let owners = (readable(&entry.owner), readable(&other.owner));
    let message = format!("its owner is {} on the source and {} on the target", owners.0, owners.1);
    Some(Difference::new(DifferenceKind::DifferentObject, object, message))
}

/// An entry without an equal, with what stands for it on the target.
struct Suspect<'a> {
    object: &'a str,
    entry: &'a Entry,
    other: Option<&'a Entry>,
}

/// Takes a closer look at entries without an equal, and tells what comes of it.
async fn judge(
    subject: &Subject<'_>,
    closer: &Closer<'_>,
    suspects: &[Suspect<'_>],
    part: &mut Verification,
) -> Result<()> {
    let mut open = None;
    for &Suspect { object, entry, other } in suspects {
        let readers = match open.take() {
            Some(readers) => readers,
            None => super::readers(subject).await?,
        };
        let kind = entry.desc.to_lowercase();
        match closer.verdict(&readers, entry, other).await {
            Ok(Verdict::Same) => {}
            Ok(Verdict::Missing) => {
                let message = format!("the {kind} is missing on the target");
                part.push_difference(Difference::new(DifferenceKind::MissingObject, object, message));
            }
            Ok(Verdict::Different(columns)) => {
                let message = format!("the {kind} is defined in another way on the target");
                let difference = Difference::new(DifferenceKind::DifferentObject, object, message);
                part.push_difference(difference.columns(columns));
            }
            Ok(Verdict::Unknown) => part.push_unchecked(object, unknown(&kind, closer.majors)),
            Err(error) => part.push_unchecked(object, error.chain()),
        }
        open = readers.release().await.is_ok().then_some(readers);
    }
    Ok(())
}

fn unknown(kind: &str, (source, target): (u32, u32)) -> String {
    format!(
        "the {kind} has another text on the target; versions {source} and {target} may write one definition in two ways"
    )
}

/// What a task's object is called, by the name that its rows have where it has any.
fn object(task: &Task) -> String {
    match task.kind.as_str() {
        "table" | "sequence" | "materialized view" | "view" | "foreign table" => {
            QualifiedName::new(&task.schema, &task.name).to_string()
        }
        _ => task.object(),
    }
}
