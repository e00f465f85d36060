//! The settings that sessions and client programs have pinned, as `settings.tsv` lists them.
//!
//! That table has a row for every setting of every supported major, pinned or not, with the reason; settings of extensions are not in it,
//! because only the extension knows their meaning. A pin takes precedence over postgresql.conf, ALTER SYSTEM, ALTER DATABASE, ALTER ROLE
//! and the user's own `options`. `connect` sends the pins of a session, `conninfo::tool` those of a client program.

use crate::error::Side;
use crate::name::literal;
use std::sync::LazyLock;

/// A setting whose value does not depend on the server's configuration.
struct Setting {
    name: &'static str,
    /// The first major that has it.
    since: u32,
    /// Whether every server of a supported major has it, and any role may set it.
    is_common: bool,
    source: Option<&'static str>,
    target: Option<&'static str>,
    pg_dump: Option<&'static str>,
    psql: Option<&'static str>,
    refused: Refused,
}

/// The consequence if a server does not let the role set a setting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// Any role may set it.
    Never,
    /// If its value differs, the session cannot be used.
    Error,
    /// The session keeps the server's value.
    Keep,
}

/// A client program, each with pins of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Reads a database.
    PgDump,
    /// Runs the script of a backup.
    Psql,
}

static SETTINGS: LazyLock<Vec<Setting>> =
    LazyLock::new(|| include_str!("settings.tsv").lines().skip(1).filter_map(read).collect());

/// A row of the table, if it pins anything.
fn read(line: &'static str) -> Option<Setting> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [name, versions, source, target, pg_dump, psql, refused, _reason] = fields[..] else { return None };
    let value = |field: &'static str| match field {
        "-" => None,
        "''" => Some(""),
        value => Some(value),
    };
    let refused = match refused {
        "error" => Refused::Error,
        "keep" => Refused::Keep,
        _ => Refused::Never,
    };
    let setting = Setting {
        name,
        since: versions.get(..2)?.parse().ok()?,
        is_common: versions == "13-" && refused == Refused::Never,
        source: value(source),
        target: value(target),
        pg_dump: value(pg_dump),
        psql: value(psql),
        refused,
    };
    [setting.source, setting.target, setting.pg_dump, setting.psql].iter().any(Option::is_some).then_some(setting)
}

impl Setting {
    fn on(&self, side: Side) -> Option<&'static str> {
        if side == Side::Source { self.source } else { self.target }
    }

    fn of(&self, program: Program) -> Option<&'static str> {
        match program {
            Program::PgDump => self.pg_dump,
            Program::Psql => self.psql,
        }
    }
}

/// The statements that pin a session's settings. The server skips settings that it does not have. A setting that only a superuser can
/// change is set only if its value differs; each of these returns a row with its name and its new value.
pub(super) fn statements(side: Side, major: u32) -> String {
    let pins = |refused: Refused| {
        // Before 15, no function returns what a role may set.
        let is_known = move |setting: &&Setting| refused != Refused::Keep || setting.since <= major;
        let all = SETTINGS.iter().filter(move |setting| setting.refused == refused).filter(is_known);
        all.filter_map(move |setting| Some((setting.name, setting.on(side)?)))
    };
    let row = |(name, value): (&str, &str)| format!("({}, {})", literal(name), literal(value));
    let list = |refused: Refused| pins(refused).map(row).collect::<Vec<_>>().join(", ");
    let common = format!(
        "SELECT pg_catalog.count(pg_catalog.set_config(p.name, p.value, false)) FROM (VALUES {}) AS p (name, value) \
         WHERE pg_catalog.current_setting(p.name, true) IS NOT NULL; ",
        list(Refused::Never)
    );
    let of_superusers = |refused: Refused, allowed: &str| {
        let sql = format!(
            "SELECT p.name, pg_catalog.set_config(p.name, p.value, false) FROM (VALUES {}) AS p (name, value) \
             WHERE pg_catalog.current_setting(p.name, true) OPERATOR(pg_catalog.<>) p.value{allowed}; ",
            list(refused)
        );
        pins(refused).next().map_or_else(String::new, |_| sql)
    };
    let needed = of_superusers(Refused::Error, "");
    let welcome = of_superusers(Refused::Keep, " AND pg_catalog.has_parameter_privilege(p.name, 'SET')");
    [common, needed, welcome].concat()
}

