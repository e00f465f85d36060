//! Which task is next: the plan's dependencies as counters, without I/O or time.
//!
//! A task is ready when all that it requires has succeeded and all that it comes after has ended. A failed task blocks what requires
//! it, and counts as ended for the rest. Among ready tasks the schema's go first, for everything waits for them, and then the one with
//! the longest chain of work behind it (Graham, Bounds on multiprocessing timing anomalies, SIAM J. Appl. Math. 17, 1969), unless it
//! would wait for a lock of one that runs. Called by `pool`, and by whoever simulates a run.

mod lock;

use crate::plan::{Phase, Task, cost};
use lock::Locks;
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

/// Where a ready task stands among the others: the first is the next.
type Place = (u8, Reverse<u64>, usize);

/// The state of a run's tasks, by their position in the plan.
#[derive(Debug)]
pub struct Schedule {
    states: Vec<State>,
    waits: Vec<usize>,
    places: Vec<Place>,
    /// Which small tasks may share a batch.
    families: Vec<Option<u16>>,
    required_by: Vec<Vec<usize>>,
    awaited_by: Vec<Vec<usize>>,
    phase_of: Vec<Phase>,
    phase_open: HashMap<Phase, usize>,
    phase_awaited_by: HashMap<Phase, Vec<usize>>,
    ready: BTreeSet<Place>,
    ready_of: HashMap<u16, BTreeSet<Place>>,
    locks: Locks,
    batch: usize,
    open: usize,
}

