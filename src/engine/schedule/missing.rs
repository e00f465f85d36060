//! Rows that name objects which are created later: a column of type `regclass` may hold the name of an index or a key.
//!
//! No catalog records what such values name, so the rows are copied without regard to it; where the target lacks an object that they name,
//! their task waits until nothing else is left to do and is tried again, for as long as other tasks succeed in between. Called by
//! `schedule`.

use std::collections::{HashMap, VecDeque};

/// The tasks that wait for objects.
#[derive(Debug, Default)]
pub struct MissingObjects {
    waiting: VecDeque<usize>,
    /// Tasks that have succeeded: the number now, and when the last further attempt at a task began.
    settled: usize,
    settled_before: HashMap<usize, usize>,
}

impl MissingObjects {
    /// Notes that a task has ended.
    pub fn end(&mut self, at: usize, is_settled: bool) {
        self.settled += usize::from(is_settled);
        self.waiting.retain(|other| *other != at);
    }

    /// Makes a task wait whose attempt is over; false where no more objects can be expected.
    pub fn put_off(&mut self, at: usize) -> bool {
        if self.is_hopeless(at) && self.waiting.iter().all(|other| self.is_hopeless(*other)) {
            return false;
        }
        self.waiting.push_back(at);
        true
    }

    /// The next task to be tried again, now that nothing else is left to do.
    pub fn next(&mut self) -> Option<usize> {
        let first = self.waiting.iter().position(|at| !self.is_hopeless(*at)).unwrap_or(0);
        let at = self.waiting.remove(first)?;
        self.settled_before.insert(at, self.settled);
        Some(at)
    }

    fn is_hopeless(&self, at: usize) -> bool {
        self.settled_before.get(&at) == Some(&self.settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_tried_again_for_as_long_as_others_succeed() {
        let mut missing = MissingObjects::default();
        assert!(missing.put_off(1) && missing.put_off(2));
        assert_eq!(missing.next(), Some(1));
        assert!(missing.put_off(1), "the other one may make what it lacks");
        assert_eq!(missing.next(), Some(2));
        missing.end(2, true);
        assert_eq!(missing.next(), Some(1));
        assert!(!missing.put_off(1));
        assert_eq!(missing.next(), None);
    }

    #[test]
    fn every_task_ends_where_nothing_helps() {
        let mut missing = MissingObjects::default();
        assert!(missing.put_off(1) && missing.put_off(2));
        let mut ended = Vec::new();
        while let Some(at) = missing.next() {
            if !missing.put_off(at) {
                missing.end(at, false);
                ended.push(at);
            }
        }
        assert_eq!(ended, [2, 1]);
    }
}
