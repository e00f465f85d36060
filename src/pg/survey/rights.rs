//! Rights, roles, extensions and functions: the rights of a role, and what requires a superuser.
//!
//! This module only reads and translates; `super` names its callers.

use super::{name, read};
use crate::catalog::Oid;
use crate::error::Result;
use crate::name::QualifiedName;
use crate::pg::Session;
use tokio_postgres::Row;

/// A table or sequence that the role may not read.
#[expect(clippy::struct_excessive_bools, reason = "rights, each of which may be missing by itself")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingRight {
    /// Its OID.
    pub oid: Oid,
    /// Its name.
    pub name: QualifiedName,
    /// Whether it is a sequence.
    pub is_sequence: bool,
    /// Whether USAGE on the schema is missing.
    pub lacks_usage: bool,
    /// Whether SELECT on the object is missing.
    pub lacks_select: bool,
    /// Whether the role has none of the rights that allow it to lock a table for reading.
    pub lacks_lock: bool,
    /// Whether it belongs to an extension, so that `pg_dump` reads only its rows.
    pub is_member: bool,
    /// The names, quoted, by which a filter can choose it.
    pub line: Vec<String>,
}

/// An installed extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The schema that its objects are in.
    pub schema: String,
    /// Whether the role may change it.
    pub is_owner: bool,
}

/// An extension that could be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailableExtension {
    /// Its name.
    pub name: String,
    /// The version that CREATE EXTENSION installs by default.
    pub version: Option<String>,
    /// Whether only a superuser can create it.
    pub needs_superuser: bool,
}

/// A role of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "these are the catalog's independent flags")]
pub struct TargetRole {
    /// Its name.
    pub name: String,
    /// Whether it can become the owner of objects.
    pub may_set: bool,
    /// Whether the connecting role has its privileges.
    pub has_privileges: bool,
    /// Whether the connecting role may grant membership in it, by ADMIN OPTION.
    pub is_admin: bool,
    /// SUPERUSER.
    pub is_superuser: bool,
    /// REPLICATION.
    pub is_replication: bool,
    /// BYPASSRLS.
    pub bypasses_row_security: bool,
    /// CREATEDB.
    pub can_create_databases: bool,
}

/// Tables and sequences that the role may not read.
pub async fn missing_rights(session: &Session) -> Result<Vec<MissingRight>> {
    let translate = |row: &Row| MissingRight {
        oid: row.get("oid"),
        name: name(row),
        is_sequence: row.get("is_sequence"),
        lacks_usage: row.get("lacks_usage"),
        lacks_select: row.get("lacks_select"),
        lacks_lock: row.get("lacks_lock"),
        is_member: row.get("is_member"),
        line: row.get("line"),
    };
    read(session, include_str!("../../sql/survey/missing_rights.sql"), translate).await
}

/// Large objects that the role may not read.
pub async fn unreadable_large_objects(session: &Session) -> Result<Vec<Oid>> {
    read(session, include_str!("../../sql/survey/unreadable_large_objects.sql"), |row| row.get("oid")).await
}

/// The installed extensions.
pub async fn extensions(session: &Session) -> Result<Vec<Extension>> {
    let translate = |row: &Row| Extension {
        name: row.get("name"),
        version: row.get("version"),
        schema: row.get("schema"),
        is_owner: row.get("is_owner"),
    };
    read(session, include_str!("../../sql/survey/extensions.sql"), translate).await
}

/// The extensions that could be installed.
pub async fn available_extensions(session: &Session) -> Result<Vec<AvailableExtension>> {
    let translate = |row: &Row| AvailableExtension {
        name: row.get("name"),
        version: row.get("version"),
        needs_superuser: row.get("needs_superuser"),
    };
    read(session, include_str!("../../sql/survey/available_extensions.sql"), translate).await
}

/// Every role of the server.
pub async fn roles(session: &Session) -> Result<Vec<TargetRole>> {
    let translate = |row: &Row| TargetRole {
        name: row.get("name"),
        may_set: row.get("may_set"),
        has_privileges: row.get("has_privileges"),
        is_admin: row.get("is_admin"),
        is_superuser: row.get("is_superuser"),
        is_replication: row.get("is_replication"),
        bypasses_row_security: row.get("bypasses_row_security"),
        can_create_databases: row.get("can_create_databases"),
    };
    read(session, include_str!("../../sql/survey/roles.sql"), translate).await
}

/// The schemas, and whether the role may make objects in each.
pub async fn schemas(session: &Session) -> Result<Vec<(String, bool)>> {
    let translate = |row: &Row| (row.get("name"), row.get("may_create"));
    read(session, include_str!("../../sql/survey/schemas.sql"), translate).await
}
