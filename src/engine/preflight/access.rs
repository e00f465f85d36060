//! Privileges: what the role may not read on the source, and what it may not create or write on the target.

use super::look::{Look, blocking, info};
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::scope::chooses_schema;
use crate::catalog::{Oid, Server};
use crate::config::{Mode, PlanOptions};
use crate::engine::dump_filter;
use crate::error::Result;
use crate::finding::{Finding, examples};
use crate::name::{QualifiedName, ident, is_ledger_table, readable};
use crate::pg::Session;
use crate::pg::survey::{self, MissingRight};
use crate::plan::TaskKind;
use std::collections::{BTreeMap, HashSet};

const PG_CLASS: Oid = 1259;
/// A GRANT names at most this many objects; for more it names all of their schema.
const NAMED: usize = 3;

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let source = &look.ends.source;
    let moved: HashSet<Oid> = look.entries().filter(|entry| entry.catalog == PG_CLASS).map(|entry| entry.oid).collect();
    let mut findings = source_rights(look.subject.options.plan, look.leader(), source, &moved).await?;
    findings.extend(narrowed(look).await?);
    findings.extend(row_security(look));
    if look.plans(&TaskKind::LargeObjects) {
        findings.extend(large_objects(source, &survey::unreadable_large_objects(look.leader()).await?));
    }
    findings.extend(target_rights(look).await?);
    Ok(findings)
}

/// Findings for the tables and sequences that the run would read and may not. `moved` adds what the filters do not name.
pub(super) async fn source_rights(
    options: PlanOptions<'_>,
    session: &Session,
    source: &Server,
    moved: &HashSet<Oid>,
) -> Result<Vec<Finding>> {
    let missing = survey::missing_rights(session).await?;
    let is_read = |right: &&MissingRight| moved.contains(&right.oid) || chooses(options, right);
    let wanted: Vec<&MissingRight> = missing.iter().filter(is_read).collect();
    Ok(missing_rights(source, &wanted))
}

/// Whether the filters choose a relation by one of its names.
fn chooses(options: PlanOptions<'_>, right: &MissingRight) -> bool {
    let named = |name: &QualifiedName| right.line.contains(&name.sql());
    let is_ledger = right.name.schema == options.ledger.schema && is_ledger_table(&right.name.name);
    if is_ledger || options.scope.tables.exclude.iter().any(named) {
        return false;
    }
    match options.scope.tables.mode {
        Mode::Include => options.scope.tables.include.iter().any(|rule| named(&rule.table)),
        Mode::All | Mode::Exclude => chooses_schema(options.scope, &right.name.schema),
    }
}

/// One finding per cause: what is missing on a schema, on its tables, on its sequences.
fn missing_rights(source: &Server, rights: &[&MissingRight]) -> Vec<Finding> {
    let mut by_schema: BTreeMap<&str, Vec<&MissingRight>> = BTreeMap::new();
    for right in rights {
        by_schema.entry(&right.name.schema).or_default().push(right);
    }
    let mut findings = Vec::new();
    for (schema, rights) in by_schema {
        let closed: Vec<&MissingRight> = rights.iter().filter(|right| right.lacks_usage).copied().collect();
        let (sequences, tables): (Vec<&MissingRight>, Vec<&MissingRight>) =
            rights.iter().filter(|right| right.lacks_select).copied().partition(|right| right.is_sequence);
        if !closed.is_empty() {
            let (role, shown) = (readable(&source.role), readable(schema));
            let (count, names) = described(&closed, "relation");
            let message = format!("{role} has no USAGE on schema {shown}, which has {count} in scope ({names})");
            let grant = format!("GRANT USAGE ON SCHEMA {} TO {}", ident(schema), ident(&source.role));
            findings.push(blocking_all(format!("schema {shown}"), message, grant, &closed));
        }
        findings.extend(lacking_select(source, schema, "table", "TABLE", &tables));
        findings.extend(lacking_select(source, schema, "sequence", "SEQUENCE", &sequences));
    }
    findings
}

fn lacking_select(source: &Server, schema: &str, word: &str, sql: &str, rights: &[&MissingRight]) -> Option<Finding> {
    let (role, own) = (readable(&source.role), ident(&source.role));
    let names: Vec<String> = rights.iter().map(|right| right.name.sql()).collect();
    let kind = if sql == "TABLE" { "" } else { "SEQUENCE " };
    let each = format!("GRANT SELECT ON {kind}{} TO {own}", names.join(", "));
    match rights {
        [] => None,
        [one] => {
            let message = format!("{role} has no SELECT on it");
            Some(blocking_all(one.name.to_string(), message, each, rights))
        }
        _ => {
            let shown = format!("schema {}", readable(schema));
            let (count, names) = described(rights, word);
            let message = format!("{role} has no SELECT on {count} in {shown} ({names})");
            let all = format!("GRANT SELECT ON ALL {sql}S IN SCHEMA {} TO {own}", ident(schema));
            Some(blocking_all(shown, message, if rights.len() > NAMED { all } else { each }, rights))
        }
    }
}

