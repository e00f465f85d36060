//! Names and definitions with characters that the target's encoding does not have: these objects cannot be created there.
//!
//! Rows are not inspected: characters that the target lacks make only their own table fail. A comment, a label or a privilege that cannot
//! be written does not block the rest.

use super::look::{Look, blocking, warning};
use crate::catalog::object_kind::ObjectKind;
use crate::error::Result;
use crate::finding::Finding;
use crate::name::{QualifiedName, readable};
use crate::pg::survey;
use crate::plan::build::privilege;
use crate::plan::{Task, TaskKind};
use std::collections::{BTreeSet, HashSet};

/// Encodings whose databases accept every text that pgmigrate sends.
const TAKES_ALL: [&str; 2] = ["UTF8", "SQL_ASCII"];
/// Kinds of task that create no object, but fill the object of another task.
const FILLING: [TaskKind; 6] = [
    TaskKind::Data,
    TaskKind::Truncate,
    TaskKind::SequenceValue,
    TaskKind::Analyze,
    TaskKind::Entry(ObjectKind::StatisticsData),
    TaskKind::Refresh,
];
/// The most characters that one message names.
const SHOWN: usize = 5;

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let encoding = look.ends.target.encoding.as_str();
    // A resumed run has passed this check, and what it made exists.
    if TAKES_ALL.contains(&encoding) || look.subject.resuming {
        return Ok(Vec::new());
    }
    let tasks = || look.subject.plan.tasks.iter().filter(|task| !FILLING.contains(&task.kind));
    let foreign: BTreeSet<char> = tasks().flat_map(texts).flat_map(str::chars).filter(|c| !c.is_ascii()).collect();
    let foreign: Vec<char> = foreign.into_iter().collect();
    let lacked: HashSet<char> = survey::lacked(look.subject.target, &foreign).await?.into_iter().collect();
    if lacked.is_empty() {
        return Ok(Vec::new());
    }
    let existing: Vec<&QualifiedName> = look.existing.iter().map(|table| &table.name).collect();
    let mut named = HashSet::new();
    let found = tasks().filter_map(|task| finding(task, encoding, &lacked).filter(|_| !is_there(task, &existing)));
    Ok(found.filter(|finding| named.insert((finding.object.clone(), finding.severity))).collect())
}

/// Whether a failure of a task of the kind leaves the object as it is.
fn is_lesser(kind: &TaskKind) -> bool {
    match kind {
        TaskKind::Entry(kind) => kind.is_about_another() || *kind == ObjectKind::DefaultAcl,
        _ => matches!(kind, TaskKind::DatabaseComment | TaskKind::DatabaseLabel),
    }
}

/// Whether tasks of the kind are named by a table and a name of their own, with a space between them.
fn is_named_by_its_table(kind: &TaskKind) -> bool {
    match kind {
        TaskKind::Entry(kind) => kind.is_named_by_its_table(),
        _ => matches!(kind, TaskKind::FkDrop | TaskKind::FkRestore | TaskKind::FkCheck | TaskKind::FkValidation),
    }
}

/// Whether the task is about a table that the target has already: such a table stays as it is.
fn is_there(task: &Task, existing: &[&QualifiedName]) -> bool {
    // The object may be named by its table and its own name; a table's name may contain a space, too.
    let is_part = is_named_by_its_table(&task.kind);
    let is_of = |table: &str| {
        let rest = task.name.strip_prefix(table);
        rest.is_some_and(|rest| rest.is_empty() || (is_part && rest.starts_with(' ')))
    };
    let mut tables = existing.iter().filter(|table| table.schema == task.schema);
    tables.any(|table| is_of(&table.name) || is_of(&readable(&table.name)))
}

fn texts(task: &Task) -> [&str; 4] {
    [&task.schema, &task.name, &task.target_sql, &task.optional_sql]
}

fn finding(task: &Task, encoding: &str, lacked: &HashSet<char>) -> Option<Finding> {
    let found = |text: &str| text.chars().filter(|c| lacked.contains(c)).collect::<BTreeSet<char>>();
    let [name, definition, option] = [found(&task.object()), found(&task.target_sql), found(&task.optional_sql)];
    let object = task.object();
    let message = |what: &str, characters: &BTreeSet<char>| {
        format!(
            "{} {object}: {what} has characters that the target's encoding {encoding} lacks: {}",
            task.kind,
            shown(characters)
        )
    };
    if is_lesser(&task.kind) {
        let all: BTreeSet<char> = definition.union(&option).copied().collect();
        let remedy = "create the target with ENCODING 'UTF8', or set it there by hand without these characters";
        if name.is_empty() {
            let warn = || warning("target_encoding", object.clone(), message("its text", &all), remedy);
            return (!all.is_empty()).then(warn);
        }
        // What is about an object that cannot be created is reported with that object. Privileges of large objects and default privileges
        // are named by roles, which may exist under any name.
        let is_named_by_a_role = task.schema.is_empty() && privilege::is_acl(task);
        let block = || blocking("target_encoding", object.clone(), message("its name", &name), self::remedy(task));
        return is_named_by_a_role.then(block);
    }
    let what = if name.is_empty() { ("its definition", &definition) } else { ("its name", &name) };
    if !what.1.is_empty() {
        return Some(blocking("target_encoding", object.clone(), message(what.0, what.1), remedy(task)));
    }
    let remedy = "create the target with ENCODING 'UTF8', or give it another owner there";
    (!option.is_empty())
        .then(|| warning("target_encoding", object.clone(), message("its owner or an option", &option), remedy))
}

fn remedy(task: &Task) -> &'static str {
    match task.kind {
        TaskKind::Role | TaskKind::Membership | TaskKind::RoleSetting => {
            "create the target with ENCODING 'UTF8', leave roles out with roles: none, or rename the role on the source"
        }
        _ => {
            "create the target with ENCODING 'UTF8', leave the object out (a table by tables.exclude, anything else by choosing schemas or \
             tables without it), or change it on the source"
        }
    }
}

fn shown(characters: &BTreeSet<char>) -> String {
    let first: Vec<String> = characters.iter().take(SHOWN).map(|c| format!("{c} (U+{:04X})", u32::from(*c))).collect();
    match characters.len().saturating_sub(SHOWN) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
