//! Features in use that servers of older majors do not have, and objects that a newer major no longer accepts.
//!
//! This module only reads and translates; `super` names its callers.

use super::read;
use crate::catalog::Oid;
use crate::error::Result;
use crate::pg::Session;
use tokio_postgres::Row;

/// An object that uses a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewerFeature {
    /// The system catalog that lists the object.
    pub catalog: Oid,
    /// The object.
    pub oid: Oid,
    /// The object whose statement in `pg_dump` may include it: its table or its domain.
    pub whole: Option<(Oid, Oid)>,
    /// Its name, quoted, with the part that uses the feature; none if it is the object's own name.
    pub object: Option<String>,
    /// The major version that introduced the feature.
    pub since: u32,
    /// The feature.
    pub feature: String,
}

/// A built-in function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuiltIn {
    /// Its name.
    pub name: String,
    /// The types of its arguments.
    pub arguments: String,
    number: i32,
    is_polymorphic: bool,
}

/// The expressions of a database that older servers may not support.
#[derive(Debug, Default)]
pub struct Expressions {
    /// Those that use clauses introduced by 14 or later.
    pub features: Vec<NewerFeature>,
    /// Those that call built-in functions.
    pub calls: Vec<(NewerFeature, BuiltIn)>,
}

/// The objects that use features introduced by 14 or later, except those of expressions.
pub async fn newer_features(session: &Session) -> Result<Vec<NewerFeature>> {
    let translate = |row: &Row| NewerFeature { object: row.get("object"), ..feature(row) };
    read(session, include_str!("../../sql/survey/newer_features.sql"), translate).await
}

/// The tables and rules of default privileges, by catalog and OID, that grant MAINTAIN to another role than their owner.
pub async fn maintain_grants(session: &Session) -> Result<Vec<(Oid, Oid)>> {
    let sql = include_str!("../../sql/survey/maintain_grants.sql");
    read(session, sql, |row| (row.get("catalog"), row.get("oid"))).await
}

/// Expressions and queries of the database that older servers may not support.
pub async fn newer_expressions(session: &Session) -> Result<Expressions> {
    let mut found = Expressions::default();
    for row in session.query(include_str!("../../sql/survey/newer_expressions.sql"), &[]).await? {
        match row.get::<_, Option<String>>("function") {
            None => found.features.push(feature(&row)),
            Some(name) => {
                let function = BuiltIn {
                    name,
                    arguments: row.get("arguments"),
                    number: row.get("number"),
                    is_polymorphic: row.get("is_polymorphic"),
                };
                found.calls.push((feature(&row), function));
            }
        }
    }
    Ok(found)
}

fn feature(row: &Row) -> NewerFeature {
    NewerFeature {
        catalog: row.get("catalog"),
        oid: row.get("oid"),
        whole: row.get::<_, Option<Oid>>("whole_catalog").zip(row.get("whole")),
        object: None,
        since: row.get::<_, i32>("since").unsigned_abs(),
        feature: row.get("feature"),
    }
}

/// Those of the functions that the server lacks.
pub async fn lacking_functions(session: &Session, functions: &[&BuiltIn]) -> Result<Vec<BuiltIn>> {
    let names: Vec<&str> = functions.iter().map(|function| function.name.as_str()).collect();
    let arguments: Vec<&str> = functions.iter().map(|function| function.arguments.as_str()).collect();
    let numbers: Vec<i32> = functions.iter().map(|function| function.number).collect();
    let polymorphic: Vec<bool> = functions.iter().map(|function| function.is_polymorphic).collect();
    let sql = include_str!("../../sql/survey/lacking_functions.sql");
    let rows = session.query(sql, &[&names, &arguments, &numbers, &polymorphic]).await?;
    let place = |row: &Row| usize::try_from(row.get::<_, i64>("place") - 1).ok();
    Ok(rows.iter().filter_map(place).filter_map(|at| functions.get(at).map(|&function| function.clone())).collect())
}

/// The indexes, each after the OID of its table, that use operator classes of `btree_gist` which 1.9 no longer has.
pub async fn inet_indexes(session: &Session) -> Result<Vec<(Oid, String)>> {
    read(session, include_str!("../../sql/survey/inet_indexes.sql"), |row| (row.get("relation"), row.get("object")))
        .await
}
