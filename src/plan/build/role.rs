//! Roles and memberships as tasks.
//!
//! Passwords are no part of a plan: the engine reads their hashes at run time if it may. Attributes that the connecting role may be unable
//! to set, and settings, are in `optional_sql`, so that a target that refuses them still gets the role
//! (<https://www.postgresql.org/docs/current/sql-createrole.html>).

use super::builder::Builder;
use super::inputs::Inputs;
use super::role_scope;
use crate::catalog::{Membership, Role};
use crate::config::RolesMode;
use crate::finding::{Finding, Severity};
use crate::name::{ident, literal};
use crate::plan::setting::{finding, in_this_database, is_carried_over, of_role, parameter, setting, verbatim};
use crate::plan::{MemberOf, Phase, Subject, Task, TaskKind, WITH_ADMIN};
use std::collections::{HashMap, HashSet};

/// Adds a task for each role, for each setting of a role in this database, and for each membership.
pub fn push(inputs: &Inputs<'_>, builder: &mut Builder) {
    let mut made: HashMap<&str, usize> = HashMap::new();
    let scope = role_scope::select(inputs);
    for role in inputs.catalog.roles.iter().filter(|role| scope.contains(role.name.as_str())) {
        let at = builder.push(role_task(role), vec![]);
        made.insert(&role.name, at);
        builder.push_in_turn(setting_tasks(role), &[at]);
    }
    push_memberships(inputs, builder, &made, &scope);
    if inputs.options.scope.privileges {
        push_parameters(inputs, builder, &made);
    }
    builder.findings.extend(left_out(inputs, &made));
}

/// The memberships, each after the one that gives its grantor the right to grant it.
fn push_memberships(inputs: &Inputs<'_>, builder: &mut Builder, made: &HashMap<&str, usize>, scope: &HashSet<&str>) {
    let inherits: HashMap<&str, bool> =
        inputs.catalog.roles.iter().map(|role| (role.name.as_str(), role.inherits)).collect();
    let mut administered: HashMap<(&str, &str), usize> = HashMap::new();
    // A role that is not migrated exists already, such as a predefined one.
    let is_there = |role: &str| inputs.options.scope.roles == RolesMode::All || role.starts_with("pg_");
    let is_moved = |one: &&Membership| {
        let granted = one.granted.as_str();
        made.contains_key(one.member.as_str()) && (scope.contains(granted) || is_there(granted))
    };
    for membership in in_order(inputs.catalog.memberships.iter().filter(is_moved)) {
        let (granted, member) = (membership.granted.as_str(), membership.member.as_str());
        let of_grantor = membership.grantor.as_deref().map(|grantor| (granted, grantor));
        let mut requires: Vec<usize> = [granted, member].iter().filter_map(|name| made.get(name).copied()).collect();
        requires.extend(membership.grantor.as_deref().and_then(|grantor| made.get(grantor)));
        let at = builder.push(membership_task(membership, inherits.get(member).copied()), requires);
        // Without it the target can still make the membership, granted by another role.
        builder.wait_for(at, of_grantor.and_then(|key| administered.get(&key).copied()));
        if membership.admin {
            administered.entry((granted, member)).or_insert(at);
        }
    }
}

/// Memberships in an order in which a grantor's own one, with ADMIN OPTION, is before those that it granted.
fn in_order<'a>(memberships: impl Iterator<Item = &'a Membership>) -> Vec<&'a Membership> {
    let mut administered: HashSet<(&str, &str)> = HashSet::new();
    let mut waiting: HashMap<(&str, &str), Vec<&Membership>> = HashMap::new();
    let mut all = Vec::new();
    for membership in memberships {
        let mut open = vec![membership];
        while let Some(next) = open.pop() {
            let key = next.grantor.as_deref().map(|grantor| (next.granted.as_str(), grantor));
            if let Some(key) = key.filter(|key| !administered.contains(key)) {
                waiting.entry(key).or_default().push(next);
                continue;
            }
            all.push(next);
            let own = (next.granted.as_str(), next.member.as_str());
            if next.admin && administered.insert(own) {
                open.extend(waiting.remove(&own).unwrap_or_default().into_iter().rev());
            }
        }
    }
    // Grantors whose own membership is not moved, such as a provider's roles.
    let mut left: Vec<&Membership> = waiting.into_values().flatten().collect();
    left.sort_by_key(|one| (&one.granted, &one.member, &one.grantor));
    all.extend(left);
    all
}

