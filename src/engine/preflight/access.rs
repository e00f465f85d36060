//! Rights: what the role may not read on the source, and what it may not make or write on the target.

use super::{Look, blocking};
use crate::catalog::scope::chooses_schema;
use crate::catalog::{Oid, Server};
use crate::config::{Config, Mode};
use crate::error::Result;
use crate::finding::Finding;
use crate::name::{QualifiedName, ident, is_ledger_table, readable};
use crate::pg::Session;
use crate::pg::survey::{self, MissingRight};
use crate::plan::kind;
use std::collections::HashSet;

const PG_CLASS: Oid = 1259;

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let source = &look.ends.source;
    let moved: HashSet<Oid> = look.entries().filter(|entry| entry.catalog == PG_CLASS).map(|entry| entry.oid).collect();
    let mut findings = source_rights(look.subject.config, look.leader(), source, &moved).await?;
    findings.extend(row_security(look));
    if look.plans(kind::LARGE_OBJECTS) {
        for oid in survey::unreadable_large_objects(look.leader()).await? {
            let object = format!("large object {oid}");
            let grant = format!("GRANT SELECT ON LARGE OBJECT {oid} TO {}", ident(&source.role));
            findings.push(blocking("source_right", object, may_not(source, "read it"), grant));
        }
    }
    findings.extend(target_rights(look).await?);
    Ok(findings)
}

/// One finding for each table and sequence that the run would read and may not. `moved` adds what the filters do not name.
pub(super) async fn source_rights(
    config: &Config,
    session: &Session,
    source: &Server,
    moved: &HashSet<Oid>,
) -> Result<Vec<Finding>> {
    let missing = survey::missing_rights(session).await?;
    let wanted = missing.iter().filter(|right| moved.contains(&right.oid) || chooses(config, right));
    Ok(wanted.map(|right| missing_right(source, right)).collect())
}

/// Whether the filters choose a relation by one of its names.
fn chooses(config: &Config, right: &MissingRight) -> bool {
    let named = |name: &QualifiedName| right.line.contains(&name.sql());
    let is_ledger = right.name.schema == config.options.ledger_schema && is_ledger_table(&right.name.name);
    if is_ledger || config.tables.exclude.iter().any(named) {
        return false;
    }
    match config.tables.mode {
        Mode::Include => config.tables.include.iter().any(|rule| named(&rule.table)),
        Mode::All | Mode::Exclude => chooses_schema(config, &right.name.schema),
    }
}

fn missing_right(source: &Server, right: &MissingRight) -> Finding {
    let role = ident(&source.role);
    let usage = format!("GRANT USAGE ON SCHEMA {} TO {role}", ident(&right.name.schema));
    let word = if right.is_sequence { "SEQUENCE " } else { "" };
    let select = format!("GRANT SELECT ON {word}{} TO {role}", right.name.sql());
    let steps = [(right.lacks_usage, usage), (right.lacks_select, select)];
    let remedy: Vec<String> = steps.into_iter().filter(|(is_missing, _)| *is_missing).map(|(_, grant)| grant).collect();
    blocking("source_right", right.name.to_string(), may_not(source, "read it"), remedy.join("; "))
}

fn may_not(server: &Server, what: &str) -> String {
    format!("the role {} may not {what}", readable(&server.role))
}

fn row_security(look: &Look<'_>) -> Vec<Finding> {
    let source = &look.ends.source;
    if source.bypasses_row_security {
        return Vec::new();
    }
    let hidden = look.tables().filter(|table| table.hides_rows);
    let message = format!("row security would hide rows of it from the role {}", readable(&source.role));
    let remedy = format!("ALTER ROLE {} BYPASSRLS, or connect as a role that has it", ident(&source.role));
    hidden.map(|table| blocking("row_security", table.name.to_string(), message.clone(), remedy.clone())).collect()
}

async fn target_rights(look: &Look<'_>) -> Result<Vec<Finding>> {
    let target = &look.ends.target;
    let schemas = survey::schemas(look.subject.target).await?;
    let existing = |name: &str| schemas.iter().find(|(schema, _)| schema == name);
    let mut findings = Vec::new();
    let ledger = &look.subject.config.options.ledger_schema;
    let new_schemas = look.entries().filter(|entry| entry.desc == "SCHEMA").map(|entry| entry.tag.as_str());
    let new_schemas: Vec<&str> = new_schemas.chain([ledger.as_str()]).filter(|name| existing(name).is_none()).collect();
    if !target.can_create && !new_schemas.is_empty() {
        let grant = format!("GRANT CREATE ON DATABASE {} TO {}", ident(&target.database), ident(&target.role));
        let message = format!("{}: {}", may_not(target, "make schemas there"), super::list(&new_schemas));
        findings.push(blocking("target_create", readable(&target.database), message, grant));
    }
    let needed = namespaces_to_fill(look);
    for (schema, _) in schemas.iter().filter(|(schema, may_create)| !may_create && needed.contains(schema.as_str())) {
        let grant = format!("GRANT USAGE, CREATE ON SCHEMA {} TO {}", ident(schema), ident(&target.role));
        findings.push(blocking(
            "target_create",
            readable(schema),
            may_not(target, "make objects in this schema"),
            grant,
        ));
    }
    Ok(findings)
}

/// The schemas that get a relation which is not there yet; the ledger's is one while its tables are missing.
fn namespaces_to_fill<'a>(look: &'a Look<'_>) -> HashSet<&'a str> {
    let there: HashSet<(&str, &str)> =
        look.existing.iter().map(|t| (t.name.schema.as_str(), t.name.name.as_str())).collect();
    let relations = look.entries().filter(|entry| entry.catalog == PG_CLASS && !entry.is_part());
    let mut needed: HashSet<&str> = relations
        .filter(|entry| !there.contains(&(entry.namespace.as_str(), entry.tag.as_str())))
        .map(|entry| entry.namespace.as_str())
        .collect();
    let ledger = look.subject.config.options.ledger_schema.as_str();
    if !crate::name::LEDGER_TABLES.iter().all(|table| there.contains(&(ledger, table))) {
        needed.insert(ledger);
    }
    needed
}
