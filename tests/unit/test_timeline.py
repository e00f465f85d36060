"""What pictures show, as numbers: the course of a run, its rate, and the tiles of a treemap."""

from __future__ import annotations

import itertools

import pytest

from pgmigrate import TaskResult
from pgmigrate._display.charts.timeline import Course
from pgmigrate._display.charts.treemap import Tile, tiles
from support.scripted_core import task_result


def task(
    begun: float | None, seconds: float, worker: int | None = 0, **changes: object
) -> TaskResult:
    return TaskResult.from_mapping(
        task_result(1, begun=begun, seconds=seconds, worker=worker, **changes)
    )


def test_only_tasks_that_were_started_are_on_the_course() -> None:
    blocked = task(None, 0.0, None, status="blocked")
    stopped = task(2.0, 1.0, status="pending")
    course = Course.of([task(0.5, 1.0), blocked, stopped, task(None, 0.0, None, status="pending")])
    assert [(span.begin, span.end, span.status) for span in course.spans] == [
        (0.5, 1.5, "done"),
        (2.0, 3.0, "stopped"),
    ]
    assert (course.seconds, course.workers, course.pauses) == (3.0, 1, ())


def test_a_pause_between_two_sessions_is_left_out() -> None:
    first = [task(0.0, 4.0, 0), task(1.0, 3.0, 1)]
    # The next morning.
    second = [task(30_000.0, 2.0, 0), task(30_001.0, 3.0, 1)]
    course = Course.of([*second, *first])
    assert [(span.row, span.begin, span.end) for span in course.spans] == [
        (0, 0.0, 4.0),
        (0, 4.0, 6.0),
        (1, 1.0, 4.0),
        (1, 5.0, 8.0),
    ]
    assert [(pause.at, pause.seconds) for pause in course.pauses] == [(4.0, 29_996.0)]
    assert course.seconds == 8.0


def test_a_short_wait_is_no_pause() -> None:
    course = Course.of([task(0.0, 20.0), task(25.5, 20.0)])
    assert course.pauses == () and course.seconds == 45.5


def test_short_neighbours_are_one_span_and_others_are_not() -> None:
    small = [task(at / 1000, 0.0005) for at in range(100)]
    large = task(1.0, 2.0)
    other = task(3.0, 0.001, phase="index")
    spans = Course.of([*small, large, other]).shortened(0.01, 1000)
    assert [(span.tasks, span.phase) for span in spans] == [
        (100, "data"),
        (1, "data"),
        (1, "index"),
    ]
    assert spans[0].label == "100 short tasks of data" and spans[0].bytes == 100_000


def test_a_failed_task_is_never_hidden_among_others() -> None:
    tasks = [task(at / 1000, 0.0005, status="failed" if at == 50 else "done") for at in range(100)]
    spans = Course.of(tasks).shortened(0.01, 1000)
    assert [(span.tasks, span.status) for span in spans] == [
        (50, "done"),
        (1, "failed"),
        (49, "done"),
    ]


def test_there_are_never_more_spans_than_asked_for() -> None:
    tasks = [task(at * 1.0, 0.9, phase="data" if at % 2 else "index") for at in range(5000)]
    tasks[77] = task(77.0, 0.1, status="failed")
    spans = Course.of(tasks).shortened(0.01, 100)
    assert len(spans) == 100 and any(span.status == "failed" for span in spans)
    equal = Course.of([task(at * 1.0, 0.9) for at in range(5000)]).shortened(0.01, 100)
    assert len(equal) <= 100 and sum(span.tasks for span in equal) == 5000


def test_very_many_workers_share_rows() -> None:
    course = Course.of([task(float(number), 1.0, number) for number in range(100)])
    assert (course.workers, course.rows) == (100, 1)
    at_once = Course.of([task(0.0, 1.0, number) for number in range(50)])
    assert (at_once.workers, at_once.rows) == (50, 50), "nothing is drawn over another"


def test_bytes_are_spread_over_the_time_of_their_task() -> None:
    tasks = [task(0.0, 2.0, 0, bytes=2000), task(1.0, 1.0, 1, bytes=500)]
    index = task(2.0, 2.0, 0, phase="index", bytes=10**9)
    rate = Course.of([*tasks, index]).rate(4)
    assert [round(value) for _, _, value in rate] == [1000, 1500, 0, 0]
    total = sum((end - begin) * value for begin, end, value in rate)
    assert total == pytest.approx(2500)


def test_no_bytes_are_lost_at_the_edges() -> None:
    tasks = [task(at * 0.7, 0.9, at % 3, bytes=12_345) for at in range(40)]
    tasks.append(task(5.0, 0.0, bytes=7))
    rate = Course.of(tasks).rate(120)
    assert sum((end - begin) * value for begin, end, value in rate) == pytest.approx(
        40 * 12_345 + 7
    )


def test_a_run_without_rows_has_no_rate() -> None:
    assert Course.of([]).rate(10) == []
    assert Course.of([task(0.0, 1.0, bytes=0)]).rate(10) == []


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_tiles_are_as_large_as_what_they_stand_for(count: int) -> None:
    sizes = [float(2 ** (count - at) if count < 20 else 100 - at) for at in range(count)]
    found = tiles(sizes, 900.0, 270.0)
    scale = 900.0 * 270.0 / sum(sizes)
    assert [tile.width * tile.height for tile in found] == pytest.approx([s * scale for s in sizes])
    for tile in found:
        assert tile.left >= 0 and tile.left + tile.width <= 900.0 + 1e-6
        assert tile.top >= 0 and tile.top + tile.height <= 270.0 + 1e-6
    assert not any(_overlap(one, other) for one, other in itertools.combinations(found, 2))


def test_equal_tiles_are_nearly_squares() -> None:
    for tile in tiles([1.0] * 24, 600.0, 400.0):
        assert 0.5 <= tile.width / tile.height <= 2.0


def _overlap(one: Tile, other: Tile) -> bool:
    return (
        one.left + one.width > other.left + 1e-6
        and other.left + other.width > one.left + 1e-6
        and one.top + one.height > other.top + 1e-6
        and other.top + other.height > one.top + 1e-6
    )
