//! Decides for each task what becomes of what the target holds already.
//!
//! Existing objects are kept and compared: an equal one counts as done, a different one is kept and reported. Rows follow the table's
//! `on_existing` and `on_conflict`. Nothing is dropped or changed here; `run` writes the decisions into the ledger.

use crate::catalog::Constraint;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::secret;
use crate::config::OnExisting;
use crate::finding::{Finding, Severity};
use crate::name::{QualifiedName, ident};
use crate::pg::present::Present;
use crate::plan::{Plan, Task, TaskKind};
use crate::record::{Record, RowMode};
use crate::row_format::RowFormat;
use crate::status::TaskStatus;
use std::collections::{HashMap, HashSet};

/// What was found on the target.
#[derive(Debug, Default)]
pub struct Found {
    /// Relations, rows, constraints.
    pub present: Present,
    /// The entries of the target's own archive; empty where the target is.
    pub entries: Vec<Entry>,
    /// Tables, as the plan names them, all of whose rows an earlier finished run copied.
    pub loaded: HashSet<String>,
    /// Tables whose columns are known to have the source's types.
    pub same_layout: HashSet<QualifiedName>,
}

/// The tables whose rows the plan moves.
#[must_use]
pub fn tables(plan: &Plan) -> HashSet<QualifiedName> {
    plan.tasks.iter().filter(|task| task.is_data()).map(table).collect()
}

fn table(task: &Task) -> QualifiedName {
    QualifiedName::new(&task.schema, &task.name)
}

type Entries<'a> = HashMap<Key<'a>, &'a Entry>;

/// What identifies an object in its database.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key<'a> {
    kind: TaskKind,
    schema: &'a str,
    name: &'a str,
    /// What distinguishes objects of one kind and one name: the operands of an operator, the access method of an operator class or family.
    rest: String,
}

