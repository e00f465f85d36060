//! Compares roles, memberships, and properties of the database itself with the source's, as far as a run has set them.
//!
//! Called by `worker::privileges` at the end of a run. What a task of the run found and kept is the target's own, and a task has reported
//! what the target refused.

use super::Notes;
use crate::catalog::database::Database;
use crate::catalog::{Membership, Role};
use crate::error::Result;
use crate::pg::{Session, introspect};
use crate::plan::build::role;
use crate::plan::{Task, TaskKind, setting};
use crate::status::TaskStatus;
use std::collections::HashSet;

/// The differences by object, as text.
pub async fn differences(
    tasks: &[Task],
    notes: &Notes,
    source: &Session,
    target: &Session,
) -> Result<Vec<(String, String)>> {
    let is_done = |task: &&Task| notes.get(&task.id).is_none_or(|(status, _)| *status == TaskStatus::Done);
    let of_kind = |wanted: TaskKind| tasks.iter().filter(move |task| task.kind == wanted).filter(is_done);
    let is_plain = |task: &&Task| !notes.contains_key(&task.id);
    let mut all = Vec::new();
    let roles: HashSet<&str> = of_kind(TaskKind::Role).filter(is_plain).map(|task| task.name.as_str()).collect();
    if !roles.is_empty() {
        let (one, other) = tokio::try_join!(introspect::roles(source), introspect::roles(target))?;
        all.extend(
            one.into_iter()
                .filter(|role| roles.contains(role.name.as_str()))
                .filter_map(|role| role_differs(role, &other)),
        );
    }
    let memberships: Vec<(&str, bool)> =
        of_kind(TaskKind::Membership).map(|task| (task.name.as_str(), is_plain(&task))).collect();
    if !memberships.is_empty() {
        let (one, other) = tokio::try_join!(introspect::memberships(source), introspect::memberships(target))?;
        all.extend(
            memberships.into_iter().filter_map(|(name, is_plain)| membership_differs(name, is_plain, &one, &other)),
        );
    }
    let settings: HashSet<&str> = of_kind(TaskKind::DatabaseSetting).map(|task| task.name.as_str()).collect();
    if !settings.is_empty() {
        let (one, other) =
            tokio::try_join!(introspect::database_settings(source), introspect::database_settings(target))?;
        let is_set = |stored: &&String| stored.split_once('=').is_some_and(|(name, _)| settings.contains(name));
        let lost = one.iter().filter(is_set).filter(|stored| !other.contains(stored));
        all.extend(lost.map(|stored| ("DATABASE".into(), format!("its setting {stored} is not on the target"))));
    }
    if of_kind(TaskKind::DatabaseAcl).next().is_some() {
        let (one, other) = tokio::try_join!(introspect::database(source), introspect::database(target))?;
        all.extend(privileges_differ(&one, &other).map(|words| ("DATABASE".into(), words)));
    }
    Ok(all)
}

fn role_differs(mut role: Role, target: &[Role]) -> Option<(String, String)> {
    let Some(other) = target.iter().find(|other| other.name == role.name) else {
        return Some((role.name, "the role is not on the target".into()));
    };
    role.settings.retain(|stored| setting::is_carried_over(stored));
    // The settings in one database have a task each.
    role.database_settings.clone_from(&other.database_settings);
    (role != *other)
        .then(|| (role.name, "its attributes, its settings or its comment are not those of the source".into()))
}

fn membership_differs(
    name: &str,
    is_plain: bool,
    source: &[Membership],
    target: &[Membership],
) -> Option<(String, String)> {
    let wanted = source.iter().find(|membership| role::membership_name(membership) == name)?;
    let same = |other: &&Membership| other.granted == wanted.granted && other.member == wanted.member;
    let by_grantor = |other: &&Membership| {
        !is_plain || wanted.grantor.is_none() || other.grantor == wanted.grantor || other.set.is_none()
    };
    let found: Vec<&Membership> = target.iter().filter(same).filter(by_grantor).collect();
    // The role that creates another has a grant of it in addition: one grant with the source's options is enough.
    let words = if found.is_empty() {
        "the membership is not on the target"
    } else if is_plain && !found.iter().any(|other| has_options(wanted, other)) {
        "its options are not those of the source"
    } else {
        return None;
    };
    Some((name.to_owned(), words.to_owned()))
}

/// Whether a membership has the options of another, as far as both servers know them.
fn has_options(wanted: &Membership, found: &Membership) -> bool {
    let is_same = |one: Option<bool>, other: Option<bool>| one.is_none() || other.is_none() || one == other;
    // A server that keeps only one of several grants keeps the option.
    let has_admin = wanted.admin == found.admin || found.admin && found.set.is_none();
    has_admin && is_same(wanted.inherit, found.inherit) && is_same(wanted.set, found.set)
}

fn privileges_differ(source: &Database, target: &Database) -> Option<String> {
    let is_owner = |grantee: &Option<String>| grantee.as_ref() == Some(&target.owner);
    let missing = source.grants.iter().filter(|grant| !is_owner(&grant.grantee)).filter(|grant| {
        !target.grants.iter().any(|other| {
            (&other.grantee, &other.privilege) == (&grant.grantee, &grant.privilege)
                && other.is_grantable == grant.is_grantable
        })
    });
    let missing = missing.map(|grant| {
        format!("{} to {} is not on the target", grant.privilege, grant.grantee.as_deref().unwrap_or("PUBLIC"))
    });
    let kept = source.lost_by_public.iter().filter(|privilege| !target.lost_by_public.contains(privilege));
    let kept = kept.map(|privilege| format!("PUBLIC still has {privilege}"));
    let words: Vec<String> = missing.chain(kept).collect();
    (!words.is_empty()).then(|| words.join("; "))
}
