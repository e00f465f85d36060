//! Which tables' planner statistics are copied from the source, and which are gathered by ANALYZE.
//!
//! They are copied from a source of 18 or newer, for a table or partition tree that is copied with all of its rows. Extended statistics
//! cannot be copied (<https://www.postgresql.org/docs/18/app-pgdump.html>); only ANALYZE makes them, together with all others of the table.
//! ANALYZE of a small table is faster than a copy of its statistics. The plan only names the tables, because the statistics contain values
//! of rows. Called by `schema`.

use super::inputs::Inputs;
use crate::catalog::{Oid, Relation, RelationKind};
use crate::config::Statistics;
use crate::name::literal;
use crate::plan::chunk::Rules;
use std::collections::HashSet;

/// Bytes below which ANALYZE is faster.
const SMALL: u64 = 1 << 20;

/// The facts that decide for every table.
pub struct Travel<'a> {
    inputs: &'a Inputs<'a>,
    rules: Rules<'a>,
    extended: HashSet<Oid>,
}

impl<'a> Travel<'a> {
    /// For a plan in which the relations of `extended` have extended statistics.
    pub fn new(inputs: &'a Inputs<'a>, extended: HashSet<Oid>) -> Self {
        Travel { inputs, rules: Rules::new(&inputs.options.scope.tables), extended }
    }

    /// The query that lists, on the source, the relations whose statistics are copied together: a table with all below it, `tree`. None if
    /// ANALYZE gathers them.
    pub fn source_sql(&self, relation: &Relation, tree: &[Oid]) -> Option<String> {
        let all: Vec<&Relation> =
            tree.iter().filter_map(|oid| self.inputs.lookup.relations.get(oid).copied()).collect();
        let bytes: u64 = all.iter().map(|relation| relation.total_bytes).sum();
        let is_wanted = match self.inputs.options.schema.statistics {
            // Only ANALYZE sees what else the target's table has, rows and columns of its own.
            _ if self.inputs.options.scope.data_only => false,
            Statistics::Analyze => false,
            Statistics::Copy => true,
            Statistics::Auto => bytes >= SMALL,
        };
        if !is_wanted
            || !self.inputs.catalog.server.version.has_statistics_functions()
            || !all.iter().all(|relation| self.comes_whole(relation))
        {
            return None;
        }
        let class = format!("{}::pg_catalog.regclass", literal(&relation.name.sql()).trim_start());
        Some(match relation.kind {
            RelationKind::Partitioned => {
                format!("SELECT relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree({class})")
            }
            _ => format!("SELECT {class}::pg_catalog.oid"),
        })
    }

    fn comes_whole(&self, relation: &Relation) -> bool {
        let options = self.rules.of(relation, &self.inputs.lookup.ancestors(relation));
        let is_in_scope = match relation.kind {
            RelationKind::Partitioned => true,
            RelationKind::Table => self.inputs.scope.tables.contains(&relation.oid),
            _ => false,
        };
        // Rows of a hash over an enum are in other partitions on the target.
        is_in_scope
            && !relation.hashes_an_enum
            && options.filter.is_none()
            && options.limit.is_none()
            && !self.extended.contains(&relation.oid)
    }
}
