//! How the columns of a table on the source map to those of the target's table, by their names.
//!
//! The one column mapping that preflight reports, that the run copies by and that verification compares by. Called by `preflight`, `run`
//! and `verify`. `catalog::assign` decides which values keep their meaning.

use crate::catalog::assign::{Assignment, Casts, Types, assign};
use crate::catalog::{Column, Relation};
use crate::config::{ScopeOptions, TableFilter};
use crate::error::Result;
use crate::name::QualifiedName;
use crate::pg::{Session, introspect, types};
use crate::plan::mapping::TableMapping;
use crate::plan::{Task, columns};
use std::collections::{HashMap, HashSet};

/// The types of both sides.
#[derive(Debug, Default)]
pub struct TypeCompatibility {
    source: Types,
    target: Types,
    casts: Casts,
}

/// A column of the target.
#[derive(Debug, Clone, Copy)]
pub struct TargetColumn<'a> {
    /// Its type as `format_type` writes it.
    pub type_name: &'a str,
    /// Whether it is computed.
    pub is_generated: bool,
}

/// How a column of the source maps to the target.
#[derive(Debug, PartialEq, Eq)]
pub enum ColumnMapping {
    /// The target's table has no column of its name.
    Missing,
    /// The target's column is generated.
    Computed,
    /// Values would be lost or refused; the reason.
    Refused(String),
    /// Its values can be assigned.
    Assigned(Assignment),
}

impl TypeCompatibility {
    /// The types of both sides for a run into existing tables of the target; none for other runs.
    pub async fn of(scope: &ScopeOptions, source: &Session, target: &Session) -> Result<Option<TypeCompatibility>> {
        if scope.data_only { TypeCompatibility::read(source, target).await.map(Some) } else { Ok(None) }
    }

    /// Reads the types of both sides.
    async fn read(source: &Session, target: &Session) -> Result<TypeCompatibility> {
        let (source, there, casts) =
            tokio::try_join!(types::types(source), types::types(target), types::casts(target))?;
        Ok(TypeCompatibility { source, target: there, casts })
    }

    /// How a column that is copied maps to its target column.
    #[must_use]
    pub fn map(&self, column: &Column, found: Option<TargetColumn<'_>>) -> ColumnMapping {
        let Some(found) = found else { return ColumnMapping::Missing };
        if found.is_generated {
            return ColumnMapping::Computed;
        }
        let types = (self.source.get(column.type_name.as_str()), self.target.get(found.type_name));
        match types {
            (Some(source), Some(target)) => match assign(source, target, &self.casts) {
                Ok(assignment) => ColumnMapping::Assigned(assignment),
                Err(reason) => ColumnMapping::Refused(reason),
            },
            _ => ColumnMapping::Refused("its type was changed a moment ago".into()),
        }
    }

    /// How a table's rows are read for the target's table; none where they are read unchanged. A column that does not fit is read
    /// unchanged.
    #[must_use]
    pub fn mapping(&self, source: &Relation, target: &Relation) -> Option<TableMapping> {
        let target_columns: HashMap<&str, &Column> =
            target.columns.iter().map(|column| (column.name.as_str(), column)).collect();
        let found = |name: &str| {
            target_columns
                .get(name)
                .map(|column| TargetColumn { type_name: &column.type_name, is_generated: column.is_generated })
        };
        let mut mapping = TableMapping { columns: Vec::new(), left_out: Vec::new() };
        for column in source.copied_columns() {
            match self.map(column, found(&column.name)) {
                ColumnMapping::Computed => mapping.left_out.push(column.name.to_string()),
                ColumnMapping::Assigned(assignment) => {
                    mapping.columns.push((column.name.to_string(), assignment.casts));
                }
                ColumnMapping::Missing | ColumnMapping::Refused(_) => {
                    mapping.columns.push((column.name.to_string(), Vec::new()));
                }
            }
        }
        let changes = !mapping.left_out.is_empty() || mapping.columns.iter().any(|(_, casts)| !casts.is_empty());
        changes.then_some(mapping)
    }
}

/// The tables whose rows have the same binary layout on both servers.
pub async fn same_layout(tables: &TableFilter, source: &Session, target: &Session) -> Result<HashSet<QualifiedName>> {
    let (mut here, there) = tokio::try_join!(introspect::relations(source), introspect::relations(target))?;
    columns::exclude(&mut here, tables);
    let there: HashMap<&QualifiedName, &Relation> = there.iter().map(|relation| (&relation.name, relation)).collect();
    let is_same = |column: &Column, other: &Column| {
        other.name == column.name
            && other.type_name == column.type_name
            && other.binary_safe
            && column.binary_safe
            && !other.is_generated
    };
    let has_same_layout = |table: &&Relation| {
        there.get(&table.name).is_some_and(|found| {
            table.copied_columns().all(|column| found.columns.iter().any(|other| is_same(column, other)))
        })
    };
    Ok(here.iter().filter(has_same_layout).map(|table| table.name.clone()).collect())
}

/// The plan's tasks with the column mapping that the target's tables require.
pub async fn tasks(tables: &TableFilter, source: &Session, target: &Session, plan: &[Task]) -> Result<Vec<Task>> {
    let compatibility = TypeCompatibility::read(source, target).await?;
    let (mut here, there) = tokio::try_join!(introspect::relations(source), introspect::relations(target))?;
    columns::exclude(&mut here, tables);
    let there: HashMap<&QualifiedName, &Relation> = there.iter().map(|relation| (&relation.name, relation)).collect();
    let here: HashMap<&QualifiedName, &Relation> = here.iter().map(|relation| (&relation.name, relation)).collect();
    let mapped = plan.iter().map(|task| {
        let mut task = task.clone();
        let into = task.load().and_then(|load| there.get(&load.into));
        let pair = here.get(&task.source_table()).zip(into);
        if let Some((source, mapping)) = pair.and_then(|(from, to)| Some((*from, compatibility.mapping(from, to)?))) {
            mapping.apply(&mut task, source);
        }
        task
    });
    Ok(mapped.collect())
}
