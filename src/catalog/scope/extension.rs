//! Which extensions a migration makes, and which rows of their members it moves, as `pg_dump` decides it.
//!
//! An extension's members are made by CREATE EXTENSION; only the rows of its configuration tables are dumped, and they are included
//! with the extension unless a filter leaves them out. Called by `scope`.

use super::model::{Absent, Scope, is_whole};
use super::selection::{Choice, Selection};
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::{Oid, Relation, RelationKind};
use crate::config::Mode;
use std::collections::HashSet;

impl<'a> Selection<'a> {
    /// An extension that no chosen object needs is left out only if a filter lists what is included.
    pub(super) fn extension_choice(&self, entry: &Entry) -> Choice {
        let includes = self.options.schemas.mode == Mode::Include || self.options.tables.mode == Mode::Include;
        let is_chosen = if includes {
            self.configuration().any(|relation| {
                relation.member.as_ref().is_some_and(|member| *member.extension == *entry.tag)
                    && !self.leaves_out(relation)
                    && self.chooses(relation)
            })
        } else {
            is_whole(self.options) || !self.dependencies(self.position[&entry.id]).any(|at| self.is_excluded_schema(at))
        };
        if is_chosen { Choice::Yes } else { Choice::WhenNeeded }
    }

    fn is_excluded_schema(&self, at: usize) -> bool {
        let entry = &self.catalog.entries[at];
        entry.kind == ObjectKind::Schema && self.options.schemas.exclude.contains(&entry.tag)
    }

    fn configuration(&self) -> impl Iterator<Item = &'a Relation> {
        self.catalog.relations.iter().filter(|relation| relation.is_configuration())
    }

    /// Whether a filter excludes a relation, or its schema.
    fn leaves_out(&self, relation: &'a Relation) -> bool {
        let mut line = self.lookup.ancestors(relation);
        line.push(relation);
        line.iter()
            .any(|r| self.names.excluded.contains(&r.name) || self.options.schemas.exclude.contains(&r.name.schema))
    }

    /// Adds the configuration tables and sequences of the extensions that are made.
    pub(super) fn add_configuration(&self, kept: &[bool], scope: &mut Scope) {
        let extensions =
            self.catalog.entries.iter().zip(kept).filter(|(entry, kept)| **kept && entry.kind == ObjectKind::Extension);
        let made: HashSet<&str> = extensions.map(|(entry, _)| entry.tag.as_str()).collect();
        let is_moved = |relation: &&Relation| {
            relation.member.as_ref().is_some_and(|member| made.contains(member.extension.as_str()))
        };
        let moved: HashSet<Oid> = self
            .configuration()
            .filter(is_moved)
            .filter(|relation| !self.leaves_out(relation))
            .filter(|relation| matches!(relation.kind, RelationKind::Table | RelationKind::Sequence))
            .map(|relation| relation.oid)
            .collect();
        // Without the sequence's value, the next row would get the number of a copied row.
        let numbers = self.catalog.sequences.iter().filter(|sequence| {
            let is_owned = sequence.owner_relation.is_some_and(|oid| moved.contains(&oid));
            sequence.extension.is_some()
                && (moved.contains(&sequence.oid) || is_owned && !self.names.excluded.contains(&sequence.name))
        });
        scope.sequences.extend(numbers.map(|sequence| sequence.oid));
        let tables = self.configuration().filter(|r| r.kind == RelationKind::Table && moved.contains(&r.oid));
        scope.tables.extend(tables.map(|relation| relation.oid));
        let listed =
            self.catalog.relations.iter().filter(|r| r.is_plain_member() && self.names.listed.contains(&r.name));
        scope.absent.extend(listed.map(|relation| Absent {
            kind: "table".into(),
            object: relation.name.to_string(),
            reason: "it is a member of an extension and none of its configuration tables: CREATE EXTENSION makes it, and its rows are not \
                     moved"
                .into(),
        }));
    }
}
