//! Takes the samples: what is measured, in which order, how much of it, and by how many sessions at once.
//!
//! Everything is measured several times. Where the time is up during the first pass, its measurements so far are kept. For a table that
//! cannot be sampled there is a note and no figures. The statements are in `pg::sample`.

use super::choice::Choice;
use super::figures::{Pass, Sample, Small, median};
use crate::engine::connect::Source;
use crate::error::{Result, Side};
use crate::pg::sample::{self, SampleStage, Slice};
use crate::pg::{Conninfo, Session, apply, snapshot};
use crate::row_format::RowFormat;
use futures_util::future::try_join_all;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Sessions that work at once.
const SESSIONS: [u32; 3] = [1, 2, 4];
/// The largest number of passes.
const PASSES: usize = 5;
/// Bytes that are copied to estimate how many can be copied in the available time.
const FIRST: f64 = 512.0 * 1024.0;
/// The most bytes that one session copies at once, which bounds what a sample writes on the target.
const MOST: f64 = 32e6;
/// Smaller tables are copied too fast for a comparison of sessions.
const COMPARED_FROM: u64 = 4_000_000;
/// Small tables that are created at once.
const SMALL: u8 = 24;
/// Round trips that are made to measure how long one takes.
const QUESTIONS: usize = 20;

/// Where samples are taken.
pub struct SamplingConnections<'a> {
    /// The source, with the snapshot that the readers use.
    pub source: &'a Source,
    /// The target.
    pub target: &'a Conninfo,
    /// The encoding of both, where it is not UTF8.
    pub encoding: Option<String>,
    /// The schema that is used where the role may create none.
    pub ledger_schema: &'a str,
    /// How long a statement waits for a lock, in seconds.
    pub lock_timeout: u64,
}

/// A session on each side.
struct Sessions {
    source: Session,
    target: Session,
}

impl SamplingConnections<'_> {
    async fn open(&self) -> Result<Sessions> {
        let mut source = Session::open(self.source.leader.conninfo(), Side::Source, "calibrate").await?;
        source.set_copy_encoding(self.encoding.clone());
        apply::limit_lock_wait(&source, self.lock_timeout).await?;
        snapshot::join(&source, &self.source.snapshot).await?;
        let mut target = Session::open(self.target, Side::Target, "calibrate").await?;
        target.set_copy_encoding(self.encoding.clone());
        Ok(Sessions { source, target })
    }

    async fn open_many(&self, count: u32) -> Result<Vec<Sessions>> {
        try_join_all((0..count).map(|_| self.open())).await
    }

    async fn begin<'p>(&self, pair: &'p Sessions) -> Result<SampleStage<'p>> {
        SampleStage::begin(&pair.target, self.ledger_schema, self.lock_timeout).await
    }
}

/// The seconds that work takes, and its result.
async fn timed<T>(work: impl Future<Output = Result<T>>) -> Result<(f64, T)> {
    let began = Instant::now();
    let result = work.await?;
    Ok((began.elapsed().as_secs_f64().max(1e-6), result))
}

/// The seconds until a server answers.
async fn asked(session: &Session) -> Result<f64> {
    let mut times = Vec::with_capacity(QUESTIONS);
    for _ in 0..QUESTIONS {
        times.push(timed(sample::ask(session)).await?.0);
    }
    Ok(median(times).unwrap_or_default())
}

/// Makes a session copy a few rows and build an index on them.
async fn warm_up(table: &Choice<'_>, stage: &SampleStage<'_>, pair: &Sessions) -> Result<()> {
    let (slice, _) = table.slice(0.0, FIRST);
    stage.copy(&pair.source, &slice, table.format).await?;
    warm_up_builds(table, stage).await
}

/// Makes a session build an index in addition to those that are measured.
async fn warm_up_builds(table: &Choice<'_>, stage: &SampleStage<'_>) -> Result<()> {
    if let Some(key) = table.keys.first() {
        stage.index(table.keys.len(), key).await?;
    }
    Ok(())
}

