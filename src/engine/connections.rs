//! Both connections of a run, and what was read over them, as every step of it needs them. Made by `ends` and `part`.

use super::connect::Source;
use super::leader::Leader;
use super::programs::Programs;
use crate::catalog::{Catalog, Server};
use crate::error::{Error, Kind, Result, Side};
use crate::ledger::Ledger;

/// Both connections, opened and inspected.
pub(super) struct Ends {
    pub(super) source: Source,
    pub(super) target: Leader,
    pub(super) source_server: Server,
    pub(super) target_server: Server,
    pub(super) ledger: Ledger,
    /// The source as inspected by a process that begins a run; none in a process that joins a run.
    pub(super) looked: Option<Looked>,
}

/// The whole source, and the programs that read it.
pub(super) struct Looked {
    /// None where only rows are moved.
    pub(super) programs: Option<Programs>,
    pub(super) catalog: Catalog,
}

impl Ends {
    pub(super) fn looked(&self) -> Result<&Looked> {
        self.looked.as_ref().ok_or_else(|| {
            Error::new(Kind::State, "the run that this part joined is gone from the ledger").on(Side::Target)
        })
    }
}
