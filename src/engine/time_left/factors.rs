//! How many times longer than estimated work takes, for each figure that it is computed with: what the run has measured so far.
//!
//! Measured times are sums over all finished work, in which older work has less and less weight, so that no single task determines the
//! result, and a server that becomes slower is followed. Called by `model`.

use crate::engine::estimate::{Figure, TaskWork};

/// The number of figures.
const FIGURES: usize = 5;
/// Measured rates have the weight of this part of all work of their figure.
const PRIOR_SHARE: f64 = 0.1;
/// All rates have the weight of this many seconds of work.
const PRIOR_SECONDS: f64 = 0.1;
/// A figure whose rate was not measured is known once this many seconds of it, and this part of its work, were measured.
const KNOWN_SECONDS: f64 = 1.0;
const KNOWN_SHARE: f64 = 0.03;
/// Seconds after which a measurement has half its weight.
const HALF_LIFE: f64 = 600.0;

#[derive(Debug, Clone, Copy, Default)]
struct Measured {
    /// All work of the figure, in estimated seconds.
    total: f64,
    /// Work that was measured, in estimated seconds.
    expected: f64,
    /// How long it took.
    seconds: f64,
}

/// The measurements.
#[derive(Debug, Clone)]
pub struct Factors {
    figures: [Measured; FIGURES],
    calibrated: bool,
}

impl Factors {
    /// No measurements yet for these works. `calibrated` says whether the rates were measured on the two servers.
    pub fn new(works: &[TaskWork], calibrated: bool) -> Factors {
        let mut factors = Factors { figures: [Measured::default(); FIGURES], calibrated };
        for work in works {
            factors.figures[place(work.figure)].total += work.seconds;
        }
        factors
    }

    /// Adds work that was estimated at `expected` seconds and took `seconds`.
    pub fn add(&mut self, figure: Figure, expected: f64, seconds: f64) {
        let measured = &mut self.figures[place(figure)];
        measured.expected += expected;
        measured.seconds += seconds;
    }

    /// Reduces the weight of the measurements after this many seconds.
    pub fn age(&mut self, seconds: f64) {
        let rest = 0.5_f64.powf(seconds / HALF_LIFE);
        for measured in &mut self.figures {
            measured.expected *= rest;
            measured.seconds *= rest;
        }
    }

    /// Forgets all measurements.
    pub fn forget(&mut self) {
        for measured in &mut self.figures {
            (measured.expected, measured.seconds) = (0.0, 0.0);
        }
    }

    /// How many times longer than estimated work of the figure takes.
    pub fn of(&self, figure: Figure) -> f64 {
        let measured = self.figures[place(figure)];
        let share = if self.calibrated { PRIOR_SHARE } else { 0.0 };
        let prior = (share * measured.total).max(PRIOR_SECONDS);
        (prior + measured.seconds) / (prior + measured.expected)
    }

    /// Whether that is more than a guess.
    pub fn are_known(&self, figure: Figure) -> bool {
        let measured = self.figures[place(figure)];
        let is_measured = measured.seconds >= KNOWN_SECONDS && measured.expected >= KNOWN_SHARE * measured.total;
        self.calibrated || is_measured
    }
}

fn place(figure: Figure) -> usize {
    match figure {
        Figure::Copy => 0,
        Figure::Index => 1,
        Figure::Validation => 2,
        Figure::Analyze => 3,
        Figure::Piece => 4,
    }
}
