//! How a process joins a run that another process has begun: a part with its tasks, or the holder of a snapshot for the parts.
//!
//! A part claims its rows in the ledger for the state of the source that it reads, so that chunks of two states are never mixed in one
//! table: a process that reads another state is refused for as long as the part lives. Called by `begin` and `hold`, under the lock BEGIN.

use super::begun::{Begun, refuse_changed, restart_tables};
use super::connections::Connections;
use super::prepared::{BeginOptions, Prepared};
use super::resume::History;
use super::{lost, part, resume};
use crate::engine::target::load_order::LoadConstraints;
use crate::error::{Error, Kind, Result, Side};
use crate::ledger::LeaseRole;
use crate::plan::{Phase, TaskKind};
use crate::record::{Record, Run};
use crate::status::{RunState, TaskStatus};
use std::collections::HashSet;

/// Begins a run of chosen tasks alongside others of the same plan.
pub async fn join(prepared: &Prepared<'_>, options: BeginOptions<'_>, run: Run) -> Result<Begun> {
    let Prepared { settings, plan, connections, .. } = *prepared;
    let Connections { source, target, ledger, .. } = connections;
    ledger.add_columns(target).await?;
    lost::end_of_lost_parts(target, ledger, run.run).await?;
    ledger.await_commits(target, run.run).await?;
    let records = ledger.records(target, run.run).await?;
    let chosen = settings.tasks.as_deref().unwrap_or_default();
    resume::check_chosen(plan, &records, chosen)?;
    let constraints = LoadConstraints::inspect(options.rules, target, plan).await?;
    resume::check_order(plan, &records, chosen, &constraints)?;
    constraints.check_chosen(plan, chosen)?;
    let ids: HashSet<&str> = chosen.iter().map(String::as_str).collect();
    let is_chosen = |record: &Record| ids.contains(record.task.as_str());
    refuse_changed(source, plan, &records, &|id| ids.contains(id))?;
    let living = living(connections, run.run).await?;
    let history = History { plan, records: &records, mixing: options.mixing, snapshot_text: prepared.snapshot_text() };
    let restarts = history.restarts_of_part(&ids, &living)?;
    let is_reading = |record: &Record| record.kind == TaskKind::Data && !record.is_settled() && is_chosen(record);
    let mut is_changed = !restarts.is_empty();
    if records.iter().any(is_reading) {
        is_changed |= forget_sequences(connections, &run, &records).await?;
    }
    is_changed |= connections.place().take_again(run.run, plan, &records, &is_chosen).await?;
    restart_tables(connections, run.run, &restarts, options.rules.triggers).await?;
    // Read again only after a change: a run has many parts, and each would read all rows of the ledger once more.
    let records = if is_changed { ledger.records(target, run.run).await? } else { records };
    claim(connections, run.run, &records, chosen).await?;
    if run.state != RunState::Running && !records.iter().all(Record::is_settled) {
        ledger.set_state(target, run.run, RunState::Running, run.consistent).await?;
    }
    let put_back = put_back(&records, &is_chosen);
    let Run { run, started, .. } = run;
    Ok(Begun { run, records, constraints, findings: vec![], started, put_back, backup: None })
}

/// Sets settled sequences back to pending before the first rows of another state of the source are copied, because the sequences may be
/// behind these rows. Returns whether there were any.
async fn forget_sequences(connections: &Connections, run: &Run, records: &[Record]) -> Result<bool> {
    let text = &connections.source.snapshot.text;
    let leases = connections.ledger.leases(&connections.target, run.run).await?;
    let is_known = leases.iter().any(|one| one.snapshot.text == *text)
        || records.iter().any(|record| record.is_settled() && record.snapshot == *text);
    if is_known {
        return Ok(false);
    }
    let stale = resume::stale_sequences(run, records, text);
    connections.ledger.reset(&connections.target, run.run, &stale).await?;
    Ok(!stale.is_empty())
}

