//! The checks that a preflight makes, by the names in their findings, and what is true where a check finds nothing.
//!
//! A list of findings does not show which checks were made and found nothing; a checklist must. A test below compares the table with the
//! names in this folder's files. Called by the verb.

use crate::closed_set::closed_set;
use crate::engine::raw_text;
use crate::finding::{Finding, Severity};
use serde::Serialize;

/// A check with its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, as in its findings.
    #[serde(rename = "check")]
    pub name: String,
    /// What is true where it finds nothing.
    pub about: String,
    /// Its result.
    pub state: CheckState,
}

closed_set! {
    /// The result of a check.
    pub enum CheckState, "state of a check" {
        /// Nothing was found.
        Ok = "ok",
        /// Its most severe finding is informative.
        Info = "info",
        /// Its most severe finding is a warning.
        Warning = "warning",
        /// Its most severe finding blocks the run.
        Blocking = "blocking",
        /// It was not made, because an earlier one blocks the run.
        NotMade = "not_made",
    }
}

/// The checks that are made before the source's schema is read.
const PREREQUISITES: &[(&str, &str)] = &[
    ("source_version", "the source is of a version that pgmigrate reads"),
    ("target_version", "the target is of a version that pgmigrate writes"),
    ("target_older", "the target is not older than the source"),
    ("same_database", "source and target are two databases"),
    ("same_cluster", "source and target are not copies of one cluster"),
    ("target_read_only", "the target can be written"),
    ("source_standby", "the source is a primary"),
    ("standby_conflicts", "no standby ends the run's queries"),
    ("source_options", "the source's conninfo sets nothing that is pinned"),
    ("target_options", "the target's conninfo sets nothing that is pinned"),
    (raw_text::CHECK, "names and definitions on the source can be read as text"),
    ("source_right", "everything in scope may be read on the source"),
    ("clause", "the source accepts every `where` and `order_by`"),
    ("table_locks", "no session has locked tables in scope"),
    ("revision", "both databases are at the alembic revisions that the configuration requires"),
];

/// The checks that need the source's schema and the plan.
const WHOLE: &[(&str, &str)] = &[
    ("pg_dump_version", "pg_dump is new enough"),
    ("dump_filter", "pg_dump may read the whole source"),
    ("target_dump", "pg_dump may read what it has to of the target"),
    ("backup_dir", "the folder of backups can be written"),
    ("build", "the target's server was built with what the scope uses"),
    ("library", "the target has the libraries of functions in C"),
    ("row_security", "no row of the source is hidden by row security"),
    ("target_create", "schemas can be created on the target"),
    ("target_right", "the tables that exist on the target may be written"),
    ("target_row_security", "no row is refused by row security on the target"),
    ("run_active", "no other run is active on the target"),
    ("target_sessions", "no other session is connected to the target"),
    ("source_writers", "no session writes to the source"),
    ("long_transactions", "no transaction is open for long"),
    ("prepared_transaction", "no prepared transaction is left"),
    ("connections", "both servers have connections to spare"),
    ("locks", "both servers have room for the run's locks"),
    ("disk", "the target needs little disk space"),
    ("large_objects", "there are no large objects to copy"),
    ("large_object_refused", "the target's role may write the large objects that the target has already"),
    ("tablespace", "the target has the tablespaces"),
    ("access_method", "the target has the access methods"),
    ("unlogged", "no unlogged table would be read from a standby"),
    ("invalid_indexes", "all indexes of the source are valid"),
    ("table_exists", "no table exists on the target yet"),
    ("rows_not_moved", "no table that an earlier run has copied is left as it is"),
    ("rules", "no rule of the target is on a table whose rows are merged"),
    ("alembic_version", "alembic's own table is not among those that are copied"),
    ("table_missing", "a data-only run has all of its tables on the target"),
    ("table_kind", "no name of a table is taken by something else on the target"),
    ("column_missing", "tables on the target have all columns that are copied"),
    ("column_type", "columns that exist on the target have their types"),
    ("column_generated", "columns that exist on the target are generated as on the source"),
    ("column_extra", "tables on the target have no columns of their own"),
    ("column_null", "no column of the target refuses NULL where the source allows it"),
    ("on_conflict", "a key identifies the rows that a data-only run finds on the target"),
    ("sequence_missing", "a data-only run has all of its sequences on the target"),
    ("triggers_fire", "no trigger of the target fires for copied rows"),
    ("triggers_disabled", "no trigger of the target has to be disabled"),
    (super::event_trigger::CHECK, "no event trigger of the target fires for the run's statements"),
    ("foreign_key_cycle", "tables can be loaded in the order of the target's foreign keys"),
    ("foreign_keys_left", "no foreign key of the target is missing because of an earlier run"),
    ("foreign_keys_dropped", "no foreign key of the target has to be dropped"),
    ("foreign_keys_kept", "no foreign key of the target prevents the copy"),
    ("target_lacks", "the target's version has all features that are used"),
    ("lost_privileges", "the target's version has all privileges that are granted"),
    ("role_name", "the target's version accepts the names of the roles"),
    ("operator_class", "the target has the operator classes of all indexes"),
    ("extension_configuration", "extensions on the target have the source's configuration tables"),
    ("extension_missing", "the extensions are available on the target"),
    ("extension_right", "the target's role may create the extensions"),
    ("extension_schema", "extensions on the target are in their schemas"),
    ("extension_owner", "extensions on the target have their owners"),
    ("extension_version", "extensions on the target are of the same version"),
    ("extension_member", "no extension on the target has an object with the name of one that is created"),
    ("needs_superuser", "nothing needs a superuser on the target"),
    ("encoding", "both databases have one encoding"),
    ("target_encoding", "the target's encoding has all characters of names and definitions"),
    ("collation", "both databases have one collation"),
    ("collation_version", "collations are of the version that indexes were built with"),
    ("collation_missing", "the target has the collations"),
    ("mapping_options", "the options of user mappings can be read"),
    ("role_creation", "the target's role may create the roles"),
    ("role_passwords", "the passwords of roles can be read"),
    ("role_attributes", "the target's role may grant the roles' attributes"),
    ("role_missing", "all roles that are named exist on the target or are created"),
    ("membership_refused", "the target's role may grant the memberships"),
    ("membership_changed", "memberships keep their grantors and options"),
    ("role_settings", "the target's role may alter the roles"),
    ("parameter_privileges", "no privileges on configuration parameters are granted"),
    ("parameter_refused", "the target's role may set the parameters of functions, roles and the database"),
    ("privileges_grantor", "the target's role can act as the grantors of privileges"),
    ("privileges_owner", "the target's role owns what gets privileges"),
    ("default_privileges", "the target's role may set default privileges"),
    ("database_privileges", "the target's role owns the database that gets privileges"),
    ("database_refused", "the target's role owns the database that gets settings"),
    ("foreign_server", "the target's role may use the foreign data wrappers"),
    ("relation_refused", "the target's role may alter the tables and views to which indexes and constraints are added"),
    ("comment_refused", "the target's role owns what gets comments"),
    ("label_provider", "the target has loaded the providers of security labels"),
    ("label_refused", "the target's role owns what gets security labels"),
    ("owner", "the target's role may set the owners"),
    ("owner_privileges", "the target's role has the privileges of the owners that it sets"),
    ("database_owner", "both databases belong to the same role"),
];

