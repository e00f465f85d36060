//! Compares what is not in the archive: roles that the run made, memberships, settings of roles and of the database, versions of
//! extensions.
//!
//! A role that the target had before keeps its properties, and is not compared. Decides from both catalogs; called by `verify`.

use super::subject::Sides;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::scope::is_whole;
use crate::catalog::{Membership, Role};
use crate::config::ScopeOptions;
use crate::error::Result;
use crate::name::readable;
use crate::pg::compare::{Readers, objects};
use crate::plan::build::role;
use crate::plan::{Plan, Task, TaskKind, setting};
use crate::status::TaskStatus;
use crate::verification::{Difference, DifferenceKind, OPTION_LEFT_OUT, Remark, SETTING_LEFT_OUT, Verification};
use std::collections::{HashMap, HashSet};

/// Compares roles, memberships and settings.
pub fn compare(options: &ScopeOptions, plan: &Plan, sides: &Sides) -> Verification {
    let mut part = Verification::default();
    compare_roles(plan, sides, &mut part);
    compare_memberships(plan, sides, &mut part);
    compare_database_settings(plan, sides, &mut part);
    part.not_moved = settings_left_out(options, plan, sides);
    part.not_moved.extend(left_out(options));
    part
}

/// What the options leave out, which is not compared.
fn left_out(options: &ScopeOptions) -> impl Iterator<Item = Remark> {
    let all = [
        (!options.owners, "owners", "not compared: options.owners is false"),
        (!options.privileges, "privileges", "not compared: options.privileges is false"),
    ];
    all.into_iter().filter(|(is_out, ..)| *is_out).map(|(_, object, words)| Remark::new(OPTION_LEFT_OUT, object, words))
}

/// The settings of the source that a run leaves out and the target lacks, with the statements that set them.
fn settings_left_out(options: &ScopeOptions, plan: &Plan, sides: &Sides) -> Vec<Remark> {
    let mut found = Vec::new();
    let mut name = |object: &str, stored: &[String], there: &[String], statement: &str| {
        let lacking = stored.iter().filter(|stored| !there.contains(stored));
        let findings = lacking.filter_map(|stored| setting::finding(object, stored, statement));
        found.extend(findings.map(|finding| {
            let message = format!("{}; {}", finding.message, finding.remedy);
            Remark::new(SETTING_LEFT_OUT, finding.object, message)
        }));
    };
    if is_whole(options) {
        name("DATABASE", &sides.source.database_settings, &sides.target.database_settings, setting::THIS_DATABASE);
    }
    let planned = names(plan, &TaskKind::Role);
    for role in sides.source.roles.iter().filter(|role| planned.contains(role.name.as_str())) {
        let other = sides.target.roles.iter().find(|other| other.name == role.name);
        let there = |settings: fn(&Role) -> &Vec<String>| other.map_or(&[][..], |other| settings(other));
        let (object, [always, here]) = (format!("role {}", readable(&role.name)), setting::of_role(&role.name));
        name(&object, &role.settings, there(|role| &role.settings), &always);
        name(&object, &role.database_settings, there(|role| &role.database_settings), &here);
    }
    found
}

fn names<'a>(plan: &'a Plan, kind: &TaskKind) -> HashSet<&'a str> {
    plan.tasks.iter().filter(|task| task.kind == *kind).map(|task| task.name.as_str()).collect()
}

fn compare_roles(plan: &Plan, sides: &Sides, part: &mut Verification) {
    let source: HashMap<&str, &Role> = sides.source.roles.iter().map(|role| (role.name.as_str(), role)).collect();
    let target: HashMap<&str, &Role> = sides.target.roles.iter().map(|role| (role.name.as_str(), role)).collect();
    let with_settings = names(plan, &TaskKind::RoleSetting);
    for task in plan.tasks.iter().filter(|task| task.kind == TaskKind::Role) {
        let object = format!("role {}", readable(&task.name));
        let Some(role) = source.get(task.name.as_str()) else {
            part.push_unchecked(object, "the role is no longer on the source");
            continue;
        };
        let Some(other) = target.get(task.name.as_str()) else {
            let message = "the role is missing on the target";
            part.push_difference(Difference::new(DifferenceKind::MissingObject, object, message));
            continue;
        };
        let mut what = if is_made(sides, task) { differing_attributes(role, other) } else { Vec::new() };
        part.count("role", 1);
        if with_settings.contains(task.name.as_str()) && lacks(&other.database_settings, &role.database_settings) {
            what.push("settings in this database");
        }
        if !what.is_empty() {
            let message = format!("the role differs on the target: {}", what.join(", "));
            part.push_difference(Difference::new(DifferenceKind::DifferentObject, object, message));
        }
    }
}

/// Whether the run has made the role; false where it existed before, or the ledger does not know.
fn is_made(sides: &Sides, task: &Task) -> bool {
    sides.history.by_task.get(&task.id).is_some_and(|record| record.status == TaskStatus::Done)
}

