//! What the triggers and foreign keys of existing tables of the target require of the order in which a data-only run copies rows.
//!
//! Decides only: which tasks wait for which, which are done in one transaction, and where triggers are disabled. Called by `begin` whenever
//! a run starts, goes on or is joined, because the plan knows nothing of the target; `preflight` reports beforehand what cannot be ordered.

use super::existing;
use super::existing::Found;
use super::table_order::{TableOrder, Wait};
use crate::catalog::Constraint;
use crate::config::{TargetForeignKeys, TargetTriggers};
use crate::error::{Error, Kind, Result};
use crate::name::QualifiedName;
use crate::pg::{Session, foreign_keys, present, triggers};
use crate::plan::{Plan, TaskKind};
use std::collections::{BTreeSet, HashMap, HashSet};

/// How a run treats triggers and foreign keys of tables that the target has.
#[derive(Debug, Clone, Copy)]
pub struct TargetRules {
    /// Whether only rows are copied; otherwise the rest does not apply.
    pub data_only: bool,
    /// What it does about triggers.
    pub triggers: TargetTriggers,
    /// What it does about foreign keys.
    pub foreign_keys: TargetForeignKeys,
}

/// What the target's tables require of the order of a load.
#[derive(Debug, Default)]
pub struct LoadConstraints {
    /// Tasks that wait for the end of others.
    pub depends_on: Vec<Wait>,
    /// Tasks, each with an earlier one that locks the same table; either may run first.
    pub lock_order: Vec<(usize, usize)>,
    /// Tasks that are done in one transaction.
    pub atomic_groups: Vec<Group>,
    /// Tasks in whose transactions the triggers of their table are disabled.
    pub triggers_off: HashSet<usize>,
}

/// Tasks that are done in one transaction.
#[derive(Debug, Default)]
pub struct Group {
    /// The tasks, in this order; the first of them begins the group.
    pub tasks: Vec<usize>,
    /// The tasks that must have ended before.
    pub before: Vec<usize>,
}

impl Group {
    /// What its tasks wait for: the first one for the tasks before the group, and the others for the first.
    fn waits(&self) -> impl Iterator<Item = Wait> {
        let (first, rest) = (self.tasks.first().copied(), self.tasks.get(1..).unwrap_or_default().to_vec());
        let begins = Wait { after: first.into_iter().collect(), before: self.before.clone() };
        [begins, Wait { after: rest, before: first.into_iter().collect() }].into_iter()
    }
}

/// The waits without which foreign keys of the target would refuse the rows, or the emptying of a table; keys for which `counts` is false
/// are left out.
fn order(plan: &Plan, found: &Found, counts: &dyn Fn(&Constraint) -> bool) -> Vec<Wait> {
    let mut waits = TableOrder::new(plan, found, &TaskKind::Data, counts).waits();
    waits.extend(TableOrder::new(plan, found, &TaskKind::Truncate, counts).reversed().waits());
    waits
}

/// The keys that the run drops before it copies rows.
pub async fn droppable(rule: TargetForeignKeys, target: &Session, plan: &Plan) -> Result<HashSet<u32>> {
    if rule != TargetForeignKeys::Drop {
        return Ok(HashSet::new());
    }
    let keys = foreign_keys::of_tables(target, &existing::tables(plan)).await?;
    Ok(keys.into_iter().filter(|key| key.may_drop).map(|key| key.oid).collect())
}

impl LoadConstraints {
    /// Inspects what the target's tables require now.
    pub async fn inspect(rules: TargetRules, target: &Session, plan: &Plan) -> Result<LoadConstraints> {
        let found = Found { present: present::look(target, &HashSet::new(), "").await?, ..Found::default() };
        LoadConstraints::of_found(rules, target, plan, &found).await
    }

    /// The same for a target whose tables are already read.
    pub async fn of_found(rules: TargetRules, target: &Session, plan: &Plan, found: &Found) -> Result<LoadConstraints> {
        if !rules.data_only {
            let mut constraints =
                LoadConstraints { depends_on: order(plan, found, &|_| true), ..LoadConstraints::default() };
            constraints.empty_together(plan, found, &|_| true);
            return Ok(constraints);
        }
        let gone = droppable(rules.foreign_keys, target, plan).await?;
        let mut constraints = LoadConstraints {
            depends_on: order(plan, found, &|key| !gone.contains(&key.oid)),
            ..LoadConstraints::default()
        };
        constraints.empty_together(plan, found, &|key| !gone.contains(&key.oid));
        if rules.triggers == TargetTriggers::Disable {
            constraints
                .silence(plan, &triggers::firing(target).await?.into_iter().map(|trigger| trigger.table).collect());
        }
        if rules.foreign_keys == TargetForeignKeys::Defer {
            constraints.join(plan, found);
        }
        Ok(constraints)
    }

    /// All waits, including those of groups.
    pub fn all_waits(&self) -> impl Iterator<Item = Wait> {
        self.depends_on.iter().cloned().chain(self.atomic_groups.iter().flat_map(Group::waits))
    }

