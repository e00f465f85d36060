//! Copies planner statistics from one server to another, both 18 or newer, as values that only the two servers see.
//!
//! They contain values of rows, so no statement, message or log quotes them. The caller owns the transactions and gathers the statistics
//! again if they cannot be copied.

use super::{Session, apply};
use crate::error::Result;
use crate::name::QualifiedName;

/// Copies the statistics of the relations with these OIDs on the source: all of them, or none if any are not current, with the reason.
pub async fn copy(source: &Session, target: &Session, relations: &[u32]) -> Result<Option<String>> {
    target.batch("SAVEPOINT pgmigrate_statistics").await?;
    let refused = copy_all(source, target, relations).await?;
    let undo = if refused.is_some() { "ROLLBACK TO pgmigrate_statistics; " } else { "" };
    target.batch(&format!("{undo}RELEASE pgmigrate_statistics")).await?;
    Ok(refused)
}

/// If ANALYZE of a table cannot reach the servers of foreign tables below it, analyzes the other tables below it; returns those for which
/// it succeeded. The open transaction goes on.
pub async fn analyze_below(session: &Session, table: &QualifiedName) -> Result<Vec<String>> {
    let mut analyzed = Vec::new();
    for row in session.query(include_str!("../sql/target/local_tables.sql"), &[&table.sql()]).await? {
        let local: String = row.get("name");
        if apply::optional(session, &format!("ANALYZE {local}")).await?.is_none() {
            analyzed.push(local);
        }
    }
    Ok(analyzed)
}

async fn copy_all(source: &Session, target: &Session, relations: &[u32]) -> Result<Option<String>> {
    // A warning would quote the value that caused it.
    target.batch("SET LOCAL client_min_messages = 'error'").await?;
    for relation in relations {
        let row = match source.query_one(include_str!("../sql/statistics/read.sql"), &[relation]).await {
            Err(error) if !error.is_retryable() && error.sqlstate.is_some() => {
                let code = error.sqlstate.unwrap_or_default();
                return Ok(Some(format!("the source refused its own with SQLSTATE {code}")));
            }
            row => row?,
        };
        if !row.get::<_, bool>("is_current") {
            return Ok(Some("the source's are incomplete or out of date".into()));
        }
        // Text of a database without an encoding may be invalid in the client's encoding.
        let Ok(list) = row.try_get::<_, Option<String>>("statistics") else {
            return Ok(Some("the source's hold text of no encoding".into()));
        };
        let (schema, name): (String, String) = (row.get("schema"), row.get("name"));
        let (version, tuples) = (source.version().0.cast_signed(), row.get::<_, f64>("tuples"));
        let write = include_str!("../sql/statistics/write.sql");
        match target.query_one(write, &[&schema, &name, &list, &version, &tuples]).await {
            Ok(row) if row.get(0) => {}
            Ok(_) => return Ok(Some("the target did not take the source's".into())),
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => match &error.sqlstate {
                Some(code) => return Ok(Some(format!("the target refused the source's with SQLSTATE {code}"))),
                None => return Err(error),
            },
        }
    }
    Ok(None)
}
