//! Moves a `PostgreSQL` database, or a chosen part of it, into another one.
//!
//! ```text
//! Options -> Config -> Catalog -> Plan -> Ledger(pending) -> Outcome -> Ledger(done) -> Report
//!                                          events out -->        <-- stop in
//! ```
//!
//! Layers, each using only those below it: `bindings` (Python), `engine` (order, parallelism, retry), `pg` and
//! `ledger` (the only code that talks to servers), `catalog`, `plan` and `report` (pure data), and the words that all
//! of them share: `closed_set`, `error`, `finding`, `action`, `name`, `interned`, `config`, `event`, `phase`,
//! `row_format`, `server_version`, `status`.

pub mod action;
#[cfg(feature = "python")]
mod bindings;
pub mod catalog;
mod closed_set;
pub mod config;
pub mod engine;
pub mod error;
pub mod event;
pub mod finding;
pub mod interned;
pub mod ledger;
pub mod name;
pub mod pg;
pub mod phase;
pub mod plan;
pub mod rates;
pub mod record;
pub mod report;
pub mod row_format;
pub mod server_version;
pub mod status;
pub mod verification;

pub use error::{Error, Kind, Result};