/// How many there are, and the names of the first ones.
fn described(rights: &[&MissingRight], word: &str) -> (String, String) {
    let names: Vec<String> = rights.iter().map(|right| readable(&right.name.name)).collect();
    let plural = if names.len() == 1 { "" } else { "s" };
    (format!("{} {word}{plural}", names.len()), examples(&names))
}

fn blocking_all(object: String, message: String, grant: String, rights: &[&MissingRight]) -> Finding {
    let objects = rights.iter().map(|right| right.name.to_string()).collect();
    Finding { objects, ..blocking("source_right", object, message, grant) }
}

/// What `pg_dump` leaves out, because the role may not read it.
async fn narrowed(look: &Look<'_>) -> Result<Option<Finding>> {
    let filter = dump_filter::of(look.subject.options.plan.scope, look.leader()).await?;
    let role = readable(&look.ends.source.role);
    let message = format!(
        "{role} may not read these, and pg_dump is called with {}: what chosen objects need from elsewhere is not included",
        filter.options.join(" ")
    );
    let objects: Vec<String> = filter.unreadable.iter().map(ToString::to_string).collect();
    Ok((!objects.is_empty()).then(|| info("dump_filter", "outside the filters", message).of(objects)))
}

fn large_objects(source: &Server, oids: &[Oid]) -> Option<Finding> {
    let objects: Vec<String> = oids.iter().map(|oid| format!("large object {oid}")).collect();
    let list = oids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let role = ident(&source.role);
    let remedy = match objects.len() {
        0 => return None,
        1..=NAMED => format!("GRANT SELECT ON LARGE OBJECT {list} TO {role}"),
        // No single statement names all of them.
        _ => format!("GRANT SELECT ON LARGE OBJECT ... TO {role}, as pg_largeobject_metadata lists them"),
    };
    let message = format!("{} has no SELECT on {} large objects", readable(&source.role), objects.len());
    Some(blocking("source_right", "large objects", message, remedy).of(objects))
}

fn may_not(server: &Server, what: &str) -> String {
    format!("the role {} may not {what}", readable(&server.role))
}

fn row_security(look: &Look<'_>) -> Option<Finding> {
    let source = &look.ends.source;
    if source.bypasses_row_security {
        return None;
    }
    let hidden = look.tables().filter(|table| table.hides_rows);
    let message = format!("row security would hide rows from the role {} in these tables", readable(&source.role));
    let remedy = format!("ALTER ROLE {} BYPASSRLS, or connect as a role that has it", ident(&source.role));
    let objects: Vec<String> = hidden.map(|table| table.name.to_string()).collect();
    (!objects.is_empty()).then(|| blocking("row_security", "row security", message, remedy).of(objects))
}

async fn target_rights(look: &Look<'_>) -> Result<Vec<Finding>> {
    let target = &look.ends.target;
    let schemas = survey::schemas(look.subject.target).await?;
    let existing = |name: &str| schemas.iter().find(|(schema, _)| schema == name);
    let mut findings = Vec::new();
    let ledger = &look.subject.options.plan.ledger.schema;
    let new_schemas = look.entries().filter(|entry| entry.kind == ObjectKind::Schema).map(|entry| entry.tag.as_str());
    let new_schemas: Vec<&str> = new_schemas.chain([ledger.as_str()]).filter(|name| existing(name).is_none()).collect();
    if !target.can_create && !new_schemas.is_empty() {
        let grant = format!("GRANT CREATE ON DATABASE {} TO {}", ident(&target.database), ident(&target.role));
        let message =
            format!("{}: {}", may_not(target, "create schemas on the target"), super::look::list(&new_schemas));
        findings.push(blocking("target_create", readable(&target.database), message, grant));
    }
    let needed = namespaces_to_fill(look);
    for (schema, _) in schemas.iter().filter(|(schema, may_create)| !may_create && needed.contains(schema.as_str())) {
        let grant = format!("GRANT USAGE, CREATE ON SCHEMA {} TO {}", ident(schema), ident(&target.role));
        findings.push(blocking(
            "target_create",
            readable(schema),
            may_not(target, "create objects in this schema"),
            grant,
        ));
    }
    Ok(findings)
}

/// The schemas in which the run creates a relation; the ledger's is one of them while its tables are missing.
fn namespaces_to_fill<'a>(look: &'a Look<'_>) -> HashSet<&'a str> {
    let there: HashSet<(&str, &str)> =
        look.existing.iter().map(|t| (t.name.schema.as_str(), t.name.name.as_str())).collect();
    let relations = look.entries().filter(|entry| entry.catalog == PG_CLASS && !entry.is_part());
    let mut needed: HashSet<&str> = relations
        .filter(|entry| !there.contains(&(entry.namespace.as_str(), entry.tag.as_str())))
        .map(|entry| entry.namespace.as_str())
        .collect();
    let ledger = look.subject.options.plan.ledger.schema.as_str();
    if !crate::name::LEDGER_TABLES.iter().all(|table| there.contains(&(ledger, table))) {
        needed.insert(ledger);
    }
    needed
}
