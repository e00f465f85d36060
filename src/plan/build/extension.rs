//! The rows of extensions' configuration tables, which `pg_dump` copies although CREATE EXTENSION makes the tables.
//!
//! CREATE EXTENSION may insert rows of its own that meet the condition of a table, and another version of it other rows than the source
//! has. If the run makes the extension, the rows that meet the condition are those of the source afterwards; if it was installed before,
//! rows are merged by their key, and the source's take precedence. Called by `data`, `schema` and `build`.

use super::builder::Builder;
use super::inputs::Inputs;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::{Index, Oid, Relation};
use crate::config::{OnConflict, TableOptions};
use crate::finding::{Finding, LISTED, Severity, listed};
use crate::name::{ident, readable};
use crate::plan::merge::STAGE;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The task that makes an extension.
pub fn task(inputs: &Inputs<'_>, builder: &Builder, extension: &str) -> Option<usize> {
    let entry = inputs.entries().find(|entry| entry.kind == ObjectKind::Extension && entry.tag == extension)?;
    builder.by_entry.get(&entry.id).copied()
}

/// The task that makes the table's extension.
pub fn made(inputs: &Inputs<'_>, builder: &Builder, table: &Relation) -> Option<usize> {
    table.member.as_ref().and_then(|member| task(inputs, builder, &member.extension))
}

/// Deletes the rows that CREATE EXTENSION has inserted and that meet the condition: those whose key no staged row has, or, if rows are not
/// staged, all of them.
pub fn delete_sql(table: &Relation, key: Option<&Index>) -> String {
    let name = table.name.sql();
    let mut sql = format!("DELETE FROM ONLY {name} AS t");
    let is_limited = table.member.as_ref().and_then(|m| m.condition.as_deref()).is_some_and(|text| !text.is_empty());
    let mut conditions = Vec::new();
    if is_limited {
        let alias = ident(&table.name.name);
        let condition = table.member.as_ref().and_then(|m| m.condition.as_deref()).unwrap_or_default();
        conditions.push(format!("t.ctid IN (SELECT {alias}.ctid FROM ONLY {name} {condition}\n)"));
    }
    if let Some(key) = key {
        let row = |of: &str| key.columns.iter().map(|c| format!("{of}.{}", ident(c))).collect::<Vec<_>>().join(", ");
        conditions.push(format!(
            "NOT EXISTS (SELECT FROM {STAGE} s WHERE ROW({})::pg_catalog.record OPERATOR(pg_catalog.*=) ROW({})::pg_catalog.record)",
            row("s"),
            row("t")
        ));
    }
    if !conditions.is_empty() {
        sql = format!("{sql} WHERE {}", conditions.join(" AND "));
    }
    sql
}

/// What a reader of the task should know.
pub fn note(table: &Relation) -> String {
    let Some(member) = &table.member else { return String::new() };
    match member.condition.as_deref() {
        Some("") | None => format!("configuration table of extension {}", readable(&member.extension)),
        Some(condition) => {
            format!("configuration table of extension {}, rows {condition}", readable(&member.extension))
        }
    }
}

/// A configuration row of the source replaces the one that CREATE EXTENSION made with its key; rows of the user's own tables stay.
pub fn on_conflict(inputs: &Inputs<'_>, table: &Relation, options: &TableOptions) -> OnConflict {
    let is_auto = options.on_conflict == OnConflict::Auto;
    if is_auto && table.is_configuration() && !inputs.options.scope.data_only {
        OnConflict::Update
    } else {
        options.on_conflict
    }
}

/// The configuration tables, each after those that its foreign keys reference, as far as these form no cycle.
pub fn in_order<'a>(inputs: &'a Inputs<'_>, tables: &[&'a Relation]) -> Vec<&'a Relation> {
    let by_oid: HashMap<Oid, &Relation> = tables.iter().map(|table| (table.oid, *table)).collect();
    let parents = references(inputs, |oid| by_oid.contains_key(&oid));
    let (mut sorted, mut seen) = (Vec::new(), HashSet::new());
    // A table is on the stack a second time once all that it references is sorted.
    let mut open: Vec<(Oid, bool)> = tables.iter().rev().map(|table| (table.oid, false)).collect();
    while let Some((oid, is_ready)) = open.pop() {
        if is_ready {
            sorted.extend(by_oid.get(&oid));
        } else if seen.insert(oid) {
            open.push((oid, true));
            let open_parents = parents.get(&oid).into_iter().flatten().filter(|oid| !seen.contains(oid));
            open.extend(open_parents.map(|oid| (*oid, false)));
        }
    }
    sorted
}

/// For each table, the tables among those that are `known` which its foreign keys reference.
fn references(inputs: &Inputs<'_>, known: impl Fn(Oid) -> bool) -> BTreeMap<Oid, Vec<Oid>> {
    let mut parents: BTreeMap<Oid, Vec<Oid>> = BTreeMap::new();
    for key in inputs.catalog.constraints.iter().filter(|key| key.checks() && known(key.relation)) {
        let referenced = key.referenced.filter(|oid| known(*oid) && *oid != key.relation);
        parents.entry(key.relation).or_default().extend(referenced);
    }
    parents
}

