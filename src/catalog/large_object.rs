//! Large objects of the source, and the privileges on them.

use super::Oid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Large objects of one owner, as many as one task copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargeObjects {
    /// Their owner.
    pub owner: String,
    /// Their OIDs, which the target's copies keep.
    pub oids: Vec<Oid>,
    /// The comments of those that have one.
    pub comments: BTreeMap<Oid, String>,
    /// The privileges of other roles on them, sorted by grantee and privilege.
    pub grants: Vec<LargeObjectGrant>,
}

/// A privilege on some of the large objects of one owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeObjectGrant {
    /// Their OIDs.
    pub oids: Vec<Oid>,
    /// The privilege, as GRANT names it.
    pub right: String,
    /// Who has it, as GRANT names them: a quoted name, or PUBLIC.
    pub grantee: String,
    /// Whether the grantee may grant it to others.
    pub is_grantable: bool,
}
