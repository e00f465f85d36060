//! Which task is next: the plan's dependencies as counters, without I/O or time.
//!
//! A task is ready when all that it requires has succeeded and all that it follows has ended. A failed task blocks the tasks that require
//! it, and counts as ended for the others. Among ready tasks those of the schema go first, because all others wait for them, and then the
//! one with the longest chain of work that follows it (Graham, Bounds on multiprocessing timing anomalies, SIAM J. Appl. Math. 17, 1969),
//! unless it would wait for a lock of a running task. The tasks before the rows run in the plan's order, and rows that may need other rows
//! wait for these. Called by `pool`, and by the estimate, which simulates a run.

mod barrier;
pub(super) mod family;
mod late;
mod lock;
mod missing;
mod order;

use crate::plan::{Phase, Task, cost};
use barrier::Barriers;
use late::LateRows;
use lock::Locks;
use missing::MissingObjects;
use order::InOrder;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its effect is on the target.
    Settled,
    /// It failed, or could not be tried.
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Ready,
    Running,
    Ended,
}

/// The rank of a ready task among the others: the first is the next.
type Place = (u8, Reverse<u64>, usize);

/// The state of a run's tasks, by their position in the plan.
#[derive(Debug)]
pub struct Schedule {
    states: Vec<State>,
    waits: Vec<usize>,
    places: Vec<Place>,
    /// Which small tasks may share a batch.
    families: Vec<Option<u16>>,
    /// The largest number of them in a batch.
    largest: usize,
    required_by: Vec<Vec<usize>>,
    awaited_by: Vec<Vec<usize>>,
    phase_of: Vec<Phase>,
    phase_open: HashMap<Phase, usize>,
    phase_awaited_by: HashMap<Phase, Vec<usize>>,
    barriers: Barriers,
    ready: BTreeSet<Place>,
    ready_of: HashMap<u16, BTreeSet<Place>>,
    locks: Locks,
    in_order: InOrder,
    late: LateRows,
    missing: MissingObjects,
    /// Ready tasks that run after all others.
    held: BTreeSet<Place>,
    running: usize,
    batch: usize,
    open: usize,
}

impl Schedule {
    /// The schedule of `tasks`; those for which `ended` returns an end are not run again.
    #[must_use]
    pub fn new(tasks: &[Task], ended: &dyn Fn(usize) -> Option<End>) -> Self {
        let mut schedule = Schedule::unstarted(tasks);
        for at in 0..tasks.len() {
            if schedule.waits[at] == 0 {
                schedule.make_ready(at);
            }
        }
        // What is settled stays settled, whatever it depends on.
        for wanted in [End::Settled, End::Failed] {
            for at in (0..tasks.len()).filter(|at| ended(*at) == Some(wanted)) {
                schedule.end(at, wanted);
            }
        }
        schedule
    }

    fn unstarted(tasks: &[Task]) -> Self {
        let position: HashMap<&str, usize> =
            tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect();
        let mut phase_open: HashMap<Phase, usize> = HashMap::new();
        for task in tasks {
            *phase_open.entry(task.phase).or_default() += 1;
        }
        let mut schedule = Schedule {
            states: vec![State::Waiting; tasks.len()],
            waits: vec![0; tasks.len()],
            places: Vec::new(),
            families: vec![None; tasks.len()],
            largest: 1,
            required_by: vec![Vec::new(); tasks.len()],
            awaited_by: vec![Vec::new(); tasks.len()],
            phase_of: tasks.iter().map(|task| task.phase).collect(),
            phase_open,
            phase_awaited_by: HashMap::new(),
            barriers: Barriers::default(),
            ready: BTreeSet::new(),
            ready_of: HashMap::new(),
            locks: Locks::new(tasks),
            in_order: InOrder::new(tasks),
            late: LateRows::new(tasks),
            missing: MissingObjects::default(),
            held: BTreeSet::new(),
            running: 0,
            batch: 0,
            open: tasks.len(),
        };
        for (at, task) in tasks.iter().enumerate() {
            schedule.add_waits(at, task, &position);
        }
        schedule.places = schedule.places(tasks);
        schedule
    }

    /// The rank of each task, by the time of the task and of the longest chain that follows it. In the plan a task follows all that it
    /// waits for.
    fn places(&self, tasks: &[Task]) -> Vec<Place> {
        let weights = cost::weights(tasks);
        let mut chains = vec![0_u64; tasks.len()];
        for at in (0..tasks.len()).rev() {
            let behind = self.required_by[at].iter().chain(&self.awaited_by[at]).map(|other| chains[*other]).max();
            chains[at] = cost::microseconds(&tasks[at], weights[at]) + behind.unwrap_or(0);
        }
        let is_later = |task: &Task| u8::from(!matches!(task.phase, Phase::Roles | Phase::PreData));
        tasks.iter().zip(chains).enumerate().map(|(at, (task, chain))| (is_later(task), Reverse(chain), at)).collect()
    }

