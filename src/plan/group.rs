//! A plan's rows in balanced groups, for processes that share only the ledger.
//!
//! Tasks that wait for each other stay together: a table's emptying and its rows. A table that fits into a group stays whole, so that an
//! unfinished group does not affect the tables of another; a larger one is distributed chunk by chunk. The units are assigned to the group
//! with the least time, the largest first (Graham, Bounds on multiprocessing timing anomalies, SIAM J. Appl. Math. 17, 1969), by the time
//! that they take. Pure; called by the bindings.

use super::{Phase, Plan, Task, TaskKind, cost};
use crate::error::{Error, Result};
use crate::name::QualifiedName;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

/// The ids of the tasks of these phases, in the plan's order; of all phases if none is named.
pub fn ids(plan: &Plan, phases: &[String]) -> Result<Vec<String>> {
    let unknown: Vec<String> =
        phases.iter().filter(|word| Phase::of(word).is_none()).map(|word| no_phase(word)).collect();
    if !unknown.is_empty() {
        return Err(Error::config(unknown));
    }
    let wanted = |task: &&Task| phases.is_empty() || phases.iter().any(|word| word == task.phase.as_str());
    Ok(plan.tasks.iter().filter(wanted).map(|task| task.id.clone()).collect())
}

fn no_phase(word: &str) -> String {
    let all: Vec<&str> = Phase::ALL.iter().map(|phase| phase.as_str()).collect();
    format!("there is no phase {word:?}: use some of {}", all.join(", "))
}

/// The tasks of the data phase in at most `count` groups, none empty, each in the plan's order: together they are the whole phase.
pub fn groups(plan: &Plan, count: usize) -> Result<Vec<Vec<String>>> {
    if count == 0 {
        return Err(Error::config(vec!["count is 0: there has to be a group at least".into()]));
    }
    let mut parts = Parts::new(&plan.tasks, count);
    for unit in parts.units() {
        parts.give(&unit);
    }
    parts.give_sequences();
    let filled = parts.groups.into_iter().map(|(_, group)| group).filter(|group| !group.is_empty());
    let id = |at: usize| plan.tasks[at].id.clone();
    Ok(filled.map(|group| group.into_iter().map(id).collect()).collect())
}

/// Tasks that belong to one group, and the microseconds that they take.
type Unit = (u64, Vec<usize>);

struct Parts<'a> {
    tasks: &'a [Task],
    position: HashMap<&'a str, usize>,
    /// The contents of each group, the microseconds first.
    groups: Vec<(u64, BTreeSet<usize>)>,
    lightest: BTreeSet<(u64, usize)>,
    group_of: HashMap<usize, usize>,
}

impl<'a> Parts<'a> {
    fn new(tasks: &'a [Task], count: usize) -> Self {
        let data = || tasks.iter().enumerate().filter(|(_, task)| task.phase == Phase::Data);
        // More groups than tasks would stay empty.
        let count = count.min(data().count());
        Parts {
            tasks,
            position: data().map(|(at, task)| (task.id.as_str(), at)).collect(),
            groups: vec![(0, BTreeSet::new()); count],
            lightest: (0..count).map(|group| (0, group)).collect(),
            group_of: HashMap::new(),
        }
    }

    fn weight(&self, at: usize) -> u64 {
        let task = &self.tasks[at];
        cost::microseconds(task, task.bytes)
    }

    /// All but the sequences, the largest unit first.
    fn units(&self) -> Vec<Unit> {
        let bound = self.bound();
        let total: u64 = bound.iter().map(|unit| unit.0).sum();
        let share = total / (self.groups.len() as u64).max(1);
        let mut tables: HashMap<Option<&QualifiedName>, usize> = HashMap::new();
        let mut sizes: HashMap<Option<&QualifiedName>, u64> = HashMap::new();
        for (weight, tasks) in &bound {
            *sizes.entry(self.table(tasks)).or_default() += weight;
        }
        let mut units: Vec<Unit> = Vec::new();
        for (weight, tasks) in bound {
            let table = self.table(&tasks);
            if table.is_some()
                && sizes[&table] <= share
                && let Some(&at) = tables.get(&table)
            {
                units[at].0 += weight;
                units[at].1.extend(tasks);
            } else {
                tables.insert(table, units.len());
                units.push((weight, tasks));
            }
        }
        units.sort_by_key(|unit| Reverse(unit.0));
        units
    }

