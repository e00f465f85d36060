//! What comes last: privileges, materialized views' contents with their indexes, event triggers, settings of the database.
//!
//! The order is that of `pg_restore`: privileges may take rights that the steps before need, a materialized view is filled with
//! its owner's rights and so needs them given, and an event trigger would fire on everything.

use super::build::{Builder, Inputs, phases};
use super::role::{in_this_database, setting};
use super::{Phase, Task, kind, large_object};
use crate::catalog::archive::{Entry, Section};
use crate::catalog::scope::is_whole;
use crate::catalog::{Oid, RelationKind};
use crate::name::readable;
use std::collections::{HashMap, HashSet};

const BEFORE_PRIVILEGES: [Phase; 7] =
    [Phase::Roles, Phase::PreData, Phase::Data, Phase::Index, Phase::Analyze, Phase::Constraint, Phase::PostData];

/// Pushes the last tasks.
pub fn push(inputs: &Inputs<'_>, builder: &mut Builder) {
    push_privileges(inputs, builder);
    push_views(inputs, builder);
    let before: Vec<Phase> = Phase::ALL.into_iter().filter(|phase| *phase != Phase::Finish).collect();
    for entry in inputs.entries().filter(|entry| entry.desc == "EVENT TRIGGER") {
        push_entry(inputs, builder, entry, (Phase::Finish, &before));
    }
    if is_whole(inputs.config) && !inputs.config.options.data_only {
        push_settings(inputs, builder);
    }
    push_open_comments(inputs, builder, &before);
}

/// Privileges on a schema come before those in it: a role that grants on in its own name must reach the object first.
fn push_privileges(inputs: &Inputs<'_>, builder: &mut Builder) {
    let all = inputs.entries().filter(|entry| matches!(entry.desc.as_str(), "ACL" | "DEFAULT ACL"));
    let (schemas, others): (Vec<&Entry>, Vec<&Entry>) = all.partition(|entry| entry.tag.starts_with("SCHEMA "));
    let mut first: HashMap<String, usize> = HashMap::new();
    for entry in schemas {
        let at = push_entry(inputs, builder, entry, (Phase::Privileges, &BEFORE_PRIVILEGES));
        first.insert(unquoted(entry.tag.trim_start_matches("SCHEMA ")), at);
    }
    for entry in others {
        let at = push_entry(inputs, builder, entry, (Phase::Privileges, &BEFORE_PRIVILEGES));
        builder.wait_for(at, first.get(entry.namespace.as_str()).copied());
    }
    large_object::push_privileges(inputs, builder, &BEFORE_PRIVILEGES);
}

/// A name as the catalog has it; the archive quotes the schema in the tag of its privileges where SQL would.
fn unquoted(name: &str) -> String {
    let inner = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map_or_else(|| name.to_owned(), |inner| inner.replace("\"\"", "\""))
}

fn push_entry(inputs: &Inputs<'_>, builder: &mut Builder, entry: &Entry, when: (Phase, &[Phase])) -> usize {
    let (phase, after) = when;
    let mut task = Task::new(phase, entry.desc.to_lowercase(), &entry.namespace, &entry.tag);
    task.target_sql = entry.with_settings(inputs.config.options.tablespaces);
    task.optional_sql = entry.owner_statement().unwrap_or_default();
    task.after = phases(after);
    let requires = builder.completing(entry);
    let at = builder.push(task, requires);
    builder.by_entry.insert(entry.id, at);
    at
}

