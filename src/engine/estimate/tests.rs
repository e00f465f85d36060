//! Estimates of plans that are small enough to compute by hand: rows and indexes at 1 MB a second and no other cost, unless a test says so.

use super::{Estimate, estimate};
use crate::catalog::object_kind::ObjectKind;
use crate::plan::{Header, Phase, Plan, Task, TaskKind};
use crate::rates::{Rates, Speedup, TableRates};
use crate::row_format::RowFormat;

const MB: u64 = 1_000_000;
/// No rows, so that the comparison of keys costs nothing, unless a test says so.
const ROWS: u64 = 0;

fn rates() -> Rates {
    let one_each = vec![Speedup { sessions: 64, speedup: 64.0 }];
    Rates {
        copy_binary: 1.0,
        copy_text: 0.5,
        // Sorting few keys takes a part of what sorting a million takes.
        index: 1024_f64.log2() / 1e6_f64.log2(),
        validation: 1.0,
        scan: 1e9,
        analyze: 0.0,
        create_table: 0.0,
        statement: 0.0,
        small_copy: 0.0,
        source_round_trip: 0.0,
        target_round_trip: 0.0,
        preparation: 0.0,
        uncertainty: 2.0,
        copy_speedup: one_each.clone(),
        build_speedup: one_each,
        ..Rates::typical()
    }
}

/// Servers with one core.
fn shared() -> Rates {
    Rates { copy_speedup: vec![], build_speedup: vec![], ..rates() }
}

fn task(id: &str, phase: Phase, kind: impl Into<TaskKind>, name: &str, requires: &[&str]) -> Task {
    let mut task = Task::new(phase, kind, "s", name);
    task.id = id.into();
    task.requires = requires.iter().map(|id| (*id).to_owned()).collect();
    task
}

fn data(id: &str, name: &str, megabytes: u64) -> Task {
    let mut task = task(id, Phase::Data, TaskKind::Data, name, &[]);
    (task.bytes, task.rows, task.format) = (megabytes * MB, ROWS, Some(RowFormat::Binary));
    task
}

fn index(id: &str, name: &str, megabytes: u64, requires: &[&str]) -> Task {
    Task { bytes: megabytes * MB, ..task(id, Phase::Index, TaskKind::Entry(ObjectKind::Index), name, requires) }
}

fn plan(tasks: Vec<Task>) -> Plan {
    Plan { header: Header::example(), tasks }
}

#[track_caller]
fn assert_near(found: f64, wanted: f64) {
    assert!((found - wanted).abs() < 1e-6, "{found} is not {wanted}");
}

#[track_caller]
fn assert_seconds(tasks: &[Task], rates: &Rates, jobs: usize, wanted: f64) -> Estimate {
    let found = estimate(&plan(tasks.to_vec()), rates, jobs);
    assert_near(found.seconds, wanted);
    found
}

fn chain(estimate: &Estimate) -> Vec<(&str, &str)> {
    estimate.chain.iter().map(|step| (step.object.as_str(), step.waits_for)).collect()
}

#[test]
fn two_jobs_copy_two_tables_side_by_side() {
    let tasks = [data("d1", "large", 10), data("d2", "small", 6)];
    let found = assert_seconds(&tasks, &rates(), 1, 16.0);
    assert_eq!(chain(&found), [("s.large", "nothing"), ("s.small", "worker")]);
    let found = assert_seconds(&tasks, &rates(), 2, 10.0);
    assert_eq!(chain(&found), [("s.large", "nothing")]);
    assert_near(found.low, 5.0);
    assert_near(found.high, 20.0);
}

#[test]
fn servers_that_are_busy_with_one_session_do_no_more_with_two() {
    // Both go on at half the speed until the small one is done after 12 s, and the large one is alone for its last 4 MB.
    let found = assert_seconds(&[data("d1", "large", 10), data("d2", "small", 6)], &shared(), 2, 16.0);
    assert_near(found.phases[0].seconds, 16.0);
    assert_near(found.phases[0].work, 16.0);
}

