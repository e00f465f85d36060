//! What the run's own tasks change in the catalogs, by what the ledger records of these tasks.
//!
//! A task may work in a subtransaction, or end a transaction in which its ledger row does not survive, and catalog rows then show a
//! transaction that no row of the ledger has. So every object that a task names counts as changed by the run. An object that cannot be
//! distinguished from one of a task counts as that one: it would be worse not to restore a target because of a change that the run itself
//! has made. Called by `schema`.

use crate::catalog::object_kind::ObjectKind;
use crate::ledger::Subject;
use crate::pg::survey::{Changed, ForeignKey};
use crate::plan::TaskKind;
use crate::record::RowMode;
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

/// Kinds, as in `pg_identify_object`, of objects that are in no schema: they have a single name.
const IN_NO_SCHEMA: [&str; 9] = [
    "access method",
    "event trigger",
    "extension",
    "foreign-data wrapper",
    "language",
    "publication",
    "schema",
    "server",
    "subscription",
];
/// Words in an identity besides names.
const BETWEEN_NAMES: [&str; 9] = ["AS", "for", "in", "language", "on", "pg_catalog", "publication", "server", "USING"];
/// Tasks that write rows or values, or that are about roles, which do not belong to the database.
const NOT_OF_SCHEMA: [TaskKind; 11] = [
    TaskKind::Data,
    TaskKind::SequenceValue,
    TaskKind::LargeObjects,
    TaskKind::Analyze,
    TaskKind::Role,
    TaskKind::Membership,
    TaskKind::FkDrop,
    TaskKind::FkRestore,
    TaskKind::FkCheck,
    TaskKind::PrivilegeCheck,
    TaskKind::RoleSetting,
];

/// The objects of the tasks of runs.
#[derive(Debug)]
pub(super) struct Own<'a> {
    subjects: &'a [Subject],
    /// The names of each task's object, and the tasks by name.
    names: Vec<Vec<&'a str>>,
    by_name: HashMap<&'a str, Vec<usize>>,
    /// The names of tables whose rows or statistics were replaced, which is a change of the table and of its indexes.
    replaced: HashSet<Vec<&'a str>>,
    /// The names of relations that tasks make, with all their parts.
    relations: HashSet<Vec<&'a str>>,
    large_objects: Vec<RangeInclusive<u32>>,
}

impl<'a> Own<'a> {
    /// The changes of tasks with these subjects.
    pub(super) fn new(subjects: &'a [Subject]) -> Self {
        let mut own = Own {
            subjects,
            names: Vec::new(),
            by_name: HashMap::new(),
            replaced: HashSet::new(),
            relations: HashSet::new(),
            large_objects: Vec::new(),
        };
        for subject in subjects {
            let names = names(&subject.object);
            if replaces(subject) {
                own.replaced.insert(names.clone());
            }
            if subject.kind.entry().is_some_and(ObjectKind::is_relation) {
                own.relations.insert(names.clone());
            }
            if subject.kind == TaskKind::LargeObjects {
                own.large_objects.extend(range(&subject.object));
            }
            if NOT_OF_SCHEMA.contains(&subject.kind) {
                continue;
            }
            for name in &names {
                own.by_name.entry(name).or_default().push(own.names.len());
            }
            own.names.push(names);
        }
        own
    }

    /// Large objects that tasks copy.
    pub(super) fn large_objects(&self) -> &[RangeInclusive<u32>] {
        &self.large_objects
    }

    /// Whether tasks set default privileges of a kind, given by the name of an archive's entry such as `DEFAULT PRIVILEGES FOR TABLES`.
    pub(super) fn sets_defaults(&self, entry: &str) -> bool {
        self.subjects.iter().any(|subject| subject.kind == ObjectKind::DefaultAcl && subject.object.starts_with(entry))
    }

    /// Whether a change may be that of a task.
    pub(super) fn has(&self, change: &Changed) -> bool {
        match change.kind.as_str() {
            "database" => self.subjects.iter().any(is_of_database),
            "default acl" => change
                .identity
                .rsplit_once(" on ")
                .is_some_and(|(_, of)| self.sets_defaults(&format!("DEFAULT PRIVILEGES FOR {}", of.to_uppercase()))),
            "large object" => {
                change.identity.parse().is_ok_and(|oid| self.large_objects.iter().any(|range| range.contains(&oid)))
            }
            kind if IN_NO_SCHEMA.contains(&kind) => self.is_named_alone(&names(&change.identity)),
            _ => {
                let table = change.table.as_deref().map(names);
                let is_of_relation = matches!(change.kind.as_str(), "table" | "index");
                self.is_named(&names_of(&change.identity))
                    || table
                        .is_some_and(|t| self.relations.contains(&t) || is_of_relation && self.replaced.contains(&t))
            }
        }
    }

    /// Whether the change of an object whose name has neither letters nor digits may be that of a task.
    fn is_undecided(&self) -> bool {
        !self.names.is_empty()
    }

    /// Whether a task names a foreign key, whose tables change with it.
    pub(super) fn has_key(&self, key: &ForeignKey) -> bool {
        self.is_named(&names(&format!("{}.{}", key.schema, key.tag)))
    }

    /// Whether a task names the object after nothing but words for its kind.
    fn is_named_alone(&self, object: &[&str]) -> bool {
        let is_word = |word: &str| word.chars().all(|c| c.is_ascii_uppercase());
        let Some(last) = object.last() else { return self.is_undecided() };
        let Some(tasks) = self.by_name.get(last) else { return false };
        tasks
            .iter()
            .any(|&at| self.names[at].strip_suffix(object).is_some_and(|words| words.iter().all(|w| is_word(w))))
    }

