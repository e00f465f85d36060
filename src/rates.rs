//! How fast two servers do what a plan asks of them: measured by a sample, given by a user, or typical figures.
//!
//! Rates are data of their own next to a plan, which never depends on them. They hold names of tables and numbers, no secret and no row
//! value. `engine::calibrate` measures them, `engine::estimate` calculates with them, and users keep them in a file as JSON. A MB is a
//! million bytes; bytes of a table are those of its heap and TOAST on the source.

use crate::action::Action;
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// The version of the file's format.
pub const VERSION: u32 = 2;

/// How much work several sessions do at the same time, compared with one session.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speedup {
    /// How many sessions.
    pub sessions: u32,
    /// Their work together in the time in which one session alone does 1.
    pub speedup: f64,
}

/// The rates of one table, which take precedence over the general rates.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRates {
    /// Its name as people read it.
    pub table: String,
    /// MB of the table that one session copies in a second, in the plan's format.
    pub copy: Option<f64>,
    /// As [`Rates::index`].
    pub index: Option<f64>,
    /// As [`Rates::validation`].
    pub validation: Option<f64>,
    /// As [`Rates::analyze`].
    pub analyze: Option<f64>,
}

/// The rates; each is for one session at work unless said otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// The version of the format.
    pub version: u32,
    /// Whether they were measured on the two servers.
    pub calibrated: bool,
    /// MB of a table copied in a second, in the binary format.
    pub copy_binary: f64,
    /// The same in the text format.
    pub copy_text: f64,
    /// MB of an index that are sorted and written in a second, on a table of a million rows, where each row counts as 32 bytes more than
    /// its key; the time to read the table is added. Larger tables need more time for each row, because of the sort.
    pub index: f64,
    /// MB of a table and of the one that it references, whose foreign key is checked in a second.
    pub validation: f64,
    /// MB of a table that is read in a second.
    pub scan: f64,
    /// Seconds for the statistics of a table that fills the sample of ANALYZE.
    pub analyze: f64,
    /// Seconds to make an empty table.
    pub create_table: f64,
    /// Seconds for a small statement that is sent together with others, such as an index on an empty table.
    pub statement: f64,
    /// Seconds to copy a table of a few rows.
    pub small_copy: f64,
    /// Seconds for a query to the source and its answer.
    pub source_round_trip: f64,
    /// Seconds for a query to the target and its answer.
    pub target_round_trip: f64,
    /// Seconds before the first task: connecting, reading the catalog, preflight.
    pub preparation: f64,
    /// How many times longer or shorter than estimated a run may take.
    pub uncertainty: f64,
    /// Copying by several sessions at once.
    pub copy_speedup: Vec<Speedup>,
    /// Building indexes by several sessions at once.
    pub build_speedup: Vec<Speedup>,
    /// The rates of single tables.
    pub tables: Vec<TableRates>,
    /// Remarks for a reader on how the rates were obtained.
    pub notes: Vec<String>,
}

