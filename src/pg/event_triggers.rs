//! Event triggers of the target, which fire on the statements of a run and may refuse them.
//!
//! From 17 on `settings.tsv` disables them for sessions whose role may do so. If they fire, the ledger's own statements run with
//! `session_replication_role = replica` if the role is a superuser, so that only triggers for replicas fire. Statements that change rows
//! never do so, because foreign keys would not be checked (<https://www.postgresql.org/docs/current/runtime-config-client.html>).

use super::{Session, apply};
use crate::error::{Error, Result};

/// Disables event triggers for the rest of the transaction, if any would fire and the role may do so.
pub(crate) const LEFT_OUT: &str = "SELECT pg_catalog.set_config('session_replication_role', 'replica', true) \
    WHERE pg_catalog.current_setting('is_superuser') = 'on' \
    AND EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtenabled = 'O') \
    AND pg_catalog.current_setting('event_triggers', true) IS DISTINCT FROM 'off';\n";

/// The event triggers that fire on the session's statements, by their quoted names.
pub async fn firing(session: &Session) -> Result<Vec<String>> {
    let rows = session.query(include_str!("../sql/target/event_triggers.sql"), &[]).await?;
    Ok(rows.iter().map(|row| row.get("name")).collect())
}

/// Tries statements of the kinds that a run sends and undoes them; returns the error of an event trigger that refuses one. A role that may
/// create no schema tries only a temporary table.
pub async fn refusal(session: &Session, may_create: bool) -> Result<Option<Error>> {
    let few =
        "CREATE TEMPORARY TABLE pgmigrate_event_trigger_trial (a integer); DROP TABLE pgmigrate_event_trigger_trial";
    let sql = if may_create { include_str!("../sql/target/event_trigger_trial.sql") } else { few };
    session.batch("BEGIN").await?;
    let refused = apply::optional(session, sql).await;
    apply::rollback(session).await?;
    // Other checks report what the role itself may not do.
    Ok(refused?.filter(|error| !error.is("42501")))
}

/// Adds a remedy about event triggers to an error of the ledger's statements.
pub async fn explained(session: &Session, error: Error) -> Error {
    if error.sqlstate.is_none() || error.remedy.is_some() || apply::rollback(session).await.is_err() {
        return error;
    }
    match firing(session).await {
        Ok(names) if !names.is_empty() => error.remedy(remedy(&names)),
        _ => error,
    }
}

/// The remedy for event triggers that refuse the run's statements.
#[must_use]
pub fn remedy(names: &[String]) -> String {
    let off: Vec<String> = names.iter().map(|name| format!("ALTER EVENT TRIGGER {name} DISABLE")).collect();
    format!("for as long as the run lasts: {}", off.join("; "))
}