impl Schedule {
    /// The schedule of `tasks`; those for which `ended` gives an end are not run again.
    #[must_use]
    pub fn new(tasks: &[Task], ended: &dyn Fn(usize) -> Option<End>) -> Self {
        let mut schedule = Schedule::unstarted(tasks);
        for at in 0..tasks.len() {
            if schedule.waits[at] == 0 {
                schedule.make_ready(at);
            }
        }
        // What is settled stays so, whatever it stands on.
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
            required_by: vec![Vec::new(); tasks.len()],
            awaited_by: vec![Vec::new(); tasks.len()],
            phase_of: tasks.iter().map(|task| task.phase).collect(),
            phase_open,
            phase_awaited_by: HashMap::new(),
            ready: BTreeSet::new(),
            ready_of: HashMap::new(),
            locks: Locks::new(tasks),
            batch: 0,
            open: tasks.len(),
        };
        for (at, task) in tasks.iter().enumerate() {
            schedule.add_waits(at, task, &position);
        }
        schedule.places = schedule.places(tasks);
        schedule
    }

    /// The place of each task, by the time that it and the longest chain behind it take. A task stands in the plan behind all that it
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

    /// Says which tasks may be taken together, by a number for each kind of batch.
    #[must_use]
    pub fn with_families(mut self, families: Vec<Option<u16>>) -> Self {
        self.families = families;
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
            if let Some(phase) = Phase::from_word(word) {
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

    /// Lets `at` wait for the end of `other`, both not begun.
    pub fn wait_for(&mut self, at: usize, other: usize) {
        if self.states[other] != State::Ended && at != other {
            self.awaited_by[other].push(at);
            self.waits[at] += 1;
            if self.states[at] == State::Ready {
                self.states[at] = State::Waiting;
                self.remove(at);
            }
        }
    }

    /// Takes the next task that can run; none where all that are ready would wait for a lock.
    pub fn next(&mut self) -> Option<usize> {
        self.batch += 1;
        let &(_, _, at) = self.ready.iter().find(|(_, _, at)| self.locks.is_free(*at, self.batch))?;
        self.take(at);
        Some(at)
    }

    /// Takes more tasks of the family of the one that was taken last: no more than `limit` of them all together, and no more than a fair
    /// share of what is ready for `workers`.
    pub fn next_like(&mut self, first: usize, limit: usize, workers: usize) -> Vec<usize> {
        let Some(ready) = self.families[first].and_then(|family| self.ready_of.get(&family)) else { return Vec::new() };
        let share = (ready.len() + 1).div_ceil(workers.max(1)).min(limit);
        let free = ready.iter().map(|(_, _, at)| *at).filter(|at| self.locks.is_free(*at, self.batch));
        let taken: Vec<usize> = free.take(share - 1).collect();
        for at in &taken {
            self.take(*at);
        }
        taken
    }

    /// How many tasks could run now, beside those that do.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    fn take(&mut self, at: usize) {
        self.states[at] = State::Running;
        self.remove(at);
        self.locks.take(at, self.batch);
    }

    fn remove(&mut self, at: usize) {
        let place = self.places[at];
        self.ready.remove(&place);
        if let Some(ready) = self.families[at].and_then(|family| self.ready_of.get_mut(&family)) {
            ready.remove(&place);
        }
    }

    /// Says how a task ended; the tasks that can now never run.
    pub fn end(&mut self, at: usize, end: End) -> Vec<usize> {
        let mut blocked = Vec::new();
        let mut ended = vec![(at, end)];
        while let Some((at, end)) = ended.pop() {
            match self.states[at] {
                State::Ended => continue,
                State::Running => self.locks.release(at),
                State::Ready => self.remove(at),
                State::Waiting => {}
            }
            self.states[at] = State::Ended;
            self.open -= 1;
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
            self.end_in_phase(self.phase_of[at]);
        }
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
mod tests {
    use super::*;
    use crate::plan::kind;

    fn task(id: &str, phase: Phase, requires: &[&str], after: &[&str]) -> Task {
        let kind = match phase {
            Phase::Data => kind::DATA,
            Phase::Index => kind::INDEX,
            Phase::Constraint => kind::FK_CONSTRAINT,
            _ => "table",
        };
        let mut task = Task::new(phase, kind, "", id);
        task.id = id.into();
        task.requires = requires.iter().map(|id| (*id).to_owned()).collect();
        task.after = after.iter().map(|id| (*id).to_owned()).collect();
        task
    }

    fn plan() -> Vec<Task> {
        vec![
            task("a", Phase::PreData, &[], &[]),
            task("b", Phase::Data, &["a"], &[]),
            task("c", Phase::Data, &["a"], &[]),
            task("d", Phase::Index, &["b"], &[]),
            task("e", Phase::Finish, &[], &["data", "index"]),
        ]
    }

    #[test]
    fn indexes_are_built_while_other_tables_copy() {
        let tasks = plan();
        let mut schedule = Schedule::new(&tasks, &|_| None);
        assert_eq!(schedule.next(), Some(0));
        assert_eq!(schedule.next(), None);
        schedule.end(0, End::Settled);
        assert_eq!((schedule.next(), schedule.next()), (Some(1), Some(2)));
        schedule.end(1, End::Settled);
        assert_eq!(schedule.next(), Some(3));
        schedule.end(3, End::Settled);
        assert_eq!(schedule.next(), None, "the other table still copies");
        schedule.end(2, End::Settled);
        assert_eq!(schedule.next(), Some(4));
    }

    #[test]
    fn a_failure_blocks_what_requires_it_and_nothing_else() {
        let tasks = plan();
        let mut schedule = Schedule::new(&tasks, &|at| (at == 0).then_some(End::Settled));
        schedule.next();
        schedule.next();
        assert_eq!(schedule.end(1, End::Failed), vec![3]);
        schedule.end(2, End::Settled);
        assert_eq!(schedule.next(), Some(4));
        schedule.end(4, End::Settled);
        assert!(schedule.is_done());
    }

    #[test]
    fn the_longest_chain_goes_first() {
        let mut tasks = plan();
        tasks[2].bytes = 1 << 30;
        let mut schedule = Schedule::new(&tasks, &|at| (at == 0).then_some(End::Settled));
        assert_eq!(schedule.next(), Some(2));
        let mut tasks = plan();
        tasks[3].bytes = 1 << 30;
        tasks[2].bytes = 1 << 20;
        let mut schedule = Schedule::new(&tasks, &|at| (at == 0).then_some(End::Settled));
        assert_eq!(schedule.next(), Some(1), "its index takes longer than the other table");
    }

    #[test]
    fn small_tasks_share_a_batch_fairly() {
        let tasks: Vec<Task> = (0..10).map(|at| task(&format!("d{at}"), Phase::Data, &[], &[])).collect();
        let families = (0..10).map(|at| (at != 3).then_some(0)).collect();
        let mut schedule = Schedule::new(&tasks, &|_| None).with_families(families);
        let first = schedule.next().unwrap();
        assert_eq!(schedule.next_like(first, 48, 2), [1, 2, 4, 5], "half of nine");
        let second = schedule.next().unwrap();
        assert_eq!((second, schedule.next_like(second, 48, 2)), (3, vec![]), "a task without a family is alone");
        let third = schedule.next().unwrap();
        assert_eq!((third, schedule.next_like(third, 3, 1)), (6, vec![7, 8]), "no more than the limit");
    }

    /// Tables a, b and c with foreign keys from b to a and from c to b.
    fn chain() -> Vec<Task> {
        let tables = ["a", "b", "c"].map(|name| task(name, Phase::Data, &[], &[]));
        let keys = [("ba", ["a", "b"]), ("cb", ["b", "c"])].map(|(id, ends)| task(id, Phase::Constraint, &ends, &[]));
        tables.into_iter().chain(keys).collect()
    }

    #[test]
    fn no_worker_waits_for_the_lock_of_another() {
        let tasks = chain();
        let mut schedule = Schedule::new(&tasks, &|at| (at < 3).then_some(End::Settled));
        assert_eq!(schedule.next(), Some(3));
        assert_eq!(schedule.next(), None, "both keys lock table b");
        schedule.end(3, End::Settled);
        assert_eq!(schedule.next(), Some(4));
    }

    #[test]
    fn a_trigger_waits_for_no_index_build_and_an_index_build_for_no_trigger() {
        let mut tasks = vec![
            task("a", Phase::Data, &[], &[]),
            task("i", Phase::Index, &["a"], &[]),
            task("j", Phase::Index, &["a"], &[]),
            task("t", Phase::PostData, &["a"], &[]),
        ];
        tasks[1].bytes = 2 << 20;
        tasks[2].bytes = 1 << 20;
        let mut schedule = Schedule::new(&tasks, &|at| (at == 0).then_some(End::Settled));
        assert_eq!((schedule.next(), schedule.next(), schedule.next()), (Some(1), Some(2), None));
        schedule.end(1, End::Settled);
        assert_eq!(schedule.next(), None, "the other index is not done");
        schedule.end(2, End::Settled);
        assert_eq!(schedule.next(), Some(3));
    }

    #[test]
    fn a_key_is_not_added_to_a_table_that_a_check_reads() {
        let mut tasks = chain();
        tasks.truncate(4);
        tasks[3].target_sql = "ALTER TABLE ONLY \"\".\"b\"\n    ADD CONSTRAINT \"k\" FOREIGN KEY NOT VALID".into();
        let mut check = task("check", Phase::Constraint, &["ba"], &[]);
        check.kind = kind::FK_VALIDATION.into();
        check.target_sql = "ALTER TABLE ONLY \"\".\"b\" VALIDATE CONSTRAINT \"k\"".into();
        let mut key = task("key", Phase::Constraint, &["a"], &[]);
        key.kind = kind::CONSTRAINT.into();
        tasks.extend([check, key, task("i", Phase::Index, &["a"], &[])]);
        let mut schedule = Schedule::new(&tasks, &|at| (at < 4).then_some(End::Settled));
        let mut next = [schedule.next(), schedule.next()];
        next.sort_unstable();
        assert_eq!(next, [Some(4), Some(6)], "an index of the referenced table may be built");
        assert_eq!(schedule.next(), None);
        schedule.end(4, End::Settled);
        schedule.end(6, End::Settled);
        assert_eq!(schedule.next(), Some(5));
    }

    #[test]
    fn one_batch_may_lock_a_table_twice() {
        let tasks = chain();
        let mut schedule =
            Schedule::new(&tasks, &|at| (at < 3).then_some(End::Settled)).with_families(vec![Some(0); tasks.len()]);
        assert_eq!(schedule.next(), Some(3));
        assert_eq!(schedule.next_like(3, 48, 1), [4]);
        schedule.end(3, End::Settled);
        schedule.end(4, End::Failed);
        assert!(schedule.is_done());
    }

    #[test]
    fn settled_tasks_are_not_run_again() {
        let tasks = plan();
        let mut schedule = Schedule::new(&tasks, &|at| (at < 3).then_some(End::Settled));
        assert_eq!(schedule.next(), Some(3));
    }
}
