//! Waits until no session writes to source and target, and proves afterwards that none did.
//!
//! A session writes while its transaction has an ID or a writer's lock, and so does a prepared transaction. Between two transactions a
//! writer shows only in the statistics, so these have to stay unchanged for a while, too. Called for the safe procedure.

use crate::config::ConnectionOptions;
use crate::engine::Context;
use crate::engine::connect::Endpoints;
use crate::error::{Error, Kind, Result, Side};
use crate::finding::{Finding, Severity};
use crate::name::readable;
use crate::pg::Session;
use crate::pg::survey::{self, Activity, PreparedTransaction, Writer, Written};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long the statistics have to stay unchanged where no other session is connected: a session that ends reports what it wrote.
const QUIET: Duration = Duration::from_secs(3);
/// The same where another session is connected: an idle session reports what it wrote after ten seconds.
pub(super) const QUIET_WITH_OTHERS: Duration = Duration::from_secs(11);
/// Interval between checks.
const EVERY: Duration = Duration::from_millis(500);
const REMEDY: &str = "end the sessions that write, and what starts them again, or raise procedure.wait_for_writers";

/// A source and a target that no session writes to.
#[derive(Debug, Clone, Serialize)]
pub struct Quiet {
    /// How long it took.
    pub seconds: f64,
    /// The writers that were waited for.
    pub waited_for: Vec<String>,
    /// What could not be determined.
    pub notes: Vec<String>,
    /// The source's counters at that time, for [`quiet_since`].
    pub source: Written,
}

/// Waits until no session writes, for `most` seconds and the time of the proof at the longest; the error names the sessions that still write
/// then.
pub async fn wait_for_writers(connection: &ConnectionOptions, most: u64, context: &Context) -> Result<Quiet> {
    let waiting = async {
        let endpoints = Endpoints::new(connection, context)?;
        wait(&endpoints, Duration::from_secs(most)).await
    };
    context.step("wait for writers", Box::pin(waiting)).await
}

async fn wait(endpoints: &Endpoints, most: Duration) -> Result<Quiet> {
    let sides = [
        Session::open(&endpoints.source, Side::Source, "writers").await?,
        Session::open(&endpoints.target, Side::Target, "writers").await?,
    ];
    let began = Instant::now();
    let mut last = Activities::at(&sides).await?;
    let mut watch = WriterWatch { quiet_since: began, seen: BTreeMap::new() };
    watch.note(&last, &last);
    loop {
        tokio::time::sleep(EVERY).await;
        let now = Activities::at(&sides).await?;
        watch.note(&last, &now);
        if watch.quiet_since.elapsed() >= now.proof() {
            let waited_for = watch.seen.into_keys().collect();
            let source = now.0[0].written;
            return Ok(Quiet { seconds: began.elapsed().as_secs_f64(), waited_for, notes: now.notes(), source });
        }
        // Where writing stopped in time, the proof may finish.
        if watch.quiet_since > began + most {
            return Err(watch.refuse());
        }
        last = now;
    }
}

/// Fails where a session wrote to the source since `before`.
pub async fn quiet_since(connection: &ConnectionOptions, before: Written, context: &Context) -> Result<()> {
    let endpoints = Endpoints::new(connection, context)?;
    let source = context.stop.or(Session::open(&endpoints.source, Side::Source, "writers")).await?;
    let mut now = survey::written(&source).await?;
    if now.next_transaction != before.next_transaction {
        // A session that stays connected reports its writes only later.
        let rest = async {
            tokio::time::sleep(QUIET_WITH_OTHERS).await;
            Ok(())
        };
        context.stop.or(rest).await?;
        now = Written { next_transaction: now.next_transaction, ..survey::written(&source).await? };
        context.report(&unreported(&source, before, now).await?);
    }
    let writers: Vec<String> = survey::writers(&source).await?.iter().map(describe).collect();
    // Rows that are reported only now, with no transaction since, were written before.
    if writers.is_empty() && (now.rows == before.rows || now.next_transaction == before.next_transaction) {
        return Ok(());
    }
    let by = if writers.is_empty() { String::new() } else { format!(" by {}", writers.join(", ")) };
    let doing = format!("the source was written to{by} after it had become quiet, and the target may lack these rows");
    Err(Error::new("source_written", Kind::Verify, doing).on(Side::Source).remedy(REMEDY))
}

/// What a source before version 15 cannot report: there an idle session does not report its last writes.
async fn unreported(source: &Session, before: Written, now: Written) -> Result<Vec<Finding>> {
    if source.version().reports_writes_when_idle()
        || now.rows != before.rows
        || survey::sessions(source).await?.is_empty()
    {
        return Ok(Vec::new());
    }
    let message = "transactions began on the source while it was copied, and connected sessions may not have reported what they wrote: whether \
                   the source was written to is unknown";
    Ok(vec![Finding::new(
        "source_writer",
        Severity::Warning,
        "",
        message,
        "compare again when these sessions have ended",
    )])
}

