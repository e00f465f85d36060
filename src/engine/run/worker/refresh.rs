//! Materialized views: their rows are those of the view's query on the target, under the rights of its owner.
//!
//! Called by `worker` for the tasks of the phase `refresh`.

use super::{Settled, Worker};
use crate::action::Action;
use crate::error::{Error, Result};
use crate::pg::apply;
use crate::plan::{Phase, Task};

impl Worker {
    /// Fills a view. Row security filters what its owner may see, as it does when the owner fills it: with its own setting the session
    /// would raise an error.
    pub(super) async fn refresh(&mut self, task: &Task) -> Result<Settled> {
        self.begin(task).await?;
        self.tune(task).await?;
        apply::obey_row_security(self.target().await?).await?;
        self.finish_statement(task).await
    }

    /// An index of a view: rows that the source's view no longer shows may break its uniqueness.
    pub(super) async fn build_view_index(&mut self, task: &Task) -> Result<Settled> {
        let is_of_view = task.phase == Phase::Refresh;
        self.build_index(task).await.map_err(|error| if is_of_view { of_stale_view(error) } else { error })
    }
}

fn of_stale_view(error: Error) -> Error {
    if !error.is("23505") {
        return error;
    }
    error.remedy(format!(
        "the view was filled again from its tables and has duplicate keys; the source's view may be older than its tables: REFRESH \
         MATERIALIZED VIEW on the source to compare, correct the rows or the view, then {}",
        Action::Resume
    ))
}
