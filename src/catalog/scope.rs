//! Which entries and tables a migration moves: the user's filters, what the chosen objects need, and what cannot come.
//!
//! The archive lists entries so that each stands behind what it depends on; three passes over that order settle all of
//! them. First what the filters say, then (forwards) what is possible, then (backwards) what is pulled in because a chosen
//! object needs it. Called by `plan::build`; touches no server.

mod extension;
mod ledger;
mod model;
mod rows;
mod selection;

pub use model::{Absent, Names, Scope, chooses_schema, is_whole};
pub use selection::display;

use super::Catalog;
use crate::config::Config;
use selection::Selection;

/// Selects from `catalog` what `config` asks for.
#[must_use]
pub fn select(catalog: &Catalog, config: &Config) -> Scope {
    let selection = Selection::new(catalog, config);
    if config.options.data_only {
        return rows::select(&selection);
    }
    let possible = selection.possible();
    let kept = selection.keep(&possible);
    selection.scope(&possible, &kept)
}
