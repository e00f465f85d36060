//! How tables are divided, by what the source supports and the configuration says.

use super::*;
use crate::catalog::{Column, Index, RelationKind};
use crate::config::{Config, Format, OnConflict, OnExisting};
use crate::server_version::ServerVersion;
use serde_json::json;
use std::collections::BTreeMap;

const MB: u64 = 1 << 20;

fn column(name: &str, type_name: &str) -> Column {
    Column {
        name: name.into(),
        type_name: type_name.into(),
        is_integer: matches!(type_name, "integer" | "bigint"),
        not_null: true,
        is_generated: false,
        identity_always: false,
        binary_safe: true,
        lsn: None,
        is_excluded: false,
    }
}

fn table(oid: Oid, megabytes: u64) -> Relation {
    Relation {
        oid,
        name: QualifiedName::new("public", format!("t{oid}")),
        kind: RelationKind::Table,
        is_populated: true,
        partition_of: None,
        access_method: "heap".into(),
        heap_bytes: megabytes * MB,
        total_bytes: megabytes * MB,
        tuples: -1.0,
        hides_rows: false,
        is_readable: true,
        member: None,
        hashes_an_enum: false,
        columns: vec![column("id", "bigint"), column("name", "text")],
    }
}

fn key(relation: Oid, column: &str) -> Index {
    Index {
        oid: relation + 1,
        name: QualifiedName::new("public", "key"),
        relation,
        is_unique: true,
        is_primary: true,
        is_valid: true,
        is_clustered: false,
        is_replica_identity: false,
        is_arbiter: true,
        is_builtin: true,
        blocks_arbiters: false,
        is_attached: false,
        bytes: 0,
        columns: vec![column.into()],
        is_not_null: true,
        statement: String::new(),
    }
}

fn options() -> TableOptions {
    TableOptions {
        chunk_column: None,
        chunk_size: 10,
        filter: None,
        order_by: None,
        limit: None,
        on_existing: OnExisting::Append,
        on_conflict: OnConflict::Auto,
        format: Format::Auto,
        exclude_columns: vec![],
    }
}

fn server(version: u32) -> Server {
    Server {
        version: ServerVersion(version),
        system: String::new(),
        database: String::new(),
        database_oid: 1,
        encoding: "UTF8".into(),
        collation: "C".into(),
        ctype: "C".into(),
        role: String::new(),
        is_superuser: true,
        can_create_roles: true,
        bypasses_row_security: true,
        can_create: true,
        in_recovery: false,
        bytes: 0,
    }
}

fn config(written: &serde_json::Value) -> Config {
    let mut whole = json!({"source": "host=a", "target": "host=b"});
    for (key, value) in written.as_object().unwrap() {
        whole[key] = value.clone();
    }
    Config::from_value(&whole, &BTreeMap::new()).unwrap()
}

fn lookup<'a>(indexes: &'a [Index]) -> Lookup<'a> {
    let mut indexes_of: HashMap<Oid, Vec<&'a Index>> = HashMap::new();
    for index in indexes {
        indexes_of.entry(index.relation).or_default().push(index);
    }
    Lookup {
        relations: HashMap::new(),
        indexes: HashMap::new(),
        constraints: HashMap::new(),
        indexes_of,
        sequences: HashMap::new(),
    }
}

/// How one table alone is divided, with the given answer of the source.
fn cut(relation: &Relation, version: u32, written: &serde_json::Value, answer: Option<&Answer>) -> Cut {
    let (config, options, indexes) = (config(written), options(), [key(relation.oid, &relation.columns[0].name)]);
    let lookup = lookup(&indexes);
    let cutting = Cutting::new(&server(version), &lookup, &config.copy, &[(relation, &options)]);
    cutting.cut(relation, &options, answer)
}

fn explicit(size: &str) -> serde_json::Value {
    json!({"options": {"split_larger_than": size}})
}

fn range() -> Answer {
    Answer::Range(KeyRange { min: 1, max: 1000, rows: 1000, spread: None })
}

#[test]
fn g4_before_14_a_table_is_cut_by_its_key_and_not_by_pages() {
    let pages = cut(&table(10, 10), 140_000, &explicit("1MB"), None).chunks;
    assert_eq!(pages.len(), 10);
    assert!(pages[1].predicate.starts_with("ctid >= '(128,0)'::pg_catalog.tid AND "));
    let by_key = cut(&table(10, 10), 130_023, &explicit("1MB"), Some(&range()));
    assert!(!by_key.by_pages && !Cut::whole("").by_pages);
    let keys = by_key.chunks;
    assert_eq!(
        (keys.len(), keys[0].predicate.as_str()),
        (8, "\"id\" < 126"),
        "no more than readers, for nothing says they are in order"
    );
    assert_eq!(cut(&table(10, 10), 130_023, &explicit("1MB"), None).chunks, Chunk::whole());
}

#[test]
fn g5_only_the_heap_is_split_by_ctid() {
    let other = Relation { access_method: "columnar".into(), ..table(10, 10) };
    let chunks = cut(&other, 160_000, &explicit("1MB"), Some(&range())).chunks;
    assert!(chunks.iter().all(|chunk| chunk.predicate.contains("\"id\"")));
    assert_eq!(cut(&table(10, 10), 160_000, &explicit("1MB"), None).chunks.len(), 10);
}

