//! The format of a table's rows: binary where it is safe, unless text is less work for both servers.
//!
//! Binary saves the servers the conversion of most types, and costs four bytes and a call for every value, which is more than the
//! conversion of a boolean, a small number or a short text (<https://www.postgresql.org/docs/current/sql-copy.html>, File Formats). Called
//! by `build/data`. A run may change it to text: `target/existing`, `run/begin`, `run/worker/rows`; an existing table of
//! the target with other types is copied as text in any case.

use crate::catalog::{Column, Relation};
use crate::config::{Format, TableOptions};
use crate::row_format::RowFormat;
use crate::server_version::ServerVersion;

/// Below this size there is no gain, and the width of texts is not known well enough.
const LARGE: u64 = 8 << 20;
/// The overhead of a row on a page: its header and its pointer.
const ROW_HEADER: u64 = 28;
/// Nanoseconds that a row costs as text and as binary, in addition to its values.
const ROW: (u64, u64) = (120, 130);
/// Text must be cheaper by 15 %: values have other lengths than those measured, and on tables of mixed types the gain was 3 to 8 %.
const CHEAPER: (u64, u64) = (23, 20);
/// The same for a target of 19 and newer, whose COPY FROM needs an eighth less time for text: a tenth of the cost of text on both servers.
const CHEAPER_WITH_FASTER_TEXT: (u64, u64) = (21, 20);

/// A format, and why it is not binary.
#[derive(Debug, PartialEq, Eq)]
pub struct FormatChoice {
    /// The format.
    pub format: RowFormat,
    /// The reason, for people; empty where there is nothing to explain.
    pub note: String,
}

/// Chooses the format of a table's rows.
#[must_use]
pub fn choose(relation: &Relation, options: &TableOptions) -> FormatChoice {
    let plain = |format| FormatChoice { format, note: String::new() };
    match options.format {
        Format::Text => plain(RowFormat::Text),
        Format::Binary => plain(RowFormat::Binary),
        Format::Auto => {
            if relation.copied_columns().next().is_none() {
                plain(RowFormat::Text)
            } else if let Some(column) = relation.copied_columns().find(|column| !column.binary_safe) {
                let note = format!(
                    "text: {:?} is {}, whose binary form another server may refuse, or read as something else",
                    column.name, column.type_name
                );
                FormatChoice { format: RowFormat::Text, note }
            } else if is_cheaper_as_text(relation, CHEAPER) {
                FormatChoice {
                    format: RowFormat::Text,
                    note: "text: most of its values are so short that binary is more work".into(),
                }
            } else {
                plain(RowFormat::Binary)
            }
        }
    }
}

/// Whether rows that the plan sends in binary cost less as text on this target. The run decides, because the plan does not know the target.
#[must_use]
pub fn is_text_for(target: ServerVersion, relation: &Relation, options: &TableOptions) -> bool {
    options.format == Format::Auto
        && target.has_faster_text_copy()
        && choose(relation, options).format == RowFormat::Binary
        && is_cheaper_as_text(relation, CHEAPER_WITH_FASTER_TEXT)
}

fn is_cheaper_as_text(relation: &Relation, margin: (u64, u64)) -> bool {
    let rows = relation.estimated_rows();
    if relation.total_bytes < LARGE || rows == 0 {
        return false;
    }
    let kinds: Vec<Kind> = relation.copied_columns().map(kind).collect();
    let fixed: u64 = kinds.iter().map(|kind| kind.stored()).sum();
    let texts = kinds.iter().filter(|kind| **kind == Kind::Text).count() as u64;
    let width = (relation.total_bytes / rows).saturating_sub(ROW_HEADER + fixed) / texts.max(1);
    let costs = kinds.iter().map(|kind| kind.cost(width));
    let (text, binary) = costs.fold(ROW, |sum, cost| (sum.0 + cost.0, sum.1 + cost.1));
    text * margin.0 < binary * margin.1
}

/// Types by what their values cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Smallint,
    Integer,
    Bigint,
    Real,
    Double,
    Numeric,
    Date,
    Timestamp,
    Time,
    Uuid,
    Text,
    Other,
}

fn kind(column: &Column) -> Kind {
    let name = column.type_name.as_str();
    // Without length or precision, `numeric(12,4)`; arrays keep their brackets and are not a kind of their own.
    let plain = name.split_once('(').map_or(name, |(plain, _)| plain);
    match plain {
        _ if name.ends_with("[]") => Kind::Other,
        "boolean" => Kind::Boolean,
        "smallint" => Kind::Smallint,
        "integer" => Kind::Integer,
        "bigint" => Kind::Bigint,
        "real" => Kind::Real,
        "double precision" => Kind::Double,
        "numeric" => Kind::Numeric,
        "date" => Kind::Date,
        "interval" => Kind::Time,
        "uuid" => Kind::Uuid,
        "text" | "character varying" | "character" => Kind::Text,
        _ if plain.starts_with("timestamp") => Kind::Timestamp,
        _ if plain.starts_with("time") => Kind::Time,
        _ => Kind::Other,
    }
}

impl Kind {
    /// Nanoseconds that a value costs as text and as binary: CPU of COPY TO on a `PostgreSQL` 16 and COPY FROM on an 18, and one for each
    /// byte sent. Measured with tables of one type and 4 to 20 columns; numbers with values of one to nine digits.
    fn cost(self, width: u64) -> (u64, u64) {
        match self {
            Kind::Boolean => (41, 50),
            Kind::Smallint => (47, 56),
            Kind::Integer => (59, 59),
            Kind::Bigint => (91, 80),
            Kind::Real => (138, 60),
            Kind::Double => (182, 76),
            Kind::Numeric => (117, 118),
            Kind::Date => (147, 60),
            Kind::Timestamp => (300, 102),
            Kind::Time => (207, 108),
            Kind::Uuid => (331, 100),
            Kind::Text => (46 + width * 43 / 10, 74 + width * 28 / 10),
            Kind::Other => (150, 120),
        }
    }

