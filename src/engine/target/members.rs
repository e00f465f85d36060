//! Objects that belong to an extension and are not moved, because CREATE EXTENSION does not make them and `pg_dump` does not dump them.
//!
//! An extension's functions make tables and add them to it (message queues, partitions), and users put indexes and triggers on its tables.
//! The catalog does not show what the extension's script made; the target after CREATE EXTENSION does. Called at the end of a run and by
//! `verify`.

use crate::action::Action;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::scope::Absent;
use crate::catalog::{Relation, RelationKind};
use crate::engine::run::connections::Connections;
use crate::error::Result;
use crate::finding::{Finding, Severity};
use crate::name::readable;
use crate::pg::compare::{self, Readers};
use crate::pg::{introspect, members};
use crate::plan::Plan;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The largest number of rows of an extension's table that are compared.
const MOST: u64 = 100_000;

/// What is not moved of one extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmoved {
    extension: String,
    pub kind: String,
    pub object: String,
    pub reason: String,
}

/// Inspects both sides at the end of a run, in sessions of its own: an error here becomes a finding, and does not change the result of the
/// run.
pub async fn after(connections: &Connections, plan: &Plan) -> (Vec<Absent>, Vec<Finding>) {
    if extensions(plan).is_empty() {
        return (Vec::new(), Vec::new());
    }
    let to = compare::ComparedConnections {
        source: connections.source.leader.conninfo().clone(),
        target: connections.target.conninfo().clone(),
        snapshot: connections.source.snapshot.clone(),
        encoding: None,
    };
    let found = async { unmoved(&Readers::open(&to).await?, plan).await };
    match found.await {
        Ok(found) => (found.iter().map(absent).collect(), findings(&found)),
        Err(error) => {
            let message = format!("members of extensions could not be compared: {}", error.chain());
            (
                Vec::new(),
                vec![Finding::new(
                    "extension_members",
                    Severity::Warning,
                    "",
                    message,
                    format!("compare them with {}", Action::Verify),
                )],
            )
        }
    }
}

fn extensions(plan: &Plan) -> HashSet<&str> {
    plan.tasks.iter().filter(|task| task.kind == ObjectKind::Extension).map(|task| task.name.as_str()).collect()
}

/// Compares the members of the plan's extensions on both sides.
pub async fn unmoved(readers: &Readers, plan: &Plan) -> Result<Vec<Unmoved>> {
    let extensions = extensions(plan);
    if extensions.is_empty() {
        return Ok(Vec::new());
    }
    let (source, target) = tokio::try_join!(members::read(&readers.source), members::read(&readers.target))?;
    let there: HashSet<&str> = target.versions.iter().map(|(extension, _)| extension.as_str()).collect();
    let mut found = Vec::new();
    for member in source.all.difference(&target.all) {
        let is_same_version =
            || source.versions.intersection(&target.versions).any(|(extension, _)| *extension == member.extension);
        // Functions differ between versions of an extension; lost rows matter in any version.
        let holds_rows = matches!(member.kind.as_str(), "table" | "sequence" | "materialized view");
        let extension = member.extension.as_str();
        if extensions.contains(extension) && there.contains(extension) && (holds_rows || is_same_version()) {
            found.push(Unmoved {
                extension: extension.to_owned(),
                kind: member.kind.clone(),
                object: member.object.clone(),
                reason: format!(
                    "it belongs to extension {}, whose CREATE EXTENSION does not make it",
                    readable(extension)
                ),
            });
        }
    }
    let (source, target) =
        tokio::try_join!(introspect::relations(&readers.source), introspect::relations(&readers.target))?;
    let copied: HashSet<(&str, &str)> =
        plan.tasks.iter().filter(|t| t.is_data()).map(|task| (task.schema.as_str(), task.name.as_str())).collect();
    let target: HashMap<_, &Relation> = target.iter().map(|relation| (&relation.name, relation)).collect();
    for relation in source.iter().filter(|relation| relation.is_plain_member()) {
        let extension = relation.member.as_ref().map(|member| member.extension.to_string()).unwrap_or_default();
        let name = (relation.name.schema.as_str(), relation.name.name.as_str());
        let Some(other) = target.get(&relation.name).filter(|_| extensions.contains(extension.as_str())) else {
            continue;
        };
        if copied.contains(&name) {
            continue;
        }
        if let Some(reason) = difference(readers, relation, other).await? {
            let kind = if relation.kind == RelationKind::Sequence { "sequence" } else { "table" };
            let reason =
                format!("it belongs to extension {} and is no configuration table; {reason}", readable(&extension));
            found.push(Unmoved { extension, kind: kind.into(), object: relation.name.to_string(), reason });
        }
    }
    Ok(found)
}

