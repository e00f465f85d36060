//! Walks over what the user wrote and makes a [`Config`] of it, or the list of all that is wrong with it.
//!
//! Each problem begins with the path of its key. The walk never stops at the first one: a missing or wrong value is
//! replaced by its default, and the result is thrown away at the end if there were problems. Known keys come from
//! [`super::KEYS`]. Called by the entry points of [`Config`].

mod procedure;
mod revision;
mod side;

use super::value::{self, Parsed, choice, shown, text_shown};
use super::{Config, Mode, NameFilter, Options, RolesMode, TableFilter, TableOptions, TableRule, documents, keys};
use crate::name::{QualifiedName, readable};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What a problem of no single key begins with.
const WHOLE: &str = "configuration";

/// A problem of a mapping that stands at `prefix` in a larger one.
pub(super) fn prefixed(prefix: &str, problem: &str) -> String {
    match problem.strip_prefix(WHOLE) {
        Some(text) if !prefix.is_empty() => format!("{}{text}", prefix.trim_end_matches('.')),
        _ => format!("{prefix}{problem}"),
    }
}

/// Reads one migration.
pub(super) fn config(written: &Value, env: &BTreeMap<String, String>) -> Result<Config, Vec<String>> {
    if !written.is_object() {
        return Err(vec![format!("{WHOLE}: expected a mapping, got {}", shown(written))]);
    }
    let mut reader = Reader { env, complete: true, problems: Vec::new() };
    let config = reader.config(written);
    if reader.problems.is_empty() { Ok(config) } else { Err(reader.problems) }
}

/// The mistakes in the keys beside `migrations`, which need not make a whole migration.
pub(super) fn shared_mistakes(written: &Value, env: &BTreeMap<String, String>) -> Vec<String> {
    let mut reader = Reader { env, complete: false, problems: Vec::new() };
    reader.config(&Value::Object(documents::shared(written)));
    reader.problems
}

struct Reader<'a> {
    env: &'a BTreeMap<String, String>,
    /// Whether source and target must be there.
    complete: bool,
    problems: Vec<String>,
}

/// A mapping with its path; without entries where it was not written or is none.
struct Section<'v> {
    path: String,
    entries: Option<&'v Map<String, Value>>,
}

impl<'v> Section<'v> {
    /// What was written under `key`; nothing written there (YAML's `key:`) is the same as no key.
    fn get(&self, key: &str) -> Option<&'v Value> {
        self.entries?.get(key).filter(|value| !value.is_null())
    }

    fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// A path with `[]` for every index, as [`super::KEYS`] writes it.
fn pattern(path: &str) -> String {
    let without_digits: Vec<&str> =
        path.split('[').map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit())).collect();
    let pattern = without_digits.join("[");
    match pattern.as_str() {
        "tables[]" => "tables.include[]".to_owned(),
        one if procedure::PLACES.contains(&one) => format!("{one}[]"),
        _ => pattern,
    }
}

