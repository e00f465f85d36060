//! Large objects as tasks: batches of contents by owner, then what else they have.
//!
//! A batch has one owner and a privilege is granted on many objects at once, so that a role which the target lacks costs only what is
//! about that role. Called by `data` and `finish`.

use super::build::{Builder, Inputs, phases};
use super::{Phase, Task, kind};
use crate::catalog::LargeObject;
use crate::catalog::scope::is_whole;
use crate::config::{Config, LargeObjects};
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
            let mut task = Task::new(Phase::Privileges, kind::ACL, "", object);
            task.target_sql = format!("GRANT {right} ON LARGE OBJECT {} TO {grantee}{option}", oids.join(", "));
            task.after = phases(after);
            Some(task)
        });
        builder.push_in_turn(tasks, &[contents]);
    }
}

/// Whether the configuration moves large objects.
#[must_use]
pub fn moves_large_objects(config: &Config) -> bool {
    match config.options.large_objects {
        LargeObjects::Auto => is_whole(config) && !config.options.data_only,
        LargeObjects::Always => true,
        LargeObjects::Never => false,
    }
}

fn batches<'a>(inputs: &'a Inputs<'_>) -> impl Iterator<Item = Vec<&'a LargeObject>> {
    let wanted = moves_large_objects(inputs.config);
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

/// A task's statements about its objects, but for those about `oids`.
#[must_use]
pub fn without(sql: &str, oids: &[u32]) -> String {
    const ABOUT: [&str; 2] = ["COMMENT ON LARGE OBJECT ", "ALTER LARGE OBJECT "];
    let is_about = |statement: &str| {
        let rest = ABOUT.iter().find_map(|command| statement.strip_prefix(command)).unwrap_or_default();
        let oid = rest.split(' ').next().and_then(|oid| oid.parse::<u32>().ok());
        oid.is_some_and(|oid| oids.contains(&oid))
    };
    statements(sql).filter(|statement| !is_about(statement)).collect()
}

/// Statements end in a semicolon and a line break outside of quotes, which are doubled inside.
fn statements(sql: &str) -> impl Iterator<Item = &str> {
    let mut quote = None;
    let mut last = '\0';
    sql.split_inclusive(move |c| {
        quote = match (quote, c) {
            (None, '\'' | '"') => Some(c),
            (Some(open), _) if open == c => None,
            _ => quote,
        };
        let ends = quote.is_none() && last == ';' && c == '\n';
        last = c;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_about_an_object_are_left_out_whatever_comments_hold() {
        let object = |oid, comment: &str| LargeObject {
            oid,
            owner: "it's \";\nx".into(),
            comment: Some(comment.into()),
            privileges: Vec::new(),
        };
        let objects = [object(1, "a;\nCOMMENT ON LARGE OBJECT 2 IS 'x';\n"), object(2, "it's \\"), object(12, "\"")];
        let comments: String = objects.iter().filter_map(comment_sql).collect();
        let kept: String = [&objects[0], &objects[2]].into_iter().filter_map(comment_sql).collect();
        assert_eq!(without(&comments, &[2]), kept);
        let owners: String = objects.iter().map(owner_sql).collect();
        assert_eq!(without(&owners, &[1, 12]), owner_sql(&objects[1]));
    }
}
