//! Alembic's revisions: whether both databases have the revision that `options.require_revision` requires, and whether the run would
//! overwrite the target's.
//!
//! A revision is compared by its ID, and several of them as a set; only alembic's scripts know which of two is the newer one.

use super::look::{Look, Servers, blocking, list, warning};
use crate::config::RevisionRule;
use crate::error::Result;
use crate::finding::Finding;
use crate::name::{QualifiedName, ident, readable};
use crate::pg::Session;
use crate::pg::survey::{self, VersionTable};
use crate::plan::build::revision::{CHECK as WRITTEN, is_version_table, remedy};
use std::collections::HashMap;

/// The revisions of a database, or why they are not known.
type Found = std::result::Result<Vec<String>, Finding>;

/// Whether both databases are at the revisions that the configuration requires.
pub(super) async fn check(
    rule: Option<&RevisionRule>,
    source: &Session,
    target: &Session,
    ends: &Servers,
) -> Result<Vec<Finding>> {
    let Some(rule) = rule else { return Ok(Vec::new()) };
    let found = [
        look(rule, source, "source", &ends.source.role).await?,
        look(rule, target, "target", &ends.target.role).await?,
    ];
    let is_asked = [rule.is_same() || rule.source.is_some(), rule.is_same() || rule.target.is_some()];
    let unknown: Vec<Finding> = found
        .iter()
        .zip(is_asked)
        .filter(|(_, is_asked)| *is_asked)
        .filter_map(|(found, _)| found.as_ref().err().cloned())
        .collect();
    Ok(if unknown.is_empty() { compare(rule, &found).into_iter().collect() } else { unknown })
}

/// The revisions of one database.
async fn look(rule: &RevisionRule, session: &Session, side: &str, reader: &str) -> Result<Found> {
    match choose(rule, survey::version_tables(session).await?, side) {
        Err(finding) => Ok(Err(*finding)),
        Ok(table) if !table.may_select => {
            let message = format!("the role {} may not read alembic's version table of the {side}", readable(reader));
            let usage = format!("GRANT USAGE ON SCHEMA {} TO {}", ident(&table.name.schema), ident(reader));
            let remedy = format!("{usage}; GRANT SELECT ON {} TO {}", table.name.sql(), ident(reader));
            Ok(Err(blocking("revision", table.name.to_string(), message, remedy)))
        }
        Ok(table) => Ok(Ok(survey::revisions(session, &table.name).await?)),
    }
}

/// Alembic's table: the named one, otherwise the only one of its usual name, otherwise the only one with its columns.
fn choose(
    rule: &RevisionRule,
    tables: Vec<VersionTable>,
    side: &str,
) -> std::result::Result<VersionTable, Box<Finding>> {
    let wanted = rule.table.as_ref();
    let is_usual = |table: &VersionTable| table.name.name == "alembic_version";
    let (usual, others): (Vec<VersionTable>, Vec<VersionTable>) =
        tables.into_iter().filter(|table| wanted.is_none_or(|name| *name == table.name)).partition(is_usual);
    let mut left: Vec<VersionTable> = match (wanted, usual.is_empty()) {
        (Some(_), _) => usual.into_iter().chain(others).collect(),
        (None, false) => usual,
        (None, true) => others.into_iter().filter(|table| table.is_only_column).collect(),
    };
    match (left.len(), wanted) {
        (1, _) => Ok(left.remove(0)),
        (0, Some(name)) => {
            let message = format!("the {side} has no version table of alembic of this name");
            Err(Box::new(blocking("revision", name.to_string(), message, "correct options.require_revision.table")))
        }
        (0, None) => {
            let message = format!("the {side} has no version table of alembic, and a revision is required");
            let remedy = "run `alembic upgrade` on it, or `alembic stamp` where its schema is there already";
            Err(Box::new(blocking("revision", "", message, remedy)))
        }
        _ => {
            let names: Vec<String> = left.iter().map(|table| table.name.to_string()).collect();
            let message = format!("the {side} has several version tables of alembic: {}", list(&names));
            Err(Box::new(blocking("revision", "", message, "name one in options.require_revision.table")))
        }
    }
}

