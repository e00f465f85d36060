//! The measurements, and the rates that result from them: pure.
//!
//! A figure that could not be measured keeps its typical value.

use crate::engine::estimate::{analyze_share, index_work};
use crate::rates::{Rates, Speedup, TableRates};
use crate::row_format::RowFormat;

/// Seconds for small tables, for each of them by each session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Small {
    /// To make one.
    pub table: f64,
    /// To copy a row into one.
    pub copy: f64,
    /// For another statement about one.
    pub statement: f64,
}

/// The measurements of a slice of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The format in which its rows were sent.
    pub format: RowFormat,
    /// Its size on the source.
    pub bytes: f64,
    /// Its rows.
    pub rows: u64,
    /// Seconds to copy it.
    pub copy: f64,
    /// Seconds to read it.
    pub scan: f64,
    /// Seconds to build an index on it, and the index's bytes.
    pub indexes: Vec<(f64, u64)>,
    /// Seconds of ANALYZE.
    pub analyze: f64,
    /// Seconds to look up all of its rows in it.
    pub look_up: f64,
}

/// The measurements of one pass over everything that is measured.
#[derive(Debug, Default)]
pub struct Pass {
    /// Seconds for a round trip to source and target.
    pub round_trips: Option<(f64, f64)>,
    /// Small tables, by the number of sessions.
    pub small: Vec<(u32, Small)>,
    /// Seconds to copy a slice and to build an index on it, by the number of sessions.
    pub at_once: Vec<(u32, (f64, Option<f64>))>,
    /// The tables.
    pub tables: Vec<(String, Sample)>,
}

/// All measurements.
#[derive(Debug)]
pub struct Figures {
    /// Seconds before the first task.
    pub preparation: f64,
    /// Every complete pass; otherwise what there is of the first one.
    pub passes: Vec<Pass>,
    /// Notes for the reader.
    pub notes: Vec<String>,
}

const MB: f64 = 1e6;
/// Even steady measurements change until the night of the run.
const LEAST_UNCERTAINTY: f64 = 1.25;
/// A single pass cannot be compared with others, and may have met a good or a bad moment.
const SINGLE_PASS: f64 = 1.6;
/// The number of rows from which on ANALYZE is measured.
const ANALYZED_FROM: u64 = 1000;

impl Figures {
    /// The rates: for each figure the median over all passes.
    pub fn rates(self) -> Rates {
        let all: Vec<Rates> = self.passes.iter().map(Pass::rates).collect();
        let of =
            |figure: fn(&Rates) -> f64| median(all.iter().map(figure)).unwrap_or_else(|| figure(&Rates::typical()));
        Rates {
            calibrated: self.passes.iter().any(|pass| !pass.small.is_empty()),
            copy_binary: of(|rates| rates.copy_binary),
            copy_text: of(|rates| rates.copy_text),
            index: of(|rates| rates.index),
            validation: of(|rates| rates.validation),
            scan: of(|rates| rates.scan),
            analyze: of(|rates| rates.analyze),
            create_table: of(|rates| rates.create_table),
            statement: of(|rates| rates.statement),
            small_copy: of(|rates| rates.small_copy),
            source_round_trip: of(|rates| rates.source_round_trip),
            target_round_trip: of(|rates| rates.target_round_trip),
            preparation: self.preparation,
            uncertainty: match &self.passes[..] {
                [] => Rates::typical().uncertainty,
                [one] if one.tables.is_empty() => Rates::typical().uncertainty,
                [_] => SINGLE_PASS,
                _ => uncertainty(&all),
            },
            copy_speedup: speedups_of(&all, |rates| &rates.copy_speedup),
            build_speedup: speedups_of(&all, |rates| &rates.build_speedup),
            tables: tables_of(&all),
            notes: self.notes,
            ..Rates::typical()
        }
    }
}

/// The median.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

fn speedups_of(all: &[Rates], points: fn(&Rates) -> &Vec<Speedup>) -> Vec<Speedup> {
    let Some(first) = all.first() else { return points(&Rates::typical()).clone() };
    let at = |sessions| all.iter().flat_map(points).filter(move |point| point.sessions == sessions);
    let of =
        |point: &Speedup| Some(Speedup { speedup: median(at(point.sessions).map(|point| point.speedup))?, ..*point });
    let mut before = Speedup { sessions: 1, speedup: 1.0 };
    let medians = points(first).iter().filter_map(of).map(|point| {
        // The medians are of different passes where some passes lack a point; more sessions are never slower, nor faster than their number
        // allows.
        let most = before.speedup * f64::from(point.sessions) / f64::from(before.sessions);
        before = Speedup { speedup: point.speedup.clamp(before.speedup, most), ..point };
        before
    });
    medians.collect()
}

