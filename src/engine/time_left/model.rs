//! The state of a run and its measured speed, as values.
//!
//! What is measured is the time during which tasks were at work. A long time between two checks is a pause of this process or of its
//! machine: nothing is known of it except what the servers report afterwards. Rows that do not advance show a pause of the connection.
//! Pure: the caller passes the time. Called by `watch` and `recorded`.

use super::factors::Factors;
use super::stages::{At, Reported, Stages, ratio, reported};
use crate::engine::estimate::{Class, Course, Figure, Rest, TaskWork, costs, speed};
use crate::engine::schedule::End;
use crate::event::{Event, PhaseLeft, TimeLeft};
use crate::pg::progress::Build;
use crate::plan::{Phase, Task};
use crate::rates::Rates;
use crate::status::TaskStatus;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The most seconds between two checks that are not a pause; the pool checks every two seconds.
pub const LONGEST_LOOK: f64 = 6.0;
/// The part of the rest whose speed may be a guess.
const GUESSED: f64 = 0.2;
/// This many seconds of a guess are not significant.
const GUESSED_SECONDS: f64 = 1.0;
/// A task whose share the server does not report, and that takes twice as long as estimated and this many seconds more, shows that nothing
/// is known of its time.
const OVERDUE: f64 = 10.0;
/// A task that is not over has at least this share left.
const LEAST_LEFT: f64 = 0.05;

/// The initial state of a model.
pub struct Start<'a> {
    /// The plan's tasks.
    pub tasks: &'a [Task],
    /// How fast the servers are assumed to be.
    pub rates: &'a Rates,
    /// How many tasks run at once.
    pub jobs: usize,
    /// Tasks that are over before the run begins, or that it does not do.
    pub ended: &'a dyn Fn(usize) -> Option<End>,
}

/// Rows and bytes by the plan.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    rows: u64,
    bytes: u64,
}

/// A task at work.
#[derive(Debug, Clone, Copy, Default)]
pub struct Running {
    /// Its worker.
    pub worker: usize,
    /// The share that is done, where it is known.
    pub share: Option<f64>,
    /// Seconds of work since it began.
    pub worked: f64,
    /// The share up to which the time was measured.
    counted: f64,
    /// Seconds of work since then.
    uncounted: f64,
    /// Seconds for which its rows have not advanced.
    still: f64,
    /// Whether there was a pause that is not measured yet.
    paused: bool,
    stage: Option<At>,
    in_stages: [f64; 3],
    /// Seconds of work between the last two checks.
    between_looks: f64,
    /// How many checks have seen it in a stage.
    seen: u32,
}

impl Running {
    /// A task at which a worker has worked for this many seconds.
    pub fn on(worker: usize, seconds: f64) -> Running {
        Running { worker, worked: seconds, ..Running::default() }
    }

    /// The task is seen in a stage: in the same one as before, or in the next one since some moment between the two checks.
    fn enter(&mut self, stage: At) {
        let at = stage.stage();
        match self.stage.map(At::stage) {
            None if at == 0 => self.in_stages[0] = self.worked,
            Some(before) if before != at => {
                self.in_stages[before] -= self.between_looks / 2.0;
                self.in_stages[at] += self.between_looks / 2.0;
            }
            _ => {}
        }
        (self.stage, self.between_looks, self.seen) = (Some(stage), 0.0, self.seen + 1);
    }
}

/// The state of a run.
#[derive(Debug, Clone)]
pub struct Model {
    rates: Rates,
    jobs: usize,
    works: Vec<TaskWork>,
    sizes: Vec<Size>,
    positions: Arc<HashMap<String, usize>>,
    /// Tasks that this run has to do.
    open: Vec<bool>,
    ended: Vec<Option<End>>,
    running: BTreeMap<usize, Running>,
    /// How many tasks each worker has.
    busy: BTreeMap<usize, usize>,
    factors: Factors,
    stages: Stages,
    /// The bytes, by the plan, of tasks that have ended, and the bytes that they have sent.
    sent: (f64, f64),
    clock: Option<f64>,
}

