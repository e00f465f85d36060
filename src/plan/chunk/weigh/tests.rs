//! Which tables the model divides: the one that a run would wait for, and no other.

use super::*;

const GB: u64 = 1 << 30;
const SECOND: u64 = 1_000_000_000;

/// A table with so many seconds of loading and indexing, in the given number of chunks.
fn work(load: u64, tail: u64, pieces: u64) -> Work {
    Work { load: load * SECOND, tail: tail * SECOND, rest: 0, loss: load * SECOND / 10, pieces }
}

fn chosen(works: &[Work], jobs: u64) -> Vec<bool> {
    let mut cut = vec![false; works.len()];
    choose(works, &mut cut, jobs);
    cut
}

#[test]
fn a_table_that_would_run_alone_is_cut() {
    assert_eq!(chosen(&[work(100, 10, 64)], 8), [true]);
    let among_small_ones = [vec![work(100, 10, 64)], vec![work(1, 0, 4); 20]].concat();
    assert_eq!(chosen(&among_small_ones, 8), [vec![true], vec![false; 20]].concat());
}

#[test]
fn one_job_cuts_nothing() {
    assert_eq!(chosen(&[work(100, 10, 64), work(1, 0, 1)], 1), [false, false]);
}

#[test]
fn tables_that_lie_next_to_each_other_stay_whole() {
    assert_eq!(chosen(&[work(100, 10, 64); 8], 8), [false; 8]);
    assert_eq!(chosen(&[work(100, 10, 64); 16], 8), [false; 16]);
    // The others together have more work than the largest one alone.
    let mixed = [vec![work(100, 10, 64)], vec![work(10, 1, 8); 80]].concat();
    assert_eq!(chosen(&mixed, 8), [false; 81]);
}

#[test]
fn no_more_tables_are_cut_than_it_takes() {
    // Two jobs and three equal tables: the third one would run alone.
    assert_eq!(chosen(&[work(100, 0, 64); 3], 2), [true, false, false]);
}

#[test]
fn several_large_tables_are_cut_together() {
    let two_large = [vec![work(100, 10, 64); 2], vec![work(1, 0, 1); 10]].concat();
    assert_eq!(chosen(&two_large, 8), [vec![true; 2], vec![false; 10]].concat());
}

#[test]
fn what_cuts_shorten_too_little_stays_frozen() {
    // Nearly all of its time is the build of one index.
    assert_eq!(chosen(&[work(10, 200, 64)], 8), [false]);
    // The first scan of the rows would cost more than the sessions save.
    let dear = Work { loss: 90 * SECOND, ..work(100, 0, 64) };
    assert_eq!(chosen(&[dear], 8), [false]);
}

#[test]
fn a_table_that_cannot_be_cut_keeps_the_others_whole() {
    // The run waits for the first one in any case.
    assert_eq!(chosen(&[work(200, 0, 1), work(100, 0, 64)], 8), [false, false]);
}

#[test]
fn pieces_are_many_and_not_too_small() {
    assert_eq!(pieces(100 * GB, 8), 100, "1 GB at most");
    assert_eq!(pieces(8 * GB, 8), 64, "several for each job");
    assert_eq!(pieces(640 << 20, 8), 10, "64 MB at least");
    assert_eq!(pieces(100 << 20, 8), 1);
    assert_eq!(pieces(0, 8), 1);
}
