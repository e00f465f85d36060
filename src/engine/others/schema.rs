//! Whether any session other than the run's own has changed the schema of the target since its backup.
//!
//! What was created or altered is visible in catalog rows of transactions that the ledger does not know; what was dropped, by the backup's
//! table of contents, whose objects no longer exist. Called by `others`.

use super::own::Own;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::config::TargetForeignKeys;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::pg::Session;
use crate::pg::survey::{self, Address, Counters, ForeignKey};
use crate::plan::kind;
use crate::record::Record;
use std::collections::{HashMap, HashSet};

/// What is compared with the current target.
pub(super) struct Schema<'a> {
    pub ledger: &'a Ledger,
    /// What the run did about the target's foreign keys.
    pub keys: TargetForeignKeys,
    pub before: &'a Counters,
    /// The objects of the backup; none where it cannot be read.
    pub entries: &'a [Entry],
    pub records: &'a [Record],
    pub own: &'a Own<'a>,
    pub has_ledger: bool,
}

impl Schema<'_> {
    /// Findings, one per line.
    pub(super) async fn changes(&self, target: &Session, now: &Counters) -> Result<Vec<String>> {
        let mut found = self.removed_parts(now);
        found.extend(self.moved_sequences(now));
        let objects: Vec<Address> = self.entries.iter().filter_map(address).collect();
        let missing = survey::missing_objects(target, &objects).await?;
        let keys = survey::foreign_keys(target).await?;
        let made = keys.iter().filter(|key| self.own.has_key(key)).flat_map(|key| key.objects);
        let mut of_keys: HashSet<Address> = made.collect();
        let keys = self.own_keys(&missing, keys);
        of_keys.extend(keys.iter().flat_map(|key| key.objects));
        let taken = self.ledger.taken_keys(target).await?;
        let is_taken = |entry: &Entry| {
            taken.iter().any(|one| {
                entry.namespace == one.key.table.schema.as_str()
                    && entry.tag == format!("{} {}", one.key.table.name, one.key.name)
            }) || keys.iter().any(|key| is_of(entry, key))
        };
        let gone = self.entries.iter().filter(|entry| address(entry).is_some_and(|a| missing.contains(&a)));
        let is_set = |entry: &Entry| entry.kind == ObjectKind::DefaultAcl && self.own.sets_defaults(&entry.tag);
        let is_others =
            |entry: &&Entry| !is_table(entry) && !is_taken(entry) && !is_set(entry) && !self.is_of_ledger(entry);
        found.extend(gone.filter(is_others).map(dropped));
        let commented: Vec<(Address, i64)> = comments(self.entries).into_iter().collect();
        let lacking = survey::missing_comments(target, &commented).await?;
        let lacking = lacking.into_iter().filter(|change| !self.own.has(change));
        found.extend(lacking.map(|change| format!("{}: a comment on it was removed", change.words)));
        let schema = self.ledger.schema();
        let changed = survey::changed_objects(target, self.before.horizon, schema, self.has_ledger).await?;
        let by_others = changed.into_iter().filter(|one| !of_keys.contains(&one.object) && !self.own.has(one));
        let mut words: Vec<String> = by_others.map(|one| one.words).collect();
        // Each member of a changed extension shows the change.
        words.dedup();
        found.extend(
            words.iter().map(|words| format!("{words}: made or changed by a transaction that is not the run's")),
        );
        Ok(found)
    }

    /// Whether it belongs to the ledger, whose tables a run creates again.
    fn is_of_ledger(&self, entry: &Entry) -> bool {
        entry.namespace == self.ledger.schema() && entry.tag.starts_with("migration_")
    }

    /// The foreign keys that the run has dropped and created again: they exist under the name of a key that is gone.
    fn own_keys(&self, missing: &HashSet<Address>, keys: Vec<ForeignKey>) -> Vec<ForeignKey> {
        if self.keys != TargetForeignKeys::Drop {
            return Vec::new();
        }
        let gone: Vec<&Entry> =
            self.entries.iter().filter(|entry| address(entry).is_some_and(|a| missing.contains(&a))).collect();
        keys.into_iter().filter(|key| gone.iter().any(|entry| is_of(entry, key))).collect()
    }

    fn removed_parts(&self, now: &Counters) -> Vec<String> {
        let mut found = Vec::new();
        for before in &self.before.parts {
            let (total, old) = now
                .parts
                .iter()
                .find(|parts| parts.what == before.what)
                .map_or((0, 0), |parts| (parts.total, parts.old));
            let gone = before.total - old;
            // A changed row counts as removed and as added.
            if gone > total - old {
                found.push(format!("{}: {} were removed", before.what, gone - (total - old)));
            }
        }
        found
    }

    fn moved_sequences(&self, now: &Counters) -> Vec<String> {
        let is_own = |name: &str, quoted: &str| {
            self.records.iter().any(|r| r.kind == kind::SEQUENCE_VALUE && (r.object == name || r.object == quoted))
        };
        let mut found = Vec::new();
        for sequence in &now.sequences {
            let Some(before) = self.before.sequences.iter().find(|one| one.oid == sequence.oid) else { continue };
            let name = &sequence.sequence;
            if before.value != sequence.value && !is_own(&name.to_string(), &name.sql()) {
                found.push(format!("{name}: its value was changed"));
            }
        }
        found
    }
}

fn address(entry: &Entry) -> Option<Address> {
    (entry.catalog != 0 && entry.oid != 0).then_some(Address { catalog: entry.catalog, oid: entry.oid })
}

/// Dropped tables are detected by their counters.
fn is_table(entry: &Entry) -> bool {
    entry.kind == ObjectKind::Table
}

fn is_of(entry: &Entry, key: &ForeignKey) -> bool {
    entry.kind == ObjectKind::FkConstraint && entry.namespace == key.schema.as_str() && entry.tag == key.tag
}

fn dropped(entry: &Entry) -> String {
    let schema = if entry.namespace.is_empty() { String::new() } else { format!("{}.", entry.namespace.as_str()) };
    format!("{} {schema}{}: it was dropped", entry.kind.name(), entry.tag)
}

/// How many comments each object has, by the archive.
fn comments(entries: &[Entry]) -> HashMap<Address, i64> {
    let by_id: HashMap<i32, Address> = entries.iter().filter_map(|e| address(e).map(|found| (e.id, found))).collect();
    let mut numbers = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.kind == ObjectKind::Comment) {
        if let [object] = entry.dependencies.as_slice()
            && let Some(object) = by_id.get(object)
        {
            *numbers.entry(*object).or_insert(0) += 1;
        }
    }
    numbers
}
