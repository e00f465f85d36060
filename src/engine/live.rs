//! What the triggers and foreign keys of the target's own tables ask of the order in which a data-only run brings rows.
//!
//! Decides only: which tasks wait for which, which come in one transaction, and where triggers are off. Called by `begin` whenever a run
//! starts, goes on or is joined, for the plan knows nothing of the target; `preflight` tells beforehand what cannot be ordered.

use super::circles::circles;
use super::existing::{self, Found};
use crate::catalog::Constraint;
use crate::config::{Config, TargetForeignKeys, TargetTriggers};
use crate::error::{Error, Kind, Result};
use crate::name::{QualifiedName, split_name};
use crate::pg::{Session, foreign_keys, triggers};
use crate::plan::{Plan, Task, kind};
use std::collections::{HashMap, HashSet};

/// What is asked for.
#[derive(Debug, Default)]
pub struct Live {
    /// Tasks, each with one that must have ended before.
    pub waits: Vec<(usize, usize)>,
    /// Tasks, each with one before it that locks the same table, whichever comes first.
    pub turns: Vec<(usize, usize)>,
    /// Tasks that are done in one transaction, in this order.
    pub together: Vec<Vec<usize>>,
    /// Tasks in whose transactions the triggers of their table are off.
    pub silent: HashSet<usize>,
}

/// Looks at what the target's tables ask for.
pub async fn look(config: &Config, target: &Session, plan: &Plan, found: &Found) -> Result<Live> {
    let options = &config.options;
    if !options.data_only {
        return Ok(Live { waits: existing::order(plan, found, &|_| true), ..Live::default() });
    }
    let gone = droppable(config, target, plan).await?;
    let mut live = Live { waits: existing::order(plan, found, &|key| !gone.contains(&key.oid)), ..Live::default() };
    if options.target_triggers == TargetTriggers::Disable {
        live.silence(plan, &triggers::firing(target).await?.into_iter().map(|trigger| trigger.table).collect());
    }
    if options.target_foreign_keys == TargetForeignKeys::Defer {
        live.join(plan, found);
    }
    Ok(live)
}

/// The keys that the run drops before its rows come.
pub async fn droppable(config: &Config, target: &Session, plan: &Plan) -> Result<HashSet<u32>> {
    if config.options.target_foreign_keys != TargetForeignKeys::Drop {
        return Ok(HashSet::new());
    }
    let keys = foreign_keys::of_tables(target, &existing::tables(plan)).await?;
    Ok(keys.into_iter().filter(|key| key.may_drop).map(|key| key.oid).collect())
}

impl Live {
    /// Tables with triggers that are switched are locked against each other's chunks, which so come one after another.
    fn silence(&mut self, plan: &Plan, triggered: &HashSet<QualifiedName>) {
        let mut last: HashMap<&str, usize> = HashMap::new();
        for (at, task) in plan.tasks.iter().enumerate() {
            let into = into(task);
            let is_triggered = triggered.contains(&QualifiedName::new(&task.schema, &task.name))
                || triggered.iter().any(|table| table.sql() == into);
            if !is_triggered || !matches!(task.kind.as_str(), kind::DATA | kind::TRUNCATE) {
                continue;
            }
            self.silent.insert(at);
            if task.is_data()
                && let Some(before) = last.insert(into, at)
            {
                self.turns.push((at, before));
            }
        }
    }