/// The same as startup options, for a client program; `forced` names the settings that only superusers can change and that this role may
/// change.
pub(super) fn options(program: Program, forced: &[String]) -> String {
    let is_sent = |setting: &&Setting| setting.is_common || forced.iter().any(|name| name == setting.name);
    let escaped = |value: &str| value.replace('\\', "\\\\").replace(' ', "\\ ");
    let option = |setting: &Setting| Some(format!("-c {}={}", setting.name, escaped(setting.of(program)?)));
    SETTINGS.iter().filter(is_sent).filter_map(option).collect::<Vec<_>>().join(" ")
}

/// The pinned settings for which startup options of the user have another value.
pub(super) fn overridden(options: &str, side: Side) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = Vec::new();
    for (name, value) in assignments(options) {
        let is_it = |setting: &&Setting| setting.name.eq_ignore_ascii_case(&name);
        let Some(setting) = SETTINGS.iter().find(is_it) else { continue };
        let is_other = setting.on(side).is_some_and(|pinned| !pinned.eq_ignore_ascii_case(&value));
        if is_other && !found.contains(&setting.name) {
            found.push(setting.name);
        }
    }
    found
}

/// The settings in startup options: `-c name=value` or `--name=value`, a backslash before a blank that belongs to a word.
fn assignments(options: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        let next = match character {
            '\\' => characters.next(),
            blank if blank.is_whitespace() => {
                words.push(String::new());
                None
            }
            other => Some(other),
        };
        if let Some(word) = words.last_mut() {
            word.extend(next);
        }
    }
    let bare = |word: &String| {
        let word = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")).unwrap_or(word);
        let (name, value) = word.split_once('=')?;
        Some((name.replace('-', "_"), value.to_owned()))
    };
    words.iter().filter_map(bare).collect()
}

/// Ends a long statement whose client is gone, if the server's platform supports that; on other platforms the setting would be refused
/// (<https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-CLIENT-CONNECTION-CHECK-INTERVAL>). The TCP settings are
/// among the pins of every session.
pub(super) const CHECK_CLIENT: &str = "SELECT pg_catalog.set_config('client_connection_check_interval', '5s', false) \
     WHERE pg_catalog.current_setting('client_connection_check_interval', true) IS NOT NULL \
     AND (pg_catalog.version() ~ 'linux' OR pg_catalog.version() ~ 'darwin|bsd' \
          AND pg_catalog.current_setting('server_version_num')::int4 >= 150000); ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read() {
        let lines: Vec<&str> = include_str!("settings.tsv").lines().collect();
        assert!(lines.iter().all(|line| line.split('\t').count() == 8));
        let names: Vec<String> = lines[1..].iter().map(|line| line.to_lowercase()).collect();
        assert!(names.is_sorted(), "each setting stands where it is looked for");
        let text = statements(Side::Target, 18);
        assert!(text.contains("('DateStyle', 'ISO, MDY')") && text.contains("('search_path', '')"), "{text}");
        assert!(!statements(Side::Target, 14).contains("has_parameter_privilege"), "14 does not have it");
    }

    #[test]
    fn blanks_in_values_are_escaped() {
        let text = options(Program::PgDump, &["zero_damaged_pages".into()]);
        assert!(text.contains("-c DateStyle=ISO,\\ MDY "), "{text}");
        assert!(text.contains("-c zero_damaged_pages=off") && !text.contains("idle_session_timeout"), "{text}");
    }

    #[test]
    fn options_of_the_user_that_lose_are_named() {
        let options = "-c datestyle=German --array-nulls=off -cwork_mem=1MB -c TimeZone=utc -c lc_monetary=a\\ b";
        assert_eq!(overridden(options, Side::Source), ["DateStyle", "array_nulls", "lc_monetary"]);
    }
}
