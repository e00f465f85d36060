//! Security labels that the target will refuse: those whose provider its server has not loaded, which it refuses to superusers, too, and
//! those of objects that the connecting role does not own.
//!
//! No catalog lists the loaded providers, so the server is asked to label an object that does not exist. A label that the target has on the
//! same object is kept, whatever its text. `refused_objects` covers the label of the database. Called by `preflight`.

use super::entry::entry_label;
use super::entry::label;
use super::look::{info, warning};
use super::refused_comments::{self, place};
use super::rights::Rights;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::error::{Result, Side};
use crate::finding::Finding;
use crate::name::{readable, split_ident, unquoted};
use crate::pg::Session;
use crate::pg::survey::{self, LabelProvider};
use crate::plan::TaskKind;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const REMEDY: &str = "load its module on the target (shared_preload_libraries), or remove the labels on the source";

pub(super) async fn check(rights: &Rights<'_>) -> Result<Vec<Finding>> {
    let look = rights.look;
    let mut by_provider: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in look.entries().filter(|entry| entry.kind == ObjectKind::SecurityLabel) {
        if let Some(provider) = provider(&entry.statement) {
            by_provider.entry(provider).or_default().insert(entry_label(entry));
        }
    }
    let of_database = look.subject.plan.tasks.iter().filter(|task| task.kind == TaskKind::DatabaseLabel);
    for task in of_database {
        for one in &look.subject.catalog.database.labels {
            by_provider.entry(one.provider.clone()).or_default().insert(label(task));
        }
    }
    if by_provider.is_empty() {
        return Ok(Vec::new());
    }
    // This query ends in an error, which would end the transaction of a session that others use.
    let own = Session::open(look.subject.target.conninfo(), Side::Target, "preflight").await?;
    let (mut findings, mut loaded) = (Vec::new(), BTreeSet::new());
    for (provider, objects) in by_provider {
        let name = readable(&provider);
        let found = match survey::label_provider(&own, &provider).await? {
            LabelProvider::Loaded => {
                loaded.extend(objects);
                continue;
            }
            LabelProvider::NotLoaded => {
                let message = format!(
                    "the target's server has not loaded the provider of security labels {name}, and these will fail"
                );
                warning("label_provider", name, message, REMEDY)
            }
            LabelProvider::Unknown(reason) => {
                let message = format!(
                    "whether the target's server has loaded the provider of security labels {name} could not be checked ({reason}); \
                     where it has not, these will fail"
                );
                info("label_provider", name, message)
            }
        };
        findings.push(found.of(objects.into_iter().collect()));
    }
    findings.extend(of_others(rights, &loaded).await?);
    Ok(findings)
}

/// Those of the labels of loaded providers whose objects belong to a role that the connecting role does not act for.
async fn of_others(rights: &Rights<'_>, loaded: &BTreeSet<String>) -> Result<Option<Finding>> {
    let look = rights.look;
    let entries: HashMap<i32, &Entry> = look.entries().map(|entry| (entry.id, entry)).collect();
    let is_wanted = |entry: &&Entry| entry.kind == ObjectKind::SecurityLabel && loaded.contains(&entry_label(entry));
    let is_others =
        |entry: &&Entry| place(&entries, entry).is_some_and(|place| refused_comments::is_of_other(rights, &place));
    let others: Vec<&Entry> = look.entries().filter(is_wanted).filter(is_others).collect();
    if others.is_empty() {
        return Ok(None);
    }
    let there = survey::labelled(look.subject.target).await?;
    let is_missing = |entry: &&&Entry| !there.contains(&(entry.namespace.to_string(), entry.tag.clone()));
    let objects: Vec<String> = others.iter().filter(is_missing).map(|entry| entry_label(entry)).collect();
    let message = format!("{} does not own these objects and cannot label them", readable(&look.ends.target.role));
    let remedy = "as their owner, run SECURITY LABEL on the target";
    Ok((!objects.is_empty()).then(|| warning("label_refused", "security labels", message, remedy).of(objects)))
}

/// The provider that `pg_dump` names after the first words of the statement.
fn provider(statement: &str) -> Option<String> {
    let rest = statement.trim_start().strip_prefix("SECURITY LABEL FOR ")?;
    let name = split_ident(rest).map_or_else(|| rest.split_once(' ').unwrap_or_default().0, |(name, _)| name);
    (!name.is_empty()).then(|| unquoted(name))
}
