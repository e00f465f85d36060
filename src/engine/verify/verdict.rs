//! Inspects definitions whose texts differ: which properties differ, and whether two major versions only write one definition in two ways.
//!
//! Properties in the catalogs are compared one by one, views and expressions by making the target write both. A difference of texts counts
//! as one of versions only where a property explains it; a difference without an explanation is unknown, and does not pass. Called by
//! `definitions`.

use super::archive::Archive;
use crate::catalog::Oid;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::{ObjectKind, Properties};
use crate::error::Result;
use crate::name::readable;
use crate::pg::compare::Readers;
use crate::pg::compare::definition::{self, Both, Comparison, Privilege, Property, Value};
use crate::server_version::Versions;
use std::collections::HashSet;

/// The result of the inspection.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The objects are equal as far as this comparison covers them.
    Same,
    /// The texts differ only because of the versions; the reason, as text.
    ByVersion(String),
    /// The target has no such object.
    Missing,
    /// The definitions differ: in these columns, and in these properties, as far as that is known.
    Different(Different),
    /// It cannot be decided.
    Unknown,
}

/// What differs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Different {
    /// The columns of a table.
    pub columns: Vec<String>,
    /// The properties, as text.
    pub what: Vec<String>,
}

/// What is known of both sides.
pub struct DefinitionComparer<'a> {
    /// The source's entries.
    pub source: &'a Archive<'a>,
    /// The target's entries.
    pub target: &'a Archive<'a>,
    /// The versions of source and target.
    pub versions: Versions,
    /// Whether tablespaces count.
    pub with_tablespaces: bool,
    /// The objects that the comparison of rows, values and validity has named.
    pub named: HashSet<&'a str>,
}

