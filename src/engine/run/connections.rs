//! Both connections of a run, and what was read over them, as every step of it needs them. Made by `open` and `part`.

use super::leader::Leader;
use crate::catalog::{Catalog, Server};
use crate::engine::connect::Source;
use crate::engine::programs::Programs;
use crate::error::{Error, Kind, Result, Side};
use crate::ledger::Ledger;

/// Both connections, opened and inspected.
pub struct Ends {
    pub source: Source,
    pub target: Leader,
    pub source_server: Server,
    pub target_server: Server,
    pub ledger: Ledger,
    /// The source as inspected by a process that begins a run; none in a process that joins a run.
    pub looked: Option<Looked>,
}

/// The whole source, and the programs that read it.
pub struct Looked {
    /// None where only rows are moved.
    pub programs: Option<Programs>,
    pub catalog: Catalog,
}

impl Ends {
    pub fn looked(&self) -> Result<&Looked> {
        self.looked.as_ref().ok_or_else(|| {
            Error::new("run_gone", Kind::State, "the run that this part joined is gone from the ledger")
                .on(Side::Target)
        })
    }
}
