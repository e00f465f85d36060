//! The roles that a migration makes if the configuration chooses those that are needed.
//!
//! Needed are the roles that objects in scope name, the members of these, which have access to the objects through them, and the roles that
//! these are members of. Other memberships of a role of another database do not count. Called by `role`; pure.

use super::inputs::Inputs;
use super::large_object::moves_large_objects;
use crate::catalog::Oid;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::role_use::{PG_LARGEOBJECT, PG_USER_MAPPING, Part, RoleUse};
use crate::catalog::scope::is_whole;
use crate::config::RolesMode;
use std::collections::{HashMap, HashSet};

/// The names of the roles in scope.
pub fn select<'a>(inputs: &'a Inputs<'_>) -> HashSet<&'a str> {
    match inputs.options.scope.roles {
        RolesMode::None => HashSet::new(),
        RolesMode::All => inputs.catalog.roles.iter().map(|role| role.name.as_str()).collect(),
        RolesMode::Needed => needed(inputs),
    }
}

fn needed<'a>(inputs: &'a Inputs<'_>) -> HashSet<&'a str> {
    let named = named(inputs);
    let memberships = &inputs.catalog.memberships;
    let (mut members, mut groups): (Links<'_>, Links<'_>) = (HashMap::new(), HashMap::new());
    for one in memberships {
        members.entry(&one.granted).or_default().push(&one.member);
        groups.entry(&one.member).or_default().push(&one.granted);
    }
    let mut all = closure(&named, &members);
    all.extend(closure(&named, &groups));
    // The grantors of the memberships among them.
    let mut count = 0;
    while count < all.len() {
        count = all.len();
        let inside =
            memberships.iter().filter(|one| all.contains(one.granted.as_str()) && all.contains(one.member.as_str()));
        let grantors: Vec<&str> = inside.filter_map(|one| one.grantor.as_deref()).collect();
        all.extend(grantors);
    }
    all
}

/// Roles by role.
type Links<'a> = HashMap<&'a str, Vec<&'a str>>;

/// All roles that can be reached by links, and those with which they begin.
fn closure<'a>(first: &HashSet<&'a str>, links: &Links<'a>) -> HashSet<&'a str> {
    let mut found = first.clone();
    let mut open: Vec<&str> = first.iter().copied().collect();
    while let Some(role) = open.pop() {
        open.extend(links.get(role).into_iter().flatten().filter(|next| found.insert(next)));
    }
    found
}

/// The roles that objects in scope name.
fn named<'a>(inputs: &'a Inputs<'_>) -> HashSet<&'a str> {
    let (catalog, options) = (inputs.catalog, inputs.options.scope);
    let is_whole = is_whole(inputs.options.scope);
    let objects: HashSet<(Oid, Oid)> = inputs.entries().map(|entry| (entry.catalog, entry.oid)).collect();
    let with_large_objects = moves_large_objects(inputs.options.scope);
    // The archive does not name a user mapping by its OID.
    let mapped = |role: &str| {
        let begin = format!("USER MAPPING {role} SERVER ");
        inputs.entries().any(|entry| entry.kind == ObjectKind::UserMapping && entry.tag.starts_with(&begin))
    };
    let is_moved = |one: &RoleUse| match one.catalog {
        PG_LARGEOBJECT => with_large_objects,
        PG_USER_MAPPING => mapped(&one.role),
        // Objects that extensions have made, with privileges that users have granted, have no entry of their own.
        catalog => objects.contains(&(catalog, one.oid)) || is_whole && one.part == Part::Privileges,
    };
    let is_wanted = |one: &RoleUse| match one.part {
        Part::Owner => options.owners || one.catalog == PG_USER_MAPPING,
        Part::Privileges => options.privileges,
        Part::Policy => true,
    };
    let uses = catalog.role_uses.iter().filter(|one| is_wanted(one) && is_moved(one));
    let mut found: HashSet<&str> = uses.map(|one| one.role.as_str()).collect();
    if options.owners {
        let entries = inputs.entries().filter(|entry| entry.owner_statement().is_some());
        found.extend(entries.map(|entry| entry.owner.as_str()));
    }
    if options.privileges {
        let defaults = inputs.entries().filter(|entry| entry.kind == ObjectKind::DefaultAcl);
        found.extend(defaults.map(|entry| entry.owner.as_str()));
    }
    if is_whole {
        let database = &catalog.database;
        found.extend(options.owners.then_some(database.owner.as_str()));
        let grants = database.grants.iter().filter(|_| options.privileges);
        found.extend(grants.flat_map(|grant| [&grant.grantee, &grant.grantor]).filter_map(Option::as_deref));
        found.extend(
            catalog.roles.iter().filter(|role| !role.database_settings.is_empty()).map(|role| role.name.as_str()),
        );
    }
    found
}
