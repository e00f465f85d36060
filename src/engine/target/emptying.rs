//! Tables that are emptied and reference each other in a cycle, which only one statement can empty.
//!
//! Decides which tasks are done together: all tables of a cycle, and those connected to them by a foreign key that are emptied, too. A
//! table that is not to be emptied is never included. Called by `load_order`.

use super::existing::Found;
use super::load_order::LoadConstraints;
use super::table_order::TableOrder;
use crate::catalog::Constraint;
use crate::plan::{Plan, TaskKind};

impl LoadConstraints {
    /// Lets the tables of cycles be emptied together.
    pub fn empty_together(&mut self, plan: &Plan, found: &Found, counts: &dyn Fn(&Constraint) -> bool) {
        self.gather(plan, TableOrder::new(plan, found, &TaskKind::Truncate, counts).joined_cycles());
    }
}
