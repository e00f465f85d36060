//! Large objects as tasks: batches of contents by owner, then their other properties.
//!
//! A batch has one owner and a privilege is granted on many objects at once, so a role that the target lacks affects only the tasks about
//! that role. Called by `data` and `finish`.

use super::builder::Builder;
use super::inputs::{Inputs, phases};
use crate::catalog::LargeObjects as Batch;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::scope::is_whole;
use crate::config::{LargeObjects, ScopeOptions};
use crate::plan::subject::{LargeObjectBatch, Subject, grant_sql};
use crate::plan::{Phase, Task, TaskKind};

/// Adds the tasks of the objects' contents, comments and owners.
pub fn push(inputs: &Inputs<'_>, builder: &mut Builder) {
    for batch in batches(inputs) {
        let mut task = Task::new(Phase::Data, TaskKind::LargeObjects, "", name(batch));
        let owner = inputs.options.scope.owners.then(|| batch.owner.clone());
        let subject = LargeObjectBatch { oids: batch.oids.clone(), owner, comments: batch.comments.clone() };
        task.source_sql = subject.source_sql();
        task.target_sql = subject.comments_sql(|_| true);
        task.optional_sql = subject.optional_sql();
        task.subject = Some(Subject::LargeObjects(subject));
        task.rows = batch.oids.len() as u64;
        task.after = phases(&[Phase::Roles]);
        let at = builder.push(task, vec![]);
        builder.large_objects.push(at);
    }
}

/// Adds the tasks of the objects' privileges, one for each grantee and right of a batch.
pub fn push_privileges(inputs: &Inputs<'_>, builder: &mut Builder, after: &[Phase]) {
    let contents = std::mem::take(&mut builder.large_objects);
    if !inputs.options.scope.privileges {
        return;
    }
    for (batch, contents) in batches(inputs).zip(contents) {
        let tasks = batch.grants.iter().map(|grant| {
            let object = format!("{} for {} on {}", grant.right, grant.grantee, name(batch));
            let mut task = Task::new(Phase::Privileges, ObjectKind::Acl, "", object);
            task.target_sql = grant_sql(grant);
            task.subject = Some(Subject::LargeObjectGrant(grant.clone()));
            task.after = phases(after);
            task
        });
        builder.push_in_turn(tasks, &[contents]);
    }
}

/// Whether large objects are migrated.
#[must_use]
pub fn moves_large_objects(options: &ScopeOptions) -> bool {
    match options.large_objects {
        LargeObjects::Auto => is_whole(options) && !options.data_only,
        LargeObjects::Always => true,
        LargeObjects::Never => false,
    }
}

fn batches<'a>(inputs: &'a Inputs<'_>) -> impl Iterator<Item = &'a Batch> {
    let wanted = moves_large_objects(inputs.options.scope);
    inputs.catalog.large_objects.iter().filter(move |_| wanted)
}

fn name(batch: &Batch) -> String {
    match batch.oids.as_slice() {
        [one] => format!("large object {one}"),
        [first, .., last] => format!("large objects {first} to {last} of {}", crate::name::readable(&batch.owner)),
        [] => String::new(),
    }
}
