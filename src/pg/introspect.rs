//! Reads a database's catalog: one query an object kind, each a file that a person can run in psql.
//!
//! This module only reads and translates rows into `catalog`'s values; other modules decide what they mean for a migration.

use super::Session;
use crate::catalog::database::{Database, Label, ParameterGrant};
use crate::catalog::role_use::{Part, RoleUse};
use crate::catalog::{
    Callers, Catalog, Column, Constraint, ExtensionMember, Index, LargeObjectGrant, LargeObjects, Lsn, Membership, Oid,
    Relation, RelationKind, Role, Sequence, Server,
};
use crate::error::{Error, Kind, Result};
use crate::interned::{Interned, Interner};
use crate::name::QualifiedName;
use crate::server_version::ServerVersion;
use std::collections::HashMap;
use tokio_postgres::Row;

/// The identity of the server and the rights of the connecting role there.
pub async fn server(session: &Session) -> Result<Server> {
    let row = session.query_one(include_str!("../sql/catalog/server.sql"), &[]).await?;
    let version: i32 = row.get("version");
    Ok(Server {
        version: ServerVersion(version.unsigned_abs()),
        system: system_identifier(session).await?,
        database: row.get("database"),
        database_oid: row.get("database_oid"),
        encoding: row.get("encoding"),
        collation: row.get("collation"),
        ctype: row.get("ctype"),
        role: row.get("role"),
        is_superuser: row.get("is_superuser"),
        can_create_roles: row.get("can_create_roles"),
        bypasses_row_security: row.get("bypasses_row_security"),
        can_create: row.get("can_create"),
        in_recovery: row.get("in_recovery"),
        bytes: row.get("bytes"),
    })
}

/// The cluster's identifier; empty where the role may not read it.
async fn system_identifier(session: &Session) -> Result<String> {
    const ALLOWED: &str = "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')";
    if !session.query_one(ALLOWED, &[]).await?.get::<_, bool>(0) {
        return Ok(String::new());
    }
    let sql = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
    Ok(session.query_one(sql, &[]).await?.get(0))
}

/// The `search_path` for which functions of the database may have been written. It begins with `pg_catalog`, as a path that does not name
/// it does implicitly: pgmigrate's statements rely on that.
pub async fn search_path(session: &Session) -> Result<String> {
    let path: String = session.query_one(include_str!("../sql/catalog/search_path.sql"), &[]).await?.get(0);
    Ok(if path.contains("pg_catalog") { format!("pg_catalog, {path}") } else { path })
}

/// Everything in the database but the archive's entries.
pub async fn catalog(session: &Session) -> Result<Catalog> {
    Ok(Catalog {
        server: server(session).await?,
        relations: relations(session).await?,
        indexes: indexes(session).await?,
        constraints: constraints(session).await?,
        sequences: sequences(session).await?,
        large_objects: read(session, include_str!("../sql/catalog/large_objects.sql"), large_objects).await?,
        roles: roles(session).await?,
        memberships: memberships(session).await?,
        role_uses: role_uses(session).await?,
        database_settings: database_settings(session).await?,
        database: database(session).await?,
        parameter_grants: parameter_grants(session).await?,
        callers: callers(session).await?,
        entries: Vec::new(),
        pg_dump: None,
    })
}

/// The roles that users made.
pub async fn roles(session: &Session) -> Result<Vec<Role>> {
    read(session, include_str!("../sql/catalog/roles.sql"), role).await
}

/// Their memberships.
pub async fn memberships(session: &Session) -> Result<Vec<Membership>> {
    read(session, include_str!("../sql/catalog/memberships.sql"), membership).await
}

/// Which objects name which role.
async fn role_uses(session: &Session) -> Result<Vec<RoleUse>> {
    let mut words = Interner::default();
    let part = |word: &str| match word {
        "o" => Part::Owner,
        "a" => Part::Privileges,
        _ => Part::Policy,
    };
    read(session, include_str!("../sql/catalog/role_uses.sql"), |row| RoleUse {
        role: words.of(row.get("role")),
        part: part(row.get("part")),
        catalog: row.get("catalog"),
        oid: row.get("oid"),
    })
    .await
}

/// ALTER DATABASE ... SET, as `name=value`.
pub async fn database_settings(session: &Session) -> Result<Vec<String>> {
    read(session, include_str!("../sql/catalog/database_settings.sql"), |row| row.get(0)).await
}

/// The database itself.
pub async fn database(session: &Session) -> Result<Database> {
    let row = session.query_one(include_str!("../sql/catalog/database.sql"), &[]).await?;
    let listed = |error: serde_json::Error| {
        Error::new("privileges_unreadable", Kind::Internal, "reading the privileges of the database").caused_by(error)
    };
    let (providers, labels): (Vec<String>, Vec<String>) = (row.get("label_providers"), row.get("labels"));
    Ok(Database {
        owner: row.get("owner"),
        connection_limit: row.get("connection_limit"),
        is_template: row.get("is_template"),
        allows_connections: row.get("allows_connections"),
        comment: row.get("comment"),
        labels: providers.into_iter().zip(labels).map(|(provider, label)| Label { provider, label }).collect(),
        grants: serde_json::from_str(row.get("grants")).map_err(listed)?,
        lost_by_public: serde_json::from_str(row.get("lost_by_public")).map_err(listed)?,
        lost_by_owner: serde_json::from_str(row.get("lost_by_owner")).map_err(listed)?,
        settings_of_all: row.get("settings_of_all"),
    })
}

