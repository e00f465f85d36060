//! Which tables it is worthwhile to divide: a small model of the servers' time for a whole table and for one in chunks.
//!
//! A whole table is loaded by one session, and its rows are frozen as they are copied
//! (<https://www.postgresql.org/docs/current/sql-copy.html>, FREEZE); otherwise the first index build and ANALYZE would take longer. A
//! divided table has many sessions, and this is worthwhile only if the run would have to wait for it at its end: if there is enough work on
//! other tables at the same time, it stays whole. The model uses what the source says and `parallel.max_jobs`, never the CPUs of the
//! machine that plans. Called by `chunk`.

use super::route::Route;
use crate::catalog::{Lookup, Relation};
use crate::config::TableOptions;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// No chunk is smaller: it would be loaded in a fifth of a second, and costs a transaction on both sides.
pub(super) const SMALLEST: u64 = 64 << 20;
/// The largest chunk of a divided table: the rows that a lost connection costs.
const LARGEST: u64 = 1 << 30;
/// The largest table that stays whole: after one lost connection all of it is copied again.
const LARGEST_WHOLE: u64 = 64 << 30;
/// Chunks for each job, so that all end at nearly the same time.
const CHUNKS_PER_JOB: u64 = 8;
/// A server gains nothing from more sessions than this.
const MOST_JOBS: u64 = 64;
/// Tables with less than this part of one job's work fill the gaps between the others.
const GRAIN: u64 = 16;
/// The run must become shorter by a tenth: the model is not more exact, and frozen rows also save work of the next VACUUM.
const WORTH: (u64, u64) = (9, 10);

// Nanoseconds of one session on the target, measured with rows of 40 to 2,000 bytes in binary and B-trees of 10 to 70 MB.
const LOAD_ROW: u64 = 200;
const LOAD_KILOBYTE: u64 = 3_000;
const INDEX_KILOBYTE: u64 = 7_000;
// The first scan of rows that are not frozen writes into each page. In memory that takes a fifth of this; a table that does not fit into
// memory is written a second time, which takes as long as the disk needs.
const UNFROZEN_ROW: u64 = 100;
const UNFROZEN_KILOBYTE: u64 = 1_000;

/// One table's work, in nanoseconds of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Work {
    /// The COPY.
    load: u64,
    /// The longest index build.
    tail: u64,
    /// The other index builds, which other sessions do meanwhile.
    rest: u64,
    /// The cost of the first scan of rows that are not frozen.
    loss: u64,
    /// The largest number of chunks it can be divided into; 1 if it stays whole.
    pieces: u64,
}

impl Work {
    /// One job's time from the first row to the last index.
    fn whole(&self) -> u64 {
        self.load + self.tail
    }

    /// The same with all jobs at work on it: each further session on one table adds half of what the first one does.
    fn cut(&self, jobs: u64) -> u64 {
        self.load * 2 / (jobs.min(self.pieces) + 1) + self.loss + self.tail
    }

    fn all(&self) -> u64 {
        self.load + self.tail + self.rest
    }
}

/// The number of chunks of a divided table of that size.
pub(super) fn pieces(bytes: u64, jobs: u64) -> u64 {
    (jobs * CHUNKS_PER_JOB).max(bytes.div_ceil(LARGEST)).min(bytes / SMALLEST).max(1)
}

/// The number of jobs in the model.
pub(super) fn jobs(max_jobs: usize) -> u64 {
    (max_jobs as u64).clamp(1, MOST_JOBS)
}

