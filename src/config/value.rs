//! Single values of a configuration: what each kind accepts, and how a wrong one is shown.
//!
//! A parser fails with a description of what it expects; the reader adds path and value. A value is shown only if it cannot be part of a
//! conninfo, because people paste those into wrong places. Called by the reader alone.

use super::LargeObjects;
use crate::closed_set::Unknown;
use crate::name::QualifiedName;
use serde_json::Value;
use std::str::FromStr;

/// A parsed value, or what was expected in its place.
pub(super) type Parsed<T> = Result<T, String>;

/// One of the texts of a closed set.
pub(super) fn choice<T: FromStr<Err = Unknown>>(value: &Value) -> Parsed<T> {
    value
        .as_str()
        .unwrap_or_default()
        .parse()
        .map_err(|unknown: Unknown| format!("one of {}", unknown.known.join(", ")))
}

/// `true` or `false`.
pub(super) fn boolean(value: &Value) -> Parsed<bool> {
    value.as_bool().ok_or_else(|| "true or false".to_owned())
}

/// A string, empty or not.
pub(super) fn string(value: &Value) -> Parsed<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| "a string".to_owned())
}

/// A string that is not empty.
pub(super) fn filled(value: &Value) -> Parsed<String> {
    string(value).ok().filter(|text| !text.trim().is_empty()).ok_or_else(|| "a string that is not empty".to_owned())
}

/// A string whose empty form means "none".
pub(super) fn optional(value: &Value) -> Parsed<Option<String>> {
    string(value).map(|text| Some(text).filter(|text| !text.trim().is_empty()))
}

/// An integer above 0 that `PostgreSQL`'s bigint holds.
pub(super) fn positive(value: &Value) -> Parsed<u64> {
    natural(value).ok().filter(|number| *number > 0).ok_or_else(|| "a positive integer".to_owned())
}

/// A positive integer as a count of things in this process.
pub(super) fn count(value: &Value) -> Parsed<usize> {
    positive(value).and_then(|number| usize::try_from(number).map_err(|_| "a positive integer".to_owned()))
}

/// A small number of attempts.
pub(super) fn attempts(value: &Value) -> Parsed<u32> {
    let number = natural(value).ok().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| "an integer of 0 or more".to_owned())
}

/// Seconds within the limits of a server's timeout.
pub(super) fn seconds(value: &Value) -> Parsed<u64> {
    let number = natural(value).ok().filter(|seconds| *seconds <= 2_147_483);
    number.ok_or_else(|| "whole seconds from 0 to 2147483".to_owned())
}

/// A number of rows whose 0 means "all".
pub(super) fn limit(value: &Value) -> Parsed<Option<u64>> {
    natural(value).map(|rows| Some(rows).filter(|rows| *rows > 0))
}

fn natural(value: &Value) -> Parsed<u64> {
    let number = value.as_i64().and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| "an integer of 0 or more".to_owned())
}

/// Bytes, as a number or with one of `PostgreSQL`'s units.
pub(super) fn size(value: &Value) -> Parsed<u64> {
    let bytes = match value {
        Value::String(text) => text_size(text),
        _ => positive(value).ok(),
    };
    bytes
        .filter(|bytes| *bytes > 0 && i64::try_from(*bytes).is_ok())
        .ok_or_else(|| "a positive number of bytes or a size such as \"512MB\" or \"1GB\"".to_owned())
}

/// `auto`, or an amount of memory within the bounds of `maintenance_work_mem`
/// (<https://www.postgresql.org/docs/current/runtime-config-resource.html#GUC-MAINTENANCE-WORK-MEM>).
pub(super) fn memory(value: &Value) -> Parsed<Option<u64>> {
    const LEAST: u64 = 1 << 20;
    const MOST: u64 = 2_147_483_647 << 10;
    if value.as_str() == Some("auto") {
        return Ok(None);
    }
    let bytes = size(value).ok().filter(|bytes| (LEAST..=MOST).contains(bytes));
    bytes.map(Some).ok_or_else(|| "auto or a size from 1MB on, such as \"512MB\" or \"1GB\"".to_owned())
}

/// `auto`, or a number of workers that `max_parallel_maintenance_workers` can hold
/// (<https://www.postgresql.org/docs/current/runtime-config-resource.html#GUC-MAX-PARALLEL-MAINTENANCE-WORKERS>).
pub(super) fn workers(value: &Value) -> Parsed<Option<u64>> {
    if value.as_str() == Some("auto") {
        return Ok(None);
    }
    let number = natural(value).ok().filter(|number| *number <= 1024);
    number.map(Some).ok_or_else(|| "auto or an integer from 0 to 1024".to_owned())
}

