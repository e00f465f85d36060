//! The properties of the database itself, and those of the server that apply to all of its databases: privileges, comment, labels, limits,
//! settings.
//!
//! Filled by `pg::introspect`; `plan::database` decides which of them are migrated.

use serde::Deserialize;

/// The database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Database {
    /// Its owner.
    pub owner: String,
    /// CONNECTION LIMIT, -1 for none.
    pub connection_limit: i32,
    /// `IS_TEMPLATE`.
    pub is_template: bool,
    /// `ALLOW_CONNECTIONS`.
    pub allows_connections: bool,
    /// COMMENT ON DATABASE.
    pub comment: Option<String>,
    /// SECURITY LABEL ON DATABASE.
    pub labels: Vec<Label>,
    /// Privileges of other roles than its owner in addition to the default ones.
    pub grants: Vec<DatabaseGrant>,
    /// The default privileges that PUBLIC does not have.
    pub lost_by_public: Vec<String>,
    /// The default privileges that the owner does not have.
    pub lost_by_owner: Vec<String>,
    /// ALTER ROLE ALL SET, as `name=value`.
    pub settings_of_all: Vec<String>,
}

/// A security label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The provider.
    pub provider: String,
    /// The label.
    pub label: String,
}

/// A privilege on the database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DatabaseGrant {
    /// Who has it; none for PUBLIC.
    pub grantee: Option<String>,
    /// The privilege.
    pub privilege: String,
    /// WITH GRANT OPTION.
    pub is_grantable: bool,
    /// Who granted it; none for the owner.
    pub grantor: Option<String>,
}

/// A privilege on a configuration parameter (15+).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterGrant {
    /// The parameter.
    pub parameter: String,
    /// Who has it; none for PUBLIC.
    pub grantee: Option<String>,
    /// SET or ALTER SYSTEM.
    pub privilege: String,
    /// WITH GRANT OPTION.
    pub is_grantable: bool,
}
