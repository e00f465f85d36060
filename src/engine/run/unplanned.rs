//! Objects that the source has and a saved plan lacks: a plan is often days old, and the source changes meanwhile.
//!
//! The plan is compared with the one that would be made now, task by task, so that every kind of object is covered. Differences become
//! findings, and what is not moved is in the report. Pure; called by `run` and `hold`, which have the whole catalog at hand. A part that
//! joins a run reads no archive: the process that began the run has reported for it.

use super::prepared::Prepared;
use super::resume::Drift;
use crate::catalog::Catalog;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::scope::Absent;
use crate::config::PlanOptions;
use crate::engine::Context;
use crate::finding::{Finding, Severity};
use crate::plan::large_object::{self, Defined};
use crate::plan::{Answers, Plan, Task, TaskKind, build};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Objects by kind.
type Groups = BTreeMap<String, BTreeSet<String>>;

/// How the source differs from the state that the plan was made of.
#[derive(Debug, Default)]
pub struct Changes {
    /// In scope, and not in the plan.
    added: Groups,
    /// Defined in another way by the plan.
    changed: Groups,
    /// In the plan, and no longer in scope.
    gone: Groups,
}

/// An object of a plan: kind, schema, name.
type Key<'a> = (&'a TaskKind, &'a str, &'a str);

/// The differences, as far as this process has read the whole catalog; also emitted as findings. Those of `drift` are reported already.
pub fn changes(prepared: &Prepared<'_>, options: PlanOptions<'_>, drift: &Drift, context: &Context) -> Changes {
    let Some(catalog) = &prepared.inspection.catalog else { return Changes::default() };
    let known = drift.names.iter().map(String::as_str).collect();
    let changes = compare(prepared.plan, catalog, options, &known);
    context.report(&changes.findings());
    changes
}

/// Compares the plan with the one that `options` and `catalog` result in now. Tables whose columns, indexes or constraints differ are
/// `known` already.
fn compare(plan: &Plan, catalog: &Catalog, options: PlanOptions<'_>, known: &HashSet<&str>) -> Changes {
    let now = build(catalog, options, Answers::new()).finish().plan();
    let (old, new) = (objects(plan, catalog), objects(&now, catalog));
    let mut changes = Changes::default();
    for (key, tasks) in &new {
        match old.get(key) {
            None => add(&mut changes.added, &new, tasks),
            Some(planned) if has_definition(key.0) && definitions(planned) != definitions(tasks) => {
                add(&mut changes.changed, &new, tasks);
            }
            Some(_) => {}
        }
    }
    for (_, tasks) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        add(&mut changes.gone, &old, tasks);
    }
    compare_large_objects(&mut changes, &large_object::defined(&plan.tasks), &large_object::defined(&now.tasks));
    for groups in [&mut changes.changed, &mut changes.gone] {
        if let Some(tables) = groups.get_mut("table") {
            tables.retain(|table| !known.contains(table.as_str()));
        }
        groups.retain(|_, objects| !objects.is_empty());
    }
    changes
}

/// The tasks of each object, except those that follow from others, or from the size of a table.
fn objects<'a>(plan: &'a Plan, catalog: &Catalog) -> BTreeMap<Key<'a>, Vec<&'a Task>> {
    let behind_keys: HashSet<_> = catalog.constraints.iter().filter_map(|constraint| constraint.index).collect();
    let indexes = catalog.indexes.iter().filter(|index| behind_keys.contains(&index.oid));
    let of_keys: HashSet<(&str, &str)> =
        indexes.map(|index| (index.name.schema.as_str(), index.name.name.as_str())).collect();
    let mut objects: BTreeMap<Key<'a>, Vec<&'a Task>> = BTreeMap::new();
    for task in &plan.tasks {
        let is_of_key = || of_keys.contains(&(task.schema.as_str(), task.name.as_str()));
        let follows = task.is_derived() || task.kind == ObjectKind::Index && is_of_key();
        if !follows {
            objects.entry((&task.kind, &task.schema, &task.name)).or_default().push(task);
        }
    }
    objects
}

