//! Compares owners and privileges on both servers: what was set against what the source has.
//!
//! Pure: objects of both sides go in, differences come out. The owner of an object counts as equal on both sides, so that an object whose
//! owner differs on the target is one difference and not one for each of its privileges. Called by `worker::privileges`.

pub mod settings;

use crate::config::ScopeOptions;
use crate::pg::privileges::Held;
use crate::plan::Task;
use crate::plan::build::privilege;
use crate::plan::build::privilege::Place;
use crate::server_version::ServerVersion;
use crate::status::TaskStatus;
use std::collections::HashMap;

/// What differs in one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The object.
    pub place: Place,
    /// The column, or the role of default privileges; otherwise empty.
    pub part: String,
    /// The owners on both sides, where they differ.
    pub owners: Option<(String, String)>,
    /// Privileges that only the source has.
    pub missing: Vec<String>,
    /// Privileges that only the target has.
    pub extra: Vec<String>,
}

impl Difference {
    /// The object as shown to users.
    #[must_use]
    pub fn object(&self) -> String {
        let Place { class, schema, name } = &self.place;
        let dot = if schema.is_empty() { "" } else { "." };
        let part = if self.part.is_empty() { String::new() } else { format!(" ({})", self.part) };
        format!("{} {schema}{dot}{name}{part}", class.to_lowercase())
    }

    /// What differs, without the object.
    #[must_use]
    pub fn words(&self) -> String {
        let owners = self
            .owners
            .as_ref()
            .map(|(source, target)| format!("its owner is {source} on the source and {target} on the target"));
        let list = |privileges: &[String], words: &str| {
            (!privileges.is_empty()).then(|| format!("{words}: {}", privileges.join(", ")))
        };
        let all = [owners, list(&self.missing, "only the source has"), list(&self.extra, "only the target has")];
        all.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// What of an object is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// Its owner.
    pub owner: bool,
    /// Its privileges.
    pub privileges: bool,
    /// Whether the target refused a part of it, which was reported then.
    pub is_refused: bool,
}

/// What the ledger has of a task that did not simply succeed: its status, and whether there is a note.
pub type Notes = HashMap<String, (TaskStatus, bool)>;

/// The objects that a run has made, or whose privileges it has set. Objects that it found and kept are the target's own.
#[must_use]
pub fn scope(tasks: &[Task], notes: &Notes, options: &ScopeOptions) -> HashMap<Place, Compared> {
    let mut scope: HashMap<Place, Compared> = HashMap::new();
    let mut failed = Vec::new();
    for task in tasks {
        let Some(place) = privilege::place(task) else { continue };
        let (is_done, is_noted) = match notes.get(&task.id) {
            None => (true, false),
            Some((status, is_noted)) => (*status == TaskStatus::Done, *is_noted),
        };
        if !is_done {
            failed.extend(privilege::is_acl(task).then_some(place));
            continue;
        }
        let is_acl = privilege::is_acl(task);
        // The entry of the schema public holds comments in place of statements: it is not made.
        if !is_acl && task.target_sql.starts_with("--") {
            continue;
        }
        let compared = scope.entry(place).or_default();
        compared.owner |= !is_acl && options.owners;
        compared.privileges = options.privileges;
        compared.is_refused |= is_noted && !is_acl;
    }
    for place in failed {
        // The failed task has reported the missing privileges.
        if let Some(compared) = scope.get_mut(&place) {
            compared.privileges = false;
        }
    }
    scope
}

/// How an object found on either side is compared; none where the run has nothing to do with it.
fn compared(scope: &HashMap<Place, Compared>, place: &Place) -> Option<Compared> {
    if let Some(compared) = scope.get(place) {
        return Some(Compared { owner: compared.owner && place.class != "COLUMN", ..*compared });
    }
    if place.class != "COLUMN" {
        return None;
    }
    let table = Place { class: "TABLE".into(), ..place.clone() };
    scope.get(&table).filter(|table| table.owner).map(|table| Compared { owner: false, ..*table })
}

/// A comparison in progress: the source's objects are added first, then each object of the target is compared with them.
#[derive(Debug)]
pub struct Comparison<'a> {
    scope: &'a HashMap<Place, Compared>,
    with_maintain: bool,
    open: HashMap<(Place, String), Vec<Held>>,
    others: Vec<Held>,
}

impl<'a> Comparison<'a> {
    /// A comparison of two servers; `older` is the lower of their versions.
    #[must_use]
    pub fn new(scope: &'a HashMap<Place, Compared>, older: ServerVersion) -> Self {
        // Before this privilege existed, the owner had the same right without a name for it.
        let with_maintain = older.has_maintain_privilege();
        Comparison { scope, with_maintain, open: HashMap::new(), others: Vec::new() }
    }

    /// Adds an object of the source.
    pub fn source(&mut self, held: Held) {
        if let Some(held) = self.within(held) {
            self.open.entry((held.place.clone(), held.part.clone())).or_default().push(held);
        }
    }

    /// Compares an object of the target with the source's.
    pub fn target(&mut self, held: Held) {
        let Some(held) = self.within(held) else { return };
        let key = (held.place.clone(), held.part.clone());
        let list = self.open.get_mut(&key);
        match list.and_then(|list| list.iter().position(|other| *other == held).map(|at| (list, at))) {
            Some((list, at)) => {
                list.swap_remove(at);
            }
            None => self.others.push(held),
        }
    }

