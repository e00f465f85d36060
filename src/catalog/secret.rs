//! Values in an archive's statements that may be secrets: options of servers, user mappings, foreign tables and foreign data wrappers,
//! and the conninfo of a subscription.
//!
//! A plan shows `***` in their place and has the query that reads them on the source; a run executes it and restores the values. Names of
//! options are shown, and so are the values of options that are known to hold no secrets. Pure text; `plan` redacts, the engine restores.

use crate::catalog::object_kind::ObjectKind;
use crate::name::{QualifiedName, literal};

/// The text in a statement instead of a value.
pub const HIDDEN: &str = "'***'";

/// Options whose values are shown, unless a value looks like more than a name, a number or a place.
const SHOWN: &[&str] = &[
    "analyze_sampling",
    "async_capable",
    "batch_size",
    "column_name",
    "dbname",
    "delimiter",
    "encoding",
    "extensions",
    "fdw_startup_cost",
    "fdw_tuple_cost",
    "fetch_size",
    "filename",
    "format",
    "header",
    "host",
    "hostaddr",
    "import_default",
    "keep_connections",
    "null",
    "parallel_abort",
    "parallel_commit",
    "password_required",
    "port",
    "quote",
    "schema_name",
    "sslmode",
    "table_name",
    "truncatable",
    "updatable",
    "use_remote_estimate",
    "user",
    "username",
];

/// A value of a statement, by what it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OptionPlace {
    /// The column of a foreign table; empty for an option of the object itself.
    pub column: String,
    /// The option's name; `connection` for the conninfo of a subscription.
    pub option: String,
}

/// A statement without secrets, and the query that returns them on the source: column, option, value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted {
    /// The statement.
    pub statement: String,
    /// The query.
    pub query: String,
}

/// Redacts the secrets of the statement that makes an object of that kind; none if it has no secrets.
#[must_use]
pub fn redact(kind: &ObjectKind, statement: &str) -> Option<Redacted> {
    let query = query(kind, statement)?;
    let values: Vec<Value<'_>> = values(statement).into_iter().filter(|value| !value.is_harmless()).collect();
    let mut redacted = String::with_capacity(statement.len());
    let mut at = 0;
    for value in &values {
        redacted.push_str(&statement[at..value.start]);
        redacted.push_str(HIDDEN);
        at = value.end;
    }
    redacted.push_str(&statement[at..]);
    (!values.is_empty()).then_some(Redacted { statement: redacted, query })
}

/// The statement of the same object with its redacted values restored from `known`, all values of the object in the order of the source;
/// the first place without a known value is the error.
///
/// `pg_dump` sorts options by their names. They are sorted in the source's order again, so that the target's catalog is equal.
pub fn fill(redacted: &str, known: &[(OptionPlace, String)]) -> Result<String, OptionPlace> {
    let rank = |place: &OptionPlace| known.iter().position(|(known, _)| known == place);
    let mut filled = String::with_capacity(redacted.len());
    let mut at = 0;
    for list in values(redacted).chunk_by(|one, next| one.list == next.list) {
        let (Some(first), Some(last)) = (list.first(), list.last()) else { continue };
        let mut items = Vec::with_capacity(list.len());
        for value in list {
            let found = rank(&value.place);
            let name = &redacted[value.name_start..value.start];
            items.push(match (value.text == HIDDEN, found) {
                (true, None) => return Err(value.place.clone()),
                (true, Some(rank)) => (Some(rank), format!("{name}{}", literal(&known[rank].1).trim_start())),
                (false, rank) => (rank, format!("{name}{}", value.text)),
            });
        }
        items.sort_by_key(|(rank, _)| rank.unwrap_or(usize::MAX));
        filled.push_str(&redacted[at..first.name_start]);
        filled.push_str(&items.into_iter().map(|(_, item)| item).collect::<Vec<_>>().join(",\n    "));
        at = last.end;
    }
    filled.push_str(&redacted[at..]);
    Ok(filled)
}

