//! Ranges of keys of every kind: they cover each value once, and hold equal shares where the statistics are right.

use super::*;

fn range(min: i64, max: i64, spread: Option<Spread>) -> KeyRange {
    KeyRange { min, max, rows: 0, spread }
}

fn histogram(bounds: impl IntoIterator<Item = i64>) -> Spread {
    Spread { histogram: bounds.into_iter().collect(), ..Spread::default() }
}

fn predicates(chunks: &[Chunk]) -> Vec<&str> {
    chunks.iter().map(|chunk| chunk.predicate.as_str()).collect()
}

/// The same values in every run, without a library.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed), |x| {
        Some(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    })
    .skip(1)
    .map(|x| x >> 11)
}

/// How many of `values` lie in each range.
fn heights(bounds: &[i64], values: &[i64]) -> Vec<usize> {
    let mut heights = vec![0; bounds.len() + 1];
    for value in values {
        heights[bounds.partition_point(|bound| bound <= value)] += 1;
    }
    heights
}

/// The statistics that ANALYZE would gather for `values`, which are sorted.
fn analyzed(values: &[i64]) -> Spread {
    let mut counts: Vec<(i64, usize)> = Vec::new();
    for value in values {
        match counts.last_mut() {
            Some((last, count)) if last == value => *count += 1,
            _ => counts.push((*value, 1)),
        }
    }
    let is_common = |count: usize| count > 1 && count * 20 > values.len();
    let rest: Vec<i64> = counts.iter().filter(|(_, n)| !is_common(*n)).flat_map(|(v, n)| vec![*v; *n]).collect();
    let last = rest.len().saturating_sub(1);
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let share = |count: usize| count as f64 / values.len() as f64;
    Spread {
        histogram: if rest.len() < 2 { vec![] } else { (0..=20).map(|at| rest[last * at / 20]).collect() },
        common: counts.iter().filter(|(_, n)| is_common(*n)).map(|(v, n)| (*v, share(*n))).collect(),
        ..Spread::default()
    }
}

#[test]
fn the_outer_ranges_are_open_and_nulls_have_their_own() {
    let chunks = range(1, 30, None).chunks("id", 3, true);
    let wanted = ["\"id\" < 11", "\"id\" >= 11 AND \"id\" < 21", "\"id\" >= 21", "\"id\" IS NULL"];
    assert_eq!(predicates(&chunks), wanted);
    assert_eq!(range(1, 30, None).chunks("id", 1, true), Chunk::whole(), "one chunk holds the NULLs, too");
}

#[test]
fn the_whole_range_of_bigint_does_not_overflow() {
    assert_eq!(range(i64::MIN, i64::MAX, None).bounds(4).len(), 3);
    let spread = histogram([i64::MIN, -1, 0, i64::MAX]);
    assert_eq!(range(i64::MIN, i64::MAX, Some(spread)).bounds(3).len(), 2);
}

#[test]
fn there_are_no_more_ranges_than_values() {
    assert_eq!(range(5, 7, None).bounds(100), [6, 7]);
    assert_eq!(range(7, 7, Some(histogram([7, 7]))).bounds(100), [] as [i64; 0]);
}

#[test]
fn a_skewed_key_is_cut_into_equal_shares() {
    // Half of the rows below 100, the rest up to a million.
    let spread = histogram([0, 50, 100, 500_000, 1_000_000]);
    assert_eq!(range(0, 1_000_000, Some(spread)).bounds(4), [50, 100, 500_000]);
}

#[test]
fn a_common_value_weighs_what_it_has() {
    let spread = Spread { histogram: vec![0, 1000], common: vec![(500, 0.5)], ..Spread::default() };
    let bounds = range(0, 1000, Some(spread)).bounds(4);
    assert_eq!(
        bounds,
        [500, 501, 502],
        "nothing cuts the value itself, and what lies next to it is no more than a share"
    );
}

#[test]
fn a_histogram_of_other_times_is_not_believed() {
    let old = histogram([0, 10, 20]);
    assert_eq!(range(1000, 1999, Some(old.clone())).bounds(2).len(), 1);
    let grown = range(0, 40, Some(old)).bounds(2);
    assert!((10..=20).contains(&grown[0]), "{grown:?}: the new half weighs a little, and not everything");
    let empty = Spread { nulls: 1.0, ..Spread::default() };
    assert_eq!(range(1, 30, Some(empty)).bounds(3), [11, 21], "statistics of no values: equal width");
}

#[test]
fn bounds_rise_and_shares_are_nearly_equal_whatever_the_values() {
    for seed in 0..200 {
        let mut random = numbers(seed);
        let mut next = |below: u64| random.next().unwrap() % below;
        let (count, kind) = (2 + next(2000), next(5));
        let mut values: Vec<i64> = (0..count)
            .map(|at| {
                let x = next(1 << 52);
                let signed = i64::try_from(x).unwrap();
                match kind {
                    0 => i64::try_from(at).unwrap() - 500,
                    1 => signed.wrapping_mul(4099),
                    2 => 1 << (x % 62),
                    3 => {
                        if x % 3 == 0 {
                            -7
                        } else {
                            signed
                        }
                    }
                    _ => [i64::MIN, i64::MAX, 0, signed][usize::try_from(x % 4).unwrap()],
                }
            })
            .collect();
        values.sort_unstable();
        let wanted = 1 + next(30);
        let range = range(values[0], values[values.len() - 1], Some(analyzed(&values)));
        let bounds = range.bounds(wanted);
        assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: {bounds:?}");
        assert!(bounds.iter().all(|bound| *bound > range.min && *bound <= range.max), "seed {seed}: {bounds:?}");
        assert!(bounds.len() < usize::try_from(wanted).unwrap().max(1), "seed {seed}");
        assert_eq!(heights(&bounds, &values).iter().sum::<usize>(), values.len(), "seed {seed}");
        assert_eq!(bounds, range.bounds(wanted), "seed {seed}");
    }
}

#[test]
fn a_dense_key_with_statistics_is_cut_evenly() {
    let values: Vec<i64> = (0..10_000).collect();
    let bounds = range(0, 9_999, Some(analyzed(&values))).bounds(16);
    let heights = heights(&bounds, &values);
    assert!(heights.iter().all(|height| (560..=690).contains(height)), "{heights:?}");
}

#[test]
fn bounds_of_a_uuid_are_thinned_out_evenly() {
    let bounds = (1..16).map(|at| format!("{at:x}0000000-0000-0000-0000-000000000000")).collect();
    let key = KeyBounds { column: "id".into(), type_name: "uuid", bounds, correlation: 0.0 };
    assert_eq!(key.chunks(100, false).len(), 16);
    let wanted = [
        "\"id\" < '80000000-0000-0000-0000-000000000000'::pg_catalog.uuid",
        "\"id\" >= '80000000-0000-0000-0000-000000000000'::pg_catalog.uuid",
    ];
    assert_eq!(predicates(&key.chunks(2, false)), wanted);
}
