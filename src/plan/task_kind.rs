//! The kinds of tasks.

use crate::catalog::object_kind::ObjectKind;
use serde::{Serialize, Serializer};
use std::fmt;

macro_rules! task_kinds {
    ($($(#[$meaning:meta])* $kind:ident = $text:literal,)+) => {
        /// What a task does: it makes an entry of the archive, or it is of a kind that has no entry.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum TaskKind {
            $($(#[$meaning])* $kind,)+
            /// Makes an entry of the archive; its text is the archive's in lower case, such as `fk constraint`.
            Entry(ObjectKind),
        }

        impl TaskKind {
            /// The kinds without an entry.
            pub const OWN: &[TaskKind] = &[$(TaskKind::$kind),+];
        }

        impl fmt::Display for TaskKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(TaskKind::$kind => f.pad($text),)+
                    TaskKind::Entry(kind) => f.pad(&kind.name()),
                }
            }
        }

        impl From<&str> for TaskKind {
            fn from(text: &str) -> Self {
                match text {
                    $($text => TaskKind::$kind,)+
                    _ => TaskKind::Entry(ObjectKind::of_name(text)),
                }
            }
        }
    };
}

task_kinds! {
    /// Copies the rows of a table or of a chunk of it.
    Data = "data",
    /// Empties an existing table before its first chunk.
    Truncate = "truncate",
    /// Sets a sequence's value.
    SequenceValue = "sequence value",
    /// Copies a batch of large objects.
    LargeObjects = "large objects",
    /// Creates a role.
    Role = "role",
    /// Sets a setting of a role.
    RoleSetting = "role setting",
    /// Grants a role a privilege on a configuration parameter.
    ParameterPrivilege = "parameter privilege",
    /// Grants a role's membership in another.
    Membership = "membership",
    /// Drops the foreign keys of the target's own tables.
    FkDrop = "fk drop",
    /// Creates them again, their rows not checked.
    FkRestore = "fk restore",
    /// Checks the rows of the foreign keys of one table.
    FkCheck = "fk check",
    /// Checks the existing rows of a foreign key.
    FkValidation = "fk validation",
    /// Gathers planner statistics of a table on the target.
    Analyze = "analyze",
    /// Fills a materialized view.
    Refresh = "refresh",
    /// Sets a setting of the database.
    DatabaseSetting = "database setting",
    /// Sets the comment of the database.
    DatabaseComment = "database comment",
    /// Sets a security label of the database.
    DatabaseLabel = "database label",
    /// Grants the privileges of the database.
    DatabaseAcl = "database acl",
    /// Compares owners, privileges and settings on the target with the source's.
    PrivilegeCheck = "privilege check",
}

impl TaskKind {
    /// The kind of the entry that the task makes; none if it makes none.
    #[must_use]
    pub fn entry(&self) -> Option<&ObjectKind> {
        if let TaskKind::Entry(kind) = self { Some(kind) } else { None }
    }
}

impl PartialEq<ObjectKind> for TaskKind {
    fn eq(&self, kind: &ObjectKind) -> bool {
        self.entry() == Some(kind)
    }
}

impl From<ObjectKind> for TaskKind {
    fn from(kind: ObjectKind) -> Self {
        TaskKind::Entry(kind)
    }
}

impl From<&ObjectKind> for TaskKind {
    fn from(kind: &ObjectKind) -> Self {
        TaskKind::Entry(kind.clone())
    }
}

impl Serialize for TaskKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_from_its_text() {
        let entries = ObjectKind::ALL.iter().map(TaskKind::from);
        for kind in TaskKind::OWN.iter().cloned().chain(entries) {
            assert_eq!(TaskKind::from(kind.to_string().as_str()), kind);
        }
    }

    #[test]
    fn a_kind_that_only_a_newer_pg_dump_writes_keeps_its_text() {
        let kind = TaskKind::from("property graph");
        assert_eq!(
            (kind.to_string().as_str(), kind.entry()),
            ("property graph", Some(&ObjectKind::from("PROPERTY GRAPH")))
        );
    }
}
