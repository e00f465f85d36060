//! How long a run of a plan will take, and with how many jobs: a simulation of the engine's own schedule, with rates instead of servers.
//!
//! Pure: plan and rates in, figures out, no server and no clock. `cost` has the cost of each task, `course` the simulation, `chain` the
//! chain of tasks that the end of the run waited for. Other load on the servers is not included. Called by the bindings.

mod chain;
mod cost;
mod course;
#[cfg(test)]
mod tests;

use crate::plan::{Phase, Plan};
use crate::rates::Rates;
use chain::{Step, chain};
use cost::Costs;
pub(super) use cost::{Class, Figure, TaskWork, analyze_share, costs, index_work};
pub(super) use course::{Course, Rest, speed};
use serde::Serialize;
use std::cmp::Reverse;

/// The numbers of jobs that every estimate includes.
const JOBS: [usize; 5] = [1, 2, 4, 8, 16];
/// Tables that are named as the busiest.
const BUSIEST: usize = 10;

/// How long a run with some number of jobs takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Duration {
    /// How many tasks run at once.
    pub jobs: usize,
    /// Seconds from the beginning to the end of the run.
    pub seconds: f64,
    /// What it takes if all goes well.
    pub low: f64,
    /// What it takes if all goes badly.
    pub high: f64,
}

/// A phase of the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseSpan {
    /// Its name.
    pub phase: Phase,
    /// How many tasks it has.
    pub tasks: usize,
    /// When the first of them starts, in seconds of the run.
    pub starts: f64,
    /// Seconds from the first start to the last end.
    pub seconds: f64,
    /// Seconds of all its tasks, each done alone.
    pub work: f64,
}

/// What a table costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableWork {
    /// Its name.
    pub table: String,
    /// Its size on the source.
    pub bytes: u64,
    /// Seconds of its rows, indexes, statistics and constraints, each task done alone.
    pub work: f64,
}

/// An estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// How many tasks run at once.
    pub jobs: usize,
    /// Seconds from the beginning to the end of the run.
    pub seconds: f64,
    /// What it takes if all goes well.
    pub low: f64,
    /// What it takes if all goes badly.
    pub high: f64,
    /// Seconds before the first task.
    pub preparation: f64,
    /// Whether the rates were measured.
    pub calibrated: bool,
    /// The same for other numbers of jobs.
    pub by_jobs: Vec<Duration>,
    /// The phases in their order.
    pub phases: Vec<PhaseSpan>,
    /// The tasks, one after another, that the end of the run waited for.
    pub chain: Vec<Step>,
    /// The tables that take most of the work.
    pub tables: Vec<TableWork>,
    /// Notes for the reader.
    pub notes: Vec<String>,
}

/// Estimates a run of `plan` with `jobs` tasks at once.
#[must_use]
pub fn estimate(plan: &Plan, rates: &Rates, jobs: usize) -> Estimate {
    let jobs = jobs.max(1);
    let costs = costs(&plan.tasks, rates);
    let course_of = |jobs| Course::of(&plan.tasks, rates, &costs.works, jobs);
    let course = course_of(jobs);
    let mut numbers = JOBS.to_vec();
    numbers.push(jobs);
    numbers.sort_unstable();
    numbers.dedup();
    let at_jobs = |other| if other == jobs { course.seconds } else { course_of(other).seconds };
    let by_jobs: Vec<Duration> =
        numbers.into_iter().map(|other| duration(other, rates.preparation + at_jobs(other), rates)).collect();
    let Duration { seconds, low, high, .. } = duration(jobs, rates.preparation + course.seconds, rates);
    Estimate {
        jobs,
        seconds,
        low,
        high,
        preparation: rates.preparation,
        calibrated: rates.calibrated,
        by_jobs,
        phases: phases(plan, &costs, &course, rates.preparation),
        chain: chain(plan, &costs, &course, rates.preparation),
        tables: busiest(plan, &costs),
        notes: notes(rates),
    }
}

fn duration(jobs: usize, seconds: f64, rates: &Rates) -> Duration {
    Duration { jobs, seconds, low: seconds / rates.uncertainty, high: seconds * rates.uncertainty }
}

fn phases(plan: &Plan, costs: &Costs, course: &Course, preparation: f64) -> Vec<PhaseSpan> {
    let span = |phase: Phase| {
        let tasks: Vec<usize> = (0..plan.tasks.len()).filter(|at| plan.tasks[*at].phase == phase).collect();
        let starts = tasks.iter().map(|at| course.starts(*at)).reduce(f64::min)?;
        let ends = tasks.iter().map(|at| course.ends(*at)).fold(starts, f64::max);
        Some(PhaseSpan {
            phase,
            tasks: tasks.len(),
            starts: preparation + starts,
            seconds: ends - starts,
            work: tasks.iter().map(|at| costs.works[*at].seconds).sum(),
        })
    };
    Phase::ALL.into_iter().filter_map(span).collect()
}

fn busiest(plan: &Plan, costs: &Costs) -> Vec<TableWork> {
    let mut work = vec![0.0; costs.tables.len()];
    for (at, tables) in costs.tables_of.iter().enumerate() {
        if let Some(table) = tables.first().filter(|_| plan.tasks[at].phase != Phase::Refresh) {
            work[*table] += costs.works[at].seconds;
        }
    }
    let of_table =
        |(table, work): (&cost::Table, f64)| TableWork { table: table.name.clone(), bytes: table.bytes, work };
    let mut all: Vec<TableWork> = costs.tables.iter().zip(work).map(of_table).collect();
    all.sort_by(|a, b| {
        b.work.total_cmp(&a.work).then_with(|| (Reverse(a.bytes), &a.table).cmp(&(Reverse(b.bytes), &b.table)))
    });
    all.truncate(BUSIEST);
    all
}

fn notes(rates: &Rates) -> Vec<String> {
    let mut notes = rates.notes.clone();
    if !rates.calibrated {
        notes.insert(0, "uncalibrated: counted with typical rates, not with those of these servers".into());
    }
    notes
}
