//! The two forms of a connection string: `keyword=value ...` and `postgresql://...`, both read as libpq reads them
//! (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING>). This module does not interpret the values. Called by
//! `Conninfo::parse`.

use super::settings::{Settings, malformed, problem};
use crate::error::Result;
use std::iter::Peekable;
use std::str::Chars;

/// Reads a connection string of either form.
pub(super) fn parse(text: &str) -> Result<Settings> {
    match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
        Some(rest) => uri(rest),
        None => key_values(text),
    }
}

fn key_values(text: &str) -> Result<Settings> {
    let mut settings = Settings::default();
    let mut chars = text.chars().peekable();
    loop {
        skip_blanks(&mut chars);
        let mut keyword = String::new();
        while let Some(c) = chars.next_if(|c| *c != '=' && !c.is_ascii_whitespace()) {
            keyword.push(c);
        }
        skip_blanks(&mut chars);
        if keyword.is_empty() && chars.peek().is_none() {
            return Ok(settings);
        }
        // The word is not repeated: it may be the second half of a password with an unquoted blank.
        if chars.next() != Some('=') {
            return Err(malformed("expected keyword=value pairs or a postgresql:// URI")
                .remedy("put values that contain blanks into single quotes"));
        }
        skip_blanks(&mut chars);
        let value = value(&mut chars, &keyword)?;
        settings.set(&keyword, value)?;
    }
}

fn skip_blanks(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(char::is_ascii_whitespace).is_some() {}
}

fn value(chars: &mut Peekable<Chars<'_>>, keyword: &str) -> Result<String> {
    let quoted = chars.next_if_eq(&'\'').is_some();
    let mut value = String::new();
    loop {
        match chars.next() {
            Some('\'') if quoted => return Ok(value),
            Some(c) if !quoted && c.is_ascii_whitespace() => return Ok(value),
            Some('\\') => value.extend(chars.next()),
            Some(c) => value.push(c),
            None if quoted => return Err(problem(keyword, "unterminated quoted string")),
            None => return Ok(value),
        }
    }
}

fn uri(rest: &str) -> Result<Settings> {
    let mut settings = Settings::default();
    let rest = credentials(rest, &mut settings)?;
    let (hosts, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    host_list(hosts, &mut settings)?;
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let dbname = path.strip_prefix('/').unwrap_or(path);
    if !dbname.is_empty() {
        settings.set("dbname", decode(dbname, "dbname")?)?;
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        parameter(pair, &mut settings)?;
    }
    Ok(settings)
}

/// Removes `user:password@` from the front; an `@` after the first slash does not belong to it.
fn credentials<'t>(rest: &'t str, settings: &mut Settings) -> Result<&'t str> {
    let end = rest.find(['@', '/']).filter(|at| rest[*at..].starts_with('@'));
    let Some(end) = end else { return Ok(rest) };
    let (user, password) = rest[..end].split_once(':').unwrap_or((&rest[..end], ""));
    for (keyword, value) in [("user", user), ("password", password)] {
        if !value.is_empty() {
            settings.set(keyword, decode(value, keyword)?)?;
        }
    }
    Ok(&rest[end + 1..])
}

fn host_list(hosts: &str, settings: &mut Settings) -> Result<()> {
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        let (name, port) = match host.strip_prefix('[') {
            Some(ipv6) => bracketed(ipv6)?,
            None => host.split_once(':').unwrap_or((host, "")),
        };
        names.push(decode(name, "host")?);
        ports.push(decode(port, "port")?);
    }
    for (keyword, values) in [("host", names), ("port", ports)] {
        if values.iter().any(|value| !value.is_empty()) {
            settings.set(keyword, values.join(","))?;
        }
    }
    Ok(())
}

fn bracketed(rest: &str) -> Result<(&str, &str)> {
    let (address, tail) = rest.split_once(']').ok_or_else(|| problem("host", "missing \"]\" of an IPv6 address"))?;
    match tail.strip_prefix(':') {
        Some(port) => Ok((address, port)),
        None if tail.is_empty() => Ok((address, "")),
        None => Err(problem("host", "expected \":\", \",\" or \"/\" after the \"]\" of an IPv6 address")),
    }
}

fn parameter(pair: &str, settings: &mut Settings) -> Result<()> {
    let (keyword, value) = pair
        .split_once('=')
        .filter(|(_, value)| !value.contains('='))
        .ok_or_else(|| malformed("a parameter of the URI is not written keyword=value"))?;
    let keyword = decode(keyword, "a parameter of the URI")?;
    let value = decode(value, &keyword)?;
    // The form of JDBC to request TLS, which libpq accepts, too.
    if keyword == "ssl" && value == "true" {
        return settings.set("sslmode", "require".into());
    }
    settings.set(&keyword, value)
}

fn decode(text: &str, keyword: &str) -> Result<String> {
    let bad = || problem(keyword, "invalid percent-encoded character");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok()).ok_or_else(bad)?;
        let byte = u8::from_str_radix(digits, 16).ok().filter(|byte| *byte != 0).ok_or_else(bad)?;
        bytes.push(byte);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| bad())
}
