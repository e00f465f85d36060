//! A simulated run: the engine's schedule as a simulation of discrete events, in batches as the pool makes them.
//!
//! Sessions that work at the same time share the servers: with k of them each has the k-th part of their common speedup. Sessions that wait
//! for an answer use no part of the servers. No I/O and no clock. Called by `estimate`.

use super::cost::{Class, TaskWork};
use crate::engine::schedule::family;
use crate::engine::schedule::{End, Schedule};
use crate::plan::Task;
use crate::rates::{Rates, speedup};

/// Round trips to the target around the tasks of a transaction: beginning, ledger, commit.
const ROUND_TRIPS: f64 = 5.0;

/// Tasks that a worker does together.
#[derive(Debug)]
pub struct Batch {
    /// Their positions in the plan.
    pub tasks: Vec<usize>,
    /// When it starts, in seconds from the first task on.
    pub starts: f64,
    /// When it ends.
    pub ends: f64,
    /// What kept it from starting earlier.
    pub before: Option<Before>,
}

/// What keeps ready tasks from starting.
#[derive(Debug, Clone, Copy)]
pub enum Before {
    /// All workers are busy; the batch of the one that was free first.
    Worker(usize),
    /// A batch holds a lock that they would wait for.
    Lock(usize),
}

/// The course of a run.
#[derive(Debug)]
pub struct Course {
    /// The batches, in the order of their starts.
    pub batches: Vec<Batch>,
    /// The batch of each task; none for one that never became ready.
    pub batch_of: Vec<Option<usize>>,
    /// When the last one ends.
    pub seconds: f64,
}

/// A batch at work.
struct RunningBatch {
    batch: usize,
    /// Seconds that it waits for answers, during which it uses no part of the servers.
    waits: f64,
    /// Seconds of work.
    left: f64,
    class: Class,
}

/// The rest of a run.
pub struct Rest<'a> {
    /// The remaining work of each task.
    pub works: &'a [TaskWork],
    /// How tasks have ended, or that they will not be run.
    pub ended: &'a dyn Fn(usize) -> Option<End>,
    /// The tasks that run, by worker.
    pub running: Vec<Vec<usize>>,
}

struct Play<'a> {
    rates: &'a Rates,
    works: &'a [TaskWork],
    jobs: usize,
    schedule: Schedule,
    course: Course,
    running: Vec<RunningBatch>,
    /// For each worker that is free, the batch that it did last.
    idle: Vec<Option<usize>>,
    /// The batch that ended last.
    ended: Option<usize>,
}

impl Course {
    /// Simulates the plan with `jobs` workers.
    pub fn of(plan: &[Task], rates: &Rates, works: &[TaskWork], jobs: usize) -> Course {
        Course::rest(plan, rates, jobs, Rest { works, ended: &|_| None, running: Vec::new() })
    }

    /// Simulates the rest of the plan with `jobs` workers.
    pub fn rest(plan: &[Task], rates: &Rates, jobs: usize, rest: Rest<'_>) -> Course {
        let course = Course { batches: Vec::new(), batch_of: vec![None; plan.len()], seconds: 0.0 };
        let schedule =
            Schedule::new(plan, rest.ended).with_families(family::families_of(plan, |_| true), family::LARGEST);
        let free = jobs.min(plan.len() + 1).saturating_sub(rest.running.len());
        let (running, idle, works) = (Vec::new(), vec![None; free], rest.works);
        let mut run = Play { rates, works, jobs, schedule, course, running, idle, ended: None };
        for tasks in rest.running {
            for at in &tasks {
                run.schedule.begin(*at);
            }
            run.begin(tasks, None);
        }
        loop {
            run.start();
            if !run.step() {
                return run.course;
            }
        }
    }

    /// When a task starts.
    pub fn starts(&self, task: usize) -> f64 {
        self.batch_of[task].map_or(0.0, |batch| self.batches[batch].starts)
    }

    /// When a task ends.
    pub fn ends(&self, task: usize) -> f64 {
        self.batch_of[task].map_or(0.0, |batch| self.batches[batch].ends)
    }
}

impl Play<'_> {
    /// Passes ready tasks to free workers.
    fn start(&mut self) {
        while let Some(last) = self.idle.pop() {
            let Some(tasks) = self.next() else {
                self.idle.push(last);
                return;
            };
            // Where another worker was free all along, the tasks did not wait for a worker.
            let is_alone = self.idle.is_empty() && last == self.ended;
            let before = self.ended.map(if is_alone { Before::Worker } else { Before::Lock });
            self.begin(tasks, before);
        }
    }

    /// Makes a worker do the tasks.
    fn begin(&mut self, tasks: Vec<usize>, before: Option<Before>) {
        let batch = self.course.batches.len();
        let left = tasks.iter().map(|at| self.works[*at].seconds).sum();
        let waits = ROUND_TRIPS * self.rates.target_round_trip;
        self.running.push(RunningBatch { batch, waits, left, class: self.works[tasks[0]].class });
        for at in &tasks {
            self.course.batch_of[*at] = Some(batch);
        }
        let starts = self.course.seconds;
        self.course.batches.push(Batch { tasks, starts, ends: starts, before });
    }

    /// What one worker does next.
    fn next(&mut self) -> Option<Vec<usize>> {
        let mut tasks = self.schedule.next_in_order();
        if tasks.is_empty() {
            let at = self.schedule.next()?;
            tasks.push(at);
            tasks.extend(self.schedule.next_like(at, self.jobs));
        }
        Some(tasks)
    }

    /// Advances to the next end of a wait or of a batch; false where nothing runs.
    fn step(&mut self) -> bool {
        let working = self.running.iter().filter(|running| running.waits <= 0.0).count();
        let speeds = [Class::Copy, Class::Build].map(|class| speed(self.rates, class, working));
        let speed = |running: &RunningBatch| speeds[usize::from(running.class == Class::Build)];
        let time =
            |running: &RunningBatch| if running.waits > 0.0 { running.waits } else { running.left / speed(running) };
        let times = self.running.iter().map(time);
        let Some((first, time)) = times.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b)) else { return false };
        let has_waited = self.running[first].waits > 0.0;
        for running in &mut self.running {
            if running.waits > 0.0 {
                running.waits -= time;
            } else {
                running.left -= time * speed(running);
            }
        }
        self.course.seconds += time;
        if has_waited {
            self.running[first].waits = 0.0;
            return true;
        }
        let batch = self.running.remove(first).batch;
        self.course.batches[batch].ends = self.course.seconds;
        for at in &self.course.batches[batch].tasks {
            self.schedule.end(*at, End::Settled);
        }
        self.ended = Some(batch);
        self.idle.push(self.ended);
        true
    }
}

/// The speed of each of this many sessions, if all did work of this class.
pub fn speed(rates: &Rates, class: Class, sessions: usize) -> f64 {
    let sessions = u32::try_from(sessions).unwrap_or(u32::MAX).max(1);
    let points = if class == Class::Copy { &rates.copy_speedup } else { &rates.build_speedup };
    speedup(points, sessions) / f64::from(sessions)
}
