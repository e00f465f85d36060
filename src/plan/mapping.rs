//! The column mapping of a data task: its statements for a target's table that has fewer columns, or columns of wider types.
//!
//! The plan does not know the target: a run applies here to the plan's own statements what it finds there. Columns that the target computes
//! are left out, and values that it would read differently are cast on the source. Pure; called by the engine's `column_mapping`.

use super::{Load, Task};
use crate::catalog::Relation;
use crate::name::ident;

/// How the rows of a table are read for the corresponding table of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMapping {
    /// The columns that are sent, each with the types to which the source casts it, one after another.
    pub columns: Vec<(String, Vec<String>)>,
    /// The columns that are not sent.
    pub left_out: Vec<String>,
}

impl TableMapping {
    /// The names of the columns that are sent.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The rows of `query` in the form of the target's columns.
    #[must_use]
    pub fn query(&self, query: &str) -> String {
        let value = |(name, casts): &(String, Vec<String>)| {
            let name = ident(name);
            let cast = casts.iter().fold(format!("r.{name}"), |value, to| format!("CAST({value} AS {to})"));
            if casts.is_empty() { cast } else { format!("{cast} AS {name}") }
        };
        let list: Vec<String> = self.columns.iter().map(value).collect();
        format!("SELECT {} FROM ({query}) AS r", list.join(", "))
    }

    /// Applies the mapping to a task of `relation`.
    pub fn apply(&self, task: &mut Task, relation: &Relation) {
        let Some(load) = task.load() else { return };
        let mut load = Load { query: Some(self.query(&load.rows_of(&relation.name))), ..load.clone() };
        if !self.left_out.is_empty() {
            load.columns = self.names();
            if let Some(merge) = &mut load.merge {
                merge.updates.retain(|name| !self.left_out.contains(name));
            }
        }
        task.set_load(load);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Column, RelationKind};
    use crate::name::QualifiedName;
    use crate::plan::{OnKey, Phase, TaskKind};

    fn relation(names: &[&str]) -> Relation {
        let column = |name: &&str| Column {
            name: (*name).into(),
            type_name: "integer".into(),
            is_integer: true,
            not_null: false,
            is_generated: false,
            identity_always: false,
            binary_safe: true,
            lsn: None,
            is_excluded: false,
        };
        Relation {
            oid: 1,
            name: QualifiedName::new("s", "t (a) TO STDOUT"),
            kind: RelationKind::Table,
            is_populated: true,
            partition_of: None,
            access_method: "heap".into(),
            heap_bytes: 0,
            total_bytes: 0,
            tuples: 0.0,
            hides_rows: false,
            is_readable: true,
            member: None,
            hashes_an_enum: false,
            columns: names.iter().map(column).collect(),
        }
    }

    fn mapped(columns: &[(&str, &[&str])], left_out: &[&str], merge: Option<OnKey>) -> Task {
        let relation = relation(&["k", "a", "b"]);
        let into = relation.name.sql();
        let mut task = Task::new(Phase::Data, TaskKind::Data, "s", "t (a) TO STDOUT");
        let all = ["k", "a", "b"].map(str::to_owned).to_vec();
        task.set_load(Load { into: relation.name.clone(), columns: all, query: None, by_pages: false, merge });
        let columns = columns.iter().map(|(name, casts)| {
            ((*name).to_owned(), casts.iter().map(|cast| (*cast).to_owned()).collect::<Vec<String>>())
        });
        let left_out = left_out.iter().map(|name| (*name).to_owned()).collect();
        TableMapping { columns: columns.collect(), left_out }.apply(&mut task, &relation);
        task.target_sql = task.target_sql.replace(&into, "t");
        task.merge_sql = task.merge_sql.replace(&into, "t");
        task.source_sql = task.source_sql.replace(&into, "t");
        task
    }

    #[test]
    fn values_are_cast_on_the_source() {
        let task = mapped(&[("k", &[]), ("a", &["text", "numeric"]), ("b", &[])], &[], None);
        assert_eq!(
            task.source_sql,
            "COPY (SELECT r.\"k\", CAST(CAST(r.\"a\" AS text) AS numeric) AS \"a\", r.\"b\" FROM (SELECT * FROM ONLY t) AS r) TO STDOUT"
        );
        assert_eq!(task.target_sql, "COPY t (\"k\", \"a\", \"b\") FROM STDIN");
    }

    #[test]
    fn columns_are_left_out_of_every_statement() {
        let merge = OnKey { key: vec!["k".into()], updates: vec!["a".into(), "b".into()], overriding: true };
        let task = mapped(&[("k", &[]), ("a", &[])], &["b"], Some(merge.clone()));
        assert_eq!(task.source_sql, "COPY (SELECT r.\"k\", r.\"a\" FROM (SELECT * FROM ONLY t) AS r) TO STDOUT");
        assert_eq!(task.target_sql, "COPY t (\"k\", \"a\") FROM STDIN");
        assert_eq!(
            task.merge_sql,
            "INSERT INTO t (\"k\", \"a\") OVERRIDING SYSTEM VALUE SELECT \"k\", \"a\" \
             FROM pg_temp.\"pgmigrate_stage\" ON CONFLICT (\"k\") DO UPDATE SET \"a\" = EXCLUDED.\"a\""
        );
        let only_key = mapped(&[("k", &[])], &["a", "b"], Some(merge));
        assert!(only_key.merge_sql.ends_with("ON CONFLICT (\"k\") DO NOTHING"), "{}", only_key.merge_sql);
    }
}
