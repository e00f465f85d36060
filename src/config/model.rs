//! A configuration as values: one part for each group of steps that obey it.
//!
//! A step of a run receives its part, not the whole [`Config`], so that its signature says what it depends on. Fields that are written under
//! `options` are serialized with the names of their keys; the others are skipped, because `Config::to_value` writes them elsewhere.

use super::choice::{
    Format, LargeObjects, Mode, OnConflict, OnExisting, RolesMode, Statistics, TargetForeignKeys, TargetTriggers,
};
use super::procedure::Procedure;
use super::revision::RevisionRule;
use super::secret::Secret;
use crate::name::QualifiedName;
use serde::{Serialize, Serializer};

/// The default for the most tasks at once.
pub const MAX_JOBS: usize = 8;

/// The choice of schemas by exact name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NameFilter {
    /// How the two lists are read.
    pub mode: Mode,
    /// The names in scope where `mode` is [`Mode::Include`].
    pub include: Vec<String>,
    /// The names out of scope.
    pub exclude: Vec<String>,
}

impl Default for NameFilter {
    fn default() -> Self {
        NameFilter { mode: Mode::All, include: Vec::new(), exclude: Vec::new() }
    }
}

/// The choice of tables, and how each is copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableFilter {
    /// How the two lists are read; with [`Mode::All`] and [`Mode::Exclude`], `include` only tunes single tables.
    pub mode: Mode,
    /// How a table without a rule is copied.
    pub default: TableOptions,
    /// The tables with a rule of their own.
    pub include: Vec<TableRule>,
    /// The tables out of scope.
    pub exclude: Vec<QualifiedName>,
}

impl TableFilter {
    /// All tables, copied with these options.
    pub(super) fn all(default: TableOptions) -> Self {
        TableFilter { mode: Mode::All, default, include: Vec::new(), exclude: Vec::new() }
    }
}

/// One table's rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableRule {
    /// The table.
    #[serde(flatten)]
    pub table: QualifiedName,
    /// Its options: the rule's own, else `tables.default`'s, else the built-in ones.
    #[serde(flatten)]
    pub options: TableOptions,
}

/// How one table is copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableOptions {
    /// The integer column whose ranges are the chunks; none: whole, or as `split_larger_than` says.
    #[serde(serialize_with = "none_as_empty")]
    pub chunk_column: Option<String>,
    /// Key values per chunk.
    pub chunk_size: u64,
    /// A condition that the copied rows meet, evaluated on the source.
    #[serde(rename = "where", serialize_with = "none_as_empty")]
    pub filter: Option<String>,
    /// The order in which rows are read.
    #[serde(serialize_with = "none_as_empty")]
    pub order_by: Option<String>,
    /// The most rows to copy; switches chunking off.
    #[serde(serialize_with = "none_as_zero")]
    pub limit: Option<u64>,
    /// What happens to rows of a table that exists before the run.
    pub on_existing: OnExisting,
    /// What happens to a row whose key exists.
    pub on_conflict: OnConflict,
    /// The format of the COPY stream.
    pub format: Format,
    /// Columns that are not copied.
    pub exclude_columns: Vec<String>,
}

impl TableOptions {
    /// The built-in options, with what `options` sets for all tables.
    pub(super) fn built_in(options: &CopyOptions) -> Self {
        TableOptions {
            chunk_column: None,
            chunk_size: 500_000,
            filter: None,
            order_by: None,
            limit: None,
            on_existing: options.on_existing,
            on_conflict: options.on_conflict,
            format: options.format,
            exclude_columns: Vec::new(),
        }
    }
}

// serde passes a field by reference, whatever its type.
#[allow(clippy::ref_option)]
fn none_as_empty<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.as_deref().unwrap_or_default())
}

// As above.
#[allow(clippy::ref_option)]
fn none_as_zero<S: Serializer>(number: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(number.unwrap_or_default())
}

// As above.
#[allow(clippy::ref_option)]
fn none_as_auto<S: Serializer>(number: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => serializer.serialize_u64(*number),
        None => serializer.serialize_str("auto"),
    }
}

