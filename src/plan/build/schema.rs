//! The archive's entries as tasks: pre-data in the archive's order, post-data as soon as a table's last chunk is copied.
//!
//! An index or a constraint requires the rows of its table and no other data, so it is built while other tables are still copied. A key is
//! built as a unique index first, so that other indexes of the table can be built at the same time; ADD CONSTRAINT ... USING INDEX then
//! takes a moment (<https://www.postgresql.org/docs/current/sql-altertable.html>). Foreign keys are added NOT VALID and validated
//! separately, because validation holds no lock that another one needs. For small tables both are one step.

use super::builder::Builder;
use super::extension;
use super::inputs::{Inputs, phases};
use super::order;
use super::statistics::Travel;
use crate::catalog::archive::{Entry, Section};
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::secret;
use crate::catalog::{Constraint, Oid, Relation, RelationKind};
use crate::name::ident;
use crate::plan::cost::SMALL;
use crate::plan::foreign_key::{self, ForeignKey};
use crate::plan::{Phase, Subject, Task, TaskKind};
use std::collections::BTreeMap;

/// Adds everything that must exist before rows are copied, with its comments and labels.
pub fn push_pre_data(inputs: &Inputs<'_>, builder: &mut Builder) {
    let mut servers: Vec<(&str, usize)> = Vec::new();
    for entry in inputs.entries().filter(|entry| belongs_before_data(entry)) {
        let mut task = entry_task(inputs, entry, Phase::PreData);
        task.after = phases(&[Phase::Roles]);
        let mut requires = builder.completing(entry);
        // In the archive, only the name of a user mapping shows its server.
        if entry.kind == ObjectKind::UserMapping {
            let of = servers.iter().filter(|(name, _)| entry.tag.ends_with(&format!(" SERVER {name}")));
            requires.extend(of.max_by_key(|(name, _)| name.len()).map(|(_, at)| *at));
        }
        // A comment on an object that is made later, such as an index, is added with that.
        if entry.section == Section::None && requires.is_empty() {
            continue;
        }
        let at = builder.push(task, requires);
        builder.by_entry.insert(entry.id, at);
        if entry.kind == ObjectKind::Server {
            servers.push((entry.tag.as_str(), at));
        }
    }
}

fn belongs_before_data(entry: &Entry) -> bool {
    entry.section == Section::PreData || matches!(entry.kind, ObjectKind::Comment | ObjectKind::SecurityLabel)
}

fn entry_task(inputs: &Inputs<'_>, entry: &Entry, phase: Phase) -> Task {
    let mut task = Task::new(phase, &entry.kind, &entry.namespace, &entry.tag);
    let statement = entry.with_settings(inputs.options.schema.tablespaces);
    match secret::redact(&entry.kind, &statement) {
        Some(redacted) => (task.target_sql, task.source_sql) = (redacted.statement, redacted.query),
        None => task.target_sql = statement,
    }
    task.optional_sql = inputs.owner_statement(entry);
    task
}

/// Adds what is made after rows are copied, except privileges and event triggers.
pub fn push_post_data(inputs: &Inputs<'_>, builder: &mut Builder) {
    let (children, relation_of) = (inputs.children(), relations_of(inputs));
    let later = Later { inputs, children, relation_of, has_late_rows: order::has_late_rows(inputs) };
    let (keys, others): (Vec<&Entry>, Vec<&Entry>) = inputs
        .entries()
        .filter(|entry| entry.section == Section::PostData)
        .partition(|entry| entry.kind.is_made_with_indexes());
    for entry in keys {
        later.push_index_or_key(builder, entry);
    }
    later.push_analyze(builder);
    for entry in others.iter().filter(|entry| entry.kind == ObjectKind::FkConstraint) {
        later.push_foreign_key(builder, entry);
    }
    for entry in others.iter().filter(|entry| {
        !matches!(entry.kind, ObjectKind::FkConstraint | ObjectKind::DefaultAcl | ObjectKind::EventTrigger)
    }) {
        later.push_other(builder, entry);
    }
    later.push_comments(builder);
}