/// `auto`, or bytes.
pub(super) fn auto_or_size(value: &Value) -> Parsed<Option<u64>> {
    match value {
        Value::String(word) if word == "auto" => Ok(None),
        _ => size(value).map(Some).map_err(|expected| format!("auto, {expected}")),
    }
}

fn text_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let power = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "kb" => 1,
        "mb" => 2,
        "gb" => 3,
        "tb" => 4,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1024_u64.pow(power))
}

/// `auto`, `true` or `false`.
pub(super) fn large_objects(value: &Value) -> Parsed<LargeObjects> {
    match value {
        Value::Bool(true) => Ok(LargeObjects::Always),
        Value::Bool(false) => Ok(LargeObjects::Never),
        Value::String(word) if word == "auto" => Ok(LargeObjects::Auto),
        _ => Err("auto, true or false".to_owned()),
    }
}

/// A valid schema name for the ledger.
pub(super) fn ledger_schema(value: &Value) -> Parsed<String> {
    let usable = |name: &String| name.len() <= 63 && !name.starts_with("pg_") && name != "information_schema";
    filled(value).ok().filter(usable).ok_or_else(|| {
        "the name of a schema that the server does not keep for itself (pg_...), at most 63 bytes long".to_owned()
    })
}

/// `schema.table`, or a table of schema `public`; a part in double quotes may contain any character.
pub(super) fn table_name(text: &str) -> Parsed<QualifiedName> {
    let expected = || "a table as schema.table, parts with dots or quotes in double quotes".to_owned();
    let (first, rest) = name_part(text).ok_or_else(expected)?;
    if rest.is_empty() {
        return Ok(QualifiedName::new("public", first));
    }
    let (second, rest) = rest.strip_prefix('.').and_then(name_part).ok_or_else(expected)?;
    if rest.is_empty() { Ok(QualifiedName::new(first, second)) } else { Err(expected()) }
}

/// The first part of a dotted name, and the text after it.
fn name_part(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['.', '"']).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut part = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        let Some(more) = after.strip_prefix('"') else {
            return (!part.is_empty()).then_some((part, after));
        };
        part.push('"');
        rest = more;
    }
}

/// A wrong value as a message may show it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text_shown(text).unwrap_or_else(|| "a string".to_owned()),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => kind(value).to_owned(),
    }
}

/// A text as a message may show it, in quotes; none if it is long or could be part of a conninfo.
pub(super) fn text_shown(text: &str) -> Option<String> {
    let harmless = |c: char| c.is_alphanumeric() || " _-.,+<>".contains(c);
    (text.len() <= 40 && text.chars().all(harmless)).then(|| format!("\"{text}\""))
}

/// The kind of a value, without the value.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sizes_use_powers_of_1024() {
        for (written, bytes) in [(json!(4096), 4096), (json!("512MB"), 512 << 20), (json!("1 GB"), 1 << 30)] {
            assert_eq!(size(&written), Ok(bytes));
        }
        for wrong in
            [json!(0), json!("0kB"), json!("1.5GB"), json!("9999999999TB"), json!("GB"), json!(-1), json!(true)]
        {
            assert!(size(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn memory_and_workers_stay_within_the_servers_bounds() {
        assert_eq!((memory(&json!("auto")), workers(&json!("auto"))), (Ok(None), Ok(None)));
        assert_eq!((memory(&json!("1MB")), workers(&json!(0))), (Ok(Some(1 << 20)), Ok(Some(0))));
        for wrong in [json!(1023), json!("3TB"), json!("own")] {
            assert!(memory(&wrong).is_err(), "{wrong}");
        }
        for wrong in [json!(1025), json!(-1), json!("two")] {
            assert!(workers(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn table_names_keep_their_case_and_quotes() {
        let parsed = |text| table_name(text).map(|name| (name.schema, name.name));
        let pair = |schema: &str, name: &str| Ok((schema.to_owned(), name.to_owned()));
        assert_eq!(parsed("Sales.Orders"), pair("Sales", "Orders"));
        assert_eq!(parsed("orders"), pair("public", "orders"));
        assert_eq!(parsed(r#""My.Schema"."T""x""#), pair("My.Schema", "T\"x"));
        for wrong in ["", ".", "a.", ".b", "a.b.c", "\"a", "\"\".b", "a\"b\"", "\"a\"b"] {
            assert!(table_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_looks_like_a_conninfo_is_not_shown() {
        assert_eq!(shown(&json!("many")), "\"many\"");
        assert_eq!(shown(&json!("host=a password=b")), "a string");
        assert_eq!(shown(&json!("postgresql://u:p@h/d")), "a string");
        assert_eq!(shown(&json!(["a"])), "a list");
    }
}
