//! Invented runs: events in time as a run of a table with indexes sends them, on servers that are slower than the rates, with a clock of
//! the test's own. The time left by the model is compared with the actual one.

use super::model::{LONGEST_LOOK, Model, Start};
use super::recorded::{Now, recorded};
use crate::catalog::object_kind::ObjectKind;
use crate::event::{Event, TimeLeft};
use crate::pg::progress::{Build, Copying, Stage};
use crate::plan::{Phase, Task, TaskKind};
use crate::rates::{Rates, Speedup};
use crate::record::Record;
use crate::row_format::RowFormat;
use crate::status::TaskStatus;

const MB: u64 = 1_000_000;
/// So few that the comparison of their keys costs nothing.
const ROWS: u64 = 1000;
const LOOK: f64 = 2.0;

/// Servers on which sessions do not slow each other down. The rate that was not measured is 1 MB a second; measured rates are a sixth too
/// high.
fn rates(calibrated: bool) -> Rates {
    let one_each = vec![Speedup { sessions: 64, speedup: 64.0 }];
    Rates {
        calibrated,
        copy_binary: if calibrated { 1.17 / SLOWER[0] } else { 1.0 },
        index: 1024_f64.log2() / 1e6_f64.log2() * if calibrated { 1.17 / SLOWER[1] } else { 1.0 },
        scan: 1e9,
        analyze: 0.0,
        statement: 0.0,
        small_copy: 0.0,
        source_round_trip: 0.0,
        target_round_trip: 0.0,
        copy_speedup: one_each.clone(),
        build_speedup: one_each,
        ..Rates::typical()
    }
}

fn data(id: &str, name: &str, megabytes: u64) -> Task {
    let mut task = Task::new(Phase::Data, TaskKind::Data, "s", name);
    (task.id, task.bytes, task.rows, task.format) = (id.into(), megabytes * MB, ROWS, Some(RowFormat::Binary));
    task
}

fn index(id: &str, name: &str, megabytes: u64, requires: &str) -> Task {
    let mut task = Task::new(Phase::Index, TaskKind::Entry(ObjectKind::Index), "s", name);
    (task.id, task.bytes, task.requires) = (id.into(), megabytes * MB, vec![requires.into()]);
    task
}

/// Two tables of 40 and 20 MB, with three indexes of 60, 60 and 30 MB.
fn plan() -> Vec<Task> {
    vec![
        data("d1", "large", 40),
        data("d2", "small", 20),
        index("i1", "large_a", 60, "d1"),
        index("i2", "large_b", 60, "d1"),
        index("i3", "small_a", 30, "d2"),
    ]
}

/// What happens in a run: copies that are `SLOWER[0]` times and builds that are `SLOWER[1]` times slower than the rates say, on two workers.
const SLOWER: [f64; 2] = [1.5, 2.5];
/// Each task with its worker, its start and its end, as the schedule has it: d1 and d2, i1 after d1, i3 after d2, and i2 after i3.
const COURSE: [(&str, usize, f64, f64); 5] = [
    ("d1", 0, 0.0, 60.0),
    ("d2", 1, 0.0, 30.0),
    ("i3", 1, 30.0, 105.0),
    ("i1", 0, 60.0, 210.0),
    ("i2", 1, 105.0, 255.0),
];
const END: f64 = 255.0;

/// A simulated run, and what the model reported at each check.
struct Played {
    said: Vec<(f64, TimeLeft)>,
}

/// A pause: when it begins, how long it is, and whether the servers go on with their builds meanwhile.
#[derive(Clone, Copy, Default)]
struct Pause {
    at: f64,
    seconds: f64,
    builds_go_on: bool,
}

fn event(task: &Task, worker: usize) -> Event {
    Event::TaskStarted {
        task: task.id.clone(),
        phase: task.phase,
        kind: task.kind.to_string(),
        object: task.object(),
        worker,
    }
}

fn finished(task: &Task) -> Event {
    Event::TaskFinished {
        task: task.id.clone(),
        phase: task.phase,
        kind: task.kind.to_string(),
        object: task.object(),
        status: TaskStatus::Done,
        rows: task.rows,
        bytes: task.bytes * 2,
        seconds: 1.0,
        note: String::new(),
    }
}

/// A part in thousandths.
fn thousand(part: f64) -> u64 {
    (0..1000_u32).take_while(|n| f64::from(*n) < part * 1000.0).count() as u64
}

/// The report of a build of which this part is done: for half of the time it reads, for a tenth it sorts, and then it writes.
fn build(task: &str, part: f64) -> Build {
    let (stage, done, total) = match part {
        part if part < 0.5 => (Stage::Scan, thousand(part / 0.5), 1000),
        part if part < 0.6 => (Stage::Sort, 0, 0),
        part => (Stage::Load, thousand((part - 0.6) / 0.4), 1000),
    };
    Build { task: task.into(), stage, done, total }
}

