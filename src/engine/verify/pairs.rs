//! Pairs each table of the plan with its counterpart: which rows of both sides must be the same, and how they are read.
//!
//! Rows are compared where they are stored: leaves that the plan copies through their root are compared at the root. Decides only; `rows`
//! reads and compares, with the statements that `pg::compare::rows` writes.

use super::item::Item;
use super::pair::{Pair, SourceRows};
use super::subject::{RunHistory, Sides, Subject};
use crate::catalog::{Column, Lookup, Relation, RelationKind};
use crate::config::TableOptions;
use crate::engine::target::column_mapping::TypeCompatibility;
use crate::name::QualifiedName;
use crate::pg::compare::rows;
use crate::pg::copy::RowSum;
use crate::plan::mapping::TableMapping;
use crate::plan::{Plan, Rules, Task};
use crate::record::RowMode;
use crate::row_format::RowFormat;
use crate::status::{TableStatus, TaskStatus};
use crate::verification::{Difference, DifferenceKind, TableResult, Verification};
use std::collections::HashMap;

/// An item of work for each table whose rows the plan moves.
pub fn build(subject: &Subject<'_>, sides: &Sides) -> Vec<Item> {
    let by_name = |relations| Iterator::map(<[Relation]>::iter(relations), |r| (r.name.sql(), r)).collect();
    let pairing = Pairing {
        rules: Rules::new(&subject.options.scope.tables),
        history: &sides.history,
        lookup: sides.source.lookup(),
        source: by_name(&sides.source.relations),
        target: by_name(&sides.target.relations),
        compatibility: sides.compatibility.as_ref(),
        writes_lsn_in_two_forms: sides.source.server.version.pads_lsn() != sides.target.server.version.pads_lsn(),
    };
    let item = |group: TableTasks<'_>| {
        let object = pairing.object(&group);
        match pairing.matched(&group, &object) {
            Ok(matched) => Item::Table(Box::new(pairing.pair(&group, &matched, object))),
            Err(part) => Item::Settled(Box::new(settled(object, *part))),
        }
    };
    groups(subject.plan).into_iter().map(item).collect()
}

/// The data tasks whose rows are stored in one table, whose quoted name is `into`.
struct TableTasks<'a> {
    object: String,
    into: String,
    tasks: Vec<&'a Task>,
}

fn groups(plan: &Plan) -> Vec<TableTasks<'_>> {
    let mut groups: Vec<TableTasks<'_>> = Vec::new();
    let mut position: HashMap<String, usize> = HashMap::new();
    for task in plan.tasks.iter().filter(|task| task.is_data()) {
        let into = task.load().map(|load| load.into.sql()).unwrap_or_default();
        let at = *position.entry(into.clone()).or_insert_with(|| {
            groups.push(TableTasks { object: task.object(), into, tasks: Vec::new() });
            groups.len() - 1
        });
        groups[at].tasks.push(task);
    }
    groups
}

/// A table that was settled without reading rows.
fn settled(object: String, mut part: Verification) -> Verification {
    let (status, note) = match part.unchecked.first() {
        Some(unchecked) => (TableStatus::Unchecked, unchecked.reason.clone()),
        None => (TableStatus::Different, part.differences.first().map(|d| d.message.clone()).unwrap_or_default()),
    };
    part.tables.push(TableResult::unread(object, status, note));
    part
}

struct Pairing<'a> {
    rules: Rules<'a>,
    history: &'a RunHistory,
    lookup: Lookup<'a>,
    /// The source's relations by quoted name.
    source: HashMap<String, &'a Relation>,
    /// The target's.
    target: HashMap<String, &'a Relation>,
    compatibility: Option<&'a TypeCompatibility>,
    writes_lsn_in_two_forms: bool,
}

/// The relations of a group.
struct MatchedRelations<'a> {
    /// The source's table by which rows are compared: the one of the target's name.
    like: &'a Relation,
    /// The source's table of each task.
    relations: Vec<&'a Relation>,
    /// The target's table.
    target: &'a Relation,
}