#[test]
fn an_index_waits_for_the_rows_of_its_table_and_for_no_others() {
    let tasks =
        [data("d1", "large", 10), data("d2", "small", 4), index("i1", "key", 5, &["d1"]), index("i2", "k", 2, &["d2"])];
    // 10 s of rows, then 5 MB of the index; reading the rows costs nothing here.
    let found = assert_seconds(&tasks, &rates(), 2, 15.0);
    assert_eq!(chain(&found), [("s.large", "nothing"), ("s.key", "task")]);
    let spans: Vec<(&str, f64, f64)> = found.phases.iter().map(|p| (p.phase.as_str(), p.starts, p.seconds)).collect();
    assert_eq!(spans.len(), 2);
    assert_near(spans[0].2, 10.0);
    // The small table's index begins while the large table copies.
    assert_near(spans[1].1, 4.0);
    assert_near(spans[1].2, 11.0);
    let busiest: Vec<(&str, f64)> = found.tables.iter().map(|table| (table.table.as_str(), table.work)).collect();
    assert_eq!(busiest.iter().map(|table| table.0).collect::<Vec<_>>(), ["s.large", "s.small"]);
    assert_near(busiest[0].1, 15.0);
}

#[test]
fn what_comes_after_a_phase_waits_for_all_of_it() {
    let mut last = task("v", Phase::Constraint, TaskKind::FkValidation, "child fk", &["c"]);
    last.after = vec!["index".into()];
    let tasks = [
        data("d1", "parent", 2),
        data("d2", "child", 3),
        task("c", Phase::Constraint, TaskKind::Entry(ObjectKind::FkConstraint), "child fk", &["d1", "d2"]),
        index("i", "other", 7, &["d1"]),
        last,
    ];
    // The index ends at 2 + 7 s; then 3 MB of the child and 2 MB of the parent are scanned.
    let found = assert_seconds(&tasks, &rates(), 4, 14.0);
    assert_eq!(chain(&found), [("s.parent", "nothing"), ("s.other", "task"), ("s.child fk", "task")]);
    assert_eq!(found.tables[0].table, "s.parent");
    assert_near(found.tables[1].work, 3.0 + 5.0);
}

#[test]
fn a_foreign_key_is_checked_once_with_its_constraint_or_apart() {
    let fk = task("c", Phase::Constraint, TaskKind::Entry(ObjectKind::FkConstraint), "child fk", &["d1", "d2"]);
    let mut tasks = vec![data("d1", "parent", 2), data("d2", "child", 3), fk];
    assert_seconds(&tasks, &rates(), 2, 8.0);
    tasks.push(task("v", Phase::Constraint, TaskKind::FkValidation, "child fk", &["c"]));
    assert_seconds(&tasks, &rates(), 2, 8.0);
}

#[test]
fn what_waits_for_a_lock_says_so() {
    let tasks = [
        data("d", "t", 1),
        index("i1", "long", 9, &["d"]),
        index("i2", "short", 4, &["d"]),
        Task {
            target_sql: "ALTER TABLE ONLY s.t ADD CONSTRAINT g UNIQUE USING INDEX short".into(),
            ..task("k", Phase::Constraint, TaskKind::Entry(ObjectKind::Constraint), "t g", &["d", "i2"])
        },
    ];
    // 1 MB of rows, 9 MB of the long index and its statement, the key's statement.
    let found = assert_seconds(&tasks, &Rates { statement: 1.0, ..rates() }, 4, 1.0 + 10.0 + 1.0);
    assert_eq!(chain(&found), [("s.t", "nothing"), ("s.long", "task"), ("s.t g", "lock")]);
}

