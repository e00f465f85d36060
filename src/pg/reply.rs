//! Turns what tokio-postgres reports into the crate's error, without what could show a row.
//!
//! A server's DETAIL, HINT and inner query are always dropped, and so is its CONTEXT except for the name of the function in which the error
//! happened. Its primary message is kept if the server itself wrote it and it names objects only; if it may quote a value (wrong data, a
//! function's own text), the name of the condition replaces it. All code that receives messages of a server calls this.

use crate::error::{Error, Kind, ServerError};
use crate::name::{QualifiedName, readable};
use std::error::Error as _;
use std::io;
use tokio_postgres::error::DbError;

/// The crate's error for `error`; `doing` says what failed. A lost connection is [`Kind::Connect`] whatever `kind` is, so that the work is
/// tried again.
#[must_use]
pub fn from_postgres(error: &tokio_postgres::Error, kind: Kind, doing: &str) -> Error {
    if let Some(reply) = error.as_db_error() {
        return Error::new("statement_failed", kind, doing).caused_by_server(server_error(reply));
    }
    if is_lost(error) {
        return Error::new("connection_lost", Kind::Connect, doing).caused_by(words(error));
    }
    Error::new("driver_error", kind, doing).caused_by(words(error))
}

/// Whether the connection is gone. A violation of the protocol also arrives as an I/O error, but another attempt would not help.
fn is_lost(error: &tokio_postgres::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput};
    let io_error = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    error.is_closed() || io_error.is_some_and(|error| !matches!(error.kind(), InvalidData | InvalidInput))
}

/// The error and its causes on one line; none of them comes from a server.
fn words(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// A reply without the parts that may quote a row.
pub(super) fn server_error(reply: &DbError) -> ServerError {
    let fields = Fields {
        sqlstate: reply.code().code(),
        message: reply.message(),
        schema: reply.schema(),
        table: reply.table().or(reply.datatype()),
        column: reply.column(),
        constraint: reply.constraint(),
        routine: reply.routine(),
        context: reply.where_(),
    };
    fields.into()
}

/// The fields of a server's reply that are used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fields<'a> {
    pub(super) sqlstate: &'a str,
    pub(super) message: &'a str,
    pub(super) schema: Option<&'a str>,
    pub(super) table: Option<&'a str>,
    pub(super) column: Option<&'a str>,
    pub(super) constraint: Option<&'a str>,
    pub(super) routine: Option<&'a str>,
    pub(super) context: Option<&'a str>,
}

impl From<Fields<'_>> for ServerError {
    fn from(reply: Fields<'_>) -> Self {
        let object = match (reply.schema, reply.table) {
            (Some(schema), Some(table)) => Some(QualifiedName::new(schema, table).to_string()),
            (Some(name), None) | (None, Some(name)) => Some(readable(name)),
            (None, None) => None,
        };
        let is_own_words = reply.routine.is_some_and(is_raised_by_function);
        let sqlstate = reply.sqlstate;
        ServerError {
            sqlstate: sqlstate.to_owned(),
            message: if is_own_words { condition(sqlstate) } else { message(sqlstate, reply.message) },
            object,
            column: reply.column.map(str::to_owned),
            constraint: reply.constraint.map(str::to_owned),
            function: reply.context.and_then(function).map(str::to_owned),
        }
    }
}

/// The function that the first line of a CONTEXT names, which is the innermost. Later lines may quote rows, and any line of a statement's
/// text may look like one about a function.
fn function(context: &str) -> Option<&str> {
    let (language, rest) = context.lines().next()?.split_once(" function ")?;
    if !["SQL", "PL/pgSQL", "PL/Python", "PL/Perl", "PL/Tcl"].contains(&language) {
        return None;
    }
    match rest.strip_prefix('"') {
        Some(name) => name.split_once("\" ").map(|(name, _)| name).or_else(|| name.strip_suffix('"')),
        None => rest.find(") ").map(|end| &rest[..=end]),
    }
}

/// The server's C functions through which procedural languages raise errors with texts of their own, under any SQLSTATE.
const RAISED_BY_FUNCTIONS: [&str; 4] = ["exec_stmt_raise", "PLy_elog_impl", "do_util_elog", "pltcl_elog"];

/// Whether that C function of the server raises errors with the text of a function in a procedural language.
pub(super) fn is_raised_by_function(routine: &str) -> bool {
    RAISED_BY_FUNCTIONS.contains(&routine)
}

/// The classes whose messages name objects and settings, not values (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
/// Other classes are defined by a function or an extension, and their texts are not known to be harmless.
const HARMLESS_CLASSES: &str = "00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 20 21 23 24 25 26 27 28 2B 2D 2F 34 3B 3D 3F 40 42 \
                                44 53 54 55 57 58 F0 HV XX";

fn message(sqlstate: &str, message: &str) -> String {
    let class = sqlstate.get(..2).unwrap_or_default();
    if HARMLESS_CLASSES.split(' ').any(|harmless| harmless == class) { message.to_owned() } else { condition(sqlstate) }
}

fn condition(sqlstate: &str) -> String {
    let class = match sqlstate.get(..2).unwrap_or_default() {
        "22" => "data exception",
        "38" => "external routine exception",
        "39" => "external routine invocation exception",
        _ => "raised by a function",
    };
    let found = CONDITIONS.iter().find(|(code, _)| *code == sqlstate);
    found.map_or_else(|| class.to_owned(), |(_, name)| format!("{name} ({class})"))
}