/// Privileges on configuration parameters, which exist from 15 on.
pub async fn parameter_grants(session: &Session) -> Result<Vec<ParameterGrant>> {
    if !session.version().has_parameter_privileges() {
        return Ok(Vec::new());
    }
    let grant = |row: &Row| ParameterGrant {
        parameter: row.get("parameter"),
        grantee: row.get("grantee"),
        privilege: row.get("privilege"),
        is_grantable: row.get("is_grantable"),
    };
    read(session, include_str!("../sql/catalog/parameters.sql"), grant).await
}

/// The names of all schemas that are no part of the system.
pub async fn schemas(session: &Session) -> Result<Vec<String>> {
    let sql = "SELECT nspname::text FROM pg_catalog.pg_namespace \
               WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY nspname COLLATE \"C\"";
    read(session, sql, |row| row.get(0)).await
}

/// Keys, exclusion and foreign-key constraints.
pub async fn constraints(session: &Session) -> Result<Vec<Constraint>> {
    read(session, include_str!("../sql/catalog/constraints.sql"), constraint).await
}

/// The sequences.
pub async fn sequences(session: &Session) -> Result<Vec<Sequence>> {
    read(session, include_str!("../sql/catalog/sequences.sql"), sequence).await
}

/// The relations with their columns.
pub async fn relations(session: &Session) -> Result<Vec<Relation>> {
    let mut columns: HashMap<Oid, Vec<Column>> = HashMap::new();
    let mut words = Interner::default();
    let take = |row: &Row| columns.entry(row.get("relation")).or_default().push(column(row, &mut words));
    session.each(include_str!("../sql/catalog/columns.sql"), take).await?;
    let sql = include_str!("../sql/catalog/relations.sql");
    read(session, sql, |row| relation(row, &mut columns, &mut words)).await?.into_iter().collect()
}

/// The indexes.
pub async fn indexes(session: &Session) -> Result<Vec<Index>> {
    let mut words = Interner::default();
    read(session, include_str!("../sql/catalog/indexes.sql"), |row| index(row, &mut words)).await
}

/// Objects that call functions which may read tables.
pub async fn callers(session: &Session) -> Result<Callers> {
    let mut callers = Callers::default();
    let take = |row: &Row| {
        let oid: Oid = row.get("oid");
        match row.get("what") {
            "relation" => drop(callers.relations.insert(oid)),
            "constraint" => drop(callers.constraints.insert(oid)),
            "analyze" => drop(callers.analyzed.insert(oid)),
            _ => drop(callers.defaults.insert((oid, row.get("name")))),
        }
    };
    session.each(include_str!("../sql/catalog/callers.sql"), take).await?;
    Ok(callers)
}

async fn read<T>(session: &Session, sql: &str, mut translate: impl FnMut(&Row) -> T) -> Result<Vec<T>> {
    let mut all = Vec::new();
    session.each(sql, |row| all.push(translate(row))).await?;
    Ok(all)
}

fn name(row: &Row) -> QualifiedName {
    QualifiedName::new(row.get::<_, String>("schema"), row.get::<_, String>("name"))
}

fn bytes(row: &Row, column: &str) -> u64 {
    row.get::<_, i64>(column).max(0).unsigned_abs()
}

fn letter(row: &Row, column: &str) -> char {
    row.get::<_, String>(column).chars().next().unwrap_or(' ')
}

fn relation(row: &Row, columns: &mut HashMap<Oid, Vec<Column>>, words: &mut Interner) -> Result<Relation> {
    let oid: Oid = row.get("oid");
    let row_security: bool = row.get("row_security");
    let owner_is_free = row.get::<_, bool>("is_owner") && !row.get::<_, bool>("force_row_security");
    Ok(Relation {
        oid,
        name: name(row),
        kind: relation_kind(letter(row, "kind"))?,
        is_populated: row.get("is_populated"),
        partition_of: row.get("partition_of"),
        access_method: words.of(row.get("access_method")),
        heap_bytes: bytes(row, "heap_bytes"),
        total_bytes: bytes(row, "total_bytes"),
        tuples: row.get("tuples"),
        hides_rows: row_security && !owner_is_free,
        is_readable: row.get::<_, bool>("may_use_schema") && row.get::<_, bool>("may_select"),
        member: member(row, words),
        hashes_an_enum: row.get("hashes_an_enum"),
        columns: columns.remove(&oid).unwrap_or_default(),
    })
}

