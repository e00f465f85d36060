//! Whether two servers mean the same by definitions that they write differently.
//!
//! The properties of an object are read from both catalogs, each with a name of its own. The target parses an expression of the source and
//! deparses it again next to its own one, in a transaction that rolls back. No SQL text is parsed here. The engine's `verify`, the only
//! caller, decides what a difference means.

use super::Readers;
use crate::catalog::Oid;
use crate::catalog::object_kind::Properties;
use crate::error::Result;
use crate::pg::Session;
use std::collections::{BTreeMap, BTreeSet};

/// Whether the target deparses both views to the same text, given the source's text of its view.
pub async fn is_same_view(readers: &Readers, source: Oid, target: Oid) -> Result<bool> {
    let text: String = readers.source.query_one("SELECT pg_catalog.pg_get_viewdef($1::oid)", &[&source]).await?.get(0);
    readers.target.batch(&format!("BEGIN; CREATE TEMPORARY VIEW pgmigrate_view AS {text}")).await?;
    let sql = "SELECT pg_catalog.pg_get_viewdef('pg_temp.pgmigrate_view'::pg_catalog.regclass) \
                    = pg_catalog.pg_get_viewdef($1::oid)";
    let same = readers.target.query_one(sql, &[&target]).await?.get(0);
    readers.target.batch("ROLLBACK").await?;
    Ok(same)
}

/// The view that a rule makes, if it makes one.
pub async fn view_of_rule(session: &Session, rule: Oid) -> Result<Option<Oid>> {
    let sql = "SELECT ev_class FROM pg_catalog.pg_rewrite WHERE oid = $1 AND rulename = '_RETURN'";
    Ok(session.query_opt(sql, &[&rule]).await?.map(|row| row.get(0)))
}

/// An object by the OIDs of its system catalog, which all servers share, and of itself on the source and on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Both {
    /// The catalog's.
    pub catalog: Oid,
    /// The source's.
    pub source: Oid,
    /// The target's.
    pub target: Oid,
}

/// The name used for the owner of an object among its grantees.
const OWNER: &str = "the owner";

/// One right of one role on an object or on a column of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Privilege {
    /// The column, empty for the object itself.
    pub column: String,
    /// The role; PUBLIC, or the owner.
    pub grantee: String,
    /// The right, as SQL names it.
    pub right: String,
    /// Whether the role may grant it on.
    pub is_grantable: bool,
}

/// The rights on an object of both sides that one of them lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrivilegeDifference {
    /// Whether the object is of a kind whose rights the catalogs list, and exists.
    pub is_known: bool,
    /// On the source only.
    pub source: Vec<Privilege>,
    /// On the target only.
    pub target: Vec<Privilege>,
    /// On the source, of other roles than the owner, and unknown to the target's version.
    pub unknown: Vec<Privilege>,
}

/// Which roles have which rights on one side only, among the rights that both majors have.
pub async fn privilege_difference(readers: &Readers, of: Both) -> Result<PrivilegeDifference> {
    let [of_source, of_target] =
        [&readers.source, &readers.target].map(|session| session.version().has_maintain_privilege());
    let (source, target) = tokio::try_join!(
        privileges(&readers.source, of.catalog, of.source, of_target),
        privileges(&readers.target, of.catalog, of.target, of_source)
    )?;
    let mut unknown = Vec::new();
    if of_source && !of_target {
        let all = privileges(&readers.source, of.catalog, of.source, true).await?;
        unknown.extend(all.difference(&source).filter(|lost| lost.grantee != OWNER).cloned());
    }
    Ok(PrivilegeDifference {
        is_known: !source.is_empty() || !target.is_empty(),
        unknown,
        source: source.difference(&target).cloned().collect(),
        target: target.difference(&source).cloned().collect(),
    })
}

/// The rights on an object and its columns, MAINTAIN among them where `has_maintain`.
pub async fn privileges(session: &Session, catalog: Oid, oid: Oid, has_maintain: bool) -> Result<BTreeSet<Privilege>> {
    let sql = include_str!("../../sql/verify/privileges.sql");
    let rows = session.query(sql, &[&catalog, &oid, &has_maintain]).await?;
    let read = |row: &tokio_postgres::Row| Privilege {
        column: row.get("part"),
        grantee: row.get("grantee"),
        right: row.get("privilege"),
        is_grantable: row.get("is_grantable"),
    };
    Ok(rows.iter().map(read).collect())
}

fn sql_of(properties: Properties) -> &'static str {
    match properties {
        Properties::Relation => include_str!("../../sql/verify/relation.sql"),
        Properties::Sequence => include_str!("../../sql/verify/sequence.sql"),
        Properties::Index => include_str!("../../sql/verify/index.sql"),
        Properties::Constraint => include_str!("../../sql/verify/constraint.sql"),
        Properties::Trigger => include_str!("../../sql/verify/trigger.sql"),
        Properties::Policy => include_str!("../../sql/verify/policy.sql"),
        Properties::Statistics => include_str!("../../sql/verify/statistics.sql"),
        Properties::Type => include_str!("../../sql/verify/type.sql"),
        Properties::Routine => include_str!("../../sql/verify/routine.sql"),
        Properties::Default => include_str!("../../sql/verify/default.sql"),
        Properties::Rule => include_str!("../../sql/verify/rule.sql"),
    }
}

