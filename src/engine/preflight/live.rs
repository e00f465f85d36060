//! A data-only run's check of the target's own schema: what the plan's rows need there, and what fires or is checked when they are written.
//!
//! Nothing is created on such a target, so everything that could make a row fail is reported before the first row is copied. Called by
//! `preflight`; `target::column_mapping` determines the column mapping, `target::load_order` what can be ordered.

use super::look::{Look, blocking, info, list, warning};
use crate::catalog::assign::Assignment;
use crate::catalog::{Column, Constraint, Index, Relation};
use crate::config::OnExisting;
use crate::config::{TargetForeignKeys, TargetTriggers};
use crate::engine::target::column_mapping::{ColumnMapping, TargetColumn, TypeCompatibility};
use crate::engine::target::existing;
use crate::engine::target::existing::Found;
use crate::engine::target::foreign_keys::{Left, left_remedy};
use crate::engine::target::load_order;
use crate::engine::target::table_order::TableOrder;
use crate::error::Result;
use crate::finding::Finding;
use crate::ledger::Ledger;
use crate::name::{QualifiedName, ident, readable};
use crate::pg::survey::{self, ExistingColumn, ExistingTable};
use crate::pg::{foreign_keys, introspect, present, triggers};
use crate::plan::{Load, Task, TaskKind};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let mut findings = missing_tables(look);
    findings.extend(firing(look).await?);
    findings.extend(checked(look).await?);
    if !look.subject.resuming {
        findings.extend(arbiters(look).await?);
    }
    Ok(findings)
}

/// Tables whose rows are merged by a key that the target lacks: rows are updated only by a unique index
/// (<https://www.postgresql.org/docs/current/sql-insert.html#SQL-ON-CONFLICT>), and are found without one only where the server has an
/// equality operator for the key's types.
async fn arbiters(look: &Look<'_>) -> Result<Vec<Finding>> {
    let is_merged =
        |task: &&Task| task.is_data() && task.on_existing == Some(OnExisting::Append) && !task.merge_sql.is_empty();
    let merged: HashMap<QualifiedName, &Task> =
        look.subject.plan.tasks.iter().filter(is_merged).map(|task| (name(task), task)).collect();
    let own: HashSet<&QualifiedName> =
        look.existing.iter().filter(|table| table.may_select).map(|table| &table.name).collect();
    let tables = introspect::relations(look.subject.target).await?;
    let mut of_table: HashMap<u32, Vec<Index>> = HashMap::new();
    for index in introspect::indexes(look.subject.target).await? {
        of_table.entry(index.relation).or_default().push(index);
    }
    let lookup = look.subject.catalog.lookup();
    let found = tables.iter().filter_map(|table| {
        let task = merged.get(&table.name).filter(|_| own.contains(&table.name))?;
        let source = look.subject.catalog.relations.iter().find(|relation| relation.name == table.name)?;
        let key: BTreeSet<&str> = lookup.key(source.oid)?.columns.iter().map(|column| &**column).collect();
        let indexes = of_table.get(&table.oid).map_or(&[][..], Vec::as_slice);
        let is_key = |index: &Index| {
            index.is_arbiter && index.columns.iter().map(|column| &**column).collect::<BTreeSet<&str>>() == key
        };
        let updates = task.load().is_some_and(Load::updates);
        let is_known = !updates && key.iter().all(|name| has_plain_equality(table, name));
        if is_known || indexes.iter().any(is_key) {
            return None;
        }
        let message = format!(
            "rows are merged by the key ({}), which is not a unique key on the target",
            list(&key.into_iter().collect::<Vec<_>>())
        );
        let remedy =
            "set on_conflict to error for the table if it holds no rows of the source, or on_existing to truncate";
        Some((table.name.clone(), blocking("on_conflict", table.name.to_string(), message, remedy)))
    });
    let found: Vec<(QualifiedName, Finding)> = found.collect();
    let names: Vec<&QualifiedName> = found.iter().map(|(name, _)| name).collect();
    // Rows are merged only into a table that holds rows.
    let full = survey::have_rows(look.subject.target, &names, &look.source_path().await?).await?;
    Ok(found.iter().zip(full).filter(|(_, is_full)| *is_full).map(|((_, finding), _)| finding.clone()).collect())
}

