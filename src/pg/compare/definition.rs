//! Whether two servers of different majors mean the same by definitions that they write differently.
//!
//! A view of the source is parsed by the target and written out again beside the target's own, in a transaction that
//! rolls back; what a table is made of is read from both catalogs. No SQL text is taken apart.

use super::Readers;
use crate::catalog::Oid;
use crate::error::Result;
use crate::pg::Session;
use std::collections::{BTreeMap, BTreeSet};

/// Whether the target would write both views alike, given the source's text of its own.
pub async fn is_same_view(readers: &Readers, source: Oid, target: Oid) -> Result<bool> {
    let text: String = readers.source.query_one("SELECT pg_catalog.pg_get_viewdef($1::oid)", &[&source]).await?.get(0);
    readers.target.batch(&format!("BEGIN; CREATE TEMPORARY VIEW pgmigrate_view AS {text}")).await?;
    let sql = "SELECT pg_catalog.pg_get_viewdef('pg_temp.pgmigrate_view'::pg_catalog.regclass) \
                    = pg_catalog.pg_get_viewdef($1::oid)";
    let same = readers.target.query_one(sql, &[&target]).await?.get(0);
    readers.target.batch("ROLLBACK").await?;
    Ok(same)
}

/// The view that a rule makes, where it makes one.
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

/// Whether the same roles have the same rights on an object, as far as both majors know these rights; none where the
/// object is of a kind whose rights are not looked at.
pub async fn has_same_privileges(readers: &Readers, of: Both) -> Result<Option<bool>> {
    let sql = include_str!("../../sql/verify/privileges.sql");
    let read = async |session: &Session, oid: Oid| {
        let rows = session.query(sql, &[&of.catalog, &oid]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect::<Vec<(String, String, bool)>>())
    };
    let (source, target) = tokio::try_join!(read(&readers.source, of.source), read(&readers.target, of.target))?;
    Ok((!source.is_empty() || !target.is_empty()).then_some(source == target))
}

/// Objects whose whole definition is read from the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// A function or a procedure.
    Routine,
    /// A range type.
    Range,
}

/// Whether two objects are made of the same; none where their expressions have other texts, or they are of another
/// kind.
pub async fn is_same_whole(readers: &Readers, kind: Whole, source: Oid, target: Oid) -> Result<Option<bool>> {
    let sql = match kind {
        Whole::Routine => include_str!("../../sql/verify/routine.sql"),
        Whole::Range => include_str!("../../sql/verify/range.sql"),
    };
    let read = async |session: &Session, oid: Oid| {
        let row = session.query_opt(sql, &[&oid]).await?;
        Ok(row.map(|row| (row.get(0), row.get(1))) as Option<Fact>)
    };
    Ok(match tokio::try_join!(read(&readers.source, source), read(&readers.target, target))? {
        (Some(a), Some(b)) if a.0 != b.0 => Some(false),
        (Some(a), Some(b)) if a == b => Some(true),
        _ => None,
    })
}

/// How two relations compare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelationDifference {
    /// Whether they differ.
    pub differs: bool,
    /// Whether they have expressions of which only the texts are known to differ.
    pub is_undecided: bool,
    /// The columns, checks and parents that differ.
    pub parts: Vec<String>,
}

/// Compares what two relations are made of; `name` is the target's, quoted.
pub async fn relation_difference(
    readers: &Readers,
    name: &str,
    source: Oid,
    target: Oid,
) -> Result<RelationDifference> {
    let (source, target) = tokio::try_join!(facts(&readers.source, source), facts(&readers.target, target))?;
    let mut difference = RelationDifference::default();
    let is_one_major = readers.source.major() == readers.target.major();
    let parts: BTreeSet<&Part> = source.keys().chain(target.keys()).collect();
    for part in parts {
        match (source.get(part), target.get(part)) {
            (Some(a), Some(b)) if a == b => continue,
            (Some((fact, Some(a))), Some((other, Some(b)))) if fact == other && !is_one_major => {
                if part.0 == "relation" {
                    difference.is_undecided = true;
                    continue;
                }
                if is_same_expression(readers, name, a, b).await? {
                    continue;
                }
            }
            _ => {}
        }
        difference.differs = true;
        difference.parts.extend(Some(part.1.clone()).filter(|name| !name.is_empty()));
    }
    Ok(difference)
}

/// Whether the target writes two expressions over the columns of one of its tables alike.
async fn is_same_expression(readers: &Readers, table: &str, one: &str, other: &str) -> Result<bool> {
    let view = |number: u8, text: &str| {
        format!("CREATE TEMPORARY VIEW pgmigrate_{number} AS SELECT ({text}) AS value FROM {table}")
    };
    readers.target.batch(&format!("BEGIN; {}; {}", view(1, one), view(2, other))).await?;
    let sql = "SELECT pg_catalog.pg_get_viewdef('pg_temp.pgmigrate_1'::pg_catalog.regclass) \
                    = pg_catalog.pg_get_viewdef('pg_temp.pgmigrate_2'::pg_catalog.regclass)";
    let same = readers.target.query_one(sql, &[]).await?.get(0);
    readers.target.batch("ROLLBACK").await?;
    Ok(same)
}

/// What kind of part, and its name.
type Part = (String, String);
/// Its properties, and the expression that it has.
type Fact = (String, Option<String>);

async fn facts(session: &Session, relation: Oid) -> Result<BTreeMap<Part, Fact>> {
    let rows = session.query(include_str!("../../sql/verify/relation.sql"), &[&relation]).await?;
    Ok(rows.iter().map(|row| ((row.get("part"), row.get("name")), (row.get("fact"), row.get("expression")))).collect())
}
