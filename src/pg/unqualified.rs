//! Queries on tables whose indexes call functions that name objects without a schema.
//!
//! Planning a query reads the indexes of its tables and inlines their functions. Under the empty `search_path` of pgmigrate's sessions such
//! a function finds nothing, and the query fails even if no index is used. The query is repeated under the search path of the database's
//! own sessions, and then under the path of the source, where the functions come from. Called by modules that inspect a target, and by code
//! that decides whether rows may be read under another path at all.

use super::{Session, introspect, search_path};
use crate::error::Result;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Returns the one row of a query. If a name is not found, the query is repeated under the database's own `search_path`, and under
/// `source_path`, which is the source's if there is one. The query's own names have their schemas.
pub async fn query_one(
    session: &Session,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
    source_path: &str,
) -> Result<Row> {
    let first = match session.query_one(sql, parameters).await {
        Err(error) if error.is_undefined() => error,
        answer => return answer,
    };
    let own = introspect::search_path(session).await?;
    for path in [own.as_str(), source_path].into_iter().filter(|path| !path.is_empty()) {
        session.batch(&search_path::of_session(path)).await?;
        let answer = session.query_one(sql, parameters).await;
        session.batch(&search_path::of_session("")).await?;
        if answer.is_ok() {
            return answer;
        }
    }
    Err(first)
}

/// Whether the text of a relation's rows depends on the `search_path`, because values of its columns name objects; `relation` is quoted.
pub async fn names_objects(session: &Session, relation: &str) -> Result<bool> {
    Ok(session.query_one(include_str!("../sql/survey/names_objects.sql"), &[&relation]).await?.get(0))
}
