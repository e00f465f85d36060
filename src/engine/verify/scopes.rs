//! How the archives of both sides relate to the configuration and the plan. Called by `definitions` and `lonely`.

use super::archive::key;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::scope::Scope;
use crate::name::{QualifiedName, readable};
use crate::plan::{Phase, Task, TaskKind};
use std::collections::HashSet;

/// How the archives of both sides relate to the configuration and the plan.
pub struct Scopes {
    /// What the configuration chooses of the source.
    pub source: Scope,
    /// What it would choose of the target.
    pub target: Scope,
    /// What the plan makes.
    pub planned: HashSet<(TaskKind, String, String)>,
    /// Whether owners are compared.
    pub with_owners: bool,
}

impl Scopes {
    /// Whether an entry of the source is compared.
    pub fn is_wanted(&self, entry: &Entry) -> bool {
        self.source.entries.contains(&entry.id) || self.is_planned(entry)
    }

    pub fn is_planned(&self, entry: &Entry) -> bool {
        let (kind, schema, name, _) = key(entry);
        self.planned.contains(&(kind.into(), schema, name))
    }
}

/// The name of an entry's object: the one that is used for its rows where it has any.
pub fn object(entry: &Entry) -> String {
    match &entry.kind {
        kind if kind.is_relation() => QualifiedName::new(entry.namespace.as_str(), &entry.tag).to_string(),
        ObjectKind::DefaultAcl => {
            let task = Task::new(Phase::Privileges, ObjectKind::DefaultAcl, entry.namespace.as_str(), &entry.tag);
            format!("{} of {}", task.object(), readable(&entry.owner))
        }
        kind => Task::new(Phase::PreData, kind, entry.namespace.as_str(), &entry.tag).object(),
    }
}
