//! Drops the foreign keys of existing tables of the target while rows are copied, and creates them again: only in a run with `data_only` and
//! `target_foreign_keys: drop`, for which `plan/build/data_only` makes the tasks. Without `drop` they stay, and `load_order` orders the tables.
//!
//! Each step commits together with the ledger's record of the key, so a run that is killed at any point can be resumed, or its ledger
//! cleaned up, and every key is created again. A run that ends early creates the keys again itself, as far as that needs no check of the
//! rows. A key that it could not create is named by report, status, preflight and verification until it exists. Called by `worker` for the
//! tasks of a plan, by `begin` and `join` where a run goes on, by `close`, and by the verb `cleanup`.

use super::existing;
use crate::action::Action;
use crate::error::{Error, Kind, Result, Side};
use crate::finding::{Finding, Severity};
use crate::ledger::{Ledger, Taken};
use crate::name::QualifiedName;
use crate::pg::apply::{self, Orphans};
use crate::pg::search_path;
use crate::pg::{Session, foreign_keys, introspect};
use crate::plan::{Plan, TaskKind};
use crate::record::Record;
use crate::verification::{Difference, DifferenceKind};
use std::collections::HashSet;

/// The keys that runs have dropped and that, by the catalog, are not as they were.
#[derive(Debug, Default)]
pub struct Left {
    gone: Vec<String>,
    unchecked: Vec<String>,
}

impl Left {
    /// Reads ledger and catalog.
    pub async fn read(ledger: &Ledger, target: &Session) -> Result<Left> {
        let mut left = Left::default();
        for taken in ledger.taken_keys(target).await?.into_iter().filter(Taken::is_open) {
            let list = if taken.found.is_none() { &mut left.gone } else { &mut left.unchecked };
            list.push(taken.key.object());
        }
        Ok(left)
    }

    /// What is wrong with these keys; none where there are none.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        let part =
            |names: &[String], words: &str| (!names.is_empty()).then(|| format!("{words}: {}", names.join(", ")));
        let parts: Vec<String> = [
            part(&self.gone, "foreign keys of the target are missing"),
            part(&self.unchecked, "foreign keys of the target are NOT VALID"),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// The same as a finding.
    #[must_use]
    pub fn finding(&self) -> Option<Finding> {
        self.message().map(|message| Finding::new("foreign_keys_left", Severity::Warning, "", message, left_remedy()))
    }

    /// The same as differences of a verification.
    #[must_use]
    pub fn differences(&self) -> Vec<Difference> {
        let gone = |object: &String| {
            Difference::new(
                DifferenceKind::MissingObject,
                object,
                "a run has dropped the foreign key, and it is not created again",
            )
        };
        let unchecked = |object: &String| {
            Difference::new(
                DifferenceKind::InvalidConstraint,
                object,
                "a run has dropped and created the foreign key, and it is NOT VALID",
            )
        };
        self.gone.iter().map(gone).chain(self.unchecked.iter().map(unchecked)).collect()
    }
}

/// The remedy for such keys.
pub fn left_remedy() -> String {
    format!("{}, or let {} create them again", Action::Resume, Action::Cleanup)
}

/// Seconds that a run that ends early waits for each lock to create its keys again.
const WAIT_AT_THE_END: u64 = 5;

/// Creates the keys again that a run which ends early has dropped, without a check of their rows, unless other processes work on the run.
/// The caller holds the run's lock, so that no other run can begin meanwhile.
pub async fn give_back(ledger: &Ledger, target: &Session, lock_timeout: u64) -> Result<()> {
    ledger.lock_begin(target).await?;
    let result = async {
        if ledger.is_locked(target).await? || ledger.holder(target).await?.is_some() {
            return Ok(());
        }
        let lock_timeout = if lock_timeout == 0 { WAIT_AT_THE_END } else { lock_timeout.min(WAIT_AT_THE_END) };
        Place { target, ledger, lock_timeout }.bring_back().await
    };
    let result = result.await;
    ledger.unlock_begin(target).await?;
    result
}

/// Where keys are dropped and created again.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// A session on the target.
    pub target: &'a Session,
    /// Its ledger.
    pub ledger: &'a Ledger,
    /// Seconds to wait for a lock.
    pub lock_timeout: u64,
}

