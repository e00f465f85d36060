//! From the text of a file to the mappings in it: one for each migration, with shared keys merged into each.
//!
//! A syntax error names line and column and never shows a line, because the next one may contain a password. The caller opens files. Called
//! by [`super::Config::all_from_text`] and by the bindings.

use super::value::{kind, text_shown};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// How a configuration file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// YAML 1.2.
    Yaml,
    /// JSON.
    Json,
}

/// Reads a file's `text`: one value per migration, as [`migrations`] makes them.
pub fn documents(text: &str, format: TextFormat) -> Result<Vec<Value>> {
    migrations(&parse(text, format)?)
}

/// Reads `text` as one value. A key that occurs twice in a mapping is an error.
pub(super) fn parse(text: &str, format: TextFormat) -> Result<Value> {
    match format {
        TextFormat::Yaml => {
            let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
            serde_saphyr::from_str_with_options(text, options)
                .map_err(|error| unreadable("YAML", &yaml_problem(&error)))
        }
        TextFormat::Json => serde_json::from_str::<UniqueKeys>(text)
            .map(|value| value.0)
            .map_err(|error| unreadable("JSON", &error.to_string())),
    }
}

fn unreadable(language: &str, problem: &str) -> Error {
    Error::config(vec![format!("the configuration is not readable {language}: {problem}")])
}

/// The error and its position, without text of the document except a key.
fn yaml_problem(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error as Yaml;
    let what = match error {
        Yaml::DuplicateMappingKey { key, .. } => {
            key.as_deref().and_then(text_shown).map_or("duplicate key".to_owned(), |key| format!("duplicate key {key}"))
        }
        Yaml::ExternalMessage { msg, .. } => msg.clone(),
        Yaml::MultipleDocuments { .. } => "more than one document".to_owned(),
        Yaml::Eof { .. } => "unexpected end of input".to_owned(),
        Yaml::UnknownAnchor { .. } => "an alias names no anchor".to_owned(),
        _ => "a value cannot be read".to_owned(),
    };
    match error.location() {
        Some(place) => format!("{what} at line {} column {}", place.line(), place.column()),
        None => what,
    }
}

/// Whether `value` holds several migrations.
pub(super) fn is_multi(value: &Value) -> bool {
    value.get("migrations").is_some()
}

/// The migrations in `value`: the elements of its `migrations`, or `value` itself if it has no such key. Keys next to `migrations` are
/// defaults: an element's own key takes precedence, and `options`, `parallel` and `procedure` are merged key by key. An element without a
/// name is called by its position, `migration 2`. Names must differ.
pub fn migrations(value: &Value) -> Result<Vec<Value>> {
    let Some(list) = value.get("migrations") else {
        return Ok(vec![value.clone()]);
    };
    let elements = list.as_array().filter(|elements| !elements.is_empty()).ok_or_else(|| {
        Error::config(vec![format!("migrations: expected a list of at least one mapping, got {}", kind_or_empty(list))])
    })?;
    let shared = shared(value);
    let merged: Vec<Value> = elements.iter().enumerate().map(|(i, own)| merge(&shared, own, i)).collect();
    let problems = repeated_names(&merged);
    if problems.is_empty() { Ok(merged) } else { Err(Error::config(problems)) }
}

fn kind_or_empty(list: &Value) -> &'static str {
    if list.is_array() { "an empty list" } else { kind(list) }
}

/// The keys next to `migrations`.
pub(super) fn shared(value: &Value) -> Map<String, Value> {
    let mut shared = value.as_object().cloned().unwrap_or_default();
    // Not swap_remove: problems are reported in the order in which keys were written.
    shared.shift_remove("migrations");
    shared
}

