//! The order of the tasks of tables that foreign keys of the target require. It is decided for tables, because all chunks of a table have
//! the same place in it.
//!
//! Pure. The work grows with the number of tables, keys and chunks, and never with pairs of chunks. Called by `load_order` for what a run does,
//! and by preflight for what it reports.

use super::cycles::{arranged, cycles};
use super::existing::Found;
use crate::catalog::{Constraint, Oid};
use crate::name::QualifiedName;
use crate::plan::{Plan, TaskKind};
use std::collections::{HashMap, HashSet};

/// Tasks that begin when all of the others have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Those that wait.
    pub after: Vec<usize>,
    /// Those that they wait for.
    pub before: Vec<usize>,
}

impl Wait {
    /// One task that waits for one other.
    #[must_use]
    pub fn of(after: usize, before: usize) -> Self {
        Wait { after: vec![after], before: vec![before] }
    }
}

/// The tables of the tasks of one kind, and which of them reference which on the target.
#[derive(Debug, Default)]
pub struct TableOrder {
    /// The tasks of each table, in the plan's order.
    tasks: Vec<Vec<usize>>,
    references: Vec<Reference>,
}

/// A key, by its tables: for a partitioned table, all tables below it.
#[derive(Debug, Default)]
struct Reference {
    children: Vec<usize>,
    parents: Vec<usize>,
}

impl TableOrder {
    /// Reads the keys for which `counts` is true.
    #[must_use]
    pub fn new(plan: &Plan, found: &Found, kind: &TaskKind, counts: &dyn Fn(&Constraint) -> bool) -> Self {
        let names: HashMap<Oid, &QualifiedName> =
            found.present.relations.values().map(|relation| (relation.oid, &relation.name)).collect();
        let mut numbers: HashMap<QualifiedName, usize> = HashMap::new();
        let mut tasks: Vec<Vec<usize>> = Vec::new();
        for (at, task) in plan.tasks.iter().enumerate().filter(|(_, task)| task.kind == *kind) {
            let number = *numbers.entry(QualifiedName::new(&task.schema, &task.name)).or_insert(tasks.len());
            if number == tasks.len() {
                tasks.push(Vec::new());
            }
            tasks[number].push(at);
        }
        let mut of_relation: HashMap<QualifiedName, Vec<usize>> = HashMap::new();
        for (name, number) in &numbers {
            for ancestor in with_ancestors(name, found, &names) {
                of_relation.entry(ancestor).or_default().push(*number);
            }
        }
        for numbers in of_relation.values_mut() {
            numbers.sort_unstable();
        }
        let mut keys: Vec<_> =
            found.present.constraints.values().filter(|c| c.kind == 'f' && !c.is_inherited && counts(c)).collect();
        keys.sort_by_key(|constraint| constraint.oid);
        let mut seen = HashSet::new();
        let mut references = Vec::new();
        for key in keys.into_iter().filter(|key| seen.insert((key.relation, key.referenced))) {
            let ends = [Some(key.relation), key.referenced]
                .map(|oid| names.get(&oid?).and_then(|name| of_relation.get(*name)));
            if let [Some(children), Some(parents)] = ends {
                references.push(Reference { children: children.clone(), parents: parents.clone() });
            }
        }
        TableOrder { tasks, references }
    }

    /// The same tables, with the references reversed.
    #[must_use]
    pub fn reversed(self) -> Self {
        let turned = |key: Reference| Reference { children: key.parents, parents: key.children };
        TableOrder { references: self.references.into_iter().map(turned).collect(), ..self }
    }

    /// The graph of tables and keys: a table leads to each of its keys, and a key to what it references. So there are no more edges than
    /// tables on both sides of each key.
    fn edges(&self) -> Vec<(usize, usize)> {
        let numbered = self.references.iter().enumerate().map(|(at, key)| (self.tasks.len() + at, key));
        let of_key = |(number, key): (usize, &Reference)| -> Vec<(usize, usize)> {
            let children = key.children.iter().map(|child| (*child, number));
            children.chain(key.parents.iter().map(|parent| (number, *parent))).collect()
        };
        numbered.flat_map(of_key).collect()
    }

    /// The edges from tables to keys by which they reference themselves.
    fn own_keys(&self) -> HashSet<(usize, usize)> {
        let numbered = self.references.iter().enumerate().map(|(at, key)| (self.tasks.len() + at, key));
        let of_key = |(number, key): (usize, &Reference)| -> Vec<(usize, usize)> {
            let parents: HashSet<usize> = key.parents.iter().copied().collect();
            key.children.iter().filter(|child| parents.contains(child)).map(|child| (*child, number)).collect()
        };
        numbered.flat_map(of_key).collect()
    }