fn has_plain_equality(table: &Relation, name: &str) -> bool {
    table.columns.iter().any(|column| column.name == name && column.binary_safe)
}

fn name(task: &Task) -> QualifiedName {
    QualifiedName::new(&task.schema, &task.name)
}

/// Tables that the plan names and the target does not have.
fn missing_tables(look: &Look<'_>) -> Vec<Finding> {
    let there: HashSet<&QualifiedName> = look.existing.iter().map(|table| &table.name).collect();
    let is_about = |task: &&Task| task.is_data() || task.kind == TaskKind::Analyze;
    // ANALYZE tasks name a table as it is shown to users; the tables of rows and of partition trees are in the scope.
    let named = look.subject.plan.tasks.iter().filter(is_about).map(Task::object).collect::<HashSet<String>>();
    let relations = look.subject.catalog.relations.iter().filter(|relation| named.contains(&relation.name.to_string()));
    let missing = relations.filter(|relation| !there.contains(&relation.name)).map(|relation| {
        let remedy = "create it there first, for instance by the application's own migrations, or leave it out with tables.exclude";
        blocking("table_missing", relation.name.to_string(), "the target has no table of this name", remedy)
    });
    missing.collect()
}

/// How the columns of a table map to their target columns, one finding each.
pub(super) fn columns(source: &Relation, target: &ExistingTable, compatibility: &TypeCompatibility) -> Vec<Finding> {
    let there: HashMap<&str, &ExistingColumn> =
        target.columns.iter().map(|column| (column.name.as_str(), column)).collect();
    let pairs =
        || source.copied_columns().map(|column| ColumnPair { column, found: there.get(column.name.as_str()).copied() });
    let mut findings: Vec<Finding> = pairs().filter_map(|pair| map(source, pair, compatibility)).collect();
    let is_wider = |ColumnPair { column, found }: ColumnPair<'_>| {
        let found = found.filter(|found| column.type_name != found.type_name && !found.is_generated)?;
        Some(format!("{} ({} to {})", readable(&column.name), column.type_name, found.type_name))
    };
    let wider: Vec<String> = pairs().filter_map(is_wider).collect();
    if findings.is_empty() && !wider.is_empty() {
        let message = format!("columns are assigned to types that take every value: {}", list(&wider));
        findings.push(info("column_type", source.name.to_string(), message));
    }
    let takes_part = pairs().any(|pair| pair.found.is_some_and(|found| !found.is_generated));
    if !takes_part && target.columns.iter().any(|column| !column.is_generated) {
        let message =
            "no column of the source is copied, and rows without a value cannot be sent to a table that has columns";
        let remedy = "leave the table out with tables.exclude";
        findings.push(blocking("column_missing", source.name.to_string(), message, remedy));
    }
    let may_be_null = |ColumnPair { column, found }: ColumnPair<'_>| {
        let found = found.filter(|found| found.is_not_null && !found.is_generated && !column.not_null)?;
        Some(readable(&found.name))
    };
    let nullable: Vec<String> = pairs().filter_map(may_be_null).collect();
    if !nullable.is_empty() {
        let message = format!(
            "columns are NOT NULL on the target and not on the source, whose NULLs would be refused: {}",
            list(&nullable)
        );
        let remedy = "make sure that the source has none there, or exclude such rows with where";
        findings.push(warning("column_null", source.name.to_string(), message, remedy));
    }
    findings.extend(unnamed(source, target));
    findings
}

/// A column of the source, and the target's of its name.
#[derive(Clone, Copy)]
struct ColumnPair<'a> {
    column: &'a Column,
    /// None where the target's table lacks it.
    found: Option<&'a ExistingColumn>,
}

