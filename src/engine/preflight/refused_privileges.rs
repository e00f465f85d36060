//! Privileges that the target will refuse the connecting role: those of other grantors, of objects that it does not own, for roles that
//! are missing; default privileges of other roles; those of the database.
//!
//! Each statement is checked by itself, as the run executes it: a refused one does not affect the others.

use super::entry::label;
use super::look::{Look, warning};
use super::rights::{self, Rights};
use crate::catalog::object_kind::ObjectKind;
use crate::error::Result;
use crate::finding::Finding;
use crate::name::{ident, readable, split_ident, unquoted};
use crate::pg::introspect;
use crate::pg::privileges::Held;
use crate::plan::build::privilege;
use crate::plan::build::privilege::Place;
use crate::plan::{Task, TaskKind};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Why a statement will be refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// A role that it names does not exist.
    Missing(String),
    /// The connecting role may not run it.
    Refused(Why),
}

/// Why the connecting role may not run a statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// It is in the name of a role for which the connecting role cannot act.
    Grantor(String),
    /// Another role owns the object; empty where the owner is not known.
    Owner(String),
    /// It is about objects that another role will create.
    Defaults(String),
    /// Another role owns the database.
    Database(String),
}

type Refused = BTreeMap<Cause, BTreeSet<String>>;

/// The findings, and the tasks that name roles which are missing.
pub(super) async fn check(rights: &Rights<'_>) -> Result<(Vec<Finding>, BTreeMap<String, BTreeSet<String>>)> {
    let look = rights.look;
    let mut refused = Refused::new();
    let same = unchanged(rights).await?;
    for task in look.subject.plan.tasks.iter().filter(|task| privilege::is_acl(task)) {
        if !same.contains(task.id.as_str()) {
            for unit in privilege::units(&task.target_sql) {
                refuse(&mut refused, task, why(rights, task, unit));
            }
        }
    }
    database(rights, &mut refused).await?;
    let mut missing = BTreeMap::new();
    let mut findings = Vec::new();
    for (cause, tasks) in refused {
        match cause {
            Cause::Missing(role) => drop(missing.insert(role, tasks)),
            Cause::Refused(why) => findings.push(finding(look, &why).of(tasks.into_iter().collect())),
        }
    }
    Ok((findings, missing))
}

fn refuse(refused: &mut Refused, task: &Task, cause: Option<Cause>) {
    if let Some(cause) = cause {
        refused.entry(cause).or_default().insert(label(task));
    }
}

/// The tasks whose objects have the source's privileges already: whatever the target answers, nothing is lost.
async fn unchanged<'a>(rights: &'a Rights<'_>) -> Result<HashSet<&'a str>> {
    let tasks = rights.look.subject.plan.tasks.iter().filter(|task| task.kind == ObjectKind::Acl);
    let of_existing = tasks.filter_map(|task| {
        let place = privilege::place(task).filter(|place| place.class != "COLUMN")?;
        let there = rights.existing(&place)?;
        Some((task, place, there))
    });
    let of_existing: Vec<(&Task, Place, &Held)> = of_existing.collect();
    let places = of_existing.iter().map(|(_, place, _)| place.clone()).collect();
    let source = rights::held(rights.look.leader(), &places).await?;
    let is_same = |place: &Place, there: &Held| {
        source.get(place).is_some_and(|all| all.iter().any(|held| held.privileges == there.privileges))
    };
    let same = of_existing.iter().filter(|(_, place, there)| is_same(place, there));
    Ok(same.map(|(task, ..)| task.id.as_str()).collect())
}

/// Why one statement will be refused.
fn why(rights: &Rights<'_>, task: &Task, unit: &str) -> Option<Cause> {
    let (grantor, statement) = match unit.strip_prefix(privilege::BECOME) {
        Some(rest) => {
            let (role, statement) = rest.split_once(";\n")?;
            (Some(unquoted(role.trim())), statement)
        }
        None => (None, unit),
    };
    let defaults = statement.strip_prefix("ALTER DEFAULT PRIVILEGES FOR ROLE ").map(first_role);
    let roles = [grantor.clone(), defaults.clone(), grantee(statement)];
    if let Some(role) = roles.into_iter().flatten().find(|role| !rights.will_exist(role)) {
        return Some(Cause::Missing(role));
    }
    if rights.look.ends.target.is_superuser {
        return None;
    }
    match (defaults, grantor) {
        // From 16 on it requires the privileges of the role, before that a membership of any kind.
        (Some(role), _) => {
            let is_open = rights.acts_for(&role) || !rights.has_options() && rights.may_become(&role);
            (!is_open).then_some(Cause::Refused(Why::Defaults(role)))
        }
        (None, Some(role)) => (!rights.may_become(&role)).then_some(Cause::Refused(Why::Grantor(role))),
        (None, None) => {
            // `privilege::place` returns none for large objects.
            let place = privilege::place(task)?;
            match rights.owner(&place) {
                Some(owner) => (!rights.acts_for(owner)).then(|| Cause::Refused(Why::Owner(owner.to_owned()))),
                None => Some(Cause::Refused(Why::Owner(String::new()))),
            }
        }
    }
}

