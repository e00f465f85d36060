//! The phases of a plan.

use crate::closed_set::closed_set;

closed_set! {
    /// The part of a run that a task belongs to, in the usual order of execution.
    pub enum Phase, "phase" {
        /// Roles and memberships.
        Roles = "roles",
        /// Schemas, types, functions, tables: what must exist before rows are copied.
        PreData = "pre-data",
        /// Rows, sequences' values, large objects.
        Data = "data",
        /// Indexes, of each table as soon as its rows are copied.
        Index = "index",
        /// Planner statistics.
        Analyze = "analyze",
        /// Keys, exclusion constraints, foreign keys.
        Constraint = "constraint",
        /// Triggers, rules, policies and the rest of what `pg_dump` writes after the data.
        PostData = "post-data",
        /// Privileges, after all tasks that need rights which they may revoke.
        Privileges = "privileges",
        /// Materialized views' contents, which their owners read with the rights granted before.
        Refresh = "refresh",
        /// Event triggers, which would fire on all tasks above.
        Finish = "finish",
    }
}
