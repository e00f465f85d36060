//! Privileges as tasks, and the objects whose owners and privileges are compared at the end of a run.
//!
//! The statements are those of `pg_dump`. If an entry grants in the name of another role, it changes to that role by SET LOCAL ROLE, which
//! members may use, instead of SET SESSION AUTHORIZATION, which only superusers may use. Called by `finish`; the engine calls [`units`] and
//! [`place`].

use super::builder::Builder;
use super::inputs::Inputs;
use super::large_object;
use super::order;
use crate::catalog::archive::{Entry, split};
use crate::catalog::object_kind::ObjectKind;
use crate::name::unquoted;
use crate::plan::{Phase, Task, TaskKind};
use std::collections::HashMap;

/// The beginning of a statement in the name of another role.
pub const BECOME: &str = "SET LOCAL ROLE ";
const BECOME_ITSELF: &str = "RESET ROLE";

/// Adds the tasks of the privileges. Those on a schema are before those on its objects: a role that grants in its own name must have access
/// to the object first.
pub fn push(inputs: &Inputs<'_>, builder: &mut Builder) {
    let all = inputs.entries().filter(|entry| matches!(entry.kind, ObjectKind::Acl | ObjectKind::DefaultAcl));
    let (schemas, others): (Vec<&Entry>, Vec<&Entry>) = all.partition(|entry| entry.tag.starts_with("SCHEMA "));
    let mut first: HashMap<String, usize> = HashMap::new();
    let mut of_entry: HashMap<i32, usize> = HashMap::new();
    for entry in schemas {
        let at = push_entry(inputs, builder, entry, (Phase::Privileges, order::privileges()));
        first.insert(unquoted(entry.tag.trim_start_matches("SCHEMA ")), at);
    }
    for entry in others {
        // A failure of a table's privileges is no reason to skip those of its columns.
        let before: Vec<usize> = entry.dependencies.iter().filter_map(|id| of_entry.get(id).copied()).collect();
        let at = push_entry(inputs, builder, entry, (Phase::Privileges, order::privileges()));
        builder.by_entry.remove(&entry.id);
        of_entry.insert(entry.id, at);
        builder.wait_for(at, first.get(entry.namespace.as_str()).copied().into_iter().chain(before));
    }
    large_object::push_privileges(inputs, builder, &order::BEFORE_PRIVILEGES);
}

/// The statements of an ACL entry, with SET ROLE to the grantor if the archive uses SET SESSION AUTHORIZATION.
#[must_use]
pub fn by_role(statements: &str) -> String {
    let one = |statement: &str| match statement.trim_start() {
        start if start.starts_with("SET SESSION AUTHORIZATION ") => {
            statement.replacen("SET SESSION AUTHORIZATION ", BECOME, 1)
        }
        start if start.starts_with("RESET SESSION AUTHORIZATION") => {
            statement.replacen("RESET SESSION AUTHORIZATION", BECOME_ITSELF, 1)
        }
        _ => statement.to_owned(),
    };
    split(statements).into_iter().map(one).collect()
}

/// The statements that can run by themselves: one each, except that those in the name of another role include the change of the role.
#[must_use]
pub fn units(sql: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let (mut begin, mut end, mut is_other) = (0, 0, false);
    for statement in split(sql) {
        end += statement.len();
        let text = statement.trim();
        is_other |= text.starts_with(BECOME);
        is_other &= !text.starts_with(BECOME_ITSELF);
        if !is_other {
            all.push(sql[begin..end].trim().trim_end_matches(';'));
            begin = end;
        }
    }
    all.push(sql[begin..end].trim().trim_end_matches(';'));
    all.retain(|unit| !unit.is_empty());
    all
}