/// Whether tasks of the kind hold the object's definition, whatever size its table has.
fn has_definition(kind: &TaskKind) -> bool {
    !matches!(
        kind,
        TaskKind::Data
            | TaskKind::SequenceValue
            | TaskKind::Refresh
            | TaskKind::Entry(ObjectKind::Constraint | ObjectKind::FkConstraint)
    )
}

fn definitions<'a>(tasks: &[&'a Task]) -> BTreeSet<(&'a str, &'a str)> {
    tasks.iter().map(|task| (task.target_sql.as_str(), task.optional_sql.as_str())).collect()
}

/// Adds an object, unless the task that creates it already names it.
fn add(groups: &mut Groups, all: &BTreeMap<Key<'_>, Vec<&Task>>, tasks: &[&Task]) {
    let Some(task) = tasks.first() else { return };
    let maker = match task.kind {
        TaskKind::Data => TaskKind::Entry(ObjectKind::Table),
        TaskKind::SequenceValue => TaskKind::Entry(ObjectKind::Sequence),
        TaskKind::Refresh => TaskKind::Entry(ObjectKind::MaterializedView),
        ref other => other.clone(),
    };
    // The archive may quote the name of an object; the tasks for its contents do not.
    let is_made = maker != task.kind && all.contains_key(&(&maker, task.schema.as_str(), task.name.as_str()));
    if !is_made {
        let object = if maker == ObjectKind::Table { table_name(task) } else { task.object() };
        groups.entry(maker.to_string()).or_default().insert(object);
    }
}

fn table_name(task: &Task) -> String {
    crate::name::QualifiedName::new(&task.schema, &task.name).to_string()
}

/// Large objects are compared one by one: the batch that an object is in depends on the others.
fn compare_large_objects(changes: &mut Changes, old: &BTreeMap<u32, Defined<'_>>, new: &BTreeMap<u32, Defined<'_>>) {
    for (oid, object) in new {
        match old.get(oid) {
            None => add_large_object(&mut changes.added, *oid),
            Some(planned) if planned != object => add_large_object(&mut changes.changed, *oid),
            Some(_) => {}
        }
    }
    for oid in old.keys().filter(|oid| !new.contains_key(*oid)) {
        add_large_object(&mut changes.gone, *oid);
    }
}

fn add_large_object(groups: &mut Groups, oid: u32) {
    groups.entry("large object".into()).or_default().insert(format!("large object {oid}"));
}

impl Changes {
    /// The findings for a reader of the report, one per kind of object.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let added = self.added.iter().map(|(kind, objects)| {
            format!("not moved, because the plan lacks what the source has in scope: {}", listed(kind, objects))
        });
        let changed = self.changed.iter().map(|(kind, objects)| {
            format!("the plan's definition is used, and the source's has changed since: {}", listed(kind, objects))
        });
        let gone = self.gone.iter().map(|(kind, objects)| {
            format!("the plan has what is no longer in scope on the source: {}", listed(kind, objects))
        });
        let messages = added.chain(changed).chain(gone);
        messages.map(|message| Finding::new("drift", Severity::Warning, "", message, "make a new plan")).collect()
    }

    /// What is not moved.
    #[must_use]
    pub fn absent(&self) -> Vec<Absent> {
        let all = self.added.iter().flat_map(|(kind, objects)| objects.iter().map(move |object| (kind, object)));
        let reason = "the plan lacks it: make a new plan";
        all.map(|(kind, object)| Absent { kind: kind.clone(), object: object.clone(), reason: reason.into() }).collect()
    }
}

/// How many objects of a kind, and the first three.
fn listed(kind: &str, objects: &BTreeSet<String>) -> String {
    const SHOWN: usize = 3;
    let names: Vec<&str> = objects.iter().take(SHOWN).map(String::as_str).collect();
    let more = if objects.len() > SHOWN { ", ..." } else { "" };
    format!("{} {} ({}{more})", objects.len(), words(kind, objects.len()), names.join(", "))
}

fn words(kind: &str, count: usize) -> String {
    match kind {
        "acl" | "default acl" => if kind == "acl" { "privileges" } else { "default privileges" }.into(),
        _ if count == 1 => kind.into(),
        "statistics" => kind.into(),
        "index" => "indexes".into(),
        _ => kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies")),
    }
}