    /// The tasks of each group of tables that reference each other, and of each table of several chunks that references itself.
    #[must_use]
    pub fn cycles(&self) -> Vec<Vec<usize>> {
        let tasks = |nodes: Vec<usize>| -> Vec<usize> {
            let tables = nodes.into_iter().filter_map(|node| self.tasks.get(node));
            let mut tasks: Vec<usize> = tables.flatten().copied().collect();
            tasks.sort_unstable();
            tasks
        };
        let mut found: Vec<Vec<usize>> =
            cycles(&self.edges()).into_iter().map(tasks).filter(|tasks| tasks.len() > 1).collect();
        found.sort_unstable();
        found
    }

    /// The tasks of each connected part of the graph that holds a cycle: its tables with all that keys join to them, in either direction.
    #[must_use]
    pub fn joined_cycles(&self) -> Vec<Vec<usize>> {
        let edges = self.edges();
        let mut joined: HashMap<usize, Vec<usize>> = HashMap::new();
        for (from, to) in &edges {
            joined.entry(*from).or_default().push(*to);
            joined.entry(*to).or_default().push(*from);
        }
        let (mut seen, mut groups) = (HashSet::new(), Vec::new());
        let has_tables = |nodes: &Vec<usize>| nodes.iter().filter(|node| **node < self.tasks.len()).count() > 1;
        for start in cycles(&edges).into_iter().filter(has_tables).flatten() {
            let (mut group, mut open) = (Vec::new(), vec![start]);
            while let Some(node) = open.pop() {
                if seen.insert(node) {
                    group.extend(self.tasks.get(node).into_iter().flatten().copied());
                    open.extend(joined.get(&node).into_iter().flatten());
                }
            }
            if !group.is_empty() {
                group.sort_unstable();
                groups.push(group);
            }
        }
        groups.sort_unstable();
        groups
    }

    /// What waits for what. In a cycle the references that no order satisfies are left out; chunks of a table that references itself run
    /// one after another.
    #[must_use]
    pub fn waits(&self) -> Vec<Wait> {
        let places = self.places();
        let place = |node: usize| places.get(&node).copied();
        let is_behind = |node: usize, other: usize| match (place(node), place(other)) {
            (Some(node), Some(other)) => node.cycle != other.cycle || node.nth > other.nth,
            _ => true,
        };
        let tasks = |tables: Vec<usize>| -> Vec<usize> {
            tables.into_iter().flat_map(|table| self.tasks[table].iter().copied()).collect()
        };
        let (mut waits, mut chained) = (Vec::new(), HashSet::new());
        for (at, key) in self.references.iter().enumerate() {
            let number = self.tasks.len() + at;
            let children: Vec<usize> = key.children.iter().copied().filter(|child| is_behind(*child, number)).collect();
            let parents: Vec<usize> = key.parents.iter().copied().filter(|parent| is_behind(number, *parent)).collect();
            if !children.is_empty() && !parents.is_empty() {
                waits.push(Wait { after: tasks(children), before: tasks(parents) });
            }
            let parents: HashSet<usize> = key.parents.iter().copied().collect();
            for table in key.children.iter().filter(|table| parents.contains(table)) {
                if chained.insert(*table) {
                    waits.extend(self.tasks[*table].windows(2).map(|pair| Wait::of(pair[1], pair[0])));
                }
            }
        }
        waits
    }

    /// The places of tables and keys in their cycles.
    fn places(&self) -> HashMap<usize, CyclePlace> {
        let edges = self.edges();
        let cycles = cycles(&edges);
        let cycle_of: HashMap<usize, usize> =
            cycles.iter().enumerate().flat_map(|(at, nodes)| nodes.iter().map(move |node| (*node, at))).collect();
        let mut within: Vec<Vec<(usize, usize)>> = vec![Vec::new(); cycles.len()];
        for (from, to) in edges {
            if let Some(cycle) = cycle_of.get(&from).filter(|cycle| cycle_of.get(&to) == Some(cycle)) {
                within[*cycle].push((from, to));
            }
        }
        let mut places = HashMap::new();
        for (cycle, (nodes, edges)) in cycles.iter().zip(&within).enumerate() {
            let order = arranged(nodes, edges).into_iter().enumerate();
            places.extend(order.map(|(nth, node)| (node, CyclePlace { cycle, nth })));
        }
        places
    }

    /// Tasks in an order in which each table follows those that it references, where there is one.
    #[must_use]
    pub fn arranged(&self, tasks: &[usize]) -> Vec<usize> {
        let wanted: HashSet<usize> = tasks.iter().copied().collect();
        let holds = |table: &usize| self.tasks[*table].iter().any(|at| wanted.contains(at));
        let tables: HashSet<usize> = (0..self.tasks.len()).filter(holds).collect();
        let is_within = |node: &usize| *node >= self.tasks.len() || tables.contains(node);
        // No order helps a table that references itself.
        let own = self.own_keys();
        let mut edges = self.edges();
        edges.retain(|edge| is_within(&edge.0) && is_within(&edge.1) && !own.contains(edge));
        let nodes: Vec<usize> = tables.iter().copied().collect();
        let order = arranged(&nodes, &edges).into_iter().filter_map(|node| self.tasks.get(node));
        order.flatten().copied().filter(|at| wanted.contains(at)).collect()
    }
}