impl Rates {
    /// Figures of two servers of the same few cores each, near each other, with the database in memory: used if there is no measurement.
    #[must_use]
    pub fn typical() -> Rates {
        let scaling = [Speedup { sessions: 2, speedup: 1.6 }, Speedup { sessions: 4, speedup: 2.3 }];
        Rates {
            version: VERSION,
            calibrated: false,
            copy_binary: 120.0,
            copy_text: 70.0,
            index: 180.0,
            validation: 400.0,
            scan: 1500.0,
            analyze: 0.15,
            create_table: 0.001,
            statement: 0.0004,
            small_copy: 0.0006,
            source_round_trip: 0.0002,
            target_round_trip: 0.0002,
            preparation: 1.0,
            uncertainty: 3.0,
            copy_speedup: scaling.to_vec(),
            build_speedup: scaling.to_vec(),
            tables: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Reads rates as JSON.
    ///
    /// # Errors
    ///
    /// [`Kind::State`] where the text is none of this version, or a figure cannot be one.
    pub fn read(text: &str) -> Result<Rates> {
        let rates: Rates =
            serde_json::from_str(text).map_err(|e| broken("their format is not that of rates").caused_by(e))?;
        rates.checked()
    }

    /// The same rates, all of whose figures can be one.
    ///
    /// # Errors
    ///
    /// [`Kind::State`] where they are of another version, or a figure cannot be one.
    pub fn checked(self) -> Result<Rates> {
        if self.version != VERSION {
            return Err(broken(format!("their version is {}, this program reads version {VERSION}", self.version)));
        }
        match self.wrong().first() {
            Some(what) => Err(broken(what)),
            None => Ok(self),
        }
    }

    fn wrong(&self) -> Vec<String> {
        let speeds = [
            ("copy_binary", self.copy_binary),
            ("copy_text", self.copy_text),
            ("index", self.index),
            ("validation", self.validation),
            ("scan", self.scan),
        ];
        let times = [
            ("analyze", self.analyze),
            ("create_table", self.create_table),
            ("statement", self.statement),
            ("small_copy", self.small_copy),
            ("source_round_trip", self.source_round_trip),
            ("target_round_trip", self.target_round_trip),
            ("preparation", self.preparation),
        ];
        let of_table = |table: &TableRates| {
            let given = [table.copy, table.index, table.validation].into_iter().flatten().all(is_above_zero)
                && table.analyze.into_iter().all(is_time);
            (!given).then(|| format!("table {}: a speed must be above 0, a time not below", table.table))
        };
        let speeds = speeds.into_iter().filter(|(_, value)| !is_above_zero(*value));
        let times = times.into_iter().filter(|(_, value)| !is_time(*value));
        let mut wrong: Vec<String> = speeds.map(|(name, _)| format!("{name} must be above 0")).collect();
        wrong.extend(times.map(|(name, _)| format!("{name} must not be below 0")));
        wrong.extend(
            (!(self.uncertainty.is_finite() && self.uncertainty >= 1.0)).then(|| "uncertainty is below 1".into()),
        );
        for (name, points) in [("copy_speedup", &self.copy_speedup), ("build_speedup", &self.build_speedup)] {
            wrong
                .extend((!is_growing(points)).then(|| {
                    format!("{name}: sessions must grow from 2, speedups from 1 and no faster than sessions")
                }));
        }
        wrong.extend(self.tables.iter().filter_map(of_table));
        wrong
    }
}

fn is_above_zero(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

fn is_time(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

fn is_growing(points: &[Speedup]) -> bool {
    let first = Speedup { sessions: 1, speedup: 1.0 };
    std::iter::once(&first).chain(points).zip(points).all(|(before, after)| {
        after.sessions > before.sessions
            && after.speedup >= before.speedup
            && after.speedup / before.speedup <= f64::from(after.sessions) / f64::from(before.sessions) + 1e-9
    })
}

/// The work of `sessions` together in the time in which one session alone does 1. Beyond the last point it follows Amdahl's law, with the
/// serial share of the work that the last point implies (<https://doi.org/10.1145/1465482.1465560>).
#[must_use]
pub fn speedup(points: &[Speedup], sessions: u32) -> f64 {
    let mut before = Speedup { sessions: 1, speedup: 1.0 };
    for point in points {
        if sessions <= point.sessions {
            let part = f64::from(sessions.max(1) - before.sessions) / f64::from(point.sessions - before.sessions);
            return before.speedup + part * (point.speedup - before.speedup);
        }
        before = *point;
    }
    if before.sessions <= 1 {
        return 1.0;
    }
    let measured = f64::from(before.sessions);
    let serial = (measured / before.speedup - 1.0) / (measured - 1.0);
    f64::from(sessions) / (1.0 + serial * (f64::from(sessions) - 1.0))
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::new("rates_unreadable", Kind::State, format!("the rates cannot be read: {what}"))
        .remedy(format!("measure them again with {}, or restore the file as it was written", Action::Calibrate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(speedups: &[(u32, f64)]) -> Vec<Speedup> {
        speedups.iter().map(|&(sessions, speedup)| Speedup { sessions, speedup }).collect()
    }

    fn assert_near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-9, "{found} is not {wanted}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut rates = Rates::typical();
        rates.tables.push(TableRates { table: "s.t".into(), copy: Some(7.5), ..TableRates::default() });
        assert_eq!(Rates::read(&serde_json::to_string(&rates).unwrap()).unwrap(), rates);
    }

    #[test]
    fn figures_that_cannot_be_are_refused_by_name() {
        let refused = |change: fn(&mut Rates)| {
            let mut rates = Rates::typical();
            change(&mut rates);
            Rates::read(&serde_json::to_string(&rates).unwrap()).unwrap_err().to_string()
        };
        assert!(refused(|rates| rates.copy_text = 0.0).contains("copy_text must be above 0"));
        assert!(refused(|rates| rates.statement = -1.0).contains("statement must not be below 0"));
        assert!(refused(|rates| rates.uncertainty = 0.5).contains("uncertainty is below 1"));
        assert!(refused(|rates| rates.copy_speedup = points(&[(2, 2.5)])).contains("copy_speedup"));
        assert!(refused(|rates| rates.version = 9).contains("version is 9"));
    }

    #[test]
    fn speedups_between_points_lie_on_a_line_and_beyond_them_on_amdahls_curve() {
        let measured = points(&[(2, 1.5), (4, 2.0)]);
        assert_near(speedup(&measured, 1), 1.0);
        assert_near(speedup(&measured, 3), 1.75);
        assert_near(speedup(&measured, 4), 2.0);
        // 4 / (1 + serial * 3) = 2, so a third of the work cannot be divided.
        assert_near(speedup(&measured, 16), 16.0 / 6.0);
        assert_near(speedup(&points(&[(2, 2.0)]), 16), 16.0);
        assert_near(speedup(&[], 8), 1.0);
    }
}