/// A unit for a server without the privilege MAINTAIN; none if it has no other privilege.
#[must_use]
pub fn without_maintain(unit: &str) -> Option<String> {
    let kept: Vec<String> = split(unit).iter().filter_map(|statement| without(statement)).collect();
    let is_about_roles = |statement: &String| {
        let text = statement.trim();
        text.is_empty() || text.starts_with(BECOME) || text.starts_with(BECOME_ITSELF)
    };
    (!kept.iter().all(is_about_roles)).then(|| kept.concat().trim().trim_end_matches(';').to_owned())
}

/// A statement without MAINTAIN; none if it has no other privilege.
fn without(statement: &str) -> Option<String> {
    let Some((begin, end)) = list(statement) else { return Some(statement.to_owned()) };
    let privileges: Vec<&str> = statement[begin..end].split(',').filter(|word| word.trim() != "MAINTAIN").collect();
    let rest = format!("{}{}{}", &statement[..begin], privileges.join(","), &statement[end..]);
    (!privileges.is_empty()).then_some(rest)
}

/// The position of the list of privileges in a statement.
fn list(statement: &str) -> Option<(usize, usize)> {
    const BEFORE: [&str; 3] = ["REVOKE GRANT OPTION FOR ", "REVOKE ", "GRANT "];
    let mut is_name = false;
    for (at, c) in statement.char_indices() {
        is_name ^= c == '"';
        if let Some(word) = BEFORE.iter().find(|word| !is_name && statement[at..].starts_with(**word)) {
            let begin = at + word.len();
            return Some((begin, begin + statement[begin..].find(" ON ")?));
        }
    }
    None
}

/// An object as the archive's ACL entries name it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The archive's word for its kind; tables, views and the like are all `TABLE`.
    pub class: String,
    /// Its schema, empty where it has none.
    pub schema: String,
    /// Its name, with a routine's arguments.
    pub name: String,
}

/// The object that a task makes, or whose privileges it sets; none for other tasks.
#[must_use]
pub fn place(task: &Task) -> Option<Place> {
    if task.kind == ObjectKind::Acl {
        return acl_place(task);
    }
    let class = task.kind.entry()?.class()?;
    Some(Place { class: class.into(), schema: task.schema.clone(), name: task.name.clone() })
}

/// The archive quotes the names in the tags of privileges as SQL would. A column's privileges are compared with its table's.
fn acl_place(task: &Task) -> Option<Place> {
    const CLASSES: [&str; 9] =
        ["TABLE", "COLUMN", "SEQUENCE", "SCHEMA", "FUNCTION", "PROCEDURE", "TYPE", "LANGUAGE", "FOREIGN DATA WRAPPER"];
    let classes = CLASSES.iter().chain(&["FOREIGN SERVER"]);
    let (class, rest) = classes.into_iter().find_map(|class| {
        let rest = task.name.strip_prefix(class)?.strip_prefix(' ')?;
        Some((*class, rest))
    })?;
    let name = match class {
        "COLUMN" => unquoted(first_ident(rest)),
        "FUNCTION" | "PROCEDURE" => {
            let first = first_ident(rest);
            format!("{}{}", unquoted(first), &rest[first.len()..])
        }
        _ => unquoted(rest),
    };
    let schema = if class == "SCHEMA" { String::new() } else { task.schema.clone() };
    Some(Place { class: class.into(), schema, name })
}

/// The first identifier of a tag, quoted or not.
fn first_ident(tag: &str) -> &str {
    match crate::name::split_ident(tag) {
        Some((first, _)) => first,
        None => &tag[..tag.find(['.', '(']).unwrap_or(tag.len())],
    }
}

/// Whether a task sets privileges.
#[must_use]
pub fn is_acl(task: &Task) -> bool {
    matches!(task.kind, TaskKind::Entry(ObjectKind::Acl | ObjectKind::DefaultAcl))
}