/// The query for all values of the object that a statement makes.
fn query(kind: &ObjectKind, statement: &str) -> Option<String> {
    let words: Vec<Token<'_>> = Tokens { text: statement, at: 0 }.take(8).collect();
    // The name after the words of the command.
    let name_at = |at: usize| words.get(at).map(Token::name);
    let options = |catalog: &str, prefix: &str, name: &str, value: &str| {
        format!(
            "SELECT '' AS column, o.option_name, o.option_value FROM pg_catalog.{catalog} c, \
             pg_catalog.pg_options_to_table(c.{prefix}options) o WHERE c.{name} = {}",
            literal(value)
        )
    };
    Some(match kind {
        ObjectKind::Server => options("pg_foreign_server", "srv", "srvname", &name_at(2)?),
        ObjectKind::ForeignDataWrapper => options("pg_foreign_data_wrapper", "fdw", "fdwname", &name_at(4)?),
        ObjectKind::UserMapping => format!(
            "{} AND c.srvname = {}",
            options("pg_user_mappings", "um", "usename", &name_at(4)?),
            literal(&name_at(6)?)
        ),
        ObjectKind::ForeignTable => {
            let name: String = words.get(3..6)?.iter().map(|token| token.text).collect();
            let table = format!("pg_catalog.to_regclass({})", literal(&name));
            format!(
                "SELECT '' AS column, o.option_name, o.option_value FROM pg_catalog.pg_foreign_table t, \
                 pg_catalog.pg_options_to_table(t.ftoptions) o WHERE t.ftrelid = {table} \
                 UNION ALL SELECT a.attname::text, o.option_name, o.option_value FROM pg_catalog.pg_attribute a, \
                 pg_catalog.pg_options_to_table(a.attfdwoptions) o WHERE a.attrelid = {table} AND NOT a.attisdropped"
            )
        }
        ObjectKind::Subscription => format!(
            "SELECT '' AS column, 'connection' AS option_name, s.subconninfo AS option_value FROM pg_catalog.pg_subscription s \
             JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
             WHERE d.datname = pg_catalog.current_database() AND s.subname = {}",
            literal(&name_at(2)?)
        ),
        _ => return None,
    })
}

/// The name of a place in messages.
#[must_use]
pub fn describe(place: &OptionPlace) -> String {
    if place.column.is_empty() {
        place.option.clone()
    } else {
        QualifiedName::new(&place.column, &place.option).to_string()
    }
}

/// A literal that is the value of an option.
struct Value<'a> {
    place: OptionPlace,
    /// The list of options that it belongs to.
    list: usize,
    text: &'a str,
    /// Where the option's name begins.
    name_start: usize,
    start: usize,
    end: usize,
}

impl<'a> Value<'a> {
    fn new(place: OptionPlace, list: usize, [name, literal]: [Token<'a>; 2]) -> Self {
        let (start, end) = (literal.start, literal.start + literal.text.len());
        Value { place, list, text: literal.text, name_start: name.start, start, end }
    }

    /// Whether the option is known, and its value looks as expected for it. A URL may contain a password.
    fn is_harmless(&self) -> bool {
        let is_plain = |c: char| c.is_alphanumeric() || "_-., /:|;\\'".contains(c);
        self.text != HIDDEN
            && SHOWN.contains(&self.place.option.as_str())
            && self.text.chars().all(is_plain)
            && !self.text.contains("//")
    }
}

/// All values of options in a statement, in their order.
fn values(statement: &str) -> Vec<Value<'_>> {
    let tokens: Vec<Token<'_>> = Tokens { text: statement, at: 0 }.collect();
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.text == text);
    let mut found = Vec::new();
    let is_literal = |at: usize| tokens.get(at).is_some_and(Token::is_literal);
    for at in 0..tokens.len() {
        if is(at, "CONNECTION") && is_literal(at + 1) {
            let place = OptionPlace { column: String::new(), option: "connection".to_owned() };
            found.push(Value::new(place, at, [tokens[at + 1]; 2]));
        }
        if !(is(at, "OPTIONS") && is(at + 1, "(")) {
            continue;
        }
        let is_of_column = at >= 2 && is(at - 2, "COLUMN");
        let column = if is_of_column { tokens[at - 1].name() } else { String::new() };
        let mut next = at + 2;
        while is_literal(next + 1) {
            let place = OptionPlace { column: column.clone(), option: tokens[next].name() };
            found.push(Value::new(place, at, [tokens[next], tokens[next + 1]]));
            next += if is(next + 2, ",") { 3 } else { 2 };
        }
    }
    found
}

/// A word, a quoted name, a literal or a punctuation mark of a statement.
#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    start: usize,
}

impl Token<'_> {
    fn is_literal(&self) -> bool {
        self.text.starts_with('\'') || self.text.starts_with("E'")
    }

    /// The name without its quotes.
    fn name(&self) -> String {
        let inner = self.text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        inner.map_or_else(|| self.text.to_owned(), |inner| inner.replace("\"\"", "\""))
    }
}

