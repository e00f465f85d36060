//! What a data-only plan says of the target's own tables, and the tasks that drop and restore their foreign keys.
//!
//! A plan depends on source and configuration only, so it names what is done and never which triggers and keys exist: the run finds these,
//! and the ledger keeps them. Called by `build`.

use super::builder::Builder;
use super::inputs::{Inputs, phases};
use crate::catalog::Relation;
use crate::config::{LargeObjects, TargetForeignKeys, TargetTriggers};
use crate::finding::{Finding, Severity};
use crate::plan::{Phase, Task, TaskKind};

/// Adds the task that all rows wait for, if there is one.
pub fn push_before(inputs: &Inputs<'_>, builder: &mut Builder) {
    if inputs.options.copy.target_foreign_keys == TargetForeignKeys::Drop {
        let mut task = Task::new(Phase::PreData, TaskKind::FkDrop, "", "foreign keys of the target's tables");
        task.note = "dropped before the rows are copied; the ledger keeps their definitions".into();
        builder.before_rows = Some(builder.push(task, vec![]));
    }
}

/// Adds the tasks that restore foreign keys, whatever the result of the rows.
pub fn push_after(inputs: &Inputs<'_>, builder: &mut Builder) {
    let Some(dropped) = builder.before_rows else { return };
    let mut task = Task::new(Phase::Constraint, TaskKind::FkRestore, "", "foreign keys of the target's tables");
    task.after = phases(&[Phase::Data]);
    task.note = "made again, their rows not checked yet".into();
    let restored = builder.push(task, vec![]);
    builder.wait_for(restored, Some(dropped));
    for table in tables(inputs) {
        let mut task = Task::new(Phase::Constraint, TaskKind::FkCheck, &table.name.schema, &table.name.name);
        task.bytes = table.total_bytes;
        // Without statistics the planner may choose a bad plan for the check.
        task.after = phases(&[Phase::Data, Phase::Analyze]);
        task.note = "checks the rows of the foreign keys that were made again".into();
        let at = builder.push(task, vec![]);
        builder.wait_for(at, Some(restored));
    }
}

fn tables<'a>(inputs: &'a Inputs<'_>) -> impl Iterator<Item = &'a Relation> {
    inputs.catalog.relations.iter().filter(|relation| inputs.scope.tables.contains(&relation.oid))
}

/// What a reader of the plan should know.
pub fn findings(inputs: &Inputs<'_>) -> Vec<Finding> {
    let (scope, copy) = (inputs.options.scope, inputs.options.copy);
    let mut findings =
        vec![info("data_only", "only rows and values of sequences are moved: the target's schema stays as it is")];
    findings.push(info(
        "target_triggers",
        match copy.target_triggers {
            TargetTriggers::Fire => "triggers of the target's tables fire for copied rows",
            TargetTriggers::Disable => {
                "triggers of the target's tables are disabled in the transactions that copy rows, and in no others"
            }
        },
    ));
    findings.push(info(
        "target_foreign_keys",
        match copy.target_foreign_keys {
            TargetForeignKeys::Order => "foreign keys of the target's tables stay: referenced rows are copied first",
            TargetForeignKeys::Defer => {
                "foreign keys of the target's tables stay: referenced rows are copied first, tables in a cycle of references in one transaction \
                 with deferred checks"
            }
            TargetForeignKeys::Drop => {
                "foreign keys of the target's tables are dropped before rows are copied, then created again and checked"
            }
        },
    ));
    if scope.large_objects == LargeObjects::Auto && !inputs.catalog.large_objects.is_empty() {
        let count: usize = inputs.catalog.large_objects.iter().map(|batch| batch.oids.len()).sum();
        let message = match count {
            1 => "1 large object of the source is not copied".to_owned(),
            _ => format!("{count} large objects of the source are not copied"),
        };
        let remedy = "set options.large_objects to true to copy them, with the OIDs that they have";
        findings.push(Finding::new("large_objects", Severity::Info, "", message, remedy));
    }
    findings
}

fn info(check: &str, message: &str) -> Finding {
    Finding::new(check, Severity::Info, "", message, "")
}
