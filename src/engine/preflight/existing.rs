//! Existing tables of the target: how they differ, what they hold, and what is done with them.

use super::live;
use super::look::{Look, blocking, info, list, warning};
use crate::catalog::Relation;
use crate::config::OnExisting;
use crate::engine::target::column_mapping::TypeCompatibility;
use crate::engine::target::existing::NOT_MOVED;
use crate::error::Result;
use crate::finding::Finding;
use crate::ledger::Ledger;
use crate::name::{QualifiedName, ident, readable};
use crate::pg::survey::{self, ExistingColumn, ExistingTable};
use crate::plan::{Load, Task};
use std::collections::{BTreeMap, HashMap, HashSet};

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let existing: HashMap<&QualifiedName, &ExistingTable> =
        look.existing.iter().map(|table| (&table.name, table)).collect();
    let plan = &look.subject.plan;
    let tasks: HashMap<(&str, &str), &Task> = plan
        .tasks
        .iter()
        .filter(|task| task.is_data())
        .map(|task| ((task.schema.as_str(), task.name.as_str()), task))
        .collect();
    let pairs: Vec<TablePair<'_>> = look
        .tables()
        .filter_map(|source| {
            let task = *tasks.get(&(source.name.schema.as_str(), source.name.name.as_str()))?;
            Some(TablePair { source, target: *existing.get(&source.name)?, task })
        })
        .collect();
    let compatibility =
        TypeCompatibility::of(look.subject.options.plan.scope, look.leader(), look.subject.target).await?;
    let mut findings: Vec<Finding> =
        pairs.iter().flat_map(|pair| pair.findings(look, compatibility.as_ref())).collect();
    if !look.subject.resuming {
        findings.extend(contents(look, &pairs).await?);
    }
    Ok(findings)
}

/// A table of the source, the one of its name on the target, and one of the tasks that copy its rows.
struct TablePair<'a> {
    source: &'a Relation,
    target: &'a ExistingTable,
    task: &'a Task,
}

impl TablePair<'_> {
    fn is_table(&self) -> bool {
        matches!(self.target.kind, 'r' | 'p' | 'f')
    }

    fn findings(&self, look: &Look<'_>, compatibility: Option<&TypeCompatibility>) -> Vec<Finding> {
        let object = self.source.name.to_string();
        if !self.is_table() {
            let message = "the target's object of this name is not a table";
            return vec![blocking("table_kind", object, message, "rename or drop it there, or leave the table out")];
        }
        if self.task.on_existing == Some(OnExisting::Skip) {
            return Vec::new();
        }
        let mut findings = match compatibility {
            Some(compatibility) => live::columns(self.source, self.target, compatibility),
            None => differences(self.source, self.target),
        };
        findings.extend(self.missing_rights(&look.ends.target.role));
        if self.target.has_row_security {
            let message =
                "row security applies to the run's role in this table of the target, and COPY is refused there";
            let remedy =
                format!("ALTER ROLE {} BYPASSRLS, or connect as the table's owner", ident(&look.ends.target.role));
            findings.push(blocking("target_row_security", object, message, remedy));
        }
        findings
    }

    fn is_appended(&self) -> bool {
        self.task.on_existing == Some(OnExisting::Append)
    }

    /// Rules that prevent ON CONFLICT (<https://www.postgresql.org/docs/current/sql-insert.html>) where rows are merged.
    fn rules(&self) -> Option<Finding> {
        if !self.is_appended() || self.task.merge_sql.is_empty() || self.target.rules.is_empty() {
            return None;
        }
        let (object, rules) = (self.source.name.to_string(), list(&self.target.rules));
        let remedy = "set on_conflict to nothing for it, or on_existing to truncate or skip";
        if self.task.load().is_some_and(Load::updates) {
            let message = format!("its rules on INSERT or UPDATE prevent updates of its rows by their key: {rules}");
            return Some(blocking("rules", object, message, remedy));
        }
        let message = format!("its rules on INSERT or UPDATE do not apply to the rows that are added: {rules}");
        Some(info("rules", object, message))
    }

    fn missing_rights(&self, role: &str) -> Option<Finding> {
        let rights = [
            (!self.target.may_insert, "INSERT"),
            (!self.target.may_select, "SELECT"),
            (self.task.on_existing == Some(OnExisting::Truncate) && !self.target.may_truncate, "TRUNCATE"),
        ];
        let missing: Vec<&str> =
            rights.into_iter().filter(|(is_missing, _)| *is_missing).map(|(_, right)| right).collect();
        (!missing.is_empty()).then(|| {
            let (name, list) = (&self.source.name, missing.join(", "));
            let usage = format!("GRANT USAGE ON SCHEMA {} TO {}", ident(&name.schema), ident(role));
            let remedy = format!("{usage}; GRANT {list} ON {} TO {}", name.sql(), ident(role));
            let message = format!("the role {} may not write it on the target: {list} is missing", readable(role));
            // For an extension that a superuser has installed, most sources have no configuration rows of their own.
            let weigh = if self.source.is_configuration() { warning } else { blocking };
            weigh("target_right", name.to_string(), message, remedy)
        })
    }
}

