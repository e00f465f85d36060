//! The checks that depend only on values.

use super::activity::{source_writers, target_sessions};
use super::capacity::{connections, locks, size};
use super::existing::differences;
use super::extension::{compare, installed, not_installed};
use super::locale::{encoding, stale};
use super::look::list;
use super::server::{no_backup, versions};
use crate::action::Action;
use crate::catalog::{Column, Relation, RelationKind, Server};
use crate::error::{Error, Kind, Side};
use crate::finding::{Finding, Severity};
use crate::name::QualifiedName;
use crate::pg::client::tool::none_found;
use crate::pg::survey::{
    Activity, AvailableExtension, ExistingColumn, ExistingTable, Extension, Instance, RelationRights,
};
use crate::server_version::{NEWEST, OLDEST, ServerVersion};
use std::cmp::Ordering;

fn reported(findings: impl IntoIterator<Item = Finding>) -> Vec<(String, Severity)> {
    findings.into_iter().map(|finding| (finding.check, finding.severity)).collect()
}

fn server(is_superuser: bool) -> Server {
    Server {
        version: ServerVersion(180_000),
        system: "1".into(),
        database: "d".into(),
        database_oid: 5,
        encoding: "UTF8".into(),
        collation: "C".into(),
        ctype: "C".into(),
        role: "me".into(),
        is_superuser,
        can_create_roles: false,
        bypasses_row_security: false,
        can_create: true,
        in_recovery: false,
        bytes: 0,
    }
}

fn instance(free_connections: i64) -> Instance {
    Instance {
        started: String::new(),
        is_read_only: false,
        free_connections,
        locks: 6400,
        standby_delay: "30s".into(),
        standby_feedback: false,
        reads_passwords: true,
        locale_provider: "c".into(),
        locale: String::new(),
    }
}

fn of_majors(source: u32, target: u32, accepts_newer: bool) -> Vec<Finding> {
    versions(ServerVersion(source * 10_000), ServerVersion(target * 10_000), accepts_newer)
}

#[test]
fn known_majors_are_taken() {
    for major in OLDEST..=NEWEST {
        assert_eq!(of_majors(major, NEWEST, false), []);
    }
    assert_eq!(reported(of_majors(OLDEST - 1, NEWEST, true)), [("source_version".into(), Severity::Blocking)]);
    assert_eq!(reported(of_majors(18, 15, false)), [("target_older".into(), Severity::Warning)]);
    assert!(of_majors(12, 18, false)[0].message.contains("PostgreSQL 12"), "the version is named");
}

#[test]
fn a_newer_major_is_a_warning_that_an_option_lifts() {
    let newer = NEWEST + 1;
    assert_eq!(reported(of_majors(18, newer, false)), [("target_version".into(), Severity::Warning)]);
    let both = reported(of_majors(newer, 18, false));
    assert_eq!(both.iter().map(|(check, _)| check.as_str()).collect::<Vec<_>>(), ["source_version", "target_older"]);
    assert_eq!(of_majors(newer, newer, true), []);
}

#[test]
fn what_cannot_make_a_backup_is_a_finding() {
    let found = no_backup(none_found()).expect("findings");
    assert_eq!(reported(found.clone()), [("pg_dump_version".into(), Severity::Blocking)]);
    assert!(found[0].message.ends_with("no pg_dump was found") && found[0].remedy.contains("pgtools"));
    let wrong = no_backup(Error::new("pg_dump_unusable", Kind::Config, "the program of options.pg_dump cannot be run"));
    assert_eq!(wrong.expect_err("an error").kind, Kind::Config);
}