/// All checks with their results; `is_whole` says that none was left out.
pub(in crate::engine) fn outcomes(findings: &[Finding], is_whole: bool) -> Vec<Check> {
    let prerequisites = PREREQUISITES.iter().map(|check| (check, CheckState::Ok));
    let rest = WHOLE.iter().map(|check| (check, if is_whole { CheckState::Ok } else { CheckState::NotMade }));
    let outcome = |((name, about), unfound): (&(&str, &str), CheckState)| {
        let heaviest = findings.iter().filter(|finding| finding.check == *name).map(|finding| finding.severity).max();
        Check {
            name: (*name).to_owned(),
            about: (*about).to_owned(),
            state: heaviest.map_or(unfound, CheckState::from),
        }
    };
    prerequisites.chain(rest).map(outcome).collect()
}

impl From<Severity> for CheckState {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => CheckState::Info,
            Severity::Warning => CheckState::Warning,
            Severity::Blocking => CheckState::Blocking,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The first argument of every call that makes a finding in this folder; findings of the planner have their names there, too.
    fn named() -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/preflight");
        let mut names = BTreeSet::from(
            [
                crate::plan::build::revision::CHECK,
                crate::engine::refuse::RUN_ACTIVE,
                raw_text::CHECK,
                super::super::event_trigger::CHECK,
            ]
            .map(str::to_owned),
        );
        for entry in std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()) {
            if ["tests.rs", "checks.rs"].contains(&entry.file_name().and_then(|name| name.to_str()).unwrap_or_default())
            {
                continue;
            }
            let text = std::fs::read_to_string(entry).expect("a source");
            for call in ["blocking(", "warning(", "info("] {
                let arguments = text.split(call).skip(1).map(str::trim_start);
                let first = arguments.filter_map(|rest| rest.strip_prefix('"').or(rest.strip_prefix("&format!(\"")));
                let literal = first.map(|rest| rest.split('"').next().unwrap_or_default().to_owned());
                names.extend(literal.flat_map(|name| match name.strip_prefix("{side}") {
                    Some(rest) => vec![format!("source{rest}"), format!("target{rest}")],
                    None => vec![name],
                }));
            }
        }
        names
    }

    #[test]
    fn the_table_has_every_check_and_no_other() {
        let listed: Vec<String> = PREREQUISITES.iter().chain(WHOLE).map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), named());
        assert_eq!(listed.len(), named().len(), "no name stands twice");
    }

    #[test]
    fn the_heaviest_finding_counts_and_what_was_not_made_says_so() {
        let find = |check: &str, severity| Finding::new(check, severity, "", "m", "");
        let findings = [find("table_locks", Severity::Info), find("table_locks", Severity::Warning)];
        let state = |name: &str, is_whole| {
            outcomes(&findings, is_whole).into_iter().find(|check| check.name == name).map(|check| check.state)
        };
        assert_eq!(state("table_locks", false), Some(CheckState::Warning));
        assert_eq!(state("source_version", false), Some(CheckState::Ok));
        assert_eq!((state("owner", false), state("owner", true)), (Some(CheckState::NotMade), Some(CheckState::Ok)));
    }
}
