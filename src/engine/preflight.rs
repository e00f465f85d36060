//! What a person should know before the target is changed: all findings at once, the blocking ones first.
//!
//! [`prerequisites`] checks for what would prevent reading the source's catalog at all; [`preflight`] repeats that and checks the rest, with
//! catalog and plan at hand. Nothing here changes a server or decides to go on: the verbs do, by the severity of the findings. Each file
//! below covers one subject; its queries are in `pg::survey`.

mod access;
mod activity;
mod backup_dir;
mod capacity;
pub(super) mod checks;
mod encoding;
mod entry;
mod event_trigger;
mod existing;
mod extension;
mod feature;
mod label;
mod large_object;
mod live;
mod locale;
mod look;
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

use super::programs::Programs;
use super::{Context, raw_text};
use crate::config::RunOptions;
use crate::error::Result;
use crate::finding::Finding;
use crate::pg::Session;
pub use look::PreflightSubject;
use look::{Look, Servers};
use rights::Rights;
use std::cmp::Reverse;
use std::collections::HashSet;

/// Finds what would prevent reading the source's schema; to be called before `Source::catalog`.
pub(super) async fn prerequisites(
    options: RunOptions<'_>,
    source: &Session,
    target: &Session,
    programs: Option<&Programs>,
) -> Result<Vec<Finding>> {
    let ends = Servers::ask(source, target).await?;
    let mut findings = server::check(options.safety.accept_newer_servers, &ends, programs);
    findings.extend(setting::check(source, target));
    let raw = raw_text::check(source).await?;
    if !raw.is_empty() {
        // Further queries would meet the same names.
        findings.extend(raw);
        return Ok(sorted(findings));
    }
    findings.extend(revision::check(options.safety.require_revision.as_ref(), source, target, &ends).await?);
    findings.extend(access::source_rights(options.plan, source, &ends.source, &HashSet::new()).await?);
    findings.extend(activity::readers_kept_out(options.plan.scope, source).await?);
    findings
        .extend(feature::clauses_of_rules(&options.plan.scope.tables, source, options.connection.lock_timeout).await?);
    Ok(sorted(findings))
}

/// Finds everything that a person should know, the blocking findings first.
pub async fn preflight(subject: &PreflightSubject<'_>, context: &Context) -> Result<Vec<Finding>> {
    context.stop.or(look_at(subject, context)).await
}

async fn look_at(subject: &PreflightSubject<'_>, context: &Context) -> Result<Vec<Finding>> {
    let look = Look::new(subject).await?;
    let mut findings = server::check(subject.options.safety.accept_newer_servers, &look.ends, subject.programs);
    findings.extend(server::reading_the_target(&look));
    findings.extend(server::backing_up(&look, context).await?);
    findings.extend(target_dump::check(&look).await?);
    findings.extend(backup_dir::check(&look));
    findings.extend(setting::check(look.leader(), subject.target));
    let rule = subject.options.safety.require_revision.as_ref();
    findings.extend(revision::check(rule, look.leader(), subject.target, &look.ends).await?);
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
    let (tables, lock_timeout) = (&subject.options.plan.scope.tables, subject.options.connection.lock_timeout);
    findings.extend(feature::clauses_of_rules(tables, look.leader(), lock_timeout).await?);
    findings.extend(feature::clauses_of_all(&look).await?);
    findings.extend(feature::check(&look).await?);
    findings.extend(locale::check(&look).await?);
    findings.extend(encoding::check(&look).await?);
    findings.extend(existing::check(&look).await?);
    findings.extend(sequence::check(&look).await?);
    if subject.options.plan.scope.data_only {
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