fn relation(columns: &[(&str, &str)]) -> Relation {
    let column = |(name, type_name): &(&str, &str)| Column {
        name: (*name).into(),
        type_name: (*type_name).into(),
        is_integer: false,
        not_null: false,
        is_generated: *name == "computed",
        identity_always: false,
        binary_safe: true,
        lsn: None,
        is_excluded: false,
    };
    Relation {
        oid: 1,
        name: QualifiedName::new("public", "t"),
        kind: RelationKind::Table,
        is_populated: true,
        partition_of: None,
        access_method: "heap".into(),
        heap_bytes: 0,
        total_bytes: 0,
        tuples: 0.0,
        hides_rows: false,
        is_readable: true,
        member: None,
        hashes_an_enum: false,
        columns: columns.iter().map(column).collect(),
    }
}

fn existing(columns: &[(&str, &str, bool)]) -> ExistingTable {
    let column = |(name, type_name, is_required): &(&str, &str, bool)| ExistingColumn {
        name: (*name).into(),
        type_name: (*type_name).into(),
        is_required: *is_required,
        is_not_null: *is_required,
        is_generated: false,
    };
    ExistingTable {
        name: QualifiedName::new("public", "t"),
        kind: 'r',
        may_select: true,
        may_insert: true,
        may_truncate: true,
        may_update: true,
        has_row_security: false,
        rights: RelationRights::default(),
        rules: vec![],
        columns: columns.iter().map(column).collect(),
    }
}

#[test]
fn a_difference_of_columns_shows_both_sides() {
    let source = relation(&[("id", "integer"), ("price", "numeric(10,2)"), ("gone", "text"), ("computed", "integer")]);
    let target = existing(&[
        ("id", "integer", true),
        ("price", "double precision", false),
        ("more", "text", true),
        ("Also", "date", false),
        ("computed", "integer", false),
    ]);
    let findings = differences(&source, &target);
    let wanted = [
        ("column_type", Severity::Warning, "column price: numeric(10,2) on the source, double precision on the target"),
        ("column_missing", Severity::Blocking, "column gone: text on the source, missing on the target"),
        (
            "column_generated",
            Severity::Warning,
            "column computed: is generated on the source, holds values on the target: it stays empty or gets its default",
        ),
        (
            "column_extra",
            Severity::Blocking,
            "column more: text NOT NULL without a default on the target, missing on the source",
        ),
        ("column_extra", Severity::Info, "column \"Also\": date on the target, missing on the source"),
    ];
    let found: Vec<(&str, Severity, &str)> =
        findings.iter().map(|f| (f.check.as_str(), f.severity, f.message.as_str())).collect();
    assert_eq!(found, wanted);
    assert_eq!(
        differences(
            &source,
            &existing(&[
                ("id", "integer", true),
                ("price", "numeric(10,2)", false),
                ("gone", "text", false),
                ("computed", "integer", false)
            ])
        )
        .len(),
        1
    );
}

fn extension(version: &str, schema: &str) -> Extension {
    Extension { name: "citext".into(), version: version.into(), schema: schema.into(), is_owner: true }
}

#[test]
fn extensions_are_compared_with_what_the_target_offers() {
    let wanted = extension("1.6", "public");
    let offer = |version: &str, needs_superuser| AvailableExtension {
        name: "citext".into(),
        version: Some(version.into()),
        needs_superuser,
    };
    let missing = not_installed(&server(false), &wanted, None);
    assert_eq!(reported(missing), [("extension_missing".into(), Severity::Blocking)]);
    assert_eq!(
        reported(not_installed(&server(false), &wanted, Some(&offer("1.6", true)))),
        [("extension_right".into(), Severity::Warning)]
    );
    assert_eq!(reported(not_installed(&server(true), &wanted, Some(&offer("1.6", true)))), []);
    assert_eq!(
        reported(not_installed(&server(false), &wanted, Some(&offer("1.10", false)))),
        [("extension_version".into(), Severity::Info)]
    );
    assert_eq!(installed(&server(true), &wanted, &wanted), []);
    let other = installed(&server(true), &wanted, &extension("1.5", "other"));
    assert_eq!(
        reported(other),
        [("extension_version".into(), Severity::Warning), ("extension_schema".into(), Severity::Warning)]
    );
}