impl Model {
    /// A run that begins.
    pub fn new(start: &Start<'_>) -> Model {
        let Start { tasks, rates, jobs, ended } = *start;
        let works = costs(tasks, rates).works;
        let ended: Vec<Option<End>> = (0..tasks.len()).map(ended).collect();
        let open: Vec<bool> = ended.iter().map(Option::is_none).collect();
        let counted: Vec<TaskWork> =
            works.iter().zip(&open).filter(|(_, open)| **open).map(|(work, _)| *work).collect();
        Model {
            rates: rates.clone(),
            jobs: jobs.max(1),
            factors: Factors::new(&counted, rates.calibrated),
            works,
            sizes: tasks.iter().map(|task| Size { rows: task.rows, bytes: task.bytes }).collect(),
            positions: Arc::new(tasks.iter().enumerate().map(|(at, task)| (task.id.clone(), at)).collect()),
            open,
            ended,
            running: BTreeMap::new(),
            busy: BTreeMap::new(),
            stages: Stages::new(),
            sent: (0.0, 0.0),
            clock: None,
        }
    }

    /// Processes an event at the time `now`, in seconds from any point.
    pub fn take(&mut self, event: &Event, now: f64) {
        match event {
            Event::TaskStarted { task, worker, .. } => self.begin(task, *worker, now),
            Event::TaskProgress { task, rows, bytes, .. } => self.sent_by(task, *rows, *bytes),
            Event::TaskRetried { task, .. } => {
                self.advance(now);
                let running = self.positions.get(task.as_str()).and_then(|at| self.running.get_mut(at));
                if let Some(running) = running {
                    *running = Running::on(running.worker, 0.0);
                }
            }
            Event::TaskFinished { task, status, bytes, .. } => self.end(task, *status, *bytes, now),
            _ => {}
        }
    }

    /// Processes a check: the progress of builds, and the time.
    pub fn tick(&mut self, builds: &[Build], now: f64) {
        let before = self.clock;
        self.advance(now);
        for build in builds {
            self.take_build(build);
        }
        if let Some(passed) = before.map(|before| now - before).filter(|passed| is_look(*passed)) {
            self.factors.age(passed);
        }
        let positions: Vec<usize> = self.running.keys().copied().collect();
        for at in positions {
            self.count(at, None);
        }
    }

    /// Whether a build is at work that takes long enough to query its progress.
    pub fn has_builds(&self) -> bool {
        self.running.keys().any(|at| self.works[*at].figure == Figure::Index)
    }

    fn begin(&mut self, task: &str, worker: usize, now: f64) {
        self.advance(now);
        let Some(at) = self.positions.get(task).copied() else { return };
        self.set_running(at, Running::on(worker, 0.0));
    }

    /// Sets that a task is at work.
    pub fn set_running(&mut self, at: usize, running: Running) {
        self.leave(at);
        *self.busy.entry(running.worker).or_default() += 1;
        self.running.insert(at, running);
    }

    fn leave(&mut self, at: usize) -> Option<Running> {
        let running = self.running.remove(&at)?;
        if let Some(tasks) = self.busy.get_mut(&running.worker) {
            *tasks -= 1;
            if *tasks == 0 {
                self.busy.remove(&running.worker);
            }
        }
        Some(running)
    }

    fn end(&mut self, task: &str, status: TaskStatus, bytes: u64, now: f64) {
        self.advance(now);
        let Some(at) = self.positions.get(task).copied() else { return };
        if status == TaskStatus::Done && self.running.contains_key(&at) {
            self.count(at, Some(1.0));
            self.was_sent(at, bytes);
        }
        if let Some(running) = self.leave(at).filter(|running| status == TaskStatus::Done && !running.paused) {
            self.stages.add(running.in_stages, running.seen);
        }
        self.ended[at] = match status {
            TaskStatus::Pending | TaskStatus::Running => None,
            TaskStatus::Done | TaskStatus::Kept | TaskStatus::Skipped => Some(End::Settled),
            TaskStatus::Failed | TaskStatus::Blocked => Some(End::Failed),
        };
    }

