//! The inputs of all checks, and the findings that they make.

use crate::catalog::archive::Entry;
use crate::catalog::scope::{self, Scope};
use crate::catalog::{Catalog, Relation, Server};
use crate::config::RunOptions;
use crate::engine::Source;
use crate::engine::programs::Programs;
use crate::error::Result;
use crate::finding::{Finding, Severity, listed};
use crate::pg::survey::{self, ExistingTable, Instance};
use crate::pg::{Session, introspect};
use crate::plan::{Plan, TaskKind};

/// What preflight inspects.
#[derive(Clone, Copy)]
pub struct PreflightSubject<'a> {
    /// What it obeys.
    pub options: RunOptions<'a>,
    /// The source, opened for reading.
    pub source: &'a Source,
    /// A session on the target.
    pub target: &'a Session,
    /// The client programs; none where they are not needed.
    pub(in crate::engine) programs: Option<&'a Programs>,
    /// What the source contains.
    pub catalog: &'a Catalog,
    /// The plan of the run.
    pub plan: &'a Plan,
    /// How many tasks run at once.
    pub jobs: usize,
    /// Whether an earlier run is resumed, whose tables exist on the target.
    pub resuming: bool,
    /// Whether the target is backed up before the run: where the run begins, even as the first of several parts.
    pub backs_up: bool,
}

/// The two servers.
pub(super) struct Servers {
    pub(super) source: Server,
    pub(super) target: Server,
    pub(super) source_instance: Instance,
    pub(super) target_instance: Instance,
}

impl Servers {
    pub(super) async fn ask(source: &Session, target: &Session) -> Result<Servers> {
        Ok(Servers {
            source: introspect::server(source).await?,
            target: introspect::server(target).await?,
            source_instance: survey::instance(source).await?,
            target_instance: survey::instance(target).await?,
        })
    }
}

/// The inputs of all checks.
pub(super) struct Look<'a> {
    pub(super) subject: PreflightSubject<'a>,
    pub(super) ends: Servers,
    pub(super) scope: Scope,
    pub(super) existing: Vec<ExistingTable>,
}

impl<'a> Look<'a> {
    pub(super) async fn new(subject: &PreflightSubject<'a>) -> Result<Look<'a>> {
        Ok(Look {
            subject: *subject,
            ends: Servers::ask(&subject.source.leader, subject.target).await?,
            scope: scope::select(subject.catalog, subject.options.plan),
            existing: survey::existing_tables(subject.target).await?,
        })
    }

    /// The archive's entries that are moved.
    pub(super) fn entries(&self) -> impl Iterator<Item = &'a Entry> {
        self.subject.catalog.entries.iter().filter(|entry| self.scope.entries.contains(&entry.id))
    }

    /// The tables whose rows are moved.
    pub(super) fn tables(&self) -> impl Iterator<Item = &'a Relation> {
        self.subject.catalog.relations.iter().filter(|relation| self.scope.tables.contains(&relation.oid))
    }

    pub(super) fn leader(&self) -> &'a Session {
        &self.subject.source.leader
    }

    /// The `search_path` of the source database, for which its functions were written.
    pub(super) async fn source_path(&self) -> Result<String> {
        introspect::search_path(self.leader()).await
    }

    /// Whether the plan holds a task of that kind.
    pub(super) fn plans(&self, kind: &TaskKind) -> bool {
        self.subject.plan.tasks.iter().any(|task| task.kind == *kind)
    }
}

pub(super) fn blocking(
    check: &str,
    object: impl Into<String>,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding::new(check, Severity::Blocking, object, message, remedy)
}

pub(super) fn warning(
    check: &str,
    object: impl Into<String>,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding::new(check, Severity::Warning, object, message, remedy)
}

pub(super) fn info(check: &str, object: impl Into<String>, message: impl Into<String>) -> Finding {
    Finding::new(check, Severity::Info, object, message, "")
}

/// Names for a message: all of them where they are few, otherwise the first ones and the number of the others.
pub(super) fn list<S: AsRef<str>>(names: &[S]) -> String {
    listed(names, 20)
}
