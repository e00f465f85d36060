//! The one table of all keys that a configuration may hold, with type, default and meaning.
//!
//! The reader takes the known keys and its suggestions from here, the fingerprint which of them decide the result; the reference's table and
//! the types of Python's keywords are generated from it, and tests compare it with the reader, the defaults and the example. `[]` means any element of
//! a list; `<...>` means keys that another line lists.

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDoc {
    /// Its path, such as `tables.include[].name`.
    pub path: &'static str,
    /// The values that it accepts.
    pub kind: &'static str,
    /// The value if it is not written; empty if it is required.
    pub default: &'static str,
    /// Its effect.
    pub meaning: &'static str,
    /// Whether it decides what the target contains or how the work is divided into tasks, so that a resumed run must not change it.
    pub decides: bool,
}

const fn key(path: &'static str, kind: &'static str, default: &'static str, meaning: &'static str) -> KeyDoc {
    KeyDoc { path, kind, default, meaning, decides: true }
}

/// A key that a resumed run may change.
const fn free(path: &'static str, kind: &'static str, default: &'static str, meaning: &'static str) -> KeyDoc {
    KeyDoc { decides: false, ..key(path, kind, default, meaning) }
}

/// All keys.
pub const KEYS: &[KeyDoc] = &[
    free("name", "string", "\"\"", "what the migration is called in logs and summaries"),
    free("source", "conninfo or mapping", "", "the database that is read; `${NAME}` is taken from the environment"),
    free("source.conninfo", "string", "", "libpq's key=value pairs or a postgresql:// URI; stands alone"),
    free("source.host", "string", "as libpq", "the server"),
    free("source.port", "integer", "as libpq", "its port"),
    free("source.database", "string", "as libpq", "the database; also written `dbname`"),
    free("source.username", "string", "as libpq", "the role; also written `user`"),
    free("source.password", "string", "as libpq", "its password; better left to `${NAME}`, a service file or .pgpass"),
    free("source.<keyword>", "string or integer", "as libpq", "any other keyword of a conninfo, such as `sslmode`"),
    free("target", "conninfo or mapping", "", "the database that is written; takes the same keys as `source`"),
    key("schemas", "mapping or list", "mode: all", "the schemas in scope; a list means `mode: include`"),
    key("schemas.mode", "all, include, exclude", "all", "all but `exclude`; or only `include`; or all but `exclude`"),
    key("schemas.include", "list of strings", "[]", "the schemas of `mode: include`, by exact name"),
    key("schemas.exclude", "list of strings", "[]", "the schemas left out, in every mode"),
    key("roles", "mapping or string", "mode: needed", "the roles in scope; `needed`, `all` or `none` means that mode"),
    key(
        "roles.mode",
        "needed, all, none",
        "needed",
        "which roles that the target lacks are created; needed: those that objects in scope name (owners, grantees, grantors, policies, user \
         mappings), their members and the roles that they are members of; all: all of the source's server",
    ),
    key("tables", "mapping or list", "mode: all", "the tables in scope; a list means `mode: include`"),
    key(
        "tables.mode",
        "all, include, exclude",
        "all",
        "all tables of the schemas in scope but `exclude`, `include` only tunes; or only `include`; or all but `exclude`",
    ),
    key("tables.default", "mapping", "{}", "how tables are copied that say nothing else"),
    key("tables.default.chunk_column", "string", "\"\"", "the integer column whose ranges make the chunks"),
    key("tables.default.chunk_size", "positive integer", "500000", "key values per chunk"),
    key("tables.default.where", "string", "\"\"", "a condition that copied rows meet, evaluated on the source"),
    key("tables.default.order_by", "string", "\"\"", "the order in which rows are read"),
    key(
        "tables.default.limit",
        "integer",
        "0",
        "the most rows to copy, 0 for all; of a partitioned table for each partition; switches chunking off",
    ),
    key(
        "tables.default.on_existing",
        "append, truncate, error, skip",
        "options.on_existing",
        "what happens to a table that exists on the target before the run",
    ),
    key(
        "tables.default.on_conflict",
        "auto, error, nothing, update",
        "options.on_conflict",
        "what happens to a row whose unique key is taken",
    ),
    key("tables.default.format", "auto, text, binary", "options.format", "the format of the COPY stream"),
    key(
        "tables.default.exclude_columns",
        "list of strings",
        "[]",
        "columns of the source that are not copied; on the target they get their defaults",
    ),
    key("tables.include", "list", "[]", "tables as \"schema.table\" or as mappings with options of their own"),
    key("tables.include[].schema", "string", "public", "the table's schema, by exact name"),
    key("tables.include[].name", "string", "", "the table's name, exactly"),
    key("tables.include[].<option>", "as there", "tables.default", "any key of `tables.default`, for this table"),
    key("tables.exclude", "list", "[]", "tables left out, in every mode, as \"schema.table\" or as mappings"),
    key("tables.exclude[].schema", "string", "public", "the table's schema, by exact name"),
    key("tables.exclude[].name", "string", "", "the table's name, exactly"),
    free("parallel", "mapping", "{}", "how much is done at once"),
    free("parallel.max_jobs", "positive integer", "8", "the most tasks at once; never more than 80 % of the CPUs"),
    key("options", "mapping", "{}", "everything else"),
    key(
        "options.data_only",
        "boolean",
        "false",
        "true: only rows, sequences' values and, if requested, large objects, into tables that the target has; needs no pg_dump",
    ),
    key(
        "options.target_triggers",
        "fire, disable",
        "fire",
        "data_only: whether triggers of the target's tables fire for copied rows; disable: disabled in the run's transactions only",
    ),
    key(
        "options.target_foreign_keys",
        "order, defer, drop",
        "order",
        "data_only: order: referenced rows are copied first; defer: cycles of tables in one transaction; drop: dropped and created again",
    ),
    key(
        "options.create_indexes_after_data",
        "boolean",
        "true",
        "true: each table's indexes are built as its last rows land; false: this run builds none",
    ),
    key(
        "options.create_constraints_after_data",
        "boolean",
        "true",
        "the same for PRIMARY KEY, UNIQUE, EXCLUDE and FOREIGN KEY constraints",
    ),
    key("options.analyze_after_load", "boolean", "true", "whether each table is analyzed once it is loaded"),
    key(
        "options.statistics",
        "auto, analyze, copy",
        "auto",
        "where planner statistics come from; copy: from the source, between servers from 18 on; auto: copy but for small tables",
    ),
    free(
        "options.maintenance_work_mem",
        "auto, bytes or size",
        "auto",
        "memory of each index build and foreign key; auto: a job's share of half of the target's shared_buffers",
    ),
    free(
        "options.parallel_maintenance_workers",
        "auto or integer",
        "auto",
        "parallel workers of each index build; auto: as many as there are jobs without a task",
    ),
    key("options.on_existing", "append, truncate, error, skip", "append", "the default of the tables' `on_existing`"),
    key(
        "options.on_conflict",
        "auto, error, nothing, update",
        "auto",
        "the default of the tables' `on_conflict`; auto: nothing where the table existed and has a unique key, else error",
    ),
    key(
        "options.format",
        "auto, text, binary",
        "auto",
        "the default of the tables' `format`; auto: binary where that is safe on both servers and no more work than text",
    ),
    key(
        "options.split_larger_than",
        "auto, bytes or size",
        "auto",
        "a larger table without `chunk_column` is cut into ranges; auto: one is cut where that shortens the run; kB, MB, GB, TB are powers of 1024",
    ),
    free(
        "options.consistent",
        "boolean",
        "true",
        "whether a resumed run keeps each table to one snapshot; false lets it mix the chunks of two",
    ),
    key("options.ledger_schema", "string", "pgmigrate", "the schema on the target that records what is done"),
    free("options.keep_ledger", "boolean", "true", "false: drop the ledger after a run without failures"),
    free("options.backup", "boolean", "false", "whether the target is dumped before it is touched"),
    free("options.backup_dir", "string", "backup", "the folder of those dumps"),
    free("options.verify", "boolean", "false", "whether source and target are compared at the end"),
    key(
        "options.large_objects",
        "auto, true, false",
        "auto",
        "whether large objects are copied; auto: when neither schemas nor tables are filtered, and data_only is false",
    ),
    key("options.publications", "boolean", "false", "whether publications are created"),
    key("options.subscriptions", "boolean", "false", "whether subscriptions are created"),
    key(
        "options.owners",
        "boolean",
        "true",
        "whether objects get their owners; false: the target's role owns them, as with pg_dump --no-owner",
    ),
    key(
        "options.privileges",
        "boolean",
        "true",
        "whether privileges and default privileges are granted and revoked; false: none are, as with pg_dump --no-privileges",
    ),
    key("options.tablespaces", "boolean", "true", "true: tablespaces as on the source; false: the target's default"),
    free("options.pg_dump", "string", "searched", "the path of the pg_dump program"),
    free(
        "options.lock_timeout",
        "seconds",
        "60",
        "how long a schema statement waits for a lock on the target; 0: forever",
    ),
    free("options.retries", "integer", "5", "attempts after the first, where a failure may pass"),
    free(
        "options.accept_newer_servers",
        "boolean",
        "false",
        "whether a server of a major version that this pgmigrate does not know is accepted without a warning",
    ),
    free("procedure", "mapping", "{}", "what `pgmigrate safe` does around the migration"),
    free(
        "procedure.stop",
        "command or list of commands",
        "[]",
        "stops the application; a command is a text (cut into words as a shell would, nothing expanded), a list of words or a mapping",
    ),
    free("procedure.stop[].run", "string or list of words", "", "the command"),
    free("procedure.stop[].shell", "boolean", "false", "true: `run` is a text for `/bin/sh`"),
    free("procedure.stop[].timeout", "seconds", "procedure.timeout", "how long it may take"),
    free(
        "procedure.check_stopped",
        "mapping or list of mappings",
        "[]",
        "shows that the application is stopped; where all show it before and after, `stop` may fail",
    ),
    free("procedure.check_stopped[].<option>", "as there", "procedure.stop[]", "any key of a command"),
    free(
        "procedure.check_stopped[].expect",
        "success, failure, no_output",
        "",
        "what the command does where the application is stopped: exit code 0, another one, or print nothing",
    ),
    free(
        "procedure.start",
        "command or list of commands",
        "[]",
        "starts the application after a migration that was verified",
    ),
    free("procedure.start[].<option>", "as there", "procedure.stop[]", "any key of a command"),
    free(
        "procedure.start_on_failure",
        "boolean, command or list of commands",
        "true",
        "what starts the application again when a step has failed after `stop`; true: `start`; false: nothing",
    ),
    free("procedure.start_on_failure[].<option>", "as there", "procedure.stop[]", "any key of a command"),
    free(
        "procedure.start_on_failed_restore",
        "boolean",
        "false",
        "whether the application is started, as `start_on_failure` says, where the target had to be restored and is not",
    ),
    free(
        "procedure.on_failure",
        "restore, keep",
        "restore",
        "what becomes of a target that was changed when a step has failed; keep: it can be resumed, the default without a backup",
    ),
    free("procedure.backup", "boolean", "true", "whether the target is backed up before it is touched"),
    free(
        "procedure.wait_for_writers",
        "seconds",
        "60",
        "how long to wait until `check_stopped` succeeds, and then until no session writes to source and target",
    ),
    free(
        "procedure.timeout",
        "seconds",
        "300",
        "how long a command may take before it and its children are ended; 0: forever",
    ),
    free("procedure.cwd", "string", ".", "the folder that commands run in"),
    free(
        "procedure.env",
        "mapping of strings",
        "{}",
        "variables for the commands, in addition to the environment; `${NAME}` as in `source`; values of four characters and more are hidden in what the \
         commands print",
    ),
    free("procedure.checklist", "list of strings", "[]", "points of the checklist that only a person can tick"),
    free(
        "options.require_revision",
        "same or mapping",
        "any",
        "the revisions of alembic that the databases must be at, else the preflight blocks; same: both at the same",
    ),
    free(
        "options.require_revision.source",
        "string or list",
        "any",
        "the source's revision, or the heads of its branches",
    ),
    free(
        "options.require_revision.target",
        "string or list",
        "any",
        "the target's; with neither side, both must be the same",
    ),
    free(
        "options.require_revision.table",
        "string",
        "searched",
        "alembic's version table, where it is not the only alembic_version of its database",
    ),
    free(
        "migrations",
        "list",
        "",
        "several migrations, run one after another; keys next to it are defaults for all of them",
    ),
];