    /// A task has sent this much in this attempt.
    fn sent_so_far(&mut self, at: usize, rows: u64, bytes: u64) {
        let size = self.sizes[at];
        let share = if rows > 0 && size.rows > 0 {
            ratio(rows, size.rows)
        } else if size.bytes > 0 {
            // Rows have another size when they are sent than in their table.
            let (planned, sent) = self.sent;
            let each = if planned > 0.0 && sent > 0.0 { sent / planned } else { 1.0 };
            ratio(bytes, size.bytes) / each
        } else {
            return;
        };
        if let Some(running) = self.running.get_mut(&at) {
            let share = share.min(0.99);
            if running.share != Some(share) {
                running.still = 0.0;
            }
            running.share = Some(share);
        }
    }

    /// The same for a task by its id.
    pub fn sent_by(&mut self, task: &str, rows: u64, bytes: u64) {
        if let Some(at) = self.positions.get(task).copied() {
            self.sent_so_far(at, rows, bytes);
        }
    }

    /// A task has sent this much in all.
    pub fn was_sent(&mut self, at: usize, bytes: u64) {
        if self.works[at].figure == Figure::Copy {
            self.sent.0 += ratio(self.sizes[at].bytes, 1);
            self.sent.1 += ratio(bytes, 1);
        }
    }

    /// The progress of a build.
    pub fn take_build(&mut self, build: &Build) {
        let Some(at) = self.positions.get(build.task.as_str()).copied() else { return };
        let all = self.works[at].seconds * self.factors.of(self.works[at].figure);
        let Some(running) = self.running.get_mut(&at) else { return };
        let share = match reported(build) {
            Some(Reported::Stage(stage)) => {
                running.enter(stage);
                self.stages.share(stage, running.in_stages, all.max(running.worked))
            }
            Some(Reported::Share(share)) => share,
            None => return,
        };
        // New measurements of the stages do not reduce the share that is done.
        running.share = Some(running.share.map_or(share, |before| before.max(share)));
    }

    /// Adds the time since the last check to the running tasks.
    fn advance(&mut self, now: f64) {
        let Some(passed) = self.clock.replace(now).map(|before| now - before) else { return };
        if !is_look(passed) {
            self.running.values_mut().for_each(|running| running.paused = true);
            return;
        }
        let workers = self.busy.len();
        for (at, running) in &mut self.running {
            let work = self.works[*at];
            let has_rows_on_their_way =
                work.figure == Figure::Copy && running.share.is_some_and(|share| share > 0.0 && share < 0.99);
            running.still += passed;
            if has_rows_on_their_way && running.still > LONGEST_LOOK {
                running.paused = true;
                continue;
            }
            let tasks = self.busy.get(&running.worker).copied().unwrap_or(1).max(1);
            let worked = passed * speed(&self.rates, work.class, workers) / ratio(tasks as u64, 1);
            running.worked += worked;
            running.uncounted += worked;
            running.between_looks += worked;
            if let Some(stage) = running.stage {
                running.in_stages[stage.stage()] += worked;
            }
        }
    }

    /// Measures what a task has done since it was last measured; `share` where that is known otherwise. Work during a pause took an unknown
    /// time, and is left out.
    fn count(&mut self, at: usize, share: Option<f64>) {
        let work = self.works[at];
        let Some(running) = self.running.get_mut(&at) else { return };
        let Some(share) = share.or(running.share) else { return };
        if share <= running.counted {
            return;
        }
        if !running.paused {
            self.factors.add(work.figure, work.seconds * (share - running.counted), running.uncounted);
        }
        (running.counted, running.uncounted, running.paused) = (share, 0.0, false);
    }

    /// Adds a measurement from elsewhere: work that was estimated at `expected` seconds took `seconds`.
    pub fn measured(&mut self, figure: Figure, expected: f64, seconds: f64) {
        self.factors.add(figure, expected, seconds);
    }

    /// Forgets what was measured.
    pub fn forget_measured(&mut self) {
        self.factors.forget();
    }

    /// How a task has ended.
    pub fn set_ended(&mut self, at: usize, end: End) {
        self.ended[at] = Some(end);
    }

