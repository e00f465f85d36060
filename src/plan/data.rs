//! The rows as tasks: chunks of tables, values of sequences, batches of large objects.
//!
//! Every data task holds the exact COPY of both sides; the format stands beside it, for the engine takes text where a table that
//! existed before has other types. Large tables come first, so that none of them is the last one running.

use super::build::{Builder, Inputs, phases};
use super::chunk::{Chunk, Rules, cut};
use super::{Phase, Task, kind};
use crate::catalog::scope::is_whole;
use crate::catalog::{Index, LargeObject, Oid, Relation};
use crate::config::{Format, LargeObjects, OnConflict, OnExisting, TableOptions};
use crate::finding::{Finding, Severity};
use crate::name::{QualifiedName, ident, ident_list, literal};
use std::cmp::Reverse;

/// Large objects of one task: few enough for a short transaction, many enough for few of them.
const LARGE_OBJECTS_A_TASK: usize = 500;

/// Where a chunk is staged before it is merged into a table that existed before.
pub const STAGE: &str = "pg_temp.\"pgmigrate_stage\"";

/// Pushes all data tasks.
pub fn push(inputs: &Inputs<'_>, builder: &mut Builder) {
    let rules = Rules::new(inputs.config);
    let mut tables: Vec<&Relation> =
        inputs.catalog.relations.iter().filter(|r| inputs.scope.tables.contains(&r.oid)).collect();
    tables.sort_by_key(|relation| Reverse(relation.total_bytes));
    let ready = pre_data_of(inputs, builder);
    for relation in tables {
        let options = rules.of(relation, &inputs.lookup.ancestors(relation));
        let requires = ready.get(&relation.oid).cloned().unwrap_or_default();
        push_table(inputs, builder, (relation, options), requires);
    }
    push_sequences(inputs, builder);
    push_large_objects(inputs, builder);
}

/// The pre-data tasks that a table's rows must wait for: the table itself and its place in a partition tree.
fn pre_data_of(inputs: &Inputs<'_>, builder: &Builder) -> std::collections::HashMap<Oid, Vec<usize>> {
    let mut ready: std::collections::HashMap<Oid, Vec<usize>> = std::collections::HashMap::new();
    let tables: std::collections::HashMap<i32, Oid> =
        inputs.entries().filter(|entry| entry.desc == "TABLE").map(|entry| (entry.id, entry.oid)).collect();
    for entry in inputs.entries() {
        let Some(&at) = builder.by_entry.get(&entry.id) else { continue };
        if let Some(&oid) = tables.get(&entry.id) {
            ready.entry(oid).or_default().push(at);
        } else if matches!(entry.desc.as_str(), "TABLE ATTACH" | "DEFAULT") {
            for oid in entry.dependencies.iter().filter_map(|id| tables.get(id)) {
                ready.entry(*oid).or_default().push(at);
            }
        }
    }
    ready
}

fn push_table(inputs: &Inputs<'_>, builder: &mut Builder, table: (&Relation, &TableOptions), requires: Vec<usize>) {
    let (relation, options) = table;
    let range = inputs.ranges.get(&relation.oid).copied();
    let version = inputs.catalog.server.version;
    let chunks = cut(relation, options, range, (inputs.config.options.split_larger_than, version));
    let share = chunks.len() as u64;
    let mut requires = requires;
    if options.on_existing == OnExisting::Truncate {
        let mut task = Task::new(Phase::Data, kind::TRUNCATE, &relation.name.schema, &relation.name.name);
        task.target_sql = format!("TRUNCATE ONLY {}", relation.name.sql());
        task.note = "on_existing is truncate".into();
        let at = builder.push(task, requires.clone());
        requires.push(at);
    }
    let pattern = pattern(inputs, builder, relation, options);
    for chunk in chunks {
        let mut task = pattern.clone();
        task.source_sql = source_sql(relation, options, &chunk);
        task.rows = estimated(relation, options) / share;
        task.bytes = relation.total_bytes / share;
        task.note =
            [chunk.label, pattern.note.clone()].into_iter().filter(|n| !n.is_empty()).collect::<Vec<_>>().join("; ");
        let at = builder.push(task, requires.clone());
        builder.data_of.entry(relation.oid).or_default().push(at);
    }
}

fn estimated(relation: &Relation, options: &TableOptions) -> u64 {
    options.limit.map_or(relation.estimated_rows(), |limit| limit.min(relation.estimated_rows()))
}

