//! The last tasks: privileges, materialized views' contents with their indexes, event triggers, settings of the database.
//!
//! The order is that of `pg_restore`: privileges may revoke rights that the steps before need, a materialized view is filled with its
//! owner's rights and so requires that they are granted, and an event trigger would fire on everything.

use super::builder::Builder;
use super::database;
use super::inputs::Inputs;
use super::order;
use super::privilege;
use super::privilege::push_entry;
use crate::catalog::archive::{Entry, Section};
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::{Oid, RelationKind};
use crate::name::readable;
use crate::plan::{Phase, Task, TaskKind};
use std::collections::{HashMap, HashSet};

/// What may prevent a unique index of a view from being built.
const FILLED_AGAIN: &str = "the view is filled again: rows that a stale view on the source does not show may be equal";

/// Adds the last tasks.
pub fn push(inputs: &Inputs<'_>, builder: &mut Builder) {
    privilege::push(inputs, builder);
    push_views(inputs, builder);
    let first = builder.count();
    for entry in inputs.entries().filter(|entry| entry.kind == ObjectKind::EventTrigger) {
        push_entry(inputs, builder, entry, (Phase::Finish, order::finish()));
    }
    if inputs.options.scope.data_only {
        return;
    }
    database::push(inputs, builder, &order::finish());
    push_open_comments(inputs, builder);
    let last = first..builder.count();
    push_check(builder, last);
}

/// Materialized views in the archive's order, which is that of their dependencies, and then their indexes. Those that may read other views
/// through functions, and those that depend on them, run one after another after all others.
fn push_views(inputs: &Inputs<'_>, builder: &mut Builder) {
    let below = Below::new(inputs);
    let mut refreshes: HashMap<i32, usize> = HashMap::new();
    let mut readers: Vec<(&Entry, Vec<Oid>, Vec<i32>)> = Vec::new();
    for entry in inputs.entries().filter(|entry| entry.kind == ObjectKind::MaterializedView) {
        let (rows, views) = below.of(entry);
        let is_behind = views.iter().any(|id| readers.iter().any(|(reader, ..)| reader.id == *id));
        if is_behind || order::reads_views(inputs, entry.oid) {
            readers.push((entry, rows, views));
        } else {
            push_refresh(inputs, builder, entry, &rows, &views, &mut refreshes);
        }
    }
    let mut last: Vec<usize> = refreshes.values().copied().collect();
    for (entry, rows, views) in readers {
        if let Some(at) = push_refresh(inputs, builder, entry, &rows, &views, &mut refreshes) {
            builder.wait_for(at, last);
            last = vec![at];
        }
    }
    let indexes = push_view_indexes(inputs, builder, &refreshes);
    if inputs.options.schema.analyze_after_load {
        push_view_statistics(inputs, builder, &refreshes, &indexes);
    }
}

/// The task that fills a view, unless the source's is empty: after its rows and the views below it.
fn push_refresh(
    inputs: &Inputs<'_>,
    builder: &mut Builder,
    entry: &Entry,
    rows: &[Oid],
    views: &[i32],
    refreshes: &mut HashMap<i32, usize>,
) -> Option<usize> {
    let view = inputs.lookup.relations.get(&entry.oid).filter(|view| view.is_populated)?;
    let mut task = Task::new(Phase::Refresh, TaskKind::Refresh, &view.name.schema, readable(&view.name.name));
    task.target_sql = format!("REFRESH MATERIALIZED VIEW {}", view.name.sql());
    task.bytes = view.total_bytes;
    task.after = order::refresh();
    let mut requires: Vec<usize> = builder.by_entry.get(&entry.id).copied().into_iter().collect();
    requires.extend(rows.iter().filter_map(|oid| builder.data_of.get(oid)).flatten());
    requires.extend(views.iter().filter_map(|id| refreshes.get(id)));
    let at = builder.push(task, requires);
    refreshes.insert(entry.id, at);
    Some(at)
}

/// Planner statistics of the views that were filled, after their indexes are built.
fn push_view_statistics(
    inputs: &Inputs<'_>,
    builder: &mut Builder,
    refreshes: &HashMap<i32, usize>,
    indexes: &HashMap<i32, Vec<usize>>,
) {
    for entry in inputs.entries() {
        let Some((&refresh, view)) = refreshes.get(&entry.id).zip(inputs.lookup.relations.get(&entry.oid)) else {
            continue;
        };
        let mut task = Task::new(Phase::Refresh, TaskKind::Analyze, &view.name.schema, readable(&view.name.name));
        task.set_analyze(&view.name);
        let at = builder.push(task, vec![refresh]);
        builder.wait_for(at, indexes.get(&entry.id).into_iter().flatten().copied());
    }
}

