//! Alembic's own table among those that are migrated: findings for a reader of the plan.
//!
//! It has the revision of a database's schema, so its row is right on a target whose schema the run makes and wrong on one whose schema
//! alembic has made. The preflight, which knows the target, checks the same table again.

use super::inputs::Inputs;
use crate::catalog::Relation;
use crate::config::OnExisting;
use crate::finding::{Finding, Severity};
use crate::name::QualifiedName;
use crate::plan::chunk::Rules;

/// The name of the check in its findings.
pub const CHECK: &str = "alembic_version";

/// Whether alembic keeps its revision in this table: no other table has only this one column.
#[must_use]
pub fn is_version_table(relation: &Relation) -> bool {
    relation.columns.iter().map(|column| column.name.as_str()).eq(["version_num"])
}

/// How a table is left out.
#[must_use]
pub fn remedy(table: &QualifiedName) -> String {
    format!("where alembic makes the target's schema, leave it out by tables.exclude: [{table}]")
}

/// A note for each version table in scope.
#[must_use]
pub fn notes(inputs: &Inputs<'_>) -> Vec<Finding> {
    let rules = Rules::new(&inputs.options.scope.tables);
    let moved = inputs.catalog.relations.iter().filter(|relation| {
        inputs.scope.tables.contains(&relation.oid)
            && is_version_table(relation)
            && rules.of(relation, &[]).on_existing != OnExisting::Skip
    });
    let (severity, message) = if inputs.options.scope.data_only {
        (
            Severity::Warning,
            "alembic's own table is in scope, and its row would change the target's revision but not its schema",
        )
    } else {
        (Severity::Info, "alembic's own table is in scope: with its row the target claims the source's revision")
    };
    moved.map(|table| Finding::new(CHECK, severity, table.name.to_string(), message, remedy(&table.name))).collect()
}