/// How sessions are opened, and how long each waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectionOptions {
    /// The libpq conninfo of the database that is read: key/value text or a URI.
    #[serde(skip)]
    pub source: Secret,
    /// The libpq conninfo of the database that is written.
    #[serde(skip)]
    pub target: Secret,
    /// The path of the `pg_dump` program; none: it is searched for.
    pub pg_dump: Option<String>,
    /// Seconds that a statement waits for a lock; 0: no limit.
    pub lock_timeout: u64,
    /// Attempts after the first for transient failures.
    pub retries: u32,
}

impl ConnectionOptions {
    pub(super) fn new(source: Secret, target: Secret) -> Self {
        ConnectionOptions { source, target, pg_dump: None, lock_timeout: 60, retries: 5 }
    }
}

/// What is migrated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
// Each is a switch of its own that the user writes as true or false; no two of them form one state together.
#[allow(clippy::struct_excessive_bools)]
pub struct ScopeOptions {
    /// The schemas in scope.
    #[serde(skip)]
    pub schemas: NameFilter,
    /// Which roles are created.
    #[serde(skip)]
    pub roles: RolesMode,
    /// The tables in scope.
    #[serde(skip)]
    pub tables: TableFilter,
    /// Whether only rows, sequences' values and large objects are migrated, into existing tables of the target.
    pub data_only: bool,
    /// True: a table's indexes are built as soon as its last chunk is copied. False: this run builds none.
    pub create_indexes_after_data: bool,
    /// The same for primary key, unique, exclusion and foreign key constraints.
    pub create_constraints_after_data: bool,
    /// Whether large objects are copied.
    pub large_objects: LargeObjects,
    /// Whether publications are created.
    pub publications: bool,
    /// Whether subscriptions are created.
    pub subscriptions: bool,
    /// Whether objects get the owners that they have on the source; else the connecting role owns them.
    pub owners: bool,
    /// Whether privileges and default privileges are granted and revoked as on the source.
    pub privileges: bool,
}

impl Default for ScopeOptions {
    fn default() -> Self {
        ScopeOptions {
            schemas: NameFilter::default(),
            roles: RolesMode::Needed,
            tables: TableFilter::all(TableOptions::built_in(&CopyOptions::default())),
            data_only: false,
            create_indexes_after_data: true,
            create_constraints_after_data: true,
            large_objects: LargeObjects::Auto,
            publications: false,
            subscriptions: false,
            owners: true,
            privileges: true,
        }
    }
}

/// How the schema's objects are made, and how the planner's statistics get there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaOptions {
    /// True: tablespaces as on the source. False: the target's default.
    pub tablespaces: bool,
    /// Whether each table gets planner statistics after it is loaded.
    pub analyze_after_load: bool,
    /// The source of these statistics.
    pub statistics: Statistics,
    /// Bytes of `maintenance_work_mem` for each index build and foreign key; none: by the target's settings.
    #[serde(serialize_with = "none_as_auto")]
    pub maintenance_work_mem: Option<u64>,
    /// Parallel workers of each index build; none: by the target's settings and the other work of the run.
    #[serde(serialize_with = "none_as_auto")]
    pub parallel_maintenance_workers: Option<u64>,
}

impl Default for SchemaOptions {
    fn default() -> Self {
        SchemaOptions {
            tablespaces: true,
            analyze_after_load: true,
            statistics: Statistics::Auto,
            maintenance_work_mem: None,
            parallel_maintenance_workers: None,
        }
    }
}

/// How rows are copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyOptions {
    /// The most connections per side that work at once.
    #[serde(skip)]
    pub max_jobs: usize,
    /// The default of the tables' `on_existing`.
    pub on_existing: OnExisting,
    /// The default of the tables' `on_conflict`.
    pub on_conflict: OnConflict,
    /// The default of the tables' `format`.
    pub format: Format,
    /// Bytes above which a table without a chunk column is divided; none: if that shortens the run.
    #[serde(serialize_with = "none_as_auto")]
    pub split_larger_than: Option<u64>,
    /// How a data-only run handles the triggers of the target's tables.
    pub target_triggers: TargetTriggers,
    /// How a data-only run handles the foreign keys of the target's tables.
    pub target_foreign_keys: TargetForeignKeys,
}

