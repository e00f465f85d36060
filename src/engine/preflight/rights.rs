//! What the connecting role may do on the target: the roles for which it can act, the future owners of what the plan creates, and what
//! exists already.
//!
//! Read once for all checks of what the target refuses. Nothing here makes a finding.

use super::entry::entry_task;
use super::look::Look;
use crate::catalog::Oid;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::error::Result;
use crate::name::unquoted;
use crate::pg::Session;
use crate::pg::privileges::{self, Held};
use crate::pg::survey::{self, Identified, TargetRole};
use crate::plan::build::privilege;
use crate::plan::build::privilege::Place;
use crate::plan::{Task, TaskKind};
use std::collections::{HashMap, HashSet};

pub(super) struct Rights<'a> {
    pub(super) look: &'a Look<'a>,
    roles: HashMap<String, TargetRole>,
    planned: HashSet<&'a str>,
    /// Schemas with a role that may create objects there.
    creators: HashSet<(String, String)>,
    /// Existing objects of the target that the plan creates, comments on or sets privileges of.
    existing: HashMap<Place, Held>,
    /// The future owners of what the plan creates.
    made: HashMap<Place, String>,
    /// The source's identities of objects that only their identity names, by catalog and OID.
    identities: HashMap<(Oid, Oid), String>,
    /// The target's objects of that kind, by identity.
    identified: HashMap<String, Identified>,
}

