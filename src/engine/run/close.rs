//! The end of a run: what the ledger records from now on, and what the report will show, whatever happens here.
//!
//! The tasks are done before this is called, so an error here must not prevent the report: the error becomes a finding, and where the
//! ledger cannot be reached the report is made from what this process knows. Called by `run`.

use super::begun::Begun;
use super::connections::{Connections, Inspection};
use super::outcome::{Known, RunOutcome};
use super::settings::Settings;
use crate::action::Action;
use crate::catalog::scope::Absent;
use crate::config::{ConnectionOptions, PlanOptions};
use crate::engine::lifecycle::{Concluded, conclude};
use crate::engine::programs;
use crate::engine::programs::Majors;
use crate::engine::target::foreign_keys::Left;
use crate::engine::target::{foreign_keys, members};
use crate::engine::{Context, verify};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::finding::{Finding, Severity};
use crate::plan::Plan;
use crate::report::{self, TaskResult};
use crate::status::{ReportStatus, RunState};
use crate::verification::Verification;
use std::collections::{HashMap, HashSet};

/// What is known of a run at its end, and what its end obeys.
pub struct Closing<'a> {
    pub connection: &'a ConnectionOptions,
    pub plan_options: PlanOptions<'a>,
    /// Whether both sides are compared.
    pub verifies: bool,
    pub settings: &'a Settings,
    pub inspection: &'a Inspection,
    pub plan: &'a Plan,
    pub begun: Begun,
    pub outcome: RunOutcome,
    pub jobs: usize,
}

/// How a run ended, as its report shows it.
#[derive(Debug)]
pub struct Closed {
    pub run: i64,
    pub started: String,
    pub backup: Option<String>,
    pub status: ReportStatus,
    /// The state in the ledger; none where that could not be recorded.
    pub run_state: Option<RunState>,
    pub snapshots: Vec<String>,
    pub tasks: Vec<TaskResult>,
    pub findings: Vec<Finding>,
    pub absent: Vec<Absent>,
    pub verification: Option<Verification>,
}

/// Records in the ledger how the run ended, and inspects the result where the whole plan is done.
pub async fn close(connections: &mut Connections, mut closing: Closing<'_>, context: &Context) -> Closed {
    let begun = &mut closing.begun;
    let mut closed = Closed {
        run: begun.run,
        started: std::mem::take(&mut begun.started),
        backup: begun.backup.take(),
        findings: std::mem::take(&mut begun.findings),
        // Until the ledger says how the tasks ended.
        status: ReportStatus::Interrupted,
        run_state: None,
        snapshots: Vec::new(),
        tasks: Vec::new(),
        absent: Vec::new(),
        verification: None,
    };
    closed.findings.append(&mut closing.outcome.found);
    if let Some(error) = &closing.outcome.failure {
        closed.push("ended_early", error, context);
    }
    let is_data_only = closing.plan_options.scope.data_only;
    if is_data_only && let Err(error) = keys_given_back(connections, &closing, context).await {
        closed.push("foreign_keys_left", &error, context);
    }
    let is_whole = settle(&mut closed, connections, &closing, context).await;
    // Between the parts of a run its foreign keys are dropped on purpose.
    if is_data_only && (closing.settings.tasks.is_none() || closed.status != ReportStatus::Done) {
        match Left::read(&connections.ledger, &connections.target).await {
            Ok(left) => closed.findings.extend(left.finding()),
            Err(error) => closed.push("foreign_keys_unknown", &error, context),
        }
    }
    if is_whole && !is_data_only {
        let (absent, findings) = members::after(connections, closing.plan).await;
        context.report(&findings);
        closed.absent.extend(absent);
        closed.findings.extend(findings);
    }
    if is_whole && closing.verifies {
        closed.verification = Some(verified(connections, &closing, context).await);
    }
    if is_whole
        && !closing.plan_options.ledger.keep
        && let Err(error) = drop_ledger(connections).await
    {
        closed.push("ledger_kept", &error, context);
    }
    closed
}

async fn drop_ledger(connections: &Connections) -> Result<()> {
    let Connections { target, ledger, .. } = connections;
    if !ledger.is_locked(target).await? {
        ledger.drop(target).await?;
    }
    Ok(())
}

/// Creates the target's own foreign keys again where the run ends before its tasks have done so.
async fn keys_given_back(connections: &mut Connections, closing: &Closing<'_>, context: &Context) -> Result<()> {
    let is_early = closing.outcome.stopped || closing.outcome.failure.is_some();
    if !is_early && closing.settings.tasks.is_some() {
        return Ok(());
    }
    let lock_timeout = closing.connection.lock_timeout;
    match foreign_keys::give_back(&connections.ledger, &connections.target, lock_timeout).await {
        Err(error) if error.is_retryable() && connections.target.is_lost() => {
            connections.target.recover(&context.stop, error).await?;
            foreign_keys::give_back(&connections.ledger, &connections.target, lock_timeout).await
        }
        result => result,
    }
}

