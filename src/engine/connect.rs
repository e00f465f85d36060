//! The connections of a migration, and the source as all of its readers see it: one leader, one snapshot, one catalog.
//!
//! The source's leader session lives as long as the run and holds snapshot and locks. Called by every verb.

use super::refuse::refuse;
use super::{Context, dump_filter, raw_text};
use crate::catalog::scope::Names;
use crate::catalog::{Catalog, Oid};
use crate::config::{ConnectionOptions, PlanOptions, ScopeOptions};
use crate::error::{Error, Result, Side};
use crate::name::QualifiedName;
use crate::pg::client::archive;
use crate::pg::client::tool::Tools;
use crate::pg::snapshot::{self, Snapshot};
use crate::pg::table_lock::{self, ChangedTable, Lockable};
use crate::pg::{Conninfo, Session, apply, introspect, keys};
use crate::plan::{self, Answers, PlanDraft};
use std::collections::{HashMap, HashSet};
use std::time::Instant;

/// The conninfos of source and target.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// The database that is read.
    pub source: Conninfo,
    /// The database that is written.
    pub target: Conninfo,
}

impl Endpoints {
    /// Parses both conninfos; the errors of both are reported together.
    pub fn new(options: &ConnectionOptions, context: &Context) -> Result<Self> {
        let source = Conninfo::parse(options.source.expose(), &context.env);
        let target = Conninfo::parse(options.target.expose(), &context.env);
        match (source, target) {
            (Ok(source), Ok(target)) => Ok(Endpoints { source, target }),
            (source, target) => Err(both_problems([(Side::Source, source.err()), (Side::Target, target.err())])),
        }
    }
}

fn both_problems(sides: [(Side, Option<Error>); 2]) -> Error {
    let problems = sides.into_iter().filter_map(|(side, error)| {
        let error = error?;
        let remedy = error.remedy.as_deref().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
        Some(format!("{side}: {}{remedy}", error.chain()))
    });
    Error::config(problems.collect())
}

/// The source, opened for reading in one snapshot.
pub struct Source {
    /// The session that holds the snapshot.
    pub leader: Session,
    /// The snapshot that every reader uses.
    pub snapshot: Snapshot,
    /// Seconds that the leader waits for a lock; 0: no limit.
    pub lock_timeout: u64,
    /// Tables whose locks the leader has requested.
    asked: HashSet<QualifiedName>,
    /// Locked tables whose rows the snapshot no longer returns.
    changed: Vec<ChangedTable>,
}

impl Source {
    /// Opens the leader and exports its snapshot. No query of the catalog waits longer than `lock_timeout` seconds for a lock.
    pub async fn open(conninfo: &Conninfo, lock_timeout: u64) -> Result<Source> {
        let leader = Session::open(conninfo, Side::Source, "leader").await?;
        apply::limit_lock_wait(&leader, lock_timeout).await?;
        let snapshot = snapshot::export(&leader).await?;
        Ok(Source { leader, snapshot, lock_timeout, asked: HashSet::new(), changed: Vec::new() })
    }

    /// Opens the leader in a snapshot that another process holds.
    pub async fn adopt(conninfo: &Conninfo, lock_timeout: u64, held: &Snapshot) -> Result<Source> {
        let leader = Session::open(conninfo, Side::Source, "leader").await?;
        apply::limit_lock_wait(&leader, lock_timeout).await?;
        let snapshot = snapshot::adopt(&leader, held).await?;
        Ok(Source { leader, snapshot, lock_timeout, asked: HashSet::new(), changed: Vec::new() })
    }

    /// Refuses a source whose catalog cannot be read as text, with the names of the objects that prevent it.
    pub async fn refuse_raw_texts(&self) -> Result<()> {
        refuse(raw_text::check(&self.leader).await?).map(drop)
    }

    /// Locks all tables that the filters choose by name; further tables of the plan are locked once there is a plan.
    pub async fn lock_scope(&mut self, scope: &ScopeOptions) -> Result<()> {
        let all = table_lock::lockable(&self.leader).await?;
        let by_oid: HashMap<Oid, &Lockable> = all.iter().map(|table| (table.oid, table)).collect();
        let names = Names::new(scope);
        let mut tables = Vec::new();
        for table in all.iter().filter(|table| table.holds_rows) {
            let mut line = vec![&table.name];
            let mut next = table.partition_of;
            while let Some(parent) = next.and_then(|oid| by_oid.get(&oid)) {
                line.push(&parent.name);
                next = parent.partition_of;
            }
            if names.choose(&line) {
                tables.push(table.name.clone());
            }
        }
        self.lock_all(tables).await?;
        self.refuse_changed(|_| true)
    }

