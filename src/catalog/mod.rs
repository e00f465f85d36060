//! The contents of a source database, as values: the archive's entries and the catalog's rows, read once in one snapshot.
//!
//! Pure data: `pg::introspect` and `pg::archive` fill it, `catalog::scope` selects from it, `plan` turns the selection into tasks.

pub mod archive;
pub mod assign;
pub mod database;
mod large_object;
pub mod object_kind;
mod oid;
pub mod role_use;
pub mod scope;
pub mod secret;

pub use large_object::{LargeObjectGrant, LargeObjects};
pub use oid::Oid;

use crate::interned::Interned;
use crate::name::QualifiedName;
use crate::server_version::ServerVersion;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The identity of a server and the rights of the connecting role there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "these are the catalog's independent flags")]
pub struct Server {
    /// Its version.
    pub version: ServerVersion,
    /// The system identifier of `pg_control_system()`, empty where the role may not read it.
    pub system: String,
    /// The database's name.
    pub database: String,
    /// The database's OID.
    pub database_oid: Oid,
    /// The database's encoding, as `PostgreSQL` spells it.
    pub encoding: String,
    /// `datcollate`.
    pub collation: String,
    /// `datctype`.
    pub ctype: String,
    /// The connected role.
    pub role: String,
    /// Whether it is a superuser.
    pub is_superuser: bool,
    /// Whether it has CREATEROLE.
    pub can_create_roles: bool,
    /// Whether row security does not apply to it.
    pub bypasses_row_security: bool,
    /// Whether it may create schemas in the database.
    pub can_create: bool,
    /// Whether the server is a standby.
    pub in_recovery: bool,
    /// The database's size.
    pub bytes: i64,
}

impl Server {
    /// The identity of a database in a plan: never its host or port, which may change.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}/{}/{}", self.system, self.database_oid, self.database)
    }
}

/// A relation's kind, by `pg_class.relkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelationKind {
    /// A table that holds rows itself.
    Table,
    /// A partitioned table, whose partitions hold the rows.
    Partitioned,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A foreign table.
    Foreign,
    /// A sequence.
    Sequence,
}

/// A relation.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "these are the catalog's independent flags")]
pub struct Relation {
    /// Its OID.
    pub oid: Oid,
    /// Its name.
    pub name: QualifiedName,
    /// Its kind.
    pub kind: RelationKind,
    /// Whether it is populated; false only for materialized views WITH NO DATA.
    pub is_populated: bool,
    /// The partitioned table that it is a partition of.
    pub partition_of: Option<Oid>,
    /// Its table access method, empty for relations without one.
    pub access_method: Interned,
    /// Bytes of its heap.
    pub heap_bytes: u64,
    /// Bytes of heap and TOAST.
    pub total_bytes: u64,
    /// Rows by the statistics; negative where it was never analyzed.
    pub tuples: f64,
    /// Whether row security applies to the connected role.
    pub hides_rows: bool,
    /// Whether the role may read it, its schema included.
    pub is_readable: bool,
    /// The extension that it is a member of.
    pub member: Option<ExtensionMember>,
    /// Whether it is partitioned by a hash over an enum, whose rows have other hash values on another server.
    pub hashes_an_enum: bool,
    /// Its columns in order; empty for views and sequences.
    pub columns: Vec<Column>,
}

/// The extension of a relation that is a member of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionMember {
    /// The extension.
    pub extension: Interned,
    /// For a configuration table or sequence (`pg_extension.extconfig`): `WHERE` and the condition for users' rows, empty for all rows.
    pub condition: Option<String>,
}