/// Simulates the run; `pause` stops this process, and what it does, in the middle.
fn play(calibrated: bool, pause: Pause) -> Played {
    let (tasks, rates) = (plan(), rates(calibrated));
    let mut model = Model::new(&Start { tasks: &tasks, rates: &rates, jobs: 2, ended: &|_| None });
    let task = |id: &str| tasks.iter().find(|task| task.id == id).unwrap();
    // The run's own time; the clock is ahead by the pause.
    let clock = |now: f64| if now > pause.at { now + pause.seconds } else { now };
    let mut said = Vec::new();
    let mut now = 0.0;
    while now < END {
        let mut happened: Vec<(f64, Event)> = Vec::new();
        for (id, worker, starts, ends) in COURSE {
            let is_between = |time: f64| time >= now && time < now + LOOK;
            happened.extend(is_between(starts).then(|| (starts + 0.001, event(task(id), worker))));
            happened.extend(is_between(ends).then(|| (ends, finished(task(id)))));
            if id.starts_with('d') && starts <= now && now < ends {
                let part = (now - starts) / (ends - starts);
                let rows = ROWS / 1000 * thousand(part);
                let progress = Event::TaskProgress { task: id.into(), phase: Phase::Data, rows, bytes: 2 * rows };
                happened.push((now + 0.0005, progress));
            }
        }
        happened.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (at, event) in happened {
            model.take(&event, clock(at));
        }
        now += LOOK;
        let ahead = if pause.builds_go_on && now > pause.at { pause.seconds } else { 0.0 };
        let at_work = COURSE.iter().filter(|(id, _, starts, ends)| id.starts_with('i') && *starts < now && now < *ends);
        let builds: Vec<Build> = at_work
            .map(|(id, _, starts, ends)| {
                let ahead = if (*starts..*ends).contains(&pause.at) { ahead } else { 0.0 };
                build(id, ((now + ahead - starts) / (ends - starts)).min(0.99))
            })
            .collect();
        model.tick(&builds, clock(now));
        said.push((now, model.left(&tasks)));
    }
    Played { said }
}

impl Played {
    /// What was reported at a time.
    fn at(&self, time: f64) -> &TimeLeft {
        &self.said.iter().find(|(at, _)| *at >= time).unwrap().1
    }

    #[track_caller]
    fn assert_within(&self, time: f64, (end, part): (f64, f64)) {
        let (at, left) = self.said.iter().find(|(at, _)| *at >= time).unwrap();
        let (found, wanted) = (left.seconds.unwrap(), end - at);
        assert!((found - wanted).abs() <= part * wanted, "at {at} s: {found} s left, not {wanted} s");
    }
}

#[test]
fn the_time_left_is_right_at_a_tenth_a_half_and_nine_tenths() {
    let played = play(true, Pause::default());
    for part in [0.1, 0.5, 0.9] {
        played.assert_within(part * END, (END, 0.3));
    }
}

#[test]
fn what_no_run_has_measured_is_unknown() {
    let played = play(false, Pause::default());
    assert_eq!(played.at(20.0).seconds, None);
    let phases = &played.at(20.0).phases;
    assert_eq!([phases[0].phase.as_str(), phases[1].phase.as_str()], ["data", "index"]);
    let rows = phases[0].seconds.unwrap();
    assert!((rows - 40.0).abs() < 8.0, "{rows}");
    assert_eq!(phases[1].seconds, None);
    for part in [0.5, 0.7, 0.9] {
        played.assert_within(part * END, (END, 0.3));
    }
}

#[test]
fn a_build_counts_by_how_far_it_is() {
    let played = play(false, Pause::default());
    let share = |time: f64| played.at(time).phases[1].share;
    assert!((share(150.0) - 0.6).abs() < 0.1, "{}", share(150.0));
    assert!(share(170.0) > share(160.0) && share(160.0) > share(150.0));
    assert!((played.at(0.5 * END).share - 0.55).abs() < 0.1, "{}", played.at(0.5 * END).share);
}

#[test]
fn a_pause_of_a_minute_is_no_work() {
    let quiet = play(false, Pause::default());
    for at in [20.0, 140.0] {
        let paused = play(false, Pause { at, seconds: 60.0, builds_go_on: false });
        for time in [at + 4.0, at + 40.0, 0.9 * END] {
            let (with, without) = (paused.at(time), quiet.at(time));
            let near = |a: f64, b: f64| (a - b).abs() <= 0.15 * b;
            assert_eq!(with.seconds.is_some(), without.seconds.is_some());
            let is_near = with.seconds.zip(without.seconds).is_none_or(|(a, b)| near(a, b));
            assert!(is_near, "at {time}: {with:?} instead of {without:?}");
            assert!(near(with.share, without.share), "at {time}: {with:?} instead of {without:?}");
        }
    }
}