/// Fills in what the ledger says; returns whether the whole plan is done.
async fn settle(closed: &mut Closed, connections: &mut Connections, closing: &Closing<'_>, context: &Context) -> bool {
    let Closing { settings, plan, begun, outcome, .. } = closing;
    let wanted: Option<Vec<String>> =
        settings.tasks.as_ref().map(|chosen| chosen.iter().chain(&begun.put_back).cloned().collect());
    let concluded = match concluded(connections, begun.run, wanted.as_deref(), context).await {
        Ok(concluded) => Some(concluded),
        Err(error) => {
            closed.push("ledger_not_closed", &error, context);
            None
        }
    };
    let state = concluded.as_ref().map(|concluded| concluded.state);
    let is_complete = concluded.as_ref().is_some_and(|concluded| concluded.is_complete);
    let (snapshots, mut tasks) = match concluded {
        Some(Concluded { snapshots, tasks, .. }) => (snapshots, tasks),
        None => unconcluded(plan, outcome, wanted.as_deref()),
    };
    closed.run_state = state;
    closed.snapshots = snapshots;
    if !connections.target.was_lost() {
        for finding in put_back(&mut tasks, plan, outcome) {
            context.events.send(Event::Found(finding.clone()));
            closed.findings.push(finding);
        }
    }
    let is_done = tasks.iter().all(|task| task.status.is_settled());
    let is_cut_short = state.is_none() || !is_done && (outcome.stopped || outcome.failure.is_some());
    closed.status = match report::not_arrived(&tasks).next() {
        _ if is_cut_short => ReportStatus::Interrupted,
        Some(_) => ReportStatus::Failed,
        None if is_done => ReportStatus::Done,
        // The server of the target lost asynchronous commits when it ended, and their tasks are open again.
        None => ReportStatus::Interrupted,
    };
    closed.tasks = tasks;
    is_complete
}

/// Tasks that this process settled and that are open again, because another part of the run does them again: see `join`. They count as
/// settled for this process; a finding for each reports what the ledger has.
fn put_back(tasks: &mut [TaskResult], plan: &Plan, outcome: &RunOutcome) -> Vec<Finding> {
    let settled = outcome.known.iter().filter(|(_, known)| known.status.is_settled());
    let settled: HashMap<&str, &Known> = settled.map(|(at, known)| (plan.tasks[*at].id.as_str(), known)).collect();
    let mut findings = Vec::new();
    for task in tasks.iter_mut().filter(|task| !task.status.is_settled()) {
        let Some(known) = settled.get(task.id.as_str()) else { continue };
        let message =
            format!("task {} ({}) was {}; another part of the run does it again", task.id, task.object, known.status);
        let remedy = format!("wait until the other parts have ended; {} shows what is open", Action::Status);
        findings.push(Finding::new("put_back", Severity::Info, task.object.clone(), message, remedy));
        task.status = known.status;
        (task.rows, task.bytes) = (known.rows, known.bytes);
    }
    findings
}

/// Concludes the run, on a new session where the leader's is lost.
async fn concluded(
    connections: &mut Connections,
    run: i64,
    wanted: Option<&[String]>,
    context: &Context,
) -> Result<Concluded> {
    let (ledger, leader) = (&connections.ledger, &mut connections.target);
    let concluded = match conclude(ledger, leader, run, wanted).await {
        Ok(concluded) => concluded,
        Err(error) => {
            leader.recover(&context.stop, error).await?;
            conclude(ledger, leader, run, wanted).await?
        }
    };
    if let Err(error) = ledger.forget_process(leader, run, leader.backend()).await {
        tracing::debug!("the sessions of this process stay in the ledger: {}", error.chain());
    }
    Ok(concluded)
}

/// What this process knows of a run that could not be concluded: the states of the source, and the wanted tasks.
fn unconcluded(plan: &Plan, outcome: &RunOutcome, wanted: Option<&[String]>) -> (Vec<String>, Vec<TaskResult>) {
    let mut tasks = known(plan, outcome);
    let snapshots = report::snapshots(&tasks);
    if let Some(wanted) = wanted {
        let wanted: HashSet<&str> = wanted.iter().map(String::as_str).collect();
        tasks.retain(|task| wanted.contains(task.id.as_str()));
    }
    (snapshots, tasks)
}

/// The tasks as far as this process knows them.
fn known(plan: &Plan, outcome: &RunOutcome) -> Vec<TaskResult> {
    let mut tasks = report::dry_run(plan);
    for (at, known) in &outcome.known {
        let task = &mut tasks[*at];
        task.status = known.status;
        (task.rows, task.bytes) = (known.rows, known.bytes);
    }
    tasks
}

/// The result of the comparison; that it could not be made is a result, too.
async fn verified(connections: &Connections, closing: &Closing<'_>, context: &Context) -> Verification {
    let Closing { plan_options: options, plan, jobs, .. } = closing;
    let Connections { source, target, programs, .. } = connections;
    let compared = async {
        let programs = if closing.inspection.catalog.is_some() {
            programs.clone()
        } else {
            let majors = Majors::of(&source.leader, target, None);
            programs::of(options.scope, closing.connection, majors, context).await?
        };
        let subject = verify::Subject {
            options: *options,
            plan,
            source,
            target,
            tools: programs.as_ref().map(|programs| &programs.both),
            jobs: *jobs,
            rereads: false,
        };
        verify::verify(&subject, context).await
    };
    compared.await.unwrap_or_else(|error: Error| {
        let mut none = Verification::default();
        none.push_unchecked("source and target", format!("not compared: {}", error.chain()));
        none.settled()
    })
}

impl Closed {
    fn push(&mut self, check: &str, error: &Error, context: &Context) {
        let message = error.chain();
        tracing::error!("{message}");
        let remedy = error.remedy.clone().unwrap_or_else(|| Action::Resume.to_string());
        let object = error.context.object.clone().unwrap_or_default();
        let finding = Finding::new(check, Severity::Warning, object, message, remedy);
        context.events.send(Event::Found(finding.clone()));
        self.findings.push(finding);
    }
}
