//! The properties of the database itself, as tasks at the end of a run: privileges, comment, labels, settings.
//!
//! A plan makes no database, so all of this is applied to the database that it runs in, whatever its name, and only if the whole database
//! is migrated. Properties that the target decides, or that belong to the server and not to the database, are named by a finding with the
//! statement.

use super::builder::Builder;
use super::inputs::Inputs;
use crate::catalog::database::{Database, DatabaseGrant};
use crate::catalog::scope::is_whole;
use crate::finding::{Finding, Severity};
use crate::name::{ident, literal, readable};
use crate::plan::setting::{THIS_DATABASE as THIS, finding, in_this_database, is_carried_over, setting, verbatim};
use crate::plan::{Phase, Task, TaskKind};

/// Adds the tasks for the database itself, after `before`.
pub fn push(inputs: &Inputs<'_>, builder: &mut Builder, before: &[String]) {
    if !is_whole(inputs.options.scope) {
        builder.findings.extend(left_behind(inputs));
        return;
    }
    let database = &inputs.catalog.database;
    let tasks = settings(inputs).chain(comment(database)).chain(labels(database));
    builder.push_in_turn(tasks.map(|task| with_order(task, before)), &[]);
    if let Some(task) = privileges(database).filter(|_| inputs.options.scope.privileges) {
        builder.push(with_order(task, before), vec![]);
    }
    builder.findings.extend(findings(inputs));
}

fn with_order(mut task: Task, before: &[String]) -> Task {
    task.after = before.to_vec();
    task
}

fn settings<'a>(inputs: &'a Inputs<'_>) -> impl Iterator<Item = Task> + use<'a> {
    let stored = inputs.catalog.database_settings.iter().filter(|stored| is_carried_over(stored));
    stored.filter_map(|stored| {
        let set = setting(stored)?;
        let name = stored.split_once('=').map_or(stored.as_str(), |(name, _)| name);
        let mut task = Task::new(Phase::Finish, TaskKind::DatabaseSetting, "", name);
        task.target_sql = in_this_database(&format!("ALTER DATABASE %I SET {}", verbatim(&set)));
        Some(task)
    })
}

fn comment(database: &Database) -> Option<Task> {
    let comment = verbatim(&literal(database.comment.as_ref()?));
    let mut task = Task::new(Phase::Finish, "database comment", "", "DATABASE");
    task.optional_sql = in_this_database(&format!("COMMENT ON DATABASE %I IS {comment}"));
    Some(task)
}

fn labels(database: &Database) -> impl Iterator<Item = Task> + use<'_> {
    database.labels.iter().map(|label| {
        let mut task = Task::new(Phase::Finish, "database label", "", "DATABASE");
        let (provider, text) = (verbatim(&ident(&label.provider)), verbatim(&literal(&label.label)));
        task.optional_sql = in_this_database(&format!("SECURITY LABEL FOR {provider} ON DATABASE %I IS {text}"));
        task
    })
}

/// REVOKE from PUBLIC is last, when the roles that keep the privilege have it by name.
fn privileges(database: &Database) -> Option<Task> {
    let lost = database
        .lost_by_public
        .iter()
        .map(|privilege| format!("{};\n", in_this_database(&format!("REVOKE {privilege} ON DATABASE %I FROM PUBLIC"))));
    let sql: String = database.grants.iter().map(grant).chain(lost).collect();
    let mut task = Task::new(Phase::Finish, TaskKind::DatabaseAcl, "", "DATABASE");
    task.target_sql = sql;
    (!task.target_sql.is_empty()).then_some(task)
}

fn grant(grant: &DatabaseGrant) -> String {
    let grantee = grant.grantee.as_deref().map_or_else(|| "PUBLIC".to_owned(), |name| verbatim(&ident(name)));
    let option = if grant.is_grantable { " WITH GRANT OPTION" } else { "" };
    let sql = in_this_database(&format!("GRANT {} ON DATABASE %I TO {grantee}{option}", grant.privilege));
    match &grant.grantor {
        Some(grantor) => format!("SET LOCAL ROLE {};\n{sql};\nRESET ROLE;\n", ident(grantor)),
        None => format!("{sql};\n"),
    }
}

/// One finding for what is left out if only a part of the database is migrated.
fn left_behind(inputs: &Inputs<'_>) -> Option<Finding> {
    let database = &inputs.catalog.database;
    let has = [
        (
            inputs.options.scope.privileges && (!database.grants.is_empty() || !database.lost_by_public.is_empty()),
            "privileges",
        ),
        (database.comment.is_some(), "comment"),
        (!database.labels.is_empty(), "security labels"),
        (!inputs.catalog.database_settings.is_empty(), "settings"),
        (database.connection_limit != -1, "connection limit"),
        (!database.settings_of_all.is_empty(), "settings of all roles"),
    ];
    let has: Vec<&str> = has.into_iter().filter(|(is_there, _)| *is_there).map(|(_, word)| word).collect();
    if has.is_empty() {
        return None;
    }
    let message = format!("filters choose a part of the database: its own {} are not moved", has.join(", "));
    let remedy = "set them on the target where it needs them; pg_dump --create --schema-only shows them";
    Some(Finding::new("database_left_out", Severity::Info, "DATABASE", message, remedy))
}

fn findings(inputs: &Inputs<'_>) -> Vec<Finding> {
    let database = &inputs.catalog.database;
    let mut findings: Vec<Finding> =
        inputs.catalog.database_settings.iter().filter_map(|stored| finding("DATABASE", stored, THIS)).collect();
    let mut add = |message: String, remedy: String| {
        findings.push(Finding::new("database_left_out", Severity::Warning, "DATABASE", message, remedy));
    };
    if database.connection_limit != -1 {
        let limit = database.connection_limit;
        add(
            format!(
                "the connection limit {limit} is not carried over: it may be there to keep sessions away from the source"
            ),
            format!("where the target needs it, run there: {THIS} CONNECTION LIMIT {limit}"),
        );
    }
    if database.is_template {
        add("IS_TEMPLATE is not carried over".into(), format!("run on the target: {THIS} IS_TEMPLATE true"));
    }
    if !database.lost_by_owner.is_empty() && inputs.options.scope.privileges {
        let (lost, owner) = (database.lost_by_owner.join(", "), readable(&database.owner));
        add(
            format!("{lost} is revoked from the owner {owner} on the source, and stays with the target's owner"),
            format!("run on the target: REVOKE {lost} ON DATABASE :\"DBNAME\" FROM its owner"),
        );
    }
    for stored in &database.settings_of_all {
        let set = setting(stored).unwrap_or_default();
        let message = format!(
            "the setting {stored} of all roles is not carried over: it would change every database of the target"
        );
        let remedy =
            format!("run on the target: ALTER ROLE ALL SET {set}, or for this database only: {THIS} SET {set}");
        findings.push(Finding::new("setting_left_out", Severity::Warning, "ALL", message, remedy));
    }
    findings
}