    /// As [`Source::lock`], for a caller that reads the catalog next: the catalog's queries would wait for the same locks, and fail without
    /// naming the session that holds them.
    pub async fn lock_all(&mut self, tables: impl IntoIterator<Item = QualifiedName>) -> Result<()> {
        let refused = self.lock(tables).await?;
        refused.into_iter().find(|error| error.is("55P03")).map_or(Ok(()), Err)
    }

    /// Locks those of `tables` for which no lock was requested before, and notes which of them the snapshot no longer returns; returns the
    /// errors of those that cannot be locked. Each reader locks what it reads, and so its error names the session that blocks it.
    pub async fn lock(&mut self, tables: impl IntoIterator<Item = QualifiedName>) -> Result<Vec<Error>> {
        let mut new = Vec::new();
        for table in tables {
            if self.asked.insert(table.clone()) {
                new.push(table);
            }
        }
        let locked = table_lock::lock(&self.leader, &new, self.lock_timeout).await?;
        for (table, error) in &locked.refused {
            tracing::warn!("{table} could not be locked on the source: {}", error.chain());
        }
        self.changed.extend(table_lock::changed(&self.leader, &locked.held).await?);
        Ok(locked.refused.into_iter().map(|(_, error)| error).collect())
    }

    /// Refuses to read on in the snapshot where it does not return the rows of a table that is still to be read.
    pub fn refuse_changed(&self, is_read: impl Fn(&QualifiedName) -> bool) -> Result<()> {
        let changed: Vec<ChangedTable> = self.changed.iter().filter(|one| is_read(&one.table)).cloned().collect();
        table_lock::refuse(&changed)
    }

    /// Everything that the source contains, in the snapshot: `pg_dump` and pgmigrate's own queries run at the same time. Where only rows
    /// are moved, no archive is read.
    pub async fn catalog(&self, scope: &ScopeOptions, tools: Option<&Tools>) -> Result<Catalog> {
        let tools = tools.filter(|_| !scope.data_only);
        self.refuse_raw_texts().await?;
        let filter = dump_filter::of(scope, &self.leader).await?;
        let entries = async {
            match tools {
                Some(tools) => {
                    let (snapshot, wait) = (Some(self.snapshot.id.as_str()), self.lock_timeout);
                    archive::read_schema(tools, self.leader.conninfo(), snapshot, wait, &filter.options).await
                }
                None => Ok(Vec::new()),
            }
        };
        let began = Instant::now();
        let queries = async {
            let catalog = introspect::catalog(&self.leader).await?;
            tracing::info!("catalog done in {:.1} s", began.elapsed().as_secs_f64());
            Ok(catalog)
        };
        let (mut catalog, entries) = tokio::try_join!(Box::pin(queries), Box::pin(entries))?;
        (catalog.entries, catalog.pg_dump) = (entries, tools.map(|tools| tools.major));
        plan::columns::exclude(&mut catalog.relations, &scope.tables);
        Ok(catalog)
    }

    /// Builds the plan; an entry of the configuration that matches nothing is an error.
    pub async fn plan(&self, catalog: &Catalog, options: PlanOptions<'_>) -> Result<PlanDraft> {
        let schemas = introspect::schemas(&self.leader).await?;
        let problems = plan::check(catalog, &schemas, options.scope);
        if !problems.is_empty() {
            return Err(Error::config(problems));
        }
        Ok(plan::build(catalog, options, self.ask(catalog, options).await?))
    }

    async fn ask(&self, catalog: &Catalog, options: PlanOptions<'_>) -> Result<Answers> {
        let mut answers = Answers::new();
        let questions = plan::questions(catalog, options);
        if questions.is_empty() {
            return Ok(answers);
        }
        let path = introspect::search_path(&self.leader).await?;
        keys::begin(&self.leader).await?;
        for (table, question) in questions {
            let answer = match keys::answer(&self.leader, table, question).await {
                // The planner reads the table's indexes, whose functions may name objects without a schema.
                Err(error) if error.is_undefined() => {
                    keys::answer_by_path(&self.leader, table, question, &path).await.map_err(|_| error)?
                }
                answer => answer?,
            };
            answers.extend(answer.map(|answer| (table.oid, answer)));
        }
        keys::end(&self.leader).await?;
        Ok(answers)
    }
}
