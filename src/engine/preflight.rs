//! What a person should know before the target is touched: every finding at once, the blocking ones first.
//!
//! [`outset`] looks at what would keep the source's catalog from being read at all; [`preflight`] repeats that and looks at the
//! rest, with catalog and plan at hand. Nothing here changes a server or decides to go on: the verbs do, by the findings'
//! severity. Each file below is one subject; what it asks of a server stands in `pg::survey`.

mod access;
mod activity;
mod backup_dir;
mod capacity;
pub(super) mod checks;
mod encoding;
mod event_trigger;
mod existing;
mod extension;
mod feature;
mod label;
mod large_object;
mod live;
mod locale;
mod major;
mod mapping;
mod member;
mod refused_comments;
mod refused_objects;
mod refused_parts;
mod refused_privileges;
mod refused_roles;
mod revision;
mod rights;
mod role;
mod sequence;
mod server;
mod setting;
mod target_dump;
#[cfg(test)]
mod tests;

pub(super) use self::server::old_tools;
use super::programs::Programs;
use super::{Context, Source, raw_text};
use crate::catalog::archive::Entry;
use crate::catalog::scope::{self, Scope};
use crate::catalog::{Catalog, Relation, Server};
use crate::config::Config;
use crate::error::Result;
use crate::finding::{Finding, Severity};
use crate::pg::survey::{self, ExistingTable, Instance};
use crate::pg::{Session, introspect};
use crate::plan::Plan;
use rights::Rights;
use std::cmp::Reverse;
use std::collections::HashSet;

/// What preflight looks at.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// What the user asked for.
    pub config: &'a Config,
    /// The source, opened for reading.
    pub source: &'a Source,
    /// A session on the target.
    pub target: &'a Session,
    /// The client programs; none where none are needed.
    pub(super) programs: Option<&'a Programs>,
    /// What the source contains.
    pub catalog: &'a Catalog,
    /// What is going to be done.
    pub plan: &'a Plan,
    /// How many tasks run at once.
    pub jobs: usize,
    /// Whether an earlier run goes on, whose tables are on the target already.
    pub resuming: bool,
    /// Whether the target is backed up before the run: where it begins, be it as the first of several parts.
    pub backs_up: bool,
}

/// Finds out what would keep the source's schema from being read: to be asked before `Source::catalog`.
pub(super) async fn outset(
    config: &Config,
    source: &Session,
    target: &Session,
    programs: Option<&Programs>,
) -> Result<Vec<Finding>> {
    let ends = Ends::ask(source, target).await?;
    let mut findings = server::check(config, &ends, programs);
    findings.extend(setting::check(source, target));
    let raw = raw_text::check(source).await?;
    if !raw.is_empty() {
        // What else is asked for would meet the same names.
        findings.extend(raw);
        return Ok(sorted(findings));
    }
    findings.extend(revision::check(config, (source, target), &ends).await?);
    findings.extend(access::source_rights(config, source, &ends.source, &HashSet::new()).await?);
    findings.extend(activity::readers_kept_out(config, source).await?);
    findings.extend(feature::clauses_of_rules(config, source).await?);
    Ok(sorted(findings))
}

/// Finds out everything that a person should know, the blocking findings first.
pub async fn preflight(subject: &Subject<'_>, context: &Context) -> Result<Vec<Finding>> {
    context.stop.or(look_at(subject, context)).await
}