/// Lets each configuration table wait for those that its foreign keys reference, and records the tasks.
pub fn order(inputs: &Inputs<'_>, builder: &mut Builder) {
    let known: HashSet<Oid> = tables(inputs).map(|table| table.oid).collect();
    for table in tables(inputs) {
        let extension = table.member.as_ref().map(|member| member.extension.as_str()).unwrap_or_default();
        let entry = inputs.entries().find(|entry| entry.kind == ObjectKind::Extension && entry.tag == extension);
        let tasks = builder.data_of.get(&table.oid).cloned().unwrap_or_default();
        if let Some(entry) = entry {
            builder.configuration_of.entry(entry.id).or_default().extend(tasks);
        }
    }
    for (table, referenced) in references(inputs, |oid| known.contains(&oid)) {
        let before: Vec<usize> =
            referenced.iter().filter_map(|oid| builder.data_of.get(oid)).flatten().copied().collect();
        for at in builder.data_of.get(&table).cloned().unwrap_or_default() {
            builder.wait_for(at, before.iter().copied());
        }
    }
}

/// The tasks that an entry waits for because it calls functions of extensions, which may read their configuration.
pub fn read_by(builder: &Builder, entry: &Entry) -> Vec<usize> {
    entry.dependencies.iter().filter_map(|id| builder.configuration_of.get(id)).flatten().copied().collect()
}

/// The tasks that a table's rows wait for because its defaults or checks call functions, which may read configuration tables.
pub fn read_by_rows(inputs: &Inputs<'_>, builder: &Builder) -> HashMap<Oid, Vec<usize>> {
    let mut found: HashMap<Oid, Vec<usize>> = HashMap::new();
    if builder.configuration_of.is_empty() {
        return found;
    }
    let tables: HashMap<i32, Oid> =
        inputs.entries().filter(|entry| entry.kind == ObjectKind::Table).map(|entry| (entry.id, entry.oid)).collect();
    for entry in inputs.entries().filter(|entry| matches!(entry.kind, ObjectKind::Table | ObjectKind::Default)) {
        let owners = entry.dependencies.iter().chain([&entry.id]).filter_map(|id| tables.get(id));
        let tasks = read_by(builder, entry);
        for oid in owners.filter(|_| !tasks.is_empty()) {
            found.entry(*oid).or_default().extend(&tasks);
        }
    }
    let all: Vec<usize> = builder.configuration_of.values().flatten().copied().collect();
    for oid in &inputs.reaches_function {
        found.insert(*oid, all.clone());
    }
    found
}

fn tables<'a>(inputs: &'a Inputs<'_>) -> impl Iterator<Item = &'a Relation> {
    inputs.catalog.relations.iter().filter(|r| r.is_configuration() && inputs.scope.tables.contains(&r.oid))
}

/// What a reader of the plan should know, one finding an extension.
pub fn findings(inputs: &Inputs<'_>) -> Vec<Finding> {
    let mut by_extension: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for table in tables(inputs) {
        let extension = table.member.as_ref().map(|member| member.extension.as_str()).unwrap_or_default();
        by_extension.entry(extension).or_default().push(table.name.to_string());
    }
    let found = by_extension.into_iter().map(|(extension, tables)| {
        let message = format!(
            "the rows of its configuration tables are copied ({}). Where this run creates the extension, rows that CREATE EXTENSION \
             inserts and the source lacks are deleted if they meet the table's condition; where it was installed before, they stay. A \
             row of the source replaces one of the same key",
            listed(&tables, LISTED)
        );
        Finding::new("extension_configuration", Severity::Info, readable(extension), message, "")
    });
    if inputs.options.scope.data_only { Vec::new() } else { found.chain(members(inputs)).collect() }
}

/// The members that hold rows which are not copied: members of the script cannot be distinguished from those that were added later.
fn members<'a>(inputs: &'a Inputs<'_>) -> impl Iterator<Item = Finding> + 'a {
    let made: HashSet<&str> =
        inputs.entries().filter(|entry| entry.kind == ObjectKind::Extension).map(|entry| entry.tag.as_str()).collect();
    let mut by_extension: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for relation in inputs.catalog.relations.iter().filter(|r| r.is_plain_member() && r.heap_bytes > 0) {
        let extension = relation.member.as_ref().map(|member| member.extension.as_str()).unwrap_or_default();
        if made.contains(extension) {
            by_extension.entry(extension).or_default().push(relation.name.to_string());
        }
    }
    by_extension.into_iter().map(|(extension, tables)| {
        let message = format!(
            "rows of its members that are no configuration tables are not copied, as in pg_dump: {} ({}). Those that the target lacks after \
             CREATE EXTENSION, or has with other rows, are reported when the run ends",
            tables.len(),
            listed(&tables, LISTED)
        );
        Finding::new("extension_members", Severity::Info, readable(extension), message, "")
    })
}
