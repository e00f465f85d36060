//! The configuration of a migration: checked, with its defaults, and the functions that read it.
//!
//! What the user wrote is a mapping (YAML, JSON or Python); [`Config`] is what the program uses: every field has a value, the options of a
//! table are merged, secrets are wrapped. Reading collects all errors before it fails. This module opens no file or connection and does not
//! read the environment: the bindings pass text and variables, and the planner and the engine read the result.

mod choice;
pub mod conninfo_text;
mod documents;
mod fingerprint;
mod keys;
mod model;
pub mod procedure;
mod read;
mod revision;
mod secret;
mod value;

pub use choice::{
    Format, LargeObjects, Mode, OnConflict, OnExisting, RolesMode, Statistics, TargetForeignKeys, TargetTriggers,
};
pub use documents::{TextFormat, documents, migrations};
pub use keys::{KEYS, KeyDoc};
pub use model::{
    Config, ConnectionOptions, CopyOptions, LedgerOptions, MAX_JOBS, NameFilter, PlanOptions, RunOptions,
    SafetyOptions, SchemaOptions, ScopeOptions, TableFilter, TableOptions, TableRule, TargetOptions,
};
pub use procedure::Procedure;
pub use revision::RevisionRule;
pub use secret::Secret;

use crate::error::{Error, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

impl Config {
    /// Reads one migration as written: a mapping, with `env` as the variables that `${NAME}` may name. Fails with
    /// every mistake at once, each with the path of its key.
    pub fn from_value(value: &Value, env: &BTreeMap<String, String>) -> Result<Self> {
        Self::from_value_at(value, env, "")
    }

    /// The same for a mapping inside a larger one: `prefix`, such as `migrations[1].`, is put before every path.
    pub fn from_value_at(value: &Value, env: &BTreeMap<String, String>, prefix: &str) -> Result<Self> {
        read::config(value, env)
            .map_err(|problems| Error::config(problems.iter().map(|problem| read::prefixed(prefix, problem)).collect()))
    }

    /// Reads a mapping that holds one migration or, under `migrations`, several. Fails with the errors of all of them; one in a key that
    /// they share is named once, without `migrations[...]`.
    pub fn all_from_value(value: &Value, env: &BTreeMap<String, String>) -> Result<Vec<Self>> {
        if !documents::is_multi(value) {
            return Ok(vec![Self::from_value(value, env)?]);
        }
        let mut problems = read::shared_mistakes(value, env);
        let shared = problems.clone();
        let mut configs = Vec::new();
        for (i, migration) in migrations(value)?.iter().enumerate() {
            match read::config(migration, env) {
                Ok(config) => configs.push(config),
                Err(own) => {
                    let prefix = format!("migrations[{i}].");
                    let new = own.iter().filter(|problem| !shared.contains(problem));
                    problems.extend(new.map(|problem| read::prefixed(&prefix, problem)));
                }
            }
        }
        if problems.is_empty() { Ok(configs) } else { Err(Error::config(problems)) }
    }

    /// Reads the text of a file that holds one migration or several; see [`Config::all_from_value`].
    pub fn all_from_text(text: &str, format: TextFormat, env: &BTreeMap<String, String>) -> Result<Vec<Self>> {
        Self::all_from_value(&documents::parse(text, format)?, env)
    }

    /// The configuration in the form in which it is written, with all defaults, source and target as `***`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({
            "name": self.name,
            "source": self.connection.source,
            "target": self.connection.target,
            "schemas": self.scope.schemas,
            "roles": {"mode": self.scope.roles},
            "tables": self.scope.tables,
            "parallel": {"max_jobs": self.copy.max_jobs},
            "options": self.options(),
            "procedure": self.procedure,
        })
    }

    /// What is written under `options`, in the order of [`KEYS`].
    fn options(&self) -> Value {
        let parts = [json!(self.connection), json!(self.scope), json!(self.schema), json!(self.copy)];
        let mut written = merged(parts.into_iter().chain([json!(self.safety), json!(self.ledger)]));
        let keys = KEYS.iter().filter_map(|key| key.path.strip_prefix("options."));
        keys.filter_map(|key| written.remove_entry(key)).collect()
    }
}

/// The entries of all these mappings.
fn merged(parts: impl IntoIterator<Item = Value>) -> Map<String, Value> {
    let entries = parts.into_iter().filter_map(|part| match part {
        Value::Object(entries) => Some(entries),
        _ => None,
    });
    entries.flatten().collect()
}

/// How many tasks run at once: `max_jobs`, but no more than 80 % of the CPUs (rounded to the nearest), and at least 1.
#[must_use]
pub fn jobs(max_jobs: usize, cpus: usize) -> usize {
    let most = (cpus.saturating_mul(4).saturating_add(2)) / 5;
    max_jobs.min(most).max(1)
}

#[cfg(test)]
mod tests;