fn tables_of(all: &[Rates]) -> Vec<TableRates> {
    let Some(first) = all.first() else { return Vec::new() };
    let of = |table: &TableRates| {
        let same = || all.iter().flat_map(|rates| &rates.tables).filter(|other| other.table == table.table);
        TableRates {
            table: table.table.clone(),
            copy: median(same().filter_map(|table| table.copy)),
            index: median(same().filter_map(|table| table.index)),
            validation: median(same().filter_map(|table| table.validation)),
            analyze: median(same().filter_map(|table| table.analyze)),
        }
    };
    first.tables.iter().map(of).collect()
}

/// How much the passes differ in the most important figures: copying rows, and building indexes on them.
fn uncertainty(all: &[Rates]) -> f64 {
    let apart = |figure: fn(&Rates) -> f64| {
        let middle = median(all.iter().map(figure))?;
        all.iter().map(figure).map(|value| (value / middle).max(middle / value)).reduce(f64::max)
    };
    let figures: [fn(&Rates) -> f64; 3] = [|rates| rates.copy_binary, |rates| rates.index, |rates| rates.statement];
    figures.into_iter().filter_map(apart).fold(LEAST_UNCERTAINTY, f64::max)
}

impl Pass {
    /// The rates that result from this pass alone.
    fn rates(&self) -> Rates {
        let mut rates = Rates::typical();
        if let Some((source, target)) = self.round_trips {
            (rates.source_round_trip, rates.target_round_trip) = (source, target);
        }
        if let Some((_, small)) = self.small.first() {
            (rates.create_table, rates.small_copy, rates.statement) = (small.table, small.copy, small.statement);
        }
        self.set_speedups(&mut rates);
        self.set_speeds(&mut rates);
        rates.tables = self.tables.iter().map(|(name, sample)| sample.rates(name, rates.scan)).collect();
        rates
    }

    /// Where no table is large enough for a comparison of sessions, small tables are used.
    fn set_speedups(&self, rates: &mut Rates) {
        let small = |seconds: fn(&Small) -> f64| self.small.iter().map(|(n, small)| (*n, seconds(small))).collect();
        let of =
            |times: Vec<(u32, f64)>, others: Vec<(u32, f64)>| speedups(if times.len() > 1 { &times } else { &others });
        let copies = self.at_once.iter().map(|(n, (copy, _))| (*n, *copy)).collect();
        let builds = self.at_once.iter().filter_map(|(n, (_, build))| Some((*n, (*build)?))).collect();
        if self.small.len() > 1 {
            rates.copy_speedup = of(copies, small(|small| small.copy));
            rates.build_speedup = of(builds, small(|small| small.table + 4.0 * small.statement));
        }
    }

    fn set_speeds(&self, rates: &mut Rates) {
        let samples = || self.tables.iter().map(|(_, sample)| sample);
        let of_format = |format| mean(samples().filter(|sample| sample.format == format).map(Sample::copied));
        let (binary, text) = (of_format(RowFormat::Binary), of_format(RowFormat::Text));
        let usual = rates.copy_binary / rates.copy_text;
        rates.copy_binary = binary.or(text.map(|text| text * usual)).unwrap_or(rates.copy_binary);
        rates.copy_text = text.or(binary.map(|binary| binary / usual)).unwrap_or(rates.copy_text);
        rates.scan = mean(samples().map(|sample| (sample.bytes, sample.scan))).unwrap_or(rates.scan);
        rates.index = mean(samples().map(|sample| sample.indexed(rates.scan))).unwrap_or(rates.index);
        rates.validation = mean(samples().map(Sample::validated)).unwrap_or(rates.validation);
        let analyzed: Vec<f64> = samples().filter_map(|sample| sample.analyzed(rates.scan)).collect();
        if let Some(longest) = analyzed.into_iter().reduce(f64::max) {
            rates.analyze = longest;
        }
    }
}

/// Bytes over seconds of all, in MB/s.
fn mean(all: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (bytes, seconds) = all.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    (bytes > 0.0 && seconds > 0.0).then(|| bytes / seconds / MB)
}

/// The speedups by the seconds for the same work of each session: more sessions never do less in all than fewer, and none of them does
/// more.
fn speedups(times: &[(u32, f64)]) -> Vec<Speedup> {
    let Some(&(_, alone)) = times.first() else { return Vec::new() };
    let mut before = Speedup { sessions: 1, speedup: 1.0 };
    let mut found = Vec::new();
    for &(sessions, seconds) in times.iter().filter(|(sessions, _)| *sessions > 1) {
        let most = before.speedup * f64::from(sessions) / f64::from(before.sessions);
        let speedup = (f64::from(sessions) * alone / seconds).clamp(before.speedup, most);
        before = Speedup { sessions, speedup };
        found.push(before);
    }
    found
}

impl Sample {
    fn copied(&self) -> (f64, f64) {
        (self.bytes, self.copy)
    }

    /// The work of the index builds, in the unit of the rate, and the seconds for it without reading the table.
    fn indexed(&self, scan: f64) -> (f64, f64) {
        let reading = self.bytes / (scan * MB);
        self.indexes.iter().fold((0.0, 0.0), |sum, (seconds, size)| {
            (sum.0 + index_work(*size, self.rows), sum.1 + (seconds - reading).max(seconds / 2.0))
        })
    }

