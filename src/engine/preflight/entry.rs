//! Entries of an archive, and tasks, under their names in messages.

use crate::catalog::archive::Entry;
use crate::plan::{Phase, Task};

/// A task as shown to users in a list.
pub(super) fn label(task: &Task) -> String {
    task.title()
}

/// An archive's entry under the name of its task.
pub(super) fn entry_label(entry: &Entry) -> String {
    label(&entry_task(entry))
}

/// An archive's entry as a task with its name only.
pub(super) fn entry_task(entry: &Entry) -> Task {
    Task::new(Phase::PreData, &entry.kind, &entry.namespace, &entry.tag)
}
