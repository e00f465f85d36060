//! Roles: those that the target lacks, those that cannot get the properties that they have on the source, and those whose objects will have
//! another owner.

use super::entry::entry_label;
use super::entry::label;
use super::look::{blocking, list, warning};
use super::rights::{Rights, owner_of};
use crate::catalog::Role;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::role_use::{PG_USER_MAPPING, Part};
use crate::catalog::scope::is_whole;
use crate::config::RolesMode;
use crate::error::Result;
use crate::finding::Finding;
use crate::name::{ident, readable};
use crate::pg::introspect;
use crate::pg::survey::TargetRole;
use crate::plan::{Task, TaskKind};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Tasks by the role that they name.
type ByRole = BTreeMap<String, BTreeSet<String>>;

/// The findings; `missing` are the tasks whose privileges name roles that will not exist.
pub(super) async fn check(rights: &Rights<'_>, missing: ByRole) -> Result<Vec<Finding>> {
    let roles = Roles { rights };
    let mut findings = roles.cannot_be_made();
    findings.extend(roles.passwords());
    findings.extend(roles.attributes());
    findings.extend(roles.owners());
    findings.extend(roles.given_away());
    findings.extend(roles.missing(missing));
    findings.extend(roles.database_owner().await?);
    Ok(findings)
}

/// Whether a task requires the privileges of the owner of what it depends on.
fn is_for_owners(task: &Task) -> bool {
    match &task.kind {
        TaskKind::Entry(kind) => kind.is_part() && !kind.is_about_another() && *kind != ObjectKind::PublicationTable,
        kind => matches!(kind, TaskKind::Data | TaskKind::Refresh | TaskKind::SequenceValue),
    }
}

struct Roles<'a> {
    rights: &'a Rights<'a>,
}

