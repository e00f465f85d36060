//! Large objects as tasks: batches of contents by owner, then what else they have.
//!
//! A batch has one owner and a privilege is granted on many objects at once, so that a role which the target lacks costs only what is
//! about that role. Called by `data` and `finish`.

use super::build::{Builder, Inputs, phases};
use super::{Phase, Task, kind};
use crate::catalog::LargeObject;
use crate::catalog::scope::is_whole;
use crate::config::LargeObjects;
use crate::name::{ident, literal};
use std::collections::BTreeMap;

/// Large objects of one task: few enough for a short transaction, many enough for few of them.
const A_TASK: usize = 500;

/// Pushes the objects' contents, comments and owners.
pub fn push(inputs: &Inputs<'_>, builder: &mut Builder) {
    for batch in batches(inputs) {
        let mut task = Task::new(Phase::Data, kind::LARGE_OBJECTS, "", name(&batch));
        let oids: Vec<String> = batch.iter().map(|object| object.oid.to_string()).collect();
        task.source_sql = format!("SELECT unnest('{{{}}}'::pg_catalog.oid[])", oids.join(","));
        task.target_sql = batch.iter().filter_map(|object| comment_sql(object)).collect();
        task.optional_sql = batch.iter().map(|object| owner_sql(object)).collect();
        task.rows = batch.len() as u64;
        task.after = phases(&[Phase::Roles]);
        let at = builder.push(task, vec![]);
        builder.large_objects.push(at);
    }
}

/// Pushes the objects' privileges, one task a grantee and right of a batch.
pub fn push_privileges(inputs: &Inputs<'_>, builder: &mut Builder, after: &[Phase]) {
    let contents = std::mem::take(&mut builder.large_objects);
    for (batch, contents) in batches(inputs).zip(contents) {
        let tasks = by_privilege(&batch).into_iter().filter_map(|(privilege, oids)| {
            let (grantee, right) = privilege.rsplit_once(':')?;
            let (right, option) = right.strip_suffix('*').map_or((right, ""), |right| (right, " WITH GRANT OPTION"));
            let object = format!("{right} for {grantee} on {}", name(&batch));
            let mut task = Task::new(Phase::Privileges, "acl", "", object);
            task.optional_sql = format!("GRANT {right} ON LARGE OBJECT {} TO {grantee}{option}", oids.join(", "));
            task.after = phases(after);
            Some(task)
        });
        builder.push_in_turn(tasks, &[contents]);
    }
}

fn batches<'a>(inputs: &'a Inputs<'_>) -> impl Iterator<Item = Vec<&'a LargeObject>> {
    let wanted = match inputs.config.options.large_objects {
        LargeObjects::Auto => is_whole(inputs.config) && !inputs.config.options.data_only,
        LargeObjects::Always => true,
        LargeObjects::Never => false,
    };
    let mut by_owner: BTreeMap<&str, Vec<&LargeObject>> = BTreeMap::new();
    for object in inputs.catalog.large_objects.iter().filter(|_| wanted) {
        by_owner.entry(&object.owner).or_default().push(object);
    }
    by_owner.into_values().flat_map(|objects| objects.chunks(A_TASK).map(<[_]>::to_vec).collect::<Vec<_>>())
}

fn name(batch: &[&LargeObject]) -> String {
    match batch {
        [one] => format!("large object {}", one.oid),
        [first, .., last] => {
            format!("large objects {} to {} of {}", first.oid, last.oid, crate::name::readable(&first.owner))
        }
        [] => String::new(),
    }
}

fn by_privilege<'a>(batch: &[&'a LargeObject]) -> BTreeMap<&'a str, Vec<String>> {
    let mut objects: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for object in batch {
        for privilege in &object.privileges {
            objects.entry(privilege).or_default().push(object.oid.to_string());
        }
    }
    objects
}

fn comment_sql(object: &LargeObject) -> Option<String> {
    let comment = object.comment.as_ref()?;
    Some(format!("COMMENT ON LARGE OBJECT {} IS {};\n", object.oid, literal(comment)))
}

fn owner_sql(object: &LargeObject) -> String {
    format!("ALTER LARGE OBJECT {} OWNER TO {};\n", object.oid, ident(&object.owner))
}