#[test]
fn versions_of_extensions_compare_by_number() {
    assert_eq!(compare("1.10", "1.9"), Ordering::Greater);
    assert_eq!(compare("1.9", "1.10"), Ordering::Less);
    assert_eq!(compare("3.4.0dev", "3.4.0dev"), Ordering::Equal);
    assert_eq!(compare("3.4.0dev", "3.4.0"), Ordering::Less, "unknown is reported rather than passed over");
}

#[test]
fn encodings_that_lose_nothing_are_no_warning() {
    assert_eq!(encoding("UTF8", "UTF8"), None);
    assert_eq!(reported(encoding("LATIN1", "UTF8")), [("encoding".into(), Severity::Info)]);
    for (source, target) in [("SQL_ASCII", "UTF8"), ("UTF8", "LATIN1"), ("UTF8", "SQL_ASCII")] {
        assert_eq!(
            reported(encoding(source, target)),
            [("encoding".into(), Severity::Warning)],
            "{source} to {target}"
        );
    }
}

#[test]
fn a_collation_is_stale_when_both_versions_are_known_and_differ() {
    let what = ("it", "ALTER");
    assert_eq!(stale(Side::Source, what, "2.36", "2.36"), None);
    assert_eq!(stale(Side::Source, what, "", "2.36"), None);
    let source = stale(Side::Source, what, "2.28", "2.36").expect("a finding");
    assert!(source.message.contains("doubles"));
    let target = stale(Side::Target, what, "2.28", "2.36").expect("a finding");
    assert!(!target.message.contains("doubles"));
}

#[test]
fn too_few_connections_block_only_where_one_job_does_not_fit() {
    assert_eq!(connections(Side::Source, &instance(10), 8), None);
    let fewer = connections(Side::Source, &instance(9), 8).expect("a finding");
    assert_eq!(fewer.severity, Severity::Warning);
    assert!(fewer.remedy.contains(&Action::Jobs(7).to_string()), "{}", fewer.remedy);
    assert_eq!(connections(Side::Target, &instance(2), 8).map(|f| f.severity), Some(Severity::Blocking));
    assert!(connections(Side::Target, &instance(-3), 1).is_some_and(|f| f.message.contains(" 0 free connections")));
}

#[test]
fn locks_are_warned_of_before_they_run_out() {
    assert_eq!(locks(Side::Source, &instance(9), 5000), None);
    assert_eq!(reported(locks(Side::Source, &instance(9), 6000)), [("locks".into(), Severity::Warning)]);
}

#[test]
fn sizes_read_as_people_read_them() {
    assert_eq!(size(0), "0 bytes");
    assert_eq!(size(8192), "8192 bytes");
    assert_eq!(size(16_384), "16 kB");
    assert_eq!(size(900 << 30), "900 GB");
    assert_eq!(size(u64::MAX), "16777216 TB");
}

#[test]
fn sessions_are_listed_with_what_shows_of_them() {
    let idle = Activity {
        pid: 7,
        role: "app".into(),
        application: String::new(),
        state: "idle".into(),
        is_writing: false,
        seconds: 0.0,
    };
    let writing = Activity {
        pid: 8,
        role: "App".into(),
        application: "psql".into(),
        state: "active".into(),
        is_writing: true,
        seconds: 12.3,
    };
    assert_eq!(target_sessions(&[]), None);
    assert_eq!(source_writers(std::slice::from_ref(&idle)), None);
    let all = target_sessions(&[idle, writing.clone()]).expect("a finding");
    assert_eq!(
        all.message,
        "2 other sessions are connected to the target's database: 7 app no name (idle), 8 \"App\" psql (active, 12 s in its transaction)"
    );
    assert!(source_writers(&[writing]).is_some_and(|f| f.message.starts_with("1 session is writing")));
}

#[test]
fn long_lists_are_cut() {
    let names: Vec<String> = (0..23).map(|number| number.to_string()).collect();
    assert!(list(&names).ends_with("18, 19 and 3 more"));
    assert_eq!(list(&names[..2]), "0, 1");
}
