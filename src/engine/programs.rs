//! Which `pg_dump` a verb uses, by the major versions of the servers that it opens and by the plan that it follows.
//!
//! The source's definitions are read by the program that wrote those of a given plan, so that no difference between two programs looks like
//! a change of the source. What also reads the target is read by a program that supports both servers. Called by every verb.

use super::Context;
use crate::action::Action;
use crate::config::{ConnectionOptions, ScopeOptions};
use crate::error::{Error, Kind, Result};
use crate::finding::{Finding, Severity};
use crate::pg::Session;
use crate::pg::client::tool;
use crate::pg::client::tool::{Installed, Tools};
use crate::plan::Plan;

pub(super) const NEWER_TOOLS: &str =
    "pip install 'pgmigrate[pgtools]', or install newer client programs of PostgreSQL, or set options.pg_dump";

/// The client programs of a verb.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    /// Reads the source's definitions for the plan.
    pub source: Tools,
    /// Reads the target's definitions, and both servers' to compare them.
    pub both: Tools,
    /// The finding about the choice.
    pub finding: Option<Finding>,
}

/// The major versions that determine the choice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Majors {
    /// The source's.
    pub source: u32,
    /// The target's; the source's again where no target is opened.
    pub target: u32,
    /// That of the `pg_dump` that wrote the definitions of a given plan.
    pub planned: Option<u32>,
}

impl Majors {
    /// Those of both servers, and of a plan that is given.
    pub(super) fn of(source: &Session, target: &Session, plan: Option<&Plan>) -> Majors {
        Majors { source: source.major(), target: target.major(), planned: plan.and_then(|plan| plan.header.pg_dump) }
    }
}

/// Finds and chooses the client programs for both servers; none where only rows are moved.
pub(super) async fn of(
    scope: &ScopeOptions,
    connection: &ConnectionOptions,
    majors: Majors,
    context: &Context,
) -> Result<Option<Programs>> {
    find(scope, connection, context).await?.map(|installed| choose(&installed, majors)).transpose()
}

/// Finds the client programs; none where only rows are moved: then only a backup needs them.
pub(super) async fn find(
    scope: &ScopeOptions,
    connection: &ConnectionOptions,
    context: &Context,
) -> Result<Option<Installed>> {
    if scope.data_only {
        return Ok(None);
    }
    tool::find(connection.pg_dump.as_deref(), &context.tools).await.map(Some)
}

/// Finds the program that backs up and restores the target; `pg_dump` is the configured one.
pub(super) async fn for_target(pg_dump: Option<&str>, context: &Context, target: u32) -> Result<Tools> {
    let installed = tool::find(pg_dump, &context.tools).await?;
    let tools = installed.for_servers(target, target).ok_or_else(tool::none_found)?;
    refuse_older(tools, target, "target")?;
    tracing::info!("pg_dump {} serves the target, {}", tools.major, tools.pg_dump.display());
    Ok(tools.clone())
}

/// Finds the programs that restore a backup, made by the `pg_dump` of one major version, into a target of another: an older `pg_restore` may
/// not read the file. A program that is older than the target may work; where it does not, it reports that itself.
pub(super) async fn for_restore(
    pg_dump: Option<&str>,
    context: &Context,
    target: u32,
    written_by: Option<u32>,
) -> Result<Tools> {
    let installed = tool::find(pg_dump, &context.tools).await?;
    let tools = installed.for_servers(target, written_by.unwrap_or(target)).ok_or_else(tool::none_found)?;
    tracing::info!("pg_restore {} restores the backup, {}", tools.major, tools.pg_restore().display());
    Ok(tools.clone())
}

/// Chooses among the programs that were found.
pub(super) fn choose(installed: &Installed, majors: Majors) -> Result<Programs> {
    let both = installed.for_servers(majors.source, majors.target).ok_or_else(tool::none_found)?;
    let as_planned = majors.planned.and_then(|major| installed.of_major(major));
    // A server may have been upgraded since the plan was made.
    let source = as_planned.filter(|tools| tools.major >= majors.source).unwrap_or(both);
    // The plan's own definitions are compared with those of the target: by the program that wrote them, where it can read the target.
    let both = if source.major >= majors.target { source } else { both };
    let finding = majors.planned.filter(|planned| *planned != source.major).map(|planned| other(planned, source.major));
    tracing::info!("pg_dump {} reads the source, {}", source.major, source.pg_dump.display());
    Ok(Programs { source: source.clone(), both: both.clone(), finding })
}

/// Refuses a program that is older than the server that it is to read.
pub(super) fn refuse_older(tools: &Tools, server: u32, side: &str) -> Result<()> {
    let Some(finding) = old_tools(tools.major, server, side) else { return Ok(()) };
    let mut error = Error::new("pg_dump_too_old", Kind::Preflight, &*finding.message).remedy(&*finding.remedy);
    error.details.findings.push(finding);
    Err(error)
}

fn other(planned: u32, used: u32) -> Finding {
    let message = format!(
        "the plan's definitions were written by pg_dump {planned}, which is not found or too old for the source: pg_dump {used} is used, \
         and definitions that the two write differently count as changed"
    );
    let remedy =
        format!("make a new plan with {}, or install the client programs of PostgreSQL {planned}", Action::Plan);
    Finding::new("pg_dump_version", Severity::Info, "", message, remedy)
}

/// The finding of a `pg_dump` that is older than the server that it is to read.
pub(super) fn old_tools(tools: u32, server: u32, side: &str) -> Option<Finding> {
    (tools < server).then(|| {
        let message = format!("pg_dump {tools} is older than the {side}, which is PostgreSQL {server}");
        Finding::new("pg_dump_version", Severity::Blocking, "", message, NEWER_TOOLS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// The major versions of the programs for source and both among these, and whether there is a finding.
    fn chosen(found: &[u32], source: u32, target: u32, planned: Option<u32>) -> (u32, u32, bool) {
        let installed: Installed = found.iter().map(|&major| Tools { pg_dump: PathBuf::new(), major }).collect();
        let programs = choose(&installed, Majors { source, target, planned }).expect("a choice");
        (programs.source.major, programs.both.major, programs.finding.is_some())
    }

    #[test]
    fn a_plan_is_read_by_the_program_that_wrote_it() {
        assert_eq!(chosen(&[16, 17, 18], 16, 16, None), (16, 16, false));
        assert_eq!(chosen(&[16, 17, 18], 16, 16, Some(17)), (17, 17, false));
        assert_eq!(chosen(&[16, 18], 16, 18, Some(17)), (18, 18, true));
        assert_eq!(chosen(&[17, 18], 18, 18, Some(17)), (18, 18, true));
        let message = other(17, 18).message;
        assert!(message.contains("written by pg_dump 17") && message.contains("pg_dump 18 is used"), "{message}");
    }
}