    /// A task that disables the triggers of its table locks the table, so the chunks of such a table run one after another.
    fn silence(&mut self, plan: &Plan, triggered: &HashSet<QualifiedName>) {
        let mut last: HashMap<&QualifiedName, usize> = HashMap::new();
        for (at, task) in plan.tasks.iter().enumerate() {
            if !matches!(task.kind, TaskKind::Data | TaskKind::Truncate) {
                continue;
            }
            let into = task.load().map(|load| &load.into);
            if !triggered.contains(&task.source_table()) && !into.is_some_and(|into| triggered.contains(into)) {
                continue;
            }
            self.triggers_off.insert(at);
            if let Some(into) = into
                && let Some(before) = last.insert(into, at)
            {
                self.lock_order.push((at, before));
            }
        }
    }

    /// Tasks in a cycle are done in one transaction.
    fn join(&mut self, plan: &Plan, found: &Found) {
        let cycles = TableOrder::new(plan, found, &TaskKind::Data, &Constraint::checks).cycles();
        let at_once = TableOrder::new(plan, found, &TaskKind::Data, &|key| key.checks() && !key.is_deferrable);
        self.gather(plan, cycles.iter().map(|cycle| at_once.arranged(cycle)).collect());
    }

    /// Lets the tasks of each group be done in one transaction, in their order: the first of them waits for everything that any of them
    /// waits for.
    pub fn gather(&mut self, plan: &Plan, groups: Vec<Vec<usize>>) {
        let ids: HashMap<&str, usize> =
            plan.tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect();
        let group_of: HashMap<usize, usize> =
            groups.iter().enumerate().flat_map(|(group, tasks)| tasks.iter().map(move |at| (*at, group))).collect();
        let required = |at: &usize| -> Vec<usize> {
            plan.tasks[*at].requires.iter().filter_map(|id| ids.get(id.as_str()).copied()).collect()
        };
        let mut before: Vec<BTreeSet<usize>> =
            groups.iter().map(|tasks| tasks.iter().flat_map(required).collect()).collect();
        for wait in &mut self.depends_on {
            let waiting: BTreeSet<usize> = wait.after.iter().filter_map(|at| group_of.get(at).copied()).collect();
            for group in waiting {
                let others = wait.before.iter().copied().filter(|at| group_of.get(at) != Some(&group));
                before[group].extend(others);
            }
            wait.after.retain(|at| !group_of.contains_key(at));
        }
        self.depends_on.retain(|wait| !wait.after.is_empty());
        self.lock_order.retain(|(at, other)| !group_of.contains_key(at) && !group_of.contains_key(other));
        for (at, others) in before.iter_mut().enumerate() {
            others.retain(|other| group_of.get(other) != Some(&at));
        }
        let before = before.into_iter().map(|others| others.into_iter().collect());
        self.atomic_groups.extend(groups.into_iter().zip(before).map(|(tasks, before)| Group { tasks, before }));
    }

    /// Keeps in each group only the open tasks. The first of these leads it.
    pub fn lead(&mut self, is_open: &dyn Fn(usize) -> bool) {
        for group in &mut self.atomic_groups {
            group.tasks.retain(|at| is_open(*at));
        }
        self.atomic_groups.retain(|group| !group.tasks.is_empty());
    }

    /// Refuses chosen tasks that would split what has to be done in one transaction.
    pub fn check_chosen(&self, plan: &Plan, chosen: &[String]) -> Result<()> {
        let chosen: HashSet<&str> = chosen.iter().map(String::as_str).collect();
        let is_chosen = |at: &usize| chosen.contains(plan.tasks[*at].id.as_str());
        let mut groups = self.atomic_groups.iter().map(|group| &group.tasks);
        let torn = groups.find(|group| group.iter().any(is_chosen) && !group.iter().all(is_chosen));
        let Some(group) = torn else { return Ok(()) };
        let ids: Vec<&str> = group.iter().map(|at| plan.tasks[*at].id.as_str()).collect();
        let doing = format!(
            "tables that reference each other are copied in one transaction, so these tasks have to run together: {}",
            ids.join(", ")
        );
        Err(Error::new("tasks_inseparable", Kind::State, doing)
            .remedy("choose all of them, or set options.target_foreign_keys to drop"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_open_task_leads_its_group() {
        let group = Group { tasks: vec![1, 2, 3], before: vec![0] };
        let mut constraints = LoadConstraints {
            depends_on: vec![Wait::of(4, 3)],
            atomic_groups: vec![group],
            ..LoadConstraints::default()
        };
        constraints.lead(&|at| at != 1);
        let led = [Wait::of(4, 3), Wait::of(2, 0), Wait::of(3, 2)];
        assert_eq!(constraints.all_waits().collect::<Vec<_>>(), led, "what stands behind the group stays behind it");
        constraints.lead(&|_| false);
        assert!(constraints.atomic_groups.is_empty());
    }
}
