//! What the modules that build a plan read.

use crate::catalog::archive::Entry;
use crate::catalog::scope::Scope;
use crate::catalog::{Catalog, Lookup, Oid};
use crate::config::PlanOptions;
use crate::plan::{Answers, Phase};
use std::collections::{BTreeMap, HashSet};

/// What planning reads: the catalog, the configuration, and the source's answers about its keys.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The source's catalog.
    pub catalog: &'a Catalog,
    /// Its lookups.
    pub lookup: Lookup<'a>,
    /// What the plan obeys.
    pub options: PlanOptions<'a>,
    /// What is migrated.
    pub scope: Scope,
    /// The source's answers about its keys.
    pub answers: Answers,
    /// The tables whose definitions depend on functions.
    pub reaches_function: HashSet<Oid>,
    /// The tables that other objects of pre-data depend on, or that depend on other tables: see `interwoven`.
    pub interwoven: HashSet<Oid>,
}

impl Inputs<'_> {
    /// The partitions of each partitioned table.
    #[must_use]
    pub fn children(&self) -> BTreeMap<Oid, Vec<Oid>> {
        let mut children: BTreeMap<Oid, Vec<Oid>> = BTreeMap::new();
        for relation in &self.catalog.relations {
            if let Some(parent) = relation.partition_of {
                children.entry(parent).or_default().push(relation.oid);
            }
        }
        children
    }

    /// The statement that sets the owner of an entry's object, if owners are set.
    #[must_use]
    pub fn owner_statement(&self, entry: &Entry) -> String {
        entry.owner_statement().filter(|_| self.options.scope.owners).unwrap_or_default()
    }

    /// The selected entries in the archive's order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.catalog.entries.iter().filter(|entry| self.scope.entries.contains(&entry.id))
    }
}

/// The words of phases, for a task's `after`.
#[must_use]
pub fn phases(list: &[Phase]) -> Vec<String> {
    list.iter().map(|phase| phase.as_str().to_owned()).collect()
}