/// The relation of each entry that is one; without entries, all of them.
fn relations_of<'a>(inputs: &'a Inputs<'a>) -> BTreeMap<i32, &'a Relation> {
    if inputs.options.scope.data_only {
        return (0..).zip(&inputs.catalog.relations).collect();
    }
    let relations = inputs.entries().filter(|entry| {
        matches!(entry.kind, ObjectKind::Table | ObjectKind::MaterializedView | ObjectKind::ForeignTable)
    });
    relations.filter_map(|entry| Some((entry.id, *inputs.lookup.relations.get(&entry.oid)?))).collect()
}

struct Later<'a> {
    inputs: &'a Inputs<'a>,
    children: BTreeMap<Oid, Vec<Oid>>,
    relation_of: BTreeMap<i32, &'a Relation>,
    has_late_rows: bool,
}

impl<'a> Later<'a> {
    fn relations(&self, entry: &Entry) -> Vec<&'a Relation> {
        entry.dependencies.iter().filter_map(|id| self.relation_of.get(id).copied()).collect()
    }

    fn data_below(&self, builder: &Builder, oid: Oid) -> Vec<usize> {
        builder.data_below(oid, &self.children)
    }

    /// An index, a key, a part of a partitioned index, or extended statistics.
    fn push_index_or_key(&self, builder: &mut Builder, entry: &Entry) {
        let on_view = self.relations(entry).iter().any(|r| r.kind == RelationKind::MaterializedView);
        if on_view {
            return;
        }
        match self.inputs.lookup.constraints.get(&entry.oid).filter(|_| entry.kind == ObjectKind::Constraint) {
            Some(constraint) => self.push_key(builder, entry, constraint),
            // Not a key, but a NOT NULL that is not checked for existing rows.
            None if entry.kind == ObjectKind::Constraint => self.push_other(builder, entry),
            None => self.push_index(builder, entry),
        }
    }

    /// A task for an entry of post-data.
    fn task(&self, entry: &Entry, phase: Phase, after: Vec<String>) -> Task {
        let mut task = entry_task(self.inputs, entry, phase);
        task.after = after;
        task
    }

    fn push_index(&self, builder: &mut Builder, entry: &Entry) {
        let mut requires = builder.completing(entry);
        let index = self.inputs.lookup.indexes.get(&entry.oid).filter(|_| entry.kind == ObjectKind::Index);
        let mut task = self.task(entry, Phase::Index, order::index(self.inputs, index.copied()));
        if let Some(index) = index {
            requires.extend(builder.data_of.get(&index.relation).into_iter().flatten());
            task.bytes = index.bytes;
            task.name.clone_from(&index.name.name);
        }
        if entry.kind == ObjectKind::Statistics {
            // A COPY with FREEZE locks its table until the end.
            requires.extend(self.relations(entry).iter().flat_map(|relation| self.data_below(builder, relation.oid)));
        }
        let at = builder.push(task, requires);
        builder.by_entry.insert(entry.id, at);
        let configuration = extension::read_by(builder, entry);
        builder.wait_for(at, configuration);
        // ANALYZE fills extended statistics, too, and can deadlock with the attaching of indexes.
        let relations = self.relations(entry);
        for relation in &relations {
            builder.indexes_of.entry(relation.oid).or_default().push(at);
        }
        if entry.kind == ObjectKind::IndexAttach
            && let Some(relation) = relations.first()
        {
            self.attach_one_by_one(builder, relation, at);
        }
    }

    /// If two transactions attach indexes in one partition tree at the same time, neither may see that the root is complete now, and its
    /// index would stay invalid for good.
    fn attach_one_by_one(&self, builder: &mut Builder, relation: &Relation, at: usize) {
        let root = self.inputs.lookup.ancestors(relation).last().map_or(relation.oid, |root| root.oid);
        let last = builder.attached_in.insert(root, at);
        builder.wait_for(at, last);
    }

    fn push_key(&self, builder: &mut Builder, entry: &Entry, constraint: &Constraint) {
        let mut requires = builder.completing(entry);
        requires.extend(builder.data_of.get(&constraint.relation).into_iter().flatten());
        let after = order::constraint(self.inputs, constraint);
        let mut task = self.task(entry, Phase::Constraint, after);
        if let Some((index, sql)) = self.key_over_index(entry, constraint) {
            let at = builder.push(index, requires.clone());
            builder.indexes_of.entry(constraint.relation).or_default().push(at);
            requires.push(at);
            task.target_sql = sql;
        }
        let at = builder.push(task, requires);
        builder.by_entry.insert(entry.id, at);
        builder.indexes_of.entry(constraint.relation).or_default().push(at);
    }

    /// A key in two steps, if these make the same key: the index's own task, and the constraint's statement. Not for constraints that
    /// cannot be made from an index (exclusion, WITHOUT OVERLAPS, a partitioned parent), nor if the entry contains more than the key, nor
    /// for tables for which no other task waits that long.
    fn key_over_index(&self, entry: &Entry, constraint: &Constraint) -> Option<(Task, String)> {
        let index = self.inputs.lookup.indexes.get(&constraint.index?)?;
        let table = self.inputs.lookup.relations.get(&constraint.relation)?;
        let fits = matches!(constraint.kind, 'p' | 'u')
            && !constraint.is_temporal
            && table.kind == RelationKind::Table
            && table.total_bytes > SMALL
            && index.is_valid
            && !index.is_clustered
            && !index.is_replica_identity;
        if !fits {
            return None;
        }
        let mut task =
            Task::new(Phase::Index, TaskKind::Entry(ObjectKind::Index), &index.name.schema, &index.name.name);
        task.after = order::index(self.inputs, Some(index));
        task.target_sql = Entry { statement: index.statement.clone(), ..entry.clone() }
            .with_settings(self.inputs.options.schema.tablespaces);
        task.bytes = index.bytes;
        let word = if constraint.kind == 'p' { "PRIMARY KEY" } else { "UNIQUE" };
        let mut sql = format!(
            "ALTER TABLE ONLY {}\n    ADD CONSTRAINT {} {word} USING INDEX {}",
            table.name.sql(),
            ident(&constraint.name),
            ident(&index.name.name)
        );
        if constraint.is_deferrable {
            sql += if constraint.is_deferred { " DEFERRABLE INITIALLY DEFERRED" } else { " DEFERRABLE" };
        }
        Some((task, sql))
    }

    /// Statistics of a table after its indexes are built, because those on expressions have statistics of their own; of a partition tree
    /// once, at its root, which includes all of it.
    fn push_analyze(&self, builder: &mut Builder) {
        if !self.inputs.options.schema.analyze_after_load {
            return;
        }
        let extended = self.inputs.entries().filter(|entry| entry.kind == ObjectKind::Statistics);
        let travel = Travel::new(
            self.inputs,
            extended.flat_map(|entry| self.relations(entry)).map(|relation| relation.oid).collect(),
        );
        for relation in self.relation_of.values().filter(|relation| is_analyzed(relation)) {
            let below = self.data_below(builder, relation.oid);
            if below.is_empty() {
                continue;
            }
            let indexes: Vec<usize> = self
                .tree(relation.oid)
                .iter()
                .filter_map(|oid| builder.indexes_of.get(oid))
                .flatten()
                .copied()
                .collect();
            let mut task = Task::new(
                Phase::Analyze,
                TaskKind::Analyze,
                &relation.name.schema,
                crate::name::readable(&relation.name.name),
            );
            task.set_analyze(&relation.name);
            task.after = order::analyze(self.inputs, &self.tree(relation.oid));
            if let Some(sql) = travel.source_sql(relation, &self.tree(relation.oid)) {
                task.kind = TaskKind::Entry(ObjectKind::StatisticsData);
                task.source_sql = sql;
            }
            let at = builder.push(task, below);
            builder.wait_for(at, indexes);
            for oid in self.tree(relation.oid) {
                builder.analyze_of.insert(oid, at);
            }
        }
    }

    /// A relation and everything below it.
    fn tree(&self, oid: Oid) -> Vec<Oid> {
        let mut all = vec![oid];
        let mut next = 0;
        while let Some(parent) = all.get(next).copied() {
            all.extend(self.children.get(&parent).into_iter().flatten());
            next += 1;
        }
        all
    }

    fn push_foreign_key(&self, builder: &mut Builder, entry: &Entry) {
        let Some(constraint) = self.inputs.lookup.constraints.get(&entry.oid) else {
            return self.push_other(builder, entry);
        };
        let mut requires = builder.completing(entry);
        let ends = [Some(constraint.relation), constraint.referenced];
        for oid in ends.into_iter().flatten() {
            requires.extend(self.data_below(builder, oid));
        }
        let analyzed: Vec<usize> =
            ends.iter().flatten().filter_map(|oid| builder.analyze_of.get(oid).copied()).collect();
        let mut task = self.task(entry, Phase::Constraint, order::constraint(self.inputs, constraint));
        let checked = self.checked_key(constraint);
        let is_apart = checked.as_ref().is_some_and(|(_, is_small)| !is_small);
        if let Some((key, _)) = &checked {
            let sql = key.add(&constraint.definition);
            task.target_sql = if is_apart { foreign_key::unchecked(&sql) } else { sql };
            task.subject = Some(Subject::ForeignKey(key.clone()));
        }
        let name = task.name.clone();
        let at = builder.push(task, requires);
        builder.by_entry.insert(entry.id, at);
        self.add_one_by_one(builder, constraint, at);
        let last = checked.filter(|_| is_apart).map_or(at, |(key, _)| {
            let mut task = Task::new(Phase::Constraint, TaskKind::FkValidation, &entry.namespace, name);
            task.target_sql = key.validation();
            task.subject = Some(Subject::ForeignKey(key));
            builder.push(task, vec![at])
        });
        builder.wait_for(last, analyzed);
    }

    /// A foreign key on or to a partitioned table makes keys of the partitions, whose names depend on existing ones: in a partition tree
    /// they are added in the archive's order.
    fn add_one_by_one(&self, builder: &mut Builder, constraint: &Constraint, at: usize) {
        let ends = [Some(constraint.relation), constraint.referenced].into_iter().flatten();
        let relations = ends.filter_map(|oid| self.inputs.lookup.relations.get(&oid).copied());
        let is_tree = |r: &&Relation| r.kind == RelationKind::Partitioned || r.partition_of.is_some();
        for relation in relations.clone().filter(|_| relations.clone().any(|relation| is_tree(&relation))) {
            let root = self.inputs.lookup.ancestors(relation).last().map_or(relation.oid, |root| root.oid);
            let last = builder.keyed_in.insert(root, at);
            builder.wait_for(at, last);
        }
    }

    /// A foreign key whose check may be a separate step, and whether it has too few rows for that. Partitioned tables do
    /// not allow NOT VALID before 18, and a key that was NOT VALID or NOT ENFORCED on the source stays so.
    fn checked_key(&self, constraint: &Constraint) -> Option<(ForeignKey, bool)> {
        let table = self.inputs.lookup.relations.get(&constraint.relation)?;
        let referenced = self.inputs.lookup.relations.get(&constraint.referenced?)?;
        let plain = table.kind == RelationKind::Table && referenced.kind == RelationKind::Table;
        if !plain || !constraint.is_validated || !constraint.is_enforced {
            return None;
        }
        let is_small = table.total_bytes + referenced.total_bytes <= SMALL;
        Some((ForeignKey { table: table.name.clone(), name: constraint.name.clone() }, is_small))
    }

    /// Triggers, rules, policies and the like: they must not apply to the rows that are copied.
    fn push_other(&self, builder: &mut Builder, entry: &Entry) {
        let mut requires = builder.completing(entry);
        let relations = self.relations(entry);
        for relation in &relations {
            requires.extend(self.data_below(builder, relation.oid));
        }
        let after = order::other(&entry.kind, !relations.is_empty() && !self.has_late_rows);
        let task = self.task(entry, Phase::PostData, after);
        let at = builder.push(task, requires);
        builder.by_entry.insert(entry.id, at);
    }

    /// Comments on objects that are made only now.
    fn push_comments(&self, builder: &mut Builder) {
        let open = self.inputs.entries().filter(|entry| belongs_before_data(entry) && entry.section == Section::None);
        let open: Vec<&Entry> = open.filter(|entry| !builder.by_entry.contains_key(&entry.id)).collect();
        for entry in open {
            let requires = builder.completing(entry);
            if !requires.is_empty() {
                let at = builder.push(entry_task(self.inputs, entry, Phase::PostData), requires);
                builder.by_entry.insert(entry.id, at);
            }
        }
    }
}

fn is_analyzed(relation: &Relation) -> bool {
    matches!(relation.kind, RelationKind::Table | RelationKind::Partitioned) && relation.partition_of.is_none()
}
