//! Existing objects of a target: tables with their columns and rows, tablespaces and access methods, collations.
//!
//! This module only reads and translates; `super` names its callers.

use super::{name, read};
use crate::catalog::Oid;
use crate::error::Result;
use crate::name::QualifiedName;
use crate::pg::{Session, unqualified};
use std::collections::{HashMap, HashSet};
use tokio_postgres::Row;

/// An existing relation of the target, and the rights of the role on it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "these are independent rights")]
pub struct ExistingTable {
    /// Its name.
    pub name: QualifiedName,
    /// `pg_class.relkind`.
    pub kind: char,
    /// SELECT, USAGE of the schema included.
    pub may_select: bool,
    /// INSERT, USAGE of the schema included.
    pub may_insert: bool,
    /// TRUNCATE.
    pub may_truncate: bool,
    /// UPDATE, which setting a sequence's value requires.
    pub may_update: bool,
    /// Whether row security applies to the role.
    pub has_row_security: bool,
    /// The rights to alter its definition.
    pub rights: RelationRights,
    /// Its rules with which ON CONFLICT is refused.
    pub rules: Vec<String>,
    /// Its columns, for tables only.
    pub columns: Vec<ExistingColumn>,
}

/// The owner of a relation, and the rights of the role on it and its definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "these are independent rights")]
pub struct RelationRights {
    /// Its owner.
    pub owner: String,
    /// Whether the role has the owner's rights.
    pub is_owner: bool,
    /// TRIGGER.
    pub may_trigger: bool,
    /// REFERENCES, of a column at least.
    pub may_reference: bool,
    /// MAINTAIN; before 17, which does not have it, the owner's right.
    pub may_maintain: bool,
}

/// A part of a relation that a statement of its own makes, such as an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationPart {
    /// Its kind, as an archive calls it.
    pub kind: String,
    /// The system catalog that lists it.
    pub catalog: Oid,
    /// Its OID.
    pub oid: Oid,
    /// Its schema; empty if it is its relation's.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The relation.
    pub relation: QualifiedName,
    /// The other relation, such as the one that a foreign key references.
    pub other: Option<QualifiedName>,
    /// Whether it is not a foreign key that is NOT VALID.
    pub is_valid: bool,
}

/// The parts of all relations.
pub async fn relation_parts(session: &Session) -> Result<Vec<RelationPart>> {
    let translate = |row: &Row| RelationPart {
        kind: row.get("kind"),
        catalog: row.get("catalog"),
        oid: row.get("oid"),
        schema: row.get("schema"),
        name: row.get("name"),
        relation: QualifiedName::new(row.get::<_, String>("relation_schema"), row.get::<_, String>("relation_name")),
        other: row
            .get::<_, Option<String>>("other_schema")
            .zip(row.get::<_, Option<String>>("other_name"))
            .map(|(schema, name)| QualifiedName::new(schema, name)),
        is_valid: row.get("is_valid"),
    };
    read(session, include_str!("../../sql/survey/relation_parts.sql"), translate).await
}

/// A column of an existing table of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingColumn {
    /// Its name.
    pub name: String,
    /// Its type as `format_type` writes it.
    pub type_name: String,
    /// Whether it is NOT NULL without a default or identity.
    pub is_required: bool,
    /// Whether it is NOT NULL.
    pub is_not_null: bool,
    /// Whether it is computed.
    pub is_generated: bool,
}

/// A collation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collation {
    /// Its name.
    pub name: QualifiedName,
    /// The version that it was made with, empty where it has none.
    pub version: String,
    /// The version that the system's libraries have now, empty where they have none.
    pub actual: String,
}

/// Where and how tables can be stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storage {
    /// Tablespaces, and whether the role may use each.
    pub tablespaces: HashMap<String, bool>,
    /// Table access methods.
    pub access_methods: Vec<String>,
}

/// Every relation of the database that is no part of the system.
pub async fn existing_tables(session: &Session) -> Result<Vec<ExistingTable>> {
    read(session, include_str!("../../sql/survey/tables.sql"), table).await
}

