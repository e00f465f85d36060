//! Which entries of a catalog a configuration chooses, and which others those need.

use super::ledger::{self, schema_of};
use super::model::{Absent, Names, Scope, chooses_schema, is_whole};
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::{Catalog, Lookup, Oid, Relation, RelationKind};
use crate::config::{Mode, PlanOptions, ScopeOptions};
use crate::name::{is_ledger_table, readable};
use std::collections::{HashMap, HashSet};

/// The result of the filters for one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// Chosen.
    Yes,
    /// Not chosen, and moved when a chosen object needs it.
    WhenNeeded,
    /// Never moved; the reason is empty if it is the user's own filter.
    No(&'static str),
}

/// The choices of a configuration among the entries of a catalog.
pub(super) struct Selection<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) options: &'a ScopeOptions,
    pub(super) lookup: Lookup<'a>,
    pub(super) position: HashMap<i32, usize>,
    pub(super) relation_at: HashMap<Oid, usize>,
    pub(super) choices: Vec<Choice>,
    pub(super) names: Names<'a>,
    pub(super) ledgers: HashSet<&'a str>,
    pub(super) kept_for_ledgers: HashSet<String>,
}

impl<'a> Selection<'a> {
    pub(super) fn new(catalog: &'a Catalog, options: PlanOptions<'a>) -> Self {
        let ledgers = ledger::schemas(catalog, &options.ledger.schema);
        let mut selection = Selection {
            catalog,
            options: options.scope,
            lookup: catalog.lookup(),
            position: catalog.entries.iter().enumerate().map(|(at, entry)| (entry.id, at)).collect(),
            relation_at: relation_positions(&catalog.entries),
            choices: Vec::new(),
            names: Names::new(options.scope),
            kept_for_ledgers: ledger::kept_for_ledgers(catalog, &ledgers),
            ledgers,
        };
        selection.choices = catalog.entries.iter().map(|entry| selection.choice(entry)).collect();
        selection.offer_parents();
        selection
    }

    fn choice(&self, entry: &Entry) -> Choice {
        if !entry.kind.is_ddl() || is_about_database(entry) || self.is_ledger(entry) {
            return Choice::No("");
        }
        if let Some(no) = self.switched_off(entry) {
            return no;
        }
        let whole = is_whole(self.options);
        match &entry.kind {
            kind if kind.is_relation() => self.relation_choice(entry),
            _ if entry.is_part() && !self.stands_alone(entry) => Choice::WhenNeeded,
            kind if kind.is_about_another() && entry.namespace.is_empty() => match entry.tag.strip_prefix("SCHEMA ") {
                Some(schema) => self.schema_choice(schema.trim_matches('"')),
                None => {
                    if whole {
                        Choice::Yes
                    } else {
                        Choice::WhenNeeded
                    }
                }
            },
            kind if !whole && let Some(reason) = kind.needs_whole_database() => Choice::No(reason),
            ObjectKind::Schema => self.schema_choice(&entry.tag),
            ObjectKind::Extension => self.extension_choice(entry),
            ObjectKind::DefaultAcl if entry.namespace.is_empty() => {
                if whole {
                    Choice::Yes
                } else {
                    Choice::No("")
                }
            }
            ObjectKind::DefaultAcl => self.schema_choice(&entry.namespace),
            _ if entry.namespace.is_empty() && whole => Choice::Yes,
            _ if entry.namespace.is_empty() => Choice::WhenNeeded,
            _ => self.schema_choice(&entry.namespace),
        }
    }

    /// Whether the archive lacks the object that a part belongs to, such as the schema `public` or a member of an extension.
    fn stands_alone(&self, entry: &Entry) -> bool {
        !entry.dependencies.iter().any(|id| self.position.contains_key(id))
    }