/// What one side showed.
struct Seen {
    side: Side,
    writers: Vec<Writer>,
    prepared: Vec<PreparedTransaction>,
    written: Written,
    sessions: Vec<Activity>,
}

/// What both sides showed, the source first.
struct Activities([Seen; 2]);

impl Activities {
    async fn at([source, target]: &[Session; 2]) -> Result<Activities> {
        let (source, target) = tokio::try_join!(see(source), see(target))?;
        Ok(Activities([source, target]))
    }

    /// How long everything has to be quiet to count as proved.
    fn proof(&self) -> Duration {
        if self.0.iter().all(|seen| seen.sessions.is_empty()) { QUIET } else { QUIET_WITH_OTHERS }
    }

    fn notes(&self) -> Vec<String> {
        self.0.iter().flat_map(Seen::notes).collect()
    }
}

async fn see(session: &Session) -> Result<Seen> {
    Ok(Seen {
        side: session.side(),
        writers: survey::writers(session).await?,
        prepared: survey::prepared(session).await?,
        written: survey::written(session).await?,
        sessions: survey::sessions(session).await?,
    })
}

/// Which sessions were seen writing, and when for the last time.
struct WriterWatch {
    quiet_since: Instant,
    seen: BTreeMap<String, (Instant, Finding)>,
}

impl WriterWatch {
    fn note(&mut self, before: &Activities, now: &Activities) {
        let at = Instant::now();
        for (before, now) in before.0.iter().zip(&now.0) {
            for (name, finding) in now.evidence(before) {
                if self.seen.insert(name, (at, finding.clone())).is_none() {
                    tracing::info!("waiting: {}", finding.message);
                }
                self.quiet_since = at;
            }
        }
    }

    /// Names the sessions that wrote recently.
    fn refuse(self) -> Error {
        let last = self.quiet_since;
        let of_late = self.seen.into_values().filter(|(at, _)| last.duration_since(*at) <= QUIET);
        let findings: Vec<Finding> = of_late.map(|(_, finding)| finding).collect();
        let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        let doing = format!("the databases are still written to: {}", messages.join("; "));
        let mut error = Error::new("writers_active", Kind::Preflight, doing).remedy(REMEDY);
        error.details.findings = findings;
        error
    }
}

impl Seen {
    /// The writers, by a name that is the same in every check.
    fn evidence(&self, before: &Seen) -> Vec<(String, Finding)> {
        let check = format!("{}_writer", self.side);
        let finding = |message: String| Finding::new(&check, Severity::Blocking, "", message, REMEDY);
        let on = |name: String| format!("{name} on the {}", self.side);
        let of_session = |one: &Writer| {
            let message = format!("{} is writing to the {}", describe(one), self.side);
            (on(named(one.pid, &one.application, &one.role)), finding(message))
        };
        let of_prepared = |one: &PreparedTransaction| {
            let name = on(format!("the prepared transaction {} of {}", readable(&one.name), readable(&one.role)));
            let message = format!("{name} is not ended");
            (name, finding(message))
        };
        let mut found: Vec<_> =
            self.writers.iter().map(of_session).chain(self.prepared.iter().map(of_prepared)).collect();
        if found.is_empty() && self.written.rows != before.written.rows {
            let who = if self.sessions.is_empty() { "sessions that have ended".into() } else { self.others() };
            let name = on("rows written between two checks".into());
            let message = format!("rows are written to the {} in short transactions; connected: {who}", self.side);
            found.push((name, finding(message)));
        }
        found
    }

    fn others(&self) -> String {
        let describe = |one: &Activity| format!("{} ({})", named(one.pid, &one.application, &one.role), one.state);
        self.sessions.iter().map(describe).collect::<Vec<_>>().join(", ")
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.written.in_recovery {
            notes.push(format!("the {} is a standby: who writes to its primary does not show", self.side));
        } else if !self.written.is_counted {
            notes.push(format!(
                "track_counts is off on the {}: a writer between two transactions does not show",
                self.side
            ));
        }
        if !self.sessions.is_empty() {
            notes.push(format!("connected to the {}, but not writing: {}", self.side, self.others()));
        }
        notes
    }
}

pub(super) fn describe(writer: &Writer) -> String {
    let client = if writer.client.is_empty() { String::new() } else { format!(" from {}", writer.client) };
    let name = named(writer.pid, &writer.application, &writer.role);
    format!("{name}{client} ({}, {:.0} s in its transaction)", writer.state, writer.seconds)
}

fn named(pid: i32, application: &str, role: &str) -> String {
    let application = if application.is_empty() { "a session without a name" } else { application };
    format!("{application}, process {pid}, as {}", readable(role))
}
