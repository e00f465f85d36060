//! Large objects as tasks: batches of contents by owner, then their other properties.
//!
//! A batch has one owner and a privilege is granted on many objects at once, so a role that the target lacks affects only the tasks about
//! that role. Called by `data` and `finish`.

use super::builder::Builder;
use super::inputs::{Inputs, phases};
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::scope::is_whole;
use crate::catalog::{LargeObjects as Batch, Oid};
use crate::config::{LargeObjects, ScopeOptions};
use crate::name::{ident, literal};
use crate::plan::{Phase, Task, TaskKind};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{Hash, Hasher};

/// Adds the tasks of the objects' contents, comments and owners.
pub fn push(inputs: &Inputs<'_>, builder: &mut Builder) {
    for batch in batches(inputs) {
        let mut task = Task::new(Phase::Data, TaskKind::LargeObjects, "", name(batch));
        let oids: Vec<String> = batch.oids.iter().map(ToString::to_string).collect();
        task.source_sql = format!("SELECT unnest('{{{}}}'::pg_catalog.oid[])", oids.join(","));
        task.target_sql = batch.comments.iter().map(|(oid, comment)| comment_sql(*oid, comment)).collect();
        if inputs.options.scope.owners {
            task.optional_sql = owner_sql(&batch.owner);
        }
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
        let tasks = batch.grants.iter().filter_map(|grant| {
            let (grantee, right) = grant.privilege.rsplit_once(':')?;
            let (right, option) = right.strip_suffix('*').map_or((right, ""), |right| (right, " WITH GRANT OPTION"));
            let object = format!("{right} for {grantee} on {}", name(batch));
            let mut task = Task::new(Phase::Privileges, TaskKind::Entry(ObjectKind::Acl), "", object);
            task.target_sql = format!("GRANT {right} ON LARGE OBJECT {} TO {grantee}{option}", grant.oids);
            task.after = phases(after);
            Some(task)
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

fn comment_sql(oid: Oid, comment: &str) -> String {
    format!("COMMENT ON LARGE OBJECT {oid} IS {};\n", literal(comment))
}

/// The beginning of the optional statement of a task if it is one for all objects; `%s` is the object's OID.
const FOR_EACH: &str = "ALTER LARGE OBJECT %s ";

/// The statement that sets the owner of each object of a task.
fn owner_sql(owner: &str) -> String {
    format!("{FOR_EACH}OWNER TO {}", ident(owner))
}

/// A task's optional statement for these objects. Plans of earlier versions have a statement of its own for each object of the task.
#[must_use]
pub fn for_each(optional_sql: &str, oids: impl Iterator<Item = Oid>) -> String {
    if optional_sql.starts_with(FOR_EACH) {
        return oids.map(|oid| optional_sql.replacen("%s", &oid.to_string(), 1) + ";\n").collect();
    }
    let oids: HashSet<Oid> = oids.collect();
    statements(optional_sql).filter(|statement| altered(statement).is_none_or(|(oid, _)| oids.contains(&oid))).collect()
}

/// The large object that a statement alters, and how it alters it.
fn altered(statement: &str) -> Option<(Oid, &str)> {
    let (oid, rest) = statement.strip_prefix("ALTER LARGE OBJECT ")?.split_once(' ')?;
    Some((oid.parse().ok()?, rest.trim_end_matches([';', '\n'])))
}

/// What a plan's tasks set for a large object, according to their statements. For the privileges it has a hash, because very many objects
/// may have the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defined<'a> {
    /// The text after the object in `ALTER LARGE OBJECT`.
    owner: &'a str,
    comment: &'a str,
    privileges: u64,
}

impl Defined<'_> {
    /// The differences from another one of the same object.
    #[must_use]
    pub fn differences(&self, other: &Defined<'_>) -> BTreeSet<String> {
        let parts = [
            ("owner", self.owner != other.owner),
            ("comment", self.comment != other.comment),
            ("privileges", self.privileges != other.privileges),
        ];
        parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part.to_owned()).collect()
    }
}

/// The large objects of a plan, in any batch.
#[must_use]
pub fn defined(tasks: &[Task]) -> BTreeMap<u32, Defined<'_>> {
    let mut objects: BTreeMap<u32, Defined<'_>> = BTreeMap::new();
    for task in tasks.iter().filter(|task| task.kind == TaskKind::LargeObjects) {
        let oids = task.source_sql.split(|c: char| !c.is_ascii_digit()).filter_map(|oid| oid.parse().ok());
        let owner = task.optional_sql.strip_prefix(FOR_EACH).unwrap_or_default();
        let object = Defined { owner, comment: "", privileges: 0 };
        objects.extend(oids.map(|oid| (oid, object)));
        for (oid, owner) in statements(&task.optional_sql).filter_map(altered) {
            if let Some(object) = objects.get_mut(&oid) {
                object.owner = owner;
            }
        }
        for statement in statements(&task.target_sql) {
            if let Some(object) = commented(statement).and_then(|oid| objects.get_mut(&oid)) {
                object.comment = statement;
            }
        }
    }
    for task in tasks {
        let Some((right, oids, grantee)) = grant(task) else { continue };
        let mut hasher = DefaultHasher::new();
        (right, grantee).hash(&mut hasher);
        let privilege = hasher.finish();
        for oid in oids.split(", ").filter_map(|oid| oid.parse().ok()) {
            if let Some(object) = objects.get_mut(&oid) {
                // A sum, because the order of privileges has no meaning.
                object.privileges = object.privileges.wrapping_add(privilege);
            }
        }
    }
    objects
}