impl Place<'_> {
    /// Drops the keys that check rows of `tables`, in the open transaction; returns their number, and those that the role may not drop.
    pub async fn take(&self, run: i64, tables: &HashSet<QualifiedName>) -> Result<(usize, Vec<String>)> {
        let (own, others): (Vec<_>, Vec<_>) =
            foreign_keys::of_tables(self.target, tables).await?.into_iter().partition(|key| key.may_drop);
        for key in &own {
            self.ledger.keep_key(self.target, run, key).await?;
            foreign_keys::drop(self.target, key).await.map_err(|error| error.object(key.object()))?;
        }
        Ok((own.len(), others.iter().map(foreign_keys::Key::object).collect()))
    }

    /// Drops once more the keys that an earlier end of the run has created again, where a row task of `plan` that `is_wanted` is still open
    /// and the keys were to be dropped. The tasks that created and checked them are to be done again.
    pub async fn take_again(
        &self,
        run: i64,
        plan: &Plan,
        records: &[Record],
        is_wanted: &(dyn Fn(&Record) -> bool + Sync),
    ) -> Result<bool> {
        let of_kind = |kinds: &'static [TaskKind]| records.iter().filter(|record| kinds.contains(&record.kind));
        let is_dropped = of_kind(&[TaskKind::FkDrop]).any(Record::is_settled);
        if !is_dropped || !of_kind(&[TaskKind::Data]).any(|record| !record.is_settled() && is_wanted(record)) {
            return Ok(false);
        }
        let settled = of_kind(&[TaskKind::FkRestore, TaskKind::FkCheck]).filter(|record| record.is_settled());
        let again: Vec<String> = settled.map(|record| record.task.clone()).collect();
        self.apart(async {
            self.take(run, &existing::tables(plan)).await?;
            self.ledger.reset(self.target, run, &again).await
        })
        .await?;
        Ok(true)
    }

    /// Creates every key again that need not be checked at once. A key that cannot be created does not prevent the others: the first error
    /// is returned when all have been tried.
    pub async fn bring_back(&self) -> Result<()> {
        let mut first = None;
        let taken = self.ledger.taken_keys(self.target).await?;
        for one in taken.iter().filter(|one| one.is_gone() && one.key.may_wait(self.target)) {
            if let Err(error) = self.apart(self.make(one)).await {
                first.get_or_insert(named(one, error));
            }
        }
        first.map_or(Ok(()), Err)
    }

    async fn make(&self, one: &Taken) -> Result<()> {
        foreign_keys::make(self.target, &one.key, false).await?;
        if one.key.is_unchecked() {
            self.ledger.forget_key(self.target, &one.key).await
        } else {
            self.ledger.key_is_back(self.target, &one.key).await
        }
    }

    /// Checks the rows of the keys of one table; keys that do not exist yet are created. Orphan rows leave a key NOT VALID, and are the
    /// error that is returned.
    pub async fn check(&self, table: &QualifiedName) -> Result<usize> {
        let (checked, errors) = self.check_those(|key| key.checked == *table).await?;
        errors.into_iter().next().map_or(Ok(checked), Err)
    }

    /// Checks the rows of all keys, as `check` does; returns an error for each key that is not as it was.
    pub async fn check_all(&self) -> Result<Vec<Error>> {
        Ok(self.check_those(|_| true).await?.1)
    }

    async fn check_those(&self, is_wanted: impl Fn(&foreign_keys::Key) -> bool) -> Result<(usize, Vec<Error>)> {
        let taken = self.ledger.taken_keys(self.target).await?;
        let (mut checked, mut errors) = (0, Vec::new());
        for one in taken.iter().filter(|one| is_wanted(&one.key)) {
            let done = match self.apart(self.finish(one)).await {
                // The plan of the check reads indexes, whose functions may name objects without a schema.
                Err(error) if error.is_undefined() => self.apart(self.finish_by_path(one)).await.map_err(|_| error),
                done => done,
            };
            match done {
                Ok(()) => checked += 1,
                Err(error) if self.target.is_closed() => return Err(error),
                Err(error) => errors.push(named(one, self.orphans(one, error).await?)),
            }
        }
        Ok((checked, errors))
    }

    /// The same, with names resolved by the `search_path` that sessions of the target's users have.
    async fn finish_by_path(&self, one: &Taken) -> Result<()> {
        let path = introspect::search_path(self.target).await?;
        self.target.batch(&search_path::of_transaction(&path)).await?;
        self.finish(one).await
    }

    async fn finish(&self, one: &Taken) -> Result<()> {
        if one.is_gone() {
            foreign_keys::make(self.target, &one.key, true).await?;
        }
        if !one.key.is_unchecked() {
            foreign_keys::validate(self.target, &one.key).await?;
        }
        self.ledger.forget_key(self.target, &one.key).await
    }

    /// Does one step in a transaction of its own.
    async fn apart(&self, step: impl Future<Output = Result<()>>) -> Result<()> {
        apply::begin(self.target, self.lock_timeout, "foreign key").await?;
        match step.await {
            Ok(()) => apply::commit(self.target).await,
            Err(error) => {
                // Where the session is lost, so is its transaction.
                let _ = apply::rollback(self.target).await;
                Err(error)
            }
        }
    }

    /// The error of a failed check, with the rows that reference nothing.
    async fn orphans(&self, one: &Taken, error: Error) -> Result<Error> {
        if !error.is("23503") {
            return Ok(error);
        }
        if one.is_gone() {
            let doing = "creating a foreign key of a partitioned table again: some rows reference nothing, so the key does not exist";
            return Ok(orphaned(doing.into(), &error).remedy(format!(
                "correct the rows, then {}, or run: {}",
                Action::Resume,
                one.key.add(true)
            )));
        }
        let (table, name) = (one.key.table.sql(), crate::name::ident(&one.key.name));
        let Some(Orphans { count, query }) = apply::orphans(self.target, &table, &name).await? else {
            return Ok(error);
        };
        let doing =
            format!("checking a foreign key: {count} rows reference nothing, and the constraint stays NOT VALID");
        Ok(orphaned(doing, &error).remedy(format!("list them with: {query}")))
    }
}

fn orphaned(doing: String, error: &Error) -> Error {
    let reported = Error::new("orphan_rows", Kind::Schema, doing).on(Side::Target);
    match error.server().cloned() {
        Some(reply) => reported.caused_by_server(reply),
        None => reported,
    }
}

fn named(one: &Taken, mut error: Error) -> Error {
    error.doing = format!("{}: {}", one.key.object(), error.doing);
    // The server names the table.
    error.context.object = Some(one.key.object());
    error
}