    /// Whether a task names everything that the object's identity names.
    fn is_named(&self, object: &[&str]) -> bool {
        let mut tasks = object.iter().map(|name| self.by_name.get(name).map_or(&[][..], Vec::as_slice));
        let Some(first) = tasks.next() else { return self.is_undecided() };
        let fewest = tasks.fold(first, |fewest, of| if of.len() < fewest.len() { of } else { fewest });
        fewest.iter().any(|&at| object.iter().all(|name| self.names[at].contains(name)))
    }
}

fn is_of_database(subject: &Subject) -> bool {
    matches!(
        subject.kind,
        TaskKind::DatabaseSetting
            | TaskKind::DatabaseComment
            | TaskKind::DatabaseLabel
            | TaskKind::DatabaseAcl
            | TaskKind::RoleSetting
    )
}

fn replaces(subject: &Subject) -> bool {
    subject.mode == Some(RowMode::Replace)
        || matches!(subject.kind, TaskKind::Truncate | TaskKind::Entry(ObjectKind::StatisticsData))
}

/// The names in a text, quoted or not.
fn names(text: &str) -> Vec<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).filter(|name| !name.is_empty()).collect()
}

/// The names in an identity, except for the types of arguments, which servers and archives write differently.
fn names_of(identity: &str) -> Vec<&str> {
    let end =
        identity.find(['(']).or_else(|| identity.find(" USING ")).filter(|&end| end > 0).unwrap_or(identity.len());
    let mut names = names(&identity[..end]);
    names.retain(|name| !BETWEEN_NAMES.contains(name));
    names
}

/// The OIDs of a batch: `large object 7`, or `large objects 7 to 9 of somebody`.
fn range(batch: &str) -> Option<RangeInclusive<u32>> {
    let mut words = batch.split(' ').skip(2);
    let first = words.next()?.parse().ok()?;
    let last = words.nth(1).and_then(|word| word.parse().ok()).unwrap_or(first);
    Some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::survey::Address;

    fn subject(kind: &str, object: &str) -> Subject {
        Subject { kind: kind.into(), object: object.into(), mode: None }
    }

    fn changed(kind: &str, identity: &str) -> Changed {
        Changed {
            object: Address { catalog: 1, oid: 2 },
            words: String::new(),
            kind: kind.into(),
            identity: identity.into(),
            table: None,
        }
    }

    #[test]
    fn what_a_task_is_about_is_its_own() {
        let subjects = [
            subject("schema", "objects"),
            subject("acl", "SCHEMA public"),
            subject("acl", "FUNCTION helper(integer) in objects"),
            subject("trigger", "objects.parent usual"),
            subject("cast", "CAST (text AS objects.scaled)"),
            subject("default acl", "DEFAULT PRIVILEGES FOR LARGE OBJECTS"),
            subject("large objects", "large objects 50001 to 50003 of somebody"),
            subject("large objects", "large object 7"),
            subject("database comment", "DATABASE"),
            subject("foreign data wrapper", "no_handler"),
        ];
        let own = Own::new(&subjects);
        for (kind, identity) in [
            ("schema", "objects"),
            ("schema", "public"),
            ("function", "objects.helper(integer)"),
            ("trigger", "usual on objects.parent"),
            ("cast", "(pg_catalog.text AS objects.scaled)"),
            ("default acl", "for role a in schema b on large objects"),
            ("large object", "50002"),
            ("large object", "7"),
            ("database", "d"),
            ("foreign-data wrapper", "no_handler"),
        ] {
            assert!(own.has(&changed(kind, identity)), "{kind} {identity}");
        }
        for (kind, identity) in [
            ("schema", "other"),
            ("schema", "helper"),
            ("function", "objects.other(integer)"),
            ("trigger", "other on objects.parent"),
            ("table", "other.parent"),
            ("default acl", "for role a on tables"),
            ("large object", "50004"),
            ("publication", "objects.no_handler"),
        ] {
            assert!(!own.has(&changed(kind, identity)), "{kind} {identity}");
        }
    }

    #[test]
    fn parts_of_a_relation_that_a_task_makes_are_its_own() {
        let subjects = [subject("table", "s.a"), subject("acl", "TABLE b in s")];
        let own = Own::new(&subjects);
        let part =
            |table: &str| Changed { table: Some(table.into()), ..changed("table constraint", "a_not_null on s.x") };
        assert!(own.has(&part("s.a")) && !own.has(&part("s.b")));
    }

    #[test]
    fn a_table_whose_rows_are_replaced_changes_with_its_indexes() {
        let subjects = [
            Subject { mode: Some(RowMode::Replace), ..subject("data", "s.\"A b\"") },
            Subject { mode: Some(RowMode::Append), ..subject("data", "s.c") },
        ];
        let own = Own::new(&subjects);
        let of =
            |kind: &str, identity: &str, table: &str| Changed { table: Some(table.into()), ..changed(kind, identity) };
        assert!(own.has(&of("table", "s.\"A b\"", "s.\"A b\"")));
        assert!(own.has(&of("index", "s.i", "s.\"A b\"")));
        assert!(!own.has(&of("trigger", "t on s.\"A b\"", "s.\"A b\"")));
        assert!(!own.has(&of("table", "s.c", "s.c")) && !own.has(&of("index", "s.i", "s.c")));
    }
}
