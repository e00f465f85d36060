//! Whether a value of one column can be assigned to another without loss, and which casts it needs before it is sent.
//!
//! `PostgreSQL` casts implicitly on assignment wherever `pg_cast` says so, even to a narrower type
//! (<https://www.postgresql.org/docs/current/typeconv-query.html>); here only casts that keep every value are accepted. Rows are sent as
//! text, which the target's type reads with its own input function and not with a cast: if the two would make different values of one text,
//! the source casts first. Pure; called by the engine with the data of both catalogs.

use std::collections::{HashMap, HashSet};

/// A column's type, resolved down to the type of its values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Type {
    /// `[]` for each array around the values.
    pub brackets: String,
    /// The values' type without a modifier, domains resolved.
    pub base: String,
    /// The same with its modifier, such as `numeric(10,2)`.
    pub full: String,
    /// The modifier, -1 for none.
    pub modifier: i32,
    /// Whether every server has it.
    pub is_built_in: bool,
    /// `pg_type.typtype`: `b`, `c`, `e`, `m`, `r`.
    pub kind: char,
    /// Whether the server treats its values as strings.
    pub is_string: bool,
    /// `extension.type` for a member of an extension.
    pub of_extension: String,
    /// An enum's labels.
    pub labels: Vec<String>,
    /// A composite's fields, with their types.
    pub fields: Vec<String>,
}

/// The types of a database's columns, by their names.
pub type Types = HashMap<String, Type>;

/// The casts that a server makes on assignment: source and target, without modifiers.
pub type Casts = HashSet<(String, String)>;

/// How values of one type are converted to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The types to which the source casts the values, one after another, before they are sent.
    pub casts: Vec<String>,
    /// A remark for a person although nothing is lost; empty if there is none.
    pub note: &'static str,
}

const ZONE: &str = "values without a time zone are taken to be in UTC";
const KEYS: &str = "jsonb keeps neither the order nor the duplicates of keys";
const NARROWER: &str = "it takes fewer values";

/// How values of `source` become values of `target`; an error if that is not possible without loss.
pub fn assign(source: &Type, target: &Type, casts: &Casts) -> Result<Assignment, String> {
    let becomes_text = is_text(&target.base) && target.brackets.is_empty();
    if source.brackets != target.brackets && !(becomes_text && target.modifier == -1) {
        return Err("one of both is an array".into());
    }
    let is_same =
        source.base == target.base || !source.of_extension.is_empty() && source.of_extension == target.of_extension;
    if source.brackets == target.brackets && is_same {
        has_same_parts(source, target)?;
        return within(source, target);
    }
    let is_cast = casts.contains(&(source.base.clone(), target.base.clone()));
    let is_written = is_text(&target.base);
    if !is_cast && !is_written {
        return Err("PostgreSQL has no cast between them that it would make on assignment".into());
    }
    if !target.is_built_in {
        // The source may lack the target's type, and only strings are read exactly as they were written.
        let is_plain = source.is_string && target.is_string && source.base != "character" && target.modifier == -1;
        return if is_plain { Ok(Assignment::default()) } else { Err("only the target could cast them".into()) };
    }
    let (note, is_same_text) = widening(source, target)?;
    if is_same_text {
        return Ok(Assignment { casts: Vec::new(), note });
    }
    let is_float = matches!(source.base.as_str(), "real" | "double precision");
    // The cast from a float rounds to fewer digits than its text has.
    let first = (is_float && target.base == "numeric").then(|| "text".to_owned());
    Ok(Assignment { casts: first.into_iter().chain([cast_type(target)?]).collect(), note })
}

/// Enums need all labels, composites the same fields.
fn has_same_parts(source: &Type, target: &Type) -> Result<(), String> {
    let missing: Vec<&str> =
        source.labels.iter().filter(|label| !target.labels.contains(label)).map(String::as_str).collect();
    if !missing.is_empty() {
        return Err(format!("the target's enum lacks the labels {}", missing.join(", ")));
    }
    if source.fields != target.fields {
        return Err("both have other fields".into());
    }
    Ok(())
}

