//! Tasks that grant and revoke, and the task that compares the results of all of them at the end of a run.
//!
//! The server answers a GRANT that grants nothing with a warning, so a statement counts only where it was neither refused nor warned about,
//! or where the object's privileges equal the source's anyway. Statements that took effect stay; the task fails with an error that names
//! the others.

use super::rows::joined;
use super::{Settled, Worker};
use crate::action::Action;
use crate::engine::privileges::settings;
use crate::engine::privileges::{Comparison, Difference, is_by_default, scope};
use crate::error::{Error, Kind, Result};
use crate::finding::{Finding, Severity};
use crate::pg::apply;
use crate::pg::notice::Warning;
use crate::pg::privileges::{self, Held};
use crate::pg::statements::{self, Applied, Effect as Came};
use crate::plan::build::{privilege, role};
use crate::plan::{MemberOf, Task, TaskKind};
use crate::record::Effect;
use crate::server_version::ServerVersion;
use crate::status::TaskStatus;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// The most objects that a message names; the others are counted.
const NAMED: usize = 20;

impl Worker {
    /// Sets the privileges of one object, statement by statement.
    pub(super) async fn grant(&mut self, task: &Task) -> Result<Settled> {
        self.begin(task).await?;
        let target = self.target().await?;
        let (units, left_out) = known_to(target.version(), &task.target_sql);
        let units: Vec<&str> = units.iter().map(AsRef::as_ref).collect();
        let applied = statements::each(target, &units).await?;
        let open: Vec<&Applied<'_>> = applied.iter().filter(|one| !one.is_done()).collect();
        if task.kind == TaskKind::DatabaseAcl && !privileges::may_connect(self.target().await?).await? {
            return Err(locked_out(task));
        }
        let lost = if left_out { LOST } else { "" };
        if open.is_empty() {
            return self.settle(task, TaskStatus::Done, Effect { note: lost.into(), ..Effect::default() }).await;
        }
        let words = open.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let is_other_warning = |one: &&Applied<'_>| match &one.effect {
            Came::Warned(warnings) => !warnings.iter().any(Warning::is_about_privileges),
            Came::Done | Came::Refused(_) => false,
        };
        let differences = self.differences(task).await?;
        if open.iter().all(is_other_warning) || differences.as_ref().is_some_and(Vec::is_empty) {
            let note =
                format!("the privileges are the source's, although the target did not take every statement: {words}");
            let note = joined([&note, lost]);
            return self.settle(task, TaskStatus::Done, Effect { note, ..Effect::default() }).await;
        }
        apply::commit(self.target().await?).await?;
        Err(not_granted(task, &applied, &differences.unwrap_or_default()))
    }

    /// Adds a membership, in the name of its grantor on the source where the target lets the connecting role do that.
    pub(super) async fn add_member(&mut self, task: &Task) -> Result<Settled> {
        self.begin(task).await?;
        let target = self.target().await?;
        let there = match task.membership() {
            Some(MemberOf { granted, member }) => apply::memberships(target, granted, member).await?,
            None => Vec::new(),
        };
        if there.iter().any(|one| one.is_made_by(task)) {
            let effect = Effect { note: "it existed on the target and was kept".into(), ..Effect::default() };
            return self.settle(task, TaskStatus::Kept, effect).await;
        }
        let has_options = there.iter().find(|one| one.inherit_and_set.is_some());
        let usual = has_options.map(|one| role::with_usual_options(task, one.member_inherits));
        let both = [task.optional_sql.as_str(), usual.as_deref().unwrap_or(&task.target_sql)];
        let mut refused = Vec::new();
        for sql in both.into_iter().filter(|sql| !sql.is_empty()) {
            match statements::each(target, &[sql]).await?.into_iter().find(|one| !one.is_done()) {
                None => break,
                Some(one) => refused.push(one),
            }
        }
        let is_granted = refused.len() < both.iter().filter(|sql| !sql.is_empty()).count();
        if !is_granted && there.is_empty() {
            return Err(not_a_member(task, &refused));
        }
        let mut effect = Effect::default();
        if let Some(first) = refused.first() {
            let note = format!("its grantor or its options are not those of the source: {first}");
            let remedy = format!("as a role that may grant it, run: {}", first.sql);
            let finding = Finding::new("membership", Severity::Warning, task.object(), note.clone(), remedy);
            self.job.report(vec![finding]);
            effect.note = note;
        }
        self.settle(task, if is_granted { TaskStatus::Done } else { TaskStatus::Kept }, effect).await
    }

    /// Makes a role with its password, its attributes and its settings, of which the target may refuse some.
    pub(super) async fn make_role(&mut self, task: &Task) -> Result<Settled> {
        self.open_source().await?;
        self.begin(task).await?;
        let (source, target) = self.sessions()?;
        if apply::has_role(target, &task.name).await? {
            let effect = Effect { note: "it existed on the target and was kept".into(), ..Effect::default() };
            return self.settle(task, TaskStatus::Kept, effect).await;
        }
        target.batch(&task.target_sql).await?;
        if let Some(hash) = apply::password_hash(source, &task.source_sql).await? {
            apply::set_password(target, &task.name, &hash).await?;
        }
        let applied = statements::each(target, &privilege::units(&task.optional_sql)).await?;
        let refused: Vec<&Applied<'_>> = applied.iter().filter(|one| !one.is_done()).collect();
        let mut effect = Effect::default();
        if !refused.is_empty() {
            let words: Vec<String> = refused.iter().map(ToString::to_string).collect();
            let note = format!("refused by the target: {}", words.join("; "));
            let statements: Vec<&str> = refused.iter().map(|one| one.sql).collect();
            let remedy = format!("as a role that may, run: {}", statements.join("; "));
            self.job.report(vec![Finding::new("refused", Severity::Warning, task.object(), note.clone(), remedy)]);
            effect.note = note;
        }
        // A refused query of the passwords aborts the reader's transaction.
        self.source = None;
        self.settle(task, TaskStatus::Done, effect).await
    }

    /// What the server warned about when it ran a task's statement, as text; also reported as a finding.
    pub(super) async fn warned(&mut self, task: &Task) -> Result<String> {
        let warnings = self.target().await?.take_warnings();
        let words: Vec<String> =
            warnings.iter().filter(|warning| !warning.is_from_function).map(ToString::to_string).collect();
        if words.is_empty() {
            return Ok(String::new());
        }
        let note = format!("the server warned: {}", words.join("; "));
        let remedy = "check on the target that it is as it should be";
        self.job.report(vec![Finding::new("warned", Severity::Warning, task.object(), note.clone(), remedy)]);
        Ok(note)
    }

    /// How the privileges of a task's object differ from the source's now; none where the object is of a kind that is not compared.
    async fn differences(&mut self, task: &Task) -> Result<Option<Vec<Difference>>> {
        let Some(place) = privilege::place(task) else { return Ok(None) };
        self.open_source().await?;
        let (source, target) = self.sessions()?;
        let (found, on_target) = tokio::try_join!(privileges::of(source, &place), privileges::of(target, &place))?;
        if on_target.is_empty() {
            // An object that does not exist has no privileges.
            return Ok(None);
        }
        let scope =
            HashMap::from([(place, crate::engine::privileges::Compared { privileges: true, ..Default::default() })]);
        let mut comparison = Comparison::new(&scope, source.version().min(target.version()));
        for held in found {
            comparison.source(held);
        }
        for held in on_target {
            comparison.target(held);
        }
        Ok(Some(comparison.finish().into_iter().map(|(difference, _)| difference).collect()))
    }

    /// Compares owners, privileges and settings with the source's. A difference that was not reported before fails the task.
    pub(super) async fn check_privileges(&mut self, task: &Task) -> Result<Settled> {
        let job = Arc::clone(&self.job);
        self.open_source().await?;
        self.begin(task).await?;
        let (source, target) = self.sessions()?;
        let notes = job.ledger.notes(target, job.run).await?;
        let scope = scope(&job.tasks, &notes, &job.scope);
        let mut comparison = Comparison::new(&scope, source.version().min(target.version()));
        let mut defaults: Vec<Held> = Vec::new();
        privileges::each(source, |held| comparison.source(held)).await?;
        privileges::each(target, |held| {
            if held.place.class == "DEFAULT ACL" {
                defaults.push(held.clone());
            }
            comparison.target(held);
        })
        .await?;
        let settings = settings::differences(&job.tasks, &notes, source, target).await?;
        let mut found = PrivilegeDifferences { settings, ..PrivilegeDifferences::default() };
        for (difference, is_refused) in comparison.finish() {
            found.add(difference, is_refused, &defaults);
        }
        let (findings, failure) = found.finish(task, scope.len());
        job.report(findings);
        match failure {
            Some(error) => Err(error),
            None => {
                self.settle(
                    task,
                    TaskStatus::Done,
                    Effect { note: format!("{} objects compared", scope.len()), ..Effect::default() },
                )
                .await
            }
        }
    }
}

