"""Every result of a verb is shown in the same ways: as text, as mapping, as table, as HTML."""

from __future__ import annotations

import inspect
import json
from typing import Any, Final

import pyarrow
import pytest

import pgmigrate
from pgmigrate import (
    BackupResult,
    CleanupResult,
    HoldResult,
    Migration,
    Plan,
    PlanDiff,
    Rates,
    RestoreResult,
    SafetyReport,
)

WAYS: Final = ("to_dict", "to_json", "to_pandas", "arrow", "_repr_html_", "__arrow_c_stream__")
RESULTS: Final[list[tuple[Any, int, str]]] = [
    (BackupResult(path="b.dump", bytes=2048, seconds=1.5, entries=7), 1, "path"),
    (RestoreResult(path="b.dump", entries=7, seconds=1.5, message="restored"), 1, "message"),
    (CleanupResult(dropped=("pgmigrate",), findings=()), 0, "check"),
    (
        HoldResult(run=1, status="settled", snapshot="1:1:", settled=3, open=0, seconds=1.0),
        1,
        "settled",
    ),
    (
        PlanDiff.from_mapping(
            {
                "basis": [],
                "changes": [{"object": "t", "kind": "table", "change": "added"}],
                "resized": [],
            }
        ),
        1,
        "change",
    ),
    (Rates.typical(), 0, "table"),
]
EACH: Final = pytest.mark.parametrize(
    ("result", "rows", "column"), RESULTS, ids=lambda one: type(one).__name__
)


def results() -> set[type[Any]]:
    """The classes of what verbs, blocking and awaited, give back."""
    names = set()
    for name, verb in inspect.getmembers(Migration, inspect.isfunction):
        if not name.startswith("_"):
            names.add(str(inspect.signature(verb).return_annotation))
    found = {getattr(pgmigrate, name) for name in names if hasattr(pgmigrate, name)}
    # A held snapshot is not over: its `wait` gives the result.
    return (found - {pgmigrate.HeldSnapshot}) | {pgmigrate.Estimate, HoldResult, PlanDiff}


@pytest.mark.parametrize("kind", sorted(results(), key=repr))
def test_every_result_has_the_same_methods(kind: type[Any]) -> None:
    assert [way for way in WAYS if not callable(getattr(kind, way, None))] == []
    # The text of a plan is its file's; its words for people are the summary.
    assert callable(getattr(kind, "summary" if kind is Plan else "text"))


@EACH
def test_a_small_result_is_a_table_too(result: Any, rows: int, column: str) -> None:
    frame = result.to_pandas()
    assert len(frame) == rows and column in frame.columns
    table: Any = pyarrow.table(result)
    assert table.num_rows == rows and column in table.column_names
    with pytest.raises(ValueError, match="no part 'such'"):
        result.to_pandas("such")


@EACH
def test_a_small_result_is_its_text_in_a_notebook(result: Any, rows: int, column: str) -> None:
    assert json.loads(result.to_json()) == result.to_dict()
    assert result.text().splitlines()[0] in result._repr_html_()


def test_a_safety_report_is_its_steps() -> None:
    fields = inspect.signature(SafetyReport).parameters
    given: dict[str, Any] = dict.fromkeys(fields)
    steps = (pgmigrate.SafetyStep(name="stop", about="<b>", state="done", seconds=1.0, note=""),)
    given |= {"status": "done", "seconds": 1.0, "steps": steps, "by_hand": (), "others": ()}
    given |= {"application": "started", "target": "migrated", "touched": True, "migrated": True}
    report = SafetyReport(**given)
    assert report.to_pandas()["name"].tolist() == ["stop"]
    assert "<b>" not in report._repr_html_() and "&lt;b&gt;" in report._repr_html_()
    assert repr(report).startswith("SafetyReport(status='done'")