/// The conditions of the classes whose messages are not shown.
const CONDITIONS: &[(&str, &str)] = &[
    ("22000", "data_exception"),
    ("22001", "string_data_right_truncation"),
    ("22002", "null_value_no_indicator_parameter"),
    ("22003", "numeric_value_out_of_range"),
    ("22004", "null_value_not_allowed"),
    ("22005", "error_in_assignment"),
    ("22007", "invalid_datetime_format"),
    ("22008", "datetime_field_overflow"),
    ("22009", "invalid_time_zone_displacement_value"),
    ("2200B", "escape_character_conflict"),
    ("2200C", "invalid_use_of_escape_character"),
    ("2200D", "invalid_escape_octet"),
    ("2200F", "zero_length_character_string"),
    ("2200G", "most_specific_type_mismatch"),
    ("2200H", "sequence_generator_limit_exceeded"),
    ("2200L", "not_an_xml_document"),
    ("2200M", "invalid_xml_document"),
    ("2200N", "invalid_xml_content"),
    ("2200S", "invalid_xml_comment"),
    ("2200T", "invalid_xml_processing_instruction"),
    ("22010", "invalid_indicator_parameter_value"),
    ("22011", "substring_error"),
    ("22012", "division_by_zero"),
    ("22013", "invalid_preceding_or_following_size"),
    ("22014", "invalid_argument_for_ntile_function"),
    ("22015", "interval_field_overflow"),
    ("22016", "invalid_argument_for_nth_value_function"),
    ("22018", "invalid_character_value_for_cast"),
    ("22019", "invalid_escape_character"),
    ("2201B", "invalid_regular_expression"),
    ("2201E", "invalid_argument_for_logarithm"),
    ("2201F", "invalid_argument_for_power_function"),
    ("2201G", "invalid_argument_for_width_bucket_function"),
    ("2201W", "invalid_row_count_in_limit_clause"),
    ("2201X", "invalid_row_count_in_result_offset_clause"),
    ("22021", "character_not_in_repertoire"),
    ("22022", "indicator_overflow"),
    ("22023", "invalid_parameter_value"),
    ("22024", "unterminated_c_string"),
    ("22025", "invalid_escape_sequence"),
    ("22026", "string_data_length_mismatch"),
    ("22027", "trim_error"),
    ("2202E", "array_subscript_error"),
    ("2202G", "invalid_tablesample_repeat"),
    ("2202H", "invalid_tablesample_argument"),
    ("22030", "duplicate_json_object_key_value"),
    ("22031", "invalid_argument_for_sql_json_datetime_function"),
    ("22032", "invalid_json_text"),
    ("22033", "invalid_sql_json_subscript"),
    ("22034", "more_than_one_sql_json_item"),
    ("22035", "no_sql_json_item"),
    ("22036", "non_numeric_sql_json_item"),
    ("22037", "non_unique_keys_in_a_json_object"),
    ("22038", "singleton_sql_json_item_required"),
    ("22039", "sql_json_array_not_found"),
    ("2203A", "sql_json_member_not_found"),
    ("2203B", "sql_json_number_not_found"),
    ("2203C", "sql_json_object_not_found"),
    ("2203D", "too_many_json_array_elements"),
    ("2203E", "too_many_json_object_members"),
    ("2203F", "sql_json_scalar_required"),
    ("2203G", "sql_json_item_cannot_be_cast_to_target_type"),
    ("22P01", "floating_point_exception"),
    ("22P02", "invalid_text_representation"),
    ("22P03", "invalid_binary_representation"),
    ("22P04", "bad_copy_file_format"),
    ("22P05", "untranslatable_character"),
    ("22P06", "nonstandard_use_of_escape_character"),
    ("38000", "external_routine_exception"),
    ("38001", "containing_sql_not_permitted"),
    ("38002", "modifying_sql_data_not_permitted"),
    ("38003", "prohibited_sql_statement_attempted"),
    ("38004", "reading_sql_data_not_permitted"),
    ("39000", "external_routine_invocation_exception"),
    ("39001", "invalid_sqlstate_returned"),
    ("39004", "null_value_not_allowed"),
    ("39P01", "trigger_protocol_violated"),
    ("39P02", "srf_protocol_violated"),
    ("39P03", "event_trigger_protocol_violated"),
    ("P0000", "plpgsql_error"),
    ("P0001", "raise_exception"),
    ("P0002", "no_data_found"),
    ("P0003", "too_many_rows"),
    ("P0004", "assert_failure"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_may_quote_a_value_are_replaced() {
        let quoting = "invalid input syntax for type integer: \"secret\"";
        assert_eq!(message("22P02", quoting), "invalid_text_representation (data exception)");
        assert_eq!(message("22ZZZ", quoting), "data exception");
        assert_eq!(message("P0001", quoting), "raise_exception (raised by a function)");
        assert_eq!(message("U0001", quoting), "raised by a function");
        assert_eq!(message("", quoting), "raised by a function");
    }

    #[test]
    fn the_innermost_function_is_named_and_no_row() {
        assert_eq!(function("SQL function \"norm\" during inlining"), Some("norm"));
        assert_eq!(function("SQL function \"norm\" statement 1\nCOPY t, line 1: \"x\""), Some("norm"));
        assert_eq!(function("PL/pgSQL function app.norm(text,int) line 3 at RETURN"), Some("app.norm(text,int)"));
        assert_eq!(function("PL/Python function \"norm\""), Some("norm"));
        assert_eq!(function("PL/pgSQL function inline_code_block line 1 at RAISE"), None);
        assert_eq!(function("COPY t, line 1: \"a SQL function \"b\" statement 1\""), None);
        assert_eq!(function("SQL statement \"SELECT 1\"\nSQL function \"norm\" statement 1"), None);
    }

    #[test]
    fn messages_that_name_objects_are_kept() {
        let text = "duplicate key value violates unique constraint \"t_pkey\"";
        assert_eq!(message("23505", text), text);
        assert_eq!(message("42P01", "relation \"x\" does not exist"), "relation \"x\" does not exist");
    }
}
