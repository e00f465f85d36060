//! A closer look at definitions whose texts differ: between two majors that may be the same definition, written in
//! two ways.
//!
//! What can be decided exactly is: views and a table's expressions by letting the target write both, tables,
//! routines, range types and privileges by their catalogs. The rest stays unknown, which is no pass.

use super::definitions::Archive;
use crate::catalog::Oid;
use crate::catalog::archive::Entry;
use crate::error::Result;
use crate::name::QualifiedName;
use crate::pg::compare::Readers;
use crate::pg::compare::definition::{self, Both, Whole};

/// What a closer look has found.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The texts differ and mean the same.
    Same,
    /// The target has no such object.
    Missing,
    /// The definitions differ, in these columns or checks as far as that is known.
    Different(Vec<String>),
    /// It cannot be told.
    Unknown,
}

/// What is known of both sides.
pub struct Closer<'a> {
    /// The source's entries.
    pub source: &'a Archive,
    /// The target's entries.
    pub target: &'a Archive,
    /// The majors of source and target.
    pub majors: (u32, u32),
}

impl Closer<'_> {
    /// Looks at an entry of the source and its counterpart.
    pub async fn verdict(&self, readers: &Readers, entry: &Entry, other: Option<&Entry>) -> Result<Verdict> {
        if entry.desc == "ACL" && self.majors.0 != self.majors.1 {
            return self.privileges(readers, entry, other.is_some()).await;
        }
        let Some(other) = other else { return Ok(Verdict::Missing) };
        match entry.desc.as_str() {
            "TABLE" | "FOREIGN TABLE" => self.table(readers, entry, other).await,
            _ if self.majors.0 == self.majors.1 => Ok(Verdict::Different(Vec::new())),
            "VIEW" | "MATERIALIZED VIEW" => view(readers, entry, other).await,
            "RULE" => rule(readers, entry, other).await,
            "FUNCTION" | "PROCEDURE" => whole(readers, Whole::Routine, entry, other).await,
            "TYPE" => whole(readers, Whole::Range, entry, other).await,
            "DEFAULT ACL" => {
                let both = Both { catalog: entry.catalog, source: entry.oid, target: other.oid };
                privileges(readers, both).await
            }
            // Statements without expressions, which every major writes alike.
            "COMMENT" | "EXTENSION" | "INDEX ATTACH" | "ROW SECURITY" | "SCHEMA" | "SECURITY LABEL" | "SEQUENCE"
            | "SEQUENCE OWNED BY" | "TABLE ATTACH" => Ok(Verdict::Different(Vec::new())),
            _ => Ok(Verdict::Unknown),
        }
    }

    /// Also says which parts differ, where the texts can tell no more than that they do.
    async fn table(&self, readers: &Readers, entry: &Entry, other: &Entry) -> Result<Verdict> {
        let difference = definition::relation_difference(readers, &name(other), entry.oid, other.oid).await?;
        Ok(match (difference.differs, difference.is_undecided) {
            (false, true) => Verdict::Unknown,
            (false, false) if self.majors.0 != self.majors.1 => Verdict::Same,
            _ => Verdict::Different(difference.parts),
        })
    }

    /// A major that knows more rights than another names them where the other has nothing to say; and tags hold a
    /// routine's arguments, which majors write in two ways.
    async fn privileges(&self, readers: &Readers, entry: &Entry, is_there: bool) -> Result<Verdict> {
        let otherwise = if is_there { Verdict::Different(Vec::new()) } else { Verdict::Missing };
        let Some(holder) = self.source.holder(entry).filter(|_| !entry.tag.starts_with("COLUMN ")) else {
            return Ok(otherwise);
        };
        let Some(other) = self.target.same(holder) else { return Ok(otherwise) };
        let both = Both { catalog: holder.catalog, source: holder.oid, target: other.oid };
        Ok(match privileges(readers, both).await? {
            Verdict::Same => Verdict::Same,
            _ => otherwise,
        })
    }
}

fn name(entry: &Entry) -> String {
    QualifiedName::new(&entry.namespace, &entry.tag).sql()
}

fn different_unless(is_same: bool) -> Verdict {
    if is_same { Verdict::Same } else { Verdict::Different(Vec::new()) }
}

async fn privileges(readers: &Readers, both: Both) -> Result<Verdict> {
    Ok(different_unless(definition::has_same_privileges(readers, both).await? == Some(true)))
}

/// A view of the source is read and written out by the target; options and columns are compared beside it.
async fn view(readers: &Readers, entry: &Entry, other: &Entry) -> Result<Verdict> {
    let difference = definition::relation_difference(readers, &name(other), entry.oid, other.oid).await?;
    if difference.differs {
        return Ok(Verdict::Different(difference.parts));
    }
    same_view(readers, entry.oid, other.oid).await
}

async fn same_view(readers: &Readers, source: Oid, target: Oid) -> Result<Verdict> {
    definition::is_same_view(readers, source, target).await.map(different_unless)
}

/// A rule may be a view's query, which the archive makes apart where views stand in a circle with something else.
async fn rule(readers: &Readers, entry: &Entry, other: &Entry) -> Result<Verdict> {
    let views = tokio::try_join!(
        definition::view_of_rule(&readers.source, entry.oid),
        definition::view_of_rule(&readers.target, other.oid)
    )?;
    match views {
        (Some(source), Some(target)) => same_view(readers, source, target).await,
        _ => Ok(Verdict::Unknown),
    }
}

async fn whole(readers: &Readers, kind: Whole, entry: &Entry, other: &Entry) -> Result<Verdict> {
    Ok(match definition::is_same_whole(readers, kind, entry.oid, other.oid).await? {
        Some(is_same) => different_unless(is_same),
        // Types of other kinds have no expressions that majors could write in two ways.
        None if kind == Whole::Range => Verdict::Different(Vec::new()),
        None => Verdict::Unknown,
    })
}
