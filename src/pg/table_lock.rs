//! Table locks under a snapshot, and the check that a locked table still is what the snapshot contains.
//!
//! A snapshot does not cover everything: after TRUNCATE, a rewriting ALTER TABLE, or DROP and CREATE, a table has rows that the snapshot
//! cannot contain, and a query returns none of them without an error. ACCESS SHARE blocks these statements from the moment it is held; the
//! catalog shows what happened between the snapshot and the lock. The leader locks everything in scope for the whole run; each reader locks
//! and checks what it reads in its own transaction, so it depends on no other session. Called by the engine's `open`, `part` and `worker`,
//! and by `compare`.

use super::Session;
use crate::action::Action;
use crate::catalog::Oid;
use crate::closed_set::closed_set;
use crate::error::{Error, Kind, Result, Side};
use crate::name::{QualifiedName, literal};

/// Tables in one LOCK TABLE statement.
const A_STATEMENT: usize = 500;
/// Changed tables that an error names.
const NAMED: usize = 10;

/// A table that a run may read, or one with partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lockable {
    /// Its OID.
    pub oid: Oid,
    /// Its name.
    pub name: QualifiedName,
    /// Whether it holds rows itself.
    pub holds_rows: bool,
    /// The partitioned table that it is a partition of.
    pub partition_of: Option<Oid>,
}

closed_set! {
    /// Why a table cannot be read in a snapshot although it is locked; the texts are those of `snapshot/changed.sql`.
    pub enum TableChange, "change of a table" {
        /// The snapshot has no table of this name.
        Absent = "absent",
        /// The name belongs to another table now.
        Replaced = "replaced",
        /// Its rows are in another file now.
        Rewritten = "rewritten",
        /// Columns were dropped or renamed.
        Columns = "columns",
    }
}

impl TableChange {
    fn words(self) -> &'static str {
        match self {
            TableChange::Absent => "was created or renamed after the snapshot was taken",
            TableChange::Replaced => {
                "was dropped or renamed after the snapshot was taken, and its name belongs to another table"
            }
            TableChange::Rewritten => "was truncated or rewritten after the snapshot was taken",
            TableChange::Columns => "had columns dropped or renamed after the snapshot was taken",
        }
    }
}

/// A table that is no longer what the snapshot contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedTable {
    /// Its name.
    pub table: QualifiedName,
    /// What happened to it.
    pub change: TableChange,
}

/// All tables that the role may lock for reading.
pub async fn lockable(session: &Session) -> Result<Vec<Lockable>> {
    let mut all = Vec::new();
    let take = |row: &tokio_postgres::Row| {
        all.push(Lockable {
            oid: row.get("oid"),
            name: QualifiedName::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
            holds_rows: row.get("holds_rows"),
            partition_of: row.get("partition_of"),
        });
    };
    session.each(include_str!("../sql/snapshot/tables.sql"), take).await?;
    Ok(all)
}

/// The result of the leader's lock requests.
#[derive(Debug, Default)]
pub struct Locked {
    /// Tables that are locked.
    pub held: Vec<QualifiedName>,
    /// Tables that could not be locked, and why.
    pub refused: Vec<(QualifiedName, Error)>,
}

/// Takes ACCESS SHARE on `tables` until the transaction ends, waiting `lock_timeout` seconds at most for each statement.
pub async fn lock(leader: &Session, tables: &[QualifiedName], lock_timeout: u64) -> Result<Locked> {
    leader.batch(&format!("SET LOCAL lock_timeout = '{lock_timeout}s'")).await?;
    let mut locked = Locked::default();
    for batch in tables.chunks(A_STATEMENT) {
        if try_lock(leader, batch).await.is_ok() {
            locked.held.extend_from_slice(batch);
            continue;
        }
        for table in batch {
            match try_lock(leader, std::slice::from_ref(table)).await {
                Ok(()) => locked.held.push(table.clone()),
                Err(error) if error.sqlstate.is_none() => return Err(error),
                Err(error) => locked.refused.push((table.clone(), error)),
            }
        }
    }
    Ok(locked)
}

/// Locks `tables` in a reader's transaction and checks that they are what its snapshot contains.
///
/// One message; the session's own `lock_timeout` limits the wait. After an error the transaction can go on.
pub async fn guard(reader: &Session, tables: &[QualifiedName]) -> Result<()> {
    if tables.is_empty() {
        return Ok(());
    }
    let sql = format!("{}; RELEASE pgmigrate_lock; {}", statement(tables), changed_sql(tables));
    match reader.simple(&sql).await {
        Ok(rows) => refuse(&changes(&rows)),
        Err(error) if error.sqlstate.is_none() => Err(error),
        Err(error) => {
            reader.batch("ROLLBACK TO pgmigrate_lock; RELEASE pgmigrate_lock").await?;
            Err(explained(reader, tables, error).await)
        }
    }
}

