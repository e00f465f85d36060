//! Dependencies that the archive does not list: which entries may run in parallel, and why.
//!
//! Pre-data is run in the archive's order, one entry after another, because the archive does not list all that an entry needs: a user
//! mapping does not depend on its server, operators make each other, generated names depend on existing ones. Later sections run in
//! parallel if an entry's dependencies are known to be all that it needs; each function below returns for one kind of task what else it
//! waits for. If `pg_restore` has an order without a dependency, these tasks have it, too
//! (<https://www.postgresql.org/docs/current/app-pgrestore.html>). The rest of `plan` takes these waits only from this file; the engine
//! follows them.

use super::inputs::{Inputs, phases};
use crate::catalog::object_kind::{ObjectKind, Wait};
use crate::catalog::{Constraint, Index, Oid, Relation, RelationKind};
use crate::plan::cost::SMALL;
use crate::plan::{OTHER_ROWS, Phase, Task};

/// All phases before the objects' privileges.
pub const BEFORE_PRIVILEGES: [Phase; 7] =
    [Phase::Roles, Phase::PreData, Phase::Data, Phase::Index, Phase::Analyze, Phase::Constraint, Phase::PostData];

/// Whether the task copies rows that may need those of other tables.
#[must_use]
pub fn is_late(task: &Task) -> bool {
    task.is_data() && task.after.iter().any(|word| word == OTHER_ROWS)
}

/// Whether functions that may read other tables check or compute a table's rows.
fn reads_others(inputs: &Inputs<'_>, relation: &Relation) -> bool {
    let callers = &inputs.catalog.callers;
    let is_default = |name: &str| callers.defaults.iter().any(|(oid, column)| *oid == relation.oid && column == name);
    callers.relations.contains(&relation.oid)
        || relation.columns.iter().any(|column| column.is_excluded && is_default(&column.name))
}

/// Whether functions that may read, and write, other tables run while rows are copied.
#[must_use]
pub fn has_late_rows(inputs: &Inputs<'_>) -> bool {
    let mut tables = inputs.catalog.relations.iter().filter(|relation| inputs.scope.tables.contains(&relation.oid));
    tables.any(|relation| reads_others(inputs, relation) && !relation.is_configuration())
}

/// Rows need their table as pre-data leaves it, which `requires` says. Those of large tables wait for the whole of pre-data: a statement of
/// it that uses the table would wait for the copy, and so would all later ones. The same applies to rows that are copied through another
/// table, and to those that functions check or compute, because functions may use any object; if such a function may read tables, also to
/// the rows of all other tables. Rows of an extension's configuration table are first, because functions read them.
#[must_use]
pub fn rows(inputs: &Inputs<'_>, relation: &Relation, is_redirected: bool) -> Vec<String> {
    let reads = reads_others(inputs, relation) && !relation.is_configuration();
    let calls = reads || relation.is_configuration() || inputs.reaches_function.contains(&relation.oid);
    let mut after = Vec::new();
    if is_redirected || calls || relation.total_bytes > SMALL {
        after.extend(phases(&[Phase::PreData]));
    }
    if reads {
        after.push(OTHER_ROWS.into());
    }
    after
}

/// An index reads the rows of its table, so it is built while those of others are copied; if it calls a function that may read other
/// tables, it waits for all rows. The archive does not list everything of pre-data that it needs: the operator class of a key, objects that
/// a function uses. And a partition that is attached to a table with a key gets a key from that, and the key of this task would be a second
/// one. So it waits for pre-data, unless it `needs_only_its_table`.
#[must_use]
pub fn index(inputs: &Inputs<'_>, index: Option<&Index>) -> Vec<String> {
    let reads = index.is_some_and(|index| inputs.catalog.callers.relations.contains(&index.oid));
    match index {
        _ if reads => phases(&[Phase::PreData, Phase::Data]),
        Some(index) if needs_only_its_table(inputs, index) => Vec::new(),
        _ => phases(&[Phase::PreData]),
    }
}