/// The role that a GRANT or REVOKE is for; none for PUBLIC.
fn grantee(statement: &str) -> Option<String> {
    let statement = statement.trim_end_matches(';').trim_end();
    let statement = statement.strip_suffix(" WITH GRANT OPTION").unwrap_or(statement);
    let word = if statement.contains("REVOKE ") { " FROM " } else { " TO " };
    let is_role = |text: &&str| match split_ident(text) {
        Some((_, rest)) => rest.is_empty(),
        None => !text.contains([' ', '"']),
    };
    let ends = statement.match_indices(word).map(|(at, word)| &statement[at + word.len()..]);
    let role = ends.filter(is_role).last()?;
    (role != "PUBLIC").then(|| unquoted(role))
}

/// The first name of a text, quoted or not.
fn first_role(text: &str) -> String {
    unquoted(split_ident(text).map_or_else(|| text.split(' ').next().unwrap_or_default(), |(role, _)| role))
}

/// The privileges of the database.
async fn database(rights: &Rights<'_>, refused: &mut Refused) -> Result<()> {
    let look = rights.look;
    let tasks: Vec<&Task> = look.subject.plan.tasks.iter().filter(|task| task.kind == TaskKind::DatabaseAcl).collect();
    let Some(task) = tasks.first() else { return Ok(()) };
    let owner = introspect::database(look.subject.target).await?.owner;
    for grant in &look.subject.catalog.database.grants {
        let roles = [grant.grantor.as_ref(), grant.grantee.as_ref()].into_iter().flatten();
        let missing = roles.filter(|role| !rights.will_exist(role)).map(|role| Cause::Missing(role.clone()));
        let other = grant
            .grantor
            .iter()
            .filter(|role| !rights.may_become(role))
            .map(|role| Cause::Refused(Why::Grantor(role.clone())));
        refuse(refused, task, missing.chain(other).next());
    }
    refuse(refused, task, (!rights.acts_for(&owner)).then_some(Cause::Refused(Why::Database(owner))));
    Ok(())
}

fn finding(look: &Look<'_>, why: &Why) -> Finding {
    let me = &look.ends.target.role;
    let (shown, own) = (readable(me), ident(me));
    let join = |role: &str| {
        format!("as a role that may: GRANT {} TO {own}; or run these statements as that role", ident(role))
    };
    match why {
        Why::Grantor(role) => warning(
            "privileges_grantor",
            readable(role),
            format!("{} granted them, and {shown} cannot act for it", readable(role)),
            join(role),
        ),
        Why::Owner(owner) if owner.is_empty() => warning(
            "privileges_owner",
            "privileges",
            format!("{shown} will not own these objects and cannot set their privileges"),
            "as their owner, run the statements that the run reports",
        ),
        Why::Owner(owner) => warning(
            "privileges_owner",
            readable(owner),
            format!("{} owns these objects on the target, and {shown} cannot set their privileges", readable(owner)),
            join(owner),
        ),
        Why::Defaults(role) => warning(
            "default_privileges",
            readable(role),
            format!("{shown} cannot set the default privileges of {}", readable(role)),
            join(role),
        ),
        Why::Database(owner) => warning(
            "database_privileges",
            "DATABASE",
            format!("{} owns the database on the target, and {shown} cannot set its privileges", readable(owner)),
            format!("ALTER DATABASE {} OWNER TO {own}", ident(&look.ends.target.database)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grantee_is_found_whatever_names_hold() {
        let role = |sql| grantee(sql);
        assert_eq!(role("GRANT SELECT ON TABLE s.\"a TO b\" TO c").as_deref(), Some("c"));
        assert_eq!(role("GRANT SELECT ON TABLE s.t TO \"a TO b\" WITH GRANT OPTION").as_deref(), Some("a TO b"));
        assert_eq!(role("REVOKE ALL ON SCHEMA s FROM \"o\"\"x\"").as_deref(), Some("o\"x"));
        assert_eq!(role("REVOKE ALL ON SCHEMA s FROM PUBLIC"), None);
        let defaults = "ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA s GRANT SELECT ON TABLES TO b";
        assert_eq!(role(defaults).as_deref(), Some("b"));
        assert_eq!(first_role("\"a b\" IN SCHEMA s GRANT"), "a b");
    }
}
