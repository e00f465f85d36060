//! The chain of tasks that the end of a run waited for: from the last task back, at each step to what kept the task from starting earlier.
//!
//! That is what the task requires or follows, or, where all of these had ended, what kept its worker busy or its table locked. Called by
//! `estimate`.

use super::cost::Costs;
use super::course::{Before, Course};
use crate::plan::{Phase, Plan, TaskKind};
use serde::Serialize;
use std::collections::HashMap;

/// A link of the chain.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// The task that takes most of it.
    pub task: String,
    /// That task's object.
    pub object: String,
    /// That task's kind.
    pub kind: TaskKind,
    /// Its phase.
    pub phase: Phase,
    /// How many tasks it includes.
    pub tasks: usize,
    /// When it starts, in seconds of the run.
    pub starts: f64,
    /// How long it takes.
    pub seconds: f64,
    /// What it had to wait for: `nothing`, `task` for the previous link, `worker` for a worker that was busy with it, `lock` for a lock
    /// that it held.
    pub waits_for: &'static str,
}

/// Links that are shorter than this part of the run, and of the same phase, are reported as one.
const SHORT: f64 = 0.01;
/// Times closer than this are the same.
const MOMENT: f64 = 1e-9;

/// The chain, its first link first.
pub fn chain(plan: &Plan, costs: &Costs, course: &Course, preparation: f64) -> Vec<Step> {
    let links = Links { plan, course, position: positions(plan), last_of: last_of_phases(plan, course) };
    let mut steps: Vec<Step> = Vec::new();
    let mut next =
        course.batches.iter().enumerate().max_by(|(_, a), (_, b)| a.ends.total_cmp(&b.ends)).map(|(at, _)| at);
    while let Some(batch) = next {
        let (before, waits_for) = links.before(batch);
        let mut step = links.step(batch, costs);
        (step.waits_for, step.starts) = (waits_for, step.starts + preparation);
        match steps.last_mut().filter(|later| is_one(later, &step, course.seconds)) {
            Some(later) => join(later, step),
            None => steps.push(step),
        }
        next = before;
    }
    steps.reverse();
    steps
}

fn is_one(later: &Step, earlier: &Step, total: f64) -> bool {
    let is_short = |step: &Step| step.seconds < SHORT * total || step.tasks > 1;
    later.phase == earlier.phase && is_short(later) && is_short(earlier)
}

/// Merges a link into the later one with which it is reported.
fn join(later: &mut Step, earlier: Step) {
    if earlier.seconds > later.seconds {
        (later.task, later.object, later.kind) = (earlier.task, earlier.object, earlier.kind);
    }
    later.tasks += earlier.tasks;
    later.seconds += earlier.seconds;
    (later.starts, later.waits_for) = (earlier.starts, earlier.waits_for);
}

fn positions(plan: &Plan) -> HashMap<&str, usize> {
    plan.tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect()
}

/// The task of each phase that ends last.
fn last_of_phases(plan: &Plan, course: &Course) -> HashMap<Phase, usize> {
    let mut last: HashMap<Phase, usize> = HashMap::new();
    for (at, task) in plan.tasks.iter().enumerate() {
        let found = last.entry(task.phase).or_insert(at);
        if course.ends(at) > course.ends(*found) {
            *found = at;
        }
    }
    last
}

struct Links<'a> {
    plan: &'a Plan,
    course: &'a Course,
    position: HashMap<&'a str, usize>,
    last_of: HashMap<Phase, usize>,
}

impl Links<'_> {
    /// The batch that another one waited for, and why. Batches are in the order of their starts, so a chain ends.
    fn before(&self, batch: usize) -> (Option<usize>, &'static str) {
        let starts = self.course.batches[batch].starts;
        let tasks = &self.course.batches[batch].tasks;
        // Tasks that run one after another also wait for others of their own batch: these are not links.
        let is_before = |at: &usize| self.course.batch_of[*at].is_some_and(|other| other < batch);
        let awaited = tasks.iter().flat_map(|at| self.awaited(*at)).filter(is_before);
        let last = awaited.max_by(|a, b| self.course.ends(*a).total_cmp(&self.course.ends(*b)));
        let held_up = last.filter(|at| self.course.ends(*at) >= starts - MOMENT);
        match (held_up.and_then(|at| self.course.batch_of[at]), self.course.batches[batch].before) {
            _ if starts <= MOMENT => (None, "nothing"),
            (Some(before), _) => (Some(before), "task"),
            (None, Some(Before::Worker(before))) => (Some(before), "worker"),
            (None, Some(Before::Lock(before))) => (Some(before), "lock"),
            (None, None) => (None, "nothing"),
        }
    }

    /// What a task requires or follows.
    fn awaited(&self, at: usize) -> Vec<usize> {
        let task = &self.plan.tasks[at];
        let required = task.requires.iter().filter_map(|id| self.position.get(id.as_str()).copied());
        let after = task.after.iter().filter_map(|word| match Phase::of(word) {
            Some(phase) => self.last_of.get(&phase).copied().filter(|_| phase != task.phase),
            None => self.position.get(word.as_str()).copied(),
        });
        required.chain(after).collect()
    }

    fn step(&self, batch: usize, costs: &Costs) -> Step {
        let found = &self.course.batches[batch];
        let seconds = |at: &&usize| costs.works[**at].seconds;
        let longest = found.tasks.iter().max_by(|a, b| seconds(a).total_cmp(&seconds(b))).copied().unwrap_or_default();
        let task = &self.plan.tasks[longest];
        Step {
            task: task.id.clone(),
            object: task.object(),
            kind: task.kind.clone(),
            phase: task.phase,
            tasks: found.tasks.len(),
            starts: found.starts,
            seconds: found.ends - found.starts,
            waits_for: "nothing",
        }
    }
}