fn member(row: &Row, words: &mut Interner) -> Option<ExtensionMember> {
    let extension: Option<&str> = row.get("extension");
    Some(ExtensionMember { extension: words.of(extension?), condition: row.get("condition") })
}

fn relation_kind(letter: char) -> Result<RelationKind> {
    Ok(match letter {
        'r' => RelationKind::Table,
        'p' => RelationKind::Partitioned,
        'v' => RelationKind::View,
        'm' => RelationKind::MaterializedView,
        'f' => RelationKind::Foreign,
        'S' => RelationKind::Sequence,
        other => {
            return Err(Error::new(
                "relation_kind_unknown",
                Kind::Internal,
                format!("relations of kind {other:?} are unknown"),
            ));
        }
    })
}

fn column(row: &Row, words: &mut Interner) -> Column {
    Column {
        name: words.of(row.get("name")),
        type_name: words.of(row.get("type")),
        is_integer: row.get("is_integer"),
        not_null: row.get("not_null"),
        is_generated: row.get("is_generated"),
        identity_always: row.get("identity_always"),
        binary_safe: row.get("binary_safe"),
        lsn: match row.get("base") {
            "pg_lsn" => Some(Lsn::Value),
            "pg_lsn[]" => Some(Lsn::Array),
            _ => None,
        },
        is_excluded: false,
    }
}

fn index(row: &Row, words: &mut Interner) -> Index {
    Index {
        oid: row.get("oid"),
        name: name(row),
        relation: row.get("relation"),
        is_unique: row.get("is_unique"),
        is_primary: row.get("is_primary"),
        is_valid: row.get("is_valid"),
        is_clustered: row.get("is_clustered"),
        is_replica_identity: row.get("is_replica_identity"),
        is_arbiter: row.get("is_arbiter"),
        is_builtin: row.get("is_builtin"),
        blocks_arbiters: row.get("blocks_arbiters"),
        is_attached: row.get("is_attached"),
        bytes: bytes(row, "bytes"),
        columns: row.get::<_, Vec<&str>>("columns").into_iter().map(|name| words.of(name)).collect(),
        is_not_null: row.get("is_not_null"),
        statement: row.get("statement"),
    }
}

fn constraint(row: &Row) -> Constraint {
    let optional = |column| Some(row.get::<_, Oid>(column)).filter(|oid| *oid != 0);
    Constraint {
        oid: row.get("oid"),
        name: row.get("name"),
        kind: letter(row, "kind"),
        relation: row.get("relation"),
        referenced: optional("referenced"),
        index: optional("index"),
        is_inherited: row.get("is_inherited"),
        is_validated: row.get("is_validated"),
        is_deferrable: row.get("is_deferrable"),
        is_deferred: row.get("is_deferred"),
        is_temporal: row.get("is_temporal"),
        is_enforced: row.get("is_enforced"),
        definition: row.get("definition"),
        columns: row.get("columns"),
        referenced_columns: row.get("referenced_columns"),
    }
}

fn sequence(row: &Row) -> Sequence {
    Sequence {
        oid: row.get("oid"),
        name: name(row),
        owner_relation: row.get("owner_relation"),
        used_by: row.get("used_by"),
        is_identity: row.get("is_identity"),
        is_readable: row.get("may_select"),
        extension: row.get::<_, Option<&str>>("extension").map(Interned::from),
    }
}

fn large_objects(row: &Row) -> LargeObjects {
    let comments = row.get::<_, Vec<Oid>>("commented").into_iter().zip(row.get::<_, Vec<String>>("comments")).collect();
    let grantees = row.get::<_, Vec<String>>("grantees").into_iter();
    let rights = grantees.zip(row.get::<_, Vec<String>>("rights")).zip(row.get::<_, Vec<bool>>("grantable"));
    let grants = rights.zip(row.get::<_, Vec<&str>>("granted")).map(|(((grantee, right), is_grantable), oids)| {
        LargeObjectGrant {
            oids: oids.split(' ').filter_map(|oid| oid.parse().ok()).collect(),
            right,
            grantee,
            is_grantable,
        }
    });
    LargeObjects { owner: row.get("owner"), oids: row.get("oids"), comments, grants: grants.collect() }
}

fn role(row: &Row) -> Role {
    Role {
        name: row.get("name"),
        is_superuser: row.get("is_superuser"),
        inherits: row.get("inherits"),
        can_create_roles: row.get("can_create_roles"),
        can_create_databases: row.get("can_create_databases"),
        can_login: row.get("can_login"),
        is_replication: row.get("is_replication"),
        bypasses_row_security: row.get("bypasses_row_security"),
        connection_limit: row.get("connection_limit"),
        valid_until: row.get("valid_until"),
        settings: row.get("settings"),
        database_settings: row.get("database_settings"),
        comment: row.get("comment"),
    }
}

fn membership(row: &Row) -> Membership {
    Membership {
        granted: row.get("granted"),
        member: row.get("member"),
        admin: row.get("admin_option"),
        inherit: row.get("inherit_option"),
        set: row.get("set_option"),
        grantor: row.get("grantor"),
    }
}
