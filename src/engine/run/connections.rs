//! The connections of a run, and what it found on both sides before it planned anything.
//!
//! Values that the steps pass on: `open` and `part` make the [`Connections`], `inspect` makes the [`Inspection`].

use super::leader::Leader;
use crate::catalog::{Catalog, Server};
use crate::engine::connect::Source;
use crate::engine::programs::Programs;
use crate::engine::target::foreign_keys::Place;
use crate::error::{Error, Kind, Result, Side};
use crate::ledger::Ledger;

/// Both connections of a process of a run, with its snapshot and its locks.
pub struct Connections {
    pub source: Source,
    pub target: Leader,
    pub ledger: Ledger,
    /// The client programs; none where only rows are moved, and in a part that joins a run.
    pub programs: Option<Programs>,
    pub entry: Entry,
}

impl Connections {
    /// Where foreign keys of the target's own tables are dropped and created again.
    pub fn place(&self) -> Place<'_> {
        Place { target: &self.target, ledger: &self.ledger, lock_timeout: self.source.lock_timeout }
    }
}

/// How a process enters its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It begins the run or resumes the whole of it, and so inspects everything.
    Whole,
    /// It joins a run that another process has begun and inspected.
    Joined {
        /// Whether the tables may have changed since: no held snapshot and no lock of a holder keeps them as they were.
        may_differ: bool,
    },
}

/// What both sides are.
pub struct Inspection {
    pub source: Server,
    pub target: Server,
    /// What the source contains; none in a part that joins a run.
    pub catalog: Option<Catalog>,
}

impl Inspection {
    pub fn catalog(&self) -> Result<&Catalog> {
        self.catalog.as_ref().ok_or_else(|| {
            Error::new("run_gone", Kind::State, "the run that this part joined is no longer in the ledger")
                .on(Side::Target)
        })
    }
    /// The encoding of both databases, where it is the same and not UTF8: rows are then sent in it.
    pub fn shared_encoding(&self) -> Option<String> {
        let encoding = &self.source.encoding;
        (*encoding == self.target.encoding && encoding != "UTF8").then(|| encoding.clone())
    }
}
