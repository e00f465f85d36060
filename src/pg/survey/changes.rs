//! Signs that other sessions have changed the schema: catalog rows by transactions that the ledger does not know, objects that are gone,
//! and values of sequences.
//!
//! This module only reads and translates; the engine's `others` decides what it means.

use super::read;
use crate::error::Result;
use crate::name::{LEDGER_TABLES, QualifiedName, ident};
use crate::pg::Session;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The last value of a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceCounter {
    /// The sequence.
    pub sequence: QualifiedName,
    /// Its OID.
    pub oid: u32,
    /// The value; none before the first use, and if it cannot be read.
    pub value: Option<i64>,
}

/// Parts of objects that appear in no other catalog row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LooseParts {
    /// What they are, in words.
    pub what: String,
    /// How many there are.
    pub total: i64,
    /// How many of them are older than the horizon.
    pub old: i64,
}

/// An object by its catalog and its OID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    /// The OID of the catalog that lists it.
    pub catalog: u32,
    /// Its OID there.
    pub oid: u32,
}

/// An object that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The object; for a member of an extension, the extension.
    pub object: Address,
    /// Its description by the server.
    pub words: String,
    /// What kind of object was changed, as `pg_identify_object` has it.
    pub kind: String,
    /// The object that was changed, as `pg_identify_object` has it.
    pub identity: String,
    /// The table of an index or of another part of one.
    pub table: Option<String>,
}

/// Reads the values of all sequences but those of the ledger in `ledger`.
pub async fn sequence_counters(session: &Session, ledger: &str) -> Result<Vec<SequenceCounter>> {
    let rows = session.query(include_str!("../../sql/survey/sequence_counters.sql"), &[&ledger]).await?;
    let translate = |row: &tokio_postgres::Row| SequenceCounter {
        sequence: super::name(row),
        oid: row.get("oid"),
        value: row.get("value"),
    };
    Ok(rows.iter().map(translate).collect())
}

/// Counts the parts that can be removed without a change of another catalog row.
pub async fn loose_parts(session: &Session, horizon: i64) -> Result<Vec<LooseParts>> {
    let rows = session.query(include_str!("../../sql/survey/loose_parts.sql"), &[&horizon]).await?;
    let translate =
        |row: &tokio_postgres::Row| LooseParts { what: row.get("what"), total: row.get("total"), old: row.get("old") };
    Ok(rows.iter().map(translate).collect())
}

/// Objects that transactions from `horizon` on have made or changed, unless the ledger in `ledger` knows these.
pub async fn changed_objects(session: &Session, horizon: i64, ledger: &str, has_ledger: bool) -> Result<Vec<Changed>> {
    let of = |table: &&str| format!("SELECT xmin::text FROM {}.{}", ident(ledger), ident(table));
    let known = if has_ledger {
        LEDGER_TABLES.iter().map(of).collect::<Vec<_>>().join(" UNION ")
    } else {
        "SELECT NULL::text WHERE false".to_owned()
    };
    let sql = include_str!("../../sql/survey/catalog_changes.sql").replace(":\"known\"", &known);
    let rows = session.query(&sql, &[&horizon, &ledger]).await?;
    Ok(rows.iter().filter_map(changed).collect())
}

/// None for an object that was dropped during the query, which has no description.
fn changed(row: &tokio_postgres::Row) -> Option<Changed> {
    let (words, identity): (Option<String>, Option<String>) = (row.get("object"), row.get("identity"));
    Some(Changed {
        object: Address { catalog: row.get("catalog"), oid: row.get("oid") },
        words: words?,
        kind: row.get("kind"),
        identity: identity?,
        table: row.get("of_table"),
    })
}

/// Those of the objects that no longer exist. What the role cannot read is skipped.
pub async fn missing_objects(session: &Session, objects: &[Address]) -> Result<HashSet<Address>> {
    let catalogs: HashSet<u32> = objects.iter().map(|object| object.catalog).collect();
    let mut missing = HashSet::new();
    for catalog in catalogs {
        let oids: Vec<u32> = objects.iter().filter(|o| o.catalog == catalog).map(|o| o.oid).collect();
        // pg_largeobject_metadata lists large objects, but dependencies use the catalog of their pages.
        let found = "SELECT n.name, pg_catalog.has_table_privilege(n.name, 'SELECT') FROM (SELECT CASE \
                     WHEN c.relname = 'pg_largeobject' THEN 'pg_catalog.pg_largeobject_metadata' \
                     ELSE pg_catalog.format('pg_catalog.%I', c.relname) END FROM pg_catalog.pg_class c \
                     WHERE c.oid = $1 AND c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace) n (name)";
        let Some(row) = session.query_opt(found, &[&catalog]).await? else { continue };
        let (name, is_readable): (String, bool) = (row.get(0), row.get(1));
        if !is_readable {
            continue;
        }
        let sql = format!(
            "SELECT o.oid FROM unnest($1::oid[]) o (oid) WHERE NOT EXISTS (SELECT FROM {name} t WHERE t.oid = o.oid)"
        );
        let rows = session.query(&sql, &[&oids]).await?;
        missing.extend(rows.iter().map(|row| Address { catalog, oid: row.get(0) }));
    }
    Ok(missing)
}

/// Those objects that have fewer comments than the number with them.
pub async fn missing_comments(session: &Session, objects: &[(Address, i64)]) -> Result<Vec<Changed>> {
    let catalogs: Vec<u32> = objects.iter().map(|(object, _)| object.catalog).collect();
    let oids: Vec<u32> = objects.iter().map(|(object, _)| object.oid).collect();
    let numbers: Vec<i64> = objects.iter().map(|(_, number)| *number).collect();
    let rows =
        session.query(include_str!("../../sql/survey/missing_comments.sql"), &[&catalogs, &oids, &numbers]).await?;
    Ok(rows.iter().filter_map(changed).collect())
}

/// Whether the role may read the contents of large objects.
pub async fn reads_large_objects(session: &Session) -> Result<bool> {
    let sql = "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')";
    Ok(session.query_one(sql, &[]).await?.get(0))
}

/// A foreign key as it is in the catalog, and the tables that change with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// The schema of its table.
    pub schema: String,
    /// Its table's name and its own, as the tag of an archive has them.
    pub tag: String,
    /// The key, its table and the table that it references.
    pub objects: [Address; 3],
}

/// The foreign keys of the database.
pub async fn foreign_keys(session: &Session) -> Result<Vec<ForeignKey>> {
    let sql = "SELECT n.nspname::text, c.relname || ' ' || k.conname, k.oid, k.conrelid, k.confrelid, \
               'pg_catalog.pg_constraint'::regclass::oid, 'pg_catalog.pg_class'::regclass::oid \
               FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE k.contype = 'f'";
    read(session, sql, |row| {
        let address = |oid: usize, catalog: usize| Address { catalog: row.get(catalog), oid: row.get(oid) };
        ForeignKey { schema: row.get(0), tag: row.get(1), objects: [address(2, 5), address(3, 6), address(4, 6)] }
    })
    .await
}
