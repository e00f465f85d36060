//! The entries of a `pg_dump` archive, as far as planning needs them.
//!
//! `pg_dump` is the authority on DDL; this file only reads the fields of an entry: its object, statement, owner and dependencies.
//! `pg::archive` makes entries from a real archive.

use super::object_kind::ObjectKind;
use super::oid::Oid;
use crate::interned::Interned;

/// The part of an archive that an entry belongs to
/// (<https://www.postgresql.org/docs/current/app-pgdump.html>, `--section`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Section {
    /// Comments, privileges and labels belong to the section of their object.
    None,
    /// Objects that must exist before rows are copied.
    PreData,
    /// Rows.
    Data,
    /// Objects that are made after the rows are copied.
    PostData,
}

/// One entry of the table of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The archive's own number of the entry.
    pub id: i32,
    /// The kind of object.
    pub kind: ObjectKind,
    /// Its section.
    pub section: Section,
    /// The system catalog that lists the object, 0 where none does.
    pub catalog: Oid,
    /// The object's OID in it.
    pub oid: Oid,
    /// The schema, empty where there is none.
    pub namespace: Interned,
    /// The object's name, preceded by its table's name if it has one.
    pub tag: String,
    /// The owner.
    pub owner: Interned,
    /// The statement or statements that make the object.
    pub statement: String,
    /// The statement that drops it, empty if the object is dropped with another.
    pub drop_statement: String,
    /// The table access method, empty for the default.
    pub access_method: Interned,
    /// The tablespace, empty for the database's own.
    pub tablespace: Interned,
    /// The entries that must be made first.
    pub dependencies: Vec<i32>,
}

impl Entry {
    /// Whether the entry is a part of the object that it depends on.
    #[must_use]
    pub fn is_part(&self) -> bool {
        self.kind.is_part()
    }

    /// The statement that sets the object's owner, made from the drop statement as `pg_restore` makes it.
    #[must_use]
    pub fn owner_statement(&self) -> Option<String> {
        if self.owner.is_empty() || !self.kind.has_owner() {
            return None;
        }
        // Every database has the schema `public`; its entry contains only comments instead of statements.
        if self.kind == ObjectKind::Schema && self.statement.starts_with("--") {
            let (schema, owner) = (crate::name::ident(&self.tag), crate::name::ident(&self.owner));
            return Some(format!("ALTER SCHEMA {schema} OWNER TO {owner}"));
        }
        let dropped = self.drop_statement.trim_end().strip_prefix("DROP ")?.strip_suffix(';')?;
        // Only base types are dropped with CASCADE, because their functions and they depend on each other in a cycle.
        let object = if self.kind == ObjectKind::Type { dropped.trim_end_matches(" CASCADE") } else { dropped };
        Some(format!("ALTER {object} OWNER TO {}", crate::name::ident(&self.owner)))
    }

    /// The settings under which the statement makes the object as it was, as `pg_restore` sets them for an entry.
    #[must_use]
    pub fn with_settings(&self, tablespaces: bool) -> String {
        let setting = |name: &str, value: &str| format!("SET LOCAL {name} = {};\n", crate::name::ident(value));
        let has_method = !self.access_method.is_empty();
        let has_tablespace = tablespaces && !self.tablespace.is_empty();
        let method = has_method.then(|| setting("default_table_access_method", &self.access_method));
        let tablespace = has_tablespace.then(|| setting("default_tablespace", &self.tablespace));
        [method, tablespace, Some(without_attver(&self.statement))].into_iter().flatten().collect()
    }
}

/// Removes the option `pg_attver` from a table's statements. Some builds of the server keep it in `attoptions` of every column, and a
/// `pg_dump` that does not know it writes it into the statements, which servers without it refuse.
fn without_attver(statement: &str) -> String {
    if !statement.contains("pg_attver=") {
        return statement.to_owned();
    }
    split(statement).into_iter().filter_map(one_without_attver).collect()
}

/// Removes what `pg_dump` writes after the semicolon and the line end of each statement. Names and strings may contain anything.
#[must_use]
pub fn split(text: &str) -> Vec<&str> {
    let mut quote = None;
    let mut begin = 0;
    let mut all = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        match (byte, quote) {
            (b'"' | b'\'', None) => quote = Some(byte),
            (_, Some(open)) if open == byte => quote = None,
            (b';', None) => {
                let end = at + 1 + usize::from(text.as_bytes().get(at + 1) == Some(&b'\n'));
                all.push(&text[begin..end]);
                begin = end;
            }
            _ => {}
        }
    }
    all.push(&text[begin..]);
    all
}

fn one_without_attver(statement: &str) -> Option<String> {
    let start = statement.trim_start();
    let is_option = start.starts_with("ALTER ") && start.contains(" ALTER COLUMN ");
    let parts = statement.trim_end().strip_suffix(");").and_then(|rest| rest.rsplit_once(" SET ("));
    let Some((head, options)) = parts.filter(|_| is_option) else { return Some(statement.to_owned()) };
    let kept: Vec<&str> = options.split(", ").filter(|option| !option.starts_with("pg_attver=")).collect();
    if kept.is_empty() { None } else { Some(format!("{head} SET ({});\n", kept.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(desc: &str, drop_statement: &str) -> Entry {
        Entry {
            id: 1,
            kind: desc.into(),
            section: Section::PreData,
            catalog: 0,
            oid: 0,
            namespace: "s".into(),
            tag: "t".into(),
            owner: "me".into(),
            statement: String::new(),
            drop_statement: drop_statement.into(),
            access_method: Interned::default(),
            tablespace: Interned::default(),
            dependencies: vec![],
        }
    }

    #[test]
    fn owners_are_set_from_the_drop_statement() {
        let sql = |desc, drop| entry(desc, drop).owner_statement();
        assert_eq!(sql("TABLE", "DROP TABLE s.t;\n").as_deref(), Some("ALTER TABLE s.t OWNER TO \"me\""));
        assert_eq!(sql("TYPE", "DROP TYPE s.t CASCADE;\n").as_deref(), Some("ALTER TYPE s.t OWNER TO \"me\""));
        assert_eq!(sql("SEQUENCE", ""), None, "an identity sequence follows its table");
        assert_eq!(sql("INDEX", "DROP INDEX s.i;\n"), None);
    }

    #[test]
    fn attver_goes_and_other_options_stay() {
        let text = "CREATE TABLE s.t (\n    a text DEFAULT 'SET (pg_attver=1);'\n);\n\
                    ALTER TABLE ONLY s.t ALTER COLUMN a SET (pg_attver=3);\n\
                    ALTER TABLE ONLY s.t ALTER COLUMN b SET (n_distinct=5, pg_attver=3);\n\
                    ALTER TABLE ONLY s.\"a;\nb\" ALTER COLUMN \"it's\nc\" SET (pg_attver=3);\n";
        let wanted = "CREATE TABLE s.t (\n    a text DEFAULT 'SET (pg_attver=1);'\n);\n\
                      ALTER TABLE ONLY s.t ALTER COLUMN b SET (n_distinct=5);\n";
        assert_eq!(without_attver(text), wanted);
    }
}