/// Whether an option decides the result.
pub(super) fn option_decides(name: &str) -> bool {
    KEYS.iter().any(|key| key.decides && key.path.strip_prefix("options.") == Some(name))
}

/// The keys known directly under `place`, a path with `[]` for indexes; the empty path is the whole mapping.
pub(super) fn children(place: &str) -> Vec<&'static str> {
    let mut found: Vec<&str> = KEYS.iter().filter_map(|doc| child(place, doc.path)).collect();
    if found.contains(&"<option>") {
        found.retain(|key| *key != "<option>");
        let options = if place.starts_with("procedure.") { "procedure.stop[]" } else { "tables.default" };
        found.extend(children(options));
    }
    found
}

fn child(place: &str, path: &'static str) -> Option<&'static str> {
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    (parent == place).then_some(key)
}

/// The key that the unknown `key` under `place` was probably meant to be: a similar key there, or the same key elsewhere.
pub(super) fn suggestion(place: &str, key: &str) -> Option<&'static str> {
    let most = 1 + key.chars().count() / 4;
    let near = children(place).into_iter().map(|known| (distance(key, known), known));
    let nearest = near.filter(|(distance, _)| *distance <= most).min().map(|(_, known)| known);
    nearest.or_else(|| KEYS.iter().map(|doc| doc.path).find(|path| path.ends_with(&format!(".{key}"))))
}

/// The least number of characters to insert, delete or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_key_is_suggested_then_one_elsewhere() {
        assert_eq!(suggestion("tables.default", "chunksize"), Some("chunk_size"));
        assert_eq!(suggestion("tables.include[]", "chunk_colum"), Some("chunk_column"));
        assert_eq!(suggestion("", "max_jobs"), Some("parallel.max_jobs"));
        assert_eq!(suggestion("", "colour"), None);
    }

    #[test]
    fn no_path_stands_twice() {
        let mut paths: Vec<&str> = KEYS.iter().map(|doc| doc.path).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), KEYS.len());
    }
}
