//! A plan as its text; each task is parsed again when it is requested.
//!
//! So a plan in memory is as large as its file: a plan of a hundred thousand tables has half a million tasks, and few callers read more
//! than some of them. Made by `build`, and by the bindings from the text of a plan file.

use super::model::{Header, Plan, Task};
use super::task_kind::TaskKind;
use super::tsv::{self, PIECE};
use crate::phase::Phase;

/// A plan as text.
#[derive(Debug, Clone)]
pub struct Document {
    header: Header,
    /// The text in whole rows; the first piece has the rows before the tasks.
    pieces: Vec<String>,
    /// The piece that contains each task's row, and the position where it begins there.
    rows: Vec<(usize, usize)>,
    sums: Vec<Sum>,
}

/// The work of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The phase.
    pub phase: Phase,
    /// Its tasks.
    pub tasks: u64,
    /// Their rows by the source's statistics.
    pub rows: u64,
    /// Their bytes by the source's statistics.
    pub bytes: u64,
}

impl Document {
    /// Writes the plan; each task is freed as soon as it is written.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let mut document = Document::begin(plan.header, Vec::new());
        for task in plan.tasks {
            document.push(|text| tsv::push_task(text, &task));
            add(&mut document.sums, &task);
        }
        document
    }

    /// A plan that has no tasks yet.
    pub(super) fn begin(header: Header, sums: Vec<Sum>) -> Self {
        Document { pieces: vec![tsv::head(&header)], header, rows: Vec::new(), sums }
    }

    /// Adds the row that `write` appends.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut String)) {
        if self.pieces.len() == 1 || self.pieces.last().is_some_and(|piece| piece.len() > PIECE) {
            self.pieces.push(String::with_capacity(PIECE + PIECE / 16));
        }
        if let Some(piece) = self.pieces.last_mut() {
            let start = piece.len();
            write(piece);
            self.rows.push((self.pieces.len() - 1, start));
        }
    }

    /// What the plan depends on.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// As [`Plan::fingerprint`].
    #[must_use]
    pub fn fingerprint(&self) -> String {
        tsv::fingerprint(&self.pieces)
    }

    /// The plan as in its file.
    #[must_use]
    pub fn text(&self) -> String {
        self.pieces.concat()
    }

    /// The same in pieces of about a megabyte.
    #[must_use]
    pub fn pieces(&self) -> &[String] {
        &self.pieces
    }

    /// Whether `bytes` are this text.
    #[must_use]
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        let left = self.pieces.iter().try_fold(bytes, |left, piece| left.strip_prefix(piece.as_bytes()));
        left.is_some_and(<[u8]>::is_empty)
    }

    /// How many tasks there are.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.rows.len()
    }

    /// The task at that position.
    #[must_use]
    pub fn task(&self, at: usize) -> Option<Task> {
        let &(piece, start) = self.rows.get(at)?;
        tsv::read_task(self.pieces[piece][start..].split('\n').next()?)
    }

    /// The work of each phase, in the order in which the phases first occur in the plan.
    #[must_use]
    pub fn sums(&self) -> &[Sum] {
        &self.sums
    }

    /// The plan itself.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan { header: self.header.clone(), tasks: (0..self.tasks()).filter_map(|at| self.task(at)).collect() }
    }
}

/// Adds a task to the sums.
pub(super) fn add(sums: &mut Vec<Sum>, task: &Task) {
    let at = sums.iter().position(|sum| sum.phase == task.phase).unwrap_or_else(|| {
        sums.push(Sum { phase: task.phase, tasks: 0, rows: 0, bytes: 0 });
        sums.len() - 1
    });
    let sum = &mut sums[at];
    sum.tasks += 1;
    sum.rows += if task.kind == TaskKind::LargeObjects { 0 } else { task.rows };
    sum.bytes += task.bytes;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Phase;

    #[test]
    fn each_task_is_read_back_as_it_was() {
        let header = Header::example();
        let mut odd = Task::new(Phase::Data, "data", "s\t", "line\nend\\");
        odd.id = "t0001".into();
        odd.note = "the last field ends in\n".into();
        let mut second = Task::new(Phase::Finish, "comment", "", "");
        second.id = "t0002".into();
        second.requires = vec!["t0001".into()];
        let plan = Plan { header, tasks: vec![odd.clone(), second.clone()] };
        let (text, fingerprint) = (tsv::write(&plan), plan.fingerprint());
        let document = Document::new(plan.clone());
        assert_eq!(document.plan(), plan);
        assert!(document.is_in(text.as_bytes()) && !document.is_in(&text.as_bytes()[1..]));
        assert!(!document.is_in(format!("{text}\n").as_bytes()));
        assert_eq!((document.text(), document.fingerprint()), (text, fingerprint));
        assert_eq!((document.task(0), document.task(1), document.task(2)), (Some(odd), Some(second), None));
    }
}