impl<'a> Pairing<'a> {
    fn object(&self, group: &TableTasks<'_>) -> String {
        self.source.get(&group.into).map_or_else(|| group.object.clone(), |relation| relation.name.to_string())
    }

    /// The relations, or the result where some are missing.
    fn matched(&self, group: &TableTasks<'_>, object: &str) -> Result<MatchedRelations<'a>, Box<Verification>> {
        let of_task = |task: &&Task| self.source.get(&QualifiedName::new(&task.schema, &task.name).sql()).copied();
        let relations: Option<Vec<&Relation>> = group.tasks.iter().map(of_task).collect();
        let mut part = Box::new(Verification::default());
        let (Some(relations), Some(like)) = (relations, self.source.get(&group.into).copied()) else {
            part.push_unchecked(object, "the table is no longer on the source");
            return Err(part);
        };
        let Some(target) = self.target.get(&group.into).copied() else {
            let message = "the table is missing on the target";
            part.push_difference(Difference::new(DifferenceKind::MissingObject, object, message));
            return Err(part);
        };
        let matched = MatchedRelations { like, relations, target };
        let missing = missing_columns(&matched);
        if missing.is_empty() {
            return Ok(matched);
        }
        let message = "columns of the source are missing on the target";
        part.push_difference(Difference::new(DifferenceKind::DifferentObject, object, message).columns(missing));
        Err(part)
    }

    fn pair(&self, group: &TableTasks<'_>, matched: &MatchedRelations<'a>, object: String) -> Pair {
        let mapping = self.compatibility.and_then(|compatibility| compatibility.mapping(matched.like, matched.target));
        let columns = mapping.as_ref().map_or_else(|| names(matched.like), TableMapping::names);
        let in_order = matched.relations.iter().all(|relation| names(relation) == names(matched.like));
        let (format, source_checksum) = self.format(group, matched, in_order);
        let values = self.values(matched, &columns);
        // The rows as sent have the text form of one of the two versions.
        let source_checksum = source_checksum.filter(|_| values.is_empty() || format == RowFormat::Binary);
        let source = group.tasks.iter().filter_map(|task| {
            let query = task.load()?.rows_of(&task.source_table());
            Some(match &mapping {
                Some(to) => SourceRows::of(to.query(&query)),
                None if in_order => SourceRows { query, copy: task.source_sql.clone() },
                None => SourceRows::of(rows::reordered(&query, &columns)),
            })
        });
        let query = self.query(group, matched, &names(matched.like));
        let query = mapping.as_ref().map_or(query.clone(), |to| to.query(&query));
        let on_target = if matched.like.is_configuration() {
            rows::all(matched.like, None)
        } else {
            rows::on_target(&group.into, matched.target.kind == RelationKind::Partitioned)
        };
        let comparable = |query: String| if values.is_empty() { query } else { rows::with_values(&query, &values) };
        let mut modes = group.tasks.iter().map(|task| self.history.mode(&task.object()));
        let options = self.options(matched.like);
        Pair {
            keys: self.keys(matched.like, &columns),
            source: source.collect(),
            reads: matched.relations.iter().map(|relation| relation.name.clone()).collect(),
            target: rows::copy(&on_target, &columns),
            queries: (comparable(query), comparable(on_target)),
            values,
            held_rows: modes.any(|mode| matches!(mode, Some(RowMode::Append | RowMode::Merge))),
            is_a_choice: options.limit.is_some() && options.order_by.is_none(),
            object,
            columns,
            format,
            source_checksum,
        }
    }

    /// The values that replace each column in text, where source and target write `pg_lsn` in two forms.
    fn values(&self, matched: &MatchedRelations<'_>, columns: &[String]) -> Vec<String> {
        let lsn = |name: &String| {
            let found = matched.like.columns.iter().find(|column| column.name.as_str() == name.as_str());
            found.and_then(|column| column.lsn)
        };
        if !self.writes_lsn_in_two_forms || columns.iter().all(|name| lsn(name).is_none()) {
            return Vec::new();
        }
        columns.iter().map(|name| rows::value(name, lsn(name))).collect()
    }

    /// The columns of the key; none where not all of it is compared.
    fn keys(&self, relation: &Relation, columns: &[String]) -> Vec<String> {
        let key = self.lookup.key(relation.oid).map(|index| index.columns.iter().map(String::from).collect());
        key.filter(|key: &Vec<String>| key.iter().all(|name| columns.contains(name))).unwrap_or_default()
    }

    /// The source's rows in one query; chunks of a table are put together again.
    fn query(&self, group: &TableTasks<'_>, matched: &MatchedRelations<'_>, columns: &[String]) -> String {
        let mut queries: Vec<String> = Vec::new();
        for (task, relation) in group.tasks.iter().zip(&matched.relations) {
            let options = self.options(relation);
            let is_part = options.limit.is_some() && options.order_by.is_some();
            let query = match (task.load(), options.filter.as_deref()) {
                (Some(load), _) if is_part => load.rows_of(&relation.name),
                (_, filter) => rows::all(relation, filter),
            };
            if !queries.contains(&query) {
                queries.push(query);
            }
        }
        if queries.len() == 1 { queries.remove(0) } else { rows::union(&queries, columns) }
    }

    fn options(&self, relation: &'a Relation) -> &'a TableOptions {
        self.rules.of(relation, &self.lookup.ancestors(relation))
    }

    /// The format to read both sides in, and the sum that the run has left in that format. Binary requires the same types on both sides;
    /// other types are compared as text.
    fn format(
        &self,
        group: &TableTasks<'_>,
        matched: &MatchedRelations<'_>,
        in_order: bool,
    ) -> (RowFormat, Option<RowSum>) {
        let is_safe = has_same_types(matched);
        if in_order
            && let Some((format, sum)) = self.source_checksum(group)
            && (format == RowFormat::Text || is_safe)
        {
            return (format, Some(sum));
        }
        let is_binary = is_safe && group.tasks.iter().all(|task| task.format == Some(RowFormat::Binary));
        (if is_binary { RowFormat::Binary } else { RowFormat::Text }, None)
    }

    /// The sum over the rows as the run sent them; none where a part is not known, or rows were merged with others.
    fn source_checksum(&self, group: &TableTasks<'_>) -> Option<(RowFormat, RowSum)> {
        if !self.history.has_sums {
            return None;
        }
        let mut sum = RowSum::default();
        let mut format = None;
        for task in &group.tasks {
            let record = self.history.by_task.get(&task.id)?;
            let own = record.format?;
            if record.status != TaskStatus::Done
                || !matches!(record.mode, Some(RowMode::Create | RowMode::Copy))
                || *format.get_or_insert(own) != own
            {
                return None;
            }
            let hash = u128::from_str_radix(&record.hash, 16).ok()?;
            sum = sum.plus(RowSum { rows: record.rows.unsigned_abs(), bytes: record.bytes.unsigned_abs(), hash });
        }
        Some((format?, sum))
    }
}

fn names(relation: &Relation) -> Vec<String> {
    relation.copied_columns().map(|column| column.name.to_string()).collect()
}

fn missing_columns(matched: &MatchedRelations<'_>) -> Vec<String> {
    let is_there = |column: &&Column| matched.target.columns.iter().any(|other| other.name == column.name);
    matched.like.copied_columns().filter(|column| !is_there(column)).map(|column| column.name.to_string()).collect()
}

fn has_same_types(matched: &MatchedRelations<'_>) -> bool {
    let is_same = |column: &Column, on: &Relation| {
        let found = on.columns.iter().find(|other| other.name == column.name);
        found.is_some_and(|other| other.type_name == column.type_name && other.binary_safe && column.binary_safe)
    };
    let sides = || matched.relations.iter().copied().chain([matched.target]);
    let mut columns = matched.like.copied_columns().peekable();
    columns.peek().is_some() && columns.all(|column| sides().all(|side| is_same(column, side)))
}