fn differing_attributes(one: &Role, other: &Role) -> Vec<&'static str> {
    let attributes = [
        ("SUPERUSER", one.is_superuser == other.is_superuser),
        ("INHERIT", one.inherits == other.inherits),
        ("CREATEROLE", one.can_create_roles == other.can_create_roles),
        ("CREATEDB", one.can_create_databases == other.can_create_databases),
        ("LOGIN", one.can_login == other.can_login),
        ("REPLICATION", one.is_replication == other.is_replication),
        ("BYPASSRLS", one.bypasses_row_security == other.bypasses_row_security),
        ("CONNECTION LIMIT", one.connection_limit == other.connection_limit),
        ("VALID UNTIL", one.valid_until == other.valid_until),
        ("settings", carried_over(&one.settings) == sorted(&other.settings)),
        ("comment", one.comment == other.comment),
    ];
    attributes.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
}

/// Settings of the source except those that a move leaves out, which findings of the plan name.
fn carried_over(settings: &[String]) -> Vec<&str> {
    let mut all = sorted(settings);
    all.retain(|stored| setting::is_carried_over(stored));
    all
}

fn sorted(settings: &[String]) -> Vec<&str> {
    let mut sorted: Vec<&str> = settings.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted
}

fn lacks(found: &[String], wanted: &[String]) -> bool {
    wanted.iter().any(|stored| setting::is_carried_over(stored) && !found.contains(stored))
}

fn compare_memberships(plan: &Plan, sides: &Sides, part: &mut Verification) {
    let planned = names(plan, &TaskKind::Membership);
    let inherits: HashMap<&str, bool> =
        sides.target.roles.iter().map(|role| (role.name.as_str(), role.inherits)).collect();
    let mut found: HashMap<(&str, &str), Vec<&Membership>> = HashMap::new();
    for membership in &sides.target.memberships {
        found.entry((&membership.granted, &membership.member)).or_default().push(membership);
    }
    for membership in &sides.source.memberships {
        let name = role::membership_name(membership);
        if !planned.contains(name.as_str()) {
            continue;
        }
        part.count("membership", 1);
        let object = format!("membership {} to {}", readable(&membership.granted), readable(&membership.member));
        let there = found.get(&(membership.granted.as_str(), membership.member.as_str()));
        // A member on a server before 16 may SET ROLE, and inherits where it has INHERIT.
        let wanted = Membership {
            inherit: membership.inherit.or_else(|| inherits.get(membership.member.as_str()).copied()),
            set: membership.set.or(Some(true)),
            ..membership.clone()
        };
        let difference = match there {
            None => Some((DifferenceKind::MissingObject, "the membership is missing on the target")),
            Some(there) if there.iter().any(|other| has_same_options(&wanted, other)) => None,
            Some(_) => Some((DifferenceKind::DifferentObject, "the membership differs on the target: its options")),
        };
        part.differences.extend(difference.map(|(kind, message)| Difference::new(kind, object, message)));
    }
}

/// INHERIT and SET are options of a membership from 16 on.
fn has_same_options(one: &Membership, other: &Membership) -> bool {
    let is_same = |a: Option<bool>, b: Option<bool>| a.zip(b).is_none_or(|(a, b)| a == b);
    // A server before 16 has one grant in place of those of several grantors, with the options that any of them gave.
    let has_admin = one.admin == other.admin || other.admin && other.set.is_none();
    has_admin && is_same(one.inherit, other.inherit) && is_same(one.set, other.set)
}

fn compare_database_settings(plan: &Plan, sides: &Sides, part: &mut Verification) {
    let planned = names(plan, &TaskKind::DatabaseSetting);
    let name = |setting: &str| setting.split_once('=').map_or_else(|| setting.to_owned(), |(name, _)| name.to_owned());
    let object = |name: &str| format!("database setting {name}");
    for setting in &sides.source.database_settings {
        let name = name(setting);
        if planned.contains(name.as_str()) {
            part.count("database setting", 1);
            if !sides.target.database_settings.contains(setting) {
                let message = "the setting is missing or has another value on the target";
                part.push_difference(Difference::new(DifferenceKind::DifferentObject, object(&name), message));
            }
        }
    }
    let on_source: HashSet<String> = sides.source.database_settings.iter().map(|setting| name(setting)).collect();
    let on_target = sides.target.database_settings.iter().map(|setting| name(setting));
    let message = "the target's database has this setting, and the source's has not";
    part.only_on_target.extend(
        on_target
            .filter(|name| !on_source.contains(name))
            .map(|name| Remark::new("database setting", object(&name), message)),
    );
}

/// Names extensions of the plan whose versions differ: the available versions depend on the server's installation.
pub async fn compare_extensions(readers: &Readers, plan: &Plan) -> Result<Verification> {
    let (source, target) =
        tokio::try_join!(objects::extension_versions(&readers.source), objects::extension_versions(&readers.target))?;
    let mut part = Verification::default();
    for name in names(plan, &ObjectKind::Extension.into()) {
        let (Some(one), Some(other)) = (source.get(name), target.get(name)) else { continue };
        if one != other {
            let message = format!("its version is {one} on the source and {other} on the target");
            part.by_version.push(Remark::new("extension", name, message));
        }
    }
    part.by_version.sort_by(|a, b| a.object.cmp(&b.object));
    Ok(part)
}
