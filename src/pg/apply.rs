//! Applies tasks to the target: the transaction around them, statements that may be refused, and checks of existing objects.
//!
//! The engine decides which task runs when, and what its outcome means.

use super::{Session, unqualified};
use crate::error::{Error, Kind, Result, Side};
use crate::name::literal;
use crate::plan::build::role::ExistingMembership;
use std::collections::HashMap;

/// Begins a transaction whose statements wait for a lock `lock_timeout` seconds at most and whose `application_name` shows `purpose`.
pub async fn begin(session: &Session, lock_timeout: u64, purpose: &str) -> Result<()> {
    let name = literal(&format!("pgmigrate {purpose}"));
    session
        .batch(&format!("BEGIN; SET LOCAL lock_timeout = '{lock_timeout}s'; SET LOCAL application_name = {name}"))
        .await
}

/// Limits the time that the session's statements wait for a lock to `seconds`; 0 is no limit.
pub async fn limit_lock_wait(session: &Session, seconds: u64) -> Result<()> {
    session.batch(&format!("SET lock_timeout = '{seconds}s'")).await
}

/// Lets row security filter the rows that statements of the transaction read; pgmigrate's sessions otherwise get an error instead.
pub async fn obey_row_security(session: &Session) -> Result<()> {
    session.batch("SET LOCAL row_security = on").await
}

/// Runs the statements of several tasks, each under its own settings, in one transaction that stays open.
pub async fn begin_many(session: &Session, lock_timeout: u64, purpose: &str, statements: &[&str]) -> Result<()> {
    begin(session, lock_timeout, purpose).await?;
    session.batch(&joined(statements)).await
}

/// The statements of several tasks, one after another.
#[must_use]
pub fn joined(statements: &[&str]) -> String {
    let mut sql = String::new();
    let mut is_set = false;
    for statement in statements.iter().filter(|statement| !statement.is_empty()) {
        if is_set {
            // The settings of one statement must not apply to the next.
            sql.push_str("SET LOCAL default_tablespace = ''; SET LOCAL default_table_access_method = heap;\n");
        }
        is_set = statement.starts_with("SET LOCAL ");
        sql.push_str(statement);
        // On a line of its own, because a statement may end in a comment.
        sql.push_str("\n;\n");
    }
    sql
}

/// Commits.
pub async fn commit(session: &Session) -> Result<()> {
    session.batch("COMMIT").await
}

/// Ends a session of this program on this database by its process, if it still exists.
pub async fn terminate(session: &Session, pid: i32) -> Result<()> {
    let sql = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND usename = current_user \
               AND datname = pg_catalog.current_database() AND application_name LIKE 'pgmigrate %'";
    session.query(sql, &[&pid]).await.map(|_| ())
}

/// Rolls back an open transaction; if there is none, that is no failure.
pub async fn rollback(session: &Session) -> Result<()> {
    session.batch("ROLLBACK").await
}

/// Runs statements that may be refused: a refusal is returned and undone, and the transaction goes on.
pub async fn optional(session: &Session, sql: &str) -> Result<Option<Error>> {
    if sql.is_empty() {
        return Ok(None);
    }
    session.batch("SAVEPOINT pgmigrate_optional").await?;
    match session.batch(sql).await {
        Ok(()) => session.batch("RELEASE pgmigrate_optional").await.map(|()| None),
        Err(error) if error.sqlstate.is_some() && !error.is_retryable() => {
            // The statements that follow, such as the ledger's row, belong to the transaction itself and not to the savepoint.
            session.batch("ROLLBACK TO pgmigrate_optional; RELEASE pgmigrate_optional").await?;
            Ok(Some(error))
        }
        Err(error) => Err(error),
    }
}

/// An index as it is on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundIndex {
    /// Whether queries may use it; a partitioned index counts as usable while some of its parts are not attached.
    pub is_usable: bool,
    /// `pg_get_indexdef`.
    pub statement: String,
}

impl FoundIndex {
    /// Whether it is the index that a plan's statements make.
    #[must_use]
    pub fn is_made_by(&self, sql: &str) -> bool {
        sql.match_indices(&self.statement).any(|(at, found)| {
            let rest = &sql[at + found.len()..];
            rest.is_empty() || rest.starts_with(';')
        })
    }
}

/// Finds an index by its quoted, qualified name.
pub async fn find_index(session: &Session, name: &str) -> Result<Option<FoundIndex>> {
    let sql = "SELECT i.indisvalid AND i.indisready OR c.relkind = 'I', pg_catalog.pg_get_indexdef(i.indexrelid) \
               FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
               WHERE i.indexrelid = pg_catalog.to_regclass($1)";
    let row = session.query_opt(sql, &[&name]).await?;
    Ok(row.map(|row| FoundIndex { is_usable: row.get(0), statement: row.get(1) }))
}

