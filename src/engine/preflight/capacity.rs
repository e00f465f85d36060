//! Capacity: connections, locks, disk, tablespaces, and what cannot be read or built whatever the capacity.

use super::activity::count;
use super::look::{Look, blocking, info, list, warning};
use crate::action::Action;
use crate::catalog::object_kind::ObjectKind;
use crate::error::{Result, Side};
use crate::finding::Finding;
use crate::name::{ident, readable};
use crate::pg::survey::{self, Instance};
use crate::plan::TaskKind;
use std::collections::{BTreeMap, HashSet};

/// Sessions besides the workers' own: the leader or the ledger's, and one to spare for `pg_dump`.
const BESIDES_WORKERS: i64 = 2;

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let (source, target) = (&look.ends.source_instance, &look.ends.target_instance);
    let mut findings = Vec::new();
    findings.extend(connections(Side::Source, source, look.subject.jobs));
    findings.extend(connections(Side::Target, target, look.subject.jobs));
    let tables = look.tables().count();
    findings.extend(locks(Side::Source, source, tables));
    let batches = || look.subject.catalog.large_objects.iter().map(|batch| batch.oids.len());
    let (large_objects, a_task) = (batches().sum::<usize>(), batches().max().unwrap_or_default());
    if look.plans(&TaskKind::LargeObjects) {
        let copied = count(large_objects, "large object is copied", "large objects are copied");
        findings.push(info("large_objects", "", copied));
        findings.extend(locks(Side::Target, target, large_objects.min(look.subject.jobs * a_task)));
    }
    findings.extend(disk(look));
    findings.extend(storage(look).await?);
    findings.extend(unlogged(look).await?);
    findings.extend(invalid_indexes(look));
    Ok(findings)
}

pub(super) fn connections(side: Side, instance: &Instance, jobs: usize) -> Option<Finding> {
    let free = instance.free_connections;
    let needed = i64::try_from(jobs).unwrap_or(i64::MAX).saturating_add(BESIDES_WORKERS);
    if free >= needed {
        return None;
    }
    let message = format!("the {side} has {} free connections, the run needs {needed}", free.max(0));
    if free > BESIDES_WORKERS {
        let remedy = format!(
            "run with {}, or raise max_connections or the limit of the role or database",
            Action::Jobs(free - BESIDES_WORKERS)
        );
        return Some(warning("connections", "", message, remedy));
    }
    let remedy = "end other sessions there, or raise max_connections or the limit of the role or database";
    Some(blocking("connections", "", message, remedy))
}

/// The leader locks every table in one transaction, as `pg_dump` does; other sessions need some of the locks, too.
pub(super) fn locks(side: Side, instance: &Instance, needed: usize) -> Option<Finding> {
    let needed = i64::try_from(needed).unwrap_or(i64::MAX);
    (needed > instance.locks / 10 * 8).then(|| {
        let message = format!(
            "one transaction on the {side} will lock {needed} objects; the server has room for about {} locks",
            instance.locks
        );
        warning("locks", "", message, format!("raise max_locks_per_transaction on the {side} and restart it"))
    })
}

fn disk(look: &Look<'_>) -> Option<Finding> {
    let tables: HashSet<u32> = look.tables().map(|table| table.oid).collect();
    let rows: u64 = look.tables().map(|table| table.total_bytes).sum();
    let indexes = look.subject.catalog.indexes.iter().filter(|index| tables.contains(&index.relation));
    let indexes: u64 = indexes.map(|index| index.bytes).sum();
    (rows + indexes > 0).then(|| {
        let message = format!(
            "the target will need about {} ({} of tables, {} of indexes) and room for its write-ahead log; free disk space cannot be read through \
             SQL",
            size(rows + indexes),
            size(rows),
            size(indexes)
        );
        info("disk", "", message)
    })
}