/// The differences by their meaning.
#[derive(Debug, Default)]
struct PrivilegeDifferences {
    wrong: Vec<Difference>,
    refused: Vec<Difference>,
    by_default: Vec<Difference>,
    settings: Vec<(String, String)>,
}

impl PrivilegeDifferences {
    fn add(&mut self, difference: Difference, is_refused: bool, defaults: &[Held]) {
        let list = if is_refused && difference.owners.is_some() {
            &mut self.refused
        } else if is_by_default(&difference, defaults) {
            &mut self.by_default
        } else {
            &mut self.wrong
        };
        list.push(difference);
    }

    fn finish(self, task: &Task, compared: usize) -> (Vec<Finding>, Option<Error>) {
        let mut findings = Vec::new();
        let mut add = |check: &str, differences: &[Difference], remedy: &str| {
            let each = differences.iter().take(NAMED).map(|difference| {
                Finding::new(check, Severity::Warning, difference.object(), difference.words(), remedy)
            });
            findings.extend(each);
            if differences.len() > NAMED {
                let message = format!("{} more objects differ in the same way", differences.len() - NAMED);
                findings.push(Finding::new(check, Severity::Warning, "", message, remedy));
            }
        };
        add("owner", &self.refused, "as a role that may, set the source's owner (ALTER ... OWNER TO)");
        add(
            "default_privileges",
            &self.by_default,
            "REVOKE them if they are not intended: default privileges of the target have granted them",
        );
        add(
            "privileges",
            &self.wrong,
            &format!("as the object's owner, GRANT or REVOKE what differs, then {}", Action::Resume),
        );
        findings.extend(self.settings.iter().take(NAMED).map(|(object, words)| {
            Finding::new("privileges", Severity::Warning, object, words, "set it on the target as it is on the source")
        }));
        let is_equal = self.wrong.is_empty() && self.settings.is_empty();
        (findings, (!is_equal).then(|| differing(task, &self, compared)))
    }
}

