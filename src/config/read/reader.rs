//! What all parts of the reader share: the mapping at a path, its keys checked, and the problems found so far.

use crate::config::keys;
use crate::config::value::{Parsed, shown, text_shown};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The beginning of a problem that concerns no single key.
pub const WHOLE: &str = "configuration";

/// The places that accept a command or a list of them, without the list's brackets.
pub const PLACES: [&str; 4] =
    ["procedure.stop", "procedure.start", "procedure.check_stopped", "procedure.start_on_failure"];

/// A problem of a mapping at `prefix` in a larger one.
pub fn prefixed(prefix: &str, problem: &str) -> String {
    match problem.strip_prefix(WHOLE) {
        Some(text) if !prefix.is_empty() => format!("{}{text}", prefix.trim_end_matches('.')),
        _ => format!("{prefix}{problem}"),
    }
}

pub struct Reader<'a> {
    pub env: &'a BTreeMap<String, String>,
    /// Whether source and target are required.
    pub complete: bool,
    pub problems: Vec<String>,
}

/// A mapping with its path; without entries if it was not written or is no mapping.
pub struct Section<'v> {
    pub path: String,
    pub entries: Option<&'v Map<String, Value>>,
}

impl<'v> Section<'v> {
    /// The value under `key`; an empty value (YAML's `key:`) is the same as no key.
    pub fn get(&self, key: &str) -> Option<&'v Value> {
        self.entries?.get(key).filter(|value| !value.is_null())
    }

    pub fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// A path with `[]` for every index, as [`super::KEYS`] writes it.
pub fn pattern(path: &str) -> String {
    let without_digits: Vec<&str> =
        path.split('[').map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit())).collect();
    let pattern = without_digits.join("[");
    match pattern.as_str() {
        "tables[]" => "tables.include[]".to_owned(),
        one if PLACES.contains(&one) => format!("{one}[]"),
        _ => pattern,
    }
}

impl Reader<'_> {
    pub fn problem(&mut self, path: &str, text: &str) {
        let path = if path.is_empty() { WHOLE } else { path };
        self.problems.push(format!("{path}: {text}"));
    }

    /// The result of `parse` for `value`; a problem if it fails.
    pub fn parsed<T>(&mut self, path: &str, value: &Value, parse: fn(&Value) -> Parsed<T>) -> Option<T> {
        parse(value).map_err(|expected| self.problem(path, &format!("expected {expected}, got {}", shown(value)))).ok()
    }

    /// The value of a key that may be missing.
    pub fn get<T>(&mut self, section: &Section<'_>, key: &str, parse: fn(&Value) -> Parsed<T>) -> Option<T> {
        self.parsed(&section.at(key), section.get(key)?, parse)
    }

    /// Replaces `place` where the key was written.
    pub fn set<T>(&mut self, place: &mut T, section: &Section<'_>, key: &str, parse: fn(&Value) -> Parsed<T>) {
        if let Some(value) = self.get(section, key, parse) {
            *place = value;
        }
    }

    /// The mapping at `path`, its keys checked.
    pub fn section<'v>(&mut self, path: String, written: Option<&'v Value>) -> Section<'v> {
        let entries = match written {
            Some(Value::Object(entries)) => Some(entries),
            Some(other) => {
                self.problem(&path, &format!("expected a mapping, got {}", shown(other)));
                None
            }
            None => None,
        };
        let section = Section { path, entries };
        self.check_keys(&section);
        section
    }

    pub fn check_keys(&mut self, section: &Section<'_>) {
        let place = pattern(&section.path);
        let known = keys::children(&place);
        for key in section.entries.into_iter().flat_map(Map::keys) {
            if known.contains(&key.as_str()) {
                continue;
            }
            let Some(shown) = text_shown(key) else {
                self.problem(&section.path, "unknown key");
                continue;
            };
            let path = section.at(shown.trim_matches('"'));
            let hint =
                keys::suggestion(&place, key).map_or(String::new(), |meant| format!("; did you mean \"{meant}\"?"));
            self.problem(&path, &format!("unknown key{hint}"));
        }
    }

    /// The result of `read` for each element, with the element's path.
    pub fn list<'v, T>(
        &mut self,
        path: &str,
        written: Option<&'v Value>,
        mut read: impl FnMut(&mut Self, &str, &'v Value) -> Option<T>,
    ) -> Vec<(String, T)> {
        let elements = match written {
            Some(Value::Array(elements)) => elements.as_slice(),
            Some(other) => {
                self.problem(path, &format!("expected a list, got {}", shown(other)));
                &[]
            }
            None => &[],
        };
        let paths = (0..elements.len()).map(|i| format!("{path}[{i}]"));
        paths.zip(elements).filter_map(|(path, element)| read(self, &path, element).map(|made| (path, made))).collect()
    }

    pub fn check_unique<T: Ord>(&mut self, found: &[(String, T)], show: impl Fn(&T) -> String) {
        let mut seen = BTreeSet::new();
        for (path, element) in found {
            if !seen.insert(element) {
                self.problem(path, &format!("{} is listed twice", show(element)));
            }
        }
    }
}