/// A data task of the table with all that its chunks have in common.
fn pattern(inputs: &Inputs<'_>, builder: &mut Builder, relation: &Relation, options: &TableOptions) -> Task {
    let mut task = Task::new(Phase::Data, kind::DATA, &relation.name.schema, &relation.name.name);
    let ancestors = inputs.lookup.ancestors(relation);
    // Rows of a hash over an enum hash by the enum's OIDs, which the target numbers anew: only its root places them right.
    let root = ancestors.iter().any(|a| a.hashes_an_enum).then(|| ancestors.last()).flatten();
    let into = root.map_or(&relation.name, |root| &root.name);
    task.target_sql = format!("COPY {}{} FROM STDIN", into.sql(), column_list(relation));
    if root.is_some() {
        task.note = format!("through {into}: hash partitions of an enum hold other rows on another server");
        task.after = phases(&[Phase::PreData]);
    }
    task.format = format(relation, options).into();
    task.on_existing = on_existing(options).into();
    if let Some(merge) = merge_sql(inputs, builder, (relation, options), into) {
        task.merge_sql = merge;
    }
    task
}

fn on_existing(options: &TableOptions) -> &'static str {
    match options.on_existing {
        OnExisting::Append => "append",
        OnExisting::Truncate => "truncate",
        OnExisting::Error => "error",
        OnExisting::Skip => "skip",
    }
}

fn column_list(relation: &Relation) -> String {
    let list = ident_list(relation.copied_columns().map(|column| &column.name));
    if list.is_empty() { String::new() } else { format!(" ({list})") }
}

/// Binary halves the servers' work, where the bytes mean the same on both.
fn format(relation: &Relation, options: &TableOptions) -> &'static str {
    let mut columns = relation.copied_columns().peekable();
    let is_safe = columns.peek().is_some() && columns.all(|column| column.binary_safe);
    match options.format {
        Format::Text => "text",
        Format::Binary => "binary",
        Format::Auto => {
            if is_safe {
                "binary"
            } else {
                "text"
            }
        }
    }
}

fn source_sql(relation: &Relation, options: &TableOptions, chunk: &Chunk) -> String {
    let conditions = [options.filter.as_deref().unwrap_or(""), &chunk.predicate];
    let conditions: Vec<String> = conditions.iter().filter(|c| !c.is_empty()).map(|c| format!("({c})")).collect();
    let columns = ident_list(relation.copied_columns().map(|column| &column.name));
    if conditions.is_empty() && options.order_by.is_none() && options.limit.is_none() && !columns.is_empty() {
        return format!("COPY {} ({columns}) TO STDOUT", relation.name.sql());
    }
    let mut select = format!("SELECT {columns} FROM ONLY {}", relation.name.sql());
    if !conditions.is_empty() {
        select += &format!(" WHERE {}", conditions.join(" AND "));
    }
    if let Some(order) = &options.order_by {
        select += &format!(" ORDER BY {order}");
    }
    if let Some(limit) = options.limit {
        select += &format!(" LIMIT {limit}");
    }
    format!("COPY ({select}) TO STDOUT")
}

/// What moves staged rows into a table that existed before, under the table's `on_conflict`.
fn merge_sql(
    inputs: &Inputs<'_>,
    builder: &mut Builder,
    table: (&Relation, &TableOptions),
    into: &QualifiedName,
) -> Option<String> {
    let (relation, options) = table;
    if options.on_conflict == OnConflict::Error {
        return None;
    }
    let indexes = inputs.lookup.indexes_of.get(&relation.oid);
    let is_blocked = indexes.into_iter().flatten().any(|index| index.blocks_arbiters);
    let key = inputs.lookup.key(relation.oid);
    if key.is_none() {
        report_keyless(builder, relation, options, is_blocked);
        return None;
    }
    if is_blocked {
        let message =
            "a deferrable unique or an exclusion constraint cannot decide ON CONFLICT; the primary key alone does";
        builder.findings.push(Finding::new("on_conflict", Severity::Info, relation.name.to_string(), message, ""));
    }
    let columns = ident_list(relation.copied_columns().map(|column| &column.name));
    let overriding = if relation.columns.iter().any(|c| c.identity_always) { " OVERRIDING SYSTEM VALUE" } else { "" };
    let action = action(relation, options, key?, is_blocked);
    Some(format!(
        "INSERT INTO {} ({columns}){overriding} SELECT {columns} FROM {STAGE} ON CONFLICT{action}",
        into.sql()
    ))
}

