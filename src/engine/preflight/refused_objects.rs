//! Objects that the target will refuse the connecting role: those that only superusers create, functions and databases with settings that
//! only superusers make, servers of wrappers that it may not use.

use super::entry::{entry_label, label};
use super::look::warning;
use super::refused_comments;
use super::rights::Rights;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::scope::is_whole;
use crate::catalog::{Oid, Role};
use crate::error::Result;
use crate::finding::Finding;
use crate::name::{ident, readable, split_ident};
use crate::pg::introspect;
use crate::pg::survey;
use crate::plan::{Task, TaskKind, setting};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

const PG_CLASS: Oid = 1259;
const PG_PROC: Oid = 1255;
const PG_TYPE: Oid = 1247;

pub(super) async fn check(rights: &Rights<'_>) -> Result<Vec<Finding>> {
    let look = rights.look;
    if look.ends.target.is_superuser {
        return Ok(Vec::new());
    }
    let mut findings = superuser_objects(rights).await?;
    findings.extend(settings(rights).await?);
    findings.extend(servers(rights).await?);
    findings.extend(refused_comments::check(rights).await?);
    Ok(findings)
}

async fn superuser_objects(rights: &Rights<'_>) -> Result<Vec<Finding>> {
    let look = rights.look;
    let mut kinds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let is_made = |entry: &&Entry| !rights.keeps(entry);
    for entry in look.entries().filter(is_made).filter(|entry| is_for_superusers(rights, entry)) {
        kinds.entry(entry.kind.name()).or_default().insert(entry_label(entry));
    }
    for (kind, entry) in subscriptions(rights).await? {
        kinds.entry(kind.into()).or_default().insert(entry_label(entry));
    }
    let by_object: HashMap<(Oid, Oid), &Entry> = look
        .entries()
        .filter(|entry| entry.oid != 0 && !entry.is_part())
        .filter(is_made)
        .map(|entry| ((entry.catalog, entry.oid), entry))
        .collect();
    let is_made = |oid: &Oid| by_object.contains_key(&(PG_TYPE, *oid)) || by_object.contains_key(&(PG_CLASS, *oid));
    for object in survey::superuser_objects(look.leader()).await? {
        let is_open = object.types.is_some_and(|types| types.iter().any(is_made));
        if let Some(entry) = by_object.get(&(object.catalog, object.oid)).filter(|_| !is_open) {
            kinds.entry(object.reason).or_default().insert(entry_label(entry));
        }
    }
    let remedy = "connect to the target as a superuser, or have one create them there beforehand";
    let findings = kinds.into_iter().map(|(kind, objects)| {
        let message = format!("only a superuser of the target can create these ({kind}), and they will fail");
        warning("needs_superuser", kind, message, remedy).of(objects.into_iter().collect())
    });
    Ok(findings.collect())
}

fn is_for_superusers(rights: &Rights<'_>, entry: &Entry) -> bool {
    match &entry.kind {
        ObjectKind::Publication => {
            let rest = entry.statement.trim_start().strip_prefix("CREATE PUBLICATION ").unwrap_or_default();
            let rest = split_ident(rest).map_or_else(|| rest.split_once(' ').unwrap_or_default().1, |(_, rest)| rest);
            rest.trim_start().starts_with("FOR ALL ")
        }
        ObjectKind::Subscription => {
            !rights.look.ends.target.version.has_subscription_role() || !rights.acts_for("pg_create_subscription")
        }
        kind => kind.is_for_superusers(),
    }
}

/// Subscriptions that a member of `pg_create_subscription` cannot create either, because of their properties.
async fn subscriptions<'a>(rights: &Rights<'a>) -> Result<Vec<(&'static str, &'a Entry)>> {
    let look = rights.look;
    let entries: HashMap<Oid, &Entry> = look
        .entries()
        .filter(|entry| {
            entry.kind == ObjectKind::Subscription && !rights.keeps(entry) && !is_for_superusers(rights, entry)
        })
        .map(|entry| (entry.oid, entry))
        .collect();
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let found = survey::subscriptions(look.leader()).await?.into_iter().filter_map(|subscription| {
        let kind = match (subscription.requires_password, subscription.has_password) {
            (false, _) => "subscription with password_required = false",
            (true, false) => "subscription without a password",
            (true, true) => return None,
        };
        Some((kind, *entries.get(&subscription.oid)?))
    });
    Ok(found.collect())
}

/// A parameter with the tasks that set it.
type Setters = BTreeMap<String, BTreeSet<String>>;