/// Drops an index that an interrupted build left unusable.
pub async fn drop_index(session: &Session, name: &str) -> Result<()> {
    session.batch(&format!("DROP INDEX {name}")).await
}

/// The index, quoted, that has the name of a key's own index although no constraint uses it; `key` is table and key, separated by a space.
pub async fn index_in_the_way(session: &Session, schema: &str, key: &str) -> Result<Option<String>> {
    let sql = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i \
               JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_class t ON t.oid = i.indrelid \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND t.relname || ' ' || c.relname = $2 \
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))";
    Ok(session.query_opt(sql, &[&schema, &key]).await?.map(|row| row.get(0)))
}

/// Empties a table, a partitioned one with all below it. If a foreign key forbids TRUNCATE, its rows are deleted, unless a table that
/// references it holds rows: the key's own rules would delete these, too, or remove their references.
pub async fn empty(session: &Session, table: &str) -> Result<()> {
    let sql = "SELECT c.relkind = 'p', ARRAY(SELECT DISTINCT k.conrelid::pg_catalog.regclass::text FROM pg_catalog.pg_constraint k \
               WHERE k.contype = 'f' AND k.confrelid = c.oid AND k.conrelid <> c.oid) \
               FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1)";
    let gone = || {
        Error::new("table_missing", Kind::Schema, "emptying a table that does not exist").object(table).on(Side::Target)
    };
    let row = session.query_opt(sql, &[&table]).await?.ok_or_else(gone)?;
    let only = if row.get(0) { "" } else { "ONLY " };
    let is_left = format!("SELECT EXISTS (SELECT FROM {only}{table})");
    match optional(session, &format!("TRUNCATE {only}{table}")).await? {
        None => return Ok(()),
        Some(error) if !error.is("0A000") => return Err(error),
        Some(_) => {}
    }
    for child in row.get::<_, Vec<String>>(1) {
        if session.query_one(&format!("SELECT EXISTS (SELECT FROM {child})"), &[]).await?.get(0) {
            return Err(Error::new(
                "table_referenced",
                Kind::Schema,
                format!("the table cannot be emptied: {child} references it and has rows"),
            )
            .object(table)
            .on(Side::Target)
            .remedy("empty both, or keep the rows of both"));
        }
    }
    session.batch(&format!("DELETE FROM {only}{table}")).await?;
    if !session.query_one(&is_left, &[]).await?.get::<_, bool>(0) {
        return Ok(());
    }
    let (causes, remedy) = in_words(&losses(session, table, Change::Delete).await?);
    let doing = format!("rows remain after they were deleted: {causes}");
    Err(Error::new("rows_not_deleted", Kind::Schema, doing).object(table).on(Side::Target).remedy(remedy))
}

/// Causes and remedies as text for a message.
#[must_use]
pub fn in_words(losses: &[Loss]) -> (String, String) {
    let join = |text: fn(&Loss) -> &str| losses.iter().map(text).collect::<Vec<_>>().join("; ");
    if losses.is_empty() {
        return ("no trigger, rule or foreign table explains it".into(), "check the table on the target".into());
    }
    (join(|loss| &loss.cause), join(|loss| &loss.remedy))
}

/// Runs a query that counts and may be refused; none if it was refused or took longer than a minute. The transaction goes on.
pub async fn count(session: &Session, sql: &str) -> Result<Option<i64>> {
    session.batch("SAVEPOINT pgmigrate_count; SET LOCAL statement_timeout = '1min'").await?;
    let counted = session.query_one(sql, &[]).await;
    if matches!(&counted, Err(error) if error.sqlstate.is_none()) {
        return counted.map(|_| None);
    }
    session.batch("ROLLBACK TO pgmigrate_count; RELEASE pgmigrate_count").await?;
    Ok(counted.ok().map(|row| row.get(0)))
}

/// A cause that prevents rows from being written, with its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The trigger, rule or foreign table.
    pub cause: String,
    /// A statement, or an instruction for a person.
    pub remedy: String,
}

/// A change of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// They are added, or updated if the table has their key.
    Add,
    /// They are deleted.
    Delete,
}

/// Objects of the target that can prevent a change of rows of a table, given by its quoted name.
pub async fn losses(session: &Session, table: &str, change: Change) -> Result<Vec<Loss>> {
    let (events, rules) = match change {
        Change::Add => (4 | 16, ""),
        Change::Delete => (8, "4"),
    };
    let rows = session.query(include_str!("../sql/target/row_losses.sql"), &[&table, &events, &rules]).await?;
    Ok(rows.iter().map(|row| Loss { cause: row.get("cause"), remedy: row.get("remedy") }).collect())
}

/// A sequence's value: the last one, whether it was used, and whether the sequence ascends.
pub type SequenceValue = (i64, bool, bool);

