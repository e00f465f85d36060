use super::*;
use crate::catalog::object_kind::ObjectKind;
use crate::name::QualifiedName;
use crate::plan::foreign_key::ForeignKey;
use crate::plan::{Subject, TaskKind};

fn task(id: &str, phase: Phase, requires: &[&str], after: &[&str]) -> Task {
    let kind = match phase {
        Phase::Data => TaskKind::Data,
        Phase::Index => TaskKind::Entry(ObjectKind::Index),
        Phase::Constraint => TaskKind::Entry(ObjectKind::FkConstraint),
        _ => TaskKind::Entry(ObjectKind::Table),
    };
    let mut task = Task::new(phase, kind, "", id);
    task.id = id.into();
    task.requires = requires.iter().map(|id| (*id).to_owned()).collect();
    task.after = after.iter().map(|id| (*id).to_owned()).collect();
    task
}

fn plan() -> Vec<Task> {
    vec![
        task("a", Phase::PreData, &[], &[]),
        task("b", Phase::Data, &["a"], &[]),
        task("c", Phase::Data, &["a"], &[]),
        task("d", Phase::Index, &["b"], &[]),
        task("e", Phase::Finish, &[], &["data", "index"]),
    ]
}

#[test]
fn indexes_are_built_while_other_tables_copy() {
    let tasks = plan();
    let mut schedule = Schedule::new(&tasks, &|_| None);
    assert_eq!(schedule.next_in_order(), [0]);
    assert_eq!(schedule.next(), None);
    schedule.end(0, End::Settled);
    assert_eq!((schedule.next(), schedule.next()), (Some(1), Some(2)));
    schedule.end(1, End::Settled);
    assert_eq!(schedule.next(), Some(3));
    schedule.end(3, End::Settled);
    assert_eq!(schedule.next(), None, "the other table still copies");
    schedule.end(2, End::Settled);
    assert_eq!(schedule.next(), Some(4));
}

#[test]
fn a_failure_blocks_what_requires_it_and_nothing_else() {
    let tasks = plan();
    let mut schedule = Schedule::new(&tasks, &|at| (at == 0).then_some(End::Settled));
    schedule.next();
    schedule.next();
    assert_eq!(schedule.end(1, End::Failed), vec![3]);
    schedule.end(2, End::Settled);
    assert_eq!(schedule.next(), Some(4));
    schedule.end(4, End::Settled);
    assert!(schedule.is_done());
}

#[test]
fn the_longest_chain_goes_first() {
    let mut tasks = plan();
    tasks[2].bytes = 1 << 30;
    let mut schedule = Schedule::new(&tasks, &|at| (at == 0).then_some(End::Settled));
    assert_eq!(schedule.next(), Some(2));
    let mut tasks = plan();
    tasks[3].bytes = 1 << 30;
    tasks[2].bytes = 1 << 20;
    let mut schedule = Schedule::new(&tasks, &|at| (at == 0).then_some(End::Settled));
    assert_eq!(schedule.next(), Some(1), "its index takes longer than the other table");
}

#[test]
fn small_tasks_share_a_batch_fairly() {
    let tasks: Vec<Task> = (0..10).map(|at| task(&format!("d{at}"), Phase::Data, &[], &[])).collect();
    let families = (0..10).map(|at| (at != 3).then_some(0)).collect();
    let mut schedule = Schedule::new(&tasks, &|_| None).with_families(families, 3);
    let first = schedule.next().unwrap();
    assert_eq!((first, schedule.next_like(first, 5)), (0, vec![1]), "a fifth of nine");
    let second = schedule.next().unwrap();
    assert_eq!((second, schedule.next_like(second, 1)), (2, vec![4, 5]), "no more than the largest batch");
    let third = schedule.next().unwrap();
    assert_eq!((third, schedule.next_like(third, 1)), (3, vec![]), "a task without a family is alone");
}

#[test]
fn small_tasks_wait_for_a_batch_while_tasks_run_in_order() {
    let mut tasks: Vec<Task> = (0..5).map(|at| task(&format!("t{at}"), Phase::PreData, &[], &[])).collect();
    tasks.extend((0..5).map(|at| task(&format!("d{at}"), Phase::Data, &[&format!("t{at}")], &[])));
    let families = (0..10).map(|at| (5..9).contains(&at).then_some(0)).collect();
    let mut schedule = Schedule::new(&tasks, &|_| None).with_families(families, 3);
    assert_eq!(schedule.next_in_order().len(), 5);
    schedule.end(0, End::Settled);
    schedule.end(1, End::Settled);
    assert_eq!(schedule.next(), None, "two of three");
    schedule.end(4, End::Settled);
    assert_eq!(schedule.next(), Some(9), "a task without a family waits for no other");
    schedule.end(2, End::Settled);
    assert_eq!(schedule.next(), Some(5));
    assert_eq!(schedule.next_like(5, 2), [6, 7], "the other workers have none to wait for");
    schedule.end(3, End::Settled);
    assert_eq!(schedule.next(), Some(8), "all that runs in order has ended");
}