pub(super) fn push_entry(
    inputs: &Inputs<'_>,
    builder: &mut Builder,
    entry: &Entry,
    when: (Phase, Vec<String>),
) -> usize {
    let (phase, after) = when;
    let mut task = Task::new(phase, &entry.kind, &entry.namespace, &entry.tag);
    task.target_sql = entry.with_settings(inputs.options.schema.tablespaces);
    if is_acl(&task) {
        task.target_sql = by_role(&task.target_sql);
    }
    task.optional_sql = inputs.owner_statement(entry);
    task.after = after;
    let requires = builder.completing(entry);
    let at = builder.push(task, requires);
    builder.by_entry.insert(entry.id, at);
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_another_grantor_stay_together() {
        let sql = "REVOKE ALL ON TABLE s.t FROM PUBLIC;\nSET SESSION AUTHORIZATION \"o;x\";\nGRANT SELECT ON TABLE s.t TO a;\n\
                   RESET SESSION AUTHORIZATION;\nGRANT SELECT ON TABLE s.t TO b;\n";
        let sql = by_role(sql);
        let wanted = [
            "REVOKE ALL ON TABLE s.t FROM PUBLIC",
            "SET LOCAL ROLE \"o;x\";\nGRANT SELECT ON TABLE s.t TO a;\nRESET ROLE",
            "GRANT SELECT ON TABLE s.t TO b",
        ];
        assert_eq!(units(&sql), wanted);
    }

    #[test]
    fn maintain_is_left_out_wherever_it_is_listed() {
        let kept = |sql: &str| without_maintain(sql);
        assert_eq!(kept("GRANT SELECT,MAINTAIN ON TABLE s.t TO r").as_deref(), Some("GRANT SELECT ON TABLE s.t TO r"));
        assert_eq!(kept("GRANT MAINTAIN ON TABLE s.t TO r WITH GRANT OPTION"), None);
        assert_eq!(kept("REVOKE GRANT OPTION FOR MAINTAIN ON TABLE s.t FROM r"), None);
        let other = "GRANT SELECT ON TABLE s.\"GRANT MAINTAIN ON x\" TO r";
        assert_eq!(kept(other).as_deref(), Some(other));
        let rule =
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"REVOKE MAINTAIN ON\" IN SCHEMA s GRANT MAINTAIN,DELETE ON TABLES TO r";
        assert_eq!(kept(rule), Some(rule.replace("MAINTAIN,", "")));
        let granted = "SET LOCAL ROLE o;\nGRANT MAINTAIN ON TABLE s.t TO a;\nRESET ROLE";
        assert_eq!(kept(granted), None);
        let both = "SET LOCAL ROLE o;\nGRANT SELECT,MAINTAIN ON TABLE s.t TO a;\nRESET ROLE";
        assert_eq!(kept(both), Some(both.replace(",MAINTAIN", "")));
    }

    #[test]
    fn tags_name_their_objects() {
        let place = |kind: &str, schema: &str, tag: &str| {
            let found = place(&Task::new(Phase::Privileges, kind, schema, tag))?;
            Some([found.class, found.schema, found.name].join("/"))
        };
        assert_eq!(place("acl", "s", "TABLE \"Odd \"\"one\"").as_deref(), Some("TABLE/s/Odd \"one"));
        assert_eq!(place("acl", "s", "COLUMN \"a.b\".\"c d\"").as_deref(), Some("COLUMN/s/a.b"));
        assert_eq!(place("acl", "s", "COLUMN t.c").as_deref(), Some("COLUMN/s/t"));
        assert_eq!(
            place("acl", "s", "FUNCTION f(s.\"T\", integer)").as_deref(),
            Some("FUNCTION/s/f(s.\"T\", integer)")
        );
        assert_eq!(place("acl", "", "SCHEMA public").as_deref(), Some("SCHEMA//public"));
        assert_eq!(place("view", "s", "v").as_deref(), Some("TABLE/s/v"));
        assert_eq!(place("acl", "", "SELECT for a on large object 1"), None);
        assert_eq!(place("index", "s", "i"), None);
    }
}