/// Reads a sequence's value by a plan's statement.
pub async fn sequence_value(session: &Session, sql: &str) -> Result<SequenceValue> {
    let row = session.query_one(sql, &[]).await?;
    Ok((row.get(0), row.get(1), row.get::<_, Option<bool>>(2).unwrap_or(true)))
}

/// Whether a sequence reaches its next number later than the other.
#[must_use]
pub fn is_ahead(found: SequenceValue, other: SequenceValue) -> bool {
    let further = if other.2 { found.0 > other.0 } else { found.0 < other.0 };
    further || found.0 == other.0 && found.1 && !other.1
}

/// Sets a sequence's value by a plan's statement.
pub async fn set_sequence(session: &Session, sql: &str, value: SequenceValue) -> Result<()> {
    session.query_one(sql, &[&value.0, &value.1]).await.map(|_| ())
}

/// A role's password hash, where the connected role may read it (<https://www.postgresql.org/docs/current/catalog-pg-authid.html>).
pub async fn password_hash(source: &Session, sql: &str) -> Result<Option<crate::config::Secret>> {
    match source.query_opt(sql, &[]).await {
        Ok(row) => Ok(row.and_then(|row| row.get::<_, Option<String>>(0)).map(crate::config::Secret::new)),
        Err(error) if error.is("42501") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets a role's password hash. The statement contains the hash and is never logged or reported.
pub async fn set_password(target: &Session, role: &str, hash: &crate::config::Secret) -> Result<()> {
    let sql = format!("ALTER ROLE {} PASSWORD {}", crate::name::ident(role), literal(hash.expose()));
    target.batch(&sql).await.map_err(|error| {
        let mut bare =
            Error::new("password_not_set", Kind::Schema, "setting a role's password").object(crate::name::ident(role));
        bare.sqlstate.clone_from(&error.sqlstate);
        bare
    })
}

/// Whether a role exists.
pub async fn has_role(session: &Session, role: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)";
    Ok(session.query_one(sql, &[&role]).await?.get(0))
}

/// The grants of the role `granted` to `member`.
pub async fn memberships(session: &Session, granted: &str, member: &str) -> Result<Vec<ExistingMembership>> {
    let rows = session.query(include_str!("../sql/target/membership.sql"), &[&granted, &member]).await?;
    Ok(rows.iter().map(existing_membership).collect())
}

/// All grants of roles, by the granted role and its member.
pub async fn all_memberships(session: &Session) -> Result<HashMap<[String; 2], Vec<ExistingMembership>>> {
    let all: Option<&str> = None;
    let mut found: HashMap<[String; 2], Vec<ExistingMembership>> = HashMap::new();
    for row in session.query(include_str!("../sql/target/membership.sql"), &[&all, &all]).await? {
        found.entry([row.get("granted"), row.get("member")]).or_default().push(existing_membership(&row));
    }
    Ok(found)
}

fn existing_membership(row: &tokio_postgres::Row) -> ExistingMembership {
    ExistingMembership {
        admin: row.get("admin_option"),
        inherit_and_set: row.get::<_, Option<bool>>("inherit_option").zip(row.get("set_option")),
        member_inherits: row.get("member_inherits"),
        grantor: row.get("grantor"),
        may_choose_grantor: row.get("may_choose_grantor"),
    }
}

/// Rows without a match for a foreign key.
#[derive(Debug)]
pub struct Orphans {
    /// How many there are, in words: they are not counted if a function of an index names objects that are not found.
    pub count: String,
    /// The query that lists them.
    pub query: String,
}

/// The rows of a table that have no match for a foreign key, by the catalog's own columns; none if the key no longer exists.
pub async fn orphans(session: &Session, table: &str, constraint: &str) -> Result<Option<Orphans>> {
    let row = session.query_opt(include_str!("../sql/orphans.sql"), &[&table, &constraint]).await?;
    let Some(query) = row.map(|row| row.get::<_, String>(0)) else { return Ok(None) };
    let count = match unqualified::query_one(session, &format!("SELECT count(*) FROM ({query}) orphans"), &[], "").await
    {
        Ok(row) => row.get::<_, i64>(0).to_string(),
        Err(error) if error.is_undefined() => "some".into(),
        Err(error) => return Err(error),
    };
    Ok(Some(Orphans { count, query }))
}

/// The result of `pg_get_constraintdef` for a table's constraint, if it exists; both names are quoted.
pub async fn constraint(session: &Session, table: &str, constraint: &str) -> Result<Option<String>> {
    let sql = "SELECT pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint \
               WHERE conrelid = pg_catalog.to_regclass($1) AND '\"' || replace(conname::text, '\"', '\"\"') || '\"' = $2";
    Ok(session.query_opt(sql, &[&table, &constraint]).await?.map(|row| row.get(0)))
}