/// Those of the locked `tables` that are no longer what the snapshot of the session's transaction contains.
pub async fn changed(leader: &Session, tables: &[QualifiedName]) -> Result<Vec<ChangedTable>> {
    let mut all = Vec::new();
    for batch in tables.chunks(A_STATEMENT) {
        all.extend(changes(&leader.simple(&changed_sql(batch)).await?));
    }
    Ok(all)
}

/// An error that names the changed tables, if there are any.
pub fn refuse(changed: &[ChangedTable]) -> Result<()> {
    let Some(first) = changed.first() else { return Ok(()) };
    let named = |one: &ChangedTable| format!("{} {}", one.table, one.change.words());
    let mut words: Vec<String> = changed.iter().take(NAMED).map(named).collect();
    if changed.len() > NAMED {
        words.push(format!("{} more", changed.len() - NAMED));
    }
    let doing = format!("{}: the snapshot no longer returns its rows", words.join("; "));
    Err(Error::new("table_changed", Kind::State, doing).on(Side::Source).object(first.table.to_string()).remedy(
        format!("start the run again; if it has begun already, {}: it then reads a new snapshot", Action::Resume),
    ))
}

fn statement(tables: &[QualifiedName]) -> String {
    let names: Vec<String> = tables.iter().map(QualifiedName::sql).collect();
    format!("SAVEPOINT pgmigrate_lock; LOCK TABLE ONLY {} IN ACCESS SHARE MODE", names.join(", ONLY "))
}

async fn try_lock(leader: &Session, tables: &[QualifiedName]) -> Result<()> {
    match leader.batch(&format!("{}; RELEASE pgmigrate_lock", statement(tables))).await {
        Err(error) if error.sqlstate.is_some() => {
            leader.batch("ROLLBACK TO pgmigrate_lock; RELEASE pgmigrate_lock").await?;
            Err(explained(leader, tables, error).await)
        }
        result => result,
    }
}

/// Names the session that holds the lock on a single table.
async fn explained(session: &Session, tables: &[QualifiedName], error: Error) -> Error {
    let ([table], true) = (tables, error.is("55P03")) else { return error };
    let sql = include_str!("../sql/snapshot/blockers.sql").replace(":table", &literal(&table.sql()));
    let found = session.simple(&sql).await.unwrap_or_default();
    let Some([Some(pid), Some(role), Some(application)]) = found.first().map(Vec::as_slice) else { return error };
    let (holder, remedy) = if pid.is_empty() {
        (
            "a prepared transaction".to_owned(),
            "commit or roll back the prepared transaction (pg_prepared_xacts)".to_owned(),
        )
    } else {
        let holder = format!("session {pid} of {role} ({application})");
        (
            holder,
            format!(
                "end its transaction, on the source by SELECT pg_terminate_backend({pid}), or raise options.lock_timeout"
            ),
        )
    };
    let doing = format!("{table} could not be locked for reading: {holder} holds ACCESS EXCLUSIVE or waits for it");
    let explained =
        Error::new("table_not_locked", Kind::State, doing).on(session.side()).object(table.to_string()).remedy(remedy);
    match error.server().cloned() {
        Some(reply) => explained.caused_by_server(reply),
        None => error,
    }
}

fn changed_sql(tables: &[QualifiedName]) -> String {
    let array = |part: fn(&QualifiedName) -> &str| {
        let parts: Vec<String> = tables.iter().map(|table| literal(part(table))).collect();
        format!("ARRAY[{}]", parts.join(", "))
    };
    let sql = include_str!("../sql/snapshot/changed.sql");
    let (before, rest) = sql.split_once(":schemas").unwrap_or((sql, ""));
    let (between, after) = rest.split_once(":names").unwrap_or((rest, ""));
    let (schemas, names) = (array(|table| &table.schema), array(|table| &table.name));
    format!("{before}{schemas}{between}{names}{after}")
}

fn changes(rows: &[Vec<Option<String>>]) -> Vec<ChangedTable> {
    let changed = rows.iter().filter_map(|row| match row.as_slice() {
        [Some(schema), Some(name), Some(change)] => {
            let change = TableChange::of(change).unwrap_or(TableChange::Rewritten);
            Some(ChangedTable { table: QualifiedName::new(schema, name), change })
        }
        _ => None,
    });
    changed.collect()
}
