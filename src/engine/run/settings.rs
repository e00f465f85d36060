//! The settings of a run besides its configuration.

use super::resume::OnDrift;
use crate::closed_set::closed_set;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rates::Rates;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of a run besides its configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where a plan that the run makes is written, before anything is changed.
    pub plan_file: Option<PathBuf>,
    /// Whether to go on with the run that the ledger has.
    pub resume: bool,
    /// How many tasks run at once, whatever the configuration says.
    pub jobs: Option<usize>,
    /// What is done with a given plan that differs from the one that would be made now.
    pub on_drift: OnDrift,
    /// Only these tasks.
    pub tasks: Option<Vec<String>>,
    /// Where the state file is.
    pub state: Option<PathBuf>,
    /// Whether to stop before the target is touched.
    pub dry_run: bool,
    /// Overrides `options.backup`.
    pub backup: Option<bool>,
    /// Overrides `options.verify`.
    pub verify: Option<bool>,
    /// Overrides `options.consistent`.
    pub consistent: Option<bool>,
    /// For chosen tasks: `own` or `held`, the snapshot in which they read the source; their own by default.
    pub snapshot: Option<String>,
    /// How many seconds to wait for the lease of a held snapshot.
    pub wait: Option<f64>,
    /// How fast the two servers are, for the time left; typical rates by default.
    pub rates: Option<Rates>,
}

impl Settings {
    pub(in crate::engine) fn reading(&self) -> Result<Reading> {
        let Some(text) = self.snapshot.as_deref() else { return Ok(Reading::Own) };
        text.parse().map_err(|_| Error::config(vec![format!("snapshot is {text:?}: use own or held")]))
    }

    pub(in crate::engine) fn wait(&self) -> Result<Duration> {
        let Some(seconds) = self.wait else { return Ok(WAIT) };
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| Error::config(vec![format!("wait is {seconds}: use seconds, 0 or more")]))
    }

    /// The rates from which the time left is computed.
    pub(in crate::engine) fn rates(&self) -> Result<Rates> {
        self.rates.clone().map_or_else(|| Ok(Rates::typical()), Rates::checked)
    }

    pub(in crate::engine) fn over(&self, config: &Config) -> Config {
        let mut config = config.clone();
        let safety = &mut config.safety;
        safety.backup = self.backup.unwrap_or(safety.backup);
        safety.verify = self.verify.unwrap_or(safety.verify);
        safety.consistent = self.consistent.unwrap_or(safety.consistent);
        config
    }
}

closed_set! {
    /// Which snapshot a part reads the source in.
    pub enum Reading, "choice of a snapshot" {
        /// One of its own.
        Own = "own",
        /// The one that a holder has registered.
        Held = "held",
    }
}

/// How long a part waits by default for the lease of a snapshot.
const WAIT: Duration = Duration::from_secs(300);
