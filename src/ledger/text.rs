//! Text with characters that the target's encoding may lack: the source's own name, the configuration with the names of what it leaves out,
//! and messages of the source's server.
//!
//! Names of objects do not occur here: the preflight refuses those that the target's encoding lacks. A text written here is read back
//! unchanged.

use crate::error::Result;
use crate::pg::Session;
use crate::pg::survey;

/// What an escaped text begins with, as in SQL. No identity of a server, no configuration and no message does.
const MARK: &str = "U&";

/// The text as the target can keep it.
pub(super) async fn kept(session: &Session, text: &str) -> Result<String> {
    let foreign: Vec<char> = text.chars().filter(|c| !c.is_ascii()).collect();
    if survey::lacked(session, &foreign).await?.is_empty() { Ok(text.to_owned()) } else { Ok(escaped(text)) }
}

/// ASCII that [`original`] understands.
pub(super) fn escaped(text: &str) -> String {
    let part = |c: char| match c {
        '\\' => "\\\\".to_owned(),
        c if c.is_ascii() => c.to_string(),
        c => format!("\\+{:06X}", u32::from(c)),
    };
    MARK.chars().map(String::from).chain(text.chars().map(part)).collect()
}

/// The text that was kept.
pub(super) fn original(kept: &str) -> String {
    let Some(mut rest) = kept.strip_prefix(MARK) else { return kept.to_owned() };
    let mut text = String::new();
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let number = behind.strip_prefix('+').and_then(|number| number.get(..6));
        let character = number.and_then(|number| u32::from_str_radix(number, 16).ok()).and_then(char::from_u32);
        text.push(character.unwrap_or('\\'));
        rest = if character.is_some() { &behind[7..] } else { behind.strip_prefix('\\').unwrap_or(behind) };
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back() {
        for text in ["7/16384/plain", "7/16384/\u{436}\u{1f418}", "7/1/a\\b\u{e9}\\\\", ""] {
            assert!(escaped(text).is_ascii());
            assert_eq!(original(&escaped(text)), text);
        }
        assert_eq!(original("7/16384/a\\+000041"), "7/16384/a\\+000041");
        assert_eq!(escaped("a\u{436}"), "U&a\\+000436");
    }
}
