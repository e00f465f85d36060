//! The archive of one side, and the search for an entry's counterpart in the archive of the other side.
//!
//! Entries of one kind, schema and tag are usually one object; where a tag is ambiguous (operators of one name), equal texts are matched
//! first, then equal statements that drop the object. Called by `definitions` and `verdict`; touches no server.

use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use std::collections::{HashMap, HashSet};

/// What identifies an object on both sides: kind, schema, name, and the role of default privileges.
pub type Key = (ObjectKind, String, String, String);

/// The entries of one side.
pub struct Archive<'a> {
    /// All of them, in the archive's order.
    pub entries: &'a [Entry],
    by_id: HashMap<i32, usize>,
    by_key: HashMap<Key, Vec<usize>>,
}

impl<'a> Archive<'a> {
    pub fn new(entries: &'a [Entry]) -> Self {
        let by_id = entries.iter().enumerate().map(|(at, entry)| (entry.id, at)).collect();
        let mut by_key: HashMap<Key, Vec<usize>> = HashMap::new();
        for (at, entry) in entries.iter().enumerate() {
            by_key.entry(key(entry)).or_default().push(at);
        }
        Archive { entries, by_id, by_key }
    }

    /// The object that a comment or a privilege is about.
    pub fn holder(&self, part: &Entry) -> Option<&'a Entry> {
        self.needed(part).find(|entry| entry.kind != ObjectKind::Acl)
    }

    /// The entries that an entry depends on.
    pub fn needed<'s>(&'s self, entry: &'s Entry) -> impl Iterator<Item = &'a Entry> + 's {
        entry.dependencies.iter().filter_map(|id| self.by_id.get(id)).map(|&at| &self.entries[at])
    }

    /// The entry of the same object as an entry of the other side.
    pub fn same(&self, entry: &Entry) -> Option<&'a Entry> {
        self.by_key.get(&key(entry))?.first().map(|&at| &self.entries[at])
    }

    /// For each of these entries of the other side its counterpart here, if there is one; and the entries here that have none.
    pub fn match_with(&self, others: &[&Entry], with_tablespaces: bool) -> (Vec<Option<usize>>, Vec<usize>) {
        let mut found: Vec<Option<usize>> = vec![None; others.len()];
        let mut taken: HashSet<usize> = HashSet::new();
        let mut pass = |is_it: &dyn Fn(&Entry, &Entry) -> bool| {
            for (entry, found) in others.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
                let candidates = self.by_key.get(&key(entry)).into_iter().flatten();
                *found = candidates.copied().find(|at| !taken.contains(at) && is_it(entry, &self.entries[*at]));
                taken.extend(*found);
            }
        };
        pass(&|one, other| is_same_text(one, other, with_tablespaces) && one.owner == other.owner);
        pass(&|one, other| is_same_text(one, other, with_tablespaces));
        pass(&|one, other| one.drop_statement == other.drop_statement);
        pass(&|one, _| !one.kind.has_ambiguous_tags());
        let left = (0..self.entries.len()).filter(|at| !taken.contains(at)).collect();
        (found, left)
    }
}

/// An entry's key.
pub fn key(entry: &Entry) -> Key {
    let role = if entry.kind == ObjectKind::DefaultAcl { entry.owner.to_string() } else { String::new() };
    (entry.kind.clone(), entry.namespace.to_string(), entry.tag.clone(), role)
}

/// Whether one `pg_dump` wrote the same text for both.
pub fn is_same_text(entry: &Entry, other: &Entry, with_tablespaces: bool) -> bool {
    entry.with_settings(with_tablespaces) == other.with_settings(with_tablespaces)
}