/// Materialized views in the archive's order, which is that of their dependencies, and then their indexes.
fn push_views(inputs: &Inputs<'_>, builder: &mut Builder) {
    let mut after = BEFORE_PRIVILEGES.to_vec();
    after.push(Phase::Privileges);
    let below = Below::new(inputs);
    let mut refreshes: HashMap<i32, usize> = HashMap::new();
    for entry in inputs.entries().filter(|entry| entry.desc == "MATERIALIZED VIEW") {
        let Some(view) = inputs.lookup.relations.get(&entry.oid).filter(|view| view.is_populated) else { continue };
        let mut task = Task::new(Phase::Refresh, kind::REFRESH, &view.name.schema, readable(&view.name.name));
        task.target_sql = format!("REFRESH MATERIALIZED VIEW {}", view.name.sql());
        task.bytes = view.total_bytes;
        task.after = phases(&after);
        let (rows, views) = below.of(entry);
        let mut requires: Vec<usize> = builder.by_entry.get(&entry.id).copied().into_iter().collect();
        requires.extend(rows.iter().filter_map(|oid| builder.data_of.get(oid)).flatten());
        requires.extend(views.iter().filter_map(|id| refreshes.get(id)));
        refreshes.insert(entry.id, builder.push(task, requires));
    }
    let indexes = push_view_indexes(inputs, builder, &refreshes);
    if inputs.config.options.analyze_after_load {
        push_view_statistics(inputs, builder, (&refreshes, &indexes));
    }
}

/// Planner statistics of the views that were filled, once their indexes are there.
fn push_view_statistics(
    inputs: &Inputs<'_>,
    builder: &mut Builder,
    (refreshes, indexes): (&HashMap<i32, usize>, &HashMap<i32, Vec<usize>>),
) {
    for entry in inputs.entries() {
        let Some((&refresh, view)) = refreshes.get(&entry.id).zip(inputs.lookup.relations.get(&entry.oid)) else {
            continue;
        };
        let mut task = Task::new(Phase::Refresh, kind::ANALYZE, &view.name.schema, readable(&view.name.name));
        task.target_sql = format!("ANALYZE {}", view.name.sql());
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
    let views: HashSet<i32> = inputs.entries().filter(|e| e.desc == "MATERIALIZED VIEW").map(|e| e.id).collect();
    for entry in inputs.entries().filter(|entry| matches!(entry.desc.as_str(), "INDEX" | "STATISTICS")) {
        let Some(view) = entry.dependencies.iter().find(|id| views.contains(id)) else { continue };
        let mut requires = builder.completing(entry);
        requires.extend(refreshes.get(view));
        let mut task = Task::new(Phase::Refresh, entry.desc.to_lowercase(), &entry.namespace, &entry.tag);
        task.bytes = inputs.lookup.indexes.get(&entry.oid).map_or(0, |index| index.bytes);
        task.target_sql = entry.with_settings(inputs.config.options.tablespaces);
        task.optional_sql = entry.owner_statement().unwrap_or_default();
        let at = builder.push(task, requires);
        builder.by_entry.insert(entry.id, at);
        pushed.entry(*view).or_default().push(at);
    }
    pushed
}

/// What stands below views: a view's rows come from the tables under it, through other views.
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
            match next.desc.as_str() {
                "TABLE" => self.add_tree(next.oid, &mut rows),
                "MATERIALIZED VIEW" => views.push(id),
                _ => {}
            }
            if next.desc != "TABLE" {
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

fn push_settings(inputs: &Inputs<'_>, builder: &mut Builder) {
    let tasks = inputs.catalog.database_settings.iter().filter_map(|stored| {
        let set = setting(stored)?;
        let name = stored.split_once('=').map_or(stored.as_str(), |(name, _)| name);
        let mut task = Task::new(Phase::Finish, "database setting", "", name);
        task.target_sql = in_this_database(&format!("ALTER DATABASE %I SET {}", set.replace('%', "%%")));
        Some(task)
    });
    builder.push_in_turn(tasks, &[]);
}

/// Comments on privileges' neighbours: whatever was made in these phases, such as an event trigger or a view's index.
fn push_open_comments(inputs: &Inputs<'_>, builder: &mut Builder, after: &[Phase]) {
    let open = inputs.entries().filter(|entry| entry.section == Section::None && entry.desc != "ACL");
    let open: Vec<&Entry> = open.filter(|entry| !builder.by_entry.contains_key(&entry.id)).collect();
    for entry in open {
        push_entry(inputs, builder, entry, (Phase::Finish, after));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_in_a_tag_is_found_by_its_own_name() {
        assert_eq!(unquoted("plain"), "plain");
        assert_eq!(unquoted("\"Odd \"\"name\""), "Odd \"name");
        assert_eq!(unquoted("\""), "\"");
    }
}
