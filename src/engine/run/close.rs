//! The end of a run: what the ledger records from now on, and the report, which is kept whatever happens here.
//!
//! The tasks are done before this is called, so an error here must not prevent the report: the error becomes a finding, and where the
//! ledger cannot be reached the report is made from what this process knows. Called by `run`.

use super::connections::Ends;
use super::pool::{Ended, Known};
use super::settings::Settings;
use super::start::Start;
use crate::action::Action;
use crate::config::Config;
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
use crate::record::is_settled;
use crate::report::{self, Report, TaskResult};
use crate::verification::Verification;
use std::collections::{HashMap, HashSet};

/// What is known of a run at its end.
pub struct Closing<'a> {
    pub config: &'a Config,
    pub settings: &'a Settings,
    pub plan: &'a Plan,
    pub start: Start,
    pub ended: Ended,
    pub jobs: usize,
}

/// Records in the ledger how the run ended, and completes the report.
pub async fn close(report: &mut Report, ends: &mut Ends, mut closing: Closing<'_>, context: &Context) {
    // Preflight may have reported the same findings.
    let found = std::mem::take(&mut closing.start.findings);
    let new: Vec<Finding> = found.into_iter().filter(|finding| !report.findings.contains(finding)).collect();
    report.findings.extend(new);
    report.findings.append(&mut closing.ended.found);
    if let Some(error) = &closing.ended.failure {
        push(report, "ended_early", error, context);
    }
    let is_live = closing.config.options.data_only;
    if is_live && let Err(error) = keys_given_back(ends, &closing, context).await {
        push(report, "foreign_keys_left", &error, context);
    }
    let is_whole = settle(report, ends, &closing, context).await;
    let Closing { config, settings, .. } = closing;
    // Between the parts of a run its foreign keys are dropped on purpose.
    if is_live && (settings.tasks.is_none() || report.status != "done") {
        match Left::read(&ends.ledger, &ends.target).await {
            Ok(left) => report.findings.extend(left.finding()),
            Err(error) => push(report, "foreign_keys_unknown", &error, context),
        }
    }
    if is_whole && !config.options.data_only {
        let (absent, findings) = members::after(ends, closing.plan).await;
        context.tell(&findings);
        report.absent.extend(absent);
        report.findings.extend(findings);
    }
    if is_whole && config.options.verify {
        report.verification = Some(verified(ends, &closing, context).await);
    }
    if is_whole && !config.options.keep_ledger {
        let dropped = async {
            if !ends.ledger.is_locked(&ends.target).await? {
                ends.ledger.drop(&ends.target).await?;
            }
            Ok(())
        };
        if let Err(error) = dropped.await {
            push(report, "ledger_kept", &error, context);
        }
    }
}

/// Creates the target's own foreign keys again where the run ends before its tasks have done so.
async fn keys_given_back(ends: &mut Ends, closing: &Closing<'_>, context: &Context) -> Result<()> {
    let is_early = closing.ended.stopped || closing.ended.failure.is_some();
    if !is_early && closing.settings.tasks.is_some() {
        return Ok(());
    }
    let lock_timeout = closing.config.options.lock_timeout;
    match foreign_keys::give_back(&ends.ledger, &ends.target, lock_timeout).await {
        Err(error) if error.is_retryable() && ends.target.is_lost() => {
            ends.target.recover(&context.stop, error).await?;
            foreign_keys::give_back(&ends.ledger, &ends.target, lock_timeout).await
        }
        result => result,
    }
}

