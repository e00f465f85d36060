//! The password file: `host:port:database:user:password`, first match wins, `*` matches everything
//! (<https://www.postgresql.org/docs/current/libpq-pgpass.html>). A file that others may read is ignored with a warning, as in libpq.
//! Called by `Conninfo::parse`, once a host.

use crate::config::Secret;
use std::path::Path;

/// What a line of the file has to match, in the order of its fields.
pub(super) type Login<'a> = [&'a str; 4];

/// The text of the file at `path`, if it exists and only its owner may read it.
pub(super) fn read(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    if is_open_to_others(&metadata) {
        tracing::warn!("password file {} has group or world access and is ignored: chmod 0600 it", path.display());
        return None;
    }
    std::fs::read_to_string(path).ok()
}

#[cfg(unix)]
fn is_open_to_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

/// The password for `login` in the file's `text`.
pub(super) fn find(text: &str, login: Login<'_>) -> Option<Secret> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| password(line, login))
}

fn password(line: &str, login: Login<'_>) -> Option<Secret> {
    let mut rest = line;
    for wanted in login {
        let (field, tail) = field(rest)?;
        if field != "*" && unescape(field) != wanted {
            return None;
        }
        rest = tail;
    }
    let (password, _) = field(rest).unwrap_or((rest, ""));
    Some(Secret::new(unescape(password)))
}

/// Splits at the first colon that is not escaped by a backslash.
fn field(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            ':' if !escaped => return Some((&text[..at], &text[at + 1..])),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    None
}

fn unescape(field: &str) -> String {
    let mut chars = field.chars();
    let mut text = String::new();
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(text: &str) -> Option<String> {
        find(text, ["db.example", "5432", "a:b", "joe"]).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn the_first_match_wins() {
        let text = "#db.example:5432:*:joe:no\nother:*:*:*:no\ndb.example:*:a\\:b:joe:p\\\\a\\:ss\n*:*:*:*:no";
        assert_eq!(look_up(text).as_deref(), Some("p\\a:ss"));
        assert_eq!(look_up("*:*:*:*:x:comment").as_deref(), Some("x"));
    }

    #[test]
    fn a_star_is_the_whole_field() {
        assert_eq!(look_up("*:54*:*:*:no"), None);
        assert_eq!(look_up("\\*:*:*:*:no"), None);
        assert_eq!(look_up("db.example:5432"), None);
    }
}
