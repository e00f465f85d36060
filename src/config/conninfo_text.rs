//! The text of a conninfo: its key/value form parsed and written, and `${NAME}` in it replaced.
//!
//! The grammar is libpq's (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING>); which keywords exist and what
//! they mean is decided by the connection, not by this file. Problems are reported without any character of the text, because any part of
//! it may be a password. Called by the reader of configurations and by other code that parses a conninfo.

use std::collections::BTreeMap;

/// Whether `text` is a URI rather than key/value pairs.
#[must_use]
pub fn is_uri(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with("postgresql://") || text.starts_with("postgres://")
}

/// Parses key/value pairs, in the order written and with quotes and backslashes resolved.
///
/// # Errors
/// What is wrong with the text, in words that quote nothing of it.
pub fn split(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (before, after) = rest.split_once('=').ok_or("a part has no \"=\"")?;
        let key = before.trim_end();
        if !is_keyword(key) {
            return Err("what precedes a \"=\" is not a keyword");
        }
        let (value, after) = value(after.trim_start())?;
        pairs.push((key.to_owned(), value));
        rest = after.trim_start();
    }
    Ok(pairs)
}

/// Whether `key` has the form of a keyword.
pub(super) fn is_keyword(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The value with which `text` begins, and the text after it.
fn value(text: &str) -> Result<(String, &str), &'static str> {
    let quoted = text.strip_prefix('\'');
    let body = quoted.unwrap_or(text);
    let mut value = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if quoted.is_some() => return Ok((value, &body[at + 1..])),
            c if quoted.is_none() && c.is_ascii_whitespace() => return Ok((value, &body[at..])),
            c => value.push(c),
        }
    }
    if quoted.is_some() { Err("a quoted value has no closing quote") } else { Ok((value, "")) }
}

/// Writes key/value pairs, with values quoted where necessary.
pub fn join<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let written: Vec<String> = pairs.into_iter().map(|(key, value)| format!("{key}={}", quote(value))).collect();
    written.join(" ")
}

/// A value as it is written in key/value text.
fn quote(value: &str) -> String {
    let special = |c: char| c.is_whitespace() || c == '\'' || c == '\\';
    if !value.is_empty() && !value.contains(special) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The conninfo that `text` means after every `${NAME}` in it is replaced from `env`: each means one value and is quoted as its position
/// requires, except that a text which is only one `${NAME}` may name a whole conninfo.
pub(super) fn resolve(text: &str, env: &BTreeMap<String, String>) -> Result<String, Vec<String>> {
    if is_one_variable(text) {
        let conninfo = expand(text.trim(), env, str::to_owned)?;
        return written(&conninfo, |value, _| Ok(value.to_owned()));
    }
    written(text, |value, encode| expand(value, env, encode))
}

/// How a value is written into the text around it.
type Encode = fn(&str) -> String;

/// `text` with `fill` applied to a URI as a whole, or to each value of key/value pairs.
fn written(text: &str, fill: impl Fn(&str, Encode) -> Result<String, Vec<String>>) -> Result<String, Vec<String>> {
    let text = text.trim();
    if text.is_empty() {
        return Err(vec!["expected a conninfo, got an empty text".to_owned()]);
    }
    if is_uri(text) {
        return fill(text, percent_encoded);
    }
    let unreadable = |problem| vec![format!("expected key=value pairs or a postgresql:// URI, but {problem}")];
    let mut pairs = split(text).map_err(unreadable)?;
    let mut problems = Vec::new();
    for (_, value) in &mut pairs {
        match fill(value, str::to_owned) {
            Ok(filled) => *value = filled,
            Err(own) => problems.extend(own),
        }
    }
    if problems.is_empty() { Ok(join(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())))) } else { Err(problems) }
}

/// Whether `text` is `${NAME}` and nothing else.
fn is_one_variable(text: &str) -> bool {
    text.trim().strip_prefix("${").and_then(|text| text.strip_suffix('}')).is_some_and(is_variable)
}

fn is_variable(name: &str) -> bool {
    is_keyword(name) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Replaces every `${NAME}`, its value passed through `encode`; `$${` means `${` itself.
pub(super) fn expand(text: &str, env: &BTreeMap<String, String>, encode: Encode) -> Result<String, Vec<String>> {
    let mut expanded = String::new();
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        expanded.push_str(before);
        let Some((name, after)) = after.split_once('}').filter(|(name, _)| is_variable(name)) else {
            problems
                .push("\"${\" is not followed by a variable's name and \"}\"; write \"$${\" for the characters".into());
            return Err(problems);
        };
        match env.get(name) {
            Some(value) => expanded.push_str(&encode(value)),
            None => problems.push(format!("the environment variable {name} is not set")),
        }
        rest = after;
    }
    expanded.push_str(rest);
    if problems.is_empty() { Ok(expanded) } else { Err(problems) }
}

/// `text` in the percent-encoded form of a URI.
#[must_use]
pub fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> BTreeMap<String, String> {
        [("PW", "it's a \\ secret"), ("DSN", "host=h password='a b'"), ("URI", "postgresql://h/d"), ("EMPTY", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn pairs_are_read_as_libpq_reads_them() {
        let text = r"  host = 'a b'password=x\'y\\ dbname='' user='o\'k'port=5 ";
        let pairs = split(text).unwrap();
        assert_eq!(pairs[..2], [pair("host", "a b"), pair("password", "x'y\\")]);
        assert_eq!(pairs[2..], [pair("dbname", ""), pair("user", "o'k"), pair("port", "5")]);
        let joined = join(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        assert_eq!(joined, r"host='a b' password='x\'y\\' dbname='' user='o\'k' port=5");
        assert_eq!(split(&joined).unwrap(), pairs);
        for wrong in ["mydb", "host=a secret", "host='a", "=x", "a b=c"] {
            let problem = split(wrong).unwrap_err();
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn a_variable_is_quoted_for_its_place() {
        let keyed = resolve("host=h password=${PW} application_name='x ${PW}'", &env()).unwrap();
        assert_eq!(
            split(&keyed).unwrap()[1..],
            [pair("password", "it's a \\ secret"), pair("application_name", "x it's a \\ secret")]
        );
        let uri = resolve("postgresql://u:${PW}@h/d", &env()).unwrap();
        assert_eq!(uri, "postgresql://u:it%27s%20a%20%5C%20secret@h/d");
    }

    #[test]
    fn one_variable_may_be_the_whole_conninfo() {
        assert_eq!(resolve("${DSN}", &env()).unwrap(), "host=h password='a b'");
        assert_eq!(resolve(" ${URI} ", &env()).unwrap(), "postgresql://h/d");
        assert_eq!(resolve("${EMPTY}", &env()).unwrap_err(), ["expected a conninfo, got an empty text"]);
    }

    #[test]
    fn dollars_stay_unless_they_open_a_variable() {
        let keyed = resolve("password=pa$$w$rd user=$${PW}", &env()).unwrap();
        assert_eq!(split(&keyed).unwrap(), [pair("password", "pa$$w$rd"), pair("user", "${PW}")]);
    }

    #[test]
    fn every_missing_variable_is_named_and_no_value() {
        let problems = resolve("host=${NO_HOST} password=${PW} user=${NO_USER}", &env()).unwrap_err();
        assert_eq!(
            problems,
            ["the environment variable NO_HOST is not set", "the environment variable NO_USER is not set"]
        );
        let problem = resolve("host=h password=x${hun ter}", &env()).unwrap_err().join(" ");
        assert!(!problem.contains("hun"), "{problem}");
    }
}
