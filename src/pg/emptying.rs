//! Empties tables that reference each other, all of them by one statement and no other table.
//!
//! TRUNCATE accepts tables whose foreign keys reference each other if one statement names all of them
//! (<https://www.postgresql.org/docs/current/sql-truncate.html>); its CASCADE, which would empty further tables, is never used.

use super::{Session, apply};
use crate::error::{Error, Kind, Result, Side};

/// Empties the tables, given by their quoted names, in the open transaction. If another table references one of them, TRUNCATE is refused:
/// one DELETE empties them if that table holds no rows; otherwise they are left as they are.
pub async fn empty_together(session: &Session, tables: &[String]) -> Result<()> {
    let list = items(session, tables).await?;
    match apply::optional(session, &format!("TRUNCATE {}", list.join(", "))).await? {
        None => return Ok(()),
        Some(error) if !error.is("0A000") => return Err(error),
        Some(_) => {}
    }
    for row in session.query(include_str!("../sql/target/referencing.sql"), &[&tables]).await? {
        let (child, table): (String, String) = (row.get("child"), row.get("referenced"));
        if session.query_one(&format!("SELECT EXISTS (SELECT FROM {child})"), &[]).await?.get(0) {
            let doing = format!("the table cannot be emptied: {child} references it and has rows");
            let error = Error::new("table_referenced", Kind::Schema, doing).object(table).on(Side::Target);
            return Err(error.remedy("empty both, or keep the rows of both"));
        }
    }
    // The keys among them are checked at the end of the whole statement.
    let Some((final_one, others)) = list.split_last() else { return Ok(()) };
    let others: Vec<String> =
        others.iter().enumerate().map(|(at, table)| format!("d{at} AS (DELETE FROM {table})")).collect();
    let with = if others.is_empty() { String::new() } else { format!("WITH {} ", others.join(", ")) };
    session.batch(&format!("{with}DELETE FROM {final_one}")).await?;
    for (table, item) in tables.iter().zip(&list) {
        if session.query_one(&format!("SELECT EXISTS (SELECT FROM {item})"), &[]).await?.get(0) {
            let (causes, remedy) = apply::in_words(&apply::losses(session, table, apply::Change::Delete).await?);
            let doing = format!("rows remain after they were deleted: {causes}");
            return Err(Error::new("rows_not_deleted", Kind::Schema, doing)
                .object(table)
                .on(Side::Target)
                .remedy(remedy));
        }
    }
    Ok(())
}

/// The tables as the statements name them: a partitioned one with its partitions, another one without its inheritance children.
async fn items(session: &Session, tables: &[String]) -> Result<Vec<String>> {
    let sql = "SELECT CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY ' END || t.name FROM unnest($1::text[]) WITH ORDINALITY AS t (name, place) \
               JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(t.name) ORDER BY t.place";
    let items: Vec<String> = session.query(sql, &[&tables]).await?.iter().map(|row| row.get(0)).collect();
    if items.len() != tables.len() {
        return Err(
            Error::new("table_missing", Kind::Schema, "emptying tables, one of which does not exist").on(Side::Target)
        );
    }
    Ok(items)
}