/// The note about privileges that are left out.
const LOST: &str = "MAINTAIN was left out, which the target's version does not have";

/// The statements of a task for a server of this version, and whether a privilege that it does not have was left out.
fn known_to(version: ServerVersion, sql: &str) -> (Vec<Cow<'_, str>>, bool) {
    let units = privilege::units(sql);
    if version.has_maintain_privilege() {
        return (units.into_iter().map(Cow::Borrowed).collect(), false);
    }
    let kept: Vec<Cow<'_, str>> =
        units.iter().filter_map(|unit| privilege::without_maintain(unit)).map(Cow::Owned).collect();
    let left_out = kept.iter().map(AsRef::as_ref).ne(units.iter().copied());
    (kept, left_out)
}

fn listed(words: &[String]) -> String {
    let rest = words.len().saturating_sub(NAMED);
    let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
    format!("{}{more}", words[..words.len() - rest].join("; "))
}

fn in_words(differences: &[Difference]) -> Vec<String> {
    differences.iter().map(|difference| format!("{}: {}", difference.object(), difference.words())).collect()
}

fn differing(task: &Task, found: &PrivilegeDifferences, compared: usize) -> Error {
    let mut words = in_words(&found.wrong);
    words.extend(found.settings.iter().map(|(object, words)| format!("{object}: {words}")));
    let doing = format!(
        "{} differences of owners, privileges and settings in {compared} objects: {}",
        words.len(),
        listed(&words)
    );
    Error::new("privileges_differ", Kind::Schema, doing)
        .object(task.object())
        .remedy(format!("as the owner of each object, set what differs, then {}", Action::Resume))
}

fn locked_out(task: &Task) -> Error {
    Error::new(
        "connect_privilege_lost",
        Kind::Schema,
        "the connecting role would lose CONNECT on the database: none of its privileges were set",
    )
    .object(task.object())
    .remedy(format!("GRANT CONNECT on the database to the connecting role, or as its owner run: {}", task.target_sql))
}

fn not_a_member(task: &Task, refused: &[Applied<'_>]) -> Error {
    let words = refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let statement = refused.first().map(|one| one.sql).unwrap_or_default();
    let mut error =
        Error::new("membership_refused", Kind::Schema, format!("granting a membership was refused: {words}"))
            .object(task.object())
            .remedy(format!("as a role with ADMIN OPTION on the granted role, run: {statement}"));
    error.sqlstate = refused.last().and_then(|one| one.sqlstate()).map(Into::into);
    error
}

fn not_granted(task: &Task, applied: &[Applied<'_>], differences: &[Difference]) -> Error {
    let open: Vec<&Applied<'_>> = applied.iter().filter(|one| !one.is_done()).collect();
    let words = open.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let mut doing = format!(
        "setting privileges: {} of {} statements had no effect or were refused: {words}",
        open.len(),
        applied.len()
    );
    if !differences.is_empty() {
        doing = format!("{doing}; {}", listed(&in_words(differences)));
    }
    let statements: Vec<&str> = open.iter().map(|one| one.sql).collect();
    let mut error = Error::new("privileges_refused", Kind::Schema, doing)
        .object(task.object())
        .remedy(format!("as a role that may grant on it, run: {}", statements.join("; ")));
    error.sqlstate = open.first().and_then(|one| one.sqlstate()).map(Into::into);
    error
}
