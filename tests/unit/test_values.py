"""The values that verbs give: from the core's mappings, in words, as errors, as JSON."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from pgmigrate import (
    CopyError,
    InternalError,
    InterruptedRunError,
    Plan,
    PreflightError,
    PreflightResult,
    Report,
    SchemaError,
    StateError,
    Status,
    VerifyError,
    VerifyResult,
)
from support.scripted_core import (
    report,
    some_plan,
    table_result,
    task_result,
    verification,
)


def test_a_plan_is_a_sequence_of_tasks() -> None:
    plan = some_plan()
    assert len(plan) == 2
    assert [task.id for task in plan] == ["t1", "d1"]
    assert plan[-1].requires == ("t1",)
    assert plan[:1] == (plan[0],)
    assert plan == some_plan()
    assert len({plan, some_plan()}) == 1
    assert list(plan.by_phase()) == ["pre-data", "data"]
    assert repr(plan) == "Plan(2 tasks: pre-data 1, data 1)"


def test_the_summary_says_what_will_not_exist() -> None:
    assert some_plan().summary().splitlines() == [
        "phase     tasks  rows (about)  bytes (about)",
        "pre-data      1             0            0 B",
        "data          1         1,500         2.0 kB",
        "total         2         1,500         2.0 kB",
        "not on the target:",
        "  INDEX public.i: invalid on the source",
    ]


def test_saving_a_plan_replaces_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "plan.tsv"
    path.write_text("an older and longer text", encoding="utf-8")
    some_plan().save(path)
    assert path.read_bytes() == b"the text\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_plan_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file"):
        Plan.load(tmp_path / "plan.tsv")


@pytest.mark.parametrize("odd", [{"surprise": 1}, {"run": None}])
def test_a_key_too_many_or_too_few_is_a_defect(odd: dict[str, Any]) -> None:
    mapping = report()
    if "run" in odd:
        del mapping["run"]
    else:
        mapping.update(odd)
    with pytest.raises(InternalError, match=next(iter(odd))):
        Report.from_mapping(mapping)


def test_a_value_gives_back_the_mapping_it_came_from() -> None:
    mapping = report(
        task_result(1),
        verification=verification(
            differences=[
                {
                    "kind": "row",
                    "object": "public.t",
                    "key": "id",
                    "columns": ["a"],
                    "message": "public.t differs",
                }
            ],
            equal=False,
        ),
    )
    value = Report.from_mapping(mapping)
    assert value.to_dict() == mapping
    assert json.loads(value.to_json()) == mapping
    assert pickle.loads(pickle.dumps(value)) == value


def test_a_report_without_failures_is_short() -> None:
    value = Report.from_mapping(report(task_result(1)))
    value.raise_for_failures()
    assert value.ok
    assert value.text().splitlines() == [
        "run 1 done in 1 min 15 s, one snapshot: old.example:5432/shop -> new.example:5432/shop",
        "phase  tasks  done       rows   bytes        work",
        "data       1     1  1,234,567  3.0 MB  1 min 10 s",
    ]


def test_failures_name_every_object() -> None:
    value = Report.from_mapping(
        report(
            task_result(1),
            task_result(2, status="blocked", phase="index", kind="index"),
            task_result(3, status="failed", note="unique_violation", sqlstate="23505"),
            status="failed",
        )
    )
    with pytest.raises(CopyError) as caught:
        value.raise_for_failures()
    assert caught.value.object == "public.t3"
    assert caught.value.sqlstate == "23505"
    assert "public.t2" in str(caught.value)
    assert not value.ok
    assert str(caught.value).startswith("1 task failed, 1 task blocked: public.t3 (unique_")
    text = value.text()
    assert "public.t3: data failed (d3): unique_violation" in text
    assert "not tried, because what they need failed: 1 task\n  public.t2: index (d2)" in text


def test_a_failed_statement_is_a_schema_error() -> None:
    value = Report.from_mapping(
        report(task_result(1, status="failed", phase="constraint"), status="failed")
    )
    with pytest.raises(SchemaError):
        value.raise_for_failures()


def test_an_interrupted_report_says_so() -> None:
    with pytest.raises(InterruptedRunError):
        Report.from_mapping(report(status="interrupted")).raise_for_failures()


def test_a_verification_keeps_apart_what_decides_and_what_does_not() -> None:
    view = table_result("different", object="public.v", note="other rows")
    remark = {"kind": "table", "object": "public.u", "message": "it is like that"}
    value = VerifyResult.from_mapping(
        verification(
            materialized_views=[view],
            by_version=[remark],
            only_on_target=[remark],
            compared=[
                {"kind": "acl", "objects": 1},
                {"kind": "fk constraint", "objects": 2},
                {"kind": "index", "objects": 3},
                {"kind": "operator class", "objects": 2},
                {"kind": "policy", "objects": 2},
                {"kind": "table", "objects": 1},
            ],
        )
    )
    assert value.ok
    value.raise_for_differences()
    first, *others = value.text().splitlines()
    assert "equal, but for the rows of 1 materialized view" in first
    assert first.endswith(
        "11 objects compared: 1 privilege list, 2 foreign keys, 3 indexes, 2 operator classes, "
        "2 policies, 1 table)"
    )
    assert [line.strip().partition(":")[0] for line in others] == [
        "materialized view",
        "by version",
        "only on the target",
    ]
    page = value._repr_html_()
    assert "public.v" in page and "public.u" in page
    lacking = VerifyResult.from_mapping(verification(equal=False, not_moved=[remark]))
    assert not lacking.ok
    assert "not moved: table public.u: it is like that" in lacking.text()
    with pytest.raises(VerifyError, match=r"public\.u is not moved"):
        lacking.raise_for_differences()


def test_what_could_not_be_compared_is_never_equal() -> None:
    unchecked = [{"object": "public.t", "reason": "no right"}]
    value = VerifyResult.from_mapping(
        verification(verdict="not_compared", equal=False, unchecked=unchecked)
    )
    assert not value.ok
    assert value.text().startswith("verification: NOT ALL COMPARED")
    with pytest.raises(VerifyError, match=r"public\.t could not be compared: no right"):
        value.raise_for_differences()
    assert not Report.from_mapping(report(verification=value.to_dict())).ok


def test_more_rows_pass_only_in_tables_that_held_rows_before() -> None:
    for held in (True, False):
        more = table_result(
            "contains_source", more_rows=2, held_rows=held, note="contains the source; 2 more rows"
        )
        value = VerifyResult.from_mapping(
            verification(verdict="contains_source", equal=False, tables=[more])
        )
        assert value.ok is held
        assert "the target contains the source and 2 more rows" in value.text()
        assert Report.from_mapping(report(verification=value.to_dict())).ok is held
        if held:
            value.raise_for_differences()
            continue
        with pytest.raises(VerifyError, match=r"public\.t contains the source; 2 more rows"):
            value.raise_for_differences()


def test_blocking_findings_come_first() -> None:
    finding = {
        "check": "c",
        "severity": "info",
        "object": "",
        "message": "fine",
        "remedy": "",
        "objects": [],
    }
    blocking = {**finding, "severity": "blocking", "message": "full", "remedy": "make room"}
    value = PreflightResult.from_mapping({"findings": [finding, blocking], "checks": []})
    assert value.text().splitlines() == [
        "preflight: 1 blocking, 1 info",
        "  blocking: full",
        "    remedy: make room",
        "  info: fine",
    ]
    with pytest.raises(PreflightError, match="full"):
        value.raise_for_blocking()


def test_a_status_is_put_into_words() -> None:
    value = Status.from_mapping(
        {
            "run": 2,
            "plan": "f00d",
            "consistent": None,
            "state": "running",
            "active": True,
            "tasks": {"done": 5, "kept": 0, "running": 1, "failed": 0, "blocked": 0, "pending": 4},
            "rows_done": 500,
            "rows_total": 1000,
            "bytes_done": 1024,
            "bytes_total": 2048,
            "seconds": 60.0,
            "seconds_left": 59.6,
            "running": [task_result(7, status="running")],
            "failed": [],
            "procedure": None,
            "findings": [],
        }
    )
    assert value.text().splitlines() == [
        "run 2: running after 1 min 00 s, about 1 min 00 s left",
        "tasks: 5 done, 1 running, 4 pending",
        "rows: 500 of about 1,000, bytes: 1.0 kB of about 2.0 kB",
        "public.t7: data running (d7)",
    ]
