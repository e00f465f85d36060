//! How long the rest of a run takes: the estimate's play of the schedule, from where the run is and at the speeds that it has shown.
//!
//! `model` takes note of events and of the server's progress reports and is pure, its clock given; `factors` has what was measured of each
//! figure of the rates, `stages` how far the build of an index is. `watch` drives the model alongside a run, called by `pool`; `recorded` fills
//! one from the ledger, called by `status`.

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
