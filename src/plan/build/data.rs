//! The rows as tasks: chunks of tables, values of sequences.
//!
//! Every data task has the exact COPY of both sides; the format is a field of its own, because the engine uses text if an existing table of
//! the target has other types. Large tables are first, so that none of them is the last one running.

use super::builder::Builder;
use super::extension;
use super::inputs::Inputs;
use super::large_object;
use super::order;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::{Column, Index, Oid, Relation};
use crate::config::{OnConflict, OnExisting, TableOptions};
use crate::finding::{Finding, LISTED, Severity, listed};
use crate::interned::Interned;
use crate::name::{ident_list, literal};
use crate::plan::chunk::{Chunk, Cutting, Rules};
use crate::plan::{Load, OnKey, Phase, Task, TaskKind, format};
use std::cmp::Reverse;
use std::collections::HashMap;

/// Adds all data tasks.
pub fn push(inputs: &Inputs<'_>, builder: &mut Builder) {
    let rules = Rules::new(&inputs.options.scope.tables);
    let mut tables: Vec<&Relation> =
        inputs.catalog.relations.iter().filter(|r| inputs.scope.tables.contains(&r.oid)).collect();
    tables.sort_by_key(|relation| Reverse(relation.total_bytes));
    // Functions that compute or check other rows may read the configuration tables of extensions.
    let (first, others): (Vec<&Relation>, Vec<&Relation>) = tables.into_iter().partition(|r| r.is_configuration());
    let first = extension::in_order(inputs, &first);
    let tables = first.into_iter().chain(others);
    let tables: Vec<(&Relation, &TableOptions)> =
        tables.map(|relation| (relation, rules.of(relation, &inputs.lookup.ancestors(relation)))).collect();
    let mut ready = ready(inputs, builder);
    push_truncates(inputs, builder, &tables, &mut ready);
    let cutting = Cutting::new(&inputs.catalog.server, &inputs.lookup, inputs.options.copy, &tables);
    let others = tables.partition_point(|(relation, _)| relation.is_configuration());
    for &(relation, options) in &tables[..others] {
        let mut requires: Vec<usize> = builder.before_rows.into_iter().collect();
        requires.extend(extension::made(inputs, builder, relation));
        push_table(inputs, builder, relation, options, &cutting, &requires);
    }
    extension::order(inputs, builder);
    let reading = extension::read_by_rows(inputs, builder);
    for &(relation, options) in &tables[others..] {
        let mut requires = ready.get(&relation.oid).cloned().unwrap_or_default();
        requires.extend(builder.before_rows);
        push_table(inputs, builder, relation, options, &cutting, &requires);
        let before = reading.get(&relation.oid).cloned().unwrap_or_default();
        for at in builder.data_of.get(&relation.oid).cloned().unwrap_or_default() {
            builder.wait_for(at, before.iter().copied());
        }
    }
    share_rows_through_roots(inputs, builder, &tables);
    report_keys(inputs, builder, &tables);
    push_sequences(inputs, builder);
    large_object::push(inputs, builder);
}

/// What a table's rows must wait for: that it exists, is attached in its partition tree, and is emptied if the configuration says so.
type Ready = HashMap<Oid, Vec<usize>>;

fn ready(inputs: &Inputs<'_>, builder: &Builder) -> Ready {
    let mut ready = Ready::new();
    let tables: HashMap<i32, Oid> =
        inputs.entries().filter(|entry| entry.kind == ObjectKind::Table).map(|entry| (entry.id, entry.oid)).collect();
    for entry in inputs.entries() {
        let Some(&at) = builder.by_entry.get(&entry.id) else { continue };
        if let Some(&oid) = tables.get(&entry.id) {
            ready.entry(oid).or_default().push(at);
        } else if matches!(entry.kind, ObjectKind::TableAttach | ObjectKind::Default) {
            for oid in entry.dependencies.iter().filter_map(|id| tables.get(id)) {
                ready.entry(*oid).or_default().push(at);
            }
        }
    }
    ready
}