/// Fills the report from the ledger; returns whether the whole plan is done.
async fn settle(report: &mut Report, ends: &mut Ends, closing: &Closing<'_>, context: &Context) -> bool {
    let Closing { settings, plan, start, ended, .. } = closing;
    let wanted: Option<Vec<String>> =
        settings.tasks.as_ref().map(|chosen| chosen.iter().chain(&start.put_back).cloned().collect());
    let concluded = match concluded(ends, start.run, wanted.as_deref(), context).await {
        Ok(concluded) => Some(concluded),
        Err(error) => {
            push(report, "ledger_not_closed", &error, context);
            None
        }
    };
    let state = concluded.as_ref().map(|concluded| concluded.state);
    let is_complete = concluded.as_ref().is_some_and(|concluded| concluded.is_complete);
    let (snapshots, mut tasks) = match concluded {
        Some(Concluded { snapshots, tasks, .. }) => (snapshots, tasks),
        None => unconcluded(plan, ended, wanted.as_deref()),
    };
    report.run_state = state;
    report.snapshots = snapshots;
    report.consistent = report.snapshots.len() <= 1;
    if !ends.target.was_lost() {
        for finding in put_back(&mut tasks, plan, ended) {
            context.events.send(Event::Found(finding.clone()));
            report.findings.push(finding);
        }
    }
    let is_done = tasks.iter().all(|task| is_settled(&task.status));
    let is_cut_short = state.is_none() || !is_done && (ended.stopped || ended.failure.is_some());
    report.status = match report::not_arrived(&tasks).next() {
        _ if is_cut_short => "interrupted",
        Some(_) => "failed",
        None if is_done => "done",
        // The server of the target lost asynchronous commits when it ended, and their tasks are open again.
        None => "interrupted",
    }
    .into();
    report.run = Some(start.run);
    report.started.clone_from(&start.started);
    report.phases = report::phases(&tasks);
    report.tasks = tasks;
    is_complete
}

/// Tasks that this process settled and that are open again, because another part of the run does them again: see `join`. They count as
/// settled for this process; a finding for each reports what the ledger has.
fn put_back(tasks: &mut [TaskResult], plan: &Plan, ended: &Ended) -> Vec<Finding> {
    let settled = ended.known.iter().filter(|(_, known)| is_settled(known.status));
    let settled: HashMap<&str, &Known> = settled.map(|(at, known)| (plan.tasks[*at].id.as_str(), known)).collect();
    let mut findings = Vec::new();
    for task in tasks.iter_mut().filter(|task| !is_settled(&task.status)) {
        let Some(known) = settled.get(task.id.as_str()) else { continue };
        let message =
            format!("task {} ({}) was {}; another part of the run does it again", task.id, task.object, known.status);
        let remedy = format!("wait until the other parts have ended; {} shows what is open", Action::Status);
        findings.push(Finding::new("put_back", Severity::Info, task.object.clone(), message, remedy));
        known.status.clone_into(&mut task.status);
        (task.rows, task.bytes) = (known.rows, known.bytes);
    }
    findings
}

/// Concludes the run, on a new session where the leader's is lost.
async fn concluded(ends: &mut Ends, run: i64, wanted: Option<&[String]>, context: &Context) -> Result<Concluded> {
    let (ledger, leader) = (&ends.ledger, &mut ends.target);
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
fn unconcluded(plan: &Plan, ended: &Ended, wanted: Option<&[String]>) -> (Vec<String>, Vec<TaskResult>) {
    let mut tasks = known(plan, ended);
    let snapshots = report::snapshots(&tasks);
    if let Some(wanted) = wanted {
        let wanted: HashSet<&str> = wanted.iter().map(String::as_str).collect();
        tasks.retain(|task| wanted.contains(task.id.as_str()));
    }
    (snapshots, tasks)
}

/// The tasks as far as this process knows them.
fn known(plan: &Plan, ended: &Ended) -> Vec<TaskResult> {
    let mut tasks = report::dry_run(plan);
    for (at, known) in &ended.known {
        let task = &mut tasks[*at];
        known.status.clone_into(&mut task.status);
        (task.rows, task.bytes) = (known.rows, known.bytes);
    }
    tasks
}

/// The result of the comparison; that it could not be made is a result, too.
async fn verified(ends: &Ends, closing: &Closing<'_>, context: &Context) -> Verification {
    let Closing { config, plan, jobs, .. } = closing;
    let compared = async {
        let programs = match &ends.looked {
            Some(looked) => looked.programs.clone(),
            None => programs::of(config, context, Majors::of(&ends.source.leader, &ends.target, None)).await?,
        };
        let subject = verify::Subject {
            config,
            plan,
            source: &ends.source,
            target: &ends.target,
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

fn push(report: &mut Report, check: &str, error: &Error, context: &Context) {
    let message = error.chain();
    tracing::error!("{message}");
    let remedy = error.remedy.clone().unwrap_or_else(|| Action::Resume.to_string());
    let object = error.context.object.clone().unwrap_or_default();
    let finding = Finding::new(check, Severity::Warning, object, message, remedy);
    context.events.send(Event::Found(finding.clone()));
    report.findings.push(finding);
}
