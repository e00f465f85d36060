//! Conditions on the status of tasks, written from the closed set, so that no statement repeats its texts.

use crate::status::TaskStatus;

/// The texts of these values as a list of SQL.
pub(super) fn list(values: &[TaskStatus]) -> String {
    values.iter().map(|value| format!("'{value}'")).collect::<Vec<_>>().join(", ")
}

/// Nothing is left to do for the task.
pub(super) fn settled() -> String {
    format!("status IN ({})", list(&TaskStatus::SETTLED))
}

/// Something is left to do for the task.
pub(super) fn open() -> String {
    format!("status NOT IN ({})", list(&TaskStatus::SETTLED))
}

/// The task failed, or was blocked by one that did.
pub(super) fn failed() -> String {
    format!("status IN ({})", list(&TaskStatus::FAILED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LeaseRole;
    use crate::status::RunState;

    /// The files have the texts themselves, so that psql can run them.
    #[test]
    fn the_lists_of_sql_files_are_the_closed_sets() {
        let (tables, settle) = (include_str!("../sql/ledger.sql"), include_str!("../sql/settle.sql"));
        let states = RunState::ALL.map(|state| format!("'{state}'")).join(", ");
        assert!(tables.contains(&format!("CHECK (state IN ({states}))")));
        assert!(tables.contains(&format!("CHECK (status IN ({}))", list(&TaskStatus::ALL))));
        let roles = LeaseRole::ALL.map(|role| format!("'{role}'")).join(", ");
        assert!(tables.contains(&format!("CHECK (role IN ({roles}))")));
        assert_eq!(settle.matches(" NOT IN ").count(), settle.matches(&open()).count());
        assert!(settle.contains(&format!("SET status = '{}'", TaskStatus::Done)));
    }
}