pub(super) fn size(bytes: u64) -> String {
    let mut unit = 0;
    let mut divisor = 1;
    while bytes / divisor >= 10_240 && unit < 4 {
        unit += 1;
        divisor *= 1024;
    }
    format!(
        "{} {}",
        bytes / divisor + u64::from(bytes % divisor * 2 >= divisor && divisor > 1),
        ["bytes", "kB", "MB", "GB", "TB"][unit]
    )
}

async fn storage(look: &Look<'_>) -> Result<Vec<Finding>> {
    let storage = survey::storage(look.subject.target).await?;
    let with_tablespaces = look.subject.options.plan.schema.tablespaces;
    let mut spaces: BTreeMap<&str, usize> = BTreeMap::new();
    let mut methods: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in look.entries() {
        if with_tablespaces
            && !entry.tablespace.is_empty()
            && storage.tablespaces.get(entry.tablespace.as_str()) != Some(&true)
        {
            *spaces.entry(&entry.tablespace).or_default() += 1;
        }
        if !entry.access_method.is_empty()
            && !storage.access_methods.iter().any(|method| entry.access_method == *method)
        {
            *methods.entry(&entry.access_method).or_default() += 1;
        }
    }
    let role = &look.ends.target.role;
    let mut findings: Vec<Finding> = spaces
        .into_iter()
        .map(|(space, objects)| {
            let (lack, remedy) = if storage.tablespaces.contains_key(space) {
                (
                    "may not be used by the run's role",
                    format!("GRANT CREATE ON TABLESPACE {} TO {}", ident(space), ident(role)),
                )
            } else {
                ("is missing", format!("CREATE TABLESPACE {} LOCATION '...'", ident(space)))
            };
            let message = format!("the tablespace of {objects} objects {lack} on the target");
            blocking(
                "tablespace",
                readable(space),
                message,
                format!("{remedy} there, or set options.tablespaces to false"),
            )
        })
        .collect();
    // An access method may be created by its extension.
    let comes_along = |method: &str| {
        look.entries()
            .any(|entry| matches!(entry.kind, ObjectKind::Extension | ObjectKind::AccessMethod) && entry.tag == method)
    };
    findings.extend(methods.into_iter().filter(|(method, _)| !comes_along(method)).map(|(method, objects)| {
        let message =
            format!("the table access method of {objects} tables is missing on the target, and they will fail");
        warning("access_method", readable(method), message, "install the extension that provides it there")
    }));
    Ok(findings)
}

async fn unlogged(look: &Look<'_>) -> Result<Vec<Finding>> {
    if !look.ends.source.in_recovery {
        return Ok(Vec::new());
    }
    let unlogged: HashSet<u32> = survey::unlogged(look.leader()).await?.into_iter().collect();
    let message = "it is UNLOGGED: a standby has none of its rows";
    let remedy = "read from the primary, or leave it out";
    let sequences = look.subject.catalog.sequences.iter().map(|sequence| (sequence.oid, &sequence.name));
    let moved: HashSet<u32> = look.entries().map(|entry| entry.oid).collect();
    let sequences = sequences.filter(|(oid, _)| moved.contains(oid));
    let all =
        look.tables().map(|table| (table.oid, &table.name)).chain(sequences).filter(|(oid, _)| unlogged.contains(oid));
    Ok(all.map(|(_, name)| blocking("unlogged", name.to_string(), message, remedy)).collect())
}

fn invalid_indexes(look: &Look<'_>) -> Option<Finding> {
    let tables: HashSet<u32> = look.tables().map(|table| table.oid).collect();
    let indexes =
        look.subject.catalog.indexes.iter().filter(|index| !index.is_valid && tables.contains(&index.relation));
    let invalid: Vec<String> = indexes.map(|index| index.name.to_string()).collect();
    (!invalid.is_empty()).then(|| {
        let message = format!("indexes are INVALID on the source and will not be built: {}", list(&invalid));
        info("invalid_indexes", "", message)
    })
}