/// The place of a table or a key in its cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CyclePlace {
    cycle: usize,
    nth: usize,
}

fn with_ancestors(name: &QualifiedName, found: &Found, names: &HashMap<Oid, &QualifiedName>) -> Vec<QualifiedName> {
    let mut line = Vec::new();
    let mut next = found.present.relations.get(name);
    while let Some(relation) = next {
        line.push(relation.name.clone());
        next = relation.partition_of.and_then(|oid| found.present.relations.get(*names.get(&oid)?));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(tasks: &[&[usize]], keys: &[(usize, usize)]) -> TableOrder {
        let reference = |(child, parent): &(usize, usize)| Reference { children: vec![*child], parents: vec![*parent] };
        TableOrder {
            tasks: tasks.iter().map(|tasks| tasks.to_vec()).collect(),
            references: keys.iter().map(reference).collect(),
        }
    }

    #[test]
    fn all_chunks_of_a_table_wait_for_all_of_those_that_it_references() {
        let tables = order(&[&[0, 1], &[2, 3], &[4]], &[(0, 1), (1, 2)]);
        let waits = [Wait { after: vec![0, 1], before: vec![2, 3] }, Wait { after: vec![2, 3], before: vec![4] }];
        assert_eq!(tables.waits(), waits);
        assert!(tables.cycles().is_empty());
    }

    #[test]
    fn a_cycle_is_joined_by_all_that_keys_lead_to_or_from() {
        let keys = [(1, 2), (2, 1), (3, 1), (4, 3), (5, 6), (7, 7)];
        let tables = order(&[&[0], &[1], &[2], &[3], &[4], &[5], &[6], &[7]], &keys);
        assert_eq!(tables.joined_cycles(), [vec![1, 2, 3, 4]]);
        let two = order(&[&[0], &[1], &[2], &[5], &[6]], &[(3, 4), (4, 3), (1, 2), (2, 1)]);
        assert_eq!(two.joined_cycles(), [vec![1, 2], vec![5, 6]]);
    }

    #[test]
    fn chunks_of_a_table_that_references_itself_come_one_after_another() {
        let tables = order(&[&[5, 7, 9]], &[(0, 0)]);
        assert_eq!(tables.waits(), [Wait::of(7, 5), Wait::of(9, 7)]);
        assert_eq!(tables.cycles(), [[5, 7, 9]]);
        assert!(order(&[&[5]], &[(0, 0)]).cycles().is_empty());
    }

    #[test]
    fn a_cycle_keeps_what_an_order_satisfies_and_what_stands_around_it() {
        let tables = order(&[&[0], &[1], &[2], &[3]], &[(0, 1), (1, 0), (2, 0), (1, 3)]);
        assert_eq!(tables.cycles(), [[0, 1]]);
        let waits = tables.waits();
        assert!(waits.contains(&Wait::of(2, 0)) && waits.contains(&Wait::of(1, 3)));
        let within = [Wait::of(0, 1), Wait::of(1, 0)];
        assert_eq!(within.iter().filter(|wait| waits.contains(wait)).count(), 1);
    }

    #[test]
    fn keys_that_cannot_be_deferred_find_what_they_reference() {
        let all: &[&[usize]] = &[&[1], &[2], &[3]];
        assert_eq!(order(all, &[(0, 1), (1, 2)]).arranged(&[1, 2, 3]), [3, 2, 1]);
        assert_eq!(order(all, &[(0, 0)]).arranged(&[1, 2, 3]), [1, 2, 3]);
        assert_eq!(order(&[&[1], &[2]], &[(0, 1), (1, 0)]).arranged(&[1, 2]), [1, 2], "there is no such order");
    }

    #[test]
    fn many_chunks_in_long_chains_cost_no_pairs_of_chunks() {
        let tasks: Vec<Vec<usize>> = (0..100).map(|table| (table * 1000..(table + 1) * 1000).collect()).collect();
        let tasks: Vec<&[usize]> = tasks.iter().map(Vec::as_slice).collect();
        let chain: Vec<(usize, usize)> = (1..100).map(|table| (table, table - 1)).collect();
        let waits = order(&tasks, &chain).waits();
        assert_eq!(waits.iter().map(|wait| wait.after.len() + wait.before.len()).sum::<usize>(), 99 * 2000);
        let ring: Vec<(usize, usize)> = chain.into_iter().chain([(0, 99)]).collect();
        let ring = order(&tasks, &ring);
        assert_eq!(ring.cycles()[0].len(), 100_000);
        assert_eq!(ring.arranged(&ring.cycles()[0]).len(), 100_000);
    }
}
