//! Reads `options.require_revision`: the word `same`, or a mapping of revisions and of alembic's version table.
//!
//! Called by the reader in `read`.

use super::reader::{Reader, Section};
use crate::config::RevisionRule;
use crate::config::value::{self, Parsed, shown};
use crate::name::QualifiedName;
use serde_json::Value;

const KEY: &str = "require_revision";

impl Reader<'_> {
    /// The rule; none if none is written, or a wrong one.
    pub(super) fn require_revision(&mut self, options: &Section<'_>) -> Option<RevisionRule> {
        let path = options.at(KEY);
        match options.get(KEY)? {
            Value::String(word) if word == "same" => Some(RevisionRule::default()),
            written @ Value::Object(_) => {
                let section = self.section(path, Some(written));
                Some(RevisionRule {
                    source: self.get(&section, "source", revisions),
                    target: self.get(&section, "target", revisions),
                    table: self.get(&section, "table", table),
                })
            }
            other => {
                self.problem(&path, &format!("expected same or a mapping of source and target, got {}", shown(other)));
                None
            }
        }
    }
}

/// One revision or several, in order.
fn revisions(value: &Value) -> Parsed<Vec<String>> {
    let found: Option<Vec<String>> = match value {
        Value::Array(elements) => elements.iter().map(|element| value::filled(element).ok()).collect(),
        one => value::filled(one).ok().map(|revision| vec![revision]),
    };
    let mut found = found
        .filter(|list| !list.is_empty())
        .ok_or_else(|| "a revision in quotes or a list of revisions".to_owned())?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn table(value: &Value) -> Parsed<QualifiedName> {
    value::table_name(value.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn revisions_are_a_set() {
        assert_eq!(revisions(&json!("b")), Ok(vec!["b".to_owned()]));
        assert_eq!(revisions(&json!(["b", "a", "b"])), Ok(vec!["a".to_owned(), "b".to_owned()]));
        for wrong in [json!([]), json!(""), json!(["a", 1]), json!(17)] {
            assert!(revisions(&wrong).is_err(), "{wrong}");
        }
    }
}
