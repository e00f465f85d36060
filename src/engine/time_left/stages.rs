//! The progress of an index build, from the stage that the server reports.
//!
//! The stages of a btree take parts of the time that depend on the keys and on the memory: the builds of this run show which, from the
//! first one on. Called by `model`.

use crate::pg::progress::{Build, Stage};

/// The parts of scan, sort and load for a btree whose keys do not fit in memory: most of their sorting is done while the table is read.
const USUAL: [f64; 3] = [0.65, 0.07, 0.28];
/// The usual parts have the weight of this many seconds of builds.
const PRIOR_SECONDS: f64 = 1.0;
/// The estimate of a stage's time has the same weight as a measurement of this part of the stage.
const PRIOR_DONE: f64 = 0.25;
/// The number of checks that show in which stages a build has spent its time.
const SEEN_OFTEN: u32 = 10;

/// How long the stages of builds took.
#[derive(Debug, Clone)]
pub struct Stages {
    seconds: [f64; 3],
}

/// A build at work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct At {
    /// Its stage, by its place.
    stage: usize,
    /// How much of the stage is done, where the server reports it.
    done: Option<f64>,
}

impl Stages {
    /// The usual ones.
    pub fn new() -> Stages {
        Stages { seconds: USUAL.map(|part| part * PRIOR_SECONDS) }
    }

    /// A build has spent these seconds in its stages, by this many checks. After few checks it is unknown which stage took the build's
    /// time.
    pub fn add(&mut self, seconds: [f64; 3], seen: u32) {
        if seen < SEEN_OFTEN {
            return;
        }
        for (sum, more) in self.seconds.iter_mut().zip(seconds) {
            *sum += more;
        }
    }

    /// The share of the build that is done. `seconds` is what it has spent in its stages, as far as that was seen, `all` the time of the
    /// whole build.
    pub fn share(&self, at: At, seconds: [f64; 3], all: f64) -> f64 {
        let sum: f64 = self.seconds.iter().sum();
        let parts = self.seconds.map(|part| part / sum);
        let (before, part) = (parts[..at.stage].iter().sum::<f64>(), parts[at.stage]);
        let spent = seconds[at.stage];
        let share = match at.done {
            // The build's own speed has more weight the longer it was seen.
            Some(done) if spent > 0.0 => {
                let stage = (PRIOR_DONE * all * part + spent) / (PRIOR_DONE + done);
                let left = stage * (1.0 - done) + all * parts[at.stage + 1..].iter().sum::<f64>();
                let worked: f64 = seconds.iter().sum();
                worked / (worked + left)
            }
            Some(done) => before + part * done,
            // What the server does not count advances with the time.
            None => before + part * (spent / (all * part).max(f64::MIN_POSITIVE)).min(1.0),
        };
        share.clamp(0.0, 0.99)
    }
}

/// The content of a report: the position of the build in its stages, or its share as a whole; none for a build that has not begun.
pub enum Reported {
    /// In one of the stages.
    Stage(At),
    /// Of the whole.
    Share(f64),
}

impl At {
    /// The stage's place.
    pub fn stage(self) -> usize {
        self.stage
    }
}

/// Reads a report.
pub fn reported(build: &Build) -> Option<Reported> {
    let done = (build.total > 0).then(|| ratio(build.done, build.total).min(1.0));
    match build.stage {
        Stage::Scan => Some(Reported::Stage(At { stage: 0, done: Some(done.unwrap_or_default()) })),
        Stage::Sort => Some(Reported::Stage(At { stage: 1, done: None })),
        Stage::Load => Some(Reported::Stage(At { stage: 2, done: Some(done.unwrap_or_default()) })),
        Stage::Whole => done.map(|done| Reported::Share(done.min(0.99))),
        Stage::Other => None,
    }
}

/// What part of `all` is done.
#[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than a double's precision")]
pub fn ratio(done: u64, all: u64) -> f64 {
    done as f64 / all as f64
}
