//! What the statements of a task are about, as fields: tables, columns, keys, roles. The statements are rendered from them.
//!
//! A plan file has the fields next to the statements, so that nothing has to be read back from SQL that this program wrote. Where the two
//! differ, because a file was edited, the plan is refused ([`Subject::agrees`]). Pure; `build` makes subjects, the engine reads them.

use super::foreign_key::ForeignKey;
use super::merge::Load;
use crate::catalog::{LargeObjectGrant, Oid};
use crate::name::{QualifiedName, ident, literal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the statements of a task are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Rows that are stored in a table.
    Load(Load),
    /// A foreign key that is added, or checked.
    ForeignKey(ForeignKey),
    /// A role's membership in another.
    Membership(MemberOf),
    /// A table that is analyzed.
    Analyze(QualifiedName),
    /// Large objects that are copied.
    LargeObjects(LargeObjectBatch),
    /// A privilege that is granted on large objects.
    LargeObjectGrant(LargeObjectGrant),
}

/// The statements of a task.
#[derive(Debug, Clone)]
pub struct Statements<'a> {
    /// The table of the source that a data task reads.
    pub table: QualifiedName,
    /// The statement on the source.
    pub source: &'a str,
    /// Those on the target.
    pub target: &'a str,
    /// Those that the target may refuse.
    pub optional: &'a str,
    /// The one that moves staged rows.
    pub merge: &'a str,
}

/// Large objects of one owner that a task copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeObjectBatch {
    /// Their OIDs.
    pub oids: Vec<Oid>,
    /// The role that they are given to; none if they stay with the role that creates them.
    pub owner: Option<String>,
    /// The comments of those that have one.
    pub comments: BTreeMap<Oid, String>,
}

impl LargeObjectBatch {
    /// The statement that lists the OIDs.
    #[must_use]
    pub fn source_sql(&self) -> String {
        let oids: Vec<String> = self.oids.iter().map(ToString::to_string).collect();
        format!("SELECT unnest('{{{}}}'::pg_catalog.oid[])", oids.join(","))
    }

    /// The comments on those objects for which `is_wanted`.
    pub fn comments_sql(&self, is_wanted: impl Fn(Oid) -> bool) -> String {
        let wanted = self.comments.iter().filter(|(oid, _)| is_wanted(**oid));
        let statement = |(oid, comment): (&Oid, &String)| {
            ["COMMENT ON LARGE OBJECT ", &oid.to_string(), " IS ", &literal(comment), ";\n"].concat()
        };
        wanted.map(statement).collect()
    }

    /// The statement that gives an object, `%s`, to the owner; empty if there is none.
    #[must_use]
    pub fn optional_sql(&self) -> String {
        self.owner.as_ref().map_or_else(String::new, |owner| alter_owner("%s", owner))
    }

    /// The statements that give these objects to the owner.
    pub fn owner_sql(&self, oids: impl Iterator<Item = Oid>) -> String {
        let Some(owner) = &self.owner else { return String::new() };
        oids.map(|oid| alter_owner(&oid.to_string(), owner) + ";\n").collect()
    }
}

fn alter_owner(object: &str, owner: &str) -> String {
    format!("ALTER LARGE OBJECT {object} OWNER TO {}", ident(owner))
}

/// The statement that grants a privilege on large objects.
#[must_use]
pub fn grant_sql(grant: &LargeObjectGrant) -> String {
    let oids: Vec<String> = grant.oids.iter().map(ToString::to_string).collect();
    let option = if grant.is_grantable { " WITH GRANT OPTION" } else { "" };
    format!("GRANT {} ON LARGE OBJECT {} TO {}{option}", grant.right, oids.join(", "), grant.grantee)
}

/// A role's membership in another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MemberOf {
    /// The role that is granted.
    pub granted: String,
    /// The role that it is granted to.
    pub member: String,
}

impl MemberOf {
    /// The statement without options.
    #[must_use]
    pub fn grant(&self) -> String {
        format!("GRANT {} TO {}", ident(&self.granted), ident(&self.member))
    }
}

/// The statement that gathers the statistics of a table.
#[must_use]
pub fn analyze_sql(table: &QualifiedName) -> String {
    format!("ANALYZE {}", table.sql())
}

impl Subject {
    /// Whether these statements are about it.
    #[must_use]
    pub fn agrees(&self, statements: &Statements<'_>) -> bool {
        let Statements { table, source, target, optional, merge } = statements;
        match self {
            Subject::Load(load) => {
                *source == load.source_sql(table) && *target == load.copy_sql() && *merge == load.merge_sql()
            }
            Subject::ForeignKey(key) => *target == key.validation() || key.is_added_by(target),
            Subject::Membership(membership) => {
                target.strip_prefix(&membership.grant()).is_some_and(|rest| ["", WITH_ADMIN].contains(&rest))
            }
            Subject::Analyze(table) => *target == analyze_sql(table),
            Subject::LargeObjects(batch) => {
                *source == batch.source_sql()
                    && *target == batch.comments_sql(|_| true)
                    && *optional == batch.optional_sql()
            }
            Subject::LargeObjectGrant(grant) => *target == grant_sql(grant),
        }
    }
}