/// A finding where the two databases do not have what is required. It names both, whichever is wrong.
fn compare(rule: &RevisionRule, found: &[Found; 2]) -> Option<Finding> {
    let at = [found[0].as_deref().ok(), found[1].as_deref().ok()];
    let is_fine = if rule.is_same() {
        at[0] == at[1]
    } else {
        let wanted = [&rule.source, &rule.target];
        wanted.iter().zip(at).all(|(wanted, at)| wanted.is_none() || wanted.as_deref() == at)
    };
    if is_fine {
        return None;
    }
    let stands = format!("alembic's revision is {} on the source and {} on the target", shown(at[0]), shown(at[1]));
    let (required, remedy) = if rule.is_same() {
        let upgrades = [upgrade(at[1], "source"), upgrade(at[0], "target")];
        ("the same on both".to_owned(), upgrades.into_iter().flatten().collect::<Vec<_>>().join(", or "))
    } else {
        let sides = [("source", &rule.source, at[0]), ("target", &rule.target, at[1])];
        let asked = sides.iter().filter_map(|(side, wanted, _)| Some((side, wanted.as_deref()?)));
        let required: Vec<String> =
            asked.map(|(side, wanted)| format!("{} on the {side}", shown(Some(wanted)))).collect();
        let wrong = sides.iter().filter(|(_, wanted, at)| wanted.is_some() && wanted.as_deref() != *at);
        let remedy: Vec<String> = wrong.filter_map(|(side, wanted, _)| upgrade(wanted.as_deref(), side)).collect();
        (required.join(" and "), remedy.join(", and "))
    };
    Some(blocking("revision", "", format!("{stands}; required is {required}"), remedy))
}

fn shown(revisions: Option<&[String]>) -> String {
    match revisions {
        None => "not known".to_owned(),
        Some([]) => "none".to_owned(),
        Some(revisions) => list(revisions),
    }
}

/// The command that upgrades a side to these revisions.
fn upgrade(to: Option<&[String]>, side: &str) -> Option<String> {
    let commands: Vec<String> = to?.iter().map(|revision| format!("`alembic upgrade {revision}`")).collect();
    (!commands.is_empty()).then(|| format!("run {} on the {side}", commands.join(" and ")))
}

/// What the run does with alembic's own table on a target that has one with another revision.
pub(super) async fn written(look: &Look<'_>) -> Result<Vec<Finding>> {
    let fates: HashMap<(&str, &str), &str> = look
        .subject
        .plan
        .tasks
        .iter()
        .filter(|task| task.is_data() && task.on_existing != "skip")
        .map(|task| ((task.schema.as_str(), task.name.as_str()), task.on_existing.as_str()))
        .collect();
    let mut findings = Vec::new();
    for table in look.tables().filter(|table| is_version_table(table) && !look.subject.resuming) {
        let name = &table.name;
        let there = look.existing.iter().find(|there| there.name == *name && there.may_select);
        let is_alembics = there.is_some_and(|there| there.columns.iter().any(|column| column.name == "version_num"));
        let Some(fate) = fates.get(&(name.schema.as_str(), name.name.as_str())).filter(|_| is_alembics) else {
            continue;
        };
        let at = [survey::revisions(look.leader(), name).await?, survey::revisions(look.subject.target, name).await?];
        if at[0] != at[1] && !at[1].is_empty() {
            findings.push(overwritten(name, fate, &at));
        }
    }
    Ok(findings)
}

fn overwritten(name: &QualifiedName, fate: &str, [source, target]: &[Vec<String>; 2]) -> Finding {
    let (own, theirs) = (shown(Some(source)), shown(Some(target)));
    let message = if fate == "truncate" {
        format!("alembic's own table: the target's revision {theirs} becomes the source's {own}, and its schema stays")
    } else {
        format!("alembic's own table: the source's revision {own} is added to the target's {theirs}, as a second head")
    };
    warning(WRITTEN, name.to_string(), message, remedy(name))
}