impl<'a> Rights<'a> {
    pub(super) async fn ask(look: &'a Look<'a>) -> Result<Rights<'a>> {
        let target = look.subject.target;
        let roles = survey::roles(target).await?.into_iter().map(|role| (role.name.clone(), role)).collect();
        let planned = look.subject.plan.tasks.iter().filter(|task| task.kind == TaskKind::Role);
        let mut rights = Rights {
            look,
            roles,
            planned: planned.map(|task| task.name.as_str()).collect(),
            creators: HashSet::new(),
            existing: HashMap::new(),
            made: HashMap::new(),
            identities: HashMap::new(),
            identified: HashMap::new(),
        };
        if !look.ends.target.is_superuser {
            rights.creators = survey::creators(target).await?;
            rights.ask_existing().await?;
            rights.ask_identified().await?;
            rights.made = look.subject.plan.tasks.iter().filter_map(|task| rights.makes(task)).collect();
        }
        Ok(rights)
    }

    async fn ask_existing(&mut self) -> Result<()> {
        let tasks = &self.look.subject.plan.tasks;
        let commented = tasks
            .iter()
            .filter(|task| task.kind == ObjectKind::Comment)
            .filter_map(|task| task.name.strip_prefix("SCHEMA "));
        let commented = commented.map(|name| schema(unquoted(name)));
        let wanted = tasks.iter().filter(|task| task.kind != ObjectKind::DefaultAcl).filter_map(privilege::place);
        let wanted: HashSet<Place> = wanted.map(of_table).chain(commented).collect();
        self.existing = held(self.look.subject.target, &wanted)
            .await?
            .into_iter()
            .filter_map(|(place, held)| Some((place, held.into_iter().next()?)))
            .collect();
        Ok(())
    }

    async fn ask_identified(&mut self) -> Result<()> {
        if self.look.entries().any(|entry| entry.kind.needs_identity()) {
            let on_source = survey::identified(self.look.leader()).await?.into_iter();
            self.identities = on_source.map(|object| ((object.catalog, object.oid), object.identity)).collect();
            let on_target = survey::identified(self.look.subject.target).await?.into_iter();
            self.identified = on_target.map(|object| (object.identity.clone(), object)).collect();
        }
        Ok(())
    }

    /// The target's counterpart of an entry's object, where only its identity names the object.
    pub(super) fn identified(&self, entry: &Entry) -> Option<&Identified> {
        let identity = self.identities.get(&(entry.catalog, entry.oid))?;
        self.identified.get(identity)
    }

    /// Whether what an entry creates exists on the target already. The archive of the target does not list what extensions have created
    /// there.
    pub(super) fn keeps(&self, entry: &Entry) -> bool {
        self.is_kept(&entry_task(entry)) || self.identified(entry).is_some_and(|object| !object.is_member)
    }

    /// The object that a task creates, with its owner.
    fn makes(&self, task: &Task) -> Option<(Place, String)> {
        let place = privilege::place(task).filter(|_| !privilege::is_acl(task))?;
        if self.existing.contains_key(&place) {
            return None;
        }
        let me = &self.look.ends.target.role;
        let owner = owner_of(task).filter(|owner| self.why_not_owner(owner, task).is_none());
        Some((place, owner.unwrap_or_else(|| me.clone())))
    }

    /// The role of the target, where it exists there.
    pub(super) fn role(&self, name: &str) -> Option<&TargetRole> {
        self.roles.get(name)
    }

    pub(super) fn is_planned(&self, role: &str) -> bool {
        self.planned.contains(role)
    }

    /// Whether the role exists once the plan's roles are created.
    pub(super) fn will_exist(&self, role: &str) -> bool {
        let target = &self.look.ends.target;
        self.roles.contains_key(role) || self.is_planned(role) && (target.is_superuser || target.can_create_roles)
    }

    /// Whether SET ROLE to it is allowed. The role that creates another is not a member of it, in any version.
    pub(super) fn may_become(&self, role: &str) -> bool {
        let target = &self.look.ends.target;
        target.is_superuser && self.will_exist(role) || self.roles.get(role).is_some_and(|role| role.may_set)
    }

    /// Whether the connecting role has the privileges of the role without SET ROLE.
    pub(super) fn acts_for(&self, role: &str) -> bool {
        self.look.ends.target.is_superuser || self.roles.get(role).is_some_and(|role| role.has_privileges)
    }

    /// Whether memberships have options on the target.
    pub(super) fn has_options(&self) -> bool {
        self.look.ends.target.version.has_membership_options()
    }

    /// Whether other roles can be made members of the role.
    pub(super) fn may_grant(&self, role: &str) -> bool {
        let target = &self.look.ends.target;
        match self.roles.get(role) {
            _ if target.is_superuser => true,
            None => self.will_exist(role),
            Some(role) if role.is_superuser => false,
            Some(role) => role.is_admin || !target.version.has_membership_options() && target.can_create_roles,
        }
    }

    /// Whether the role can be altered: from 16 on this also requires ADMIN OPTION, which the creator of a role has.
    pub(super) fn may_alter(&self, role: &str) -> bool {
        let target = &self.look.ends.target;
        let is_other =
            |role: &TargetRole| !target.version.has_membership_options() && !role.is_superuser || role.is_admin;
        target.is_superuser
            || role == target.role
            || target.can_create_roles && self.roles.get(role).is_none_or(is_other)
    }

    /// Why the target will not give the object that a task creates to its owner.
    pub(super) fn why_not_owner(&self, owner: &str, task: &Task) -> Option<&'static str> {
        let target = &self.look.ends.target;
        match self.roles.get(owner) {
            Some(role) if !role.may_set => Some("the connecting role is not a member of it"),
            Some(_) if target.is_superuser => None,
            Some(_) if !self.owns_existing(task) => Some("the connecting role does not own the schema"),
            Some(role) => {
                let may_create = role.is_superuser || self.may_create(owner, &task.schema);
                (!may_create).then_some("it may not create objects in their schema")
            }
            None if !self.is_planned(owner) => Some("the target lacks this role"),
            None => (!target.is_superuser).then_some("the connecting role will not be a member of it"),
        }
    }

    /// Whether the connecting role may give away an existing schema.
    fn owns_existing(&self, task: &Task) -> bool {
        let place = privilege::place(task).filter(|_| task.kind == ObjectKind::Schema);
        place.and_then(|place| self.existing.get(&place)).is_none_or(|held| self.acts_for(&held.owner))
    }

    /// Whether the new owner of an object may create objects in its schema; a new schema's owner may.
    fn may_create(&self, owner: &str, schema: &str) -> bool {
        let place = self::schema(schema.to_owned());
        if schema.is_empty() || self.creators.contains(&(schema.to_owned(), owner.to_owned())) {
            return true;
        }
        let makes = |task: &&Task| task.kind == ObjectKind::Schema && task.name == schema;
        let of_new = self.look.subject.plan.tasks.iter().find(makes).and_then(owner_of);
        !self.existing.contains_key(&place) && of_new.is_some_and(|of_new| of_new == owner)
    }

    /// The owner of an object when its privileges are set; none where it is not known.
    pub(super) fn owner(&self, place: &Place) -> Option<&str> {
        let place = of_table(place.clone());
        let made = self.made.get(&place).map(String::as_str);
        made.or_else(|| self.existing.get(&place).map(|held| held.owner.as_str()))
    }

    /// Whether what a task creates exists on the target already: such an object is kept as it is.
    pub(super) fn is_kept(&self, task: &Task) -> bool {
        // The schema public, which no statement creates, is given to its owner.
        let is_public = task.kind == ObjectKind::Schema && task.target_sql.starts_with("--");
        let place = privilege::place(task).filter(|_| !is_public && !privilege::is_acl(task));
        place.is_some_and(|place| self.existing.contains_key(&place))
    }

    /// The future owner of what a task creates, where the connecting role does not act for that role.
    pub(super) fn given_away(&self, task: &Task) -> Option<&str> {
        let place = privilege::place(task).filter(|_| !privilege::is_acl(task))?;
        self.made.get(&place).map(String::as_str).filter(|owner| !self.acts_for(owner))
    }

    /// The properties of an object that exists on the target.
    pub(super) fn existing(&self, place: &Place) -> Option<&Held> {
        self.existing.get(place)
    }
}

/// The properties of the objects on a server, several where a name is ambiguous: read by one statement, however many objects there are.
pub(super) async fn held(session: &Session, wanted: &HashSet<Place>) -> Result<HashMap<Place, Vec<Held>>> {
    let mut found: HashMap<Place, Vec<Held>> = HashMap::new();
    if !wanted.is_empty() {
        let take = |held: Held| {
            if wanted.contains(&held.place) {
                found.entry(held.place.clone()).or_default().push(held);
            }
        };
        privileges::each(session, take).await?;
    }
    Ok(found)
}

/// A schema.
pub(super) fn schema(name: String) -> Place {
    Place { class: "SCHEMA".into(), schema: String::new(), name }
}

/// Only the owner of its table grants a column's privileges.
fn of_table(place: Place) -> Place {
    if place.class == "COLUMN" { Place { class: "TABLE".into(), ..place } } else { place }
}

/// The owner that a task's statements name.
pub(super) fn owner_of(task: &Task) -> Option<String> {
    let (_, owner) = task.optional_sql.trim_end().trim_end_matches(';').rsplit_once(" OWNER TO ")?;
    Some(unquoted(owner))
}