/// From a type to the same type with another modifier.
fn within(source: &Type, target: &Type) -> Result<Assignment, String> {
    let (from, to) = (source.modifier, target.modifier);
    let is_wider = match target.base.as_str() {
        _ if from == to || to == -1 => true,
        "numeric" if from != -1 => {
            let (from, to) = (numeric(from), numeric(to));
            to.1 >= from.1 && to.0 - to.1 >= from.0 - from.1
        }
        "character" | "character varying" | "bit varying" => from != -1 && to >= from,
        base if base.starts_with("time") => to >= if from == -1 { 6 } else { from },
        _ => false,
    };
    if !is_wider {
        return Err(NARROWER.into());
    }
    // The source casts, because the target's type writes more digits or blanks than it reads.
    let is_rewritten = from != to && to != -1 && matches!(target.base.as_str(), "numeric" | "character");
    let casts = if is_rewritten { vec![cast_type(target)?] } else { Vec::new() };
    Ok(Assignment { casts, note: "" })
}

/// From a built-in type to another: a remark, and whether both write the values in the same way.
fn widening(source: &Type, target: &Type) -> Result<(&'static str, bool), String> {
    let plain = (target.modifier == -1).then_some(()).ok_or_else(|| NARROWER.to_owned());
    let enough = |has: i32, needs: i32| if has >= needs { Ok(()) } else { Err(NARROWER.to_owned()) };
    match (source.base.as_str(), target.base.as_str()) {
        ("smallint" | "integer" | "bigint", "numeric") if target.modifier != -1 => {
            let (precision, scale) = numeric(target.modifier);
            enough(precision - scale, digits(&source.base)).map(|()| ("", scale == 0))
        }
        ("smallint", "integer" | "bigint" | "real" | "double precision" | "numeric")
        | ("integer", "bigint" | "double precision" | "numeric")
        | ("bigint", "numeric")
        | ("oid", "bigint") => Ok(("", true)),
        ("real" | "double precision", "numeric") | ("real", "double precision") => plain.map(|()| ("", false)),
        ("date" | "timestamp without time zone", "timestamp with time zone")
        | ("time without time zone", "time with time zone") => {
            let from = if source.base == "date" { 0 } else { precision(source.modifier) };
            enough(precision(target.modifier), from).map(|()| (ZONE, false))
        }
        ("time without time zone", "interval") => plain.map(|()| ("", false)),
        ("date", "timestamp without time zone") | ("cidr", "inet") | ("macaddr", "macaddr8") | ("jsonb", "json") => {
            Ok(("", false))
        }
        ("json", "jsonb") => Ok((KEYS, false)),
        ("bit", "bit varying") => {
            enough(if target.modifier == -1 { i32::MAX } else { target.modifier }, source.modifier).map(|()| ("", true))
        }
        (_, "text" | "character varying") => as_text(source, target),
        _ => Err(NARROWER.into()),
    }
}

/// Every value can be written as text, if the length is sufficient.
fn as_text(source: &Type, target: &Type) -> Result<(&'static str, bool), String> {
    // The modifier includes four bytes for the length itself.
    let room = if target.modifier == -1 { i32::MAX } else { target.modifier - 4 };
    let needs = match source.base.as_str() {
        "character" | "character varying" if source.modifier != -1 => source.modifier - 4,
        // One more character for the sign.
        "smallint" | "integer" | "bigint" => digits(&source.base) + 1,
        "uuid" => 36,
        "boolean" => 5,
        "name" => 63,
        _ => i32::MAX,
    };
    if room < needs {
        return Err(NARROWER.into());
    }
    let is_same_text = matches!(source.base.as_str(), "text" | "character varying" | "name") || source.kind == 'e';
    Ok(("", is_same_text && source.brackets == target.brackets))
}

fn is_text(base: &str) -> bool {
    matches!(base, "text" | "character varying")
}

/// The target's type under a name that the source knows.
fn cast_type(target: &Type) -> Result<String, String> {
    if target.brackets.len() > 2 {
        return Err("arrays of arrays, by way of a domain, cannot be cast".into());
    }
    Ok(format!("{}{}", target.full, target.brackets))
}

/// Digits of the largest value.
fn digits(integer: &str) -> i32 {
    match integer {
        "smallint" => 5,
        "integer" => 10,
        _ => 19,
    }
}

/// Fractional digits of a second.
fn precision(modifier: i32) -> i32 {
    if modifier == -1 { 6 } else { modifier }
}

/// Precision and scale (`numeric_typmod_scale` in the server's numeric.c: eleven bits with a sign).
fn numeric(modifier: i32) -> (i32, i32) {
    let packed = modifier - 4;
    ((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024)
}

#[cfg(test)]
mod tests;
