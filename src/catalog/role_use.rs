//! Which roles the objects of the database name, and in which way.
//!
//! Pure data, read by `pg::introspect` from the dependencies that the server keeps on roles. `plan::role_scope` uses it to choose the roles
//! that a migration makes; the preflight uses it to find the roles that the target lacks.

use super::oid::Oid;
use crate::interned::Interned;

/// The way in which an object names a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// As its owner; a user mapping has its user as its owner, and default privileges have the role whose objects they are for.
    Owner,
    /// In its privileges, as grantee or grantor.
    Privileges,
    /// As a role that a policy is for.
    Policy,
}

/// An object that names a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleUse {
    /// The role.
    pub role: Interned,
    /// In which way.
    pub part: Part,
    /// The system catalog that lists the object.
    pub catalog: Oid,
    /// The object.
    pub oid: Oid,
}

/// `pg_largeobject`, the catalog in dependencies on large objects. All of them are one object here, of OID 0.
pub const PG_LARGEOBJECT: Oid = 2613;
/// `pg_user_mapping`.
pub const PG_USER_MAPPING: Oid = 1418;
