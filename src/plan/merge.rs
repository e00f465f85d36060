//! The parts of a data task's `merge_sql`: what is inserted, the key that identifies rows, and what happens to a row whose key exists.
//!
//! A plan has one statement; a run parses it, because the target decides whether ON CONFLICT can be used. Pure; `data` writes the
//! statement, the engine reads it.

use crate::name::{split_ident, split_name};

/// Where a chunk is staged before it is merged into a table that existed before.
pub const STAGE: &str = "pg_temp.\"pgmigrate_stage\"";

/// Allows the source's values in an identity column GENERATED ALWAYS.
pub const OVERRIDING: &str = " OVERRIDING SYSTEM VALUE";

/// A statement that adds staged rows to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge<'a> {
    /// The table, as quoted SQL.
    pub into: &'a str,
    /// The quoted columns, separated by commas.
    pub columns: &'a str,
    /// The statement without ON CONFLICT.
    pub insert: &'a str,
    /// The quoted columns of the key.
    pub key: Vec<&'a str>,
    /// What happens to a row whose key exists: the words after DO.
    action: &'a str,
}

impl<'a> Merge<'a> {
    /// Parses a plan's statement; none if it is no such statement.
    #[must_use]
    pub fn read(sql: &'a str) -> Option<Merge<'a>> {
        let (into, rest) = split_name(sql.strip_prefix("INSERT INTO ")?)?;
        let columns = rest.strip_prefix(" (")?;
        let (_, rest) = idents(columns)?;
        let columns = &columns[..columns.len() - rest.len()];
        let rest = rest.strip_prefix(')')?;
        let rest = rest.strip_prefix(OVERRIDING).unwrap_or(rest).strip_prefix(" SELECT ")?;
        let rest = rest.strip_prefix(columns)?.strip_prefix(" FROM ")?.strip_prefix(STAGE)?;
        let insert = &sql[..sql.len() - rest.len()];
        let (known, rest) = known(rest, into)?;
        let rest = rest.strip_prefix(" ON CONFLICT ")?;
        let (key, rest) = match rest.strip_prefix('(') {
            Some(rest) => idents(rest).and_then(|(key, rest)| Some((key, rest.strip_prefix(") ")?)))?,
            None => (known, rest),
        };
        let action = rest.strip_prefix("DO ")?;
        (!key.is_empty()).then_some(Merge { into, columns, insert, key, action })
    }

    /// Whether rows whose key exists are updated.
    #[must_use]
    pub fn updates(&self) -> bool {
        self.action.starts_with("UPDATE ")
    }

    /// The whole statement.
    #[must_use]
    pub fn sql(&self) -> String {
        format!("{} ON CONFLICT ({}) DO {}", self.insert, self.key.join(", "), self.action)
    }
}

/// The key in the condition by which plans of version 1 leave out rows that the table has, and the text after it; no key if there is none.
fn known<'a>(sql: &'a str, into: &str) -> Option<(Vec<&'a str>, &'a str)> {
    let rest = sql.strip_prefix(" s").unwrap_or(sql);
    let Some(rest) = rest.strip_prefix(" WHERE NOT EXISTS (SELECT FROM ") else { return Some((Vec::new(), rest)) };
    let mut rest = rest.strip_prefix(into)?.strip_prefix(" t WHERE ")?;
    let mut key = Vec::new();
    loop {
        let (column, after) = split_ident(rest.strip_prefix("t.")?)?;
        key.push(column);
        rest = after.strip_prefix(" = s.")?.strip_prefix(column)?;
        match rest.strip_prefix(" AND ") {
            Some(next) => rest = next,
            None => return Some((key, rest.strip_prefix(')')?)),
        }
    }
}

/// Quoted identifiers with commas between them, and the text after them.
fn idents(sql: &str) -> Option<(Vec<&str>, &str)> {
    let (first, mut rest) = split_ident(sql)?;
    let mut all = vec![first];
    while let Some(next) = rest.strip_prefix(", ") {
        let (ident, after) = split_ident(next)?;
        all.push(ident);
        rest = after;
    }
    Some((all, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_taken_apart_whatever_the_names_hold() {
        let columns = "\"a\"\" ON CONFLICT (\", \"b) DO UPDATE SET\"";
        let insert =
            format!("INSERT INTO \"s\".\"t (\" ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {STAGE}");
        let sql = format!("{insert} ON CONFLICT (\"a\"\" ON CONFLICT (\") DO NOTHING");
        let merge = Merge::read(&sql).unwrap();
        assert_eq!((merge.into, merge.columns, merge.insert), ("\"s\".\"t (\"", columns, insert.as_str()));
        assert_eq!((merge.sql(), merge.updates()), (sql.clone(), false));
        assert_eq!(merge.key, ["\"a\"\" ON CONFLICT (\""]);
        let update = format!("{insert} ON CONFLICT (\"x\", \"y\") DO UPDATE SET \"b\" = EXCLUDED.\"b\"");
        let merge = Merge::read(&update).unwrap();
        assert_eq!((merge.sql(), merge.updates()), (update.clone(), true));
        assert_eq!(merge.key, ["\"x\"", "\"y\""]);
    }

    #[test]
    fn statements_of_version_1_name_their_key_all_the_same() {
        let insert = format!("INSERT INTO \"s\".\"t\" (\"a\", \"b\") SELECT \"a\", \"b\" FROM {STAGE}");
        let known = " s WHERE NOT EXISTS (SELECT FROM \"s\".\"t\" t WHERE t.\"a\" = s.\"a\" AND t.\"b\" = s.\"b\")";
        let old = format!("{insert}{known} ON CONFLICT DO NOTHING");
        assert_eq!(Merge::read(&old).unwrap().sql(), format!("{insert} ON CONFLICT (\"a\", \"b\") DO NOTHING"));
        let old = format!("{insert} s ON CONFLICT (\"a\") DO UPDATE SET \"b\" = EXCLUDED.\"b\"");
        assert_eq!(Merge::read(&old).unwrap().sql(), old.replace(" s ON", " ON"));
        assert_eq!(Merge::read(&format!("{insert} s ON CONFLICT DO NOTHING")), None);
    }

    #[test]
    fn other_statements_are_none() {
        for sql in
            ["", "COPY x FROM STDIN", "INSERT INTO \"s\".\"t\" (\"a\") SELECT \"b\" FROM x ON CONFLICT DO NOTHING"]
        {
            assert_eq!(Merge::read(sql), None);
        }
    }
}