    /// What the options leave out by kind.
    fn switched_off(&self, entry: &Entry) -> Option<Choice> {
        let options = self.options;
        let is_key = || self.lookup.constraints.contains_key(&entry.oid);
        match &entry.kind {
            ObjectKind::Publication if !options.publications => {
                Some(Choice::No("publications are not moved unless options.publications is true"))
            }
            ObjectKind::Subscription if !options.subscriptions => {
                Some(Choice::No("subscriptions are not moved unless options.subscriptions is true"))
            }
            // The finding about their publication or subscription has the reason.
            ObjectKind::PublicationTable | ObjectKind::PublicationTablesInSchema if !options.publications => {
                Some(Choice::No(""))
            }
            ObjectKind::SubscriptionTable if !options.subscriptions => Some(Choice::No("")),
            ObjectKind::Acl | ObjectKind::DefaultAcl if !options.privileges => Some(Choice::No("")),
            ObjectKind::Index | ObjectKind::IndexAttach if !options.create_indexes_after_data => {
                Some(Choice::No("options.create_indexes_after_data is false"))
            }
            ObjectKind::Constraint | ObjectKind::FkConstraint if !options.create_constraints_after_data && is_key() => {
                Some(Choice::No("options.create_constraints_after_data is false"))
            }
            _ => None,
        }
    }

    fn schema_choice(&self, schema: &str) -> Choice {
        if self.options.tables.mode != Mode::Include && chooses_schema(self.options, schema) {
            Choice::Yes
        } else {
            Choice::WhenNeeded
        }
    }

    fn relation_choice(&self, entry: &Entry) -> Choice {
        let Some(relation) = self.lookup.relations.get(&entry.oid) else {
            return self.schema_choice(&entry.namespace);
        };
        let owner = self.lookup.sequences.get(&entry.oid).and_then(|sequence| sequence.owner_relation);
        match owner.and_then(|oid| self.lookup.relations.get(&oid)) {
            Some(table) if self.chooses(table) => Choice::Yes,
            Some(_) if !self.names.listed.contains(&relation.name) => Choice::WhenNeeded,
            _ if self.chooses(relation) => Choice::Yes,
            // A view or a table is never included only because it is needed: its rows would be missing. A sequence has one value.
            _ if relation.kind == RelationKind::Sequence => Choice::WhenNeeded,
            _ => Choice::No(""),
        }
    }

    /// Whether the filters choose a relation, by its own name or by that of a partitioned table above it.
    pub(super) fn chooses(&self, relation: &'a Relation) -> bool {
        let mut line = vec![&relation.name];
        line.extend(self.lookup.ancestors(relation).iter().map(|ancestor| &ancestor.name));
        self.names.choose(&line)
    }

    /// Lets the parents of chosen partitions and inheriting tables be included without their rows.
    fn offer_parents(&mut self) {
        for at in (0..self.catalog.entries.len()).rev() {
            if self.choices[at] == Choice::No("")
                || !matches!(self.catalog.entries[at].kind, ObjectKind::Table | ObjectKind::ForeignTable)
            {
                continue;
            }
            let parents: Vec<usize> = self.dependencies(at).filter(|&parent| self.may_be_offered(parent)).collect();
            for parent in parents {
                self.choices[parent] = Choice::WhenNeeded;
            }
        }
    }

    fn may_be_offered(&self, at: usize) -> bool {
        let entry = &self.catalog.entries[at];
        let is_excluded =
            || self.lookup.relations.get(&entry.oid).is_some_and(|r| self.names.excluded.contains(&r.name));
        entry.kind == ObjectKind::Table && self.choices[at] == Choice::No("") && !is_excluded()
    }

    /// The entries that `at` requires. A sequence does not require the table that owns it; an identity does.
    pub(super) fn dependencies(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let entry = &self.catalog.entries[at];
        let owner =
            self.lookup.sequences.get(&entry.oid).filter(|s| entry.kind == ObjectKind::Sequence && !s.is_identity);
        let owner = owner.and_then(|sequence| sequence.owner_relation);
        entry.dependencies.iter().filter_map(|id| self.position.get(id).copied()).filter(move |&dependency| {
            dependency != at && (owner.is_none() || owner != Some(self.catalog.entries[dependency].oid))
        })
    }