    /// The object, reduced to what is compared.
    fn within(&self, mut held: Held) -> Option<Held> {
        let compared = compared(self.scope, &held.place)?;
        if !compared.owner {
            held.owner.clear();
        }
        if !compared.privileges {
            held.privileges.clear();
        }
        if !self.with_maintain {
            held.privileges.retain(|privilege| !privilege.starts_with("MAINTAIN "));
        }
        Some(held)
    }

    /// The differences, by object; each with whether the target refused something of the object.
    #[must_use]
    pub fn finish(mut self) -> Vec<(Difference, bool)> {
        let mut all = Vec::new();
        for held in std::mem::take(&mut self.others) {
            let key = (held.place.clone(), held.part.clone());
            let source = self.open.get_mut(&key).and_then(Vec::pop);
            if source.is_none() && held.place.class != "COLUMN" {
                // Another object of an ambiguous name, or default privileges of a role that the source does not have them for.
                continue;
            }
            all.push(self.difference(source, Some(held)));
        }
        let left: Vec<Held> = std::mem::take(&mut self.open).into_values().flatten().collect();
        // The object's own task has determined whether it exists; privileges of columns and default privileges are rows of their own.
        let has_no_row_of_its_own = |held: &Held| matches!(held.place.class.as_str(), "COLUMN" | "DEFAULT ACL");
        for held in left.into_iter().filter(has_no_row_of_its_own) {
            all.push(self.difference(Some(held), None));
        }
        all.retain(|(difference, _)| !difference.words().is_empty());
        all.sort_by(|(one, _), (other, _)| (&one.place, &one.part).cmp(&(&other.place, &other.part)));
        all
    }

    fn difference(&self, source: Option<Held>, target: Option<Held>) -> (Difference, bool) {
        let (place, part) =
            source.iter().chain(&target).map(|held| (held.place.clone(), held.part.clone())).next().unwrap_or_default();
        let is_refused = compared(self.scope, &place).is_some_and(|compared| compared.is_refused);
        let owners = match (&source, &target) {
            (Some(one), Some(other)) if one.owner != other.owner => Some((one.owner.clone(), other.owner.clone())),
            _ => None,
        };
        let privileges = |held: Option<Held>| held.map(|held| held.privileges).unwrap_or_default();
        let (source, target) = (privileges(source), privileges(target));
        let only = |one: &[String], other: &[String]| one.iter().filter(|p| !other.contains(p)).cloned().collect();
        let difference =
            Difference { place, part, owners, missing: only(&source, &target), extra: only(&target, &source) };
        (difference, is_refused)
    }
}

/// Whether all extra privileges of an object come from default privileges of the target, which apply to objects that are created there.
#[must_use]
pub fn is_by_default(difference: &Difference, defaults: &[Held]) -> bool {
    let applies = |default: &&Held| {
        let of_class = match difference.place.class.as_str() {
            "TABLE" => "DEFAULT PRIVILEGES FOR TABLES",
            "SEQUENCE" => "DEFAULT PRIVILEGES FOR SEQUENCES",
            "FUNCTION" | "PROCEDURE" => "DEFAULT PRIVILEGES FOR FUNCTIONS",
            "TYPE" => "DEFAULT PRIVILEGES FOR TYPES",
            "SCHEMA" => "DEFAULT PRIVILEGES FOR SCHEMAS",
            _ => return false,
        };
        let schema = default.place.schema.as_str();
        default.place.name == of_class && (schema.is_empty() || schema == difference.place.schema)
    };
    let given: Vec<&String> = defaults.iter().filter(applies).flat_map(|default| &default.privileges).collect();
    difference.owners.is_none()
        && difference.missing.is_empty()
        && difference.extra.iter().all(|privilege| given.contains(&privilege))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Phase;

    fn held(class: &str, name: &str, owner: &str, privileges: &[&str]) -> Held {
        Held {
            place: Place { class: class.into(), schema: "s".into(), name: name.into() },
            part: String::new(),
            owner: owner.into(),
            privileges: privileges.iter().map(|&privilege| privilege.to_owned()).collect(),
        }
    }

    fn task(id: &str, kind: &str, name: &str) -> Task {
        let mut task = Task::new(Phase::PreData, kind, "s", name);
        task.id = id.into();
        task.target_sql = "CREATE".into();
        task
    }

    #[test]
    fn only_what_the_run_has_made_is_compared() {
        let tasks = [
            task("1", "table", "made"),
            task("2", "table", "kept"),
            task("3", "acl", "TABLE made"),
            task("4", "view", "v"),
        ];
        let notes = HashMap::from([("2".into(), (TaskStatus::Kept, true)), ("3".into(), (TaskStatus::Failed, true))]);
        let scope = scope(&tasks, &notes, &ScopeOptions::default());
        let mut comparison = Comparison::new(&scope, ServerVersion(160_000));
        for (name, privilege) in [("made", "SELECT to a"), ("kept", "SELECT to a"), ("v", "SELECT to a")] {
            comparison.source(held("TABLE", name, "o", &[privilege]));
            comparison.target(held("TABLE", name, "p", &["MAINTAIN to its owner"]));
        }
        let words: Vec<String> =
            comparison.finish().iter().map(|(found, _)| format!("{}: {}", found.object(), found.words())).collect();
        let owner = "its owner is o on the source and p on the target";
        assert_eq!(
            words,
            [format!("table s.made: {owner}"), format!("table s.v: {owner}; only the source has: SELECT to a")]
        );
    }
}