impl DefinitionComparer<'_> {
    /// Inspects an entry of the source and its counterpart; one of them may be missing.
    pub async fn verdict(&self, readers: &Readers, entry: Option<&Entry>, other: Option<&Entry>) -> Result<Verdict> {
        let of = entry.or(other).map(|entry| &entry.kind);
        if of == Some(&ObjectKind::Acl)
            && let Some(verdict) = self.privileges(readers, entry, other).await?
        {
            return Ok(verdict);
        }
        let (Some(entry), Some(other)) = (entry, other) else { return Ok(Verdict::Missing) };
        let both = (entry.oid, other.oid);
        match &entry.kind {
            ObjectKind::DefaultAcl => {
                let both = Both { catalog: entry.catalog, source: entry.oid, target: other.oid };
                self.rights(readers, both, |_| true).await.map(|verdict| verdict.unwrap_or_else(different))
            }
            ObjectKind::View | ObjectKind::MaterializedView => self.view(readers, entry, other).await,
            ObjectKind::Rule if let Some(views) = views_of_rules(readers, both).await? => {
                same_view(readers, views).await
            }
            _ => match entry.kind.properties() {
                Some(kind) => {
                    let comparison =
                        definition::compare(readers, kind, entry.oid, other.oid, self.with_tablespaces).await?;
                    Ok(self.evaluate(entry, &comparison))
                }
                // Statements without expressions, which one pg_dump writes in the same way for every major version.
                None => Ok(different()),
            },
        }
    }

    fn evaluate(&self, entry: &Entry, comparison: &Comparison) -> Verdict {
        let is_one_major = self.versions.are_one_major();
        let mut found = Different::default();
        let mut reasons: Vec<&str> = Vec::new();
        for (property, source, target) in &comparison.differing {
            if self.is_named(entry, property) {
                reasons.push("");
            } else if is_name_of_not_null(property) && is_by_version(source, target, entry, property, self.versions) {
                reasons.push("the server has generated another name for a NOT NULL constraint");
            } else {
                found.push(property);
            }
        }
        if !found.what.is_empty() {
            return Verdict::Different(found);
        }
        if !comparison.undecided.is_empty() {
            return Verdict::Unknown;
        }
        // Everything in a policy is among its properties; pg_dump writes its roles in the order of the server's catalog.
        if entry.kind == ObjectKind::Policy {
            reasons.push("");
        }
        if !comparison.rewritten.is_empty() {
            reasons.push("the servers write one expression in two ways");
        }
        let Versions { source, target } = self.versions;
        if entry.kind == ObjectKind::Type && !(source.has_multirange_types() && target.has_multirange_types()) {
            reasons.push("a range type has a multirange type from version 14 on");
        }
        match reasons.iter().find(|reason| !reason.is_empty()) {
            Some(reason) => Verdict::ByVersion((*reason).to_owned()),
            None if !reasons.is_empty() => Verdict::Same,
            None if is_one_major => different(),
            None => Verdict::Unknown,
        }
    }

    /// Whether a constraint is named already as one whose rows were not checked.
    fn is_named(&self, entry: &Entry, property: &Property) -> bool {
        let object = match property.part.as_str() {
            "constraint" => format!("{}.{} {}", readable(&entry.namespace), entry.tag, property.name),
            _ => return false,
        };
        self.named.contains(object.as_str())
    }

    /// The privileges on both objects; none where the archives do not show which objects these are.
    async fn privileges(
        &self,
        readers: &Readers,
        entry: Option<&Entry>,
        other: Option<&Entry>,
    ) -> Result<Option<Verdict>> {
        let holders = match (entry, other) {
            (Some(entry), _) => self.source.holder(entry).and_then(|holder| Some((holder, self.target.same(holder)?))),
            (None, Some(other)) => {
                self.target.holder(other).and_then(|holder| Some((self.source.same(holder)?, holder)))
            }
            (None, None) => None,
        };
        let Some((source, target)) = holders else { return Ok(None) };
        let both = Both { catalog: source.catalog, source: source.oid, target: target.oid };
        let tag = entry.or(other).map(|entry| entry.tag.as_str()).unwrap_or_default();
        let is_column = tag.starts_with("COLUMN ");
        let is_about = |of: &Privilege| {
            if is_column { tag.ends_with(&format!(".{}", readable(&of.column))) } else { of.column.is_empty() }
        };
        self.rights(readers, both, is_about).await
    }

    async fn rights(
        &self,
        readers: &Readers,
        both: Both,
        is_about: impl Fn(&Privilege) -> bool,
    ) -> Result<Option<Verdict>> {
        let found = definition::privilege_difference(readers, both).await?;
        if !found.is_known {
            return Ok(None);
        }
        let unknown: Vec<String> = found.unknown.iter().filter(|of| is_about(of)).map(right).collect();
        let words = |list: &[Privilege], side: &str| -> Vec<String> {
            let about = list.iter().filter(|of| is_about(of));
            about.map(|of| format!("{} on the {side} only", right(of))).collect()
        };
        let mut what = words(&found.source, "source");
        what.extend(words(&found.target, "target"));
        Ok(Some(if !what.is_empty() {
            Verdict::Different(Different { columns: Vec::new(), what })
        } else if !unknown.is_empty() {
            let message = format!("PostgreSQL {} has no such privilege: {}", self.versions.target, unknown.join(", "));
            Verdict::ByVersion(message)
        } else if self.versions.are_one_major() {
            Verdict::Different(Different { columns: Vec::new(), what: vec!["the grantors".into()] })
        } else {
            Verdict::ByVersion("the servers write the same privileges in two ways".into())
        }))
    }

    /// A view of the source is read and written out by the target; its options and columns are compared as well.
    async fn view(&self, readers: &Readers, entry: &Entry, other: &Entry) -> Result<Verdict> {
        let both = (entry.oid, other.oid);
        let comparison =
            definition::compare(readers, Properties::Relation, entry.oid, other.oid, self.with_tablespaces).await?;
        let mut found = Different::default();
        comparison.differing.iter().for_each(|(property, ..)| found.push(property));
        if self.versions.are_one_major() {
            if found.what.is_empty() {
                found.what.push("its query".into());
            }
            return Ok(Verdict::Different(found));
        }
        match same_view(readers, both).await? {
            Verdict::Different(query) => found.what.extend(query.what),
            verdict if found.what.is_empty() => return Ok(verdict),
            _ => {}
        }
        Ok(Verdict::Different(found))
    }
}