impl Reader<'_> {
    fn problem(&mut self, path: &str, text: &str) {
        let path = if path.is_empty() { WHOLE } else { path };
        self.problems.push(format!("{path}: {text}"));
    }

    /// What `parse` makes of `value`; a problem where it makes nothing.
    fn parsed<T>(&mut self, path: &str, value: &Value, parse: fn(&Value) -> Parsed<T>) -> Option<T> {
        parse(value).map_err(|expected| self.problem(path, &format!("expected {expected}, got {}", shown(value)))).ok()
    }

    /// The value of a key that may be missing.
    fn get<T>(&mut self, section: &Section<'_>, key: &str, parse: fn(&Value) -> Parsed<T>) -> Option<T> {
        self.parsed(&section.at(key), section.get(key)?, parse)
    }

    /// Replaces `place` where the key was written.
    fn set<T>(&mut self, place: &mut T, section: &Section<'_>, key: &str, parse: fn(&Value) -> Parsed<T>) {
        if let Some(value) = self.get(section, key, parse) {
            *place = value;
        }
    }

    /// The mapping at `path`, its keys checked.
    fn section<'v>(&mut self, path: String, written: Option<&'v Value>) -> Section<'v> {
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

    fn check_keys(&mut self, section: &Section<'_>) {
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

    fn config(&mut self, written: &Value) -> Config {
        let root = self.section(String::new(), Some(written));
        if root.get("migrations").is_some() {
            self.problem("migrations", "expected one migration here, not a list of them");
        }
        let name = self.get(&root, "name", value::string).unwrap_or_default();
        let source = self.side(&root, "source");
        let target = self.side(&root, "target");
        let schemas = self.schemas(&root);
        let roles = self.roles(&root);
        let options = self.options(&root);
        let tables = self.tables(&root, &TableOptions::built_in(&options), &schemas);
        let parallel = self.section("parallel".into(), root.get("parallel"));
        let max_jobs = self.get(&parallel, "max_jobs", value::count).unwrap_or(super::MAX_JOBS);
        let procedure = self.procedure(&root);
        Config { name, source, target, schemas, roles, tables, max_jobs, options, procedure }
    }

    fn schemas(&mut self, root: &Section<'_>) -> NameFilter {
        if let Some(list @ Value::Array(_)) = root.get("schemas") {
            let include = self.names("schemas", Some(list));
            return self.filled_filter(NameFilter { mode: Mode::Include, include, exclude: Vec::new() }, "schemas");
        }
        let section = self.section("schemas".into(), root.get("schemas"));
        let mode = self.get(&section, "mode", choice).unwrap_or(Mode::All);
        let include = self.names("schemas.include", section.get("include"));
        let exclude = self.names("schemas.exclude", section.get("exclude"));
        if mode != Mode::Include && !include.is_empty() {
            let text = "lists schemas, which only schemas.mode \"include\" reads; set that mode or empty the list";
            self.problem("schemas.include", text);
        }
        for name in include.iter().filter(|name| exclude.contains(name)) {
            self.problem("schemas", &format!("{} is both included and excluded", readable(name)));
        }
        self.filled_filter(NameFilter { mode, include, exclude }, "schemas.include")
    }

    fn filled_filter(&mut self, filter: NameFilter, path: &str) -> NameFilter {
        self.check_filled(filter.mode, filter.include.is_empty(), path);
        filter
    }

    fn check_filled(&mut self, mode: Mode, empty: bool, path: &str) {
        // A list whose elements are all wrong has had its problems told.
        if mode == Mode::Include && empty && !self.problems.iter().any(|problem| problem.starts_with(path)) {
            self.problem(path, "mode \"include\" needs at least one element here");
        }
    }

    fn names(&mut self, path: &str, written: Option<&Value>) -> Vec<String> {
        let found = self.list(path, written, |reader, path, value| reader.parsed(path, value, value::filled));
        self.check_unique(&found, |name| readable(name));
        found.into_iter().map(|(_, name)| name).collect()
    }

    /// What `read` makes of each element, with the element's path.
    fn list<'v, T>(
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

    fn check_unique<T: Ord>(&mut self, found: &[(String, T)], show: impl Fn(&T) -> String) {
        let mut seen = BTreeSet::new();
        for (path, element) in found {
            if !seen.insert(element) {
                self.problem(path, &format!("{} is listed twice", show(element)));
            }
        }
    }

    fn roles(&mut self, root: &Section<'_>) -> RolesMode {
        let mode = if let Some(word @ Value::String(_)) = root.get("roles") {
            self.parsed("roles", word, choice)
        } else {
            let section = self.section("roles".into(), root.get("roles"));
            self.get(&section, "mode", choice)
        };
        mode.unwrap_or(RolesMode::Needed)
    }

    fn options(&mut self, root: &Section<'_>) -> Options {
        let section = self.section("options".into(), root.get("options"));
        let mut options = Options::default();
        self.set(&mut options.data_only, &section, "data_only", value::boolean);
        self.set(&mut options.target_triggers, &section, "target_triggers", choice);
        self.set(&mut options.target_foreign_keys, &section, "target_foreign_keys", choice);
        self.set(&mut options.create_indexes_after_data, &section, "create_indexes_after_data", value::boolean);
        self.set(&mut options.create_constraints_after_data, &section, "create_constraints_after_data", value::boolean);
        self.set(&mut options.analyze_after_load, &section, "analyze_after_load", value::boolean);
        self.set(&mut options.statistics, &section, "statistics", choice);
        self.set(&mut options.maintenance_work_mem, &section, "maintenance_work_mem", value::memory);
        self.set(&mut options.parallel_maintenance_workers, &section, "parallel_maintenance_workers", value::workers);
        self.set(&mut options.on_existing, &section, "on_existing", choice);
        self.set(&mut options.on_conflict, &section, "on_conflict", choice);
        self.set(&mut options.format, &section, "format", choice);
        self.set(&mut options.split_larger_than, &section, "split_larger_than", value::auto_or_size);
        self.set(&mut options.consistent, &section, "consistent", value::boolean);
        self.set(&mut options.ledger_schema, &section, "ledger_schema", value::ledger_schema);
        self.set(&mut options.keep_ledger, &section, "keep_ledger", value::boolean);
        self.set(&mut options.backup, &section, "backup", value::boolean);
        self.set(&mut options.backup_dir, &section, "backup_dir", value::filled);
        self.set(&mut options.verify, &section, "verify", value::boolean);
        self.set(&mut options.large_objects, &section, "large_objects", value::large_objects);
        self.set(&mut options.publications, &section, "publications", value::boolean);
        self.set(&mut options.subscriptions, &section, "subscriptions", value::boolean);
        self.set(&mut options.owners, &section, "owners", value::boolean);
        self.set(&mut options.privileges, &section, "privileges", value::boolean);
        self.set(&mut options.tablespaces, &section, "tablespaces", value::boolean);
        self.set(&mut options.pg_dump, &section, "pg_dump", value::optional);
        self.set(&mut options.lock_timeout, &section, "lock_timeout", value::seconds);
        self.set(&mut options.retries, &section, "retries", value::attempts);
        self.set(&mut options.accept_newer_servers, &section, "accept_newer_servers", value::boolean);
        self.check_data_only(&section, &options);
        options.require_revision = self.require_revision(&section);
        options
    }

    /// A run that makes the schema itself has its rows in before there is a trigger or a foreign key.
    fn check_data_only(&mut self, section: &Section<'_>, options: &Options) {
        let usual = Options::default();
        let asked = [
            ("target_triggers", options.target_triggers != usual.target_triggers),
            ("target_foreign_keys", options.target_foreign_keys != usual.target_foreign_keys),
        ];
        for (key, is_asked) in asked {
            if is_asked && !options.data_only {
                self.problem(&section.at(key), "is about a data-only run; set options.data_only to true");
            }
        }
    }

    fn tables(&mut self, root: &Section<'_>, built_in: &TableOptions, schemas: &NameFilter) -> TableFilter {
        if let Some(list @ Value::Array(_)) = root.get("tables") {
            let include = self.rules("tables", Some(list), built_in, schemas);
            self.check_filled(Mode::Include, include.is_empty(), "tables");
            return TableFilter { mode: Mode::Include, default: built_in.clone(), include, exclude: Vec::new() };
        }
        let section = self.section("tables".into(), root.get("tables"));
        let mode = self.get(&section, "mode", choice).unwrap_or(Mode::All);
        let defaults = self.section("tables.default".into(), section.get("default"));
        let default = self.table_options(&defaults, built_in);
        let include = self.rules("tables.include", section.get("include"), &default, schemas);
        self.check_filled(mode, include.is_empty(), "tables.include");
        let excluded = self
            .list("tables.exclude", section.get("exclude"), |reader, path, value| Some(reader.table(path, value)?.0));
        self.check_unique(&excluded, ToString::to_string);
        let exclude: Vec<QualifiedName> = excluded.into_iter().map(|(_, table)| table).collect();
        for rule in include.iter().filter(|rule| exclude.contains(&rule.table)) {
            self.problem("tables", &format!("{} is both included and excluded", rule.table));
        }
        TableFilter { mode, default, include, exclude }
    }

    fn rules(
        &mut self,
        path: &str,
        written: Option<&Value>,
        default: &TableOptions,
        schemas: &NameFilter,
    ) -> Vec<TableRule> {
        let found = self.list(path, written, |reader, path, value| {
            let (table, section) = reader.table(path, value)?;
            let options = section.map_or_else(|| default.clone(), |section| reader.table_options(&section, default));
            Some(TableRule { table, options })
        });
        let tables: Vec<(String, &QualifiedName)> = found.iter().map(|(at, rule)| (at.clone(), &rule.table)).collect();
        self.check_unique(&tables, ToString::to_string);
        for (at, table) in &tables {
            let listed = schemas.mode != Mode::Include || schemas.include.contains(&table.schema);
            if !listed || schemas.exclude.contains(&table.schema) {
                self.problem(at, &format!("schema {} is not among the schemas in scope", readable(&table.schema)));
            }
        }
        found.into_iter().map(|(_, rule)| rule).collect()
    }

    /// A table as `schema.table` or as a mapping; of the latter also the section, for its other keys.
    fn table<'v>(&mut self, path: &str, written: &'v Value) -> Option<(QualifiedName, Option<Section<'v>>)> {
        match written {
            Value::String(_) => {
                let parse = |value: &Value| value::table_name(value.as_str().unwrap_or_default());
                Some((self.parsed(path, written, parse)?, None))
            }
            Value::Object(_) => {
                let section = self.section(path.to_owned(), Some(written));
                let schema = self.get(&section, "schema", value::filled).unwrap_or_else(|| "public".to_owned());
                if section.get("name").is_none() {
                    self.problem(&section.at("name"), "missing; a table needs its name");
                }
                let name = self.get(&section, "name", value::filled).unwrap_or_default();
                Some((QualifiedName::new(schema, name), Some(section))).filter(|(table, _)| !table.name.is_empty())
            }
            other => {
                self.problem(path, &format!("expected a table as schema.table or as a mapping, got {}", shown(other)));
                None
            }
        }
    }

    fn table_options(&mut self, section: &Section<'_>, base: &TableOptions) -> TableOptions {
        let mut options = base.clone();
        self.set(&mut options.chunk_column, section, "chunk_column", value::optional);
        self.set(&mut options.chunk_size, section, "chunk_size", value::positive);
        self.set(&mut options.filter, section, "where", value::optional);
        self.set(&mut options.order_by, section, "order_by", value::optional);
        self.set(&mut options.limit, section, "limit", value::limit);
        self.set(&mut options.on_existing, section, "on_existing", choice);
        self.set(&mut options.on_conflict, section, "on_conflict", choice);
        self.set(&mut options.format, section, "format", choice);
        if let Some(written) = section.get("exclude_columns") {
            options.exclude_columns = self.names(&section.at("exclude_columns"), Some(written));
        }
        options
    }
}