impl Relation {
    /// Whether its rows are dumped although it is a member of an extension.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        self.member.as_ref().is_some_and(|member| member.condition.is_some())
    }

    /// Whether CREATE EXTENSION makes it with all of the rows that it should have.
    #[must_use]
    pub fn is_plain_member(&self) -> bool {
        self.member.is_some() && !self.is_configuration()
    }

    /// The text after FROM in a query for the rows that are copied: for a configuration table those that meet its condition.
    #[must_use]
    pub fn from_item(&self) -> String {
        match self.member.as_ref().and_then(|member| member.condition.as_deref()) {
            // As in pg_dump, the condition follows the table's name, and may end in a comment.
            Some(condition) if !condition.is_empty() => {
                let alias = crate::name::ident(&self.name.name);
                format!("(SELECT * FROM ONLY {} {condition}\n) AS {alias}", self.name.sql())
            }
            _ => format!("ONLY {}", self.name.sql()),
        }
    }

    /// Rows by the statistics, estimated from the size if there are none.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, and never negative here")]
    pub fn estimated_rows(&self) -> u64 {
        if self.tuples >= 0.0 && !(self.tuples == 0.0 && self.heap_bytes > 0) {
            self.tuples as u64
        } else {
            self.heap_bytes / 100
        }
    }

    /// The columns that rows are copied with: the target computes generated ones again, and the configuration may leave some out.
    pub fn copied_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !column.is_generated && !column.is_excluded)
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "these are the catalog's independent flags")]
pub struct Column {
    /// Its name.
    pub name: Interned,
    /// Its type as `format_type` writes it.
    pub type_name: Interned,
    /// Whether it is smallint, integer or bigint.
    pub is_integer: bool,
    /// Whether it is NOT NULL.
    pub not_null: bool,
    /// Whether it is GENERATED ALWAYS AS (expression), stored or virtual.
    pub is_generated: bool,
    /// Whether it is GENERATED ALWAYS AS IDENTITY.
    pub identity_always: bool,
    /// Whether its binary form has the same meaning on every server.
    pub binary_safe: bool,
    /// Whether it holds `pg_lsn`, whose text form depends on the server's version.
    pub lsn: Option<Lsn>,
    /// Whether the configuration leaves it out.
    pub is_excluded: bool,
}

/// How a column holds `pg_lsn`, domains resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lsn {
    /// As its value.
    Value,
    /// As the elements of an array.
    Array,
}

/// An index.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "these are the catalog's independent flags")]
pub struct Index {
    /// Its OID.
    pub oid: Oid,
    /// Its name.
    pub name: QualifiedName,
    /// The relation that it belongs to.
    pub relation: Oid,
    /// Whether it is unique.
    pub is_unique: bool,
    /// Whether it backs a primary key.
    pub is_primary: bool,
    /// Whether queries may use it.
    pub is_valid: bool,
    /// Whether CLUSTER uses it.
    pub is_clustered: bool,
    /// Whether it is the replica identity.
    pub is_replica_identity: bool,
    /// Whether ON CONFLICT can infer it from its columns.
    pub is_arbiter: bool,
    /// Whether ON CONFLICT without columns is refused because of it.
    pub blocks_arbiters: bool,
    /// Whether it is a part of a partitioned index.
    pub is_attached: bool,
    /// Whether it requires only its table and objects that every server has: plain columns of the server's own types or of enums, operator
    /// classes and collations of the server's own.
    pub is_builtin: bool,
    /// Its size.
    pub bytes: u64,
    /// Its plain key columns.
    pub columns: Vec<Interned>,
    /// Whether none of its key columns can be NULL.
    pub is_not_null: bool,
    /// `pg_get_indexdef`.
    pub statement: String,
}

