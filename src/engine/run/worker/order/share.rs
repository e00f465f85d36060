//! Which tasks share a transaction.
//!
//! The failure of one task is the failure of all, which are then sent by themselves, so only tasks that are likely to succeed and have no
//! optional part share a transaction. Called by `order`.

use super::Order;
use crate::catalog::object_kind::ObjectKind;
use crate::name::ident;
use crate::plan::Task;
use std::collections::VecDeque;

/// How many tasks share a transaction at most. More tasks gain next to nothing, and each holds up to five locks to the end.
const SHARING: usize = 16;
/// A task with more bytes than this has a transaction of its own.
const LARGEST_SHARING: usize = 1 << 16;

impl<'a> Order<'a> {
    /// The next tasks that share a transaction; a single task where it needs one of its own; none where the next task cannot be sent in
    /// this round.
    pub(super) fn take_sharing(&mut self, next: &mut VecDeque<usize>) -> Vec<usize> {
        let mut tasks = Vec::new();
        while let Some(at) = next.front().copied() {
            let can_share = self.can_share(at);
            if !tasks.is_empty() && !can_share {
                break;
            }
            next.pop_front();
            if self.requires_failed(at) {
                self.open.remove(&at);
                self.failed.insert(at);
            } else if self.requires_later(at) {
                self.later.insert(at);
            } else {
                tasks.push(at);
                if !can_share || tasks.len() == SHARING {
                    break;
                }
            }
        }
        tasks
    }

    /// Whether a task may be in one transaction with others: its failure is that of the transaction, and its settings end with the
    /// transaction. The script of an extension may set anything for its transaction, and so may an event trigger of the target: with one,
    /// `owner` is unknown.
    fn can_share(&self, at: usize) -> bool {
        let task = &self.job.tasks[at];
        if task.kind == ObjectKind::Extension || self.job.owner.is_none() {
            return false;
        }
        let is_bare = task.target_sql.len() <= LARGEST_SHARING && !task.target_sql.starts_with("SET LOCAL ROLE ");
        is_bare && self.optional_sql(task).is_empty() && !self.alone.contains(&at)
    }

    /// The statements of a task that the server may refuse.
    pub(super) fn optional_sql(&self, task: &'a Task) -> &'a str {
        let is_given = self.job.owner.as_deref().is_some_and(|owner| is_owned_by_creating(task, owner));
        if is_given { "" } else { &task.optional_sql }
    }
}

/// Whether the role that creates a task's object owns it anyway, so that the owner need not be set: this saves three messages on the
/// connection and a subtransaction on the server.
fn is_owned_by_creating(task: &Task, role: &str) -> bool {
    let statement = task.target_sql.lines().find(|line| !line.starts_with("SET LOCAL ")).unwrap_or_default();
    // A replaced object keeps its owner.
    let is_new = statement.starts_with("CREATE ") && !statement.starts_with("CREATE OR REPLACE ");
    is_new && task.optional_sql.ends_with(&format!(" OWNER TO {}", ident(role)))
}
