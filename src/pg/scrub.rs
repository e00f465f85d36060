//! Removes the values of secrets from a server's message. Called by `session`.

use crate::config::Secret;

/// The message of a server without the values of `secrets` and without the passwords in them: an error about a conninfo may quote a part of
/// it.
pub(super) fn scrub(message: &str, secrets: &[Secret]) -> Option<String> {
    const SHORTEST: usize = 3;
    let all = secrets.iter().flat_map(|secret| std::iter::once(secret.expose()).chain(passwords(secret.expose())));
    let scrubbed =
        all.filter(|part| part.len() >= SHORTEST).fold(message.to_owned(), |text, part| text.replace(part, "***"));
    (scrubbed != message).then_some(scrubbed)
}

/// The parts of a conninfo that are or may be passwords, or pieces of one.
fn passwords(conninfo: &str) -> impl Iterator<Item = &str> {
    const PLAIN: [&str; 4] = ["host", "port", "user", "dbname"];
    let value = |word| match str::split_once(word, '=') {
        Some((keyword, _)) if PLAIN.contains(&keyword) => None,
        Some((_, value)) => Some(value),
        None => Some(word),
    };
    conninfo.split_whitespace().filter_map(value).flat_map(|value| value.split(['\'', ':', '@', '/', '&', '?', '=']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_conninfo_are_scrubbed_and_keywords_stay() {
        let secrets = [Secret::new("host=far password='my own' user=joe"), Secret::new("k1"), Secret::new("long one")];
        let scrub = |message| scrub(message, &secrets);
        assert_eq!(
            scrub("missing \"=\" after \"own'\" for joe").as_deref(),
            Some("missing \"=\" after \"***'\" for joe")
        );
        assert_eq!(scrub("bad long one").as_deref(), Some("bad ***"));
        assert_eq!(scrub("password is required"), None);
    }
}
