//! Does the tasks of a run that has begun: decides what is left to do, makes the job that the workers share, and runs the pool.
//!
//! Called by `run`. What was done before an error is in the [`RunOutcome`], too.

use super::begun::Begun;
use super::connections::Connections;
use super::make_job::make_job;
use super::outcome::RunOutcome;
use super::pool::Pool;
use super::state_file::StateFile;
use super::work::{Execution, Work};
use super::{part, state_file};
use crate::engine::Context;
use crate::engine::schedule::{Schedule, family};
use crate::engine::target::load_order::LoadConstraints;
use crate::engine::time_left::{Start as Progress, Watch};
use crate::error::Result;
use crate::event::{Event, PhaseSize};
use crate::plan::{Phase, Task, TaskKind};
use std::sync::Arc;
use std::time::Instant;

/// Does the tasks that are open.
pub async fn execute(
    execution: Execution<'_>,
    connections: &mut Connections,
    begun: &mut Begun,
    context: &Context,
) -> RunOutcome {
    let mut outcome = RunOutcome::default();
    outcome.failure = run_tasks(execution, connections, begun, &mut outcome, context).await.err();
    outcome
}

async fn run_tasks(
    execution: Execution<'_>,
    connections: &mut Connections,
    begun: &mut Begun,
    outcome: &mut RunOutcome,
    context: &Context,
) -> Result<()> {
    let Execution { settings, plan, jobs, .. } = execution;
    let rates = settings.rates()?;
    // The tables that the plan reads beyond those that the filters name.
    context.stop.or(connections.source.lock(part::tables(plan, settings))).await?;
    // The records determine how the run begins, and are freed before it does.
    let records = std::mem::take(&mut begun.records);
    let work = Work::new(plan, &records, settings.tasks.as_deref(), &begun.put_back);
    begun.constraints.lead(&|at| !work.is_settled(&plan.tasks[at]));
    outcome.known = work.known();
    report_start(begun.run, &work, jobs, context);
    let mut job = make_job(execution, connections, begun, &work, context).await?;
    let session = job.session_entry(connections.target.backend());
    context.stop.or(connections.ledger.add_session(&connections.target, &session)).await?;
    let ended = |at| work.ended(at);
    let watch = Watch::new(&Progress { tasks: &job.tasks, rates: &rates, jobs, ended: &ended });
    job.context.events = job.context.events.observed_by(watch.observer());
    connections.target.leads(begun.run);
    let schedule = schedule(&work, &begun.constraints).with_families(family::families(&job), family::LARGEST);
    let state = settings.state.as_deref().and_then(|path| match StateFile::create(path, &records) {
        Ok(state) => Some(state),
        Err(error) => {
            job.report(vec![state_file::lost(&error)]);
            None
        }
    });
    let before = work.settled() as u64;
    drop(work);
    drop(records);
    let clock = Instant::now();
    let mut pool = Pool {
        job: Arc::new(job),
        schedule,
        leader: &mut connections.target,
        holder: &connections.source.leader,
        is_snapshot_lost: false,
        state,
        lines: Vec::new(),
        written: Instant::now(),
        looked: Instant::now(),
        outcome: std::mem::take(outcome),
        watch,
        in_order: tokio::sync::mpsc::unbounded_channel(),
    };
    let result = pool.run(jobs).await;
    pool.outcome.found = pool.job.take_found();
    *outcome = pool.outcome;
    context.events.send(Event::RunFinished {
        done: before + outcome.settled,
        failed: outcome.failed,
        seconds: clock.elapsed().as_secs_f64(),
    });
    result
}

/// The order of the open tasks, with what the target's own tables require of it.
fn schedule(work: &Work<'_>, constraints: &LoadConstraints) -> Schedule {
    let mut schedule = Schedule::new(&work.plan.tasks, &|at| work.ended(at));
    for wait in constraints.all_waits() {
        schedule.wait_for_all(&wait.after, &wait.before);
    }
    for (at, before) in &constraints.lock_order {
        schedule.wait_for(*at, *before);
    }
    schedule
}

fn report_start(run: i64, work: &Work<'_>, jobs: usize, context: &Context) {
    let open: Vec<&Task> = work.plan.tasks.iter().filter(|task| work.is_open(task)).collect();
    let of_phase = |phase: Phase| {
        let tasks = || open.iter().filter(|task| task.phase == phase);
        PhaseSize {
            phase,
            tasks: tasks().count() as u64,
            rows: tasks().filter(|task| task.kind != TaskKind::LargeObjects).map(|task| task.rows).sum(),
            bytes: tasks().map(|task| task.bytes).sum(),
        }
    };
    context.events.send(Event::RunStarted {
        run,
        tasks: open.len() as u64,
        done: work.settled() as u64,
        jobs,
        phases: Phase::ALL.into_iter().map(of_phase).filter(|size| size.tasks > 0).collect(),
    });
}
