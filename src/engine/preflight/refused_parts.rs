//! Indexes, constraints, triggers and other parts that separate statements create on existing tables and views of the target, where the
//! connecting role may not alter these; and materialized views that it may not fill.
//!
//! `role` covers relations that the run itself creates and gives to another owner.

use super::entry::entry_label;
use super::entry::label;
use super::look::warning;
use super::rights::Rights;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::error::Result;
use crate::finding::Finding;
use crate::name::{QualifiedName, ident, readable};
use crate::pg::survey::{self, ExistingTable, RelationPart};
use crate::plan::build::privilege;
use crate::plan::{Task, TaskKind};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A statement names at most this many relations; for more it names all of their schemas.
const NAMED: usize = 3;

/// What a statement requires on an existing relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Right {
    Owner,
    /// The owner must also own another object.
    SameOwner,
    Trigger,
    References,
    Maintain,
}

/// Why statements will be refused: the missing right, and the owner where the right is an owner's.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PartCause {
    right: Right,
    owner: String,
}

#[derive(Default)]
struct RefusedParts {
    relations: BTreeSet<QualifiedName>,
    tasks: BTreeSet<String>,
}

/// A part with its relation.
type Place<'a> = (&'a str, &'a str, &'a str, &'a QualifiedName);

struct Parts<'a> {
    rights: &'a Rights<'a>,
    relations: HashMap<&'a QualifiedName, &'a ExistingTable>,
    /// What the target has, and whether it is valid.
    there: HashMap<Place<'a>, bool>,
    /// The plan's indexes.
    indexes: HashMap<(&'a str, &'a str), &'a Task>,
    refused: BTreeMap<PartCause, RefusedParts>,
}

pub(super) async fn check(rights: &Rights<'_>) -> Result<Vec<Finding>> {
    let look = rights.look;
    let needs = |relation: &ExistingTable| !relation.rights.is_owner;
    if look.ends.target.is_superuser || !look.existing.iter().any(needs) {
        return Ok(Vec::new());
    }
    let on_source = survey::relation_parts(look.leader()).await?;
    let on_target = survey::relation_parts(look.subject.target).await?;
    let mut parts = Parts {
        rights,
        relations: look.existing.iter().map(|relation| (&relation.name, relation)).collect(),
        there: on_target.iter().map(|part| (place(part), part.is_valid)).collect(),
        indexes: look
            .subject
            .plan
            .tasks
            .iter()
            .filter(|task| task.kind == ObjectKind::Index)
            .map(|task| ((task.schema.as_str(), task.name.as_str()), task))
            .collect(),
        refused: BTreeMap::new(),
    };
    let by_oid = grouped(&on_source, |part| (part.kind.as_str(), part.catalog, part.oid));
    let by_name = grouped(&on_source, |part| (part.kind.as_str(), part.schema.as_str(), part.name.as_str()));
    for entry in look.entries() {
        let Some(kind) = entry.kind.relation_part() else { continue };
        let found = by_oid.get(&(kind, entry.catalog, entry.oid)).filter(|_| entry.catalog != 0);
        let found = found.or_else(|| by_name.get(&(kind, entry.namespace.as_str(), entry.tag.as_str())));
        for part in found.into_iter().flatten() {
            parts.look_at(entry, part);
        }
    }
    parts.refreshes();
    Ok(parts.refused.into_iter().map(|(cause, refused)| finding(rights, &cause, refused)).collect())
}

fn grouped<'a, K: std::hash::Hash + Eq>(
    parts: &'a [RelationPart],
    key: impl Fn(&'a RelationPart) -> K,
) -> HashMap<K, Vec<&'a RelationPart>> {
    let mut groups: HashMap<K, Vec<&RelationPart>> = HashMap::new();
    for part in parts {
        groups.entry(key(part)).or_default().push(part);
    }
    groups
}

fn place(part: &RelationPart) -> Place<'_> {
    (&part.kind, &part.schema, &part.name, &part.relation)
}