fn push_truncates(
    inputs: &Inputs<'_>,
    builder: &mut Builder,
    tables: &[(&Relation, &TableOptions)],
    ready: &mut Ready,
) {
    let mut emptied = Ready::new();
    // For an extension's table only the rows that meet its condition are replaced.
    let is_emptied = |(relation, options): &&(&Relation, &TableOptions)| {
        options.on_existing == OnExisting::Truncate && !relation.is_configuration()
    };
    for (relation, _) in tables.iter().filter(is_emptied) {
        let mut task = Task::new(Phase::Data, TaskKind::Truncate, &relation.name.schema, &relation.name.name);
        task.target_sql = format!("TRUNCATE ONLY {}", relation.name.sql());
        task.note = "on_existing is truncate".into();
        let mut requires = ready.get(&relation.oid).cloned().unwrap_or_default();
        requires.extend(builder.before_rows);
        let at = builder.push(task, requires);
        emptied.entry(landing(inputs, relation).oid).or_default().push(at);
    }
    for (relation, _) in tables {
        let before = emptied.get(&landing(inputs, relation).oid).into_iter().flatten();
        ready.entry(relation.oid).or_default().extend(before);
    }
}

/// The table that a table's rows are copied into. Partitions by a hash over an enum depend on the enum's OIDs, which the target numbers
/// again: only the root routes the rows correctly.
fn landing<'a>(inputs: &'a Inputs<'_>, relation: &'a Relation) -> &'a Relation {
    let ancestors = inputs.lookup.ancestors(relation);
    let root = ancestors.last().copied().filter(|_| ancestors.iter().any(|ancestor| ancestor.hashes_an_enum));
    root.unwrap_or(relation)
}

/// Rows that are copied through a root may be routed to any of its partitions, so each of these is complete only with the last of them.
fn share_rows_through_roots(inputs: &Inputs<'_>, builder: &mut Builder, tables: &[(&Relation, &TableOptions)]) {
    let mut rows: HashMap<Oid, Vec<usize>> = HashMap::new();
    let through = || {
        tables
            .iter()
            .map(|(relation, _)| (relation.oid, landing(inputs, relation).oid))
            .filter(|(table, root)| table != root)
    };
    for (table, root) in through() {
        rows.entry(root).or_default().extend(builder.data_of.get(&table).into_iter().flatten());
    }
    for (table, root) in through() {
        builder.data_of.insert(table, rows.get(&root).cloned().unwrap_or_default());
    }
}

fn push_table(
    inputs: &Inputs<'_>,
    builder: &mut Builder,
    relation: &Relation,
    options: &TableOptions,
    cutting: &Cutting<'_>,
    requires: &[usize],
) {
    let cut = cutting.cut(relation, options, inputs.answers.get(&relation.oid));
    let share = cut.chunks.len() as u64;
    let mut pattern = pattern(inputs, relation, options);
    push_note(&mut pattern, &cut.note);
    for chunk in cut.chunks {
        let mut task = pattern.clone();
        if let Some(load) = pattern.load() {
            let query = query(relation, options, &chunk);
            task.set_load(Load { query, by_pages: cut.by_pages, ..load.clone() });
        }
        task.rows = estimated(relation, options) / share;
        task.bytes = relation.total_bytes / share;
        push_note(&mut task, &chunk.label);
        let at = builder.push(task, requires.to_vec());
        builder.data_of.entry(relation.oid).or_default().push(at);
    }
}

fn push_note(task: &mut Task, note: &str) {
    let separator = if task.note.is_empty() || note.is_empty() { "" } else { "; " };
    task.note = format!("{}{separator}{note}", task.note);
}

fn estimated(relation: &Relation, options: &TableOptions) -> u64 {
    options.limit.map_or(relation.estimated_rows(), |limit| limit.min(relation.estimated_rows()))
}

