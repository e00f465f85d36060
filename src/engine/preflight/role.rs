//! Roles: which the target lacks, which cannot be given what they had, and whose objects will have another owner.

use super::{Look, blocking, list, warning};
use crate::catalog::Role;
use crate::catalog::scope::is_whole;
use crate::config::RolesMode;
use crate::error::Result;
use crate::finding::Finding;
use crate::name::{ident, readable};
use crate::pg::introspect;
use crate::pg::survey::{self, TargetRole};
use crate::plan::kind;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

const PG_LARGEOBJECT: u32 = 2613;

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let on_target = survey::roles(look.subject.target).await?;
    let planned = look.subject.plan.tasks.iter().filter(|task| task.kind == kind::ROLE).map(|task| task.name.as_str());
    let roles = Roles {
        look,
        on_target: on_target.iter().map(|role| (role.name.as_str(), role)).collect(),
        planned: planned.collect(),
    };
    let mut findings = roles.cannot_be_made();
    findings.extend(roles.passwords());
    findings.extend(roles.attributes());
    findings.extend(roles.owners());
    findings.extend(roles.missing_grantees().await?);
    findings.extend(roles.database_owner().await?);
    Ok(findings)
}

struct Roles<'a> {
    look: &'a Look<'a>,
    on_target: HashMap<&'a str, &'a TargetRole>,
    planned: HashSet<&'a str>,
}

impl Roles<'_> {
    /// The source's roles that the plan makes anew.
    fn new_ones(&self) -> impl Iterator<Item = &Role> {
        let roles = self.look.subject.catalog.roles.iter();
        roles.filter(|role| {
            self.planned.contains(role.name.as_str()) && !self.on_target.contains_key(role.name.as_str())
        })
    }

    fn cannot_be_made(&self) -> Vec<Finding> {
        let target = &self.look.ends.target;
        if target.is_superuser || target.can_create_roles {
            return Vec::new();
        }
        let message = format!("the target lacks it, and the role {} may not make roles", readable(&target.role));
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
        if self.look.ends.source_instance.reads_passwords || new.is_empty() {
            return None;
        }
        let message = format!(
            "password hashes may not be read on the source: these roles come without a password: {}",
            list(&new)
        );
        Some(warning(
            "role_passwords",
            "",
            message,
            "connect to the source as a superuser, or set their passwords on the target",
        ))
    }

    /// Attributes that only somebody who has them can give.
    fn attributes(&self) -> Vec<Finding> {
        let target = &self.look.ends.target;
        if target.is_superuser {
            return Vec::new();
        }
        let own = self.on_target.get(target.role.as_str());
        let may_pass_on = target.version >= 160_000;
        let has = |attribute: fn(&TargetRole) -> bool| may_pass_on && own.is_some_and(|role| attribute(role));
        let new = self.new_ones().filter_map(|role| {
            let words = [
                (role.is_superuser, "SUPERUSER"),
                (role.is_replication && !has(|own| own.is_replication), "REPLICATION"),
                (role.bypasses_row_security && !has(|own| own.bypasses_row_security), "BYPASSRLS"),
            ];
            let lost: Vec<&str> = words.into_iter().filter(|(is_lost, _)| *is_lost).map(|(_, word)| word).collect();
            (!lost.is_empty()).then(|| {
                let remedy =
                    format!("have a superuser run ALTER ROLE {} {} on the target", ident(&role.name), lost.join(" "));
                let message = format!("it comes without {}, which only a superuser can give", lost.join(", "));
                warning("role_attributes", readable(&role.name), message, remedy)
            })
        });
        new.collect()
    }

    /// Owners that the target cannot give objects to; these will belong to the connecting role.
    fn owners(&self) -> Vec<Finding> {
        let target = &self.look.ends.target;
        let mut owned: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in self.look.entries().filter(|entry| entry.owner_statement().is_some()) {
            *owned.entry(&entry.owner).or_default() += 1;
        }
        if self.look.plans(kind::LARGE_OBJECTS) {
            for object in &self.look.subject.catalog.large_objects {
                *owned.entry(&object.owner).or_default() += 1;
            }
        }
        let finding = |(owner, count): (&str, usize)| {
            let why = self.why_not_owner(owner)?;
            let message =
                format!("{why}: {count} of its objects will belong to {} on the target", readable(&target.role));
            let remedy = if self.on_target.contains_key(owner) {
                format!("GRANT {} TO {}", ident(owner), ident(&target.role))
            } else {
                format!("CREATE ROLE {0}; GRANT {0} TO {1}", ident(owner), ident(&target.role))
            };
            Some(warning("owner", readable(owner), message, remedy))
        };
        owned.into_iter().filter_map(finding).collect()
    }

    fn why_not_owner(&self, owner: &str) -> Option<&'static str> {
        let target = &self.look.ends.target;
        match self.on_target.get(owner) {
            Some(role) => (!role.may_set).then_some("the connecting role is not a member of it"),
            None if !self.planned.contains(owner) => Some("the target lacks this role"),
            // Who makes a role does not become a member of it, whatever the version.
            None => (!target.is_superuser).then_some("the connecting role will not be a member of it"),
        }
    }

    /// The owner of the database, which a plan does not change. A superuser has all rights on it anyway.
    async fn database_owner(&self) -> Result<Option<Finding>> {
        let (catalog, config) = (self.look.subject.catalog, self.look.subject.config);
        let owner = catalog.database.owner.as_str();
        let is_mighty = catalog.roles.iter().find(|role| role.name == owner).is_none_or(|role| role.is_superuser);
        if is_mighty || !is_whole(config) || config.options.data_only {
            return Ok(None);
        }
        let on_target = introspect::database(self.look.subject.target).await?.owner;
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

    /// Roles that privileges or policies name and that nobody will have made.
    async fn missing_grantees(&self) -> Result<Vec<Finding>> {
        let objects = self.look.objects();
        let with_large_objects = self.look.plans(kind::LARGE_OBJECTS);
        let mut missing: BTreeMap<String, BTreeSet<(u32, u32)>> = BTreeMap::new();
        for named in survey::named_roles(self.look.leader()).await? {
            let key = (named.catalog, named.oid);
            let is_moved = objects.contains(&key) || with_large_objects && named.catalog == PG_LARGEOBJECT;
            let is_known =
                self.on_target.contains_key(named.role.as_str()) || self.planned.contains(named.role.as_str());
            if is_moved && !is_known {
                missing.entry(named.role).or_default().insert(key);
            }
        }
        let is_off = self.look.subject.config.roles == RolesMode::None;
        let findings = missing.into_iter().map(|(role, objects)| {
            let message = format!(
                "the target lacks this role: privileges or policies of {} objects name it and will fail",
                objects.len()
            );
            let or = if is_off { ", or set roles.mode to all" } else { "" };
            warning("role_missing", readable(&role), message, format!("CREATE ROLE {} on the target{or}", ident(&role)))
        });
        Ok(findings.collect())
    }
}