#[test]
fn a_key_that_the_rows_are_in_the_order_of_makes_many_ranges() {
    let spread = Spread { histogram: vec![1, 500, 1000], correlation: -0.99, ..Spread::default() };
    let answer = Answer::Range(KeyRange { min: 1, max: 1000, rows: 0, spread: Some(spread) });
    assert_eq!(cut(&table(10, 100), 130_000, &explicit("1MB"), Some(&answer)).chunks.len(), 100);
}

#[test]
fn a_text_key_is_not_cut_and_the_note_says_why() {
    let named = Relation { columns: vec![column("name", "text")], ..table(10, 10) };
    let old = cut(&named, 130_000, &explicit("1MB"), None);
    assert_eq!(old.chunks, Chunk::whole());
    let wanted = "whole: PostgreSQL 13 reads no range of pages by itself, and no unique key begins with an integer, uuid, date or timestamp";
    assert_eq!(old.note, wanted);
    assert_eq!(cut(&named, 130_000, &explicit("1GB"), None).note, "", "it is not large");
}

#[test]
fn a_large_table_alone_is_cut_by_itself_and_a_small_one_is_not() {
    let auto = json!({});
    assert_eq!(cut(&table(10, 2000), 160_000, &auto, None).chunks.len(), 31);
    assert_eq!(cut(&table(10, 100), 160_000, &auto, None), Cut::whole(""));
    let one_job = json!({"parallel": {"max_jobs": 1}});
    assert_eq!(cut(&table(10, 2000), 160_000, &one_job, None), Cut::whole(""));
    assert_eq!(
        cut(&table(10, 100 << 10), 160_000, &one_job, None).chunks.len(),
        100,
        "too much to lose with a connection"
    );
}

#[test]
fn a_table_that_cannot_be_cut_says_so_where_the_run_waits_for_it() {
    let named = Relation { columns: vec![column("name", "text")], ..table(10, 2000) };
    assert!(cut(&named, 130_000, &json!({}), None).note.starts_with("whole: PostgreSQL 13"));
    let small = Relation { columns: vec![column("name", "text")], ..table(10, 20) };
    assert_eq!(cut(&small, 130_000, &json!({}), None).note, "");
}

#[test]
fn large_tables_next_to_each_other_stay_whole() {
    let (config, options) = (config(&json!({})), options());
    let tables: Vec<Relation> = (0..16).map(|at| table(100 + at, 2000)).collect();
    let pairs: Vec<(&Relation, &TableOptions)> = tables.iter().map(|table| (table, &options)).collect();
    let cutting = Cutting::new(&server(160_000), &lookup(&[]), &config.copy, &pairs);
    assert!(tables.iter().all(|table| cutting.cut(table, &options, None) == Cut::whole("")));
}

#[test]
fn a_size_that_is_written_is_obeyed() {
    assert_eq!(cut(&table(10, 2000), 160_000, &explicit("3GB"), None), Cut::whole(""));
    assert_eq!(cut(&table(10, 2000), 160_000, &explicit("10MB"), None).chunks.len(), 200);
    assert_eq!(
        cut(&table(10, 2000), 160_000, &explicit("1GB"), None).chunks.len(),
        31,
        "a cut table is cut for all jobs"
    );
}

#[test]
fn a_limit_leaves_a_table_whole() {
    let relation = table(10, 2000);
    let limited = TableOptions { limit: Some(7), chunk_column: Some("id".into()), ..options() };
    let config = config(&explicit("1MB"));
    let cutting = Cutting::new(&server(160_000), &lookup(&[]), &config.copy, &[(&relation, &limited)]);
    assert_eq!(cutting.cut(&relation, &limited, Some(&range())), Cut::whole(""));
}

#[test]
fn a_chunk_column_makes_chunks_of_its_size() {
    let relation = table(10, 1);
    let by_column = TableOptions { chunk_column: Some("id".into()), chunk_size: 400, ..options() };
    let config = config(&json!({}));
    let cutting = Cutting::new(&server(160_000), &lookup(&[]), &config.copy, &[(&relation, &by_column)]);
    let chunks = cutting.cut(&relation, &by_column, Some(&range())).chunks;
    let labels: Vec<&str> = chunks.iter().map(|chunk| chunk.label.as_str()).collect();
    assert_eq!(labels, ["chunk 1 of 3", "chunk 2 of 3", "chunk 3 of 3"]);
    assert_eq!(cutting.cut(&relation, &by_column, None), Cut::whole(""), "no row has a value");
}

#[test]
fn pages_are_cut_into_open_ranges() {
    let predicates: Vec<String> = by_ctid(100, 2).into_iter().map(|chunk| chunk.predicate).collect();
    assert_eq!(predicates, ["ctid < '(50,0)'::pg_catalog.tid", "ctid >= '(50,0)'::pg_catalog.tid"]);
    assert_eq!(by_ctid(1, 50), Chunk::whole(), "all of it is TOAST: one page cannot be cut");
    let cut = cut(&table(10, 2000), 160_000, &explicit("1GB"), None);
    assert!(cut.chunks.len() > 1 && cut.by_pages);
}
