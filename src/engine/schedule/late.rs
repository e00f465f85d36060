//! Rows that may need the rows of other tables: they are copied when nothing else is left to do, and a failed attempt is made again once
//! more rows are there.
//!
//! A CHECK, a domain or a generated column may call a function that reads another table, which no catalog records; the plan marks the tasks
//! of such tables. While they run nothing else begins: the function's locks on what it reads would prevent adding keys there until the copy
//! ends. Where all other tasks wait for them, they run, too. Called by `schedule`.

use crate::plan::Task;
use crate::plan::build::order;
use std::collections::{HashMap, VecDeque};

/// The state of the row tasks.
#[derive(Debug)]
pub struct LateRows {
    is_row: Vec<bool>,
    is_late: Vec<bool>,
    /// Row tasks that have not ended and were not put off.
    active: usize,
    /// Those of them that others wait for.
    early: usize,
    is_open: bool,
    running: usize,
    put_off: VecDeque<usize>,
    /// Row tasks that have succeeded: the number now, and when the last attempt at a task began.
    settled: usize,
    settled_before: HashMap<usize, usize>,
}

impl LateRows {
    /// The rows of `tasks`.
    #[must_use]
    pub fn new(tasks: &[Task]) -> Self {
        let is_row: Vec<bool> = tasks.iter().map(Task::is_data).collect();
        let is_late: Vec<bool> = tasks.iter().map(order::is_late).collect();
        let active = is_row.iter().filter(|is_row| **is_row).count();
        LateRows {
            active,
            early: active - is_late.iter().filter(|is_late| **is_late).count(),
            is_row,
            is_late,
            is_open: false,
            running: 0,
            put_off: VecDeque::new(),
            settled: 0,
            settled_before: HashMap::new(),
        }
    }

    /// Whether the task runs after all others.
    #[must_use]
    pub fn has(&self, at: usize) -> bool {
        self.is_late[at]
    }

    /// Makes them run, one after another where other rows wait for them and all at once where no other rows are left.
    pub fn open(&mut self) {
        self.is_open |= self.early == 0;
    }

    /// Whether all of them may run.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// How many of them run; nothing else begins meanwhile.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    /// Notes that an attempt begins.
    pub fn begin(&mut self, at: usize) {
        self.running += usize::from(self.is_late[at]);
        if self.is_row[at] {
            self.settled_before.insert(at, self.settled);
        }
    }

    /// Notes that an attempt is over.
    pub fn leave(&mut self, at: usize) {
        self.running -= usize::from(self.is_late[at]);
    }

    /// Notes that a task has ended.
    pub fn end(&mut self, at: usize, is_settled: bool) {
        if !self.is_row[at] {
            return;
        }
        self.settled += usize::from(is_settled);
        if self.put_off.contains(&at) {
            self.put_off.retain(|other| *other != at);
        } else {
            self.active -= 1;
            self.early -= usize::from(!self.is_late[at]);
        }
    }

    /// Puts a task off whose attempt is over; false where no more rows can be expected.
    pub fn put_off(&mut self, at: usize) -> bool {
        let is_hopeless = |task: &usize| self.settled_before.get(task) == Some(&self.settled);
        if !self.is_row[at] || self.active == 1 && is_hopeless(&at) && self.put_off.iter().all(is_hopeless) {
            return false;
        }
        self.leave(at);
        self.early -= usize::from(!std::mem::replace(&mut self.is_late[at], true));
        self.active -= 1;
        self.put_off.push_back(at);
        true
    }

    /// The next task that was put off, once no other row task is left.
    pub fn next_put_off(&mut self) -> Option<usize> {
        if self.active > 0 {
            return None;
        }
        let at = self.put_off.pop_front()?;
        self.active += 1;
        Some(at)
    }
}
