//! Ranges of a key: of an integer column by its range and histogram, of a uuid, time or date by bounds that the source has chosen.
//!
//! Ranges of equal width are suitable for a key that is dense everywhere; if the statistics show otherwise, ranges hold equal shares of the
//! rows instead (<https://www.postgresql.org/docs/current/view-pg-stats.html>). Even with wrong statistics no row is lost: the outer ranges
//! are open. This module only calculates; `pg::keys` queries the source, and `chunk` decides what is divided.

use super::{Chunk, open_ended};
use crate::name::{ident, literal};

/// The values of an integer column on the source.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRange {
    /// The smallest.
    pub min: i64,
    /// The largest.
    pub max: i64,
    /// Rows with a value.
    pub rows: u64,
    /// The distribution of the values between them, if the statistics have it.
    pub spread: Option<Spread>,
}

/// The distribution of a column's values, by the planner statistics of the source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spread {
    /// Between any two neighbours there are equally many rows, not counting those with a common value.
    pub histogram: Vec<i64>,
    /// The most common values, each with its share of all rows.
    pub common: Vec<(i64, f64)>,
    /// The share of rows without a value.
    pub nulls: f64,
    /// The correlation between the order of the values and the order of the rows, 1 or -1 for equal or reverse order.
    pub correlation: f64,
}

/// Bounds of a key that is no integer, in ascending order, as the source's server writes them.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyBounds {
    /// The key's column.
    pub column: String,
    /// The type's name within `pg_catalog`.
    pub type_name: &'static str,
    /// The bounds.
    pub bounds: Vec<String>,
    /// As in [`Spread`]; 0 if it is not known.
    pub correlation: f64,
}

/// Rows that were added since the statistics were gathered are outside the histogram; autovacuum lets a tenth of a table change before it
/// gathers new ones (`autovacuum_analyze_scale_factor`).
const OUTSIDE: f64 = 0.1;

impl KeyRange {
    /// The bounds of at most `count` ranges, without the outer ends.
    #[must_use]
    pub fn bounds(&self, count: u64) -> Vec<i64> {
        let width = i128::from(self.max) - i128::from(self.min) + 1;
        let count = i128::from(count).min(width).max(1);
        let heights = self.spread.as_ref().and_then(|spread| Heights::new(self, spread));
        match heights {
            Some(heights) => heights.bounds(self, count),
            None => (1..count).map(|at| narrow(i128::from(self.min) + width * at / count)).collect(),
        }
    }

    /// Divides a table by this column into at most `count` ranges, and the rows without a value.
    #[must_use]
    pub fn chunks(&self, column: &str, count: u64, is_nullable: bool) -> Vec<Chunk> {
        let bounds: Vec<String> = self.bounds(count).iter().map(ToString::to_string).collect();
        with_nulls(column, &bounds, is_nullable)
    }
}

impl KeyBounds {
    /// Divides a table into at most `count` ranges, and the rows without a value.
    #[must_use]
    pub fn chunks(&self, count: u64, is_nullable: bool) -> Vec<Chunk> {
        let all = self.bounds.len() as u64 + 1;
        let count = count.clamp(1, all);
        let chosen = (1..count).filter_map(|at| self.bounds.get(usize::try_from(all * at / count).ok()? - 1));
        let bounds: Vec<String> =
            chosen.map(|bound| format!("{}::pg_catalog.{}", literal(bound).trim_start(), self.type_name)).collect();
        with_nulls(&self.column, &bounds, is_nullable)
    }
}

fn with_nulls(column: &str, bounds: &[String], is_nullable: bool) -> Vec<Chunk> {
    let name = ident(column);
    let mut chunks = open_ended(&name, bounds);
    if is_nullable && chunks.len() > 1 {
        chunks.push(Chunk { predicate: format!("{name} IS NULL"), label: format!("{column} is null") });
    }
    chunks
}

