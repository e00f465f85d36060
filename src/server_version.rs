//! A server's version, and one named function for each difference between versions.
//!
//! The only place that compares versions in Rust (`tests/unit/layers.rs` fails otherwise); SQL files use `server_version_num` where a
//! statement differs. Each function names the release whose notes introduce the difference
//! (<https://www.postgresql.org/docs/release/>). In the base layer, because plans as well as adapters ask.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The oldest major version that is supported.
pub const OLDEST: u32 = 13;
/// The newest major version that is supported.
pub const NEWEST: u32 = 19;

/// The major version that introduced publications FOR TABLES IN SCHEMA.
pub const PUBLICATIONS_OF_SCHEMAS: u32 = 15;

/// `server_version_num`, such as 160014.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServerVersion(pub u32);

impl ServerVersion {
    /// The major version, such as 16.
    #[must_use]
    pub const fn major(self) -> u32 {
        self.0 / 10_000
    }

    /// Whether the catalogs are older than those that pgmigrate reads.
    #[must_use]
    pub const fn is_older_than_supported(self) -> bool {
        self.major() < OLDEST
    }

    /// Whether pgmigrate does not know the version yet.
    #[must_use]
    pub const fn is_newer_than_known(self) -> bool {
        self.major() > NEWEST
    }

    /// Whether the progress of COPY is reported in `pg_stat_progress_copy` (14).
    #[must_use]
    pub const fn reports_copy_progress(self) -> bool {
        self.major() >= 14
    }

    /// Whether each range type has a multirange type (14).
    #[must_use]
    pub const fn has_multirange_types(self) -> bool {
        self.major() >= 14
    }

    /// Whether a session that is idle has reported all rows that it wrote: statistics are in shared memory (15).
    #[must_use]
    pub const fn reports_writes_when_idle(self) -> bool {
        self.major() >= 15
    }

    /// Whether the version of a database's collation is recorded (15).
    #[must_use]
    pub const fn records_database_collation(self) -> bool {
        self.major() >= 15
    }

    /// Whether a publication can be FOR TABLES IN SCHEMA (15).
    #[must_use]
    pub const fn has_publications_of_schemas(self) -> bool {
        self.major() >= PUBLICATIONS_OF_SCHEMAS
    }

    /// Whether the setting `transaction_timeout` exists (17).
    #[must_use]
    pub const fn has_transaction_timeout(self) -> bool {
        self.major() >= 17
    }

    /// Whether NOT NULL constraints have names (18).
    #[must_use]
    pub const fn names_not_null_constraints(self) -> bool {
        self.major() >= 18
    }

    /// Whether a condition on `ctid` reads a range of pages instead of the whole table (14).
    #[must_use]
    pub const fn has_tid_range_scan(self) -> bool {
        self.major() >= 14
    }

    /// Whether a role with CREATEROLE can set the attributes REPLICATION and BYPASSRLS that it has itself (16).
    #[must_use]
    pub const fn passes_role_attributes_on(self) -> bool {
        self.major() >= 16
    }

    /// Whether memberships have options, and CREATEROLE alone grants none (16).
    #[must_use]
    pub const fn has_membership_options(self) -> bool {
        self.major() >= 16
    }

    /// Whether members of `pg_read_all_data` may read all tables (14).
    #[must_use]
    pub const fn has_read_role(self) -> bool {
        self.major() >= 14
    }

    /// Whether members of `pg_create_subscription` can make subscriptions (16).
    #[must_use]
    pub const fn has_subscription_role(self) -> bool {
        self.major() >= 16
    }

    /// Whether SET can be granted on a parameter (15).
    #[must_use]
    pub const fn has_parameter_privileges(self) -> bool {
        self.major() >= 15
    }

    /// Whether foreign keys of partitioned tables can be NOT VALID (18).
    #[must_use]
    pub const fn has_not_valid_keys_of_partitioned_tables(self) -> bool {
        self.major() >= 18
    }

    /// Whether the privilege MAINTAIN exists (17).
    #[must_use]
    pub const fn has_maintain_privilege(self) -> bool {
        self.major() >= 17
    }

    /// Whether planner statistics can be read and set by functions (18).
    #[must_use]
    pub const fn has_statistics_functions(self) -> bool {
        self.major() >= 18
    }

    /// Whether COPY FROM in text format costs an eighth less than before (19), which moves the choice between text and binary.
    #[must_use]
    pub const fn has_faster_text_copy(self) -> bool {
        self.major() >= 19
    }

    /// Whether `inet_ops` is the default operator class of `GiST` for inet and cidr, in place of those of `btree_gist` (19).
    #[must_use]
    pub const fn has_default_gist_inet_ops(self) -> bool {
        self.major() >= 19
    }

    /// Whether `pg_lsn` is written with eight digits after its slash (19).
    #[must_use]
    pub const fn pads_lsn(self) -> bool {
        self.major() >= 19
    }

    /// Whether names of roles, databases and tablespaces may contain line breaks (before 19).
    #[must_use]
    pub const fn allows_line_breaks_in_global_names(self) -> bool {
        self.major() < 19
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.major())
    }
}

/// The versions of the two servers of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The source's.
    pub source: ServerVersion,
    /// The target's.
    pub target: ServerVersion,
}

impl Versions {
    /// Whether both have one major version.
    #[must_use]
    pub const fn are_one_major(self) -> bool {
        self.source.major() == self.target.major()
    }
}
