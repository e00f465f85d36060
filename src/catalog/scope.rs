//! Which entries and tables a migration moves: by the user's filters, by what the chosen objects need, and without objects that cannot be
//! migrated.
//!
//! The archive lists each entry after those that it depends on; three passes over that order decide on all of them. First the filters, then
//! (forwards) what is possible, then (backwards) what is included because a chosen object needs it. Called by `plan::build`; uses no
//! server.

mod extension;
mod ledger;
mod model;
mod rows;
mod selection;

pub use model::{Absent, Names, Scope, chooses_schema, is_whole};
pub use selection::display;

use super::Catalog;
use crate::config::PlanOptions;
use selection::Selection;

/// Selects from `catalog` what `options` choose.
#[must_use]
pub fn select(catalog: &Catalog, options: PlanOptions<'_>) -> Scope {
    let selection = Selection::new(catalog, options);
    if options.scope.data_only {
        return rows::select(&selection);
    }
    let possible = selection.possible();
    let kept = selection.keep(&possible);
    selection.scope(&possible, &kept)
}
