//! A plan under construction: the rows of its tasks, which get their ids and their dependencies once all are known.
//!
//! The width of a task's id depends on the number of all tasks, so no row can be finished before the last one exists. Kept as text, half a
//! million tasks are a third as large as they would be as values. Filled by `build`, and converted to a `Document`.

use crate::plan::document::{Document, Sum, add};
use crate::plan::{Header, Task, tsv};

/// Bytes in one piece of text: pieces are never copied to grow, and are freed one by one as they are finished.
const PIECE: usize = 1 << 20;

/// The tasks so far, by their numbers.
#[derive(Debug, Default)]
pub struct PlanWriter {
    /// Rows without `id`, `requires` and the tasks in `after`.
    pieces: Vec<String>,
    /// The requirements of each task, one task after another.
    requires: Vec<u32>,
    /// Where the requirements of each task end.
    ends: Vec<usize>,
    /// Pairs of a task and one whose end it waits for.
    waits: Vec<(u32, u32)>,
    sums: Vec<Sum>,
}

impl PlanWriter {
    /// How many tasks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Adds a task that requires the tasks numbered `requires`.
    pub fn push(&mut self, task: &Task, mut requires: Vec<usize>) {
        let row = tsv::row(task);
        match self.pieces.last_mut() {
            Some(piece) if piece.len() + row.len() <= piece.capacity() => piece.push_str(&row),
            _ => {
                let mut piece = String::with_capacity(PIECE.max(row.len()));
                piece.push_str(&row);
                self.pieces.push(piece);
            }
        }
        add(&mut self.sums, task);
        requires.sort_unstable();
        requires.dedup();
        self.requires.extend(requires.into_iter().map(number));
        self.ends.push(self.requires.len());
    }

    /// Lets task `at` wait for the end of `other`.
    pub fn wait_for(&mut self, at: usize, other: usize) {
        self.waits.push((number(at), number(other)));
    }

    /// The plan.
    #[must_use]
    pub fn finish(mut self, header: Header) -> Document {
        let width = self.len().to_string().len().max(4);
        let id = |at: &u32| format!("t{:0width$}", at + 1);
        self.waits.sort_unstable();
        self.waits.dedup();
        let mut document = Document::begin(header, self.sums);
        let (mut at, mut first, mut waits) = (0, 0, self.waits.as_slice());
        for piece in self.pieces {
            for row in piece.split_inclusive('\n') {
                let end = self.ends[at];
                let own = waits.partition_point(|(task, _)| *task <= number(at));
                let requires = self.requires[first..end].iter().map(id).collect::<Vec<_>>().join(" ");
                let after = waits[..own].iter().map(|(_, other)| id(other)).collect::<Vec<_>>().join(" ");
                document.push(|text| tsv::push_completed(text, row, &id(&number(at)), [&requires, &after]));
                waits = &waits[own..];
                (at, first) = (at + 1, end);
            }
        }
        document
    }
}

/// A plan of four thousand million tasks would be too large to be written.
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Phase, Plan};

    #[test]
    fn rows_get_their_ids_and_dependencies_at_the_end() {
        let header = Header::example();
        let task = |note: &str, after: &[&str]| {
            let mut task = Task::new(Phase::Data, "data", "s", "odd\tname\n");
            task.note = note.into();
            task.after = after.iter().map(|word| (*word).to_owned()).collect();
            task
        };
        let mut draft = PlanWriter::default();
        draft.push(&task("first\n", &[]), vec![]);
        draft.push(&task("second", &["roles"]), vec![0, 0]);
        draft.push(&task("third", &[]), vec![1, 0]);
        draft.wait_for(2, 1);
        draft.wait_for(1, 0);
        draft.wait_for(2, 0);
        let finished = |mut task: Task, id: &str, requires: &[&str], after: &[&str]| {
            task.id = id.into();
            task.requires = requires.iter().map(|id| (*id).to_owned()).collect();
            task.after = after.iter().map(|id| (*id).to_owned()).collect();
            task
        };
        let tasks = vec![
            finished(task("first\n", &[]), "t0001", &[], &[]),
            finished(task("second", &[]), "t0002", &["t0001"], &["roles", "t0001"]),
            finished(task("third", &[]), "t0003", &["t0001", "t0002"], &["t0001", "t0002"]),
        ];
        let (document, plan) = (draft.finish(header.clone()), Plan { header, tasks });
        assert_eq!(document.plan(), plan);
        assert_eq!(document.text(), tsv::write(&plan));
        assert_eq!(document.sums(), Document::new(plan).sums());
    }
}
