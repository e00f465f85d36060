//! What the target has and the source does not have, as far as the configuration covers it.
//!
//! The selection that chooses from the source is applied to the target, too. The ledger, members of extensions and objects outside the
//! filters are not included. An object that the target had before the first run is not a difference, and is named separately: its OID is
//! lower than those of the ledger's tables, or a restore has created it together with a ledger whose runs have not created it. Without a
//! ledger that cannot be known. Called by `definitions`.

use super::scopes::{Scopes, object};
use super::subject::{Sides, Subject};
use super::verdict::DefinitionComparer;
use crate::catalog::Oid;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::scope::display;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::name::{ident, is_ledger_table};
use crate::plan::{Phase, Task, TaskKind};
use std::collections::{HashMap, HashSet};

/// What determines how the target's entries without a counterpart count.
pub struct Lonely<'a> {
    /// Both archives.
    pub comparer: &'a DefinitionComparer<'a>,
    /// What is in scope.
    pub scopes: &'a Scopes,
    /// Both catalogs.
    pub sides: &'a Sides,
    /// The schema of the ledger.
    pub ledger_schema: &'a str,
}

/// What identifies an object that the target had before the first run.
#[derive(Debug)]
pub struct EarlierObjects {
    first: Option<Oid>,
    last_restored: Option<Oid>,
    made: HashSet<(TaskKind, String)>,
}

impl EarlierObjects {
    /// Reads the target's ledger.
    pub async fn look(subject: &Subject<'_>) -> Result<EarlierObjects> {
        let ledger = Ledger::new(&subject.options.ledger.schema);
        let last_restored = ledger.last_restored_oid(subject.target).await?;
        let made = if last_restored.is_some() { ledger.made(subject.target).await? } else { HashSet::new() };
        Ok(EarlierObjects { first: made_before(subject).await?, last_restored, made })
    }

    fn has(&self, entry: &Entry) -> bool {
        let is_restored = |last| {
            let task = Task::new(Phase::PreData, &entry.kind, &entry.namespace, &entry.tag);
            entry.oid <= last && !self.made.contains(&(task.kind.clone(), task.object()))
        };
        let is_older = self.first.is_some_and(|first| entry.oid < first);
        entry.catalog != 0 && (is_older || self.last_restored.is_some_and(is_restored))
    }
}

/// The lowest OID of the ledger's tables; none where there is no ledger.
pub async fn made_before(subject: &Subject<'_>) -> Result<Option<Oid>> {
    Ledger::new(&subject.options.ledger.schema).first_oid(subject.target).await
}

impl<'a> Lonely<'a> {
    /// Those of the target's entries without a counterpart that count. Parts of other entries that count do not, nor does what the
    /// properties of a table show, which are compared because the table's text differs.
    pub fn extra(&self, left: &[usize], suspect_tables: &HashSet<i32>) -> Vec<&'a Entry> {
        let pulled: HashSet<&str> = self.scopes.target.pulled.iter().map(String::as_str).collect();
        let owners = self.owners();
        let mut absent: HashSet<i32> = HashSet::new();
        let mut absent_tables: HashSet<Oid> = HashSet::new();
        let mut extra = Vec::new();
        for entry in left.iter().map(|&at| &self.comparer.target.entries[at]) {
            let is_left_out = || self.comparer.source.same(entry).is_some_and(|same| !self.scopes.is_wanted(same));
            if !self.scopes.target.entries.contains(&entry.id) || self.is_ledger(entry) || is_left_out() {
                continue;
            }
            let is_part = entry.is_part() && entry.dependencies.iter().any(|id| absent.contains(id));
            let owner = owners.get(&entry.oid).filter(|_| entry.kind == ObjectKind::Sequence);
            let is_of_extra = is_part || owner.is_some_and(|oid| absent_tables.contains(oid));
            absent.insert(entry.id);
            absent_tables.extend((entry.kind == ObjectKind::Table).then_some(entry.oid));
            let is_shown =
                entry.kind.may_be_written_in_table() && entry.dependencies.iter().any(|id| suspect_tables.contains(id));
            let is_pulled = pulled.contains(format!("{} {}", entry.kind.name(), display(entry)).as_str());
            if !(is_of_extra || is_shown || is_pulled || self.is_named(entry)) {
                extra.push(entry);
            }
        }
        extra
    }

    /// The tables that own sequences, by the sequences.
    fn owners(&self) -> HashMap<Oid, Oid> {
        let sequences = self.sides.target.sequences.iter();
        sequences.filter_map(|sequence| Some((sequence.oid, sequence.owner_relation?))).collect()
    }

    /// Whether an entry, or the object that it is about, existed before the first run.
    pub fn was_before(&self, entry: &Entry, before: &EarlierObjects) -> bool {
        let of = if entry.kind.is_property() { self.comparer.target.holder(entry).unwrap_or(entry) } else { entry };
        // Servers of cloud providers have extensions in every database.
        before.has(of) || entry.kind == ObjectKind::Extension || entry.tag.starts_with("EXTENSION ")
    }

    fn is_named(&self, entry: &Entry) -> bool {
        !entry.kind.is_property() && self.comparer.named.contains(object(entry).as_str())
    }

    fn is_ledger(&self, entry: &Entry) -> bool {
        let schema = self.ledger_schema;
        let is_schema = match &entry.kind {
            ObjectKind::Schema => entry.tag == *schema,
            ObjectKind::Acl | ObjectKind::Comment => {
                entry.tag == format!("SCHEMA {schema}") || entry.tag == format!("SCHEMA {}", ident(schema))
            }
            _ => false,
        };
        let holds_ledger =
            || self.sides.target.relations.iter().any(|r| r.name.schema == *schema && is_ledger_table(&r.name.name));
        is_schema && holds_ledger()
    }
}