/// Tables a, b and c with foreign keys from b to a and from c to b.
fn chain() -> Vec<Task> {
    let tables = ["a", "b", "c"].map(|name| task(name, Phase::Data, &[], &[]));
    let keys = [("ba", ["a", "b"]), ("cb", ["b", "c"])].map(|(id, ends)| task(id, Phase::Constraint, &ends, &[]));
    tables.into_iter().chain(keys).collect()
}

#[test]
fn no_worker_waits_for_the_lock_of_another() {
    let tasks = chain();
    let mut schedule = Schedule::new(&tasks, &|at| (at < 3).then_some(End::Settled));
    assert_eq!(schedule.next(), Some(3));
    assert_eq!(schedule.next(), None, "both keys lock table b");
    schedule.end(3, End::Settled);
    assert_eq!(schedule.next(), Some(4));
}

#[test]
fn a_trigger_waits_for_no_index_build_and_an_index_build_for_no_trigger() {
    let mut tasks = vec![
        task("a", Phase::Data, &[], &[]),
        task("i", Phase::Index, &["a"], &[]),
        task("j", Phase::Index, &["a"], &[]),
        task("t", Phase::PostData, &["a"], &[]),
    ];
    tasks[1].bytes = 2 << 20;
    tasks[2].bytes = 1 << 20;
    let mut schedule = Schedule::new(&tasks, &|at| (at == 0).then_some(End::Settled));
    assert_eq!((schedule.next(), schedule.next(), schedule.next()), (Some(1), Some(2), None));
    schedule.end(1, End::Settled);
    assert_eq!(schedule.next(), None, "the other index is not done");
    schedule.end(2, End::Settled);
    assert_eq!(schedule.next(), Some(3));
}

#[test]
fn a_key_is_not_added_to_a_table_that_a_check_reads() {
    let mut tasks = chain();
    tasks.truncate(4);
    let subject = Some(Subject::ForeignKey(ForeignKey { table: QualifiedName::new("", "b"), name: "k".into() }));
    tasks[3].subject.clone_from(&subject);
    let mut check = task("check", Phase::Constraint, &["ba"], &[]);
    check.kind = TaskKind::FkValidation;
    check.subject = subject;
    let mut key = task("key", Phase::Constraint, &["a"], &[]);
    key.kind = TaskKind::Entry(ObjectKind::Constraint);
    tasks.extend([check, key, task("i", Phase::Index, &["a"], &[])]);
    let mut schedule = Schedule::new(&tasks, &|at| (at < 4).then_some(End::Settled));
    let mut next = [schedule.next(), schedule.next()];
    next.sort_unstable();
    assert_eq!(next, [Some(4), Some(6)], "an index of the referenced table may be built");
    assert_eq!(schedule.next(), None);
    schedule.end(4, End::Settled);
    schedule.end(6, End::Settled);
    assert_eq!(schedule.next(), Some(5));
}

#[test]
fn one_batch_may_lock_a_table_twice() {
    let tasks = chain();
    let mut schedule =
        Schedule::new(&tasks, &|at| (at < 3).then_some(End::Settled)).with_families(vec![Some(0); tasks.len()], 48);
    assert_eq!(schedule.next(), Some(3));
    assert_eq!(schedule.next_like(3, 1), [4]);
    schedule.end(3, End::Settled);
    schedule.end(4, End::Failed);
    assert!(schedule.is_done());
}

#[test]
fn settled_tasks_are_not_run_again() {
    let tasks = plan();
    let mut schedule = Schedule::new(&tasks, &|at| (at < 3).then_some(End::Settled));
    assert_eq!(schedule.next(), Some(3));
}

