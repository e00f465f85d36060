//! Tables that are emptied and reference each other in a cycle, which only one statement can empty.
//!
//! Decides which tasks go together: all tables of a cycle, and those that a foreign key joins to them and that are emptied, too. Nothing
//! that is not to be emptied is ever among them. Called by `live`.

use super::existing::Found;
use super::load_order::Live;
use super::table_order::TableOrder;
use crate::catalog::Constraint;
use crate::plan::{Plan, kind};

impl Live {
    /// Lets tables of cycles be emptied together.
    pub fn empty_together(&mut self, plan: &Plan, found: &Found, counts: &dyn Fn(&Constraint) -> bool) {
        self.gather(plan, TableOrder::new(plan, found, kind::TRUNCATE, counts).joined_circles());
    }
}