    /// Tasks in a circle come together, and all that one of them waits for the first of them waits for.
    fn join(&mut self, plan: &Plan, found: &Found) {
        let all = existing::references(plan, found, kind::DATA, &Constraint::checks);
        let at_once = existing::references(plan, found, kind::DATA, &|key| key.checks() && !key.is_deferrable);
        let ids: HashMap<&str, usize> =
            plan.tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect();
        for circle in circles(&all) {
            let group = ordered(&circle, &at_once);
            let (first, members) = (group[0], group.iter().copied().collect::<HashSet<usize>>());
            let mut before: HashSet<usize> = group
                .iter()
                .flat_map(|at| &plan.tasks[*at].requires)
                .filter_map(|id| ids.get(id.as_str()).copied())
                .collect();
            self.waits.retain(|(at, other)| {
                if members.contains(at) && !members.contains(other) {
                    before.insert(*other);
                }
                !members.contains(at)
            });
            let mut before: Vec<usize> = before.into_iter().collect();
            before.sort_unstable();
            self.waits.extend(before.into_iter().map(|other| (first, other)));
            self.turns.retain(|(at, other)| !members.contains(at) && !members.contains(other));
            self.waits.extend(group[1..].iter().map(|at| (*at, first)));
            self.together.push(group);
        }
    }

    /// Leaves in each group only what is open. The first of these leads it: it waits for what the first of all waited for, and the others
    /// wait for it.
    pub fn lead(&mut self, is_open: &dyn Fn(usize) -> bool) {
        for group in &mut self.together {
            let Some(first) = group.first().copied() else { continue };
            group.retain(|at| is_open(*at));
            let Some(leader) = group.first().copied().filter(|leader| *leader != first) else { continue };
            for (at, other) in &mut self.waits {
                if *at == first {
                    *at = leader;
                } else if *other == first && group[1..].contains(at) {
                    *other = leader;
                }
            }
        }
        self.together.retain(|group| !group.is_empty());
    }

    /// Refuses chosen tasks that would tear apart what has to come in one transaction.
    pub fn check_chosen(&self, plan: &Plan, chosen: &[String]) -> Result<()> {
        let chosen: HashSet<&str> = chosen.iter().map(String::as_str).collect();
        let is_chosen = |at: &usize| chosen.contains(plan.tasks[*at].id.as_str());
        let torn = self.together.iter().find(|group| group.iter().any(is_chosen) && !group.iter().all(is_chosen));
        let Some(group) = torn else { return Ok(()) };
        let ids: Vec<&str> = group.iter().map(|at| plan.tasks[*at].id.as_str()).collect();
        let doing = format!(
            "tables that reference each other come in one transaction, so these tasks go together: {}",
            ids.join(", ")
        );
        Err(Error::new(Kind::State, doing).remedy("choose all of them, or set options.target_foreign_keys to drop"))
    }
}

/// A circle in an order in which keys that cannot be deferred find what they reference, where there is one.
fn ordered(circle: &[usize], at_once: &[(usize, usize)]) -> Vec<usize> {
    let mut open: Vec<usize> = circle.to_vec();
    let mut order = Vec::with_capacity(open.len());
    while !open.is_empty() {
        let is_free =
            |at: &usize| !at_once.iter().any(|(child, parent)| child == at && parent != at && open.contains(parent));
        let next = open.iter().position(is_free).unwrap_or(0);
        order.push(open.remove(next));
    }
    order
}

/// The quoted table that a task writes.
fn into(task: &Task) -> &str {
    task.target_sql.strip_prefix("COPY ").and_then(split_name).map_or("", |(into, _)| into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_open_task_leads_its_group() {
        let waits = vec![(1, 0), (2, 1), (3, 1), (4, 1), (4, 3)];
        let mut live = Live { waits, together: vec![vec![1, 2, 3]], ..Live::default() };
        live.lead(&|at| at != 1);
        assert_eq!(live.together, [vec![2, 3]]);
        assert_eq!(
            live.waits,
            [(2, 0), (2, 1), (3, 2), (4, 1), (4, 3)],
            "what stands behind the group stays behind it"
        );
        live.lead(&|_| false);
        assert!(live.together.is_empty());
    }

    #[test]
    fn keys_that_cannot_be_deferred_find_what_they_reference() {
        assert_eq!(ordered(&[1, 2, 3], &[(1, 2), (2, 3)]), [3, 2, 1]);
        assert_eq!(ordered(&[1, 2, 3], &[(1, 1)]), [1, 2, 3]);
        assert_eq!(ordered(&[1, 2], &[(1, 2), (2, 1)]), [1, 2], "there is no such order");
    }
}