fn merge(shared: &Map<String, Value>, own: &Value, index: usize) -> Value {
    let Value::Object(own) = own else {
        return own.clone();
    };
    let mut merged = shared.clone();
    for (key, value) in own {
        match (merged.get_mut(key), value) {
            (Some(Value::Object(common)), Value::Object(value))
                if ["options", "parallel", "procedure"].contains(&key.as_str()) =>
            {
                common.extend(value.clone());
            }
            _ => {
                merged.insert(key.clone(), value.clone());
            }
        }
    }
    let unnamed = matches!(merged.get("name"), None | Some(Value::Null)) || merged["name"] == "";
    if unnamed {
        merged.insert("name".into(), format!("migration {}", index + 1).into());
    }
    Value::Object(merged)
}

fn repeated_names(merged: &[Value]) -> Vec<String> {
    let mut first = BTreeMap::new();
    let mut problems = Vec::new();
    for (i, name) in merged.iter().enumerate().filter_map(|(i, migration)| Some((i, migration.get("name")?.as_str()?)))
    {
        let before = *first.entry(name).or_insert(i);
        if before < i {
            problems.push(format!("migrations[{i}].name: the same as that of migrations[{before}]"));
        }
    }
    problems
}

/// A JSON value in which a repeated key is an error; otherwise the last one would replace the others.
struct UniqueKeys(Value);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueKeysVisitor).map(UniqueKeys)
    }
}

struct UniqueKeysVisitor;

impl<'de> Visitor<'de> for UniqueKeysVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element::<UniqueKeys>()? {
            list.push(element.0);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                let shown = text_shown(&key).map_or(String::new(), |key| format!(" {key}"));
                return Err(de::Error::custom(format_args!("duplicate key{shown}")));
            }
            let value: UniqueKeys = entries.next_value()?;
            map.insert(key, value.0);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problem(text: &str, format: TextFormat) -> String {
        let problems = documents(text, format).unwrap_err().details.problems;
        assert!(!problems.join(" ").contains("hunter2"), "{problems:?}");
        problems.join("; ")
    }

    #[test]
    fn a_syntax_error_names_its_place_and_shows_no_line() {
        let yaml = "source:\n  password: hunter2\n  host: [a\ntarget: 'hunter2\n";
        let json = "{\"source\": {\"password\": \"hunter2\"},\n \"target\" \"hunter2\"}";
        let reported = problem(yaml, TextFormat::Yaml);
        assert!(reported.contains(" at line ") && reported.contains(" column "), "{reported}");
        assert!(problem(json, TextFormat::Json).contains("at line 2 column"), "{}", problem(json, TextFormat::Json));
    }

    #[test]
    fn a_repeated_key_is_an_error() {
        let yaml = problem("options:\n  backup: true\n  backup: false\n", TextFormat::Yaml);
        assert!(yaml.ends_with("duplicate key \"backup\" at line 3 column 3"), "{yaml}");
        let json = problem("{\"a\": {\"password\": \"hunter2\", \"password\": \"hunter2\"}}", TextFormat::Json);
        assert!(json.contains("duplicate key \"password\" at line 1"), "{json}");
        assert!(problem("a: 1\n---\nb: 2\n", TextFormat::Yaml).contains("more than one document"));
    }

    #[test]
    fn keys_next_to_the_migrations_are_defaults() {
        let text = json!({
            "options": {"backup": true, "retries": 1},
            "schemas": ["a"],
            "migrations": [
                {"name": "one", "options": {"retries": 2}},
                {"schemas": ["b"]},
            ],
        });
        let read = documents(&text.to_string(), TextFormat::Json).unwrap();
        assert_eq!(read[0], json!({"options": {"backup": true, "retries": 2}, "schemas": ["a"], "name": "one"}));
        let second = json!({"options": {"backup": true, "retries": 1}, "schemas": ["b"], "name": "migration 2"});
        assert_eq!(read[1], second);
    }

    #[test]
    fn names_differ_and_the_list_is_not_empty() {
        let repeated = json!({"migrations": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}).to_string();
        assert!(
            problem(&repeated, TextFormat::Json).ends_with("migrations[2].name: the same as that of migrations[0]")
        );
        let reported = problem("migrations: []\n", TextFormat::Yaml);
        assert!(
            reported.ends_with("migrations: expected a list of at least one mapping, got an empty list"),
            "{reported}"
        );
    }
}
