//! Whether any session other than the run's own has written to the target since its backup, which a restore would undo.
//!
//! Detected are rows that were inserted or updated (their `xmin` is a transaction that the ledger does not know), rows that were deleted
//! (only by the statistics, which also count what was rolled back), tables that were truncated, rewritten or dropped, changes of the schema
//! (`schema`) and values of sequences. The statistics determine the tables that are read; where they were lost, all are read. Not detected
//! are changes of objects that the run itself makes or changes (`own`), except for changes of their rows, and, on a server that lost its
//! statistics, deletes. Other changes that are in doubt count as written: then nothing is restored. Called for the safe procedure.

mod own;
mod schema;

use super::{Context, opened};
use crate::catalog::archive::Entry;
use crate::config::{TargetForeignKeys, TargetOptions};
use crate::engine::quiesce::{QUIET_WITH_OTHERS, describe};
use crate::error::Result;
use crate::ledger::Ledger;
use crate::pg::Session;
use crate::pg::client::archive;
use crate::pg::survey::{self, Activity, Counters, TableCounters};
use crate::plan::TaskKind;
use crate::record::{Record, RowMode};
use crate::status::TaskStatus;
use own::Own;
use schema::Schema;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// What was found on the target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Others {
    /// What others wrote, one finding a line; empty where they wrote nothing.
    pub written: Vec<String>,
    /// What could not be determined.
    pub notes: Vec<String>,
}

/// The state of the target at its backup.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backed {
    /// Its counters at that time.
    pub counters: Counters,
    /// The backup.
    pub path: PathBuf,
}

/// The counters of the target, to be compared by [`written_by_others`] later.
pub async fn target_counters(options: TargetOptions<'_>, context: &Context) -> Result<Counters> {
    let (target, ledger) = opened::target(options, "counters", context).await?;
    survey::counters(&target, ledger.schema(), None).await
}

/// Determines what others have written to the target since `before`. `keys` says what the run did about the target's foreign keys.
pub async fn written_by_others(
    options: TargetOptions<'_>,
    keys: TargetForeignKeys,
    before: &Backed,
    context: &Context,
) -> Result<Others> {
    // A restore of such a backup fails by itself, and changes nothing.
    let (entries, note) = match archive::read(&before.path) {
        Ok(entries) => (entries, None),
        Err(error) => (
            Vec::new(),
            Some(format!(
                "the backup cannot be read, so objects that others dropped would not show: {}",
                error.chain()
            )),
        ),
    };
    let mut others = written_since(options, keys, &before.counters, &entries, context).await?;
    others.notes.extend(note);
    Ok(others)
}

/// The same for a backup whose table of contents is already read.
pub(super) async fn written_since(
    options: TargetOptions<'_>,
    keys: TargetForeignKeys,
    before: &Counters,
    entries: &[Entry],
    context: &Context,
) -> Result<Others> {
    let (target, ledger) = opened::target(options, "counters", context).await?;
    let mut sessions = survey::sessions(&target).await?;
    sessions.retain(|session| !session.application.starts_with("pgmigrate "));
    if !sessions.is_empty() {
        // A session that stays connected reports its writes only later.
        tokio::time::sleep(QUIET_WITH_OTHERS).await;
    }
    let now = survey::counters(&target, ledger.schema(), Some(before.horizon)).await?;
    let has_ledger = ledger.exists(&target).await?;
    let (records, subjects) = match ledger_run(&ledger, &target, has_ledger).await? {
        Some(run) => (ledger.records(&target, run).await?, ledger.subjects(&target).await?),
        None => (Vec::new(), Vec::new()),
    };
    let own = Own::new(&subjects);
    let is_complete =
        are_comparable(before, &now) && (target.version().reports_writes_when_idle() || sessions.is_empty());
    let comparison = CounterComparison::new(before, &now, &records, is_complete);
    let mut others = Others { written: comparison.without_rows(), notes: comparison.notes(&sessions) };
    for writer in survey::writers(&target).await?.iter().filter(|w| !w.application.starts_with("pgmigrate ")) {
        others.written.push(format!("{} is writing to the target", describe(writer)));
    }
    let compared = Schema { ledger: &ledger, keys, before, entries, records: &records, own: &own, has_ledger };
    others.written.extend(compared.changes(&target, &now).await?);
    let schema = has_ledger.then_some(ledger.schema());
    for table in comparison.to_read() {
        let rows = survey::new_rows(&target, &table.table, before.horizon, schema).await?;
        let foreign = if comparison.merges(table) { rows.all - comparison.merged(table) } else { rows.unknown };
        if foreign > 0 {
            let plural = if foreign == 1 { "row" } else { "rows" };
            others.written.push(format!("{}: {foreign} {plural} that the run did not write", table.table));
        }
    }
    others.written.extend(large_objects(&target, before.horizon, schema, &own).await?);
    Ok(others)
}

/// Large objects whose contents others have written, where the role may read these.
async fn large_objects(target: &Session, horizon: i64, ledger: Option<&str>, own: &Own<'_>) -> Result<Option<String>> {
    let is_written = survey::reads_large_objects(target).await?
        && survey::unknown_pages(target, horizon, ledger, own.large_objects()).await?;
    Ok(is_written.then(|| "large objects: contents that the run did not write".to_owned()))
}

async fn ledger_run(ledger: &Ledger, target: &Session, has_ledger: bool) -> Result<Option<i64>> {
    if !has_ledger {
        return Ok(None);
    }
    Ok(ledger.last_run(target).await?.map(|run| run.run))
}

/// Whether later counters can be compared with earlier ones: a crash or a reset loses the statistics.
fn are_comparable(before: &Counters, now: &Counters) -> bool {
    before.is_counted && now.is_counted && before.reset == now.reset && before.commits <= now.commits
}