/// A data task of the table with the fields that all of its chunks share.
fn pattern(inputs: &Inputs<'_>, relation: &Relation, options: &TableOptions) -> Task {
    let mut task = Task::new(Phase::Data, TaskKind::Data, &relation.name.schema, &relation.name.name);
    let into = &landing(inputs, relation).name;
    let columns = relation.copied_columns().map(|column| column.name.to_string()).collect();
    task.set_load(Load {
        into: into.clone(),
        columns,
        query: None,
        by_pages: false,
        merge: on_key(inputs, relation, options),
    });
    if *into != relation.name {
        push_note(&mut task, &format!("through {into}: hash partitions of an enum hold other rows on another server"));
    }
    task.after = order::rows(inputs, relation, *into != relation.name);
    if options.limit.is_some() && relation.partition_of.is_some() {
        push_note(&mut task, "the limit counts for each partition");
    }
    let choice = format::choose(relation, options);
    task.format = Some(choice.format);
    push_note(&mut task, &choice.note);
    task.on_existing = Some(options.on_existing);
    if relation.is_configuration() && !inputs.options.scope.data_only {
        push_note(&mut task, &extension::note(relation));
        task.optional_sql =
            extension::delete_sql(relation, copied_key(inputs, relation).filter(|_| !task.merge_sql.is_empty()));
    }
    task
}

/// The query of a chunk's rows; none where COPY reads the whole table.
fn query(relation: &Relation, options: &TableOptions, chunk: &Chunk) -> Option<String> {
    let conditions = [options.filter.as_deref().unwrap_or(""), &chunk.predicate];
    let conditions: Vec<String> = conditions.iter().filter(|c| !c.is_empty()).map(|c| format!("({c})")).collect();
    let columns = ident_list(relation.copied_columns().map(|column| &column.name));
    let from = relation.from_item();
    let is_plain = conditions.is_empty() && options.order_by.is_none() && options.limit.is_none();
    if is_plain && from.starts_with("ONLY ") && !columns.is_empty() {
        return None;
    }
    let mut select = vec![format!("SELECT {columns} FROM {from}")];
    select.extend((!conditions.is_empty()).then(|| format!("WHERE {}", conditions.join(" AND "))));
    select.extend(options.order_by.as_ref().map(|order| format!("ORDER BY {order}")));
    select.extend(options.limit.map(|limit| format!("LIMIT {limit}")));
    Some(select.join(" "))
}

/// How staged rows are added to a table that existed before, under the table's `on_conflict`: by the key that identifies rows. A conflict on
/// any other constraint of the table is an error.
fn on_key(inputs: &Inputs<'_>, relation: &Relation, options: &TableOptions) -> Option<OnKey> {
    if options.on_conflict == OnConflict::Error {
        return None;
    }
    let key = copied_key(inputs, relation)?;
    let updates = match extension::on_conflict(inputs, relation, options) {
        OnConflict::Update => updated(relation, key),
        _ => Vec::new(),
    };
    // Without an identity it has no effect, and an existing table of the target may have one that the source lacks.
    let overriding = inputs.options.scope.data_only || relation.columns.iter().any(|column| column.identity_always);
    Some(OnKey { key: key.columns.iter().map(ToString::to_string).collect(), updates, overriding })
}

/// The key that identifies rows, if all of its columns are copied.
fn copied_key<'a>(inputs: &'a Inputs<'_>, relation: &Relation) -> Option<&'a Index> {
    let is_copied = |name: &Interned| relation.copied_columns().any(|column| column.name == *name);
    inputs.lookup.key(relation.oid).filter(|key| key.columns.iter().all(is_copied))
}

fn indexes<'a>(inputs: &'a Inputs<'_>, relation: &Relation) -> impl Iterator<Item = &'a Index> {
    inputs.lookup.indexes_of.get(&relation.oid).into_iter().flatten().copied()
}

