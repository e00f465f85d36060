//! How long the rest of a run takes: the estimate's simulation of the schedule, from the current state of the run and at its measured
//! speeds.
//!
//! `model` follows events and the server's progress reports and is pure: the caller passes the time. `factors` has the measurements for
//! each figure of the rates, `stages` the progress of an index build. `watch` updates the model alongside a run, called by `pool`;
//! `recorded` fills one from the ledger, called by `status`.

mod factors;
mod model;
mod recorded;
mod stages;
#[cfg(test)]
mod tests;
mod watch;

pub(super) use model::Start;
pub(super) use recorded::{Now, recorded};
pub(super) use watch::Watch;
