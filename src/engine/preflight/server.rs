//! The two servers themselves: versions, whether they are two different ones, whether the target can be written, and the `pg_dump` for
//! them.

use super::look::{Look, Servers, blocking, info, warning};
use crate::catalog::Server;
use crate::engine::Context;
use crate::engine::programs::old_tools;
use crate::engine::programs::{Programs, for_target};
use crate::error::{Error, Kind, Result};
use crate::finding::Finding;
use crate::name::is_ledger_table;
use crate::pg::survey::Instance;
use crate::server_version::{NEWEST, OLDEST, ServerVersion};

pub(super) fn check(accepts_newer: bool, ends: &Servers, programs: Option<&Programs>) -> Vec<Finding> {
    let (source, target) = (&ends.source, &ends.target);
    let mut findings = versions(source.version, target.version, accepts_newer);
    findings.extend(same_database((source, &ends.source_instance), (target, &ends.target_instance)));
    findings.extend(read_only(target, &ends.target_instance));
    findings.extend(standby(source, &ends.source_instance));
    findings.extend(programs.and_then(|programs| old_tools(programs.source.major, source.version.major(), "source")));
    findings
}

pub(super) fn versions(source: ServerVersion, target: ServerVersion, accepts_newer: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (side, version) in [("source", source), ("target", target)] {
        let major = version.major();
        if version.is_older_than_supported() {
            let message = format!(
                "the {side} is PostgreSQL {major}; its catalogs are older than what pgmigrate reads ({OLDEST} to {NEWEST})"
            );
            findings.push(blocking(
                &format!("{side}_version"),
                "",
                message,
                "upgrade that server, or move the database with pg_dump",
            ));
        } else if version.is_newer_than_known() && !accepts_newer {
            let message = format!(
                "the {side} is PostgreSQL {major}; this pgmigrate knows {OLDEST} to {NEWEST} and could miss what is new there"
            );
            let remedy =
                "use a newer pgmigrate, or set options.accept_newer_servers to true and compare what the report lists";
            findings.push(warning(&format!("{side}_version"), "", message, remedy));
        }
    }
    let are_supported = !source.is_older_than_supported() && !target.is_older_than_supported();
    if are_supported && target.major() < source.major() {
        let message = format!(
            "the target is PostgreSQL {target}, older than the source's {source}: an object that needs a newer server fails, and is reported"
        );
        findings.push(warning(
            "target_older",
            "",
            message,
            "read the plan for statements that the target does not know",
        ));
    }
    findings
}

/// A copy of a cluster's files has the same system identifier, but was started at another time.
fn same_database(source: (&Server, &Instance), target: (&Server, &Instance)) -> Option<Finding> {
    let ((source, source_instance), (target, target_instance)) = (source, target);
    if source.database_oid != target.database_oid {
        return None;
    }
    let is_same_server = source_instance.started == target_instance.started && source.system == target.system;
    let is_same_cluster = !source.system.is_empty() && source.system == target.system;
    let remedy = "name another database in one of the two conninfos";
    if is_same_server {
        return Some(blocking("same_database", "", "source and target are the same database", remedy));
    }
    if is_same_cluster && (source.in_recovery || target.in_recovery) {
        let message = "source and target are the same database, one of them as a standby of the other";
        return Some(blocking("same_database", "", message, remedy));
    }
    is_same_cluster.then(|| {
        let message =
            "source and target are copies of one cluster: both have the same system identifier and database OID";
        warning(
            "same_cluster",
            "",
            message,
            "make sure that the target's conninfo names the database that may be written",
        )
    })
}

fn read_only(target: &Server, instance: &Instance) -> Option<Finding> {
    if target.in_recovery {
        return Some(blocking(
            "target_read_only",
            "",
            "the target is a standby, which cannot be written",
            "name its primary in the target's conninfo",
        ));
    }
    let remedy = "set default_transaction_read_only to off for the target's role or database";
    instance.is_read_only.then(|| blocking("target_read_only", "", "transactions on the target are read-only", remedy))
}

fn standby(source: &Server, instance: &Instance) -> Vec<Finding> {
    if !source.in_recovery {
        return Vec::new();
    }
    let mut findings =
        vec![info("source_standby", "", "the source is a standby; what is read is as old as its replay")];
    if instance.standby_delay != "-1" && !instance.standby_feedback {
        let message = format!(
            "the standby cancels queries that delay its replay by more than {}, and the run's snapshot with them",
            instance.standby_delay
        );
        let remedy =
            "set max_standby_streaming_delay to -1 or hot_standby_feedback to on there for the time of the run";
        findings.push(warning("standby_conflicts", "", message, remedy));
    }
    findings
}

/// The target's own schema is dumped for a backup, for verification, and to compare what exists.
pub(super) fn reading_the_target(look: &Look<'_>) -> Option<Finding> {
    // What a resumed run finds there was made by its own plan, and need not be inspected again.
    let is_empty = look.subject.resuming || look.existing.iter().all(|table| is_ledger_table(&table.name.name));
    let is_read = look.subject.backs_up || look.subject.options.safety.verify || !is_empty;
    let major = look.ends.target.version.major();
    old_tools(look.subject.programs?.both.major, major, "target").filter(|_| is_read)
}

/// A data-only run needs client programs only for its backup.
pub(super) async fn backing_up(look: &Look<'_>, context: &Context) -> Result<Vec<Finding>> {
    if !look.subject.options.plan.scope.data_only || !look.subject.backs_up {
        return Ok(Vec::new());
    }
    let pg_dump = look.subject.options.connection.pg_dump.as_deref();
    let found = for_target(pg_dump, context, look.ends.target.version.major()).await;
    found.map_or_else(no_backup, |_| Ok(Vec::new()))
}

/// Why no program can make the backup, as findings; a wrong configuration stays an error.
pub(super) fn no_backup(error: Error) -> Result<Vec<Finding>> {
    match error.kind {
        Kind::Preflight if !error.details.findings.is_empty() => Ok(error.details.findings),
        Kind::Preflight => {
            let message = format!("the target cannot be backed up: {}", error.chain());
            Ok(vec![blocking("pg_dump_version", "", message, error.remedy.unwrap_or_default())])
        }
        _ => Err(error),
    }
}