impl Roles<'_> {
    /// The source's roles that the plan creates.
    fn new_ones(&self) -> impl Iterator<Item = &Role> {
        let roles = self.rights.look.subject.catalog.roles.iter();
        roles.filter(|role| self.rights.is_planned(&role.name) && self.rights.role(&role.name).is_none())
    }

    fn cannot_be_made(&self) -> Vec<Finding> {
        let target = &self.rights.look.ends.target;
        if target.is_superuser || target.can_create_roles {
            return Vec::new();
        }
        let message = format!("the target lacks it, and the role {} may not create roles", readable(&target.role));
        let remedy = |role: &Role| {
            format!(
                "ALTER ROLE {} CREATEROLE, or CREATE ROLE {} there beforehand, or set roles.mode to none",
                ident(&target.role),
                ident(&role.name)
            )
        };
        self.new_ones()
            .map(|role| blocking("role_creation", readable(&role.name), message.clone(), remedy(role)))
            .collect()
    }

    fn passwords(&self) -> Option<Finding> {
        let new: Vec<String> = self.new_ones().filter(|role| role.can_login).map(|role| readable(&role.name)).collect();
        if self.rights.look.ends.source_instance.reads_passwords || new.is_empty() {
            return None;
        }
        let message = format!(
            "password hashes cannot be read on the source: these roles are created without a password: {}",
            list(&new)
        );
        Some(warning(
            "role_passwords",
            "",
            message,
            "connect to the source as a superuser, or set their passwords on the target",
        ))
    }

    /// Attributes that only a role which has them can give.
    fn attributes(&self) -> Vec<Finding> {
        let target = &self.rights.look.ends.target;
        if target.is_superuser {
            return Vec::new();
        }
        let own = self.rights.role(&target.role);
        let may_pass_on = target.version.passes_role_attributes_on();
        let has = |attribute: fn(&TargetRole) -> bool| may_pass_on && own.is_some_and(attribute);
        let new = self.new_ones().filter_map(|role| {
            let words = [
                (role.can_create_databases && may_pass_on && !has(|own| own.can_create_databases), "CREATEDB"),
                (role.is_superuser, "SUPERUSER"),
                (role.is_replication && !has(|own| own.is_replication), "REPLICATION"),
                (role.bypasses_row_security && !has(|own| own.bypasses_row_security), "BYPASSRLS"),
            ];
            let lost: Vec<&str> = words.into_iter().filter(|(is_lost, _)| *is_lost).map(|(_, word)| word).collect();
            (!lost.is_empty()).then(|| {
                let remedy =
                    format!("have a superuser run ALTER ROLE {} {} on the target", ident(&role.name), lost.join(" "));
                let message = format!("it is created without {}, which only a superuser can grant", lost.join(", "));
                let objects = vec![format!("role {}", role.name)];
                Finding { objects, ..warning("role_attributes", readable(&role.name), message, remedy) }
            })
        });
        new.collect()
    }

    /// Owners to which the target cannot give objects; these objects will belong to the connecting role.
    fn owners(&self) -> Vec<Finding> {
        let target = &self.rights.look.ends.target;
        let mut refused: BTreeMap<(String, &str), Vec<String>> = BTreeMap::new();
        for task in &self.rights.look.subject.plan.tasks {
            let Some(owner) = owner_of(task).filter(|_| !self.rights.is_kept(task)) else { continue };
            if let Some(why) = self.rights.why_not_owner(&owner, task) {
                refused.entry((owner, why)).or_default().push(label(task));
            }
        }
        let finding = |((owner, why), objects): ((String, &str), Vec<String>)| {
            let message = format!(
                "{why}: {} of its objects will belong to {} on the target",
                objects.len(),
                readable(&target.role)
            );
            let remedy = if self.rights.role(&owner).is_some() {
                format!("GRANT {} TO {}", ident(&owner), ident(&target.role))
            } else {
                format!("CREATE ROLE {0}; GRANT {0} TO {1}", ident(&owner), ident(&target.role))
            };
            Finding { objects, ..warning("owner", readable(&owner), message, remedy) }
        };
        refused.into_iter().map(finding).collect()
    }

    /// What is done with an object once it belongs to a role that the connecting role can set, and whose privileges it does not inherit.
    fn given_away(&self) -> Vec<Finding> {
        let tasks = &self.rights.look.subject.plan.tasks;
        let owners: HashMap<&str, &str> =
            tasks.iter().filter_map(|task| Some((task.id.as_str(), self.rights.given_away(task)?))).collect();
        let mut refused: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for task in tasks.iter().filter(|task| is_for_owners(task)) {
            if let Some(owner) = task.requires.iter().find_map(|id| owners.get(id.as_str())) {
                refused.entry(owner).or_default().insert(label(task));
            }
        }
        let me = &self.rights.look.ends.target.role;
        let finding = |(owner, objects): (&str, BTreeSet<String>)| {
            let message = format!(
                "their tables will belong to {}, whose privileges {} does not have: these will fail",
                readable(owner),
                readable(me)
            );
            // Before 16 a role inherits all that it is a member of, or nothing.
            let remedy = if self.rights.has_options() {
                format!("GRANT {} TO {} WITH INHERIT TRUE", ident(owner), ident(me))
            } else {
                format!("ALTER ROLE {} INHERIT", ident(me))
            };
            warning("owner_privileges", readable(owner), message, remedy).of(objects.into_iter().collect())
        };
        refused.into_iter().map(finding).collect()
    }

    /// The owner of the database, which a plan does not change. A superuser has all rights on it anyway.
    async fn database_owner(&self) -> Result<Option<Finding>> {
        let (catalog, scope) = (self.rights.look.subject.catalog, self.rights.look.subject.options.plan.scope);
        let owner = catalog.database.owner.as_str();
        let is_mighty = catalog.roles.iter().find(|role| role.name == owner).is_none_or(|role| role.is_superuser);
        if is_mighty || !is_whole(scope) || scope.data_only {
            return Ok(None);
        }
        let on_target = introspect::database(self.rights.look.subject.target).await?.owner;
        let message = format!(
            "the database belongs to {} on the source and to {} on the target, where {} will lack an owner's rights on it \
             and on the schema public",
            readable(owner),
            readable(&on_target),
            readable(owner)
        );
        let remedy = format!("on the target: ALTER DATABASE :\"DBNAME\" OWNER TO {}", ident(owner));
        Ok((on_target != owner).then(|| warning("database_owner", "DATABASE", message, remedy)))
    }

    /// Roles that privileges, policies or user mappings name and that no task makes.
    fn missing(&self, mut missing: ByRole) -> Vec<Finding> {
        let look = self.rights.look;
        let entries: HashMap<(u32, u32), &Entry> =
            look.entries().filter(|entry| entry.oid != 0).map(|entry| ((entry.catalog, entry.oid), entry)).collect();
        let is_named = |part: Part, catalog: u32| part == Part::Policy || catalog == PG_USER_MAPPING;
        let mappings: Vec<&Entry> = look.entries().filter(|entry| entry.kind == ObjectKind::UserMapping).collect();
        for one in look.subject.catalog.role_uses.iter().filter(|one| is_named(one.part, one.catalog)) {
            if self.rights.will_exist(&one.role) {
                continue;
            }
            let begin = format!("USER MAPPING {} SERVER ", one.role);
            let mapping =
                mappings.iter().filter(|entry| one.catalog == PG_USER_MAPPING && entry.tag.starts_with(&begin));
            let named = entries.get(&(one.catalog, one.oid)).into_iter().chain(mapping);
            let labels: Vec<String> = named.map(|entry| entry_label(entry)).collect();
            if !labels.is_empty() {
                missing.entry(one.role.to_string()).or_default().extend(labels);
            }
        }
        let is_off = look.subject.options.plan.scope.roles == RolesMode::None;
        let findings = missing.into_iter().map(|(role, objects)| {
            let message = format!(
                "the target lacks this role: privileges or policies of {} objects name it and will fail",
                objects.len()
            );
            let or = if is_off { ", or set roles.mode to needed" } else { "" };
            let remedy = format!("CREATE ROLE {} on the target{or}", ident(&role));
            let objects = objects.into_iter().collect();
            Finding { objects, ..warning("role_missing", readable(&role), message, remedy) }
        });
        findings.collect()
    }
}