    /// The tasks at work.
    pub fn at_work(&self) -> impl Iterator<Item = (TaskWork, Running)> {
        self.running.iter().map(|(at, running)| (self.works[*at], *running))
    }

    /// The cost of a task by the rates.
    pub fn work(&self, at: usize) -> TaskWork {
        self.works[at]
    }

    /// How long a task takes at the measured speed, with the servers to itself, and how much of that is left.
    fn seconds(&self, at: usize) -> (f64, f64) {
        let all = self.works[at].seconds * self.factors.of(self.works[at].figure);
        if self.ended[at].is_some() {
            return (all, 0.0);
        }
        let left = match self.running.get(&at) {
            Some(Running { share: Some(share), .. }) => all * (1.0 - share),
            Some(running) => (all - running.worked).max(LEAST_LEFT * all.max(running.worked)),
            None => all,
        };
        (all, left)
    }

    /// The time left. `tasks` are those that the model was made of.
    pub fn left(&self, tasks: &[Task]) -> TimeLeft {
        let seconds: Vec<(f64, f64)> = (0..tasks.len()).map(|at| self.seconds(at)).collect();
        let works: Vec<TaskWork> =
            self.works.iter().zip(&seconds).map(|(work, (_, left))| TaskWork { seconds: *left, ..*work }).collect();
        let mut running: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, of) in &self.running {
            running.entry(of.worker).or_default().push(*at);
        }
        let rest = Rest { works: &works, ended: &|at| self.ended[at], running: running.into_values().collect() };
        let course = Course::rest(tasks, &self.rates, self.jobs, rest);
        let share_of = |is_of: &dyn Fn(usize) -> bool| {
            let of = (0..tasks.len()).filter(|at| self.open[*at] && is_of(*at));
            let (all, left) = of.fold((0.0, 0.0), |sum, at| (sum.0 + seconds[at].0, sum.1 + seconds[at].1));
            if left > 0.0 { 1.0 - left / all } else { 1.0 }
        };
        let phase_left = |phase: Phase| {
            let of = || (0..tasks.len()).filter(move |at| self.open[*at] && tasks[*at].phase == phase);
            of().next()?;
            let ends = of().filter(|at| self.ended[*at].is_none()).map(|at| course.ends(at)).fold(0.0, f64::max);
            let is_known = self.is_known(&|at| tasks[at].phase <= phase && course.ends(at) <= ends, &works);
            let share = share_of(&|at| tasks[at].phase == phase);
            Some(PhaseLeft { phase, seconds: is_known.then_some(ends), share })
        };
        TimeLeft {
            seconds: self.is_known(&|_| true, &works).then_some(course.seconds),
            share: share_of(&|_| true),
            phases: Phase::ALL.into_iter().filter_map(phase_left).collect(),
        }
    }

    /// Whether the speed of most of the remaining work of the tasks is known.
    fn is_known(&self, is_of: &dyn Fn(usize) -> bool, works: &[TaskWork]) -> bool {
        let overdue = |(at, running): (&usize, &Running)| {
            let seconds = self.works[*at].seconds * self.factors.of(self.works[*at].figure);
            running.share.is_none() && running.worked > 2.0 * seconds + OVERDUE && is_of(*at)
        };
        if self.running.iter().any(overdue) {
            return false;
        }
        let (mut all, mut guessed) = (0.0, 0.0);
        for (at, work) in works.iter().enumerate().filter(|(at, _)| is_of(*at)) {
            if self.ended[at].is_none() {
                all += work.seconds;
                guessed += if self.factors.are_known(work.figure) { 0.0 } else { work.seconds };
            }
        }
        guessed <= (GUESSED * all).max(GUESSED_SECONDS)
    }

    /// The speed of each of this many sessions with work of the class.
    pub fn speed(&self, class: Class, sessions: usize) -> f64 {
        speed(&self.rates, class, sessions)
    }
}

/// Whether this time between two checks is not a pause.
fn is_look(passed: f64) -> bool {
    (0.0..=LONGEST_LOOK).contains(&passed)
}