/// How the contents of a member that both sides have differ; none where they are the same, or the source has none.
async fn difference(readers: &Readers, source: &Relation, target: &Relation) -> Result<Option<String>> {
    if source.kind == RelationKind::Sequence {
        if !source.is_readable || !target.is_readable {
            return Ok(None);
        }
        let (value, other) =
            tokio::try_join!(members::sequence(&readers.source, source), members::sequence(&readers.target, target))?;
        let is_behind = value.1 && value != other;
        return Ok(is_behind.then(|| format!("its value is {} on the source, {} on the target", value.0, other.0)));
    }
    let holds_rows =
        |r: &Relation| matches!(r.kind, RelationKind::Table | RelationKind::MaterializedView) && r.is_populated;
    if !holds_rows(source) || source.heap_bytes == 0 {
        return Ok(None);
    }
    if !source.is_readable || source.hides_rows || !target.is_readable || target.hides_rows {
        return Ok(Some("its rows may not be read, and were not compared".into()));
    }
    let names = |r: &Relation| r.columns.iter().map(|column| column.name.to_string()).collect::<Vec<_>>();
    if !holds_rows(target) || names(source) != names(target) {
        return Ok(Some("its columns differ, and its rows were not compared".into()));
    }
    let (rows, other) = tokio::try_join!(
        members::rows(&readers.source, source, MOST + 1),
        members::rows(&readers.target, target, MOST + 1)
    )?;
    Ok(match (rows.rows, other.rows) {
        (0, _) => None,
        (count, same) if count > MOST && same > MOST => {
            Some(format!("of its more than {MOST} rows none were compared"))
        }
        (count, same) if count != same => {
            Some(format!("{} rows on the source, {} on the target", up_to(count), up_to(same)))
        }
        _ if rows.hash != other.hash => Some("its rows differ".into()),
        _ => None,
    })
}

fn up_to(count: u64) -> String {
    if count > MOST { format!("more than {MOST}") } else { count.to_string() }
}

fn absent(unmoved: &Unmoved) -> Absent {
    Absent { kind: unmoved.kind.clone(), object: unmoved.object.clone(), reason: unmoved.reason.clone() }
}

/// One finding per extension.
fn findings(found: &[Unmoved]) -> Vec<Finding> {
    const SHOWN: usize = 3;
    let mut by_extension: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in found {
        by_extension.entry(&one.extension).or_default().push(&one.object);
    }
    let finding = |(extension, objects): (&str, Vec<&str>)| {
        let more = if objects.len() > SHOWN { ", ..." } else { "" };
        let shown = objects[..objects.len().min(SHOWN)].join(", ");
        let message = format!(
            "not moved: {} of its members, which CREATE EXTENSION does not create or fill and pg_dump does not dump ({shown}{more})",
            objects.len()
        );
        let remedy = "create them on the target by the extension's own functions, then copy the rows of its tables with data_only and \
                      tables.include; or take them out of the extension on the source (ALTER EXTENSION ... DROP) and plan again";
        Finding::new("extension_members", Severity::Warning, readable(extension), message, remedy)
    };
    by_extension.into_iter().map(finding).collect()
}