#[test]
fn a_key_over_an_index_costs_no_second_one() {
    let mut key = task("k", Phase::Constraint, TaskKind::Entry(ObjectKind::Constraint), "t t_pkey", &["d", "i"]);
    let rates = Rates { index: 1.0, ..rates() };
    let data = Task { rows: 1_000_000, ..data("d", "t", 2) };
    let tasks = |key: &Task| vec![data.clone(), index("i", "t_pkey", 1, &["d"]), key.clone()];
    // A million rows count 32 bytes each, besides 1 MB of keys and, where the plan has no size, keys of 20 bytes.
    assert_seconds(&tasks(&key), &rates, 1, 2.0 + (32.0 + 1.0) + (32.0 + 20.0));
    key.target_sql = "ALTER TABLE ONLY s.t ADD CONSTRAINT t_pkey PRIMARY KEY USING INDEX t_pkey".into();
    assert_seconds(&tasks(&key), &rates, 1, 2.0 + (32.0 + 1.0));
}

#[test]
fn what_is_known_of_a_table_goes_before_what_is_known_of_all() {
    let mut tasks = [data("d1", "known", 10), data("d2", "text", 1)];
    tasks[1].format = Some(RowFormat::Text);
    let mut rates = rates();
    rates.tables.push(TableRates { table: "s.known".into(), copy: Some(5.0), ..TableRates::default() });
    assert_seconds(&tasks, &rates, 1, 10.0 / 5.0 + 1.0 / 0.5);
}

#[test]
fn only_chunks_leave_rows_to_settle_and_only_the_first_reader_pays() {
    let rates = Rates { scan: 4.0, ..rates() };
    let readers = [index("i1", "first", 1, &["d1"]), index("i2", "second", 1, &["d1"])];
    let whole = [vec![data("d1", "t", 4)], readers.to_vec()].concat();
    assert_seconds(&whole, &rates, 1, 4.0 + 2.0 + 2.0);
    let mut chunks = vec![data("d1", "t", 2), data("d2", "t", 2)];
    for chunk in &mut chunks {
        chunk.rows /= 2;
    }
    chunks.extend(readers.map(|reader| Task { requires: vec!["d1".into(), "d2".into()], ..reader }));
    // Four times what reading 4 MB at 4 MB a second takes.
    assert_seconds(&chunks, &rates, 1, 4.0 + 2.0 + 4.0 + 2.0);
}

#[test]
fn larger_tables_take_longer_to_sort() {
    let mut tasks = [data("d", "t", 10), index("i", "key", 10, &["d"])];
    tasks[0].rows = 1_000_000_000_000;
    // 10 MB of rows; 10 MB of keys and 32 bytes for each row, and twice the comparisons of a million rows.
    assert_seconds(&tasks, &Rates { index: 1.0, ..rates() }, 1, 10.0 + 2.0 * (10.0 + 32e6));
}

#[test]
fn statistics_are_of_a_sample() {
    let rates = Rates { analyze: 6.0, ..rates() };
    let mut tasks = [data("d", "t", 1), task("a", Phase::Analyze, TaskKind::Analyze, "t", &["d"])];
    let rows = |rows, tasks: &mut [Task; 2]| {
        tasks[0].rows = rows;
        estimate(&plan(tasks.to_vec()), &rates, 1).phases[1].work
    };
    assert!((rows(15_000, &mut tasks) - 3.0).abs() < 1e-3);
    assert!((rows(30_000, &mut tasks) - 6.0).abs() < 1e-3);
    assert!((rows(9_000_000, &mut tasks) - 6.0).abs() < 1e-3);
}

#[test]
fn a_root_and_each_of_its_partitions_have_statistics() {
    let rates = Rates { analyze: 6.0, ..rates() };
    let parts = [data("d1", "p1", 0), data("d2", "p2", 0)];
    let mut tasks = parts.map(|part| Task { rows: 15_000, ..part }).to_vec();
    tasks.push(task("a", Phase::Analyze, TaskKind::Analyze, "root", &["d1", "d2"]));
    assert_seconds(&tasks, &rates, 1, 6.0 + 3.0 + 3.0);
}

#[test]
fn small_tasks_share_the_way_to_the_server() {
    let rates = Rates { target_round_trip: 1.0, ..rates() };
    let tasks: Vec<Task> = (0..100).map(|at| data(&format!("d{at:03}"), &format!("t{at:03}"), 0)).collect();
    // Batches of 48, 48 and 4, each with five round trips around its tasks.
    assert_seconds(&tasks, &rates, 1, 15.0);
}