impl Parts<'_> {
    fn look_at(&mut self, entry: &Entry, part: &RelationPart) {
        let made = QualifiedName::new(entry.namespace.as_str(), entry.tag.as_str());
        let is_relation = matches!(part.kind.as_str(), "table" | "sequence");
        // A foreign key that is not validated there is added.
        let is_kept = self.there.get(&place(part)).is_some_and(|is_valid| *is_valid || !part.is_valid);
        if is_kept || is_relation && self.relations.contains_key(&made) {
            return;
        }
        let alters = entry.statement.contains("\nALTER TABLE ");
        let (own, other) = match part.kind.as_str() {
            "trigger" if alters => (Right::Owner, Right::Trigger),
            "trigger" => (Right::Trigger, Right::Trigger),
            "constraint" => (Right::Owner, Right::References),
            "sequence owned by" => return self.given(entry, part),
            _ => (Right::Owner, Right::Owner),
        };
        let labels = self.labels(entry, part);
        self.lack(own, &part.relation, &labels);
        if let Some(relation) = &part.other {
            self.lack(other, relation, &labels);
        }
        if part.kind == "publication table" {
            self.publication(part, &labels);
        }
    }

    /// The tasks of an entry: a key may have one for its index.
    fn labels(&self, entry: &Entry, part: &RelationPart) -> Vec<String> {
        let index = self.indexes.get(&(entry.namespace.as_str(), part.name.as_str()));
        let of_key = index.filter(|_| entry.kind == ObjectKind::Constraint).map(|task| label(task));
        of_key.into_iter().chain([entry_label(entry)]).collect()
    }

    fn lack(&mut self, right: Right, relation: &QualifiedName, labels: &[String]) {
        let Some(found) = self.relations.get(relation) else { return };
        let rights = &found.rights;
        let is_open = match right {
            Right::Owner | Right::SameOwner => rights.is_owner,
            Right::Trigger => rights.may_trigger,
            Right::References => rights.may_reference,
            Right::Maintain => rights.may_maintain,
        };
        if !is_open {
            let owner = if right == Right::Owner { rights.owner.clone() } else { String::new() };
            self.add(PartCause { right, owner }, relation, labels);
        }
    }

    fn add(&mut self, cause: PartCause, relation: &QualifiedName, labels: &[String]) {
        let refused = self.refused.entry(cause).or_default();
        refused.relations.insert(relation.clone());
        refused.tasks.extend(labels.iter().cloned());
    }

    /// A sequence is assigned to a column: both must have the same owner, for whom the connecting role acts.
    fn given(&mut self, entry: &Entry, part: &RelationPart) {
        let Some(sequence) = &part.other else { return };
        let labels = [entry_label(entry)];
        if self.relations.get(sequence).is_some_and(|found| !found.rights.is_owner) {
            return self.lack(Right::Owner, sequence, &labels);
        }
        let made = |class: &str, name: &QualifiedName| privilege::Place {
            class: class.into(),
            schema: name.schema.clone(),
            name: name.name.clone(),
        };
        let owners = [
            self.rights.owner(&made("SEQUENCE", sequence)).map(str::to_owned),
            self.rights.owner(&made("TABLE", &part.relation)).map(str::to_owned),
        ];
        if let [Some(of_sequence), Some(owner)] = owners
            && of_sequence != owner
        {
            self.add(PartCause { right: Right::SameOwner, owner }, sequence, &labels);
        }
    }

    /// A table can be added to a publication only by the table's owner.
    fn publication(&mut self, part: &RelationPart, labels: &[String]) {
        let place = privilege::Place { class: "PUBLICATION".into(), schema: String::new(), name: part.name.clone() };
        let owner = self.rights.owner(&place).filter(|owner| !self.rights.acts_for(owner)).map(str::to_owned);
        if let Some(owner) = owner {
            self.add(PartCause { right: Right::Owner, owner }, &part.relation, labels);
        }
    }

    /// Materialized views that are filled.
    fn refreshes(&mut self) {
        let look = self.rights.look;
        let views = look.entries().filter(|entry| entry.kind == ObjectKind::MaterializedView);
        let views: HashMap<(&str, String), &Entry> =
            views.map(|entry| ((entry.namespace.as_str(), readable(&entry.tag)), entry)).collect();
        let right = if look.ends.target.version.has_maintain_privilege() { Right::Maintain } else { Right::Owner };
        for task in look.subject.plan.tasks.iter().filter(|task| task.kind == TaskKind::Refresh) {
            if let Some(view) = views.get(&(task.schema.as_str(), task.name.clone())) {
                let name = QualifiedName::new(view.namespace.as_str(), view.tag.as_str());
                self.lack(right, &name, &[label(task)]);
            }
        }
    }
}

fn finding(rights: &Rights<'_>, cause: &PartCause, refused: RefusedParts) -> Finding {
    let me = &rights.look.ends.target.role;
    let (shown, own, owner) = (readable(me), ident(me), readable(&cause.owner));
    let names: Vec<String> = refused.relations.iter().map(QualifiedName::sql).collect();
    let fail = match refused.tasks.len() {
        1 => "1 statement will fail".to_owned(),
        count => format!("{count} statements will fail"),
    };
    let schemas: BTreeSet<String> = refused.relations.iter().map(|name| ident(&name.schema)).collect();
    let all = format!("ALL TABLES IN SCHEMA {}", schemas.into_iter().collect::<Vec<_>>().join(", "));
    let on = if names.len() > NAMED { all } else { names.join(", ") };
    let lacks = |right: &str, what: &str| {
        let message = format!("{shown} has no {right} on {what} that the target has already: {fail}");
        (right.to_owned(), message, format!("on the target: GRANT {right} ON {on} TO {own}"))
    };
    let (object, message, remedy) = match cause.right {
        Right::Owner => (
            owner.clone(),
            format!("{owner} owns relations that the target has already, and {shown} may not alter them: {fail}"),
            if rights.role(&cause.owner).is_some_and(|role| role.is_superuser) {
                given_over(&names, &own)
            } else {
                format!("as a role that may: GRANT {} TO {own}", ident(&cause.owner))
            },
        ),
        Right::SameOwner => (
            owner.clone(),
            format!("{owner} owns tables that the target has already, and another role their sequences: {fail}"),
            format!("after the run: ALTER SEQUENCE ... OWNER TO {}, and OWNED BY its column", ident(&cause.owner)),
        ),
        Right::Trigger => lacks("TRIGGER", "relations"),
        Right::References => lacks("REFERENCES", "tables"),
        Right::Maintain => lacks("MAINTAIN", "materialized views"),
    };
    warning("relation_refused", object, message, remedy).of(refused.tasks.into_iter().collect())
}

/// A superuser's relations are given to the connecting role, which should not become a member of a superuser.
fn given_over(names: &[String], role: &str) -> String {
    if names.len() > NAMED {
        return format!("as a superuser: ALTER TABLE ... OWNER TO {role}, for each of {} relations", names.len());
    }
    let each: Vec<String> = names.iter().map(|name| format!("ALTER TABLE {name} OWNER TO {role}")).collect();
    format!("as a superuser: {}", each.join("; "))
}