fn columns(row: &Row) -> Vec<ExistingColumn> {
    let (names, types): (Vec<String>, Vec<String>) = (row.get("column_names"), row.get("column_types"));
    let [are_required, are_not_null, are_generated]: [Vec<bool>; 3] =
        ["are_required", "are_not_null", "are_generated"].map(|name| row.get(name));
    let flags = are_required.into_iter().zip(are_not_null).zip(are_generated);
    let all = names.into_iter().zip(types).zip(flags);
    all.map(|((name, type_name), ((is_required, is_not_null), is_generated))| ExistingColumn {
        name,
        type_name,
        is_required,
        is_not_null,
        is_generated,
    })
    .collect()
}

fn table(row: &Row) -> ExistingTable {
    ExistingTable {
        name: name(row),
        kind: row.get::<_, String>("kind").chars().next().unwrap_or(' '),
        may_select: row.get("may_select"),
        may_insert: row.get("may_insert"),
        may_truncate: row.get("may_truncate"),
        may_update: row.get("may_update"),
        has_row_security: row.get("has_row_security"),
        rights: RelationRights {
            owner: row.get("owner"),
            is_owner: row.get("is_owner"),
            may_trigger: row.get("may_trigger"),
            may_reference: row.get("may_reference"),
            may_maintain: row.get("may_maintain"),
        },
        rules: row.get("rules"),
        columns: columns(row),
    }
}

/// Whether each of `tables`, which the role may read, holds a row. Functions of their indexes may need `source_path`.
pub async fn have_rows(session: &Session, tables: &[&QualifiedName], source_path: &str) -> Result<Vec<bool>> {
    const A_STATEMENT: usize = 200;
    let sql = "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'p'";
    let partitioned: HashSet<QualifiedName> = session
        .query(sql, &[])
        .await?
        .iter()
        .map(|row| QualifiedName::new(row.get::<_, &str>(0), row.get::<_, &str>(1)))
        .collect();
    // A partitioned table has its rows in its partitions.
    let only = |table: &QualifiedName| if partitioned.contains(table) { "" } else { "ONLY " };
    let mut found = Vec::with_capacity(tables.len());
    for batch in tables.chunks(A_STATEMENT) {
        let tests: Vec<String> =
            batch.iter().map(|table| format!("EXISTS (SELECT FROM {}{})", only(table), table.sql())).collect();
        let row =
            unqualified::query_one(session, &format!("SELECT ARRAY[{}]", tests.join(", ")), &[], source_path).await?;
        found.extend(row.get::<_, Vec<bool>>(0));
    }
    Ok(found)
}

/// The tablespaces and table access methods of the server.
pub async fn storage(session: &Session) -> Result<Storage> {
    let mut storage = Storage::default();
    for row in session.query(include_str!("../../sql/survey/storage.sql"), &[]).await? {
        if row.get::<_, &str>("kind") == "tablespace" {
            storage.tablespaces.insert(row.get("name"), row.get("is_usable"));
        } else {
            storage.access_methods.push(row.get("name"));
        }
    }
    Ok(storage)
}

fn collation(row: &Row) -> Collation {
    Collation { name: name(row), version: row.get("version"), actual: row.get("actual") }
}

/// The collations that columns and indexes use, but for those that every server has.
pub async fn used_collations(session: &Session) -> Result<Vec<Collation>> {
    read(session, include_str!("../../sql/survey/used_collations.sql"), collation).await
}

/// The collations that this database can use.
pub async fn all_collations(session: &Session) -> Result<Vec<Collation>> {
    read(session, include_str!("../../sql/survey/collations.sql"), collation).await
}

/// The recorded and the present version of the database's own collation; none before 15, which does not record it.
pub async fn database_collation(session: &Session) -> Result<Option<(String, String)>> {
    if !session.version().records_database_collation() {
        return Ok(None);
    }
    let row = session.query_one(include_str!("../../sql/survey/database_collation.sql"), &[]).await?;
    Ok(Some((row.get("version"), row.get("actual"))))
}