/// The finding for one column.
fn map(source: &Relation, pair: ColumnPair<'_>, compatibility: &TypeCompatibility) -> Option<Finding> {
    let ColumnPair { column, found } = pair;
    let (object, name) = (source.name.to_string(), readable(&column.name));
    let alter = |what: String| format!("ALTER TABLE {} {what}", source.name.sql());
    let leave_out = format!("or leave it out with exclude_columns: [{name}] of the table");
    let described = found.map(|found| TargetColumn { type_name: &found.type_name, is_generated: found.is_generated });
    let there = found.map_or("missing", |found| &found.type_name);
    let types = format!("column {name}: {} on the source, {there} on the target", column.type_name);
    match compatibility.map(column, described) {
        ColumnMapping::Missing => {
            let add = alter(format!("ADD COLUMN {} {}", ident(&column.name), column.type_name));
            Some(blocking("column_missing", object, types, format!("{add} there, {leave_out}")))
        }
        ColumnMapping::Computed => {
            let message = format!("column {name}: the target computes it, and the source's values are not copied");
            let remedy = "drop its expression on the target to have the source's values";
            Some(warning("column_generated", object, message, remedy))
        }
        ColumnMapping::Refused(reason) => {
            let change = alter(format!("ALTER COLUMN {} TYPE {}", ident(&column.name), column.type_name));
            Some(blocking("column_type", object, format!("{types}: {reason}"), format!("{change} there, {leave_out}")))
        }
        ColumnMapping::Assigned(Assignment { note: "", .. }) => None,
        ColumnMapping::Assigned(assignment) => {
            let message = format!("{types}: {}", assignment.note);
            Some(warning("column_type", object, message, "check that this is intended"))
        }
    }
}

/// Columns of the target that the run's rows do not name: they take their defaults.
fn unnamed(source: &Relation, target: &ExistingTable) -> Vec<Finding> {
    let named: HashSet<&str> = source.copied_columns().map(|column| column.name.as_str()).collect();
    let unnamed = target.columns.iter().filter(|column| !named.contains(column.name.as_str()) && !column.is_generated);
    let (required, others): (Vec<_>, Vec<_>) = unnamed.partition(|column| column.is_required);
    let object = source.name.to_string();
    let mut findings: Vec<Finding> = required
        .into_iter()
        .map(|column| {
            let message = format!(
                "column {}: {} NOT NULL without a default on the target, and copied rows have no value for it",
                readable(&column.name),
                column.type_name
            );
            let alter = format!("ALTER TABLE {} ALTER COLUMN {}", source.name.sql(), ident(&column.name));
            let remedy = format!("{alter} SET DEFAULT ..., or {alter} DROP NOT NULL");
            blocking("column_extra", object.clone(), message, remedy)
        })
        .collect();
    if !others.is_empty() {
        let free: Vec<String> = others.iter().map(|column| readable(&column.name)).collect();
        let message = format!("columns of the target that are not copied get their defaults: {}", list(&free));
        findings.push(info("column_extra", object, message));
    }
    findings
}

/// Triggers of the target's tables, and what is done about them.
async fn firing(look: &Look<'_>) -> Result<Vec<Finding>> {
    let into = existing::tables(look.subject.plan);
    let firing = triggers::firing(look.subject.target).await?;
    let mut by_table: BTreeMap<&QualifiedName, Vec<&triggers::Trigger>> = BTreeMap::new();
    for trigger in firing.iter().filter(|trigger| into.contains(&trigger.table)) {
        by_table.entry(&trigger.table).or_default().push(trigger);
    }
    let is_silenced = look.subject.options.plan.copy.target_triggers == TargetTriggers::Disable;
    let role = readable(&look.ends.target.role);
    let found = by_table.into_iter().filter_map(|(table, triggers)| {
        let names = list(&triggers.iter().map(|trigger| readable(&trigger.name)).collect::<Vec<_>>());
        let fires = triggers.iter().any(|trigger| trigger.fires_on_insert);
        if is_silenced && triggers.iter().all(|trigger| trigger.is_own) {
            return Some(info(
                "triggers_disabled",
                table.to_string(),
                format!("triggers are disabled while rows are copied: {names}"),
            ));
        }
        if !fires {
            return None;
        }
        let (message, remedy) = if is_silenced {
            let message = format!(
                "triggers fire for copied rows and may change them, because role {role} may not disable them: {names}"
            );
            (message, "connect as the table's owner or a member of it")
        } else {
            let message = format!("triggers fire for copied rows and may change them: {names}");
            (message, "set options.target_triggers to disable: they are then disabled while rows are copied")
        };
        Some(warning("triggers_fire", table.to_string(), message, remedy))
    });
    Ok(found.collect())
}