    /// The table that a unit's rows are copied into; none if it has no table.
    fn table(&self, tasks: &[usize]) -> Option<&'a QualifiedName> {
        tasks.iter().find_map(|at| self.tasks[*at].load()).map(|load| &load.into)
    }

    /// Tasks with those of the phase that they require, in the order of their first ones.
    fn bound(&self) -> Vec<Unit> {
        let mut unit_of: HashMap<usize, usize> = HashMap::new();
        let mut units: Vec<Unit> = Vec::new();
        for at in (0..self.tasks.len()).filter(|at| self.is_grouped(*at)) {
            let required = self.tasks[at].requires.iter().filter_map(|id| self.position.get(id.as_str()));
            let mut joined: Vec<usize> = required.filter_map(|other| unit_of.get(other)).copied().collect();
            joined.sort_unstable();
            joined.dedup();
            let unit = joined.first().copied().unwrap_or(units.len());
            if unit == units.len() {
                units.push((0, Vec::new()));
            }
            for other in joined.into_iter().skip(1) {
                let (weight, tasks) = std::mem::take(&mut units[other]);
                unit_of.extend(tasks.iter().map(|at| (*at, unit)));
                units[unit].0 += weight;
                units[unit].1.extend(tasks);
            }
            units[unit].0 += self.weight(at);
            units[unit].1.push(at);
            unit_of.insert(at, unit);
        }
        units.retain(|unit| !unit.1.is_empty());
        units
    }

    fn is_grouped(&self, at: usize) -> bool {
        self.tasks[at].phase == Phase::Data && self.tasks[at].kind != TaskKind::SequenceValue
    }

    fn give(&mut self, (weight, tasks): &Unit) {
        let Some((_, group)) = self.lightest.pop_first() else { return };
        self.groups[group].0 += weight;
        self.groups[group].1.extend(tasks);
        self.lightest.insert((self.groups[group].0, group));
        self.group_of.extend(tasks.iter().map(|at| (*at, group)));
    }

    /// A sequence's value is read after the rows that are numbered from it, so it belongs to the group of the last of them.
    fn give_sequences(&mut self) {
        for at in (0..self.tasks.len()).filter(|at| self.tasks[*at].kind == TaskKind::SequenceValue) {
            let rows = self.tasks[at].after.iter().filter_map(|id| self.position.get(id.as_str()));
            match rows.max().and_then(|last| self.group_of.get(last)) {
                Some(&group) => {
                    self.groups[group].1.insert(at);
                }
                None => self.give(&(self.weight(at), vec![at])),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::object_kind::ObjectKind;
    use crate::plan::{Header, Load};

    const MB: u64 = 1024 * 1024;

    fn task(id: &str, kind: impl Into<TaskKind>, table: &str, bytes: u64) -> Task {
        let mut task = Task::new(Phase::Data, kind, "s", table);
        task.id = id.into();
        task.bytes = bytes;
        if task.is_data() {
            task.set_load(Load {
                into: QualifiedName::new("s", table),
                columns: vec!["a".into()],
                query: None,
                by_pages: false,
                merge: None,
            });
        }
        task
    }

    fn rows(id: &str, table: &str, megabytes: u64) -> Task {
        task(id, TaskKind::Data, table, megabytes * MB)
    }

    fn plan(tasks: Vec<Task>) -> Plan {
        Plan { header: Header::example(), tasks }
    }

    #[test]
    fn a_large_table_is_spread_and_a_smaller_one_stays_whole() {
        let tasks = vec![
            rows("b1", "big", 40),
            rows("b2", "big", 40),
            rows("b3", "big", 40),
            rows("m1", "middle", 15),
            rows("m2", "middle", 15),
            rows("s1", "small", 10),
        ];
        let groups = groups(&plan(tasks), 3).unwrap();
        assert_eq!(groups, [vec!["b1", "m1", "m2"], vec!["b2", "s1"], vec!["b3"]]);
    }

    #[test]
    fn the_emptying_of_a_table_and_its_rows_are_one_part() {
        let mut tasks = vec![task("t", TaskKind::Truncate, "big", 0), rows("b1", "big", 90), rows("b2", "big", 90)];
        tasks[1].requires = vec!["t".into(), "made".into()];
        tasks[2].requires = vec!["t".into(), "made".into()];
        tasks.push(rows("s", "small", 1));
        assert_eq!(groups(&plan(tasks), 3).unwrap(), [vec!["t", "b1", "b2"], vec!["s"]], "and no group is empty");
    }

    #[test]
    fn two_emptied_tables_whose_rows_require_both_are_one_part() {
        let mut tasks = vec![task("t", TaskKind::Truncate, "a", 0), task("u", TaskKind::Truncate, "b", 0)];
        tasks.extend([rows("a", "a", 9), rows("b", "b", 9), rows("c", "c", 9)]);
        for at in [2, 3] {
            tasks[at].requires = vec!["t".into(), "u".into()];
        }
        assert_eq!(groups(&plan(tasks), 2).unwrap(), [vec!["t", "u", "a", "b"], vec!["c"]]);
    }

    #[test]
    fn a_sequence_goes_behind_the_last_of_its_rows() {
        let mut tasks = vec![rows("b1", "big", 40), rows("b2", "big", 50), task("q", TaskKind::SequenceValue, "q", 0)];
        tasks[2].after = vec!["b1".into(), "b2".into(), "index".into()];
        tasks.push(task("free", TaskKind::SequenceValue, "free", 0));
        assert_eq!(groups(&plan(tasks), 2).unwrap(), [vec!["b2", "q"], vec!["b1", "free"]]);
    }

    #[test]
    fn all_groups_together_are_the_phase_and_nothing_else() {
        let mut tasks: Vec<Task> = (0..40).map(|at| rows(&format!("t{at:02}"), &format!("t{}", at / 3), at)).collect();
        let mut index = task("i", TaskKind::Entry(ObjectKind::Index), "t1", 7);
        index.phase = Phase::Index;
        tasks.push(index);
        tasks.push(task("lo", TaskKind::LargeObjects, "", 3 * MB));
        let plan = plan(tasks);
        for count in [1, 2, 7, 50, 1000] {
            let groups = groups(&plan, count).unwrap();
            assert!(groups.len() <= count && groups.iter().all(|group| !group.is_empty()));
            let mut all: Vec<String> = groups.concat();
            all.sort_unstable();
            let mut phase = ids(&plan, &["data".into()]).unwrap();
            phase.sort_unstable();
            assert_eq!(all, phase);
        }
        assert_eq!(groups(&plan, 0).unwrap_err().kind, crate::Kind::Config);
        assert_eq!(groups(&self::plan(vec![]), 3).unwrap(), Vec::<Vec<String>>::new());
    }

    #[test]
    fn groups_are_balanced_by_the_time_they_take() {
        let tasks: Vec<Task> = (1..60).map(|at| rows(&format!("t{at:02}"), &format!("t{at}"), at * at)).collect();
        let plan = plan(tasks);
        let sizes: HashMap<&str, u64> = plan.tasks.iter().map(|task| (task.id.as_str(), task.bytes)).collect();
        let sums: Vec<u64> =
            groups(&plan, 6).unwrap().iter().map(|group| group.iter().map(|id| sizes[id.as_str()]).sum()).collect();
        assert!(sums.iter().max().unwrap() * 10 < sums.iter().min().unwrap() * 11, "{sums:?}");
    }

    #[test]
    fn phases_are_chosen_by_their_words() {
        let mut index = task("i", TaskKind::Entry(ObjectKind::Index), "a", 0);
        index.phase = Phase::Index;
        let plan = plan(vec![rows("a", "a", 1), index]);
        assert_eq!(ids(&plan, &[]).unwrap(), ["a", "i"]);
        assert_eq!(ids(&plan, &["index".into(), "roles".into()]).unwrap(), ["i"]);
        assert!(ids(&plan, &["indexes".into()]).unwrap_err().to_string().contains("pre-data"));
    }
}