/// The privilege, the OIDs and the grantee of a task that grants on many large objects.
fn grant(task: &Task) -> Option<(&str, &str, &str)> {
    let statement =
        task.target_sql.strip_prefix("GRANT ").filter(|_| task.kind == ObjectKind::Acl && task.schema.is_empty())?;
    let (right, rest) = statement.split_once(" ON LARGE OBJECT ")?;
    let (oids, grantee) = rest.split_once(" TO ")?;
    // After more words there is a name, which may contain anything.
    (!right.contains(' ')).then_some((right, oids, grantee))
}

/// The large objects that a task copies or grants privileges on.
#[must_use]
pub fn oids(task: &Task) -> Vec<Oid> {
    let numbers = |text: &str| text.split(|c: char| !c.is_ascii_digit()).filter_map(|oid| oid.parse().ok()).collect();
    match grant(task) {
        Some((_, oids, _)) => numbers(oids),
        None if task.kind == TaskKind::LargeObjects => numbers(&task.source_sql),
        None => Vec::new(),
    }
}

/// The large objects that a task comments on.
#[must_use]
pub fn commented_oids(task: &Task) -> HashSet<Oid> {
    statements(&task.target_sql).filter_map(commented).collect()
}

/// Whether a task grants privileges on many large objects at once.
#[must_use]
pub fn is_about_large_objects(task: &Task) -> bool {
    grant(task).is_some()
}

/// A task's comments on its objects, except those on `oids`.
#[must_use]
pub fn without(sql: &str, oids: &[Oid]) -> String {
    statements(sql).filter(|statement| !commented(statement).is_some_and(|oid| oids.contains(&oid))).collect()
}

/// The large object that a statement comments on.
fn commented(statement: &str) -> Option<Oid> {
    statement.strip_prefix("COMMENT ON LARGE OBJECT ")?.split(' ').next()?.parse().ok()
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
    fn comments_on_an_object_are_left_out_whatever_comments_hold() {
        let comments = [(1, "a;\nCOMMENT ON LARGE OBJECT 2 IS 'x';\n"), (2, "it's \\"), (12, "\"")];
        let all: String = comments.iter().map(|(oid, comment)| comment_sql(*oid, comment)).collect();
        let kept: String = [comments[0], comments[2]].iter().map(|(oid, comment)| comment_sql(*oid, comment)).collect();
        assert_eq!(without(&all, &[2]), kept);
    }

    #[test]
    fn an_owner_may_have_any_name() {
        let sql = for_each(&owner_sql("of %s"), [1, 22].into_iter());
        assert_eq!(sql, "ALTER LARGE OBJECT 1 OWNER TO \"of %s\";\nALTER LARGE OBJECT 22 OWNER TO \"of %s\";\n");
        assert_eq!(for_each("", [1].into_iter()), "");
    }

    /// A task as plans of earlier versions have it: a statement for each object.
    fn earlier(oids: &[Oid], owner: &str) -> Task {
        let mut task = of_template(oids, owner);
        let statements = oids.iter().map(|oid| format!("ALTER LARGE OBJECT {oid} OWNER TO {};\n", ident(owner)));
        task.optional_sql = statements.collect::<Vec<_>>().concat();
        task
    }

    fn of_template(oids: &[Oid], owner: &str) -> Task {
        let mut task = Task::new(Phase::Data, TaskKind::LargeObjects, "", "large objects");
        let all: Vec<String> = oids.iter().map(ToString::to_string).collect();
        task.source_sql = format!("SELECT unnest('{{{}}}'::pg_catalog.oid[])", all.join(","));
        task.optional_sql = owner_sql(owner);
        task
    }

    const OWNERS: [&str; 4] = ["plain", "of %s", "a;\nALTER LARGE OBJECT 2 OWNER TO b;\n", "it's \""];

    #[test]
    fn the_statements_of_an_earlier_plan_run_once_and_for_the_copied_objects_alone() {
        for owner in OWNERS {
            let task = earlier(&[1, 2, 22], owner);
            assert_eq!(for_each(&task.optional_sql, [1, 2, 22].into_iter()), task.optional_sql);
            assert_eq!(for_each(&task.optional_sql, [1, 22].into_iter()), earlier(&[1, 22], owner).optional_sql);
            assert_eq!(for_each(&task.optional_sql, [].into_iter()), "");
        }
    }

    #[test]
    fn an_earlier_plan_gives_objects_the_same_owners() {
        for owner in OWNERS {
            let old = [earlier(&[1, 2], owner), earlier(&[3], "other")];
            let now = [of_template(&[1], owner), of_template(&[2, 3], owner)];
            let (old, now) = (defined(&old), defined(&now));
            assert_eq!((old.get(&1), old.get(&2)), (now.get(&1), now.get(&2)));
            assert_eq!(old[&3].differences(&now[&3]), BTreeSet::from(["owner".to_owned()]));
        }
    }
}