/// Foreign keys that an earlier run has dropped.
pub(super) async fn left(look: &Look<'_>) -> Result<Option<Finding>> {
    let ledger = Ledger::new(&look.subject.options.plan.ledger.schema);
    let left = Left::read(&ledger, look.subject.target).await?;
    Ok(left.message().map(|message| warning("foreign_keys_left", "", message, left_remedy())))
}

/// Foreign keys that check the rows: those in a cycle, which no order satisfies, and those that are dropped.
async fn checked(look: &Look<'_>) -> Result<Vec<Finding>> {
    let (plan, target) = (look.subject.plan, look.subject.target);
    let present = present::look(target, &existing::tables(plan), &look.source_path().await?).await?;
    let found = Found { present, ..Found::default() };
    let (mode, mut findings) = (look.subject.options.plan.copy.target_foreign_keys, Vec::new());
    let gone = load_order::droppable(look.subject.options.plan.copy.target_foreign_keys, target, plan).await?;
    if mode == TargetForeignKeys::Drop {
        let keys = foreign_keys::of_tables(target, &existing::tables(plan)).await?;
        let (own, others): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.may_drop);
        let names = |keys: &[&foreign_keys::Key]| list(&keys.iter().map(|key| key.object()).collect::<Vec<_>>());
        if !own.is_empty() {
            let message = format!(
                "foreign keys are dropped before rows are copied, then created and checked again: {}",
                names(&own)
            );
            findings.push(info("foreign_keys_dropped", "", message));
        }
        if !others.is_empty() {
            let message = format!(
                "foreign keys stay and check copied rows, because role {} may not drop and create them: {}",
                readable(&look.ends.target.role),
                names(&others)
            );
            let remedy = "connect as the owner of their tables, with REFERENCES on what they reference";
            findings.push(warning("foreign_keys_kept", "", message, remedy));
        }
    }
    let counts = |key: &Constraint| {
        key.checks() && !gone.contains(&key.oid) && (mode != TargetForeignKeys::Defer || !key.is_deferrable)
    };
    for cycle in TableOrder::new(plan, &found, &TaskKind::Data, &counts).cycles() {
        let tables: BTreeSet<String> = cycle.iter().map(|at| plan.tasks[*at].object()).collect();
        let tables: Vec<String> = tables.into_iter().collect();
        findings.push(no_order(mode, &tables));
    }
    Ok(findings)
}

fn no_order(mode: TargetForeignKeys, tables: &[String]) -> Finding {
    let message = match tables {
        [one] => format!(
            "chunks of {one} may reference each other by a foreign key of the target, and no order satisfies it"
        ),
        _ => format!(
            "foreign keys of the target form a cycle, and no order of their tables satisfies it: {}",
            list(tables)
        ),
    };
    let remedy = match mode {
        TargetForeignKeys::Order => {
            "set options.target_foreign_keys to drop, or to defer where one of the keys is DEFERRABLE"
        }
        TargetForeignKeys::Defer => {
            "set options.target_foreign_keys to drop, or ALTER TABLE ... ALTER CONSTRAINT ... DEFERRABLE there"
        }
        TargetForeignKeys::Drop => "connect as the owner of these tables, with REFERENCES on what they reference",
    };
    blocking("foreign_key_cycle", tables.first().map(String::as_str).unwrap_or_default(), message, remedy)
}