/// Both sets of counters, and the run's own records.
struct CounterComparison<'a> {
    before: &'a Counters,
    now: &'a Counters,
    /// The records of tasks that copy rows, by their table.
    rows: HashMap<&'a str, Vec<&'a Record>>,
    is_complete: bool,
}

impl<'a> CounterComparison<'a> {
    fn new(before: &'a Counters, now: &'a Counters, records: &'a [Record], is_complete: bool) -> Self {
        let mut rows: HashMap<&str, Vec<&Record>> = HashMap::new();
        for record in records.iter().filter(|record| record.kind == TaskKind::Data) {
            rows.entry(&record.object).or_default().push(record);
        }
        CounterComparison { before, now, rows, is_complete }
    }

    fn earlier(&self) -> HashMap<u32, &TableCounters> {
        self.before.tables.iter().map(|table| (table.oid, table)).collect()
    }

    fn of(&self, table: &TableCounters) -> &[&'a Record] {
        let (name, quoted) = (table.table.to_string(), table.table.sql());
        self.rows.get(name.as_str()).or_else(|| self.rows.get(quoted.as_str())).map_or(&[], Vec::as_slice)
    }

    /// Whether rows are written through a staging table, in transactions of their own that the ledger does not show.
    fn merges(&self, table: &TableCounters) -> bool {
        self.of(table).iter().any(|record| record.mode == Some(RowMode::Merge))
    }

    fn merged(&self, table: &TableCounters) -> i64 {
        self.of(table).iter().filter(|record| record.status == TaskStatus::Done).map(|record| record.rows).sum()
    }

    /// Tables whose rows have to be read: those that are new, and those whose counters have changed.
    fn to_read(&self) -> impl Iterator<Item = &TableCounters> {
        let earlier = self.earlier();
        self.now.tables.iter().filter(move |table| !self.is_complete || earlier.get(&table.oid) != Some(table))
    }

    /// What is visible without reading rows: deletes, and tables that were emptied, rewritten or dropped.
    fn without_rows(&self) -> Vec<String> {
        let earlier = self.earlier();
        let mut found = Vec::new();
        for table in &self.now.tables {
            let Some(before) = earlier.get(&table.oid) else { continue };
            if table.deleted > before.deleted && !self.replaces(table) {
                found.push(format!("{}: {} rows were deleted", table.table, table.deleted - before.deleted));
            }
            if table.file != before.file && self.of(table).is_empty() {
                found.push(format!("{}: it was truncated or rewritten", table.table));
            }
        }
        let there: HashSet<u32> = self.now.tables.iter().map(|table| table.oid).collect();
        let gone = self.before.tables.iter().filter(|table| !there.contains(&table.oid));
        found.extend(gone.map(|table| format!("{}: it was dropped", table.table)));
        found
    }

    /// Whether the run itself deletes rows of the table.
    fn replaces(&self, table: &TableCounters) -> bool {
        self.of(table).iter().any(|record| record.mode == Some(RowMode::Replace))
    }

    fn notes(&self, sessions: &[Activity]) -> Vec<String> {
        let mut notes = vec![
            "what others changed in objects that the run itself makes or changes would not show, apart from rows"
                .to_owned(),
        ];
        if !self.is_complete {
            notes.push(
                "the statistics of the target do not reach back to the backup: rows that others deleted would not show"
                    .into(),
            );
        }
        if !sessions.is_empty() {
            let pids: Vec<String> = sessions.iter().map(|session| session.pid.to_string()).collect();
            notes.push(format!("other sessions are connected to the target: {}", pids.join(", ")));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::QualifiedName;

    fn table(oid: u32, name: &str, (inserted, deleted): (i64, i64)) -> TableCounters {
        let table = QualifiedName::new("s", name);
        TableCounters { table, oid, file: Some(i64::from(oid)), inserted, updated: 0, deleted }
    }

    fn counters(tables: Vec<TableCounters>, commits: i64) -> Counters {
        Counters {
            tables,
            sequences: vec![],
            parts: vec![],
            commits,
            reset: String::new(),
            horizon: 7,
            is_counted: true,
        }
    }

    #[test]
    fn unchanged_tables_are_not_read() {
        let before = counters(vec![table(1, "a", (5, 0)), table(2, "b", (5, 0))], 10);
        let now = counters(vec![table(1, "a", (5, 0)), table(2, "b", (6, 0)), table(3, "c", (0, 0))], 12);
        let read = |is_complete| {
            let comparison = CounterComparison::new(&before, &now, &[], is_complete);
            comparison.to_read().map(|table| table.oid).collect::<Vec<_>>()
        };
        assert_eq!(read(true), [2, 3]);
        assert_eq!(read(false), [1, 2, 3]);
    }

    #[test]
    fn lost_statistics_are_not_compared() {
        assert!(are_comparable(&counters(vec![], 10), &counters(vec![], 10)));
        assert!(!are_comparable(&counters(vec![], 10), &counters(vec![], 9)));
    }

    #[test]
    fn deletes_rewrites_and_drops_show_without_rows() {
        let before = counters(vec![table(1, "a", (5, 0)), table(2, "b", (5, 0)), table(3, "c", (5, 0))], 10);
        let rewritten = TableCounters { file: Some(9), ..table(2, "b", (5, 0)) };
        let now = counters(vec![table(1, "a", (5, 2)), rewritten], 12);
        let comparison = CounterComparison::new(&before, &now, &[], true);
        let found = comparison.without_rows();
        assert_eq!(found, ["s.a: 2 rows were deleted", "s.b: it was truncated or rewritten", "s.c: it was dropped"]);
    }
}