#[test]
fn pre_data_is_taken_in_the_plans_order_and_by_one_worker() {
    let mut tasks = vec![task("r", Phase::Roles, &[], &[])];
    tasks.extend([("a", vec![]), ("b", vec![]), ("c", vec!["a"]), ("d", vec!["c", "b"])].map(|(id, requires)| {
        let mut task = task(id, Phase::PreData, &requires, &["roles"]);
        task.bytes = if id == "b" { 1 << 30 } else { 0 };
        task
    }));
    tasks.push(task("rows", Phase::Data, &["c"], &[]));
    let mut schedule = Schedule::new(&tasks, &|at| (at == 2).then_some(End::Settled));
    assert_eq!(schedule.next_in_order(), [0; 0], "the roles are not there");
    assert_eq!((schedule.next(), schedule.next()), (Some(0), None));
    schedule.end(0, End::Settled);
    assert_eq!(schedule.next_in_order(), [1, 3, 4], "one of them was done before");
    assert_eq!((schedule.next_in_order(), schedule.next()), (vec![], None));
    schedule.end(1, End::Settled);
    assert_eq!(schedule.next(), None);
    schedule.end(3, End::Settled);
    assert_eq!(schedule.next(), Some(5), "rows come while the rest is made");
    assert_eq!(schedule.end(4, End::Failed), [0; 0]);
}

#[test]
fn a_failure_in_pre_data_blocks_what_requires_it_among_the_taken() {
    let tasks = vec![
        task("a", Phase::PreData, &[], &[]),
        task("b", Phase::PreData, &["a"], &[]),
        task("c", Phase::PreData, &[], &[]),
        task("rows", Phase::Data, &["b"], &[]),
    ];
    let mut schedule = Schedule::new(&tasks, &|_| None);
    assert_eq!(schedule.next_in_order(), [0, 1, 2]);
    assert_eq!(schedule.end(0, End::Failed), [1, 3]);
    assert!(!schedule.is_done());
    schedule.end(2, End::Settled);
    assert!(schedule.is_done());
}

fn late_rows() -> Vec<Task> {
    vec![
        task("a", Phase::Data, &[], &["other-rows"]),
        task("b", Phase::Data, &[], &[]),
        task("c", Phase::Data, &[], &["other-rows"]),
        task("k", Phase::Index, &["b"], &[]),
        task("l", Phase::Index, &["a"], &["data"]),
    ]
}

#[test]
fn rows_that_may_need_others_come_when_nothing_else_is_left() {
    let tasks = late_rows();
    let mut schedule = Schedule::new(&tasks, &|_| None);
    assert_eq!((schedule.next(), schedule.next()), (Some(1), None));
    schedule.end(1, End::Settled);
    assert_eq!((schedule.next(), schedule.next()), (Some(3), None), "the index of the other rows, too");
    schedule.end(3, End::Settled);
    assert_eq!((schedule.next(), schedule.next(), schedule.next()), (Some(0), Some(2), None));
    schedule.end(0, End::Settled);
    assert_eq!(schedule.next(), None);
    schedule.end(2, End::Settled);
    assert_eq!(schedule.next(), Some(4));
}

#[test]
fn rows_that_failed_are_tried_again_for_as_long_as_more_rows_come() {
    let tasks: Vec<Task> = ["a", "b", "c"].map(|id| task(id, Phase::Data, &[], &["other-rows"])).into();
    let mut schedule = Schedule::new(&tasks, &|_| None);
    assert_eq!((schedule.next(), schedule.next(), schedule.next()), (Some(0), Some(1), Some(2)));
    assert!(schedule.put_off(0) && schedule.put_off(1), "the third one may bring what they need");
    assert_eq!(schedule.next(), None);
    schedule.end(2, End::Settled);
    assert_eq!((schedule.next(), schedule.next()), (Some(0), None), "one by one");
    assert!(schedule.put_off(0), "the second one has not been tried again");
    assert_eq!(schedule.next(), Some(1));
    schedule.end(1, End::Settled);
    assert_eq!(schedule.next(), Some(0));
    assert!(!schedule.put_off(0), "no rows can come any more");
    schedule.end(0, End::Failed);
    assert!(schedule.is_done());
}

#[test]
fn rows_wait_for_late_ones_where_a_key_of_the_target_asks_for_it() {
    let tasks = late_rows();
    let mut schedule = Schedule::new(&tasks, &|_| None);
    schedule.wait_for(1, 0);
    assert_eq!((schedule.next(), schedule.next()), (Some(0), None), "only what others wait for");
    schedule.end(0, End::Settled);
    assert_eq!((schedule.next(), schedule.next()), (Some(1), None));
    schedule.end(1, End::Settled);
    assert_eq!((schedule.next(), schedule.next()), (Some(3), None));
    schedule.end(3, End::Settled);
    assert_eq!(schedule.next(), Some(2));
}