/// A statement's tokens, as a server with standard strings reads them.
struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl Tokens<'_> {
    /// How long the token at the beginning of `rest` is.
    fn length(rest: &str) -> usize {
        let quoted = |open: usize, quote: char, escapes: bool| {
            let mut characters = rest[open..].char_indices().peekable();
            while let Some((at, character)) = characters.next() {
                if escapes && character == '\\'
                    || character == quote && characters.peek().is_some_and(|next| next.1 == quote)
                {
                    characters.next();
                } else if character == quote {
                    return open + at + quote.len_utf8();
                }
            }
            rest.len()
        };
        if rest.starts_with("E'") {
            return quoted(2, '\'', true);
        }
        match rest.chars().next() {
            Some(quote @ ('\'' | '"')) => quoted(1, quote, false),
            Some('$') => Tokens::dollar(rest).unwrap_or(1),
            Some(first) if is_word(first) => rest.find(|c: char| !is_word(c) && c != '$').unwrap_or(rest.len()),
            Some(other) => other.len_utf8(),
            None => 0,
        }
    }

    /// The length of a dollar-quoted string.
    fn dollar(rest: &str) -> Option<usize> {
        let end = rest[1..].find(|c: char| !is_word(c))? + 1;
        let tag = rest[end..].starts_with('$').then(|| &rest[..=end])?;
        rest[tag.len()..].find(tag).map(|at| at + 2 * tag.len())
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = self.text[self.at..].trim_start();
        let start = self.text.len() - rest.len();
        let length = Tokens::length(rest);
        self.at = start + length;
        (length > 0).then(|| Token { text: &rest[..length], start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "CREATE FOREIGN TABLE s.\"odd OPTIONS ( \" (\n    id integer DEFAULT length('OPTIONS (password ''x'')'::text)\n)\n\
                         SERVER archive\nOPTIONS (\n    api_key E'k\\\\e''y',\n    table_name 'far'\n);\n\
                         ALTER FOREIGN TABLE ONLY s.\"odd OPTIONS ( \" ALTER COLUMN \"ID\" OPTIONS (\n    column_name 'ID',\n    \"odd key\" 'v'\n);\n";

    #[test]
    fn unknown_options_are_hidden_and_given_back() {
        let redacted = redact(&ObjectKind::ForeignTable, TABLE).unwrap();
        assert!(redacted.statement.contains("api_key '***',\n    table_name 'far'"), "{}", redacted.statement);
        assert!(redacted.statement.contains("column_name 'ID',\n    \"odd key\" '***'"), "{}", redacted.statement);
        assert!(redacted.statement.contains("(password ''x'')"), "a literal of an expression stays");
        assert!(redacted.query.contains("to_regclass('s.\"odd OPTIONS ( \"')"), "{}", redacted.query);
        let place = |column: &str, option: &str| OptionPlace { column: column.into(), option: option.into() };
        let mut known = vec![
            (place("", "api_key"), "k\\e'y".to_owned()),
            (place("", "table_name"), "far".to_owned()),
            (place("ID", "column_name"), "ID".to_owned()),
            (place("ID", "odd key"), "v".to_owned()),
        ];
        assert_eq!(fill(&redacted.statement, &known).unwrap(), TABLE);
        known.swap(0, 1);
        let turned = fill(&redacted.statement, &known).unwrap();
        assert!(
            turned.contains("OPTIONS (\n    table_name 'far',\n    api_key E'k"),
            "in the source's order: {turned}"
        );
        let lost = fill(&redacted.statement, &[]).unwrap_err();
        assert_eq!(describe(&lost), "api_key");
    }

    #[test]
    fn names_stand_behind_the_words_of_each_command() {
        let query = |kind, statement: &str| redact(&kind, statement).unwrap().query;
        let of = query(
            ObjectKind::UserMapping,
            "CREATE USER MAPPING FOR \"a b\" SERVER \"S\" OPTIONS (\n    password 'x'\n);\n",
        );
        assert!(of.ends_with("c.usename = 'a b' AND c.srvname = 'S'"), "{of}");
        let of = query(
            ObjectKind::Server,
            "CREATE SERVER s TYPE 'OPTIONS' FOREIGN DATA WRAPPER f OPTIONS (\n    secret 'x'\n);\n",
        );
        assert!(of.ends_with("c.srvname = 's'"), "{of}");
        let of = query(ObjectKind::ForeignDataWrapper, "CREATE FOREIGN DATA WRAPPER f OPTIONS (\n    token 'x'\n);\n");
        assert!(of.ends_with("c.fdwname = 'f'"), "{of}");
        let subscription =
            "CREATE SUBSCRIPTION sub CONNECTION 'host=x password=y' PUBLICATION p WITH (connect = false);\n";
        let redacted = redact(&ObjectKind::Subscription, subscription).unwrap();
        assert!(redacted.statement.contains("CONNECTION '***' PUBLICATION p"), "{}", redacted.statement);
        assert!(redacted.query.ends_with("s.subname = 'sub'"), "{}", redacted.query);
    }

    #[test]
    fn what_holds_no_secret_stays_as_it_is() {
        let server = "CREATE SERVER s FOREIGN DATA WRAPPER f OPTIONS (\n    dbname 'd',\n    host '::1'\n);\n";
        assert_eq!(redact(&ObjectKind::Server, server), None);
        assert_eq!(redact(&ObjectKind::Server, "CREATE SERVER s FOREIGN DATA WRAPPER f;\n"), None);
        assert_eq!(redact(&ObjectKind::Function, "CREATE FUNCTION f() ... OPTIONS (password 'x')"), None);
        let web = server.replace("'d'", "'https://me:pw@h'").replace("'::1'", "'***'");
        assert_eq!(redact(&ObjectKind::Server, &web).unwrap().statement.matches(HIDDEN).count(), 2);
    }
}