    /// For each entry the reason why it cannot be migrated, if there is one.
    pub(super) fn possible(&self) -> Vec<Result<(), String>> {
        let mut possible: Vec<Result<(), String>> = Vec::with_capacity(self.catalog.entries.len());
        for at in 0..self.catalog.entries.len() {
            let verdict = if let Choice::No(reason) = &self.choices[at] {
                Err((*reason).to_owned())
            } else {
                let mut before = self.dependencies(at).filter(|&d| d < at);
                before.find_map(|d| Some(self.missing(d, possible[d].as_ref().err()?))).map_or(Ok(()), Err)
            };
            possible.push(verdict);
        }
        possible
    }

    /// Why an entry cannot be migrated that depends on another one, which cannot for `reason`.
    fn missing(&self, dependency: usize, reason: &str) -> String {
        let entry = &self.catalog.entries[dependency];
        let object = format!("{} {}", entry.kind.name(), display(entry));
        match &self.choices[dependency] {
            Choice::No("") => format!("needs {object}, which is not in scope"),
            Choice::No(reason) => format!("needs {object}: {reason}"),
            // For a part, the reason names the missing object, which a reader can look up.
            _ if entry.is_part() => reason.to_owned(),
            _ => format!("needs {object}, which {reason}"),
        }
    }

    /// Which entries are moved: the chosen ones that are possible, what they need, and the parts of all these.
    pub(super) fn keep(&self, possible: &[Result<(), String>]) -> Vec<bool> {
        let entries = &self.catalog.entries;
        let mut kept: Vec<bool> =
            (0..entries.len()).map(|at| self.choices[at] == Choice::Yes && possible[at].is_ok()).collect();
        for at in (0..entries.len()).rev() {
            if kept[at] {
                self.pull(at, &mut kept);
            }
        }
        for at in 0..entries.len() {
            if entries[at].is_part() && possible[at].is_ok() && self.holds(at, &kept) {
                kept[at] = true;
                self.pull(at, &mut kept);
            }
        }
        kept
    }

    /// Keeps everything that `at` needs, and what that needs.
    fn pull(&self, at: usize, kept: &mut [bool]) {
        let mut open = vec![at];
        while let Some(next) = open.pop() {
            for dependency in self.dependencies(next) {
                if !kept[dependency] && !self.catalog.entries[dependency].is_part() {
                    kept[dependency] = true;
                    open.push(dependency);
                }
            }
        }
    }

    /// Whether all objects that a part belongs to are kept. A part may include a function or a type that it needs, never a table.
    fn holds(&self, at: usize, kept: &[bool]) -> bool {
        let entry = &self.catalog.entries[at];
        let mut any = false;
        for dependency in self.dependencies(at) {
            let whole = &self.catalog.entries[dependency];
            let may_be_pulled = !whole.is_part() && !whole.kind.has_rows() && entry.kind.pulls_what_it_needs();
            if !kept[dependency] && !may_be_pulled {
                return false;
            }
            any |= kept[dependency];
        }
        any && self.owner_is_kept(entry, kept)
    }

    /// The dependencies of an OWNED BY entry in the archive do not include its table.
    fn owner_is_kept(&self, entry: &Entry, kept: &[bool]) -> bool {
        if entry.kind != ObjectKind::SequenceOwnedBy {
            return true;
        }
        let sequences = entry.dependencies.iter().filter_map(|id| self.position.get(id));
        let mut owners =
            sequences.filter_map(|&at| self.lookup.sequences.get(&self.catalog.entries[at].oid)?.owner_relation);
        owners.all(|owner| self.relation_at.get(&owner).is_some_and(|&at| kept[at]))
    }

    pub(super) fn scope(&self, possible: &[Result<(), String>], kept: &[bool]) -> Scope {
        let mut scope = Scope { ledgers: self.left_ledgers(), ..Scope::default() };
        for (at, entry) in self.catalog.entries.iter().enumerate() {
            if kept[at] {
                scope.entries.insert(entry.id);
                if self.choices[at] == Choice::WhenNeeded && !entry.is_part() && entry.kind != ObjectKind::Schema {
                    scope.pulled.push(format!("{} {}", entry.kind.name(), display(entry)));
                }
                if entry.kind == ObjectKind::Table && self.choices[at] == Choice::Yes && self.holds_rows(entry.oid) {
                    scope.tables.insert(entry.oid);
                }
            } else if let Err(reason) = &possible[at]
                && !reason.is_empty()
                && self.is_missed(at, kept)
            {
                scope.absent.push(Absent { kind: entry.kind.name(), object: display(entry), reason: reason.clone() });
            }
        }
        self.add_configuration(kept, &mut scope);
        self.report_invalid_indexes(&mut scope);
        scope
    }