/// The number of chunks of each table, 1 for those that stay whole. For a table that cannot be divided although the run waits for it, this
/// is the number of chunks that it would have.
pub(super) fn decide(
    tables: &[(&Relation, &TableOptions)],
    routes: &[Route<'_>],
    lookup: &Lookup<'_>,
    jobs: u64,
) -> Vec<u64> {
    let works: Vec<Work> =
        tables.iter().zip(routes).map(|((relation, _), route)| work(relation, route, lookup, jobs)).collect();
    let mut cut: Vec<bool> = tables
        .iter()
        .zip(routes)
        .map(|((relation, _), route)| matches!(route, Route::Column(_)) || relation.total_bytes > LARGEST_WHOLE)
        .collect();
    let span = choose(&works, &mut cut, jobs);
    let count = |at: usize| {
        let (relation, work) = (tables[at].0, &works[at]);
        let is_waited_for = work.pieces == 1 && work.whole() > span / WORTH.1 * WORTH.0;
        if cut[at] || is_waited_for { pieces(relation.total_bytes, jobs) } else { 1 }
    };
    (0..tables.len()).map(count).collect()
}

fn work(relation: &Relation, route: &Route<'_>, lookup: &Lookup<'_>, jobs: u64) -> Work {
    let rows = relation.estimated_rows();
    let indexes =
        lookup.indexes_of.get(&relation.oid).into_iter().flatten().map(|index| cost(index.bytes, INDEX_KILOBYTE));
    let (longest, all) = indexes.fold((0, 0_u64), |(longest, all), one| (one.max(longest), all + one));
    Work {
        load: rows * LOAD_ROW + cost(relation.total_bytes, LOAD_KILOBYTE),
        tail: longest,
        rest: all - longest,
        loss: rows * UNFROZEN_ROW + cost(relation.heap_bytes, UNFROZEN_KILOBYTE),
        pieces: if matches!(route, Route::Not(_)) { 1 } else { pieces(relation.total_bytes, jobs) },
    }
}

fn cost(bytes: u64, kilobyte: u64) -> u64 {
    (bytes >> 10) * kilobyte
}

/// Divides the tables with the longest time until the run gets no shorter, and as few as possible; returns the time of the run.
fn choose(works: &[Work], cut: &mut [bool], jobs: u64) -> u64 {
    let total: u64 = works.iter().map(Work::all).sum();
    let mut large: Vec<usize> = (0..works.len()).filter(|at| works[*at].whole() * jobs * GRAIN > total).collect();
    large.sort_by_key(|at| (Reverse(works[*at].whole()), *at));
    let gains = |at: &usize| works[*at].pieces > 1 && !cut[*at] && works[*at].cut(jobs) < works[*at].whole();
    let candidates: Vec<usize> = large.iter().copied().filter(gains).collect();
    let mut trial = cut.to_vec();
    let whole = makespan(works, &large, &trial, total, jobs);
    let mut spans = Vec::with_capacity(candidates.len());
    for at in &candidates {
        trial[*at] = true;
        spans.push(makespan(works, &large, &trial, total, jobs));
    }
    let best = spans.iter().copied().min().unwrap_or(whole);
    if best > whole / WORTH.1 * WORTH.0 {
        return whole;
    }
    for (at, span) in candidates.iter().zip(&spans) {
        cut[*at] = true;
        if span / WORTH.1 * WORTH.0 <= best {
            return *span;
        }
    }
    best
}

/// The least time of the run: whole tables are assigned to the first free job, the longest first; divided tables and small ones fill the
/// remaining time.
fn makespan(works: &[Work], large: &[usize], cut: &[bool], total: u64, jobs: u64) -> u64 {
    let losses: u64 = large.iter().filter(|at| cut[**at]).map(|at| works[*at].loss).sum();
    let longest_cut = large.iter().filter(|at| cut[**at]).map(|at| works[*at].cut(jobs)).max().unwrap_or(0);
    let mut free: BinaryHeap<Reverse<u64>> = (0..jobs).map(|_| Reverse(0)).collect();
    let mut last = 0;
    for at in large.iter().filter(|at| !cut[**at]) {
        let Some(Reverse(start)) = free.pop() else { break };
        let end = start + works[*at].whole();
        last = last.max(end);
        free.push(Reverse(end));
    }
    last.max(longest_cut).max((total + losses) / jobs)
}

#[cfg(test)]
mod tests;
