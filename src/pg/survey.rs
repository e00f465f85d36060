//! What the preflight reads from a server in addition to its catalog: limits, activity, rights, and existing objects of the target.
//!
//! This module only reads and translates rows into values; the engine's preflight decides what they mean for a migration. Rights, existing
//! tables and writers have files of their own.

mod changes;
mod counters;
mod encoding;
mod existing;
mod features;
mod large_object;
mod major;
mod refusal;
mod revision;
mod rights;
mod writers;

pub use changes::{Address, Changed, LooseParts, SequenceCounter};
pub use changes::{ForeignKey, changed_objects, foreign_keys, missing_comments, missing_objects, reads_large_objects};
pub use counters::{Counters, NewRows, TableCounters, counters, new_rows, unknown_pages};
pub use encoding::{RawText, lacked, raw_texts};
pub use existing::{Collation, ExistingColumn, ExistingTable, RelationPart, RelationRights, Storage};
pub use existing::{all_collations, database_collation, used_collations};
pub use existing::{existing_tables, have_rows, relation_parts, storage};
pub use features::{FeatureUse, LabelProvider, feature_uses, has_lz4_and_icu, has_xml, label_provider};
pub use features::{refused_library, refused_order, refused_where};
pub use large_object::{HeldLargeObject, held_large_objects};
pub use major::{
    BuiltIn, NewerFeature, inet_indexes, lacking_functions, maintain_grants, newer_expressions, newer_features,
};
pub use refusal::{
    FunctionSettings, Identified, Made, Subscription, SuperuserObject, commented, creators, foreign_servers,
};
pub use refusal::{
    function_settings, identified, labelled, made, refused_parameters, subscriptions, superuser_objects,
    unusable_wrappers,
};
pub use revision::{VersionTable, revisions, version_tables};
pub use rights::{AvailableExtension, Extension, MissingRight, TargetRole};
pub use rights::{available_extensions, extensions, missing_rights, roles, schemas, unreadable_large_objects};
pub use writers::{Writer, Written, writers, written};

use super::Session;
use crate::catalog::Oid;
use crate::error::Result;
use crate::name::QualifiedName;
use tokio_postgres::Row;

/// The limits of a server, and its state.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The time of its start, which distinguishes servers of one system identifier.
    pub started: String,
    /// Whether a plain transaction cannot write.
    pub is_read_only: bool,
    /// How many more sessions the role can open, by the limits of the server, the database and the role.
    pub free_connections: i64,
    /// The number of locks that fit into the shared table.
    pub locks: i64,
    /// How long queries on a standby may delay its replay, as the setting is written.
    pub standby_delay: String,
    /// Whether a standby prevents its primary from removing rows that its queries see.
    pub standby_feedback: bool,
    /// Whether the role may read password hashes.
    pub reads_passwords: bool,
    /// `c`, `i` (ICU) or `b` (builtin).
    pub locale_provider: String,
    /// The ICU or builtin locale, empty with libc.
    pub locale: String,
}

/// Another session.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// The process that serves it.
    pub pid: i32,
    /// Its role.
    pub role: String,
    /// Its `application_name`.
    pub application: String,
    /// Its state, if the role may see it.
    pub state: String,
    /// Whether its transaction has written.
    pub is_writing: bool,
    /// The age of its transaction, 0 if it has none.
    pub seconds: f64,
}

/// A lock of another session on a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableLock {
    /// The process that holds it, 0 for a prepared transaction.
    pub pid: i32,
    /// Its role.
    pub role: String,
    /// Its `application_name`.
    pub application: String,
    /// The table.
    pub table: QualifiedName,
    /// The lock's mode, as `pg_locks` spells it.
    pub mode: String,
}

/// A prepared transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedTransaction {
    /// Its name.
    pub name: String,
    /// Who prepared it.
    pub role: String,
    /// How long ago.
    pub seconds: f64,
}

/// Limits and state of a server.
pub async fn instance(session: &Session) -> Result<Instance> {
    let row = session.query_one(include_str!("../sql/survey/instance.sql"), &[]).await?;
    let number = |column| row.get::<_, i64>(column);
    let left = |limit, used| Some(number(limit)).filter(|limit| *limit >= 0).map(|limit| limit - number(used));
    let of_server = number("max_connections") - number("reserved_connections") - number("used_connections");
    let limits = [left("database_limit", "used_of_database"), left("role_limit", "used_of_role")];
    Ok(Instance {
        started: row.get("started"),
        is_read_only: row.get("is_read_only"),
        free_connections: limits.into_iter().flatten().fold(of_server, i64::min),
        locks: number("locks"),
        standby_delay: row.get("standby_delay"),
        standby_feedback: row.get("standby_feedback"),
        reads_passwords: row.get("reads_passwords"),
        locale_provider: row.get("locale_provider"),
        locale: row.get("locale"),
    })
}

/// The other client sessions in this database.
pub async fn sessions(session: &Session) -> Result<Vec<Activity>> {
    // Within a transaction the view is read once and cached; the leader's transaction began long ago.
    session.batch("SELECT pg_catalog.pg_stat_clear_snapshot()").await?;
    let translate = |row: &Row| Activity {
        pid: row.get("pid"),
        role: row.get("role"),
        application: row.get("application"),
        state: row.get("state"),
        is_writing: row.get("is_writing"),
        seconds: row.get("seconds"),
    };
    read(session, include_str!("../sql/survey/sessions.sql"), translate).await
}

/// The locks of other sessions that block writers on tables.
pub async fn locks(session: &Session) -> Result<Vec<TableLock>> {
    let translate = |row: &Row| TableLock {
        pid: row.get("pid"),
        role: row.get("role"),
        application: row.get("application"),
        table: name(row),
        mode: row.get("mode"),
    };
    read(session, include_str!("../sql/survey/locks.sql"), translate).await
}

/// The prepared transactions of this database.
pub async fn prepared(session: &Session) -> Result<Vec<PreparedTransaction>> {
    let translate =
        |row: &Row| PreparedTransaction { name: row.get("name"), role: row.get("role"), seconds: row.get("seconds") };
    read(session, include_str!("../sql/survey/prepared.sql"), translate).await
}

/// Tables and sequences without a write-ahead log.
pub async fn unlogged(session: &Session) -> Result<Vec<Oid>> {
    read(session, include_str!("../sql/survey/unlogged.sql"), |row| row.get("oid")).await
}

async fn read<T>(session: &Session, sql: &str, translate: impl Fn(&Row) -> T) -> Result<Vec<T>> {
    Ok(session.query(sql, &[]).await?.iter().map(translate).collect())
}

fn name(row: &Row) -> QualifiedName {
    QualifiedName::new(row.get::<_, String>("schema"), row.get::<_, String>("name"))
}