/// A key, exclusion or foreign-key constraint.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "these are the catalog's independent flags")]
pub struct Constraint {
    /// Its OID.
    pub oid: Oid,
    /// Its own name.
    pub name: String,
    /// `p`, `u`, `x` or `f`.
    pub kind: char,
    /// The table it is on.
    pub relation: Oid,
    /// The table that a foreign key references.
    pub referenced: Option<Oid>,
    /// The index that backs it.
    pub index: Option<Oid>,
    /// Whether it is inherited from a partitioned table's constraint.
    pub is_inherited: bool,
    /// Whether its rows were checked.
    pub is_validated: bool,
    /// Whether it is DEFERRABLE.
    pub is_deferrable: bool,
    /// Whether it is INITIALLY DEFERRED.
    pub is_deferred: bool,
    /// Whether it is WITHOUT OVERLAPS or PERIOD (18).
    pub is_temporal: bool,
    /// Whether it is enforced (NOT ENFORCED exists from 18 on).
    pub is_enforced: bool,
    /// `pg_get_constraintdef`.
    pub definition: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// The columns that a foreign key references.
    pub referenced_columns: Vec<String>,
}

impl Constraint {
    /// Whether it is a foreign key that checks rows.
    #[must_use]
    pub fn checks(&self) -> bool {
        self.kind == 'f' && self.is_enforced
    }
}

/// A sequence.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// Its OID.
    pub oid: Oid,
    /// Its name.
    pub name: QualifiedName,
    /// The table that owns it.
    pub owner_relation: Option<Oid>,
    /// The tables whose columns have defaults from it.
    pub used_by: Vec<Oid>,
    /// Whether it belongs to an identity column.
    pub is_identity: bool,
    /// Whether the role may read its value.
    pub is_readable: bool,
    /// The extension that it is a member of.
    pub extension: Option<Interned>,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "these are the catalog's independent flags")]
pub struct Role {
    /// Its name.
    pub name: String,
    /// SUPERUSER.
    pub is_superuser: bool,
    /// INHERIT.
    pub inherits: bool,
    /// CREATEROLE.
    pub can_create_roles: bool,
    /// CREATEDB.
    pub can_create_databases: bool,
    /// LOGIN.
    pub can_login: bool,
    /// REPLICATION.
    pub is_replication: bool,
    /// BYPASSRLS.
    pub bypasses_row_security: bool,
    /// CONNECTION LIMIT, -1 for none.
    pub connection_limit: i32,
    /// VALID UNTIL.
    pub valid_until: Option<String>,
    /// ALTER ROLE ... SET, as `name=value`.
    pub settings: Vec<String>,
    /// ALTER ROLE ... IN DATABASE this one SET.
    pub database_settings: Vec<String>,
    /// COMMENT ON ROLE.
    pub comment: Option<String>,
}

/// A role's membership in another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The role that was granted.
    pub granted: String,
    /// The role it was granted to.
    pub member: String,
    /// WITH ADMIN.
    pub admin: bool,
    /// WITH INHERIT (16+).
    pub inherit: Option<bool>,
    /// WITH SET (16+).
    pub set: Option<bool>,
    /// Who granted it (16+); none for the server's bootstrap superuser.
    pub grantor: Option<String>,
}

/// Objects that functions which may read tables compute or check, directly or indirectly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Callers {
    /// Tables by their rows' checks, generated columns and types; indexes; materialized views.
    pub relations: HashSet<Oid>,
    /// Constraints.
    pub constraints: HashSet<Oid>,
    /// Tables by their extended statistics.
    pub analyzed: HashSet<Oid>,
    /// Defaults, by table and column.
    pub defaults: HashSet<(Oid, String)>,
}

/// The contents of a source database.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The server and database.
    pub server: Server,
    /// Relations by schema and name.
    pub relations: Vec<Relation>,
    /// Indexes.
    pub indexes: Vec<Index>,
    /// Constraints.
    pub constraints: Vec<Constraint>,
    /// Sequences.
    pub sequences: Vec<Sequence>,
    /// Large objects.
    pub large_objects: Vec<LargeObjects>,
    /// Roles.
    pub roles: Vec<Role>,
    /// Memberships.
    pub memberships: Vec<Membership>,
    /// Which objects name which role.
    pub role_uses: Vec<role_use::RoleUse>,
    /// ALTER DATABASE ... SET, as `name=value`.
    pub database_settings: Vec<String>,
    /// Objects that call functions which may read tables.
    pub callers: Callers,
    /// The database itself.
    pub database: database::Database,
    /// Privileges on configuration parameters.
    pub parameter_grants: Vec<database::ParameterGrant>,
    /// The archive's entries in its order; empty if no schema is migrated.
    pub entries: Vec<archive::Entry>,
    /// The major of the `pg_dump` that wrote them.
    pub pg_dump: Option<u32>,
}