impl Different {
    fn push(&mut self, of: &Property) {
        let words = match of.part.as_str() {
            "relation" => of.property.clone(),
            part => format!("{part} {} {}", readable(&of.name), of.property),
        };
        if of.part == "column" && !self.columns.contains(&of.name) {
            self.columns.push(of.name.clone());
        }
        if self.what.len() < SHOWN {
            self.what.push(words);
        }
    }
}

/// The largest number of properties that are named for one object.
const SHOWN: usize = 10;

fn different() -> Verdict {
    Verdict::Different(Different::default())
}

fn right(of: &Privilege) -> String {
    let option = if of.is_grantable { " with grant option" } else { "" };
    format!("{} for {}{option}", of.right, of.grantee)
}

fn is_name_of_not_null(property: &Property) -> bool {
    property.part == "column" && property.property == "NOT NULL name"
}

/// Whether two names of a NOT NULL constraint are both the server's own, or one server has no such names.
fn is_by_version(source: &Value, target: &Value, entry: &Entry, property: &Property, versions: Versions) -> bool {
    if !(versions.source.names_not_null_constraints() && versions.target.names_not_null_constraints()) {
        return true;
    }
    let is_generated = |value: &Value| {
        // A column that may be NULL on one side already differs in that.
        value.fact.as_deref().is_none_or(|name| is_generated(name, &entry.tag, &property.name))
    };
    is_generated(source) && is_generated(target)
}

/// Whether a name is one that the server chooses: table, column, `not_null`, and a number where the name was taken. The server
/// shortens table and column where all this is too long for a name.
fn is_generated(name: &str, table: &str, column: &str) -> bool {
    let Some(stem) = name.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix("_not_null") else {
        return false;
    };
    let is_cut = |(at, _): (usize, &str)| table.starts_with(&stem[..at]) && column.starts_with(&stem[at + 1..]);
    let is_long = name.len() >= LONG_NAME;
    stem == format!("{table}_{column}") || is_long && stem.match_indices('_').any(is_cut)
}

/// Bytes from which on a generated name was shortened: a name has 63, and a character is not cut in two.
const LONG_NAME: usize = 60;

async fn views_of_rules(readers: &Readers, (source, target): (Oid, Oid)) -> Result<Option<(Oid, Oid)>> {
    let (source, target) = tokio::try_join!(
        definition::view_of_rule(&readers.source, source),
        definition::view_of_rule(&readers.target, target)
    )?;
    Ok(source.zip(target))
}

async fn same_view(readers: &Readers, (source, target): (Oid, Oid)) -> Result<Verdict> {
    Ok(if definition::is_same_view(readers, source, target).await? {
        Verdict::ByVersion("the servers write one query in two ways".into())
    } else {
        Verdict::Different(Different { columns: Vec::new(), what: vec!["its query".into()] })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_server_chooses_are_generated() {
        assert!(is_generated("orders_id_not_null", "orders", "id"));
        assert!(is_generated("orders_id_not_null12", "orders", "id"));
        assert!(!is_generated("jobs_id_not_null", "orders", "id"));
        assert!(!is_generated("mine", "orders", "id"));
        let (table, column) = ("a".repeat(40), "b".repeat(40));
        let cut = format!("{}_{}_not_null1", "a".repeat(26), "b".repeat(26));
        assert!(is_generated(&cut, &table, &column));
        assert!(!is_generated(&cut, &table, "c"));
    }
}