/// Privileges of the plan's roles on configuration parameters, which servers before 15 do not have.
fn push_parameters(inputs: &Inputs<'_>, builder: &mut Builder, made: &HashMap<&str, usize>) {
    for grant in &inputs.catalog.parameter_grants {
        let Some((name, &role)) = grant.grantee.as_deref().and_then(|name| made.get_key_value(name)) else { continue };
        let mut task = Task::new(Phase::Roles, "parameter privilege", "", format!("{} for {name}", grant.parameter));
        let option = if grant.is_grantable { " WITH GRANT OPTION" } else { "" };
        task.optional_sql = format!(
            "GRANT {} ON PARAMETER {} TO {}{option}",
            grant.privilege,
            parameter(&grant.parameter),
            ident(name)
        );
        builder.push(task, vec![role]);
    }
}

/// The settings of the roles, and of all roles, that are left out.
fn left_out(inputs: &Inputs<'_>, made: &HashMap<&str, usize>) -> Vec<Finding> {
    let of_role = |role: &&Role| -> Vec<Finding> {
        let [always, here] = of_role(&role.name);
        let own = role.settings.iter().filter_map(|stored| finding(&role.name, stored, &always));
        own.chain(role.database_settings.iter().filter_map(|stored| finding(&role.name, stored, &here))).collect()
    };
    let of_all = inputs.catalog.parameter_grants.iter().filter(|grant| grant.grantee.is_none()).map(|grant| {
        let sql = format!("GRANT {} ON PARAMETER {} TO PUBLIC", grant.privilege, parameter(&grant.parameter));
        let message = format!("{sql} is not carried over: it would change every database of the target");
        Finding::new("parameter_left_out", Severity::Warning, "PUBLIC", message, format!("run on the target: {sql}"))
    });
    let roles: Vec<&Role> = inputs.catalog.roles.iter().filter(|role| made.contains_key(role.name.as_str())).collect();
    roles.iter().flat_map(of_role).chain(of_all).collect()
}

fn role_task(role: &Role) -> Task {
    let mut task = Task::new(Phase::Roles, TaskKind::Role, "", &role.name);
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
    // Settings are set with the role, so that a role that the target has already keeps its own.
    let settings = carried_over(&role.settings).map(|set| format!("ALTER ROLE {name} SET {set}"));
    let attributes = refusable_attributes(role).map(|attribute| format!("ALTER ROLE {name} {attribute}"));
    task.optional_sql = attributes.chain(settings).collect::<Vec<_>>().join(";\n");
    task.source_sql = format!("SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = {}", literal(&role.name));
    task
}

/// The attributes that only a superuser can set, or from 16 on only a role that has them itself; a target may refuse each of them.
fn refusable_attributes(role: &Role) -> impl Iterator<Item = &'static str> + use<> {
    let attributes = [
        (role.can_create_databases, "CREATEDB"),
        (role.is_superuser, "SUPERUSER"),
        (role.is_replication, "REPLICATION"),
        (role.bypasses_row_security, "BYPASSRLS"),
    ];
    attributes.into_iter().filter(|(on, _)| *on).map(|(_, word)| word)
}

fn carried_over(stored: &[String]) -> impl Iterator<Item = String> + use<'_> {
    stored.iter().filter(|stored| is_carried_over(stored)).filter_map(|stored| setting(stored))
}

fn setting_tasks(role: &Role) -> impl Iterator<Item = Task> {
    let name = ident(&role.name);
    carried_over(&role.database_settings).map(move |set| {
        let mut task = Task::new(Phase::Roles, "role setting", "", &role.name);
        let (name, set) = (verbatim(&name), verbatim(&set));
        let sql = format!("ALTER ROLE {name} IN DATABASE %I SET {set}");
        task.optional_sql = in_this_database(&sql);
        task
    })
}

