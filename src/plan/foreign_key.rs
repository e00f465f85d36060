//! The statements of a foreign key: to add it, with or without a check, and to check it.
//!
//! They are written and parsed here, so that a key whose rows turn out to have orphans can be left NOT VALID
//! (<https://www.postgresql.org/docs/current/sql-altertable.html>). Pure; `schema` writes them, the engine's workers run them.

use crate::name::{QualifiedName, ident, split_ident, split_name};

const TABLE: &str = "ALTER TABLE ONLY ";
const CONSTRAINT: &str = "\n    ADD CONSTRAINT ";

/// Adds the key `name` with all its rows checked.
#[must_use]
pub fn add(table: &QualifiedName, name: &str, definition: &str) -> String {
    format!("{TABLE}{}{CONSTRAINT}{} {definition}", table.sql(), ident(name))
}

/// The statement of [`add`] for a key whose existing rows are not checked.
#[must_use]
pub fn unchecked(add: &str) -> String {
    format!("{add} NOT VALID")
}

/// Checks the rows of the key that a statement of [`add`] makes, with or without a check; none if [`add`] did not write it.
#[must_use]
pub fn validation(add: &str) -> Option<String> {
    let (table, rest) = add.strip_prefix(TABLE).and_then(split_name)?;
    let (name, _) = rest.strip_prefix(CONSTRAINT).and_then(split_ident)?;
    Some(format!("{TABLE}{table} VALIDATE CONSTRAINT {name}"))
}

/// The quoted table and the quoted name in a statement of [`validation`].
#[must_use]
pub fn validated(validation: &str) -> Option<(&str, &str)> {
    let (table, rest) = validation.strip_prefix(TABLE).and_then(split_name)?;
    Some((table, rest.strip_prefix(" VALIDATE CONSTRAINT ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_again_by_its_statement() {
        let table = QualifiedName::new("s", "odd \"t\" ADD CONSTRAINT");
        let sql = add(&table, "k \"1\"", "FOREIGN KEY (a) REFERENCES s.b(c)");
        let validation = validation(&unchecked(&sql)).unwrap();
        assert_eq!(
            validation,
            "ALTER TABLE ONLY \"s\".\"odd \"\"t\"\" ADD CONSTRAINT\" VALIDATE CONSTRAINT \"k \"\"1\"\"\""
        );
        assert_eq!(validated(&validation), Some((table.sql().as_str(), "\"k \"\"1\"\"\"")));
    }

    #[test]
    fn statements_of_others_are_left_alone() {
        let sql = "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES public.b(c);";
        assert_eq!(validation(sql), None);
    }
}
