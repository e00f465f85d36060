//! Tasks that wait for the end of all of some others: a counter for each such set, so that many may wait for many.
//!
//! Called by `schedule`.

use std::collections::HashMap;

/// The tasks that wait for sets of tasks.
#[derive(Debug, Default)]
pub struct Barriers {
    barriers: Vec<Barrier>,
    /// The sets that each task is in.
    of_task: HashMap<usize, Vec<usize>>,
}

#[derive(Debug)]
struct Barrier {
    /// Tasks that have not ended.
    open: usize,
    awaited_by: Vec<usize>,
}

impl Barriers {
    /// Makes `after` wait for the end of all of `before`.
    pub fn add(&mut self, after: Vec<usize>, before: &[usize]) {
        for at in before {
            self.of_task.entry(*at).or_default().push(self.barriers.len());
        }
        self.barriers.push(Barrier { open: before.len(), awaited_by: after });
    }

    /// Notes that a task has ended; returns the tasks that now wait for one set less.
    pub fn end(&mut self, at: usize) -> Vec<usize> {
        let mut released = Vec::new();
        for number in self.of_task.remove(&at).unwrap_or_default() {
            let barrier = &mut self.barriers[number];
            barrier.open -= 1;
            if barrier.open == 0 {
                released.append(&mut barrier.awaited_by);
            }
        }
        released
    }
}
