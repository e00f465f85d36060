//! Which task is next: the plan's dependencies as counters, without I/O or time.
//!
//! A task is ready when all that it requires has succeeded and all that it comes after has ended. A failed task blocks what requires
//! it, and counts as ended for the rest. Among ready tasks, what other tasks wait for goes first: the schema, then the
//! indexes of tables that are complete, so that they are built while other tables still copy.

use crate::plan::{Phase, Task};
use std::collections::{BinaryHeap, HashMap};

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

/// The state of a run's tasks, by their position in the plan.
#[derive(Debug)]
pub struct Schedule {
    states: Vec<State>,
    waits: Vec<usize>,
    ranks: Vec<u8>,
    required_by: Vec<Vec<usize>>,
    awaited_by: Vec<Vec<usize>>,
    phase_of: Vec<Phase>,
    phase_open: HashMap<Phase, usize>,
    phase_awaited_by: HashMap<Phase, Vec<usize>>,
    ready: BinaryHeap<std::cmp::Reverse<(u8, usize)>>,
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
            ranks: tasks.iter().map(rank).collect(),
            required_by: vec![Vec::new(); tasks.len()],
            awaited_by: vec![Vec::new(); tasks.len()],
            phase_of: tasks.iter().map(|task| task.phase).collect(),
            phase_open,
            phase_awaited_by: HashMap::new(),
            ready: BinaryHeap::new(),
            open: tasks.len(),
        };
        for (at, task) in tasks.iter().enumerate() {
            schedule.add_waits(at, task, &position);
        }
        schedule
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
            }
        }
    }

    /// Takes the next task that can run.
    pub fn next(&mut self) -> Option<usize> {
        while let Some(std::cmp::Reverse((_, at))) = self.ready.pop() {
            if self.states[at] == State::Ready {
                self.states[at] = State::Running;
                return Some(at);
            }
        }
        None
    }

    /// Takes more tasks like the one that was taken last, as long as the next one `fits`: `limit` at most, and no more than a fair share
    /// of what is ready for `workers`.
    pub fn next_like(&mut self, fits: impl Fn(usize) -> bool, limit: usize, workers: usize) -> Vec<usize> {
        let share = (self.ready.len() + 1).div_ceil(workers.max(1)).min(limit);
        let mut taken = Vec::new();
        while taken.len() + 1 < share
            && let Some(std::cmp::Reverse((_, at))) = self.ready.peek()
        {
            match self.states[*at] {
                State::Ready if !fits(*at) => break,
                State::Ready => taken.extend(self.next()),
                _ => {
                    self.ready.pop();
                }
            }
        }
        taken
    }

    /// Says how a task ended; the tasks that can now never run.
    pub fn end(&mut self, at: usize, end: End) -> Vec<usize> {
        let mut blocked = Vec::new();
        let mut ended = vec![(at, end)];
        while let Some((at, end)) = ended.pop() {
            if self.states[at] == State::Ended {
                continue;
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
        self.ready.push(std::cmp::Reverse((self.ranks[at], at)));
    }

    /// Whether every task has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.open == 0
    }
}

fn rank(task: &Task) -> u8 {
    match task.phase {
        Phase::Roles | Phase::PreData => 0,
        Phase::Index | Phase::Analyze | Phase::Constraint => 1,
        Phase::Data => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, phase: Phase, requires: &[&str], after: &[&str]) -> Task {
        let mut task = Task::new(phase, "x", "", id);
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
    fn settled_tasks_are_not_run_again() {
        let tasks = plan();
        let mut schedule = Schedule::new(&tasks, &|at| (at < 3).then_some(End::Settled));
        assert_eq!(schedule.next(), Some(3));
    }
}
