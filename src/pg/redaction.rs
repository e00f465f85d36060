//! Redacts known passwords in a text from another program, such as a command's output.
//!
//! Called by the bindings; texts that this crate writes itself do not need it.

use super::Conninfo;
use crate::config::conninfo_text::percent_encoded;
use crate::config::{Config, Secret};
use std::collections::BTreeMap;

/// The passwords of a migration's two databases.
pub struct Redaction(Vec<String>);

impl Redaction {
    /// The passwords in `config` and `env`; a conninfo that cannot be parsed has none, and no verb accepts it.
    #[must_use]
    pub fn new(config: &Config, env: &BTreeMap<String, String>) -> Self {
        let sides =
            [&config.connection.source, &config.connection.target].map(|side| Conninfo::parse(side.expose(), env));
        let hosts = sides.iter().flatten().flat_map(|conninfo| &conninfo.hosts);
        let passwords = hosts.filter_map(|host| host.password.as_ref()).map(Secret::expose);
        let mut known: Vec<String> = passwords
            .filter(|password| !password.is_empty())
            .flat_map(|password| [password.to_owned(), percent_encoded(password)])
            .collect();
        // The longest first, because a short one may be a part of it.
        known.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        known.dedup();
        Redaction(known)
    }

    /// The text with `***` for every password.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, password| text.replace(password, "***"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn passwords_are_hidden_as_they_are_and_as_a_uri_writes_them() {
        let written = json!({"source": "host=a user=u password='p@ss w'", "target": "postgresql://u:p%40ss@b/d"});
        let config = Config::from_value(&written, &BTreeMap::new()).expect("a configuration");
        let redaction = Redaction::new(&config, &BTreeMap::new());
        assert_eq!(redaction.hide("p@ss w, p%40ss%20w, p@ss, p%40ss, pass"), "***, ***, ***, ***, pass");
    }
}
