//! Memberships and settings of roles that the target will refuse the connecting role.

use super::entry::label;
use super::look::warning;
use super::rights::Rights;
use crate::error::Result;
use crate::finding::Finding;
use crate::name::{ident, readable};
use crate::pg::apply;
use crate::plan::{MemberOf, Task, TaskKind};
use std::collections::{BTreeMap, HashMap};

pub(super) async fn check(rights: &Rights<'_>) -> Result<Vec<Finding>> {
    if rights.look.ends.target.is_superuser {
        return Ok(Vec::new());
    }
    let mut findings = memberships(rights).await?;
    findings.extend(alterations(rights));
    findings.extend(parameters(rights));
    Ok(findings)
}

/// Memberships that the connecting role cannot grant, by the granted role, and those that will have another grantor or other options.
async fn memberships(rights: &Rights<'_>) -> Result<Vec<Finding>> {
    let look = rights.look;
    let (mut refused, mut changed): (BTreeMap<String, Vec<String>>, Vec<String>) = (BTreeMap::new(), Vec::new());
    let all = if look.plans(&TaskKind::Membership) {
        apply::all_memberships(look.subject.target).await?
    } else {
        HashMap::new()
    };
    for task in look.subject.plan.tasks.iter().filter(|task| task.kind == TaskKind::Membership) {
        let Some(MemberOf { granted, member }) = task.membership().cloned() else { continue };
        let roles = [granted, member];
        let there = all.get(&roles).map(Vec::as_slice).unwrap_or_default();
        let [granted, member] = roles;
        if there.iter().any(|one| one.is_made_by(task)) {
            continue;
        }
        let may_grant = rights.may_grant(&granted) && rights.will_exist(&member);
        match (may_grant, there.is_empty()) {
            (false, true) => refused.entry(granted).or_default().push(label(task)),
            (false, false) => changed.push(label(task)),
            (true, _) if is_by_other(rights, task) => changed.push(label(task)),
            (true, _) => {}
        }
    }
    let me = ident(&look.ends.target.role);
    let mut findings: Vec<Finding> = refused
        .into_iter()
        .map(|(granted, objects)| {
            let message = format!("{} has no ADMIN OPTION on it and cannot grant it", readable(&look.ends.target.role));
            let remedy = format!("as a role that may: GRANT {} TO {me} WITH ADMIN OPTION", ident(&granted));
            warning("membership_refused", readable(&granted), message, remedy).of(objects)
        })
        .collect();
    if !changed.is_empty() {
        let message = "their grantor or their options will differ from the source's";
        let remedy = "as a superuser, run the statements that the run reports";
        findings.push(warning("membership_changed", "memberships", message, remedy).of(changed));
    }
    Ok(findings)
}

/// Whether a membership is in the name of a role that the connecting role does not act for, or has options that the target does not know.
fn is_by_other(rights: &Rights<'_>, task: &Task) -> bool {
    let grantor = task.optional_sql.rsplit_once(" GRANTED BY ").map(|(_, role)| crate::name::unquoted(role));
    let is_open = grantor.is_none_or(|grantor| grantor == rights.look.ends.target.role || rights.acts_for(&grantor));
    !(task.optional_sql.is_empty() || rights.has_options() && is_open)
}

/// Settings in this database of roles that the connecting role cannot alter.
fn alterations(rights: &Rights<'_>) -> Option<Finding> {
    let tasks = rights.look.subject.plan.tasks.iter().filter(|task| task.kind == TaskKind::RoleSetting);
    let objects: Vec<String> = tasks.filter(|task| !rights.may_alter(&task.name)).map(label).collect();
    let message = format!("{} cannot alter these roles of the target", readable(&rights.look.ends.target.role));
    let remedy = "as a superuser, run the statements that the run reports";
    (!objects.is_empty()).then(|| warning("role_settings", "role settings", message, remedy).of(objects))
}

/// Privileges on configuration parameters, which only superusers grant.
fn parameters(rights: &Rights<'_>) -> Option<Finding> {
    let tasks = rights.look.subject.plan.tasks.iter().filter(|task| task.kind == TaskKind::ParameterPrivilege);
    let objects: Vec<String> = tasks.map(label).collect();
    let message = "only a superuser of the target can grant these privileges on configuration parameters";
    let remedy = "as a superuser, run the statements that the run reports";
    (!objects.is_empty()).then(|| warning("parameter_privileges", "parameters", message, remedy).of(objects))
}
