//! Builds a plan: the selected entries and tables as tasks, each after those that it requires.
//!
//! One [`Builder`] collects the tasks; roles, schema, data and finish add theirs in that order. Pure: what must be read from the source
//! first (the values of its keys) is an argument. Called by the engine; `check` refuses configurations.

mod builder;
pub mod data;
mod data_only;
mod database;
mod draft;
mod extension;
mod finish;
mod inputs;
pub mod large_object;
pub mod order;
pub mod privilege;
pub mod revision;
pub mod role;
mod role_scope;
mod schema;
mod statistics;

use super::document::Document;
use super::model::VERSION;
use super::{Answers, Header};
use crate::catalog::archive::{Entry, Section};
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::scope;
use crate::catalog::{Catalog, Oid};
use crate::config::{PlanOptions, RolesMode};
use crate::finding::{Finding, Severity};
use crate::name::readable;
use builder::Builder;
use draft::PlanWriter;
use inputs::Inputs;
use std::collections::{HashMap, HashSet};

/// A plan that only has to be written; it no longer needs the catalog.
#[derive(Debug)]
pub struct PlanDraft {
    header: Header,
    draft: PlanWriter,
}

impl PlanDraft {
    /// Writes the plan.
    #[must_use]
    pub fn finish(self) -> Document {
        self.draft.finish(self.header)
    }
}

/// Builds the plan of `options` for `catalog`.
#[must_use]
pub fn build(catalog: &Catalog, options: PlanOptions<'_>, answers: Answers) -> PlanDraft {
    let scope = scope::select(catalog, options);
    let reaches_function = standing_on_functions(&catalog.entries);
    let interwoven = interwoven(&catalog.entries);
    let inputs = Inputs { catalog, lookup: catalog.lookup(), options, scope, answers, reaches_function, interwoven };
    let mut builder = Builder::default();
    let is_data_only = options.scope.data_only;
    if options.scope.roles != RolesMode::None && !is_data_only {
        role::push(&inputs, &mut builder);
    }
    schema::push_pre_data(&inputs, &mut builder);
    if is_data_only {
        builder.findings.extend(data_only::findings(&inputs));
        data_only::push_before(&inputs, &mut builder);
    }
    data::push(&inputs, &mut builder);
    schema::push_post_data(&inputs, &mut builder);
    data_only::push_after(&inputs, &mut builder);
    finish::push(&inputs, &mut builder);
    let Builder { draft, findings, .. } = builder;
    let header = header(&inputs, findings);
    PlanDraft { header, draft }
}

/// The tables whose entries, or those of their defaults, depend on a function directly or indirectly. The archive lists each entry after
/// those that it depends on.
fn standing_on_functions(entries: &[Entry]) -> HashSet<Oid> {
    let mut standing: HashSet<i32> = HashSet::new();
    for entry in entries {
        if entry.kind.is_function() || entry.dependencies.iter().any(|id| standing.contains(id)) {
            standing.insert(entry.id);
        }
    }
    let defaults = entries.iter().filter(|entry| entry.kind == ObjectKind::Default && standing.contains(&entry.id));
    let owners: HashSet<i32> = defaults.flat_map(|entry| entry.dependencies.iter().copied()).collect();
    let tables = entries.iter().filter(|entry| entry.kind == ObjectKind::Table);
    tables.filter(|entry| standing.contains(&entry.id) || owners.contains(&entry.id)).map(|entry| entry.oid).collect()
}

/// The tables that an entry of pre-data names in addition to an object of its own: those that views, functions, or other tables depend on,
/// and those that depend on other tables (partitions, children by inheritance). Such a statement may lock several tables. An entry that
/// only completes one table (a default, a sequence of a column, a comment) does not count: if several share a transaction, a deadlock with
/// a batch of indexes is possible, but it only costs time, because the server ends it and both are then done one by one.
fn interwoven(entries: &[Entry]) -> HashSet<Oid> {
    let tables: HashMap<i32, Oid> =
        entries.iter().filter(|entry| entry.kind == ObjectKind::Table).map(|entry| (entry.id, entry.oid)).collect();
    let mut found = HashSet::new();
    for entry in entries.iter().filter(|entry| entry.section == Section::PreData && !entry.kind.only_completes()) {
        let below: Vec<Oid> = entry.dependencies.iter().filter_map(|id| tables.get(id).copied()).collect();
        found.extend(tables.get(&entry.id).filter(|_| !below.is_empty()));
        found.extend(below);
    }
    found
}

fn header(inputs: &Inputs<'_>, mut findings: Vec<Finding>) -> Header {
    for object in &inputs.scope.pulled {
        let message = "it is outside the filters, and is included because a chosen object needs it";
        findings.push(Finding::new("pulled_in", Severity::Info, object, message, ""));
    }
    for schema in &inputs.scope.ledgers {
        let message = "it holds the ledger of an earlier run into the source, which is not moved";
        findings.push(Finding::new("ledger_left_out", Severity::Info, readable(schema), message, ""));
    }
    findings.extend(left_out(inputs));
    findings.extend(extension::findings(inputs));
    findings.extend(revision::notes(inputs));
    Header {
        version: VERSION,
        source: inputs.catalog.server.identity(),
        source_version: inputs.catalog.server.version.0,
        pg_dump: inputs.catalog.pg_dump,
        config: serde_json::from_str(&inputs.options.fingerprint_text()).unwrap_or_default(),
        tables: inputs.catalog.digests(&|oid| inputs.scope.tables.contains(&oid)),
        absent: inputs.scope.absent.clone(),
        findings,
    }
}

/// What the configuration leaves out for every object.
fn left_out(inputs: &Inputs<'_>) -> Vec<Finding> {
    let options = inputs.options.scope;
    let is_off = !options.data_only;
    let all = [
        (is_off && !options.owners, "owners", "the connecting role owns what the run creates: options.owners is false"),
        (
            is_off && !options.privileges,
            "privileges",
            "no privileges are granted or revoked: options.privileges is false",
        ),
    ];
    let found = all.into_iter().filter(|(is_out, ..)| *is_out);
    found.map(|(_, object, words)| Finding::new("left_out", Severity::Info, object, words, "")).collect()
}