fn action(relation: &Relation, options: &TableOptions, key: &Index, is_blocked: bool) -> String {
    let arbiter = format!(" ({})", ident_list(&key.columns));
    let rest: Vec<String> = relation
        .copied_columns()
        .filter(|column| !key.columns.contains(&column.name))
        .map(|column| format!("{0} = EXCLUDED.{0}", ident(&column.name)))
        .collect();
    match options.on_conflict {
        OnConflict::Update if !rest.is_empty() => format!("{arbiter} DO UPDATE SET {}", rest.join(", ")),
        _ if is_blocked => format!("{arbiter} DO NOTHING"),
        _ => " DO NOTHING".into(),
    }
}

fn report_keyless(builder: &mut Builder, relation: &Relation, options: &TableOptions, is_blocked: bool) {
    let why = if is_blocked { "its unique constraints are deferrable" } else { "it has no unique key" };
    let (severity, message) = match options.on_conflict {
        OnConflict::Auto => (
            Severity::Info,
            format!(
                "{why}: rows that the target has already cannot be told from new ones; a rerun relies on the ledger"
            ),
        ),
        _ => (Severity::Warning, format!("on_conflict cannot be honoured: {why}")),
    };
    let remedy = "set on_existing to truncate or skip for it if the target's table may hold rows";
    builder.findings.push(Finding::new("on_conflict", severity, relation.name.to_string(), message, remedy));
}

/// A sequence's value is read when the task runs, after the rows that were numbered from it.
fn push_sequences(inputs: &Inputs<'_>, builder: &mut Builder) {
    let entries = inputs.entries().filter(|entry| entry.desc == "SEQUENCE");
    let made: std::collections::HashMap<Oid, i32> = entries.map(|entry| (entry.oid, entry.id)).collect();
    for sequence in &inputs.catalog.sequences {
        let Some(entry) = made.get(&sequence.oid) else { continue };
        let mut task = Task::new(Phase::Data, kind::SEQUENCE_VALUE, &sequence.name.schema, &sequence.name.name);
        let name = sequence.name.sql();
        let class = format!("{}::pg_catalog.regclass", literal(&name).trim_start());
        task.source_sql = format!(
            "SELECT last_value, is_called, (SELECT seqincrement > 0 FROM pg_catalog.pg_sequence WHERE seqrelid = {class}) FROM {name}"
        );
        task.target_sql = format!("SELECT pg_catalog.setval({class}, $1, $2)");
        let requires = builder.by_entry.get(entry).copied().into_iter().collect();
        let rows = sequence.owner_relation.and_then(|oid| builder.data_of.get(&oid)).cloned().unwrap_or_default();
        let at = builder.push(task, requires);
        builder.wait_for(at, rows);
    }
}

fn push_large_objects(inputs: &Inputs<'_>, builder: &mut Builder) {
    let wanted = match inputs.config.options.large_objects {
        LargeObjects::Auto => is_whole(inputs.config),
        LargeObjects::Always => true,
        LargeObjects::Never => false,
    };
    if !wanted {
        return;
    }
    for batch in inputs.catalog.large_objects.chunks(LARGE_OBJECTS_A_TASK) {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { continue };
        let mut task =
            Task::new(Phase::Data, kind::LARGE_OBJECTS, "", format!("large objects {} to {}", first.oid, last.oid));
        let oids: Vec<String> = batch.iter().map(|object| object.oid.to_string()).collect();
        task.source_sql = format!("SELECT unnest('{{{}}}'::pg_catalog.oid[])", oids.join(","));
        task.target_sql = batch.iter().filter_map(comment_sql).collect();
        task.optional_sql = batch.iter().map(access_sql).collect();
        task.rows = batch.len() as u64;
        task.after = phases(&[Phase::Roles]);
        builder.push(task, vec![]);
    }
}

fn comment_sql(object: &LargeObject) -> Option<String> {
    let comment = object.comment.as_ref()?;
    Some(format!("COMMENT ON LARGE OBJECT {} IS {};\n", object.oid, literal(comment)))
}

/// The owner and the privileges of a large object.
fn access_sql(object: &LargeObject) -> String {
    let mut sql = format!("ALTER LARGE OBJECT {} OWNER TO {};\n", object.oid, ident(&object.owner));
    for privilege in &object.privileges {
        let Some((grantee, right)) = privilege.rsplit_once(':') else { continue };
        let (right, option) = right.strip_suffix('*').map_or((right, ""), |right| (right, " WITH GRANT OPTION"));
        sql += &format!("GRANT {right} ON LARGE OBJECT {} TO {grantee}{option};\n", object.oid);
    }
    sql
}