/// The columns that a row of the table gets from the new one of its key.
fn updated(relation: &Relation, key: &Index) -> Vec<String> {
    // A key value may have two forms, and a configuration table gets the source's.
    let is_set = |column: &&Column| {
        !key.columns.contains(&column.name) || relation.is_configuration() && !column.identity_always
    };
    relation.copied_columns().filter(is_set).map(|column| column.name.to_string()).collect()
}

/// Reports which tables have no key that decides ON CONFLICT: one finding each for those whose own rule requires one, one for all others.
fn report_keys(inputs: &Inputs<'_>, builder: &mut Builder, tables: &[(&Relation, &TableOptions)]) {
    const REMEDY: &str = "set on_existing to truncate or skip where the target's table may hold rows";
    let mut keyless = Vec::new();
    for (relation, options) in tables.iter().filter(|(_, options)| options.on_conflict != OnConflict::Error) {
        let name = relation.name.to_string();
        let blocking = indexes(inputs, relation).find(|index| index.blocks_arbiters);
        let found = match (copied_key(inputs, relation), blocking) {
            (Some(_), None) => continue,
            (Some(key), Some(_)) => {
                let message =
                    format!("only {} detects existing rows: deferrable and exclusion constraints cannot", key.name);
                Finding::new("on_conflict", Severity::Info, name, message, "")
            }
            (None, Some(index)) if index.is_unique => {
                let message = "its unique constraints are deferrable and cannot detect existing rows; a rerun relies on the ledger";
                Finding::new("on_conflict", Severity::Info, name, message, REMEDY)
            }
            (None, _) if options.on_conflict == OnConflict::Auto => {
                keyless.push(name);
                continue;
            }
            (None, _) => {
                let message = "on_conflict has no effect: it has no unique key on NOT NULL columns";
                Finding::new("on_conflict", Severity::Warning, name, message, REMEDY)
            }
        };
        builder.findings.push(found);
    }
    if !keyless.is_empty() {
        let message = format!(
            "no unique key on NOT NULL columns identifies existing rows, and a rerun relies on the ledger to avoid duplicates: {}",
            listed(&keyless, LISTED)
        );
        builder.findings.push(Finding::new("keyless", Severity::Info, "", message, REMEDY));
    }
}

/// A sequence's value is read when the task runs, after the rows that were numbered from it.
fn push_sequences(inputs: &Inputs<'_>, builder: &mut Builder) {
    let entries = inputs.entries().filter(|entry| entry.kind == ObjectKind::Sequence);
    let made: HashMap<Oid, i32> = entries.map(|entry| (entry.oid, entry.id)).collect();
    let children = inputs.children();
    for sequence in &inputs.catalog.sequences {
        let entry = made.get(&sequence.oid);
        if entry.is_none() && !inputs.scope.sequences.contains(&sequence.oid) {
            continue;
        }
        let mut task = Task::new(Phase::Data, TaskKind::SequenceValue, &sequence.name.schema, &sequence.name.name);
        let name = sequence.name.sql();
        let class = format!("{}::pg_catalog.regclass", literal(&name).trim_start());
        task.source_sql = format!(
            "SELECT last_value, is_called, (SELECT seqincrement > 0 FROM pg_catalog.pg_sequence WHERE seqrelid = {class}) FROM {name}"
        );
        task.target_sql = format!("SELECT pg_catalog.setval({class}, $1, $2)");
        let mut requires: Vec<usize> =
            entry.and_then(|entry| builder.by_entry.get(entry)).copied().into_iter().collect();
        requires.extend(sequence.extension.as_ref().and_then(|name| extension::task(inputs, builder, name)));
        let rows = sequence.owner_relation.map(|oid| builder.data_below(oid, &children)).unwrap_or_default();
        let at = builder.push(task, requires);
        builder.wait_for(at, rows);
    }
}