    /// Sets which tasks may be taken together, by a number for each kind of batch, and the largest number of them in a batch.
    #[must_use]
    pub fn with_families(mut self, families: Vec<Option<u16>>, largest: usize) -> Self {
        self.families = families;
        self.largest = largest.max(1);
        for place in &self.ready {
            if let Some(family) = self.families[place.2] {
                self.ready_of.entry(family).or_default().insert(*place);
            }
        }
        self
    }

    fn add_waits(&mut self, at: usize, task: &Task, position: &HashMap<&str, usize>) {
        for other in task.requires.iter().filter_map(|id| position.get(id.as_str())) {
            self.required_by[*other].push(at);
            self.waits[at] += 1;
        }
        for word in &task.after {
            if let Some(phase) = Phase::of(word) {
                if self.phase_open.get(&phase).is_some_and(|open| *open > 0) && phase != task.phase {
                    self.phase_awaited_by.entry(phase).or_default().push(at);
                    self.waits[at] += 1;
                }
            } else if let Some(other) = position.get(word.as_str()) {
                self.awaited_by[*other].push(at);
                self.waits[at] += 1;
            }
        }
    }

    /// Makes `at` wait for the end of `other`; neither has begun.
    pub fn wait_for(&mut self, at: usize, other: usize) {
        if self.states[other] != State::Ended && at != other {
            self.awaited_by[other].push(at);
            self.delay(at);
        }
    }

    /// Makes each of `after` wait for the end of all of `before`; none of them has begun.
    pub fn wait_for_all(&mut self, after: &[usize], before: &[usize]) {
        let before: Vec<usize> = before.iter().copied().filter(|at| self.states[*at] != State::Ended).collect();
        if before.is_empty() {
            return;
        }
        let after: Vec<usize> = after.iter().copied().filter(|at| self.states[*at] != State::Ended).collect();
        for at in &after {
            self.delay(*at);
        }
        self.barriers.add(after, &before);
    }

    /// Notes that `at` waits for one thing more.
    fn delay(&mut self, at: usize) {
        self.waits[at] += 1;
        if self.states[at] == State::Ready {
            self.states[at] = State::Waiting;
            self.remove(at);
        }
    }

    /// Takes the next task that can run; none where all that are ready would wait for a lock.
    pub fn next(&mut self) -> Option<usize> {
        self.batch += 1;
        let at = match self.held.first() {
            // They begin when all others have ended.
            Some(late) if self.late.is_open() => Some(late.2).filter(|_| self.late.running() == self.running)?,
            _ if self.late.running() > 0 => return None,
            late => {
                let can_begin = |at: usize| self.locks.is_free(at, self.batch) && self.fills_a_batch(at);
                let free = self.ready.iter().find(|place| can_begin(place.2));
                match free.or(late.filter(|_| self.running == 0)) {
                    Some(place) => place.2,
                    None if self.running == 0 => return self.next_of_missing(),
                    None => return None,
                }
            }
        };
        if self.late.has(at) {
            self.late.open();
        }
        self.take(at);
        Some(at)
    }

    /// Takes the tasks that run one after another in the plan's order, as far as what they wait for has ended or is taken with them; none
    /// while other such tasks run.
    pub fn next_in_order(&mut self) -> Vec<usize> {
        let mut credit: HashMap<usize, usize> = HashMap::new();
        let mut taken = Vec::new();
        for at in self.in_order.waiting() {
            if self.waits[at] > credit.get(&at).copied().unwrap_or_default() {
                continue;
            }
            for other in self.required_by[at].iter().chain(&self.awaited_by[at]) {
                *credit.entry(*other).or_default() += 1;
            }
            taken.push(at);
        }
        for at in &taken {
            self.take(*at);
        }
        taken
    }

    /// Puts a failed row task off until more rows are there; false where no more rows can be expected.
    pub fn put_off(&mut self, at: usize) -> bool {
        if self.states[at] != State::Running || !self.late.put_off(at) {
            return false;
        }
        self.locks.release(at);
        self.running -= 1;
        self.states[at] = State::Waiting;
        self.try_put_off();
        true
    }

    /// Makes a failed row task wait for objects that are created later; false where none can be expected.
    pub fn wait_for_objects(&mut self, at: usize) -> bool {
        if self.states[at] != State::Running || !self.missing.put_off(at) {
            return false;
        }
        self.locks.release(at);
        self.late.leave(at);
        self.running -= 1;
        self.states[at] = State::Waiting;
        true
    }

