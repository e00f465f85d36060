//! Settings of roles and of the database: how they are written, and which of them are left out.
//!
//! A setting that prevents writes to a database during a migration would prevent them on the target, too. Such settings are left out with a
//! finding that has the statement. Called by `role` and `database`; the engine calls [`is_carried_over`] when it compares.

use crate::finding::{Finding, Severity};
use crate::name::{ident, literal};

/// Settings whose stored value is a list of quoted names already; with another quote it would be one name.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// A setting that belongs to a migration, a restore or a repair, and not to the application.
struct LeftOut {
    name: &'static str,
    /// The values without effect, which are migrated.
    harmless: &'static [&'static str],
    reason: &'static str,
}

const OFF: &[&str] = &["off", "false", "no", "0", "of", "f", "fa", "fal", "fals", "n"];
const ON: &[&str] = &["on", "true", "yes", "1", "t", "tr", "tru", "y", "ye"];

/// What is left out, each with its reason. Timeouts are not here: applications set them for good reasons.
const LEFT_OUT: &[LeftOut] = &[
    LeftOut {
        name: "default_transaction_read_only",
        harmless: OFF,
        reason: "it would make the target read-only, as it keeps the source still for a move",
    },
    LeftOut { name: "transaction_read_only", harmless: OFF, reason: "it would make the target read-only" },
    LeftOut {
        name: "session_replication_role",
        harmless: &["origin", "local"],
        reason: "it turns triggers and foreign keys off, as for loading rows",
    },
    LeftOut {
        name: "row_security",
        harmless: ON,
        reason: "it makes queries fail that row security filters, as for a dump",
    },
    LeftOut { name: "event_triggers", harmless: ON, reason: "it turns event triggers off, as for a repair" },
    LeftOut { name: "allow_system_table_mods", harmless: OFF, reason: "it opens the system catalogs, as for a repair" },
    LeftOut {
        name: "zero_damaged_pages",
        harmless: OFF,
        reason: "it loses the rows of damaged pages, as for rescuing a damaged database",
    },
    LeftOut {
        name: "ignore_checksum_failure",
        harmless: OFF,
        reason: "it reads damaged pages, as for rescuing a damaged database",
    },
];

fn left_out(stored: &str) -> Option<&'static LeftOut> {
    let (name, value) = stored.split_once('=')?;
    let found = LEFT_OUT.iter().find(|one| one.name.eq_ignore_ascii_case(name))?;
    let is_harmless = found.harmless.iter().any(|harmless| harmless.eq_ignore_ascii_case(value));
    (!is_harmless).then_some(found)
}

/// Whether a setting, `name=value` of the catalog, is migrated.
#[must_use]
pub fn is_carried_over(stored: &str) -> bool {
    left_out(stored).is_none()
}

/// The finding about a setting that is left out; `statement` is the one that sets it, with everything before SET.
#[must_use]
pub fn finding(object: &str, stored: &str, statement: &str) -> Option<Finding> {
    let found = left_out(stored)?;
    let set = setting(stored)?;
    let message = format!("the setting {stored} is not carried over: {}", found.reason);
    let remedy = format!("where the target needs it, run there: {statement} SET {set}");
    Some(Finding::new("setting_left_out", Severity::Warning, object, message, remedy))
}

/// The name of the database in a statement of a finding: psql replaces the variable.
pub const THIS_DATABASE: &str = "ALTER DATABASE :\"DBNAME\"";

/// The text before SET for a role's settings: those of all databases, and those of the database that psql is connected to.
#[must_use]
pub fn of_role(role: &str) -> [String; 2] {
    let name = ident(role);
    [format!("ALTER ROLE {name}"), format!("ALTER ROLE {name} IN DATABASE :\"DBNAME\"")]
}

/// `name=value` of the catalog as the words after SET.
#[must_use]
pub fn setting(stored: &str) -> Option<String> {
    let (name, value) = stored.split_once('=')?;
    let quoted = if LISTS.contains(&name) && !value.is_empty() {
        value.to_owned()
    } else {
        literal(value).trim_start().to_owned()
    };
    Some(format!("{} TO {quoted}", parameter(name)))
}

/// A parameter's name. Names of extensions' settings have a dot, which is no part of an identifier here.
#[must_use]
pub fn parameter(name: &str) -> String {
    name.split('.').map(ident).collect::<Vec<_>>().join(".")
}

/// A statement about the database in which it runs, whose name on the target a plan does not know.
#[must_use]
pub fn in_this_database(format: &str) -> String {
    let body = format!(
        "BEGIN EXECUTE pg_catalog.format({}, pg_catalog.current_database()); END",
        literal(format).trim_start()
    );
    format!("DO {}", literal(&body).trim_start())
}

/// Text that `format()` returns unchanged.
#[must_use]
pub fn verbatim(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_own_quotes() {
        assert_eq!(setting("search_path=\"$user\", public").unwrap(), "\"search_path\" TO \"$user\", public");
        assert_eq!(setting("work_mem=5MB").unwrap(), "\"work_mem\" TO '5MB'");
        assert_eq!(setting("my.option=it's").unwrap(), "\"my\".\"option\" TO 'it''s'");
    }

    #[test]
    fn what_freezes_a_source_stays_behind() {
        for stored in ["default_transaction_read_only=on", "session_replication_role=replica", "row_security=off"] {
            assert!(!is_carried_over(stored), "{stored}");
        }
        for stored in ["default_transaction_read_only=off", "work_mem=5MB", "statement_timeout=10", "row_security=on"] {
            assert!(is_carried_over(stored), "{stored}");
        }
    }
}
