//! Which part of the source `pg_dump` reads: all of it where the role may, otherwise only what the filters choose.
//!
//! An archive of the whole database shows what the chosen objects require from outside the filters. A role with rights on only a part of
//! the database cannot read one, because `pg_dump` locks every table that it dumps. Called by `connect`, `verify` and `preflight`.

use crate::catalog::scope::chooses_schema;
use crate::config::{Mode, ScopeOptions};
use crate::error::Result;
use crate::name::{QualifiedName, ident};
use crate::pg::Session;
use crate::pg::survey::{self, MissingRight};
use std::collections::BTreeSet;

/// What `pg_dump` leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DumpFilter {
    /// Its options; exact names are quoted as its patterns require.
    pub options: Vec<String>,
    /// The relations outside the filters that the role may not read.
    pub unreadable: Vec<QualifiedName>,
}

/// The narrowest filter that the role's rights require.
pub async fn of(scope: &ScopeOptions, source: &Session) -> Result<DumpFilter> {
    if scope.data_only {
        return Ok(DumpFilter::default());
    }
    Ok(narrow(scope, &survey::missing_rights(source).await?))
}

fn narrow(scope: &ScopeOptions, missing: &[MissingRight]) -> DumpFilter {
    let excluded = |right: &MissingRight| scope.tables.exclude.iter().any(|table| right.line.contains(&table.sql()));
    let outside: Vec<&MissingRight> = missing
        .iter()
        .filter(|right| match scope.tables.mode {
            _ if excluded(right) => true,
            Mode::Include => !scope.tables.include.iter().any(|rule| right.line.contains(&rule.table.sql())),
            Mode::All | Mode::Exclude => !chooses_schema(scope, &right.name.schema),
        })
        .collect();
    if outside.is_empty() {
        return DumpFilter::default();
    }
    let schema = |option: &str, name: &str| format!("--{option}={}", ident(name));
    let table = |option: &str, name: &QualifiedName| format!("--{option}={}", name.sql());
    let mut options: Vec<String> = match (scope.tables.mode, scope.schemas.mode) {
        (Mode::Include, _) => {
            let schemas: BTreeSet<&str> = scope.tables.include.iter().map(|rule| rule.table.schema.as_str()).collect();
            // Types and functions that the tables use are in their schemas, which the archive includes except for what cannot be read.
            let within = outside.iter().filter(|right| schemas.contains(right.name.schema.as_str()));
            let within: Vec<String> = within.map(|right| table("exclude-table", &right.name)).collect();
            schemas.into_iter().map(|name| schema("schema", name)).chain(within).collect()
        }
        (_, Mode::Include) => scope.schemas.include.iter().map(|name| schema("schema", name)).collect(),
        _ => Vec::new(),
    };
    options.extend(scope.schemas.exclude.iter().map(|name| schema("exclude-schema", name)));
    options.extend(scope.tables.exclude.iter().map(|name| table("exclude-table", name)));
    DumpFilter { options, unreadable: outside.iter().map(|right| right.name.clone()).collect() }
}