    fn next_of_missing(&mut self) -> Option<usize> {
        let at = self.missing.next()?;
        self.take(at);
        Some(at)
    }

    /// Once no other rows are left, makes the next task ready that was put off.
    fn try_put_off(&mut self) {
        if let Some(at) = self.late.next_put_off() {
            self.make_ready(at);
        }
    }

    /// Whether a task need not wait for more of its family. While tasks run in the plan's order, each of them makes one or two small tasks
    /// ready. If these were taken at once, each would need a transaction, which is most of its cost.
    fn fills_a_batch(&self, at: usize) -> bool {
        let family = self.families[at].filter(|_| self.in_order.is_running());
        family.and_then(|family| self.ready_of.get(&family)).is_none_or(|ready| ready.len() >= self.largest)
    }

    /// Takes more tasks of the family of the one that was taken last: a batch, and no more than a fair share of the ready tasks for
    /// `workers`, unless more become ready all the time.
    pub fn next_like(&mut self, first: usize, workers: usize) -> Vec<usize> {
        let family = self.families[first].filter(|_| !self.late.has(first));
        let Some(ready) = family.and_then(|family| self.ready_of.get(&family)) else { return Vec::new() };
        let sharing = if self.in_order.is_running() { 1 } else { workers.max(1) };
        let share = (ready.len() + 1).div_ceil(sharing).min(self.largest);
        let free = ready.iter().map(|(_, _, at)| *at).filter(|at| self.locks.is_free(*at, self.batch));
        let taken: Vec<usize> = free.take(share - 1).collect();
        for at in &taken {
            self.take(*at);
        }
        taken
    }

    /// How many tasks could run now, besides the running ones.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Takes a task that runs already.
    pub fn begin(&mut self, at: usize) {
        self.batch += 1;
        self.take(at);
    }

    fn take(&mut self, at: usize) {
        self.states[at] = State::Running;
        self.running += 1;
        self.remove(at);
        self.in_order.take(at);
        self.late.begin(at);
        self.locks.take(at, self.batch);
    }

    fn remove(&mut self, at: usize) {
        let place = self.places[at];
        self.ready.remove(&place);
        self.held.remove(&place);
        if let Some(ready) = self.families[at].and_then(|family| self.ready_of.get_mut(&family)) {
            ready.remove(&place);
        }
    }

    /// Records how a task ended; returns the tasks that can now never run.
    pub fn end(&mut self, at: usize, end: End) -> Vec<usize> {
        let mut blocked = Vec::new();
        let mut ended = vec![(at, end)];
        while let Some((at, end)) = ended.pop() {
            match self.states[at] {
                State::Ended => continue,
                State::Running => {
                    self.locks.release(at);
                    self.late.leave(at);
                    self.running -= 1;
                }
                State::Ready => self.remove(at),
                State::Waiting => {}
            }
            self.states[at] = State::Ended;
            self.open -= 1;
            self.in_order.end(at);
            self.late.end(at, end == End::Settled);
            self.missing.end(at, end == End::Settled);
            for other in std::mem::take(&mut self.required_by[at]) {
                match end {
                    End::Settled => self.release(other),
                    End::Failed if self.states[other] != State::Ended => {
                        blocked.push(other);
                        ended.push((other, End::Failed));
                    }
                    End::Failed => {}
                }
            }
            for other in std::mem::take(&mut self.awaited_by[at]) {
                self.release(other);
            }
            for other in self.barriers.end(at) {
                self.release(other);
            }
            self.end_in_phase(self.phase_of[at]);
        }
        self.try_put_off();
        blocked
    }

    fn end_in_phase(&mut self, phase: Phase) {
        let open = self.phase_open.entry(phase).or_default();
        *open = open.saturating_sub(1);
        if *open == 0 {
            for other in self.phase_awaited_by.remove(&phase).unwrap_or_default() {
                self.release(other);
            }
        }
    }

    fn release(&mut self, at: usize) {
        self.waits[at] -= 1;
        if self.waits[at] == 0 && self.states[at] == State::Waiting {
            self.make_ready(at);
        }
    }

    fn make_ready(&mut self, at: usize) {
        self.states[at] = State::Ready;
        if self.in_order.has(at) {
            return;
        }
        if self.late.has(at) {
            self.held.insert(self.places[at]);
            return;
        }
        self.ready.insert(self.places[at]);
        if let Some(family) = self.families[at] {
            self.ready_of.entry(family).or_default().insert(self.places[at]);
        }
    }

    /// Whether every task has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.open == 0
    }
}

#[cfg(test)]
mod tests;
