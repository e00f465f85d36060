//! Owners and privileges of objects, as the catalog of one server has them.
//!
//! Objects are named as in the archive's ACL entries, so that a plan's tasks find them on both servers. The engine decides what a
//! difference means.

use super::Session;
use crate::error::Result;
use crate::plan::build::privilege::Place;

/// An object's owner and privileges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The object.
    pub place: Place,
    /// The column of a relation, or the role of default privileges; else empty.
    pub part: String,
    /// The owner.
    pub owner: String,
    /// `PRIVILEGE to grantee`, followed by its options; in alphabetical order.
    pub privileges: Vec<String>,
}

/// Reads one object, or several where its name is not unique.
pub async fn of(session: &Session, place: &Place) -> Result<Vec<Held>> {
    let sql = include_str!("../sql/catalog/privileges.sql");
    let (class, schema, name) = (place.class.as_str(), place.schema.as_str(), place.name.as_str());
    let rows = session.query(sql, &[&class, &schema, &name]).await?;
    Ok(rows.iter().map(held).collect())
}

/// Reads all objects of the database one by one.
pub async fn each(session: &Session, mut take: impl FnMut(Held)) -> Result<()> {
    let sql = include_str!("../sql/catalog/privileges.sql");
    let all: [Option<&str>; 3] = [None; 3];
    session.each_of(sql, &all, |row| take(held(row))).await
}

/// Whether the connected role may still connect to the database.
pub async fn may_connect(session: &Session) -> Result<bool> {
    let sql = "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CONNECT')";
    Ok(session.query_one(sql, &[]).await?.get(0))
}

/// The role that owns what the session creates; none if an event trigger is enabled, which may change the owner of new objects.
pub async fn owner_of_new_objects(session: &Session) -> Result<Option<String>> {
    let sql =
        "SELECT current_user::text WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D')";
    Ok(session.query_opt(sql, &[]).await?.map(|row| row.get(0)))
}

fn held(row: &tokio_postgres::Row) -> Held {
    let mut privileges: Vec<String> = row.get("privileges");
    privileges.sort_unstable();
    Held {
        place: Place { class: row.get("class"), schema: row.get("schema"), name: row.get("name") },
        part: row.get("part"),
        owner: row.get("owner"),
        privileges,
    }
}
