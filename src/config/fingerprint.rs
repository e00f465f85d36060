//! The part of a configuration that decides what is migrated and how, as a text to hash and to compare.
//!
//! A resumed run must not continue with another configuration; settings without effect on the result (parallelism, backup, verification,
//! retries, the path of `pg_dump`) may differ, and secrets are no part of it. `keys` says which options decide. Called by the
//! planner, which stores the text, and by the resume that compares it.

use super::keys::option_decides;
use super::{Config, NameFilter, PlanOptions, merged};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

impl PlanOptions<'_> {
    /// The settings that decide the result as JSON on one line, the same for all ways to write them.
    #[must_use]
    pub fn fingerprint_text(&self) -> String {
        let mut options = merged([json!(self.scope), json!(self.schema), json!(self.copy), json!(self.ledger)]);
        options.retain(|key, _| option_decides(key));
        let rules: Map<String, Value> =
            self.scope.tables.include.iter().map(|rule| (rule.table.to_string(), json!(rule.options))).collect();
        let mut decisive = json!({
            "options": options,
            "roles": {"mode": self.scope.roles},
            "schemas": sorted(&self.scope.schemas),
            "tables": {
                "mode": self.scope.tables.mode,
                "default": self.scope.tables.default,
                "include": rules,
                "exclude": self.scope.tables.exclude.iter().map(|table| (table.to_string(), json!(LISTED))).collect::<Map<_, _>>(),
            },
        });
        decisive.sort_all_objects();
        decisive.to_string()
    }
}

impl Config {
    /// The differences between two texts of [`PlanOptions::fingerprint_text`], `a` being the plan's and `b` today's: one line for each key, such
    /// as `options.format: text in the plan, binary now`.
    #[must_use]
    pub fn differences(a: &str, b: &str) -> Vec<String> {
        let (Ok(a), Ok(b)) = (serde_json::from_str(a), serde_json::from_str(b)) else {
            return vec!["configuration: the plan holds no readable record of it".to_owned()];
        };
        let (planned, now) = (leaves(&a), leaves(&b));
        let mut paths: Vec<&String> = planned.keys().chain(now.keys()).collect();
        paths.sort_unstable();
        paths.dedup();
        let changed = |path: &str| planned.get(path) != now.get(path);
        paths
            .into_iter()
            .filter(|path| {
                changed(path) && !follows_option(path, &planned, &now) && !follows_table(path, &planned, &now)
            })
            .map(|path| format!("{path}: {} in the plan, {} now", shown(planned.get(path)), shown(now.get(path))))
            .collect()
    }
}

fn sorted(filter: &NameFilter) -> NameFilter {
    let mut sorted = filter.clone();
    sorted.include.sort_unstable();
    sorted.exclude.sort_unstable();
    sorted
}

/// The leaf that says that a table is listed.
const LISTED: &str = "listed";

type Leaves = BTreeMap<String, Value>;

/// Every value that is no mapping, by its path; a mapping under `tables.include` also has the leaf [`LISTED`].
fn leaves(value: &Value) -> Leaves {
    let mut found = Leaves::new();
    collect(value, "", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut Leaves) {
    let Value::Object(entries) = value else {
        found.insert(path.to_owned(), value.clone());
        return;
    };
    let names_tables = path == "tables.include" || path == "tables.exclude";
    for (key, value) in entries {
        let place = match path {
            "" => key.clone(),
            _ if names_tables => format!("{path}[{key}]"),
            _ => format!("{path}.{key}"),
        };
        if names_tables && value.is_object() {
            found.insert(place.clone(), LISTED.into());
        }
        collect(value, &place, found);
    }
}

/// Whether a table's value changed only because the option that is its default changed.
fn follows_option(path: &str, planned: &Leaves, now: &Leaves) -> bool {
    let Some((place, key)) = path.rsplit_once('.') else {
        return false;
    };
    let default = if place == "tables.default" { "options" } else { "tables.default" };
    place.starts_with("tables.")
        && [default, "options"].iter().map(|place| format!("{place}.{key}")).any(|option| {
            planned.contains_key(&option)
                && planned.get(&option) != now.get(&option)
                && planned.get(&option) == planned.get(path)
                && now.get(&option) == now.get(path)
        })
}

/// Whether the value belongs to a rule that only one side has, which has a line of its own.
fn follows_table(path: &str, planned: &Leaves, now: &Leaves) -> bool {
    let rule = path.rfind(']').map(|end| &path[..=end]).filter(|rule| *rule != path);
    rule.is_some_and(|rule| planned.contains_key(rule) != now.contains_key(rule))
}

/// A value as part of a sentence.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => "not listed".to_owned(),
        Some(Value::String(word)) if !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_') => {
            word.clone()
        }
        Some(other) => other.to_string(),
    }
}