impl Default for CopyOptions {
    fn default() -> Self {
        CopyOptions {
            max_jobs: MAX_JOBS,
            on_existing: OnExisting::Append,
            on_conflict: OnConflict::Auto,
            format: Format::Auto,
            split_larger_than: None,
            target_triggers: TargetTriggers::Fire,
            target_foreign_keys: TargetForeignKeys::Order,
        }
    }
}

/// What a run does for safety before and after it copies, and what it refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
// As for `ScopeOptions`.
#[allow(clippy::struct_excessive_bools)]
pub struct SafetyOptions {
    /// Whether a run whose snapshot was lost while the source was written continues with whole tables of one snapshot only.
    pub consistent: bool,
    /// Whether the target is dumped first.
    pub backup: bool,
    /// The folder of those dumps.
    pub backup_dir: String,
    /// Whether source and target are compared at the end.
    pub verify: bool,
    /// Whether a server of a major version that this pgmigrate does not know is accepted without a warning.
    pub accept_newer_servers: bool,
    /// The revisions of alembic that the databases must be at; none: any.
    pub require_revision: Option<RevisionRule>,
}

impl Default for SafetyOptions {
    fn default() -> Self {
        SafetyOptions {
            consistent: true,
            backup: false,
            backup_dir: "backup".to_owned(),
            verify: false,
            accept_newer_servers: false,
            require_revision: None,
        }
    }
}

/// Where the ledger is, and how long it stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerOptions {
    /// The schema on the target that holds the ledger.
    #[serde(rename = "ledger_schema")]
    pub schema: String,
    /// Whether the ledger stays after a run without failures.
    #[serde(rename = "keep_ledger")]
    pub keep: bool,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        LedgerOptions { schema: "pgmigrate".to_owned(), keep: true }
    }
}

/// One migration, checked and complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its name in a file of several; empty where it has none.
    pub name: String,
    /// How sessions are opened.
    pub connection: ConnectionOptions,
    /// What is migrated.
    pub scope: ScopeOptions,
    /// How the schema's objects are made.
    pub schema: SchemaOptions,
    /// How rows are copied.
    pub copy: CopyOptions,
    /// What a run does for safety.
    pub safety: SafetyOptions,
    /// Where the ledger is.
    pub ledger: LedgerOptions,
    /// What `pgmigrate safe` does before and after the migration.
    pub procedure: Procedure,
}

/// The parts that decide what a plan contains.
#[derive(Debug, Clone, Copy)]
pub struct PlanOptions<'a> {
    /// What is migrated.
    pub scope: &'a ScopeOptions,
    /// How the schema's objects are made.
    pub schema: &'a SchemaOptions,
    /// How rows are copied.
    pub copy: &'a CopyOptions,
    /// Where the ledger is: its tables are in no scope.
    pub ledger: &'a LedgerOptions,
}

/// The parts that a run obeys until it begins: what it connects to, what it plans, and what it refuses.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions<'a> {
    /// How sessions are opened.
    pub connection: &'a ConnectionOptions,
    /// What its plan obeys.
    pub plan: PlanOptions<'a>,
    /// What it does for safety.
    pub safety: &'a SafetyOptions,
}

/// The parts that a verb obeys which concerns the target and its ledger only.
#[derive(Debug, Clone, Copy)]
pub struct TargetOptions<'a> {
    /// How sessions are opened.
    pub connection: &'a ConnectionOptions,
    /// Where the ledger is.
    pub ledger: &'a LedgerOptions,
}

impl Config {
    /// The parts that a verb obeys which concerns the target and its ledger only.
    #[must_use]
    pub fn target(&self) -> TargetOptions<'_> {
        TargetOptions { connection: &self.connection, ledger: &self.ledger }
    }

    /// The parts that a run obeys until it begins.
    #[must_use]
    pub fn run(&self) -> RunOptions<'_> {
        RunOptions { connection: &self.connection, plan: self.plan(), safety: &self.safety }
    }

    /// The parts that decide what a plan contains.
    #[must_use]
    pub fn plan(&self) -> PlanOptions<'_> {
        PlanOptions { scope: &self.scope, schema: &self.schema, copy: &self.copy, ledger: &self.ledger }
    }
}
