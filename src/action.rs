//! What a remedy asks a person to do with pgmigrate itself, in a form that every interface says in its own way.
//!
//! A command line has flags, Python has keywords, an Airflow operator has arguments. A remedy of the core therefore holds a token, and the
//! interface replaces it by its own words (`python/pgmigrate/_values/wording.py`; a test there compares the two lists).

use std::fmt;

/// An action that a remedy names. Each is the words of a noun, but for [`Action::Again`] and [`Action::Resume`], which are whole instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Repeat the call that was made; one that does a run resumes it.
    Again,
    /// Start the run again, and continue what the ledger holds of it.
    Resume,
    /// The setting that lets one table have rows of two snapshots.
    NotConsistent,
    /// The setting of how many tasks run at once.
    Jobs(i64),
    /// The setting of the plan's file.
    PlanFile,
    /// The setting of the state file.
    StateFile,
    /// The setting of the folder of backups.
    BackupDirectory,
    /// What keeps one snapshot for all parts of a run.
    Hold,
    /// What makes a plan.
    Plan,
    /// What measures the rates of both servers.
    Calibrate,
    /// What compares source and target.
    Verify,
    /// What shows how far a run is.
    Status,
    /// What stops the run on the target.
    Stop,
    /// What goes on with a safe procedure.
    Safe,
    /// What drops the ledger, and with it the record of the last run.
    Cleanup,
}

/// A text that is kept for readers of every interface, such as a note in the ledger: with plain words in place of tokens.
#[must_use]
pub fn plain(text: &str) -> String {
    const WORDS: [(Action, &str); 14] = [
        (Action::Again, "try again"),
        (Action::Resume, "resume the run"),
        (Action::NotConsistent, "the setting `consistent`"),
        (Action::PlanFile, "the setting of the plan file"),
        (Action::StateFile, "the setting of the state file"),
        (Action::BackupDirectory, "the setting of the folder of backups"),
        (Action::Hold, "a holder"),
        (Action::Plan, "a plan"),
        (Action::Calibrate, "a calibration"),
        (Action::Verify, "a verification"),
        (Action::Status, "the status"),
        (Action::Stop, "a stop request"),
        (Action::Safe, "the safe procedure"),
        (Action::Cleanup, "a cleanup"),
    ];
    WORDS.iter().fold(text.to_owned(), |text, (action, words)| text.replace(&action.to_string(), words))
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Action::Again => "again",
            Action::Resume => "resume",
            Action::NotConsistent => "not_consistent",
            Action::Jobs(jobs) => return write!(f, "{{action:jobs {jobs}}}"),
            Action::PlanFile => "plan_file",
            Action::StateFile => "state_file",
            Action::BackupDirectory => "backup_directory",
            Action::Hold => "hold",
            Action::Plan => "plan",
            Action::Calibrate => "calibrate",
            Action::Verify => "verify",
            Action::Status => "status",
            Action::Stop => "stop",
            Action::Safe => "safe",
            Action::Cleanup => "cleanup",
        };
        write!(f, "{{action:{name}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_for_all_interfaces_has_no_token() {
        let remedy = format!("grant it, then {}, or use {}", Action::Resume, Action::Cleanup);
        assert_eq!(remedy, "grant it, then {action:resume}, or use {action:cleanup}");
        assert_eq!(plain(&remedy), "grant it, then resume the run, or use a cleanup");
    }
}