/// The lookups that planning needs repeatedly.
#[derive(Debug)]
pub struct Lookup<'a> {
    /// Relations by OID.
    pub relations: HashMap<Oid, &'a Relation>,
    /// Indexes by OID.
    pub indexes: HashMap<Oid, &'a Index>,
    /// Constraints by OID.
    pub constraints: HashMap<Oid, &'a Constraint>,
    /// Indexes of a relation.
    pub indexes_of: HashMap<Oid, Vec<&'a Index>>,
    /// Sequences by OID.
    pub sequences: HashMap<Oid, &'a Sequence>,
}

impl Catalog {
    /// Makes the lookups.
    #[must_use]
    pub fn lookup(&self) -> Lookup<'_> {
        let mut indexes_of: HashMap<Oid, Vec<&Index>> = HashMap::new();
        for index in &self.indexes {
            indexes_of.entry(index.relation).or_default().push(index);
        }
        Lookup {
            relations: self.relations.iter().map(|r| (r.oid, r)).collect(),
            indexes: self.indexes.iter().map(|i| (i.oid, i)).collect(),
            constraints: self.constraints.iter().map(|c| (c.oid, c)).collect(),
            indexes_of,
            sequences: self.sequences.iter().map(|s| (s.oid, s)).collect(),
        }
    }

    /// One short digest for each relation in `scope`: the basis of a plan, so that a later check can name what has changed.
    #[must_use]
    pub fn digests(&self, in_scope: &dyn Fn(Oid) -> bool) -> BTreeMap<String, String> {
        let lookup = self.lookup();
        let tables = self.relations.iter().filter(|r| in_scope(r.oid) && !r.columns.is_empty());
        tables.map(|relation| (relation.name.to_string(), lookup.digest(relation, &self.constraints))).collect()
    }
}

impl<'a> Lookup<'a> {
    fn digest(&self, relation: &Relation, constraints: &[Constraint]) -> String {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for column in &relation.columns {
            let facts = (column.not_null, column.is_generated, column.identity_always);
            hash.update(format!("{}\0{}\0{facts:?}\n", column.name, column.type_name));
        }
        for index in self.indexes_of.get(&relation.oid).into_iter().flatten() {
            hash.update(format!("{}\n", index.statement));
        }
        let first = constraints.partition_point(|c| c.relation < relation.oid);
        for constraint in constraints[first..].iter().take_while(|c| c.relation == relation.oid) {
            hash.update(format!("{} {}\n", constraint.name, constraint.definition));
        }
        let short = hash.finalize().iter().take(6).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        format!("{short:012x}")
    }

    /// The unique index whose columns identify rows best: the primary key, else one over NOT NULL columns.
    #[must_use]
    pub fn key(&self, relation: Oid) -> Option<&'a Index> {
        let usable = |index: &&&Index| index.is_arbiter && index.is_not_null;
        let indexes = self.indexes_of.get(&relation)?;
        indexes.iter().find(|i| i.is_primary && i.is_arbiter).or_else(|| indexes.iter().find(usable)).copied()
    }

    /// The partitioned tables above `relation`, the closest first.
    #[must_use]
    pub fn ancestors(&self, relation: &'a Relation) -> Vec<&'a Relation> {
        let mut chain = Vec::new();
        let mut next = relation.partition_of;
        while let Some(parent) = next.and_then(|oid| self.relations.get(&oid).copied()) {
            chain.push(parent);
            next = parent.partition_of;
        }
        chain
    }
}
