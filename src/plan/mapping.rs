//! The column mapping of a data task: its statements for a target's table that has fewer columns, or columns of wider types.
//!
//! The plan does not know the target: a run applies here to the plan's own statements what it finds there. Columns that the target computes
//! are left out, and values that it would read differently are cast on the source. Pure; called by the engine's `column_mapping`.

use super::Task;
use crate::catalog::Relation;
use crate::name::{QualifiedName, ident, ident_list, split_name};
use crate::plan::merge::STAGE;

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
        task.source_sql = format!("COPY ({}) TO STDOUT", self.query(&query_of(&task.source_sql, &relation.name)));
        if self.left_out.is_empty() {
            return;
        }
        let Some((into, _)) = task.target_sql.strip_prefix("COPY ").and_then(split_name) else { return };
        let (all, kept) = (ident_list(relation.copied_columns().map(|column| &column.name)), ident_list(self.names()));
        let list = if kept.is_empty() { String::new() } else { format!(" ({kept})") };
        task.merge_sql = self.merge(&task.merge_sql, into, &all, &kept);
        task.target_sql = format!("COPY {into}{list} FROM STDIN");
    }

    /// The statement that moves staged rows, without the columns that are left out.
    fn merge(&self, sql: &str, into: &str, all: &str, kept: &str) -> String {
        let sql = sql.replacen(&format!("INSERT INTO {into} ({all})"), &format!("INSERT INTO {into} ({kept})"), 1);
        let sql = sql.replacen(&format!(" SELECT {all} FROM {STAGE} "), &format!(" SELECT {kept} FROM {STAGE} "), 1);
        let Some((head, sets)) = sql.rsplit_once(" DO UPDATE SET ") else { return sql };
        let mut sets = format!("{sets}, ");
        for name in &self.left_out {
            sets = sets.replacen(&format!("{0} = EXCLUDED.{0}, ", ident(name)), "", 1);
        }
        match sets.strip_suffix(", ") {
            Some(sets) => format!("{head} DO UPDATE SET {sets}"),
            None => format!("{head} DO NOTHING"),
        }
    }
}

/// The query inside a plan's `COPY ... TO STDOUT`.
#[must_use]
pub fn query_of(copy: &str, table: &QualifiedName) -> String {
    let query = copy.strip_prefix("COPY (").and_then(|rest| rest.strip_suffix(") TO STDOUT"));
    query.map_or_else(|| format!("SELECT * FROM ONLY {}", table.sql()), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Column, RelationKind};
    use crate::plan::{Phase, kind};

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

    fn mapped(columns: &[(&str, &[&str])], left_out: &[&str], merge: &str) -> Task {
        let relation = relation(&["k", "a", "b"]);
        let into = relation.name.sql();
        let mut task = Task::new(Phase::Data, kind::DATA, "s", "t (a) TO STDOUT");
        task.source_sql = format!("COPY {into} (\"k\", \"a\", \"b\") TO STDOUT");
        task.target_sql = format!("COPY {into} (\"k\", \"a\", \"b\") FROM STDIN");
        task.merge_sql = merge.replace("INTO", &format!("INTO {into}"));
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
        let task = mapped(&[("k", &[]), ("a", &["text", "numeric"]), ("b", &[])], &[], "");
        assert_eq!(
            task.source_sql,
            "COPY (SELECT r.\"k\", CAST(CAST(r.\"a\" AS text) AS numeric) AS \"a\", r.\"b\" FROM (SELECT * FROM ONLY t) AS r) TO STDOUT"
        );
        assert_eq!(task.target_sql, "COPY t (\"k\", \"a\", \"b\") FROM STDIN");
    }

    #[test]
    fn columns_are_left_out_of_every_statement() {
        let merge = "INSERT INTO (\"k\", \"a\", \"b\") OVERRIDING SYSTEM VALUE SELECT \"k\", \"a\", \"b\" \
                     FROM pg_temp.\"pgmigrate_stage\" ON CONFLICT (\"k\") DO UPDATE SET \"a\" = EXCLUDED.\"a\", \"b\" = EXCLUDED.\"b\"";
        let task = mapped(&[("k", &[]), ("a", &[])], &["b"], merge);
        assert_eq!(task.source_sql, "COPY (SELECT r.\"k\", r.\"a\" FROM (SELECT * FROM ONLY t) AS r) TO STDOUT");
        assert_eq!(task.target_sql, "COPY t (\"k\", \"a\") FROM STDIN");
        assert_eq!(
            task.merge_sql,
            "INSERT INTO t (\"k\", \"a\") OVERRIDING SYSTEM VALUE SELECT \"k\", \"a\" \
             FROM pg_temp.\"pgmigrate_stage\" ON CONFLICT (\"k\") DO UPDATE SET \"a\" = EXCLUDED.\"a\""
        );
        let only_key = mapped(&[("k", &[])], &["a", "b"], merge);
        assert!(only_key.merge_sql.ends_with("ON CONFLICT (\"k\") DO NOTHING"), "{}", only_key.merge_sql);
    }

    #[test]
    fn a_plans_query_is_found_whatever_the_names_hold() {
        let table = QualifiedName::new("s", "t (a) TO STDOUT");
        let whole = format!("COPY {} (\"a\") TO STDOUT", table.sql());
        assert_eq!(query_of(&whole, &table), format!("SELECT * FROM ONLY {}", table.sql()));
        assert_eq!(query_of("COPY (SELECT 1) TO STDOUT", &table), "SELECT 1");
    }
}
