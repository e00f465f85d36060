//! Large objects in a plan: the batches that tasks copy, and the privileges that tasks grant on them.
//!
//! The statements are rendered from the values, and the plan has both. Pure; `build::large_object` makes the tasks, the engine and the
//! comparison of plans read them.

use super::model::Task;
use super::subject::Subject;
use crate::catalog::Oid;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

impl Task {
    /// The large objects that the task copies or grants privileges on.
    #[must_use]
    pub fn large_objects(&self) -> &[Oid] {
        match &self.subject {
            Some(Subject::LargeObjects(batch)) => &batch.oids,
            Some(Subject::LargeObjectGrant(grant)) => &grant.oids,
            _ => &[],
        }
    }

    /// Whether the task grants a privilege on large objects.
    #[must_use]
    pub fn grants_on_large_objects(&self) -> bool {
        matches!(self.subject, Some(Subject::LargeObjectGrant(_)))
    }
}

/// What the tasks of a plan set for a large object. For the privileges it has a hash, because very many objects may have the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defined<'a> {
    owner: Option<&'a str>,
    comment: Option<&'a str>,
    privileges: u64,
}

impl Defined<'_> {
    /// The differences from another one of the same object.
    #[must_use]
    pub fn differences(&self, other: &Defined<'_>) -> BTreeSet<String> {
        let parts = [
            ("owner", self.owner != other.owner),
            ("comment", self.comment != other.comment),
            ("privileges", self.privileges != other.privileges),
        ];
        parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part.to_owned()).collect()
    }
}

/// The large objects of a plan, in any batch.
#[must_use]
pub fn defined(tasks: &[Task]) -> BTreeMap<Oid, Defined<'_>> {
    let mut objects: BTreeMap<Oid, Defined<'_>> = BTreeMap::new();
    for task in tasks {
        let Some(Subject::LargeObjects(batch)) = &task.subject else { continue };
        for oid in &batch.oids {
            let comment = batch.comments.get(oid).map(String::as_str);
            objects.insert(*oid, Defined { owner: batch.owner.as_deref(), comment, privileges: 0 });
        }
    }
    for task in tasks {
        let Some(Subject::LargeObjectGrant(grant)) = &task.subject else { continue };
        let mut hasher = DefaultHasher::new();
        (&grant.right, &grant.grantee, grant.is_grantable).hash(&mut hasher);
        let privilege = hasher.finish();
        for oid in &grant.oids {
            if let Some(object) = objects.get_mut(oid) {
                // A sum, because the order of privileges has no meaning.
                object.privileges = object.privileges.wrapping_add(privilege);
            }
        }
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::LargeObjectGrant;
    use crate::plan::subject::LargeObjectBatch;
    use crate::plan::{Phase, TaskKind};

    fn task(subject: Subject) -> Task {
        let mut task = Task::new(Phase::Data, TaskKind::LargeObjects, "", "");
        task.subject = Some(subject);
        task
    }

    fn batch(oids: &[Oid], owner: &str, comment: Option<&str>) -> Task {
        let comments = oids.iter().take(1).filter_map(|oid| Some((*oid, comment?.to_owned()))).collect();
        task(Subject::LargeObjects(LargeObjectBatch { oids: oids.into(), owner: Some(owner.into()), comments }))
    }

    fn grant(oids: &[Oid], right: &str, is_grantable: bool) -> Task {
        let (right, grantee) = (right.into(), "reader".into());
        task(Subject::LargeObjectGrant(LargeObjectGrant { oids: oids.into(), right, grantee, is_grantable }))
    }

    #[test]
    fn the_batch_of_an_object_has_no_meaning() {
        let old = [batch(&[1, 2], "a", Some("c")), batch(&[3], "b", None), grant(&[1, 2, 3], "SELECT", false)];
        let new = [batch(&[1], "a", Some("c")), batch(&[2], "a", None), batch(&[3], "b", None)];
        let grants = [grant(&[3], "SELECT", false), grant(&[1, 2], "SELECT", false)];
        let new: Vec<Task> = new.into_iter().chain(grants).collect();
        assert_eq!(defined(&old), defined(&new));
    }

    #[test]
    fn what_differs_is_named() {
        let differences = |one: &[Task], other: &[Task]| {
            let found = defined(one)[&1].differences(&defined(other)[&1]);
            found.into_iter().collect::<Vec<_>>().join(" ")
        };
        let plain = [batch(&[1], "a", None)];
        assert_eq!(differences(&plain, &[batch(&[1], "b", None)]), "owner");
        assert_eq!(differences(&plain, &[batch(&[1], "a", Some(""))]), "comment");
        let [select, option] = [false, true].map(|option| [batch(&[1], "a", None), grant(&[1], "SELECT", option)]);
        assert_eq!(
            (differences(&plain, &select), differences(&select, &option)),
            ("privileges".into(), "privileges".into())
        );
    }
}
