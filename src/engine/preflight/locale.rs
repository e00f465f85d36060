//! Encoding and collation: text that may not survive, that sorts differently, or whose collation is missing.

use super::look::{Look, Servers, info, list, warning};
use crate::error::{Result, Side};
use crate::finding::Finding;
use crate::name::ident;
use crate::pg::Session;
use crate::pg::survey::{self, Collation};

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let ends = &look.ends;
    let mut findings: Vec<Finding> = encoding(&ends.source.encoding, &ends.target.encoding).into_iter().collect();
    findings.extend(default_collation(ends));
    for (side, session) in [(Side::Source, look.leader()), (Side::Target, look.subject.target)] {
        findings.extend(default_version(side, session).await?);
    }
    let used = survey::used_collations(look.leader()).await?;
    if used.is_empty() {
        return Ok(findings);
    }
    let there = survey::all_collations(look.subject.target).await?;
    findings.extend(used.iter().filter_map(|collation| old_version(Side::Source, collation)));
    let there_and_used = there.iter().filter(|collation| used.iter().any(|one| one.name == collation.name));
    findings.extend(there_and_used.filter_map(|collation| old_version(Side::Target, collation)));
    findings.extend(missing(&used, &there));
    Ok(findings)
}

pub(super) fn encoding(source: &str, target: &str) -> Option<Finding> {
    let differ = format!("the source is encoded in {source}, the target in {target}");
    match (source, target) {
        _ if source == target => None,
        ("SQL_ASCII", _) => {
            let message = format!("{differ}: bytes that are not valid in {target} make their table's rows fail");
            let remedy = "create the target with ENCODING 'SQL_ASCII' to copy every byte as it is";
            Some(warning("encoding", "", message, remedy))
        }
        (_, "SQL_ASCII") => {
            let message = format!("{differ}: it will hold UTF8 bytes and check nothing");
            Some(warning("encoding", "", message, "create the target with ENCODING 'UTF8'"))
        }
        (_, "UTF8") => Some(info("encoding", "", format!("{differ}: text is converted, and may need more bytes"))),
        _ => {
            let message = format!("{differ}: characters that it lacks make their table's rows fail");
            Some(warning("encoding", "", message, "create the target with ENCODING 'UTF8'"))
        }
    }
}

/// A locale has several spellings.
fn plain(locale: &str) -> String {
    locale.to_lowercase().replace('-', "")
}

fn default_collation(ends: &Servers) -> Option<Finding> {
    let name = |server: &crate::catalog::Server, instance: &survey::Instance| match instance.locale_provider.as_str() {
        "i" => format!("ICU {}", instance.locale),
        "b" => format!("builtin {}", instance.locale),
        _ if server.collation == server.ctype => server.collation.clone(),
        _ => format!("{} with character types of {}", server.collation, server.ctype),
    };
    let source = name(&ends.source, &ends.source_instance);
    let target = name(&ends.target, &ends.target_instance);
    (plain(&source) != plain(&target)).then(|| {
        let message = format!(
            "the default collation is {source} on the source and {target} on the target: text sorts differently there, \
             which also affects text in partition bounds and checks"
        );
        warning("collation", "", message, "if order matters, create the target database with the source's locale")
    })
}

async fn default_version(side: Side, session: &Session) -> Result<Option<Finding>> {
    let Some((version, actual)) = survey::database_collation(session).await? else { return Ok(None) };
    let statement = format!("ALTER DATABASE {} REFRESH COLLATION VERSION", ident(session.conninfo().dbname()));
    Ok(stale(side, ("the database's default collation", &statement), &version, &actual))
}

fn old_version(side: Side, collation: &Collation) -> Option<Finding> {
    let statement = format!("ALTER COLLATION {} REFRESH VERSION", collation.name.sql());
    stale(side, (&format!("the collation {}", collation.name), &statement), &collation.version, &collation.actual)
}

/// Indexes that were built under another version of a library may be in a wrong order, and unique ones may hold duplicates.
pub(super) fn stale(side: Side, what: (&str, &str), version: &str, actual: &str) -> Option<Finding> {
    if version.is_empty() || actual.is_empty() || version == actual {
        return None;
    }
    let (name, statement) = what;
    let mut message = format!("{name} was made with version {version} of its library; the {side} now has {actual}");
    if side == Side::Source {
        message += ": unique keys there may hold doubles, which the target refuses";
    }
    Some(warning("collation_version", "", message, format!("REINDEX what uses it, then {statement}, on the {side}")))
}

/// Collations of the system exist with the server; those that users created are moved.
fn missing(used: &[Collation], there: &[Collation]) -> Option<Finding> {
    let is_there = |wanted: &Collation| there.iter().any(|collation| collation.name == wanted.name);
    let missing: Vec<String> = used
        .iter()
        .filter(|collation| collation.name.schema == "pg_catalog" && !is_there(collation))
        .map(|collation| ident(&collation.name.name))
        .collect();
    (!missing.is_empty()).then(|| {
        let message =
            format!("the target lacks collations that columns use, and their tables will fail: {}", list(&missing));
        let remedy =
            "install these locales on the target's server and run pg_import_system_collations('pg_catalog') there";
        warning("collation_missing", "", message, remedy)
    })
}
