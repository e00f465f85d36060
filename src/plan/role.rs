//! Roles and memberships as tasks.
//!
//! Passwords are no part of a plan: the engine reads their hashes at run time where it may. Attributes that the connecting
//! role may be unable to give, and settings, stand in `optional_sql`, so that a target which refuses them still gets the role
//! (<https://www.postgresql.org/docs/current/sql-createrole.html>).

use super::build::{Builder, Inputs};
use super::{Phase, Task, kind};
use crate::catalog::{Membership, Role};
use crate::name::{ident, literal};
use std::collections::HashMap;

/// Settings whose stored value is a list of quoted names already; another quote would make it one name.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Pushes a task a role, a task a setting of it in this database, and a task a membership.
pub fn push(inputs: &Inputs<'_>, builder: &mut Builder) {
    let mut made: HashMap<&str, usize> = HashMap::new();
    for role in &inputs.catalog.roles {
        let at = builder.push(role_task(role), vec![]);
        made.insert(&role.name, at);
        builder.push_in_turn(setting_tasks(role), &[at]);
    }
    for membership in &inputs.catalog.memberships {
        let ends = [&membership.granted, &membership.member];
        let requires = ends.iter().filter_map(|name| made.get(name.as_str()).copied()).collect();
        let member = inputs.catalog.roles.iter().find(|role| role.name == membership.member);
        builder.push(membership_task(membership, member), requires);
    }
}

fn role_task(role: &Role) -> Task {
    let mut task = Task::new(Phase::Roles, kind::ROLE, "", &role.name);
    let word = |on: bool, word: &str| format!("{}{word}", if on { "" } else { "NO" });
    let name = ident(&role.name);
    let mut create = vec![
        format!("CREATE ROLE {name}"),
        word(role.inherits, "INHERIT"),
        word(role.can_create_roles, "CREATEROLE"),
        word(role.can_login, "LOGIN"),
    ];
    create.extend((role.connection_limit >= 0).then(|| format!("CONNECTION LIMIT {}", role.connection_limit)));
    create.extend(role.valid_until.as_ref().map(|until| format!("VALID UNTIL {}", literal(until).trim_start())));
    let comment = role.comment.as_ref().map(|comment| format!("COMMENT ON ROLE {name} IS {}", literal(comment)));
    task.target_sql = std::iter::once(create.join(" ")).chain(comment).collect::<Vec<_>>().join(";\n");
    // Settings go with the role, so that a role which the target has already keeps its own.
    let settings =
        role.settings.iter().filter_map(|stored| setting(stored)).map(|set| format!("ALTER ROLE {name} SET {set}"));
    let attributes = refusable_attributes(role).map(|list| format!("ALTER ROLE {name}{list}"));
    task.optional_sql = attributes.into_iter().chain(settings).collect::<Vec<_>>().join(";\n");
    task.source_sql = format!("SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = {}", literal(&role.name));
    task
}

/// The attributes that only a superuser gives, or from 16 on only a role that has them itself.
fn refusable_attributes(role: &Role) -> Option<String> {
    let attributes = [
        (role.can_create_databases, " CREATEDB"),
        (role.is_superuser, " SUPERUSER"),
        (role.is_replication, " REPLICATION"),
        (role.bypasses_row_security, " BYPASSRLS"),
    ];
    let list: String = attributes.into_iter().filter(|(on, _)| *on).map(|(_, word)| word).collect();
    (!list.is_empty()).then_some(list)
}

fn setting_tasks(role: &Role) -> impl Iterator<Item = Task> {
    let name = ident(&role.name);
    role.database_settings.iter().filter_map(|stored| setting(stored)).map(move |set| {
        let mut task = Task::new(Phase::Roles, "role setting", "", &role.name);
        let (name, set) = (name.replace('%', "%%"), set.replace('%', "%%"));
        let sql = format!("ALTER ROLE {name} IN DATABASE %I SET {set}");
        task.optional_sql = in_this_database(&sql);
        task
    })
}

/// A statement about the database that it runs in, whose name on the target a plan does not know.
pub(super) fn in_this_database(format: &str) -> String {
    let body = format!(
        "BEGIN EXECUTE pg_catalog.format({}, pg_catalog.current_database()); END",
        literal(format).trim_start()
    );
    format!("DO {}", literal(&body).trim_start())
}

/// `name=value` of the catalog as the words behind SET.
pub(super) fn setting(stored: &str) -> Option<String> {
    let (name, value) = stored.split_once('=')?;
    let quoted = if LISTS.contains(&name) && !value.is_empty() {
        value.to_owned()
    } else {
        literal(value).trim_start().to_owned()
    };
    // Names of extensions' settings have a dot, which is no part of an identifier here.
    let name = name.split('.').map(ident).collect::<Vec<_>>().join(".");
    Some(format!("{name} TO {quoted}"))
}

/// A membership. Its options are written only where they are not what the server takes by itself, for servers before 16 know none.
fn membership_task(membership: &Membership, of: Option<&Role>) -> Task {
    let Membership { granted, member, .. } = membership;
    let mut task = Task::new(Phase::Roles, "membership", "", format!("{granted} to {member}"));
    let grant = format!("GRANT {} TO {}", ident(granted), ident(member));
    task.target_sql = if membership.admin { format!("{grant} WITH ADMIN OPTION") } else { grant.clone() };
    if let (Some(inherit), Some(set)) = (membership.inherit, membership.set)
        && (!set || of.is_none_or(|member| member.inherits != inherit))
    {
        let word = |on| if on { "TRUE" } else { "FALSE" };
        task.optional_sql = format!("{grant} WITH INHERIT {}, SET {}", word(inherit), word(set));
    }
    task
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_own_quotes() {
        assert_eq!(setting("search_path=\"$user\", public").unwrap(), "\"search_path\" TO \"$user\", public");
        assert_eq!(setting("work_mem=5MB").unwrap(), "\"work_mem\" TO '5MB'");
        assert_eq!(setting("my.option=it's").unwrap(), "\"my\".\"option\" TO 'it''s'");
    }
}