    /// Bytes of a value on a page; for a text those of its length word alone.
    fn stored(self) -> u64 {
        match self {
            Kind::Boolean | Kind::Text => 1,
            Kind::Smallint => 2,
            Kind::Integer | Kind::Real | Kind::Date => 4,
            Kind::Bigint | Kind::Double | Kind::Timestamp | Kind::Numeric => 8,
            Kind::Time | Kind::Uuid | Kind::Other => 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::RelationKind;
    use crate::config::{OnConflict, OnExisting};
    use crate::name::QualifiedName;

    fn table(types: &[&str], rows: u32, row_bytes: u64) -> Relation {
        let column = |(at, name): (usize, &&str)| Column {
            name: format!("c{at}").as_str().into(),
            type_name: (*name).into(),
            is_integer: false,
            not_null: false,
            is_generated: false,
            identity_always: false,
            binary_safe: *name != "regclass",
            lsn: None,
            is_excluded: false,
        };
        Relation {
            oid: 16384,
            name: QualifiedName::new("public", "t"),
            kind: RelationKind::Table,
            is_populated: true,
            partition_of: None,
            access_method: "heap".into(),
            heap_bytes: u64::from(rows) * row_bytes,
            total_bytes: u64::from(rows) * row_bytes,
            tuples: rows.into(),
            hides_rows: false,
            is_readable: true,
            member: None,
            hashes_an_enum: false,
            columns: types.iter().enumerate().map(column).collect(),
        }
    }

    fn options(format: Format) -> TableOptions {
        TableOptions {
            chunk_column: None,
            chunk_size: 1,
            filter: None,
            order_by: None,
            limit: None,
            on_existing: OnExisting::Append,
            on_conflict: OnConflict::Auto,
            format,
            exclude_columns: vec![],
        }
    }

    fn chosen(relation: &Relation, format: Format) -> FormatChoice {
        choose(relation, &options(format))
    }

    fn auto(types: &[&str], row_bytes: u64) -> RowFormat {
        chosen(&table(types, 1_000_000, row_bytes), Format::Auto).format
    }

    #[test]
    fn text_is_chosen_where_values_are_short() {
        assert_eq!(auto(&["boolean"; 20], 48), RowFormat::Text);
        assert_eq!(auto(&["smallint"; 20], 68), RowFormat::Text);
        assert_eq!(auto(&["text"; 10], 28 + 80), RowFormat::Text);
        assert_eq!(auto(&["text"; 10], 28 + 500), RowFormat::Binary);
        assert_eq!(auto(&["character varying(400)"; 2], 28 + 800), RowFormat::Binary);
    }

    #[test]
    fn binary_is_chosen_where_the_servers_would_convert() {
        for name in
            ["integer", "bigint", "real", "numeric(12,4)", "date", "timestamp(3) with time zone", "uuid", "integer[]"]
        {
            assert_eq!(auto(&[name; 4], 100), RowFormat::Binary, "{name}");
        }
        assert_eq!(auto(&["bigint", "uuid", "timestamp with time zone", "boolean", "text"], 90), RowFormat::Binary);
    }

    #[test]
    fn a_target_of_19_reads_text_faster() {
        let version = |major: u32| ServerVersion(major * 10_000);
        let smallints = table(&["smallint"; 4], 1_000_000, 28 + 8);
        let is_text = |major, format| is_text_for(version(major), &smallints, &options(format));
        assert_eq!(chosen(&smallints, Format::Auto).format, RowFormat::Binary);
        assert_eq!([18, 19].map(|major| is_text(major, Format::Auto)), [false, true]);
        assert!(!is_text(19, Format::Binary), "what the configuration says is obeyed");
        assert!(!is_text_for(version(19), &table(&["uuid"; 4], 1_000_000, 100), &options(Format::Auto)));
        assert!(
            !is_text_for(version(19), &table(&["smallint"; 20], 1_000_000, 68), &options(Format::Auto)),
            "already text"
        );
    }

    #[test]
    fn a_short_column_among_others_is_no_reason() {
        assert_eq!(auto(&["integer", "integer", "boolean", "character varying(10)"], 44), RowFormat::Binary);
    }

    #[test]
    fn a_small_table_is_binary_whatever_it_holds() {
        let small = table(&["boolean"; 20], 1_000, 48);
        assert_eq!(chosen(&small, Format::Auto), FormatChoice { format: RowFormat::Binary, note: String::new() });
    }

    #[test]
    fn the_note_says_why_it_is_text() {
        let unsafe_one = chosen(&table(&["integer", "regclass"], 10, 40), Format::Auto);
        let wanted = "text: \"c1\" is regclass, whose binary form another server may refuse, or read as something else";
        assert_eq!((unsafe_one.format, unsafe_one.note.as_str()), (RowFormat::Text, wanted));
        let short = chosen(&table(&["boolean"; 20], 1_000_000, 48), Format::Auto);
        assert_eq!(short.note, "text: most of its values are so short that binary is more work");
    }

    #[test]
    fn what_the_configuration_says_is_obeyed_without_a_note() {
        let booleans = table(&["boolean"; 20], 1_000_000, 48);
        assert_eq!(chosen(&booleans, Format::Binary), FormatChoice { format: RowFormat::Binary, note: String::new() });
        assert_eq!(chosen(&table(&["uuid"], 1_000_000, 60), Format::Text).format, RowFormat::Text);
    }
}
