//! How a plan made now differs from a stored one, which a person may have reviewed days ago while the source has changed since.
//!
//! Objects are compared by kind and name, and by the statements that define them. Sizes, and the bounds of chunks, follow the rows and are
//! no difference: the first and the last chunk are open, so no row is lost. Pure; called by `run` before it executes a plan that must not
//! differ, and by the bindings.

use super::large_object;
use super::{Plan, Task, TaskKind};
use crate::catalog::object_kind::ObjectKind;
use crate::closed_set::closed_set;
use crate::config::Config;
use crate::config::OnExisting;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How two plans differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PlanDifference {
    /// Another source, or keys of the configuration with other values.
    pub basis: Vec<String>,
    /// Objects, by name.
    pub changes: Vec<Change>,
    /// Tables of other sizes, or with other chunks; no difference.
    pub resized: Vec<String>,
}

/// An object in which two plans differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// The object, as people read it.
    pub object: String,
    /// Its kind.
    pub kind: String,
    /// How it changed.
    pub change: Became,
}

closed_set! {
    /// How an object changed since a plan was made.
    pub enum Became, "change of an object" {
        /// Only the new plan has it.
        Added = "added",
        /// The new plan no longer has it.
        Removed = "removed",
        /// The new plan defines it differently.
        Changed = "changed",
    }
}

impl PlanDifference {
    /// Whether both plans do the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.basis.is_empty() && self.changes.is_empty()
    }

    /// One line for each difference, the object first.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let changes = self.changes.iter().map(|one| format!("{}: {} ({})", one.object, one.change, one.kind));
        self.basis.iter().cloned().chain(changes).collect()
    }
}

/// Compares a stored plan with the one that would be made now.
#[must_use]
pub fn compare(kept: &Plan, now: &Plan) -> PlanDifference {
    let mut basis = Vec::new();
    if kept.header.source != now.header.source {
        basis.push(format!("source: {} in the plan, {} now", kept.header.source, now.header.source));
    }
    basis.extend(Config::differences(&kept.header.config.to_string(), &now.header.config.to_string()));
    let mut changes = Changes::new();
    let (old, new) = (objects(kept), objects(now));
    for (key, tasks) in &new {
        match old.get(key) {
            None => add(&mut changes, tasks[0], Became::Added),
            Some(planned) if definitions(planned) != definitions(tasks) => add(&mut changes, tasks[0], Became::Changed),
            Some(_) => {}
        }
    }
    for (_, tasks) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        add(&mut changes, tasks[0], Became::Removed);
    }
    let digests = now
        .header
        .tables
        .iter()
        .filter(|(table, digest)| kept.header.tables.get(table.as_str()).is_some_and(|planned| planned != *digest));
    for (table, _) in digests {
        let found = changes.entry((table.clone(), Became::Changed)).or_default();
        found.insert("columns, indexes or constraints".into());
    }
    large_objects(&mut changes, kept, now);
    let change = |((object, change), kinds): ((String, Became), BTreeSet<String>)| {
        let kinds: Vec<String> = kinds.into_iter().collect();
        Change { object, kind: kinds.join(", "), change }
    };
    PlanDifference { basis, changes: changes.into_iter().map(change).collect(), resized: resized(kept, now) }
}

/// The kinds of an object that differ, by its name and how it changed.
type Changes = BTreeMap<(String, Became), BTreeSet<String>>;

/// An object of a plan: kind, schema, name.
type Key<'a> = (&'a TaskKind, &'a str, &'a str);

fn add(changes: &mut Changes, task: &Task, change: Became) {
    changes.entry((object(task), change)).or_default().insert(shown(&task.kind));
}

/// The kind of object that a task's rows or contents belong to.
fn shown(kind: &TaskKind) -> String {
    let name = match kind {
        TaskKind::Data => "table",
        TaskKind::SequenceValue => "sequence",
        TaskKind::Refresh => "materialized view",
        TaskKind::Entry(ObjectKind::Acl) => "privileges",
        TaskKind::Entry(ObjectKind::DefaultAcl) => "default privileges",
        TaskKind::DatabaseAcl => "privileges of the database",
        TaskKind::Entry(ObjectKind::FkConstraint) => "foreign key",
        other => return other.to_string(),
    };
    name.to_owned()
}

fn object(task: &Task) -> String {
    match task.kind {
        TaskKind::Data => crate::name::QualifiedName::new(&task.schema, &task.name).to_string(),
        _ => task.object(),
    }
}

/// The tasks of each object, except those that follow from others, or from the size of a table.
fn objects(plan: &Plan) -> BTreeMap<Key<'_>, Vec<&Task>> {
    let mut objects: BTreeMap<Key<'_>, Vec<&Task>> = BTreeMap::new();
    for task in plan.tasks.iter().filter(|task| !follows(task)) {
        objects.entry((&task.kind, &task.schema, &task.name)).or_default().push(task);
    }
    objects
}