impl<'a> Key<'a> {
    fn of_entry(entry: &'a Entry) -> Key<'a> {
        let kind = TaskKind::from(&entry.kind);
        let rest = rest(&kind, &entry.statement);
        Key { kind, schema: entry.namespace.as_str(), name: entry.tag.as_str(), rest }
    }

    fn of_task(task: &'a Task) -> Key<'a> {
        let rest = rest(&task.kind, &task.target_sql);
        Key { kind: task.kind.clone(), schema: &task.schema, name: &task.name, rest }
    }
}

/// The part of a statement of `pg_dump` that identifies its object besides the name.
fn rest(kind: &TaskKind, statement: &str) -> String {
    match kind {
        TaskKind::Entry(ObjectKind::Operator) => {
            let is_operand = |line: &&str| line.starts_with("LEFTARG = ") || line.starts_with("RIGHTARG = ");
            let operands =
                statement.lines().map(|line| line.trim().trim_end_matches([',', ')', ';'])).filter(is_operand);
            operands.collect::<Vec<_>>().join(" ")
        }
        TaskKind::Entry(ObjectKind::OperatorClass | ObjectKind::OperatorFamily) => {
            let method = statement.split_once(" USING ").map_or("", |(_, behind)| behind);
            method.chars().take_while(|c| !c.is_whitespace() && *c != ';').collect()
        }
        _ => String::new(),
    }
}

/// A record for each task, with what is settled before anything is done, and the findings for the user.
#[must_use]
pub fn decide(plan: &Plan, found: &Found) -> (Vec<Record>, Vec<Finding>) {
    let entries: Entries<'_> = found.entries.iter().map(|entry| (Key::of_entry(entry), entry)).collect();
    let mut findings = Vec::new();
    let extensions: HashSet<&str> =
        plan.tasks.iter().filter(|task| task.kind == ObjectKind::Extension).map(|task| task.id.as_str()).collect();
    let is_member = |task: &Task| task.requires.iter().any(|id| extensions.contains(id.as_str()));
    let records = plan.tasks.iter().map(|task| {
        let mut record = Record::planned(task);
        match task.kind {
            TaskKind::Data => {
                decide_rows(task, found, &mut record, &mut findings);
                if is_member(task) {
                    decide_configuration(task, found, &mut record);
                }
            }
            TaskKind::Truncate if !found.present.relations.contains_key(&table(task)) => {
                settle(&mut record, TaskStatus::Skipped, "the table did not exist");
            }
            // CREATE EXTENSION may have used values of the sequence.
            TaskKind::SequenceValue if found.present.relations.contains_key(&table(task)) || is_member(task) => {
                record.mode = Some(RowMode::Forward);
            }
            TaskKind::Entry(ObjectKind::Constraint | ObjectKind::FkConstraint) => {
                decide_constraint(task, found, &entries, &mut record);
            }
            TaskKind::Entry(ObjectKind::Index) | TaskKind::Role => {}
            _ => match entries.get(&Key::of_task(task)) {
                Some(entry) => decide_object(task, entry, &mut record, &mut findings),
                None if task.kind == ObjectKind::Subscription && found.present.subscriptions.contains(&task.name) => {
                    settle(&mut record, TaskStatus::Kept, UNREAD);
                    let remedy = "compare both as superusers: SELECT * FROM pg_subscription";
                    findings.push(Finding::new("not_compared", Severity::Warning, task.object(), UNREAD, remedy));
                }
                None => {}
            },
        }
        record
    });
    (records.collect(), findings)
}

fn settle(record: &mut Record, status: TaskStatus, note: &str) {
    record.status = status;
    record.note = note.into();
}

fn decide_rows(task: &Task, found: &Found, record: &mut Record, findings: &mut Vec<Finding>) {
    let name = table(task);
    if !found.present.relations.contains_key(&name) {
        return;
    }
    if task.on_existing == Some(OnExisting::Skip) {
        return settle(record, TaskStatus::Skipped, "the table existed and on_existing is skip");
    }
    if found.present.with_triggers.contains(&name) {
        let message = "it has triggers on the target, which fire for copied rows and may change them";
        let remedy = format!("for as long as the run lasts: ALTER TABLE {} DISABLE TRIGGER USER", name.sql());
        report(findings, Finding::new("triggers_fire", Severity::Warning, name.to_string(), message, remedy));
    }
    record.mode = Some(RowMode::Copy);
    // A table that pgmigrate did not make may have other types, and only text is read by whatever type the column has.
    if !found.same_layout.contains(&name) {
        record.format = Some(RowFormat::Text);
    }
    if task.on_existing != Some(OnExisting::Append) || !found.present.with_rows.contains(&name) {
        return;
    }
    if !task.merge_sql.is_empty() {
        record.mode = Some(RowMode::Merge);
    } else if found.loaded.contains(&task.object()) {
        settle(record, TaskStatus::Skipped, NOT_MOVED.0);
        report(findings, Finding::new("rows_not_moved", Severity::Warning, name.to_string(), NOT_MOVED.0, NOT_MOVED.1));
    } else {
        record.mode = Some(RowMode::Append);
        let message =
            "it holds rows, and no key identifies rows of the source among them: all rows of the source are appended";
        let remedy = "set on_existing to truncate or skip for it if that is not wanted";
        report(findings, Finding::new("rows_appended", Severity::Warning, name.to_string(), message, remedy));
    }
}

/// A configuration table of an extension that the run makes holds the rows of CREATE EXTENSION by then, in types of the target's version.
fn decide_configuration(task: &Task, found: &Found, record: &mut Record) {
    record.format = Some(RowFormat::Text);
    let is_there = found.present.relations.contains_key(&table(task));
    if !is_there || task.on_existing == Some(OnExisting::Truncate) {
        record.mode = Some(RowMode::Replace);
    } else if record.mode == Some(RowMode::Copy)
        && task.on_existing == Some(OnExisting::Append)
        && !task.merge_sql.is_empty()
    {
        record.mode = Some(RowMode::Merge);
    }
}

/// The message and the remedy for a table that an earlier run has copied and whose rows are not merged by a key. Preflight and run report
/// the same.
pub const NOT_MOVED: (&str, &str) = (
    "an earlier run copied its rows, and they are not merged by a key: rows that are new on the source are not moved",
    "set on_existing to truncate for it to copy all of its rows again, or on_conflict to nothing or update where it has a key",
);

const UNREAD: &str = "the target already had one of this name, which was kept; only superusers can read its definition";

const HIDDEN: &str =
    "it existed on the target and was kept; except for values that a plan hides, such as passwords, it is equal";

/// Adds a finding once, although every chunk of a table causes it.
fn report(findings: &mut Vec<Finding>, finding: Finding) {
    if !findings.contains(&finding) {
        findings.push(finding);
    }
}

fn decide_object(task: &Task, entry: &Entry, record: &mut Record, findings: &mut Vec<Finding>) {
    // A statement of the plan may begin with the settings of its entry.
    let is_equal = match task.kind {
        TaskKind::Entry(ObjectKind::Policy) => {
            with_sorted_roles(&task.target_sql) == with_sorted_roles(&entry.statement)
        }
        _ => task.target_sql.ends_with(&entry.with_settings(false)),
    };
    if is_equal {
        return settle(record, TaskStatus::Kept, "an equal one existed on the target");
    }
    if secret::redact(&entry.kind, &entry.with_settings(false))
        .is_some_and(|redacted| task.target_sql.ends_with(&redacted.statement))
    {
        settle(record, TaskStatus::Kept, HIDDEN);
        let remedy = "compare its options on both servers, or drop the target's for the run to make it";
        findings.push(Finding::new("not_compared", Severity::Warning, task.object(), HIDDEN, remedy));
        return;
    }
    settle(record, TaskStatus::Kept, "it existed on the target with another definition and was kept");
    let message = format!("the target's {} differs from the source's and was kept", task.kind);
    let remedy = "compare both with pg_dump --schema-only, and change or drop the target's";
    findings.push(Finding::new("differs", Severity::Warning, task.object(), message, remedy));
}

/// The statement of a policy with its roles sorted by name: `pg_dump` writes them in the order of the server's catalog.
fn with_sorted_roles(statement: &str) -> String {
    // The roles follow the names of policy and table, which may hold any text between quotes.
    let is_bare = |at: &usize| statement[..*at].matches('"').count().is_multiple_of(2);
    let first = |text: &str, from: usize| statement[from..].match_indices(text).map(|(at, _)| from + at).find(is_bare);
    // A policy without roles may have the word TO in its expressions.
    let end = [" USING (", " WITH CHECK (", ";"].iter().filter_map(|text| first(text, 0)).min();
    let end = end.unwrap_or(statement.len());
    let Some(begin) = first(" TO ", 0).map(|at| at + " TO ".len()).filter(|begin| *begin <= end) else {
        return statement.to_owned();
    };
    let mut roles = Vec::new();
    let mut at = begin;
    while let Some(comma) = first(", ", at).filter(|comma| *comma < end) {
        roles.push(&statement[at..comma]);
        at = comma + 2;
    }
    roles.push(&statement[at..end]);
    roles.sort_unstable();
    format!("{}{}{}", &statement[..begin], roles.join(", "), &statement[end..])
}

/// A constraint is kept where it is the planned one; for another constraint of its name the task fails with an error that names it.
fn decide_constraint(task: &Task, found: &Found, entries: &Entries<'_>, record: &mut Record) {
    let Some(constraint) = existing_constraint(task, found) else { return };
    // A constraint that is not validated is accepted only where a task of its own checks the rows.
    let is_checked_by_task = task.kind == ObjectKind::FkConstraint
        && !task.target_sql.trim_end().trim_end_matches(';').ends_with(" NOT VALID");
    if is_checked_by_task && !constraint.is_validated {
        return;
    }
    let is_equal_entry =
        entries.get(&Key::of_task(task)).is_some_and(|entry| task.target_sql.ends_with(&entry.with_settings(false)));
    if is_equal_entry || is_made_by(constraint, &task.target_sql) {
        settle(record, TaskStatus::Kept, "it existed on the target");
    }
}

/// Whether a constraint is the one that a plan's statement adds. A constraint that is not validated may still be validated later.
fn is_made_by(constraint: &Constraint, sql: &str) -> bool {
    let definition = constraint.definition.trim_end_matches(" NOT VALID");
    let deferral = match (constraint.is_deferrable, constraint.is_deferred) {
        (false, _) => "",
        (true, false) => " DEFERRABLE",
        (true, true) => " DEFERRABLE INITIALLY DEFERRED",
    };
    // The index of a key has a task of its own, which compares it.
    let over_index = |word: &str| format!(" {word} USING INDEX {}{deferral}", ident(&constraint.name));
    let sql = sql.strip_suffix(';').unwrap_or(sql);
    let sql = sql.strip_suffix(" NOT VALID").unwrap_or(sql);
    let is_key = match constraint.kind {
        'p' => sql.ends_with(&over_index("PRIMARY KEY")),
        'u' => sql.ends_with(&over_index("UNIQUE")),
        _ => false,
    };
    // An entry of the archive may have more text after the constraint, such as CLUSTER ON.
    is_key || sql.ends_with(&format!(" {definition}")) || sql.contains(&format!(" {definition};"))
}

/// A constraint's task is named `table constraint`, and both names may contain spaces: the table is the one that exists.
fn existing_constraint<'a>(task: &Task, found: &'a Found) -> Option<&'a Constraint> {
    task.name.match_indices(' ').find_map(|(at, _)| {
        let relation = found.present.relations.get(&QualifiedName::new(&task.schema, &task.name[..at]))?;
        found.present.constraints.get(&(relation.oid, task.name[at + 1..].to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_of_a_policy_are_sorted_and_nothing_else_is() {
        let sorted = [
            ("CREATE POLICY p ON s.t TO b, a USING ((c = 'd, b'::text));\n", "TO a, b USING ((c = 'd, b'::text));\n"),
            (
                "CREATE POLICY p ON s.t FOR INSERT TO b, \"a, z\" WITH CHECK (true);\n",
                "TO \"a, z\", b WITH CHECK (true);\n",
            ),
            ("CREATE POLICY \"p TO z, y\" ON s.t TO b, a;\n", "ON s.t TO a, b;\n"),
        ];
        for (statement, end) in sorted {
            assert!(with_sorted_roles(statement).ends_with(end), "{statement}");
        }
        for statement in [
            "CREATE POLICY p ON s.t USING ((c = 'x TO z, y'::text));\n",
            "CREATE POLICY p ON s.t FOR INSERT WITH CHECK ((c = 'x TO z, y'::text));\n",
            "CREATE POLICY \"p TO z, y\" ON s.t;\n",
        ] {
            assert_eq!(with_sorted_roles(statement), statement);
        }
    }
}
