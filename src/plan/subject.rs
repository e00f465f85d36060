//! What the statements of a task are about, as fields: tables, columns, keys, roles. The statements are rendered from them.
//!
//! A plan file has the fields next to the statements, so that nothing has to be read back from SQL that this program wrote. Where the two
//! differ, because a file was edited, the plan is refused ([`Subject::agrees`]). Pure; `build` makes subjects, the engine reads them.

use super::foreign_key::ForeignKey;
use super::merge::Merge;
use crate::name::{QualifiedName, ident, ident_list};
use serde::{Deserialize, Serialize};

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
}

/// Where the rows of a data task are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// The table, which is another one than the source's if rows are copied through a partitioned table.
    pub into: QualifiedName,
    /// The columns in the order in which their values are sent.
    pub columns: Vec<String>,
    /// How staged rows are added to a table that existed before; none if no key identifies rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<OnKey>,
}

/// What identifies rows, and what happens to a row whose key exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnKey {
    /// The columns of the key.
    pub key: Vec<String>,
    /// The columns that such a row gets from the new one; without any it stays as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updates: Vec<String>,
    /// Whether an identity column GENERATED ALWAYS may be among the columns.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overriding: bool,
}

/// A role's membership in another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MemberOf {
    /// The role that is granted.
    pub granted: String,
    /// The role that it is granted to.
    pub member: String,
}

impl Load {
    /// The list of columns after the name of a table in COPY, with a space before it; empty without columns.
    #[must_use]
    pub fn column_list(&self) -> String {
        let list = ident_list(&self.columns);
        if list.is_empty() { String::new() } else { format!(" ({list})") }
    }

    /// The statement that stores the rows.
    #[must_use]
    pub fn copy_sql(&self) -> String {
        format!("COPY {}{} FROM STDIN", self.into.sql(), self.column_list())
    }

    /// The statement that adds staged rows; empty if no key identifies rows.
    #[must_use]
    pub fn merge_sql(&self) -> String {
        Merge::of(self).map(|merge| merge.sql()).unwrap_or_default()
    }

    /// Whether rows whose key exists are updated.
    #[must_use]
    pub fn updates(&self) -> bool {
        self.merge.as_ref().is_some_and(|merge| !merge.updates.is_empty())
    }
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
    /// Whether these statements on the target are about it.
    #[must_use]
    pub fn agrees(&self, target_sql: &str, merge_sql: &str) -> bool {
        match self {
            Subject::Load(load) => target_sql == load.copy_sql() && merge_sql == load.merge_sql(),
            Subject::ForeignKey(key) => target_sql == key.validation() || key.is_added_by(target_sql),
            Subject::Membership(membership) => {
                target_sql.strip_prefix(&membership.grant()).is_some_and(|rest| ["", WITH_ADMIN].contains(&rest))
            }
            Subject::Analyze(table) => target_sql == analyze_sql(table),
        }
    }
}

/// The words after a membership that may be granted to others.
pub const WITH_ADMIN: &str = " WITH ADMIN OPTION";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::merge::STAGE;

    fn load(merge: Option<OnKey>) -> Load {
        let columns = ["a\" ON CONFLICT (", "b) DO UPDATE SET"].map(str::to_owned).to_vec();
        Load { into: QualifiedName::new("s", "t ("), columns, merge }
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

    #[test]
    fn a_statement_of_another_table_or_role_does_not_agree() {
        let rows = load(None);
        let (copy, other) = (rows.copy_sql(), rows.copy_sql().replace("\"t (\"", "\"u\""));
        let subject = Subject::Load(rows);
        assert!(subject.agrees(&copy, "") && !subject.agrees(&other, "") && !subject.agrees(&copy, "INSERT"));
        let grant = MemberOf { granted: "a b".into(), member: "c".into() };
        let subject = Subject::Membership(grant.clone());
        assert!(subject.agrees(&grant.grant(), "") && subject.agrees(&(grant.grant() + WITH_ADMIN), ""));
        assert!(!subject.agrees(&(grant.grant() + ", d"), ""));
        let key = ForeignKey { table: QualifiedName::new("s", "t"), name: "k".into() };
        let add = key.add("FOREIGN KEY (a) REFERENCES s.u(b)");
        let subject = Subject::ForeignKey(key);
        assert!(subject.agrees(&add, "") && !subject.agrees(&add.replace("\"k\"", "\"l\""), ""));
    }
}
