//! Reads what the user wrote into a [`Config`], or returns the list of all problems in it.
//!
//! Each problem begins with the path of its key. The reader never stops at the first one: a missing or wrong value is replaced by its
//! default, and the result is discarded at the end if there were problems. Known keys are those of [`super::KEYS`]. Called by the functions
//! of [`Config`].

mod procedure;
mod reader;
mod revision;
mod side;

use super::value::{self, choice, shown};
use super::{
    Config, ConnectionOptions, CopyOptions, LedgerOptions, Mode, NameFilter, Procedure, RolesMode, SafetyOptions,
    SchemaOptions, ScopeOptions, TableFilter, TableOptions, TableRule, documents,
};
use crate::name::{QualifiedName, readable};
pub use reader::prefixed;
use reader::{Reader, Section, WHOLE};
use serde_json::Value;
use std::collections::BTreeMap;

/// Reads one migration.
pub(super) fn config(written: &Value, env: &BTreeMap<String, String>) -> Result<Config, Vec<String>> {
    if !written.is_object() {
        return Err(vec![format!("{WHOLE}: expected a mapping, got {}", shown(written))]);
    }
    let mut reader = Reader { env, complete: true, problems: Vec::new() };
    let config = reader.config(written);
    if reader.problems.is_empty() { Ok(config) } else { Err(reader.problems) }
}

/// The problems in the keys next to `migrations`, which need not form a whole migration.
pub(super) fn shared_mistakes(written: &Value, env: &BTreeMap<String, String>) -> Vec<String> {
    let mut reader = Reader { env, complete: false, problems: Vec::new() };
    reader.config(&Value::Object(documents::shared(written)));
    reader.problems
}

impl Reader<'_> {
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
        let mut config = Config {
            name,
            connection: ConnectionOptions::new(source, target),
            scope: ScopeOptions { schemas, roles, ..ScopeOptions::default() },
            schema: SchemaOptions::default(),
            copy: CopyOptions::default(),
            safety: SafetyOptions::default(),
            ledger: LedgerOptions::default(),
            procedure: Procedure::default(),
        };
        self.options(&root, &mut config);
        config.scope.tables = self.tables(&root, &TableOptions::built_in(&config.copy), &config.scope.schemas);
        let parallel = self.section("parallel".into(), root.get("parallel"));
        self.set(&mut config.copy.max_jobs, &parallel, "max_jobs", value::count);
        config.procedure = self.procedure(&root);
        config
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
        // For a list whose elements are all wrong, problems are reported already.
        if mode == Mode::Include && empty && !self.problems.iter().any(|problem| problem.starts_with(path)) {
            self.problem(path, "mode \"include\" needs at least one element here");
        }
    }

    fn names(&mut self, path: &str, written: Option<&Value>) -> Vec<String> {
        let found = self.list(path, written, |reader, path, value| reader.parsed(path, value, value::filled));
        self.check_unique(&found, |name| readable(name));
        found.into_iter().map(|(_, name)| name).collect()
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

    fn options(&mut self, root: &Section<'_>, config: &mut Config) {
        let section = self.section("options".into(), root.get("options"));
        let Config { connection, scope, schema, copy, safety, ledger, .. } = config;
        self.set(&mut scope.data_only, &section, "data_only", value::boolean);
        self.set(&mut copy.target_triggers, &section, "target_triggers", choice);
        self.set(&mut copy.target_foreign_keys, &section, "target_foreign_keys", choice);
        self.set(&mut scope.create_indexes_after_data, &section, "create_indexes_after_data", value::boolean);
        self.set(&mut scope.create_constraints_after_data, &section, "create_constraints_after_data", value::boolean);
        self.set(&mut schema.analyze_after_load, &section, "analyze_after_load", value::boolean);
        self.set(&mut schema.statistics, &section, "statistics", choice);
        self.set(&mut schema.maintenance_work_mem, &section, "maintenance_work_mem", value::memory);
        self.set(&mut schema.parallel_maintenance_workers, &section, "parallel_maintenance_workers", value::workers);
        self.set(&mut copy.on_existing, &section, "on_existing", choice);
        self.set(&mut copy.on_conflict, &section, "on_conflict", choice);
        self.set(&mut copy.format, &section, "format", choice);
        self.set(&mut copy.split_larger_than, &section, "split_larger_than", value::auto_or_size);
        self.set(&mut safety.consistent, &section, "consistent", value::boolean);
        self.set(&mut ledger.schema, &section, "ledger_schema", value::ledger_schema);
        self.set(&mut ledger.keep, &section, "keep_ledger", value::boolean);
        self.set(&mut safety.backup, &section, "backup", value::boolean);
        self.set(&mut safety.backup_dir, &section, "backup_dir", value::filled);
        self.set(&mut safety.verify, &section, "verify", value::boolean);
        self.set(&mut scope.large_objects, &section, "large_objects", value::large_objects);
        self.set(&mut scope.publications, &section, "publications", value::boolean);
        self.set(&mut scope.subscriptions, &section, "subscriptions", value::boolean);
        self.set(&mut scope.owners, &section, "owners", value::boolean);
        self.set(&mut scope.privileges, &section, "privileges", value::boolean);
        self.set(&mut schema.tablespaces, &section, "tablespaces", value::boolean);
        self.set(&mut connection.pg_dump, &section, "pg_dump", value::optional);
        self.set(&mut connection.lock_timeout, &section, "lock_timeout", value::seconds);
        self.set(&mut connection.retries, &section, "retries", value::attempts);
        self.set(&mut safety.accept_newer_servers, &section, "accept_newer_servers", value::boolean);
        self.check_data_only(&section, config);
        config.safety.require_revision = self.require_revision(&section);
    }

    /// In a run that makes the schema itself, rows are copied before any trigger or foreign key exists.
    fn check_data_only(&mut self, section: &Section<'_>, config: &Config) {
        let (copy, usual) = (&config.copy, CopyOptions::default());
        let asked = [
            ("target_triggers", copy.target_triggers != usual.target_triggers),
            ("target_foreign_keys", copy.target_foreign_keys != usual.target_foreign_keys),
        ];
        for (key, is_asked) in asked {
            if is_asked && !config.scope.data_only {
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

    /// A table as `schema.table` or as a mapping; for a mapping also the section, for its other keys.
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