#[test]
fn builds_that_go_on_in_a_pause_are_ahead_and_no_faster() {
    let paused = play(false, Pause { at: 140.0, seconds: 60.0, builds_go_on: true });
    // i1 has 70 s of 150 and i2 115 s of 150 left at 140, and a minute less after the pause.
    paused.assert_within(150.0, (END - 60.0, 0.3));
}

#[test]
fn rows_that_stand_still_are_no_work() {
    let (tasks, rates) = (vec![data("d1", "t", 100)], rates(false));
    let mut model = Model::new(&Start { tasks: &tasks, rates: &rates, jobs: 1, ended: &|_| None });
    model.take(&event(&tasks[0], 0), 0.0);
    let mut now = 0.0;
    for looks in 1..=10_u64 {
        now += LOOK;
        let rows = looks * ROWS / 50;
        model.take(&Event::TaskProgress { task: "d1".into(), phase: Phase::Data, rows, bytes: rows }, now);
        model.tick(&[], now);
    }
    let before = model.left(&tasks).seconds.unwrap();
    for _ in 0..60 {
        now += LOOK;
        model.tick(&[], now);
    }
    let after = model.left(&tasks).seconds.unwrap();
    assert!((before - 80.0).abs() < 4.0, "{before}");
    assert!((after - before).abs() <= before * 0.01 + LONGEST_LOOK, "{after} instead of {before}");
}

#[test]
fn a_task_that_is_tried_again_begins_at_nothing() {
    let (tasks, rates) = (vec![data("d1", "t", 100)], rates(true));
    let mut model = Model::new(&Start { tasks: &tasks, rates: &rates, jobs: 1, ended: &|_| None });
    model.take(&event(&tasks[0], 0), 0.0);
    model.take(&Event::TaskProgress { task: "d1".into(), phase: Phase::Data, rows: ROWS / 2, bytes: 1 }, 50.0);
    model.tick(&[], 50.0);
    assert!(model.left(&tasks).share > 0.4);
    model.take(&Event::TaskRetried { task: "d1".into(), attempt: 1, reason: String::new() }, 51.0);
    assert!(model.left(&tasks).share < 0.01);
    model.take(&finished(&tasks[0]), 52.0);
    assert_eq!(model.left(&tasks).seconds, Some(0.0));
    assert!((model.left(&tasks).share - 1.0).abs() < 1e-9);
}

fn record(task: &Task, status: TaskStatus, (begun, seconds, worker): (f64, f64, i32)) -> Record {
    Record { status, attempts: 1, begun: Some(begun), seconds, worker: Some(worker), ..Record::planned(task) }
}

#[test]
fn the_ledger_and_the_servers_reports_give_the_same() {
    let tasks = plan();
    // At 140 s of the run: i1 has run 80 s of 150, i2 35 s.
    let records = [
        record(&tasks[0], TaskStatus::Done, (0.0, 60.0, 0)),
        record(&tasks[1], TaskStatus::Done, (0.0, 30.0, 1)),
        record(&tasks[2], TaskStatus::Running, (60.0, 80.0, 0)),
        record(&tasks[3], TaskStatus::Running, (105.0, 35.0, 1)),
        record(&tasks[4], TaskStatus::Done, (30.0, 75.0, 1)),
    ];
    let now = Now { builds: vec![build("i1", 80.0 / 150.0), build("i2", 35.0 / 150.0)], copies: vec![] };
    let left = recorded(&tasks, &records, &rates(false), 2, &now).seconds.unwrap();
    assert!((left - 115.0).abs() <= 0.3 * 115.0, "{left}");
}

#[test]
fn a_copy_at_work_counts_by_its_rows_and_one_paused_task_decides_nothing() {
    let tasks: Vec<Task> = (0..5).map(|n| data(&format!("d{n}"), &format!("t{n}"), 10)).collect();
    let seconds = [20.0, 20.0, 80.0];
    let mut records: Vec<Record> = Vec::new();
    let mut begun = 0.0;
    for (task, seconds) in tasks.iter().zip(seconds) {
        records.push(record(task, TaskStatus::Done, (begun, seconds, 0)));
        begun += seconds;
    }
    records.push(record(&tasks[3], TaskStatus::Running, (begun, 10.0, 0)));
    records.push(record(&tasks[4], TaskStatus::Pending, (begun, 0.0, 0)));
    let copies = vec![Copying { task: "d3".into(), rows: ROWS / 2, bytes: 1 }];
    let left = recorded(&tasks, &records, &rates(false), 1, &Now { builds: vec![], copies }).seconds.unwrap();
    assert!((left - 30.0).abs() < 3.0, "{left}");
}
