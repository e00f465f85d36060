//! Reads `source` and `target`: a conninfo as one text, or a mapping of its keywords, into one conninfo.
//!
//! No value of these keys is ever shown, whatever is wrong with it: a problem names the path and the kind of value that was found. The
//! connection decides which keywords exist. Called by the reader in `read`.

use super::reader::{Reader, Section};
use crate::config::value::kind;
use crate::config::{Secret, conninfo_text};
use serde_json::{Map, Value};

/// Keywords whose values lose characters when they are written as a number (`0123`), so only strings are accepted.
const TEXT_ONLY: [&str; 4] = ["dbname", "user", "password", "host"];

impl Reader<'_> {
    /// The conninfo under `key`; an empty one if there is a problem.
    pub(super) fn side(&mut self, root: &Section<'_>, key: &str) -> Secret {
        let conninfo = match root.get(key) {
            Some(Value::String(text)) => self.conninfo(key, text),
            Some(Value::Object(entries)) if entries.contains_key("conninfo") => self.conninfo_alone(key, entries),
            Some(Value::Object(entries)) => Some(self.keywords(key, entries)),
            Some(other) => {
                let text = format!("expected a conninfo or a mapping of its keywords, got {}", kind(other));
                self.problem(key, &text);
                None
            }
            None => {
                if self.complete {
                    self.problem(key, "missing; write a conninfo, or a mapping such as host, port, database, username");
                }
                None
            }
        };
        Secret::new(conninfo.unwrap_or_default())
    }

    fn conninfo(&mut self, path: &str, text: &str) -> Option<String> {
        match conninfo_text::resolve(text, self.env) {
            Ok(conninfo) => Some(conninfo),
            Err(problems) => {
                self.problems_at(path, &problems);
                None
            }
        }
    }

    fn problems_at(&mut self, path: &str, problems: &[String]) {
        for problem in problems {
            self.problem(path, problem);
        }
    }

    fn conninfo_alone(&mut self, side: &str, entries: &Map<String, Value>) -> Option<String> {
        if entries.len() > 1 {
            self.problem(side, "conninfo is next to other keys; write either it or them");
        }
        let path = format!("{side}.conninfo");
        match &entries["conninfo"] {
            Value::String(text) => self.conninfo(&path, text),
            other => {
                self.problem(&path, &format!("expected a string, got {}", kind(other)));
                None
            }
        }
    }

    fn keywords(&mut self, side: &str, entries: &Map<String, Value>) -> String {
        let mut pairs: Vec<(&str, String)> = Vec::new();
        for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
            let keyword = match key.as_str() {
                "database" => "dbname",
                "username" => "user",
                other => other,
            };
            if !conninfo_text::is_keyword(keyword) {
                self.problem(side, "a key does not have the form of a conninfo keyword");
            } else if pairs.iter().any(|(other, _)| *other == keyword) {
                self.problem(&format!("{side}.{key}"), &format!("says {keyword} a second time"));
            } else {
                let written = self.keyword_value(&format!("{side}.{key}"), keyword, value);
                pairs.push((keyword, written.unwrap_or_default()));
            }
        }
        if entries.values().all(Value::is_null) {
            self.problem(side, "expected a conninfo or a mapping of its keywords, got an empty mapping");
        }
        conninfo_text::join(pairs.iter().map(|(keyword, value)| (*keyword, value.as_str())))
    }

    fn keyword_value(&mut self, path: &str, keyword: &str, value: &Value) -> Option<String> {
        match value {
            Value::String(text) => match conninfo_text::expand(text, self.env, str::to_owned) {
                Ok(value) => return Some(value),
                Err(problems) => self.problems_at(path, &problems),
            },
            Value::Number(number) if number.is_u64() && !TEXT_ONLY.contains(&keyword) => {
                return Some(number.to_string());
            }
            other if TEXT_ONLY.contains(&keyword) => {
                self.problem(path, &format!("expected a string (in quotes), got {}", kind(other)));
            }
            other => self.problem(path, &format!("expected a string or an integer, got {}", kind(other))),
        }
        None
    }
}
