//! The parts of a plan, as values: phases, tasks and what it depends on.

use super::foreign_key::ForeignKey;
use super::merge::Load;
use super::subject::{LargeObjectBatch, MemberOf, Statements, Subject, analyze_sql};
use super::task_kind::TaskKind;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::scope::Absent;
use crate::closed_set::text_or_empty;
use crate::config::OnExisting;
use crate::finding::Finding;
use crate::name::{QualifiedName, readable};
use crate::phase::Phase;
use crate::row_format::RowFormat;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of a plan's text, raised when an older program could misread one.
pub const VERSION: u32 = 3;

/// In a task's `after`, the rows of all tables whose tasks do not have this word themselves.
pub const OTHER_ROWS: &str = "other-rows";

/// One thing to do, done and recorded in one transaction of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Its name in the plan, the ledger and the state file.
    pub id: String,
    /// Its phase.
    pub phase: Phase,
    /// What it does.
    pub kind: TaskKind,
    /// The object's schema, empty where it has none.
    pub schema: String,
    /// The object's name; preceded by its table's name if it belongs to one.
    pub name: String,
    /// The tasks that must have succeeded.
    pub requires: Vec<String>,
    /// Tasks, whole phases, or the rows of other tables (`other-rows`) that must have ended, with any result.
    pub after: Vec<String>,
    /// Rows by the source's statistics.
    pub rows: u64,
    /// Bytes by the source's statistics.
    pub bytes: u64,
    /// The format of the rows of a data task.
    #[serde(serialize_with = "text_or_empty")]
    pub format: Option<RowFormat>,
    /// What a data task does if its table exists and holds rows.
    #[serde(serialize_with = "text_or_empty")]
    pub on_existing: Option<OnExisting>,
    /// The statement on the source.
    pub source_sql: String,
    /// The statements on the target.
    pub target_sql: String,
    /// Statements that the target may refuse without a failure of the task, such as for the owner; a refusal is reported.
    pub optional_sql: String,
    /// The statement that moves staged rows into a table that existed before.
    pub merge_sql: String,
    /// What a reader should know.
    pub note: String,
    /// What the statements on the target are about; none for statements that only run.
    #[serde(skip)]
    pub subject: Option<Subject>,
}

impl Task {
    /// A task without dependencies.
    #[must_use]
    pub fn new(phase: Phase, kind: impl Into<TaskKind>, schema: impl Into<String>, name: impl Into<String>) -> Self {
        Task {
            id: String::new(),
            phase,
            kind: kind.into(),
            schema: schema.into(),
            name: name.into(),
            requires: Vec::new(),
            after: Vec::new(),
            rows: 0,
            bytes: 0,
            format: None,
            on_existing: None,
            source_sql: String::new(),
            target_sql: String::new(),
            optional_sql: String::new(),
            merge_sql: String::new(),
            note: String::new(),
            subject: None,
        }
    }

    /// The object as people read it.
    #[must_use]
    pub fn object(&self) -> String {
        match &self.kind {
            _ if self.schema.is_empty() => self.name.clone(),
            // The archive names these by kind and name: `TABLE flights`.
            TaskKind::Entry(
                ObjectKind::Acl | ObjectKind::Comment | ObjectKind::SecurityLabel | ObjectKind::DefaultAcl,
            ) => format!("{} in {}", self.name, readable(&self.schema)),
            TaskKind::Data
            | TaskKind::Truncate
            | TaskKind::SequenceValue
            | TaskKind::Entry(ObjectKind::Index)
            | TaskKind::FkCheck => format!("{}.{}", readable(&self.schema), readable(&self.name)),
            _ => format!("{}.{}", readable(&self.schema), self.name),
        }
    }

    /// The task's object after its kind, unless it says itself what it is: `large object 7001`.
    #[must_use]
    pub fn title(&self) -> String {
        let object = self.object();
        if object.starts_with("large object") { object } else { format!("{} {object}", self.kind) }
    }