#[test]
fn tasks_that_run_in_order_are_one_link_behind_what_they_waited_for() {
    let tasks = [
        task("r", Phase::Roles, TaskKind::Role, "owner", &[]),
        task("p1", Phase::PreData, "schema", "one", &["r"]),
        task("p2", Phase::PreData, "table", "two", &["p1"]),
        task("p3", Phase::PreData, "table", "three", &["p2", "p1"]),
        Task { requires: vec!["p3".into()], ..data("d", "two", 5) },
    ];
    let found = assert_seconds(&tasks, &Rates { statement: 1.0, create_table: 1.0, ..rates() }, 2, 9.0);
    assert_eq!(chain(&found), [("s.owner", "nothing"), ("s.three", "task"), ("s.two", "task")]);
    assert_eq!(found.chain[1].tasks, 3);
}

#[test]
fn time_before_the_first_task_counts() {
    let found = assert_seconds(&[data("d", "t", 3)], &Rates { preparation: 2.0, ..rates() }, 1, 5.0);
    assert_near(found.phases[0].starts, 2.0);
    assert_near(found.chain[0].starts, 2.0);
}

#[test]
fn without_a_measurement_the_estimate_says_so() {
    let tasks = vec![data("d", "t", 3)];
    assert!(estimate(&plan(tasks.clone()), &rates(), 1).notes[0].starts_with("uncalibrated"));
    let rates = Rates { calibrated: true, ..rates() };
    assert!(estimate(&plan(tasks), &rates, 1).notes.is_empty());
}

/// Plans like real ones: tables of all sizes, each with indexes, and foreign keys between them.
fn like_a_real_one(seed: u64) -> Vec<Task> {
    let mut state = seed;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut tasks =
        vec![task("r", Phase::Roles, TaskKind::Role, "owner", &[]), task("s", Phase::PreData, "schema", "s", &["r"])];
    for table in 0..30 {
        tasks.push(task(&format!("p{table}"), Phase::PreData, "table", &format!("t{table}"), &["s"]));
    }
    for table in 0..30 {
        let (d, name) = (format!("d{table}"), format!("t{table}"));
        tasks.push(Task { requires: vec![format!("p{table}")], ..data(&d, &name, random(10).pow(3)) });
        for number in 0..random(4) {
            tasks.push(index(&format!("i{table}_{number}"), &format!("{name}_{number}"), random(50), &[&d]));
        }
        if table > 0 {
            let other = format!("d{}", random(table));
            let constraint = task(
                &format!("c{table}"),
                Phase::Constraint,
                TaskKind::Entry(ObjectKind::FkConstraint),
                &format!("{name} fk"),
                &[&d, &other],
            );
            tasks.push(constraint);
        }
    }
    tasks.push(Task { after: vec!["constraint".into(), "index".into()], ..task("z", Phase::Finish, "x", "end", &[]) });
    tasks
}

#[test]
fn more_jobs_are_no_slower_and_the_chain_fills_the_whole_time() {
    for seed in 1..20 {
        let far = Rates { target_round_trip: 0.02, ..shared() };
        for rates in [rates(), shared(), far, Rates::typical()] {
            let found = estimate(&plan(like_a_real_one(seed)), &rates, 3);
            for pair in found.by_jobs.windows(2) {
                // Batches are cut by the number of workers, which may cost a moment.
                assert!(pair[1].seconds <= pair[0].seconds * 1.005, "seed {seed}: {pair:?}");
            }
            let jobs: Vec<usize> = found.by_jobs.iter().map(|one| one.jobs).collect();
            assert_eq!(jobs, [1, 2, 3, 4, 8, 16]);
            let filled: f64 = found.chain.iter().map(|step| step.seconds).sum();
            assert!((filled + rates.preparation - found.seconds).abs() < 1e-6 * found.seconds, "seed {seed}");
        }
    }
}