fn follows(task: &Task) -> bool {
    task.kind == TaskKind::PrivilegeCheck || task.is_derived()
}

/// The parts of an object's tasks that define it. Whether a key is made from an existing index depends on its table's size.
fn definitions<'a>(tasks: &[&'a Task]) -> BTreeSet<[&'a str; 3]> {
    let definition = |task: &&'a Task| match task.kind {
        TaskKind::Data => [task.target_sql.as_str(), task.on_existing.map_or("", OnExisting::as_str), &task.merge_sql],
        TaskKind::SequenceValue | TaskKind::Entry(ObjectKind::Constraint | ObjectKind::FkConstraint) => [""; 3],
        _ => [task.target_sql.as_str(), &task.optional_sql, ""],
    };
    tasks.iter().map(definition).collect()
}

/// Large objects are compared one by one, because the batch of one depends on the others.
fn large_objects(changes: &mut Changes, kept: &Plan, now: &Plan) {
    let (old, new) = (large_object::defined(&kept.tasks), large_object::defined(&now.tasks));
    let mut add = |oid: &u32, change, kinds: BTreeSet<String>| {
        if !kinds.is_empty() {
            changes.insert((format!("large object {oid}"), change), kinds);
        }
    };
    let contents = || BTreeSet::from(["contents".to_owned()]);
    for (oid, object) in &new {
        match old.get(oid) {
            None => add(oid, Became::Added, contents()),
            Some(planned) => add(oid, Became::Changed, planned.differences(object)),
        }
    }
    for oid in old.keys().filter(|oid| !new.contains_key(*oid)) {
        add(oid, Became::Removed, contents());
    }
}

/// Tables that both plans copy, with another size or other chunks.
fn resized(kept: &Plan, now: &Plan) -> Vec<String> {
    let (old, new) = (sizes(kept), sizes(now));
    let differs = |(table, size): &(&String, &Vec<Size<'_>>)| old.get(*table).is_some_and(|planned| planned != *size);
    new.iter().filter(differs).map(|(table, _)| table.clone()).collect()
}

/// Rows, bytes and the condition that selects the rows.
type Size<'a> = (u64, u64, &'a str);

fn sizes(plan: &Plan) -> BTreeMap<String, Vec<Size<'_>>> {
    let mut sizes: BTreeMap<String, Vec<Size<'_>>> = BTreeMap::new();
    for task in plan.tasks.iter().filter(|task| task.kind == TaskKind::Data) {
        sizes.entry(object(task)).or_default().push((task.rows, task.bytes, &task.source_sql));
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Header, Phase};

    fn task(kind: impl Into<TaskKind>, name: &str, sql: &str) -> Task {
        let mut task = Task::new(Phase::PreData, kind, "s", name);
        task.target_sql = sql.into();
        task
    }

    fn plan(tasks: Vec<Task>) -> Plan {
        Plan { header: Header::example(), tasks }
    }

    #[test]
    fn objects_are_compared_and_sizes_are_not() {
        let mut rows = task(TaskKind::Data, "t", "COPY s.t FROM STDIN");
        rows.rows = 5;
        let kept = plan(vec![task("TABLE", "t", "a"), task("VIEW", "v", "a"), task("VIEW", "w", "a"), rows.clone()]);
        assert_eq!(compare(&kept, &kept), PlanDifference::default());
        rows.rows = 6;
        let same = plan(vec![task("TABLE", "t", "a"), task("VIEW", "v", "a"), task("VIEW", "w", "a"), rows.clone()]);
        let found = compare(&kept, &same);
        assert!(found.is_empty() && found.resized == ["s.t"]);
        let other = plan(vec![task("TABLE", "t", "a"), task("VIEW", "v", "b"), task("TABLE", "x", "a"), rows]);
        let found = compare(&kept, &other);
        assert_eq!(found.lines(), ["s.v: changed (view)", "s.w: removed (view)", "s.x: added (table)"]);
    }

    #[test]
    fn what_a_plan_stands_on_comes_first() {
        let kept = plan(vec![]);
        let mut now = kept.clone();
        now.header.source = "1/2/other".into();
        now.header.config = serde_json::json!({"options": {"format": "text"}});
        now.header.tables.insert("s.t".into(), "01".into());
        let lines = compare(&kept, &now).lines();
        assert_eq!(lines[0], "source: 1/2/db in the plan, 1/2/other now");
        assert!(lines[1].starts_with("options.format: "), "{lines:?}");
        assert_eq!(lines[2], "s.t: changed (columns, indexes or constraints)");
    }
}