    /// Whether the task copies rows of a table.
    #[must_use]
    pub fn is_data(&self) -> bool {
        self.kind == TaskKind::Data
    }

    /// Whether the task follows from others, or from the size of a table, and defines no object by itself.
    #[must_use]
    pub fn is_derived(&self) -> bool {
        matches!(
            self.kind,
            TaskKind::Truncate
                | TaskKind::FkDrop
                | TaskKind::FkRestore
                | TaskKind::FkCheck
                | TaskKind::FkValidation
                | TaskKind::Analyze
                | TaskKind::Entry(ObjectKind::StatisticsData)
                | TaskKind::LargeObjects
        ) || self.grants_on_large_objects()
    }

    /// Where the rows of a data task are stored.
    #[must_use]
    pub fn load(&self) -> Option<&Load> {
        if let Some(Subject::Load(load)) = &self.subject { Some(load) } else { None }
    }

    /// The foreign key that a task adds or checks; none where the check is no separate step.
    #[must_use]
    pub fn foreign_key(&self) -> Option<&ForeignKey> {
        if let Some(Subject::ForeignKey(key)) = &self.subject { Some(key) } else { None }
    }

    /// The large objects that a task copies.
    #[must_use]
    pub fn large_object_batch(&self) -> Option<&LargeObjectBatch> {
        if let Some(Subject::LargeObjects(batch)) = &self.subject { Some(batch) } else { None }
    }

    /// The membership that a task grants.
    #[must_use]
    pub fn membership(&self) -> Option<&MemberOf> {
        if let Some(Subject::Membership(membership)) = &self.subject { Some(membership) } else { None }
    }

    /// Makes a data task copy its rows in this way.
    pub fn set_load(&mut self, load: Load) {
        self.source_sql = load.source_sql(&self.source_table());
        (self.target_sql, self.merge_sql) = (load.copy_sql(), load.merge_sql());
        self.subject = Some(Subject::Load(load));
    }

    /// Makes a task analyze that table.
    pub fn set_analyze(&mut self, table: &QualifiedName) {
        self.target_sql = analyze_sql(table);
        self.subject = Some(Subject::Analyze(table.clone()));
    }

    /// Its statements.
    #[must_use]
    pub fn statements(&self) -> Statements<'_> {
        Statements {
            table: self.source_table(),
            source: &self.source_sql,
            target: &self.target_sql,
            optional: &self.optional_sql,
            merge: &self.merge_sql,
        }
    }

    /// The source's table that a data task reads.
    #[must_use]
    pub fn source_table(&self) -> QualifiedName {
        QualifiedName::new(&self.schema, &self.name)
    }
}

/// What a plan depends on; a run compares it with what it finds and refuses the plan if they differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of this file's format.
    pub version: u32,
    /// The source's identity.
    pub source: String,
    /// The source's `server_version_num` when the plan was made.
    pub source_version: u32,
    /// The major of the `pg_dump` that wrote the definitions; none if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pg_dump: Option<u32>,
    /// The configuration, without secrets.
    pub config: serde_json::Value,
    /// A digest of each table's columns, indexes and constraints.
    pub tables: BTreeMap<String, String>,
    /// What will not exist on the target.
    pub absent: Vec<Absent>,
    /// What a reader of the plan should know.
    pub findings: Vec<Finding>,
}

#[cfg(test)]
impl Header {
    /// A header for tests: of a plan without findings, of a source of 16.
    #[must_use]
    pub fn example() -> Self {
        Self {
            version: VERSION,
            source: "1/2/db".into(),
            source_version: 160_014,
            pg_dump: None,
            config: serde_json::json!({"options": {"format": "auto"}}),
            tables: BTreeMap::from([("s.t".into(), "00".into())]),
            absent: vec![],
            findings: vec![],
        }
    }
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What it depends on.
    pub header: Header,
    /// The tasks; each is after those that it requires. Those of pre-data run in this order, which is the archive's.
    pub tasks: Vec<Task>,
}

impl Plan {
    /// The task of that id.
    #[must_use]
    pub fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }
}