/// The share of rows below each value.
struct Heights {
    /// Values with the share of rows below them that are in the histogram; straight lines between.
    points: Vec<(i128, f64)>,
    /// Common values with the share of rows that have them or a lower common value.
    steps: Vec<(i128, f64)>,
}

impl Heights {
    /// None if the statistics have no information about this range.
    fn new(range: &KeyRange, spread: &Spread) -> Option<Heights> {
        let mut common = spread.common.clone();
        common.sort_by_key(|(value, _)| *value);
        let mut sum = 0.0;
        let mut steps = Vec::with_capacity(common.len());
        for (value, share) in common {
            sum += share;
            steps.push((i128::from(value), sum));
        }
        let points = points(range, &spread.histogram, (1.0 - spread.nulls - sum).max(0.0));
        let heights = Heights { points, steps };
        let (low, high) = heights.ends(range);
        (high > low).then_some(heights)
    }

    fn below(&self, value: i128) -> f64 {
        let step = self.steps.partition_point(|(common, _)| *common < value);
        let stepped = step.checked_sub(1).map_or(0.0, |at| self.steps[at].1);
        let next = self.points.partition_point(|(point, _)| *point < value);
        let sloped = match (next.checked_sub(1).map(|at| self.points[at]), self.points.get(next)) {
            (Some((low, from)), Some((high, to))) => from + (to - from) * ratio(value - low, high - low),
            (Some((_, all)), None) => all,
            (None, _) => 0.0,
        };
        stepped + sloped
    }

    fn ends(&self, range: &KeyRange) -> (f64, f64) {
        (self.below(range.min.into()), self.below(i128::from(range.max) + 1))
    }

    /// For each share of the rows the lowest value that has so many rows below it.
    fn bounds(&self, range: &KeyRange, count: i128) -> Vec<i64> {
        let (low, high) = self.ends(range);
        let mut bounds: Vec<i64> = Vec::new();
        for at in 1..count {
            let wanted = low + (high - low) * ratio(at, count);
            let from = bounds.last().map_or(i128::from(range.min), |last| i128::from(*last));
            let bound = lowest(from + 1, range.max.into(), |value| self.below(value) >= wanted);
            match bound {
                Some(bound) => bounds.push(narrow(bound)),
                None => break,
            }
        }
        bounds
    }
}

/// The lowest value from `low` to `high` for which `enough` is true; it is then true for all higher ones.
fn lowest(mut low: i128, mut high: i128, enough: impl Fn(i128) -> bool) -> Option<i128> {
    if low > high || !enough(high) {
        return None;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if enough(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low)
}

/// The histogram as points of a rising line, extended to the ends of the range.
fn points(range: &KeyRange, histogram: &[i64], share: f64) -> Vec<(i128, f64)> {
    let (min, end) = (i128::from(range.min), i128::from(range.max) + 1);
    let (Some(first), Some(last)) = (histogram.first(), histogram.last()) else {
        return vec![(min, 0.0), (end, share)];
    };
    let (first, last) = (i128::from(*first), i128::from(*last));
    let outside = |width: i128| share * ratio(width.max(0), (last - first).max(1)).min(OUTSIDE);
    let before = outside(first - min);
    let mut points = Vec::with_capacity(histogram.len() + 2);
    if min < first {
        points.push((min, 0.0));
    }
    let buckets = (histogram.len() as i128 - 1).max(1);
    points.extend((0..).zip(histogram).map(|(at, bound)| (i128::from(*bound), before + share * ratio(at, buckets))));
    if end > last {
        points.push((end, before + share + outside(end - 1 - last)));
    }
    points
}

#[expect(clippy::cast_precision_loss, reason = "a share of the rows, and never the bound itself")]
fn ratio(part: i128, whole: i128) -> f64 {
    part as f64 / whole as f64
}

/// A bound is between two values of the column, so it fits into their type.
fn narrow(bound: i128) -> i64 {
    i64::try_from(bound).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