/// The words after a membership that may be granted to others.
pub const WITH_ADMIN: &str = " WITH ADMIN OPTION";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::merge::{OnKey, STAGE};

    fn load(merge: Option<OnKey>) -> Load {
        let columns = ["a\" ON CONFLICT (", "b) DO UPDATE SET"].map(str::to_owned).to_vec();
        Load { into: QualifiedName::new("s", "t ("), columns, query: None, by_pages: false, merge }
    }

    #[test]
    fn statements_are_rendered_whatever_the_names_hold() {
        let key = vec!["a\" ON CONFLICT (".to_owned()];
        let plain = load(Some(OnKey { key: key.clone(), updates: vec![], overriding: true }));
        let columns = "\"a\"\" ON CONFLICT (\", \"b) DO UPDATE SET\"";
        assert_eq!(plain.copy_sql(), format!("COPY \"s\".\"t (\" ({columns}) FROM STDIN"));
        let insert = format!("INSERT INTO \"s\".\"t (\" ({columns})");
        let stored = format!("SELECT {columns} FROM {STAGE} ON CONFLICT (\"a\"\" ON CONFLICT (\") DO");
        assert_eq!(plain.merge_sql(), format!("{insert} OVERRIDING SYSTEM VALUE {stored} NOTHING"));
        let updates = vec!["b) DO UPDATE SET".to_owned()];
        let update = load(Some(OnKey { key, updates, overriding: false }));
        let set = "UPDATE SET \"b) DO UPDATE SET\" = EXCLUDED.\"b) DO UPDATE SET\"";
        assert_eq!(update.merge_sql(), format!("{insert} {stored} {set}"));
        assert_eq!(load(None).merge_sql(), "");
    }

    fn agrees(subject: &Subject, target: &str, merge: &str) -> bool {
        let table = QualifiedName::new("s", "t");
        let source = if let Subject::Load(load) = subject { load.source_sql(&table) } else { String::new() };
        subject.agrees(&Statements { table, source: &source, target, optional: "", merge })
    }

    #[test]
    fn the_statements_of_large_objects_are_rendered_whatever_names_and_comments_hold() {
        let comments = [(1, "a;\nCOMMENT ON LARGE OBJECT 2 IS 'x';\n"), (2, "it's \\"), (12, "\"")];
        let comments = comments.map(|(oid, comment)| (oid, comment.to_owned())).into();
        let batch = LargeObjectBatch { oids: vec![1, 2, 12], owner: Some("of %s".into()), comments };
        let all = batch.comments_sql(|_| true);
        let [one, two, twelve] = [1, 2, 12].map(|oid| batch.comments_sql(|other| other == oid));
        assert_eq!(all, one.clone() + &two + &twelve);
        assert_eq!(batch.comments_sql(|oid| oid != 2), one + &twelve);
        let owned = "ALTER LARGE OBJECT 1 OWNER TO \"of %s\";\nALTER LARGE OBJECT 12 OWNER TO \"of %s\";\n";
        assert_eq!(batch.owner_sql([1, 12].into_iter()), owned);
        let (source, optional) = (batch.source_sql(), batch.optional_sql());
        let subject = Subject::LargeObjects(batch);
        let with = |source: &str, target: &str, optional: &str| {
            let table = QualifiedName::new("", "");
            subject.agrees(&Statements { table, source, target, optional, merge: "" })
        };
        assert!(with(&source, &all, &optional) && !with(&source, &two, &optional));
        assert!(!with("SELECT 2::oid", &all, &optional) && !with(&source, &all, ""));
        let (right, grantee) = ("SELECT".into(), "\"a b\"".into());
        let grant = LargeObjectGrant { oids: vec![1, 2], right, grantee, is_grantable: true };
        assert_eq!(grant_sql(&grant), "GRANT SELECT ON LARGE OBJECT 1, 2 TO \"a b\" WITH GRANT OPTION");
        let sql = grant_sql(&grant);
        let subject = Subject::LargeObjectGrant(grant);
        assert!(agrees(&subject, &sql, "") && !agrees(&subject, &sql.replace("1, 2", "1, 3"), ""));
    }

    #[test]
    fn a_statement_of_another_table_or_role_does_not_agree() {
        let rows = load(None);
        let (copy, other) = (rows.copy_sql(), rows.copy_sql().replace("\"t (\"", "\"u\""));
        let table = QualifiedName::new("s", "t");
        assert_eq!(rows.source_sql(&table), format!("COPY \"s\".\"t\"{} TO STDOUT", rows.column_list()));
        let chunk = Load { query: Some("SELECT 1".into()), ..rows.clone() };
        assert_eq!(chunk.source_sql(&table), "COPY (SELECT 1) TO STDOUT");
        assert_eq!(
            (chunk.rows_of(&table), rows.rows_of(&table)),
            ("SELECT 1".into(), "SELECT * FROM ONLY \"s\".\"t\"".into())
        );
        let source = chunk.source_sql(&table);
        let of_chunk = Statements { table, source: &source, target: &copy, optional: "", merge: "" };
        let subject = Subject::Load(rows);
        assert!(Subject::Load(chunk).agrees(&of_chunk) && !subject.agrees(&of_chunk));
        assert!(agrees(&subject, &copy, "") && !agrees(&subject, &other, "") && !agrees(&subject, &copy, "INSERT"));
        let grant = MemberOf { granted: "a b".into(), member: "c".into() };
        let subject = Subject::Membership(grant.clone());
        assert!(agrees(&subject, &grant.grant(), "") && agrees(&subject, &(grant.grant() + WITH_ADMIN), ""));
        assert!(!agrees(&subject, &(grant.grant() + ", d"), ""));
        let key = ForeignKey { table: QualifiedName::new("s", "t"), name: "k".into() };
        let add = key.add("FOREIGN KEY (a) REFERENCES s.u(b)");
        let subject = Subject::ForeignKey(key);
        assert!(agrees(&subject, &add, "") && !agrees(&subject, &add.replace("\"k\"", "\"l\""), ""));
    }
}
