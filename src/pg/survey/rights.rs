//! Rights, roles, extensions and functions: what a role may do, and what needs a superuser.
//!
//! Reads and translates only; `super` says for whom.

use super::{name, read};
use crate::catalog::Oid;
use crate::error::Result;
use crate::name::QualifiedName;
use crate::pg::Session;
use tokio_postgres::Row;

/// A table or sequence that the role may not read.
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
    /// The version that CREATE EXTENSION takes.
    pub version: Option<String>,
    /// Whether only a superuser can create it.
    pub needs_superuser: bool,
}

/// A role that an object's privileges or policies name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRole {
    /// The role.
    pub role: String,
    /// The system catalog that lists the object.
    pub catalog: Oid,
    /// The object.
    pub oid: Oid,
}

/// A role of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "these are the catalog's independent flags")]
pub struct TargetRole {
    /// Its name.
    pub name: String,
    /// Whether objects can be given to it.
    pub may_set: bool,
    /// SUPERUSER.
    pub is_superuser: bool,
    /// REPLICATION.
    pub is_replication: bool,
    /// BYPASSRLS.
    pub bypasses_row_security: bool,
}

/// A function, or a language, that only a superuser can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuperuserFunction {
    /// The system catalog that lists it.
    pub catalog: Oid,
    /// Its OID.
    pub oid: Oid,
    /// Its name with arguments, quoted.
    pub object: String,
    /// The language.
    pub language: String,
}

/// Tables and sequences that the role may not read.
pub async fn missing_rights(session: &Session) -> Result<Vec<MissingRight>> {
    let translate = |row: &Row| MissingRight {
        oid: row.get("oid"),
        name: name(row),
        is_sequence: row.get("is_sequence"),
        lacks_usage: row.get("lacks_usage"),
        lacks_select: row.get("lacks_select"),
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

/// The roles that privileges and policies of this database name.
pub async fn named_roles(session: &Session) -> Result<Vec<NamedRole>> {
    let translate = |row: &Row| NamedRole { role: row.get("role"), catalog: row.get("catalog"), oid: row.get("oid") };
    read(session, include_str!("../../sql/survey/named_roles.sql"), translate).await
}

/// Every role of the server.
pub async fn roles(session: &Session) -> Result<Vec<TargetRole>> {
    let translate = |row: &Row| TargetRole {
        name: row.get("name"),
        may_set: row.get("may_set"),
        is_superuser: row.get("is_superuser"),
        is_replication: row.get("is_replication"),
        bypasses_row_security: row.get("bypasses_row_security"),
    };
    read(session, include_str!("../../sql/survey/roles.sql"), translate).await
}

/// Functions and languages that only a superuser can make.
pub async fn superuser_functions(session: &Session) -> Result<Vec<SuperuserFunction>> {
    let translate = |row: &Row| SuperuserFunction {
        catalog: row.get("catalog"),
        oid: row.get("oid"),
        object: row.get("object"),
        language: row.get("language"),
    };
    read(session, include_str!("../../sql/survey/superuser_functions.sql"), translate).await
}

/// The schemas, and whether the role may make objects in each.
pub async fn schemas(session: &Session) -> Result<Vec<(String, bool)>> {
    let translate = |row: &Row| (row.get("name"), row.get("may_create"));
    read(session, include_str!("../../sql/survey/schemas.sql"), translate).await
}