async fn look_at(subject: &Subject<'_>, context: &Context) -> Result<Vec<Finding>> {
    let look = Look::new(subject).await?;
    let mut findings = server::check(subject.config, &look.ends, subject.programs);
    findings.extend(server::reading_the_target(&look));
    findings.extend(server::backing_up(&look, context).await?);
    findings.extend(target_dump::check(&look).await?);
    findings.extend(backup_dir::check(&look));
    findings.extend(setting::check(look.leader(), subject.target));
    findings.extend(revision::check(subject.config, (look.leader(), subject.target), &look.ends).await?);
    findings.extend(revision::written(&look).await?);
    findings.extend(access::check(&look).await?);
    let rights = Rights::ask(&look).await?;
    let (privileges, missing) = refused_privileges::check(&rights).await?;
    findings.extend(role::check(&rights, missing).await?);
    findings.extend(refused_roles::check(&rights).await?);
    findings.extend(privileges);
    findings.extend(refused_objects::check(&rights).await?);
    findings.extend(refused_parts::check(&rights).await?);
    findings.extend(large_object::check(&rights).await?);
    findings.extend(label::check(&rights).await?);
    findings.extend(mapping::check(&look));
    findings.extend(major::check(&look).await?);
    findings.extend(extension::check(&look).await?);
    findings.extend(member::check(&look).await?);
    findings.extend(feature::clauses_of_rules(subject.config, look.leader()).await?);
    findings.extend(feature::clauses_of_all(&look).await?);
    findings.extend(feature::check(&look).await?);
    findings.extend(locale::check(&look).await?);
    findings.extend(encoding::check(&look).await?);
    findings.extend(existing::check(&look).await?);
    findings.extend(sequence::check(&look).await?);
    if subject.config.options.data_only {
        findings.extend(live::check(&look).await?);
    }
    findings.extend(live::left(&look).await?);
    findings.extend(event_trigger::check(&look).await?);
    findings.extend(activity::check(&look).await?);
    findings.extend(capacity::check(&look).await?);
    Ok(sorted(findings))
}

fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| Reverse(finding.severity));
    findings
}

/// The two servers.
struct Ends {
    source: Server,
    target: Server,
    source_instance: Instance,
    target_instance: Instance,
}

impl Ends {
    async fn ask(source: &Session, target: &Session) -> Result<Ends> {
        Ok(Ends {
            source: introspect::server(source).await?,
            target: introspect::server(target).await?,
            source_instance: survey::instance(source).await?,
            target_instance: survey::instance(target).await?,
        })
    }
}

/// What all checks look at.
struct Look<'a> {
    subject: Subject<'a>,
    ends: Ends,
    scope: Scope,
    existing: Vec<ExistingTable>,
}

impl<'a> Look<'a> {
    async fn new(subject: &Subject<'a>) -> Result<Look<'a>> {
        Ok(Look {
            subject: *subject,
            ends: Ends::ask(&subject.source.leader, subject.target).await?,
            scope: scope::select(subject.catalog, subject.config),
            existing: survey::existing_tables(subject.target).await?,
        })
    }

    /// The archive's entries that are moved.
    fn entries(&self) -> impl Iterator<Item = &'a Entry> {
        self.subject.catalog.entries.iter().filter(|entry| self.scope.entries.contains(&entry.id))
    }

    /// The tables whose rows are moved.
    fn tables(&self) -> impl Iterator<Item = &'a Relation> {
        self.subject.catalog.relations.iter().filter(|relation| self.scope.tables.contains(&relation.oid))
    }

    fn leader(&self) -> &'a Session {
        &self.subject.source.leader
    }

    /// The `search_path` of the source database, which its functions were written for.
    async fn source_path(&self) -> Result<String> {
        introspect::search_path(self.leader()).await
    }

    /// Whether the plan holds a task of that kind.
    fn plans(&self, kind: &str) -> bool {
        self.subject.plan.tasks.iter().any(|task| task.kind == kind)
    }
}

fn blocking(check: &str, object: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding::new(check, Severity::Blocking, object, message, remedy)
}

fn warning(check: &str, object: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding::new(check, Severity::Warning, object, message, remedy)
}

fn info(check: &str, object: impl Into<String>, message: impl Into<String>) -> Finding {
    Finding::new(check, Severity::Info, object, message, "")
}

/// Names for a message: all of a few, else the first ones and how many more there are.
fn list<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