/// A membership. `optional_sql` is the complete statement, as servers from 16 on support it; `target_sql` is the rest if the target
/// supports no options, or does not let the connecting role grant in the name of the grantor.
fn membership_task(membership: &Membership, inherits: Option<bool>) -> Task {
    let mut task = Task::new(Phase::Roles, TaskKind::Membership, "", membership_name(membership));
    let subject = MemberOf { granted: membership.granted.clone(), member: membership.member.clone() };
    let grant = subject.grant();
    task.target_sql = if membership.admin { format!("{grant}{WITH_ADMIN}") } else { grant.clone() };
    task.subject = Some(Subject::Membership(subject));
    let Some((inherit, set)) = membership.inherit.zip(membership.set) else { return task };
    let is_usual = set && inherits.is_none_or(|inherits| inherits == inherit);
    if !is_usual || membership.grantor.is_some() {
        let by =
            membership.grantor.as_ref().map(|grantor| format!(" GRANTED BY {}", ident(grantor))).unwrap_or_default();
        task.optional_sql = format!("{grant} WITH {}{by}", options(membership.admin, inherit, set));
    }
    task
}

/// The options of a membership as a statement has them.
fn options(admin: bool, inherit: bool, set: bool) -> String {
    let word = |on| if on { "TRUE" } else { "FALSE" };
    format!("ADMIN {}, INHERIT {}, SET {}", word(admin), word(inherit), word(set))
}

/// A membership of the target; there is one for each grantor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingMembership {
    /// WITH ADMIN.
    pub admin: bool,
    /// WITH INHERIT and WITH SET, from 16 on.
    pub inherit_and_set: Option<(bool, bool)>,
    /// Whether the member has INHERIT, which is the option's value if a GRANT does not specify it.
    pub member_inherits: bool,
    /// Who granted it, from 16 on; none for the bootstrap superuser.
    pub grantor: Option<String>,
    /// Whether the connecting role can grant in the name of any role; if not, a grant by another one is sufficient.
    pub may_choose_grantor: bool,
}

impl ExistingMembership {
    /// Whether it is equal to the one that a task makes.
    #[must_use]
    pub fn is_made_by(&self, task: &Task) -> bool {
        let has_admin = self.admin || !task.target_sql.ends_with(WITH_ADMIN);
        match self.inherit_and_set {
            Some(_) if self.may_choose_grantor && !self.has_grantor_of(task) => false,
            Some((inherit, set)) if !task.optional_sql.is_empty() => {
                task.optional_sql.contains(&format!(" WITH {}", options(self.admin, inherit, set)))
            }
            Some(found) => has_admin && found == (self.member_inherits, true),
            None => has_admin,
        }
    }

    fn has_grantor_of(&self, task: &Task) -> bool {
        match &self.grantor {
            Some(grantor) => task.optional_sql.ends_with(&format!(" GRANTED BY {}", ident(grantor))),
            None => !task.optional_sql.contains(" GRANTED BY "),
        }
    }
}

/// `target_sql` of a membership with the default options of servers from 16 on: for an existing membership, these servers leave options
/// unchanged that a GRANT does not specify.
#[must_use]
pub fn with_usual_options(task: &Task, member_inherits: bool) -> String {
    let grant = task.target_sql.strip_suffix(WITH_ADMIN);
    let inherit = if member_inherits { "TRUE" } else { "FALSE" };
    let admin = if grant.is_some() { "ADMIN TRUE, " } else { "" };
    format!("{} WITH {admin}INHERIT {inherit}, SET TRUE", grant.unwrap_or(&task.target_sql))
}

/// The name of a membership's task.
#[must_use]
pub fn membership_name(membership: &Membership) -> String {
    let by = membership.grantor.as_ref().map(|grantor| format!(" by {grantor}")).unwrap_or_default();
    format!("{} to {}{by}", membership.granted, membership.member)
}