/// Sequences that were set once and have to be set again. A part that works on the data phase sets them itself, whichever tasks it was
/// given and whichever process put the sequences back, because no other process may follow.
fn put_back(records: &[Record], is_chosen: &dyn Fn(&Record) -> bool) -> Vec<String> {
    if !records.iter().any(|record| record.phase == Phase::Data && is_chosen(record)) {
        return Vec::new();
    }
    let is_put_back = |record: &&Record| {
        record.kind == TaskKind::SequenceValue && record.status == TaskStatus::Pending && record.attempts > 0
    };
    records.iter().filter(is_put_back).map(|record| record.task.clone()).collect()
}

/// The states of the source, other than that of this process, that living processes of the run read.
async fn living(connections: &Connections, run: i64) -> Result<HashSet<String>> {
    let leases = connections.ledger.leases(&connections.target, run).await?;
    let states = leases.into_iter().map(|one| one.snapshot.text);
    Ok(states.filter(|text| *text != connections.source.snapshot.text).collect())
}

/// Records in the ledger which rows this part will read, and in which state of the source.
pub async fn claim(connections: &Connections, run: i64, records: &[Record], chosen: &[String]) -> Result<()> {
    let chosen: HashSet<&str> = chosen.iter().map(String::as_str).collect();
    let reads = |record: &&Record| matches!(record.kind, TaskKind::Data | TaskKind::LargeObjects);
    let open = records.iter().filter(|record| !record.is_settled() && chosen.contains(record.task.as_str()));
    let rows: Vec<&str> = open.filter(reads).map(|record| record.task.as_str()).collect();
    if rows.is_empty() {
        return Ok(());
    }
    connections.ledger.register_lease(&connections.target, run, &connections.source.snapshot, LeaseRole::Part).await?;
    connections.ledger.claim(&connections.target, run, &rows, &connections.source.snapshot.text).await
}

/// The holder of a snapshot goes on with a run that parts have begun: tables that were left half copied in another snapshot are copied
/// again.
pub async fn take_up(prepared: &Prepared<'_>, options: BeginOptions<'_>) -> Result<Begun> {
    let Prepared { plan, connections, .. } = *prepared;
    let (Connections { source, target, ledger, .. }, fingerprint) = (connections, plan.fingerprint());
    ledger.lock_begin(target).await?;
    ledger.add_columns(target).await?;
    let run = part::run_of(ledger, target, &fingerprint).await?.ok_or_else(|| {
        Error::new("run_gone", Kind::State, "the run of the snapshot to hold is no longer in the ledger")
            .on(Side::Target)
    })?;
    resume::check_run(&run, (plan, &fingerprint), &prepared.inspection.target.identity())?;
    ledger.await_commits(target, run.run).await?;
    let records = ledger.records(target, run.run).await?;
    refuse_changed(source, plan, &records, &|_| true)?;
    let history = History { plan, records: &records, mixing: options.mixing, snapshot_text: prepared.snapshot_text() };
    let restarts = history.restarts(&|_| true)?;
    if !restarts.is_empty() && ledger.is_locked(target).await? {
        let doing = "running parts of the run read another snapshot of the source than the holder would";
        return Err(
            Error::new("parts_active", Kind::State, doing).remedy("start the holder again when they have ended")
        );
    }
    restart_tables(connections, run.run, &restarts, options.rules.triggers).await?;
    let is_changed = forget_sequences(connections, &run, &records).await? || !restarts.is_empty();
    let records = if is_changed { ledger.records(target, run.run).await? } else { records };
    if run.state != RunState::Running && !records.iter().all(Record::is_settled) {
        ledger.set_state(target, run.run, RunState::Running, run.consistent).await?;
    }
    ledger.unlock_begin(target).await?;
    let (Run { run, started, .. }, constraints) = (run, LoadConstraints::default());
    Ok(Begun { run, records, constraints, findings: vec![], started, put_back: vec![], backup: None })
}