    fn holds_rows(&self, oid: Oid) -> bool {
        self.lookup.relations.get(&oid).is_some_and(|r| r.kind == RelationKind::Table)
    }

    /// Whether a reader would expect the entry: it was chosen, or it is a part of something that is migrated.
    fn is_missed(&self, at: usize, kept: &[bool]) -> bool {
        let entry = &self.catalog.entries[at];
        if !entry.is_part() {
            return self.choices[at] != Choice::WhenNeeded;
        }
        let own = match &entry.kind {
            ObjectKind::TableAttach | ObjectKind::IndexAttach => return false,
            kind if kind.is_about_another() => return false,
            ObjectKind::Index => self.lookup.indexes.get(&entry.oid).map(|index| index.relation),
            ObjectKind::Constraint | ObjectKind::FkConstraint => {
                self.lookup.constraints.get(&entry.oid).map(|constraint| constraint.relation)
            }
            _ => None,
        };
        match own {
            Some(oid) => self.relation_at.get(&oid).is_some_and(|&at| kept[at]),
            None => self.dependencies(at).any(|d| kept[d]),
        }
    }

    fn report_invalid_indexes(&self, scope: &mut Scope) {
        let is_made = |oid: Oid| {
            self.relation_at.get(&oid).is_some_and(|&at| scope.entries.contains(&self.catalog.entries[at].id))
        };
        let invalid = self.catalog.indexes.iter().filter(|index| !index.is_valid);
        let missed: Vec<Absent> = invalid
            .filter(|index| is_made(index.relation) && !is_made(index.oid))
            .map(|index| Absent {
                kind: "index".into(),
                object: index.name.to_string(),
                reason: "it is INVALID on the source".into(),
            })
            .collect();
        scope.absent.extend(missed);
    }
}

/// The position of each relation's entry; indexes are relations, too.
fn relation_positions(entries: &[Entry]) -> HashMap<Oid, usize> {
    const PG_CLASS: Oid = 1259;
    entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.catalog == PG_CLASS)
        .map(|(at, entry)| (entry.oid, at))
        .collect()
}

fn is_about_database(entry: &Entry) -> bool {
    entry.kind.is_about_another() && (entry.tag.starts_with("DATABASE ") || entry.tag.starts_with("LARGE OBJECT"))
}

/// An entry's name as people read it.
#[must_use]
pub fn display(entry: &Entry) -> String {
    if entry.namespace.is_empty() { entry.tag.clone() } else { format!("{}.{}", readable(&entry.namespace), entry.tag) }
}

impl Selection<'_> {
    /// Whether a relation is a table of a ledger.
    pub(super) fn is_of_ledger(&self, relation: &Relation) -> bool {
        self.ledgers.contains(relation.name.schema.as_str()) && is_ledger_table(&relation.name.name)
    }

    /// Whether an entry is a ledger's: a table of it, the sequence of such a table, or its schema.
    pub(super) fn is_ledger(&self, entry: &Entry) -> bool {
        if self.kept_for_ledgers.contains(&schema_of(entry)) {
            return true;
        }
        let owner = self.lookup.sequences.get(&entry.oid).and_then(|sequence| sequence.owner_relation);
        let table = self.lookup.relations.get(&owner.unwrap_or(entry.oid));
        table.is_some_and(|relation| self.is_of_ledger(relation))
    }

    /// The schemas with a ledger that the filters would have chosen otherwise.
    pub(super) fn left_ledgers(&self) -> Vec<String> {
        let tables = self.catalog.relations.iter().filter(|table| self.is_of_ledger(table) && self.chooses(table));
        let mut found: Vec<String> = tables.map(|table| table.name.schema.clone()).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}
