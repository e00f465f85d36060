//! Large objects of the plan that the target has already, and what the connecting role may not do with them.
//!
//! The run compares such an object with the source's. Where it may not read, comment on or grant on one, its whole task fails.

use super::entry::label;
use super::look::{Look, warning};
use super::rights::{Rights, owner_of};
use crate::catalog::Oid;
use crate::error::Result;
use crate::finding::{Finding, examples};
use crate::name::{ident, readable};
use crate::pg::survey::{self, HeldLargeObject};
use crate::plan::{Task, TaskKind};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A GRANT names at most this many objects.
const NAMED: usize = 3;

/// An owner of large objects.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Owner<'a> {
    name: &'a str,
    is_superuser: bool,
}

/// Large objects with the same cause, with the tasks that fail.
#[derive(Default)]
struct RefusedObjects {
    oids: BTreeSet<Oid>,
    tasks: BTreeSet<String>,
}

pub(super) async fn check(rights: &Rights<'_>) -> Result<Vec<Finding>> {
    let look = rights.look;
    // What a resumed run finds there was made by its own plan.
    if look.ends.target.is_superuser || look.subject.resuming || !look.plans(&TaskKind::LargeObjects) {
        return Ok(Vec::new());
    }
    let tasks: Vec<(&Task, &[Oid])> = look.subject.plan.tasks.iter().map(|task| (task, task.large_objects())).collect();
    let wanted: Vec<Oid> =
        tasks.iter().flat_map(|(_, oids)| *oids).copied().collect::<HashSet<_>>().into_iter().collect();
    let there = survey::held_large_objects(look.subject.target, &wanted).await?;
    let there: HashMap<Oid, &HeldLargeObject> = there.iter().map(|object| (object.oid, object)).collect();
    let mut unread = RefusedObjects::default();
    let mut others: BTreeMap<Owner<'_>, RefusedObjects> = BTreeMap::new();
    for (task, oids) in &tasks {
        let owner_to_be = owner_of(task);
        // A statement that gives an object to the owner that it has is never refused.
        let altered = |object: &HeldLargeObject| {
            task.kind != TaskKind::LargeObjects
                || owner_to_be.as_ref().is_some_and(|owner| *owner != object.owner)
                || task.large_object_batch().is_some_and(|batch| batch.comments.contains_key(&object.oid))
        };
        for object in oids.iter().filter_map(|oid| there.get(oid)) {
            if task.kind == TaskKind::LargeObjects && !object.may_read {
                unread.add(object, task);
            } else if !object.is_owner && altered(object) {
                others.entry(owner(rights, object)).or_default().add(object, task);
            }
        }
    }
    let of_others = others.into_iter().map(|(owner, refused)| of_other(look, &owner, refused));
    Ok(unreadable(look, unread).into_iter().chain(of_others).collect())
}

impl RefusedObjects {
    fn add(&mut self, object: &HeldLargeObject, task: &Task) {
        self.oids.insert(object.oid);
        self.tasks.insert(label(task));
    }

    /// How many objects there are, and the first ones.
    fn described(&self) -> String {
        let oids: Vec<String> = self.oids.iter().map(ToString::to_string).collect();
        let count = if oids.len() == 1 { "a large object".to_owned() } else { format!("{} large objects", oids.len()) };
        format!("{count} ({})", examples(&oids))
    }

    /// The objects as a statement names them; for many objects, no single statement does.
    fn named(&self) -> String {
        let oids: Vec<String> = self.oids.iter().take(NAMED + 1).map(ToString::to_string).collect();
        if oids.len() > NAMED { "...".to_owned() } else { oids.join(", ") }
    }

    fn into_finding(self, object: String, message: &str, statement: String) -> Finding {
        let remedy = if self.oids.len() > NAMED { format!("{statement}, for each of them") } else { statement };
        warning("large_object_refused", object, message, remedy).of(self.tasks.into_iter().collect())
    }
}

fn owner<'a>(rights: &Rights<'_>, object: &'a HeldLargeObject) -> Owner<'a> {
    let is_superuser = rights.role(&object.owner).is_some_and(|role| role.is_superuser);
    Owner { name: &object.owner, is_superuser }
}

fn unreadable(look: &Look<'_>, refused: RefusedObjects) -> Option<Finding> {
    let role = &look.ends.target.role;
    let message = format!(
        "{} may not read {} that the target has already, to compare the contents with the source's: these will fail",
        readable(role),
        refused.described()
    );
    let remedy = format!("as a role that may: GRANT SELECT ON LARGE OBJECT {} TO {}", refused.named(), ident(role));
    (!refused.oids.is_empty()).then(|| refused.into_finding("large objects".to_owned(), &message, remedy))
}

fn of_other(look: &Look<'_>, owner: &Owner<'_>, refused: RefusedObjects) -> Finding {
    let role = &look.ends.target.role;
    let shown = readable(owner.name);
    let message = format!(
        "{shown} owns {} that the target has already, and {} may not comment on, give away or grant on what it does not own: these will fail or leave the owner as it is",
        refused.described(),
        readable(role)
    );
    if !owner.is_superuser {
        let remedy = format!("as a role that may: GRANT {} TO {}", ident(owner.name), ident(role));
        return warning("large_object_refused", shown, message, remedy).of(refused.tasks.into_iter().collect());
    }
    // No role should become a member of a superuser, and ALTER names one object.
    let each =
        refused.oids.iter().take(NAMED + 1).map(|oid| format!("ALTER LARGE OBJECT {oid} OWNER TO {}", ident(role)));
    let each: Vec<String> = each.collect();
    let statements =
        if each.len() > NAMED { format!("ALTER LARGE OBJECT ... OWNER TO {}", ident(role)) } else { each.join("; ") };
    refused.into_finding(shown, &message, format!("as a superuser: {statements}"))
}
