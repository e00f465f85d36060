//! The model of a run of other processes, filled from their ledger and from the target's reports on their sessions.
//!
//! No process has watched the run: a task's seconds are clock time, and include pauses. So the median of all tasks of a figure determines
//! its speed, not their sum. Called by `status`.

use super::model::{Model, Running, Start};
use super::stages::ratio;
use crate::engine::estimate::{Class, Figure};
use crate::engine::schedule::End;
use crate::event::TimeLeft;
use crate::pg::progress::{Build, Copying};
use crate::plan::Task;
use crate::rates::Rates;
use crate::record::Record;
use crate::status::TaskStatus;
use std::collections::HashMap;

/// The share from which on a running task counts as a measurement of the speed.
const TELLING: f64 = 0.05;

/// The current statements of a run's sessions.
pub struct Now {
    /// Builds of indexes.
    pub builds: Vec<Build>,
    /// COPYs.
    pub copies: Vec<Copying>,
}

/// Work that was done: its figure, its seconds by the rates, and how long it took.
struct Done {
    figure: Figure,
    expected: f64,
    seconds: f64,
}

/// The time left of a run.
pub fn recorded(tasks: &[Task], records: &[Record], rates: &Rates, jobs: usize, now: &Now) -> TimeLeft {
    let of: HashMap<&str, &Record> = records.iter().map(|record| (record.task.as_str(), record)).collect();
    let ended = |at: usize| match of.get(tasks[at].id.as_str()) {
        Some(record) if record.is_settled() => Some(End::Settled),
        Some(record) if record.status.is_failed() => Some(End::Failed),
        _ => None,
    };
    // All work of the run counts, whichever process has done it.
    let never = |_: usize| None;
    let mut model = Model::new(&Start { tasks, rates, jobs, ended: &never });
    (0..tasks.len()).filter_map(|at| Some((at, ended(at)?))).for_each(|(at, end)| model.set_ended(at, end));
    let sessions = at_once(records);
    let speed = [Class::Copy, Class::Build].map(|class| model.speed(class, sessions));
    let speed_of = |class: Class| speed[usize::from(class == Class::Build)];
    let mut done: Vec<Done> = Vec::new();
    for (at, task) in tasks.iter().enumerate() {
        let Some(record) = of.get(task.id.as_str()) else { continue };
        let (work, seconds) = (model.work(at), record.seconds * speed_of(model.work(at).class));
        match record.status {
            TaskStatus::Done => {
                model.was_sent(at, record.bytes.unsigned_abs());
                done.push(Done { figure: work.figure, expected: work.seconds, seconds });
            }
            TaskStatus::Running => {
                // Tasks without a worker have one each.
                let worker = record.worker.and_then(|worker| usize::try_from(worker).ok()).unwrap_or(usize::MAX - at);
                model.set_running(at, Running::on(worker, seconds));
            }
            _ => {}
        }
    }
    learn(&mut model, &mut done);
    for copy in &now.copies {
        model.sent_by(&copy.task, copy.rows, copy.bytes);
    }
    now.builds.iter().for_each(|build| model.take_build(build));
    done.extend(model.at_work().filter_map(|(work, running)| {
        let share = running.share.filter(|share| *share >= TELLING)?;
        Some(Done { figure: work.figure, expected: work.seconds * share, seconds: running.worked })
    }));
    model.forget_measured();
    learn(&mut model, &mut done);
    model.left(tasks)
}

/// Passes finished work to the model.
fn learn(model: &mut Model, done: &mut [Done]) {
    done.sort_by(|a, b| (a.seconds * b.expected).total_cmp(&(b.seconds * a.expected)));
    for figure in [Figure::Copy, Figure::Index, Figure::Validation, Figure::Analyze, Figure::Piece] {
        let of = || done.iter().filter(|done| done.figure == figure && done.expected > 0.0);
        let all: f64 = of().map(|done| done.expected).sum();
        let mut before = 0.0;
        let middle = of().find(|done| {
            before += done.expected;
            before >= all / 2.0
        });
        if let Some(middle) = middle {
            model.measured(figure, all, all * middle.seconds / middle.expected);
        }
    }
}

/// How many sessions were at work at once, on average.
fn at_once(records: &[Record]) -> usize {
    let span = |record: &Record| Some((record.begun?, record.begun? + record.seconds));
    let mut spans: Vec<(f64, f64)> = records
        .iter()
        .filter(|r| matches!(r.status, TaskStatus::Done | TaskStatus::Running))
        .filter_map(span)
        .collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut until, mut covered, mut sum) = (f64::MIN, 0.0, 0.0);
    for (begun, ended) in spans {
        covered += (ended - begun.max(until)).max(0.0);
        sum += ended - begun;
        until = until.max(ended);
    }
    // The nearest whole number.
    (1..=64_u64).take_while(|sessions| *sessions == 1 || covered * (ratio(*sessions, 1) - 0.5) <= sum).count()
}