/// A property: of the object itself, or of a part of it such as a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Property {
    /// `relation` for the object itself, else the kind of part.
    pub part: String,
    /// The part's name.
    pub name: String,
    /// What the property is called.
    pub property: String,
}

impl Property {
    fn of(&self) -> (String, String) {
        (self.part.clone(), self.name.clone())
    }
}

/// A property's value; usually one of the two fields is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Value {
    /// A value that every major writes in the same way.
    pub fact: Option<String>,
    /// A text that majors may write differently.
    expression: Option<String>,
    /// The FROM clause over which the expression can be parsed again.
    scope: Option<String>,
}

/// How the properties of two objects compare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The properties that differ, with the values of source and target.
    pub differing: Vec<(Property, Value, Value)>,
    /// Those that the two majors write differently and that mean the same.
    pub rewritten: Vec<Property>,
    /// Those whose texts differ and whose meaning cannot be compared.
    pub undecided: Vec<Property>,
}

/// Compares the properties of two objects, with their tablespaces if these are to be compared.
pub async fn compare(
    readers: &Readers,
    kind: Properties,
    source: Oid,
    target: Oid,
    with_tablespaces: bool,
) -> Result<Comparison> {
    let (source, mut target) = tokio::try_join!(
        values(&readers.source, kind, source, with_tablespaces),
        values(&readers.target, kind, target, with_tablespaces)
    )?;
    let mut comparison = Comparison::default();
    let is_one_major = readers.source.major() == readers.target.major();
    let lacking =
        [(lacking(&source, &target), "is on the source only"), (lacking(&target, &source), "is on the target only")];
    for ((part, name), words) in lacking.iter().flat_map(|(parts, words)| parts.iter().map(move |part| (part, *words)))
    {
        let property = Property { part: part.clone(), name: name.clone(), property: words.to_owned() };
        comparison.differing.push((property, Value::default(), Value::default()));
    }
    let is_lacking = |of: &Property| lacking.iter().any(|(parts, _)| parts.contains(&of.of()));
    for (property, value) in source.into_iter().filter(|(property, _)| !is_lacking(property)) {
        let other = target.remove(&property).unwrap_or_default();
        if value.fact == other.fact && value.expression == other.expression {
            continue;
        }
        let texts = value.expression.as_deref().zip(other.expression.as_deref());
        let Some((one, two)) = texts.filter(|_| value.fact == other.fact && !is_one_major) else {
            comparison.differing.push((property, value, other));
            continue;
        };
        match other.scope.as_deref() {
            None => comparison.undecided.push(property),
            Some(scope) if is_same_expression(readers, scope, one, two).await? => comparison.rewritten.push(property),
            Some(_) => comparison.differing.push((property, value, other)),
        }
    }
    let is_set = |value: &Value| value.fact.is_some() || value.expression.is_some();
    let added = target.into_iter().filter(|(property, value)| is_set(value) && !is_lacking(property));
    comparison.differing.extend(added.map(|(property, value)| (property, Value::default(), value)));
    Ok(comparison)
}

type Values = BTreeMap<Property, Value>;

/// The parts of one object that the other lacks.
fn lacking(one: &Values, other: &Values) -> BTreeSet<(String, String)> {
    let there: BTreeSet<(String, String)> = other.keys().map(Property::of).collect();
    one.keys().map(Property::of).filter(|part| !there.contains(part)).collect()
}

async fn values(session: &Session, kind: Properties, oid: Oid, with_tablespaces: bool) -> Result<Values> {
    let rows = session.query(sql_of(kind), &[&oid, &with_tablespaces]).await?;
    let read = |row: &tokio_postgres::Row| {
        let property = Property { part: row.get("part"), name: row.get("name"), property: row.get("property") };
        (property, Value { fact: row.get("fact"), expression: row.get("expression"), scope: row.get("scope") })
    };
    Ok(rows.iter().map(read).collect())
}

/// Whether the target deparses two expressions to the same text.
async fn is_same_expression(readers: &Readers, scope: &str, one: &str, other: &str) -> Result<bool> {
    let view = |number: u8, text: &str| {
        format!("CREATE TEMPORARY VIEW pgmigrate_{number} AS SELECT ({text}) AS value FROM {scope}")
    };
    readers.target.batch(&format!("BEGIN; {}; {}", view(1, one), view(2, other))).await?;
    let sql = "SELECT pg_catalog.pg_get_viewdef('pg_temp.pgmigrate_1'::pg_catalog.regclass) \
                    = pg_catalog.pg_get_viewdef('pg_temp.pgmigrate_2'::pg_catalog.regclass)";
    let same = readers.target.query_one(sql, &[]).await?.get(0);
    readers.target.batch("ROLLBACK").await?;
    Ok(same)
}