/// A key, an exclusion constraint or a foreign key reads only the rows of its tables, unless its operators may read others. A key that
/// `needs_only_its_table` does not wait for pre-data.
#[must_use]
pub fn constraint(inputs: &Inputs<'_>, constraint: &Constraint) -> Vec<String> {
    let callers = &inputs.catalog.callers;
    let by_index = constraint.index.filter(|_| constraint.kind != 'f');
    let reads = callers.constraints.contains(&constraint.oid)
        || constraint.index.is_some_and(|oid| callers.relations.contains(&oid));
    let index = by_index.and_then(|oid| inputs.lookup.indexes.get(&oid));
    match index {
        _ if reads => phases(&[Phase::PreData, Phase::Data]),
        Some(index) if needs_only_its_table(inputs, index) => Vec::new(),
        _ => phases(&[Phase::PreData]),
    }
}

/// Whether an index needs nothing of pre-data except its table, which the rows that it requires have waited for, and no statement of
/// pre-data waits for it long or in a cycle: the table is small, and no other object of pre-data depends on it.
fn needs_only_its_table(inputs: &Inputs<'_>, index: &Index) -> bool {
    let is_alone = |relation: &Relation| {
        relation.kind == RelationKind::Table
            && relation.partition_of.is_none()
            && relation.member.is_none()
            && relation.total_bytes <= SMALL
            && !inputs.interwoven.contains(&relation.oid)
    };
    index.is_builtin && inputs.lookup.relations.get(&index.relation).is_some_and(|relation| is_alone(relation))
}

/// ANALYZE computes extended statistics, and those of indexes, whose tasks it waits for anyway.
#[must_use]
pub fn analyze(inputs: &Inputs<'_>, relations: &[Oid]) -> Vec<String> {
    let reads = relations.iter().any(|oid| inputs.catalog.callers.analyzed.contains(oid));
    if reads { phases(&[Phase::Data]) } else { Vec::new() }
}

/// The other entries of post-data. `is_by_table` says that the entry depends on tables, whose rows it then requires, and that there are no
/// late rows.
#[must_use]
pub fn other(kind: &ObjectKind, is_by_table: bool) -> Vec<String> {
    let after: &[Phase] = match kind.waits_for() {
        // Triggers and rules must not apply to rows that are copied: those of their own tables, and if functions run for late rows, those
        // that the functions may write. A view's rule, which makes the view, is one of them. A NOT NULL that is not checked, and a CHECK
        // that pg_dump writes after the rows, read their own table, and through functions others.
        Wait::OwnRows if is_by_table => &[Phase::PreData],
        // A published table refuses changes of rows without a replica identity, which it gets from a key; the archive orders both.
        Wait::OwnRows | Wait::AllRows => &[Phase::PreData, Phase::Data],
        // Once it is enabled, row security hides rows from statements that read the table with its owner's rights: the check of a foreign
        // key, a function that an index or a constraint calls. pg_restore enables it after all of these. Unknown kinds wait as in
        // pg_restore.
        Wait::Constraints => &[Phase::PreData, Phase::Data, Phase::Index, Phase::Analyze, Phase::Constraint],
    };
    phases(after)
}

/// Privileges may revoke rights that the steps before need.
#[must_use]
pub fn privileges() -> Vec<String> {
    phases(&BEFORE_PRIVILEGES)
}

/// A materialized view is filled with its owner's rights and under row security, as `pg_restore` fills it: after both.
#[must_use]
pub fn refresh() -> Vec<String> {
    let mut after = privileges();
    after.extend(phases(&[Phase::Privileges]));
    after
}

/// Whether a materialized view, or an index of one, calls functions that may read other views, which then have to be filled first.
#[must_use]
pub fn reads_views(inputs: &Inputs<'_>, oid: Oid) -> bool {
    inputs.catalog.callers.relations.contains(&oid)
}

/// An event trigger would fire on everything, so it is last, with its comments.
#[must_use]
pub fn finish() -> Vec<String> {
    let before: Vec<Phase> = Phase::ALL.into_iter().filter(|phase| *phase != Phase::Finish).collect();
    phases(&before)
}