/// The measurements.
pub struct Sampling<'a> {
    ends: SamplingConnections<'a>,
    tables: &'a [Choice<'a>],
    part: f64,
    /// Bytes that each of several sessions copies, once it is known how many fit into the time.
    slice: Option<f64>,
    pass: Pass,
    passes: Vec<Pass>,
    notes: BTreeSet<String>,
}

impl<'a> Sampling<'a> {
    /// Samples of `tables`, of which each copies for about `part` seconds.
    pub fn new(ends: SamplingConnections<'a>, tables: &'a [Choice<'a>], part: f64) -> Self {
        let (pass, passes, notes) = (Pass::default(), Vec::new(), BTreeSet::new());
        Sampling { ends, tables, part, slice: None, pass, passes, notes }
    }

    /// The measurements, and the notes for the reader.
    pub fn end(mut self) -> (Vec<Pass>, Vec<String>) {
        if self.passes.is_empty() {
            self.notes.insert("the time was up before all was measured once".into());
            self.passes.push(self.pass);
        }
        (self.passes, self.notes.into_iter().collect())
    }

    /// Takes all samples as often as the time allows, because the speed of a machine varies.
    pub async fn run(&mut self, limit: Duration) -> Result<()> {
        let began = Instant::now();
        let mut longest = Duration::ZERO;
        while self.passes.len() < PASSES && began.elapsed() + longest < limit {
            let start = Instant::now();
            match self.measure().await {
                Err(error) if !self.passes.is_empty() => {
                    self.notes.insert(format!("a later pass was given up: {}", error.chain()));
                    break;
                }
                measured => measured?,
            }
            self.passes.push(std::mem::take(&mut self.pass));
            longest = longest.max(start.elapsed());
        }
        Ok(())
    }

    async fn measure(&mut self) -> Result<()> {
        self.pass.round_trips = Some(self.round_trips().await?);
        for sessions in SESSIONS {
            match self.small(sessions).await {
                Ok(small) => self.pass.small.push((sessions, small)),
                // There may be no more free sessions than a run with one job needs.
                Err(error) if sessions > 1 => {
                    self.notes.insert(format!("{sessions} sessions at once could not be sampled: {}", error.chain()));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let tables = self.tables;
        if let Some(largest) = tables.first().filter(|table| table.bytes >= COMPARED_FROM)
            && let Err(error) = self.compare(largest).await
        {
            self.notes.insert(format!("several sessions at once could not be sampled: {}", error.chain()));
        }
        for table in tables {
            let name = table.relation.name.to_string();
            match self.table(table).await {
                Ok(sample) => self.pass.tables.push((name, sample)),
                Err(error) => {
                    self.notes.insert(format!("{name} could not be sampled: {}", error.chain()));
                }
            }
        }
        Ok(())
    }

    async fn round_trips(&self) -> Result<(f64, f64)> {
        let pair = self.ends.open().await?;
        Ok((asked(&pair.source).await?, asked(&pair.target).await?))
    }

    /// Small tables and what belongs to them, by several sessions at once.
    async fn small(&self, sessions: u32) -> Result<Small> {
        let pairs = self.ends.open_many(sessions).await?;
        let stages = try_join_all(pairs.iter().map(|pair| self.ends.begin(pair))).await?;
        // A new session has nothing of the catalog in its cache.
        try_join_all(stages.iter().map(|stage| stage.create(&[]))).await?;
        let (tables, _) = timed(try_join_all(stages.iter().map(|stage| stage.create_small(SMALL)))).await?;
        let copies = stages.iter().zip(&pairs).map(|(stage, pair)| stage.copy_small(&pair.source, SMALL));
        let (copies, _) = timed(try_join_all(copies)).await?;
        let (statements, _) = timed(try_join_all(stages.iter().map(|stage| stage.change_small(SMALL)))).await?;
        try_join_all(stages.into_iter().map(SampleStage::end)).await?;
        let each = f64::from(SMALL);
        Ok(Small { table: tables / each, copy: copies / each, statement: statements / (4.0 * each) })
    }

    /// The same work by one session and by several at once.
    async fn compare(&mut self, table: &Choice<'_>) -> Result<()> {
        for sessions in SESSIONS {
            let times = self.at_once(table, sessions).await?;
            self.pass.at_once.push((sessions, times));
        }
        Ok(())
    }

    /// Seconds in which each of several sessions copies a slice, and in which each builds an index on it.
    async fn at_once(&mut self, table: &Choice<'_>, sessions: u32) -> Result<(f64, Option<f64>)> {
        let pairs = self.ends.open_many(sessions).await?;
        let stages = try_join_all(pairs.iter().map(|pair| self.ends.begin(pair))).await?;
        try_join_all(stages.iter().map(|stage| stage.create(&table.columns))).await?;
        let wanted = match self.slice {
            Some(wanted) => wanted,
            None => self.enough(table, &stages[0], &pairs[0].source).await?,
        };
        self.slice = Some(wanted);
        // The first statements of a session take longer, in a run only once.
        try_join_all(stages.iter().zip(&pairs).map(|(stage, pair)| warm_up(table, stage, pair))).await?;
        let copy = |number: u32| {
            let (slice, _) = table.slice(f64::from(number) / f64::from(sessions), wanted);
            let (stage, pair) = (&stages[number as usize], &pairs[number as usize]);
            async move { stage.copy(&pair.source, &slice, table.format).await }
        };
        let (copied, _) = timed(try_join_all((0..sessions).map(copy))).await?;
        let built = match table.keys.first() {
            None => None,
            Some(key) => {
                let (seconds, sizes) = timed(try_join_all(stages.iter().map(|stage| stage.index(0, key)))).await?;
                sizes.iter().all(Option::is_some).then_some(seconds)
            }
        };
        try_join_all(stages.into_iter().map(SampleStage::end)).await?;
        Ok((copied, built))
    }

    /// The bytes of a table that can be copied in the time for a slice.
    async fn enough(&self, table: &Choice<'_>, stage: &SampleStage<'_>, source: &Session) -> Result<f64> {
        let (slice, bytes) = table.slice(0.0, FIRST);
        let (seconds, _) = timed(stage.copy(source, &slice, table.format)).await?;
        Ok((bytes / seconds * self.part).clamp(FIRST, MOST))
    }

    async fn table(&self, table: &Choice<'_>) -> Result<Sample> {
        let pair = self.ends.open().await?;
        let stage = self.ends.begin(&pair).await?;
        stage.create(&table.columns).await?;
        let wanted = self.enough(table, &stage, &pair.source).await?;
        // A separate slice, because the first rows have warmed up the sessions and are too few to measure.
        stage.end().await?;
        let stage = self.ends.begin(&pair).await?;
        stage.create(&table.columns).await?;
        let (slice, bytes) = table.slice(0.5, wanted);
        let (copy, rows) = self.copied(&stage, &pair, &slice, table.format).await?;
        let (scan, ()) = timed(stage.scan()).await?;
        warm_up_builds(table, &stage).await?;
        let mut indexes = Vec::new();
        for (number, key) in table.keys.iter().enumerate() {
            if let (seconds, Some(size)) = timed(stage.index(number, key)).await? {
                indexes.push((seconds, size));
            }
        }
        let (analyze, ()) = timed(stage.analyze()).await?;
        let (look_up, ()) = timed(stage.look_up(table.unique)).await?;
        stage.end().await?;
        Ok(Sample { format: table.format, bytes, rows, copy, scan, indexes, analyze, look_up })
    }

    async fn copied(
        &self,
        stage: &SampleStage<'_>,
        pair: &Sessions,
        slice: &Slice<'_>,
        format: RowFormat,
    ) -> Result<(f64, u64)> {
        let (seconds, sum) = timed(stage.copy(&pair.source, slice, format)).await?;
        Ok((seconds, sum.rows))
    }
}