    fn validated(&self) -> (f64, f64) {
        (2.0 * self.bytes, self.look_up)
    }

    /// Seconds for a full sample of ANALYZE, without the time to read the pages.
    fn analyzed(&self, scan: f64) -> Option<f64> {
        let reading = self.bytes / (scan * MB);
        (self.rows >= ANALYZED_FROM)
            .then(|| (self.analyze - reading).max(self.analyze / 2.0) / analyze_share(self.rows))
    }

    fn rates(&self, table: &str, scan: f64) -> TableRates {
        let one = |sums: (f64, f64)| mean(std::iter::once(sums));
        TableRates {
            table: table.to_owned(),
            copy: one(self.copied()),
            index: one(self.indexed(scan)),
            validation: one(self.validated()),
            analyze: self.analyzed(scan),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(copy: f64) -> Sample {
        Sample {
            format: RowFormat::Binary,
            bytes: 20e6,
            rows: 1_000_000,
            copy,
            scan: 0.01,
            indexes: vec![(0.11, 10_000_000), (0.21, 10_000_000)],
            analyze: 0.3,
            look_up: 0.1,
        }
    }

    fn pass(copy: f64, at_once: [f64; 3]) -> Pass {
        let times = [1, 2, 4].into_iter().zip(at_once.map(|seconds| (seconds, Some(seconds))));
        Pass {
            round_trips: Some((0.01, 0.02)),
            small: vec![(1, Small { table: 0.3, copy: 0.1, statement: 0.2 })],
            at_once: times.collect(),
            tables: vec![("s.t".into(), sample(copy))],
        }
    }

    fn figures(passes: Vec<Pass>) -> Rates {
        Figures { preparation: 1.5, passes, notes: vec!["odd".into()] }.rates()
    }

    fn assert_near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-6 * wanted, "{found} is not {wanted}");
    }

    #[test]
    fn one_pass_gives_what_it_measured() {
        let rates = figures(vec![pass(0.2, [1.0, 1.25, 2.0])]);
        assert!(rates.calibrated);
        assert_near(rates.copy_binary, 100.0);
        assert_near(rates.copy_text, 100.0 * 70.0 / 120.0);
        assert_near(rates.scan, 2000.0);
        // 20 MB of indexes, and a million rows twice, in 0.1 and 0.2 s besides reading the table twice.
        assert_near(rates.index, (20.0 + 2.0 * 32.0) / 0.3);
        assert_near(rates.validation, 400.0);
        assert_near(rates.tables[0].analyze.unwrap(), 0.29);
        assert_eq!((rates.preparation, rates.target_round_trip, rates.create_table), (1.5, 0.02, 0.3));
        assert_eq!(rates.notes, ["odd"]);
        assert_near(rates.uncertainty, SINGLE_PASS);
        assert_eq!(Rates::read(&serde_json::to_string(&rates).unwrap()).unwrap(), rates);
    }

    #[test]
    fn of_several_passes_the_middle_counts_and_their_spread_is_reported() {
        let passes = [0.1, 0.2, 2.0].map(|copy| pass(copy, [1.0, 1.25, 2.0]));
        let rates = figures(passes.into());
        assert_near(rates.copy_binary, 100.0);
        assert_near(rates.tables[0].copy.unwrap(), 100.0);
        assert_near(rates.uncertainty, 10.0);
    }

    #[test]
    fn more_sessions_do_neither_less_than_fewer_nor_more_than_each_can() {
        let points = |times| -> Vec<(u32, f64)> {
            speedups(times).iter().map(|point| (point.sessions, point.speedup)).collect()
        };
        assert_eq!(points(&[(1, 1.0), (2, 1.25), (4, 2.0)]), [(2, 1.6), (4, 2.0)]);
        assert_eq!(points(&[(1, 1.0), (2, 3.0), (4, 9.0)]), [(2, 1.0), (4, 1.0)]);
        assert_eq!(points(&[(1, 1.0), (2, 0.5), (4, 0.1)]), [(2, 2.0), (4, 4.0)]);
    }

    #[test]
    fn what_was_not_measured_is_typical() {
        let rates = figures(vec![Pass::default()]);
        let typical = Rates::typical();
        assert_eq!((rates.copy_binary, rates.index, &rates.copy_speedup), (120.0, 180.0, &typical.copy_speedup));
        assert!(rates.tables.is_empty());
        assert!(!rates.calibrated);
        assert_near(rates.uncertainty, typical.uncertainty);
    }

    #[test]
    fn what_passes_without_a_point_give_can_be_read_back() {
        let mut short = pass(0.2, [1.0, 1.05, 3.0]);
        short.at_once.truncate(2);
        let rates = figures(vec![pass(0.2, [1.0, 1.67, 3.08]), short]);
        assert_eq!(Rates::read(&serde_json::to_string(&rates).unwrap()).unwrap(), rates);
    }
}