/// How the columns of a table differ, one finding each.
pub(super) fn differences(source: &Relation, target: &ExistingTable) -> Vec<Finding> {
    let object = source.name.to_string();
    let there: HashMap<&str, &ExistingColumn> =
        target.columns.iter().map(|column| (column.name.as_str(), column)).collect();
    let mut findings = Vec::new();
    for column in &source.columns {
        let name = readable(&column.name);
        let Some(twin) = there.get(column.name.as_str()) else {
            let message = format!("column {name}: {} on the source, missing on the target", column.type_name);
            let remedy =
                format!("ALTER TABLE {} ADD COLUMN {} {}", source.name.sql(), ident(&column.name), column.type_name);
            let weigh = if column.is_generated { warning } else { blocking };
            findings.push(weigh("column_missing", object.clone(), message, remedy));
            continue;
        };
        findings.extend(computed(&object, column, twin));
        if column.type_name != twin.type_name {
            let message =
                format!("column {name}: {} on the source, {} on the target", column.type_name, twin.type_name);
            let remedy = "make both the same type, or make sure that every value fits; the rows travel as text";
            findings.push(warning("column_type", object.clone(), message, remedy));
        }
    }
    let known: HashSet<&str> = source.columns.iter().map(|column| column.name.as_str()).collect();
    findings.extend(
        target
            .columns
            .iter()
            .filter(|column| !known.contains(column.name.as_str()))
            .map(|column| extra(source, column)),
    );
    findings
}

fn computed(object: &str, column: &crate::catalog::Column, twin: &ExistingColumn) -> Option<Finding> {
    let name = readable(&column.name);
    match (column.is_generated, twin.is_generated) {
        (false, true) => {
            let message =
                format!("column {name}: holds values on the source, is generated on the target, which takes none");
            Some(blocking("column_generated", object, message, "drop the column's expression on the target"))
        }
        (true, false) => {
            let message = format!(
                "column {name}: is generated on the source, holds values on the target: it stays empty or gets its default"
            );
            Some(warning(
                "column_generated",
                object,
                message,
                "fill it after the run, or make it generated on the target",
            ))
        }
        _ => None,
    }
}

fn extra(source: &Relation, column: &ExistingColumn) -> Finding {
    let object = source.name.to_string();
    let name = readable(&column.name);
    if column.is_required {
        let message = format!(
            "column {name}: {} NOT NULL without a default on the target, missing on the source",
            column.type_name
        );
        let remedy = format!("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL", source.name.sql(), ident(&column.name));
        return blocking("column_extra", object, message, remedy);
    }
    info("column_extra", object, format!("column {name}: {} on the target, missing on the source", column.type_name))
}

/// What the tables hold and what is done with it, one finding for all tables that are treated in the same way.
async fn contents(look: &Look<'_>, pairs: &[TablePair<'_>]) -> Result<Vec<Finding>> {
    // A query of a table that another session has locked would wait as long as that session holds the lock.
    let locks = survey::locks(look.subject.target).await?;
    let locked: HashSet<&QualifiedName> =
        locks.iter().filter(|l| l.mode == "AccessExclusiveLock").map(|l| &l.table).collect();
    let can_ask =
        |pair: &&TablePair<'_>| pair.is_table() && pair.target.may_select && !locked.contains(&pair.target.name);
    let asked: Vec<&TablePair<'_>> = pairs.iter().filter(can_ask).collect();
    let names: Vec<&QualifiedName> = asked.iter().map(|pair| &pair.target.name).collect();
    let full = survey::have_rows(look.subject.target, &names, &look.source_path().await?).await?;
    let mut fates: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut findings = Vec::new();
    let loaded = loaded(look).await?;
    for (pair, has_rows) in asked.into_iter().zip(full) {
        let name = pair.source.name.to_string();
        if has_rows {
            findings.extend(pair.rules());
        }
        if has_rows && pair.is_appended() && pair.task.merge_sql.is_empty() && loaded.contains(&pair.task.object()) {
            findings.push(warning("rows_not_moved", name, NOT_MOVED.0, NOT_MOVED.1));
        } else if has_rows && pair.task.on_existing == Some(OnExisting::Error) {
            let remedy = "set on_existing to append, truncate or skip for it, or empty it";
            findings.push(blocking(
                "table_exists",
                name,
                "it has rows on the target, and on_existing is error",
                remedy,
            ));
        } else {
            fates.entry(fate(pair, has_rows)).or_default().push(name);
        }
    }
    findings.extend(fates.into_iter().map(|(fate, tables)| {
        let count = if tables.len() == 1 { "1 table is".to_owned() } else { format!("{} tables are", tables.len()) };
        info("table_exists", "", format!("{count} on the target already, {fate}: {}", list(&tables)))
    }));
    Ok(findings)
}

/// Tables, named as in the plan, all of whose rows an earlier run copied.
async fn loaded(look: &Look<'_>) -> Result<HashSet<String>> {
    let ledger = Ledger::new(&look.subject.options.plan.ledger.schema);
    if !ledger.exists(look.subject.target).await? {
        return Ok(HashSet::new());
    }
    Ok(ledger.loaded_objects(look.subject.target).await?.into_iter().collect())
}

fn fate(pair: &TablePair<'_>, has_rows: bool) -> &'static str {
    match pair.task.on_existing {
        Some(OnExisting::Skip) => "and left as they are",
        Some(OnExisting::Truncate) if has_rows => "with rows, and emptied first",
        _ if !has_rows => "without rows",
        _ if pair.task.load().is_some_and(Load::updates) => {
            "with rows; rows are added, and replace those of the same key"
        }
        _ if !pair.task.merge_sql.is_empty() => "with rows; rows are added whose key is not taken",
        _ => "with rows; all rows are added to them, and one whose key is taken fails",
    }
}
