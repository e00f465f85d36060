//! Large objects that the target has already.
//!
//! This module only reads and translates; `super` names its callers.

use crate::catalog::Oid;
use crate::error::Result;
use crate::pg::Session;

/// A large object, and the rights of the role on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLargeObject {
    /// Its OID.
    pub oid: Oid,
    /// Its owner.
    pub owner: String,
    /// Whether the role has the owner's rights.
    pub is_owner: bool,
    /// Whether the role may read its content.
    pub may_read: bool,
}

/// Those of the large objects that exist.
pub async fn held_large_objects(session: &Session, oids: &[Oid]) -> Result<Vec<HeldLargeObject>> {
    let rows = session.query(include_str!("../../sql/survey/held_large_objects.sql"), &[&oids]).await?;
    let translate = rows.iter().map(|row| HeldLargeObject {
        oid: row.get("oid"),
        owner: row.get("owner"),
        is_owner: row.get("is_owner"),
        may_read: row.get("may_read"),
    });
    Ok(translate.collect())
}