/// The indexes and extended statistics of materialized views, by the entries of their views.
fn push_view_indexes(
    inputs: &Inputs<'_>,
    builder: &mut Builder,
    refreshes: &HashMap<i32, usize>,
) -> HashMap<i32, Vec<usize>> {
    let mut pushed: HashMap<i32, Vec<usize>> = HashMap::new();
    let views: HashSet<i32> =
        inputs.entries().filter(|e| e.kind == ObjectKind::MaterializedView).map(|e| e.id).collect();
    for entry in inputs.entries().filter(|entry| matches!(entry.kind, ObjectKind::Index | ObjectKind::Statistics)) {
        let Some(view) = entry.dependencies.iter().find(|id| views.contains(id)) else { continue };
        let mut requires = builder.completing(entry);
        requires.extend(refreshes.get(view));
        let mut task = Task::new(Phase::Refresh, &entry.kind, &entry.namespace, &entry.tag);
        task.bytes = inputs.lookup.indexes.get(&entry.oid).map_or(0, |index| index.bytes);
        task.target_sql = entry.with_settings(inputs.options.schema.tablespaces);
        task.optional_sql = inputs.owner_statement(entry);
        if inputs.lookup.indexes.get(&entry.oid).is_some_and(|index| index.is_unique) {
            task.note = FILLED_AGAIN.into();
        }
        let at = builder.push(task, requires);
        if order::reads_views(inputs, entry.oid) {
            builder.wait_for(at, refreshes.values().copied());
        }
        builder.by_entry.insert(entry.id, at);
        pushed.entry(*view).or_default().push(at);
    }
    pushed
}

/// The relations below views: a view's rows are computed from the tables under it, through other views.
struct Below<'a> {
    entries: HashMap<i32, &'a Entry>,
    tables: &'a HashMap<Oid, &'a crate::catalog::Relation>,
    children: std::collections::BTreeMap<Oid, Vec<Oid>>,
}

impl<'a> Below<'a> {
    fn new(inputs: &'a Inputs<'a>) -> Self {
        let entries = inputs.entries().map(|entry| (entry.id, entry)).collect();
        Below { entries, tables: &inputs.lookup.relations, children: inputs.children() }
    }

    /// The tables and the materialized views' entries below `entry`.
    fn of(&self, entry: &Entry) -> (Vec<Oid>, Vec<i32>) {
        let (mut rows, mut views) = (Vec::new(), Vec::new());
        let mut seen: HashSet<i32> = HashSet::new();
        let mut open: Vec<i32> = entry.dependencies.clone();
        while let Some(id) = open.pop() {
            let Some(next) = self.entries.get(&id).filter(|_| seen.insert(id)) else { continue };
            match &next.kind {
                ObjectKind::Table => self.add_tree(next.oid, &mut rows),
                ObjectKind::MaterializedView => views.push(id),
                _ => {}
            }
            if next.kind != ObjectKind::Table {
                open.extend(&next.dependencies);
            }
        }
        (rows, views)
    }

    fn add_tree(&self, oid: Oid, rows: &mut Vec<Oid>) {
        let mut open = vec![oid];
        while let Some(next) = open.pop() {
            if self.tables.get(&next).is_some_and(|table| table.kind == RelationKind::Table) {
                rows.push(next);
            }
            open.extend(self.children.get(&next).into_iter().flatten());
        }
    }
}

/// The comparison of owners, privileges and settings with the source, after all other tasks.
fn push_check(builder: &mut Builder, last: std::ops::Range<usize>) {
    let mut task = Task::new(Phase::Finish, TaskKind::PrivilegeCheck, "", "owners, privileges and settings");
    task.after = order::finish();
    let at = builder.push(task, vec![]);
    builder.wait_for(at, last);
}

/// Comments on objects that are made in these phases, such as an event trigger or a view's index.
fn push_open_comments(inputs: &Inputs<'_>, builder: &mut Builder) {
    let open = inputs.entries().filter(|entry| entry.section == Section::None && entry.kind != ObjectKind::Acl);
    let open: Vec<&Entry> = open.filter(|entry| !builder.by_entry.contains_key(&entry.id)).collect();
    for entry in open {
        push_entry(inputs, builder, entry, (Phase::Finish, order::finish()));
    }
}
