//! Tasks that wait for each other in a cycle: the strongly connected components of a graph (Tarjan, SIAM J. Comput. 1, 1972).
//!
//! Pure; called by `table_order`. The time of both functions grows only with the number of nodes and edges.

use std::collections::{BTreeSet, HashMap};

/// The nodes of each cycle, in ascending order; a node whose only edge leads to itself is not a cycle.
#[must_use]
pub fn cycles(edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut next: HashMap<usize, Vec<usize>> = HashMap::new();
    for (from, to) in edges {
        next.entry(*from).or_default().push(*to);
        next.entry(*to).or_default();
    }
    let mut nodes: Vec<usize> = next.keys().copied().collect();
    nodes.sort_unstable();
    let mut search = Search { next: &next, seen: HashMap::new(), stack: Vec::new(), found: Vec::new() };
    for node in nodes {
        search.visit(node);
    }
    let mut found = search.found;
    found.sort_unstable();
    found
}

/// The nodes in an order in which each node follows those that its edges lead to; where there is no such order, the first node goes first
/// (Kahn, Comm. ACM 5, 1962). Nodes are in ascending order where the edges leave a choice.
#[must_use]
pub fn arranged(nodes: &[usize], edges: &[(usize, usize)]) -> Vec<usize> {
    let mut waits: HashMap<usize, usize> = nodes.iter().map(|node| (*node, 0)).collect();
    let mut awaited_by: HashMap<usize, Vec<usize>> = HashMap::new();
    for (from, to) in edges.iter().filter(|(from, to)| from != to) {
        *waits.entry(*from).or_default() += 1;
        waits.entry(*to).or_default();
        awaited_by.entry(*to).or_default().push(*from);
    }
    let mut open: BTreeSet<usize> = waits.keys().copied().collect();
    let mut free: BTreeSet<usize> = open.iter().copied().filter(|node| waits[node] == 0).collect();
    let mut order = Vec::with_capacity(open.len());
    while let Some(node) = free.pop_first().or_else(|| open.first().copied()) {
        open.remove(&node);
        order.push(node);
        for other in awaited_by.remove(&node).unwrap_or_default() {
            let left = waits.entry(other).or_default();
            *left -= 1;
            if *left == 0 && open.contains(&other) {
                free.insert(other);
            }
        }
    }
    order
}

/// The state of a node in the search: when it was first seen, the earliest node that it reaches, and whether it is still open.
#[derive(Debug, Clone, Copy)]
struct Mark {
    first: usize,
    lowest: usize,
    is_open: bool,
}

struct Search<'a> {
    next: &'a HashMap<usize, Vec<usize>>,
    seen: HashMap<usize, Mark>,
    stack: Vec<usize>,
    found: Vec<Vec<usize>>,
}

impl Search<'_> {
    /// Searches depth-first without recursion: each step is a node and the number of its edges that were followed.
    fn visit(&mut self, root: usize) {
        if self.seen.contains_key(&root) {
            return;
        }
        self.open(root);
        let mut path = vec![(root, 0)];
        while let Some((node, followed)) = path.pop() {
            if let Some(&to) = self.next[&node].get(followed) {
                path.push((node, followed + 1));
                match self.seen.get(&to).copied() {
                    None => {
                        self.open(to);
                        path.push((to, 0));
                    }
                    Some(mark) if mark.is_open => self.lower(node, mark.first),
                    Some(_) => {}
                }
                continue;
            }
            let mark = self.seen[&node];
            if let Some((parent, _)) = path.last() {
                self.lower(*parent, mark.lowest);
            }
            if mark.lowest == mark.first {
                self.close(node);
            }
        }
    }

    fn open(&mut self, node: usize) {
        let first = self.seen.len();
        self.seen.insert(node, Mark { first, lowest: first, is_open: true });
        self.stack.push(node);
    }

    fn lower(&mut self, node: usize, to: usize) {
        if let Some(mark) = self.seen.get_mut(&node) {
            mark.lowest = mark.lowest.min(to);
        }
    }

    /// Everything above `node` on the stack is in one component with it.
    fn close(&mut self, node: usize) {
        let at = self.stack.iter().rposition(|other| *other == node).unwrap_or(0);
        let mut part = self.stack.split_off(at);
        for member in &part {
            if let Some(mark) = self.seen.get_mut(member) {
                mark.is_open = false;
            }
        }
        if part.len() > 1 {
            part.sort_unstable();
            self.found.push(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reaches_itself_through_others_is_a_cycle() {
        assert_eq!(cycles(&[(1, 2), (2, 3), (3, 3)]), Vec::<Vec<usize>>::new());
        assert_eq!(cycles(&[(1, 2), (2, 1), (2, 3), (4, 1)]), vec![vec![1, 2]]);
        assert_eq!(cycles(&[(1, 2), (2, 3), (3, 1), (5, 6), (6, 5), (3, 5)]), vec![vec![1, 2, 3], vec![5, 6]]);
        assert_eq!(cycles(&[(1, 2), (2, 3), (3, 2), (3, 4), (4, 1)]), vec![vec![1, 2, 3, 4]]);
    }

    #[test]
    fn nodes_come_behind_those_that_they_lead_to() {
        assert_eq!(arranged(&[0, 1, 2, 3], &[(0, 3), (3, 1)]), [1, 2, 3, 0]);
        assert_eq!(arranged(&[0, 1, 2], &[(0, 1), (1, 0), (2, 1)]), [0, 1, 2]);
        let edges: Vec<(usize, usize)> = (0..100_000).map(|at| (at, at + 1)).collect();
        assert_eq!(arranged(&[], &edges).first(), Some(&100_000));
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let mut edges: Vec<(usize, usize)> = (0..100_000).map(|at| (at, at + 1)).collect();
        assert!(cycles(&edges).is_empty());
        edges.push((100_000, 0));
        assert_eq!(cycles(&edges)[0].len(), 100_001);
    }
}