/// Settings of functions, roles and the database that the connecting role may not make.
async fn settings(rights: &Rights<'_>) -> Result<Vec<Finding>> {
    let look = rights.look;
    let mut setters = Setters::new();
    let functions: HashMap<Oid, &Entry> =
        look.entries().filter(|entry| entry.catalog == PG_PROC).map(|entry| (entry.oid, entry)).collect();
    for function in survey::function_settings(look.leader()).await? {
        if let Some(entry) = functions.get(&function.oid) {
            for parameter in function.parameters {
                setters.entry(parameter).or_default().insert(entry_label(entry));
            }
        }
    }
    of_roles(rights, &mut setters);
    let owner = introspect::database(look.subject.target).await?.owner;
    let of_database: Vec<&Task> = look.subject.plan.tasks.iter().filter(|task| is_about_database(task)).collect();
    for task in of_database.iter().filter(|task| task.kind == TaskKind::DatabaseSetting) {
        setters.entry(task.name.clone()).or_default().insert(label(task));
    }
    let names: Vec<String> = setters.keys().cloned().collect();
    let refused = survey::refused_parameters(look.subject.target, &names).await?;
    let me = ident(&look.ends.target.role);
    let mut findings: Vec<Finding> = setters
        .into_iter()
        .filter(|(parameter, _)| refused.contains(parameter))
        .map(|(parameter, objects)| {
            let message = format!("{} may not set this parameter on the target", readable(&look.ends.target.role));
            let remedy = if look.ends.target.version.has_parameter_privileges() {
                format!("as a superuser: GRANT SET ON PARAMETER {} TO {me}", setting::parameter(&parameter))
            } else {
                "have a superuser set or create these on the target".to_owned()
            };
            warning("parameter_refused", parameter, message, remedy).of(objects.into_iter().collect())
        })
        .collect();
    if !of_database.is_empty() && !rights.acts_for(&owner) && is_whole(look.subject.options.plan.scope) {
        let message = format!("{} owns the database on the target, where only its owner sets these", readable(&owner));
        let remedy = format!("ALTER DATABASE {} OWNER TO {me}", ident(&look.ends.target.database));
        let objects = of_database.iter().map(|task| label(task)).collect();
        findings.push(warning("database_refused", "DATABASE", message, remedy).of(objects));
    }
    Ok(findings)
}

fn is_about_database(task: &Task) -> bool {
    matches!(task.kind, TaskKind::DatabaseSetting | TaskKind::DatabaseComment | TaskKind::DatabaseLabel)
}

/// The settings of roles that the plan makes, and those in one database.
fn of_roles(rights: &Rights<'_>, setters: &mut Setters) {
    let roles: HashMap<&str, &Role> =
        rights.look.subject.catalog.roles.iter().map(|role| (role.name.as_str(), role)).collect();
    for task in &rights.look.subject.plan.tasks {
        let Some(role) = roles.get(task.name.as_str()) else { continue };
        let settings = match task.kind {
            TaskKind::Role if rights.role(&role.name).is_none() => &role.settings,
            TaskKind::RoleSetting => &role.database_settings,
            _ => continue,
        };
        for stored in settings.iter().filter(|stored| setting::is_carried_over(stored)) {
            let name = stored.split_once('=').map_or(stored.as_str(), |(name, _)| name);
            let is_this = task.kind == TaskKind::Role
                || task.optional_sql.contains(&format!("SET {} TO", setting::parameter(name)));
            if is_this {
                setters.entry(name.to_owned()).or_default().insert(label(task));
            }
        }
    }
}

/// Foreign servers of wrappers that the connecting role may not use.
async fn servers(rights: &Rights<'_>) -> Result<Vec<Finding>> {
    let look = rights.look;
    let made = look.entries().filter(|entry| entry.kind == ObjectKind::Server && !rights.keeps(entry));
    let entries: HashMap<Oid, &Entry> = made.map(|entry| (entry.oid, entry)).collect();
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let unusable: HashSet<String> = survey::unusable_wrappers(look.subject.target).await?;
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for server in survey::foreign_servers(look.leader()).await? {
        if let Some(entry) = entries.get(&server.oid).filter(|_| unusable.contains(&server.wrapper)) {
            refused.entry(server.wrapper).or_default().push(entry_label(entry));
        }
    }
    let me = &look.ends.target.role;
    let findings = refused.into_iter().map(|(wrapper, servers)| {
        let message =
            format!("{} may not create servers of the foreign data wrapper {}", readable(me), readable(&wrapper));
        let remedy =
            format!("as a superuser: GRANT USAGE ON FOREIGN DATA WRAPPER {} TO {}", ident(&wrapper), ident(me));
        warning("foreign_server", readable(&wrapper), message, remedy).of(servers)
    });
    Ok(findings.collect())
}
