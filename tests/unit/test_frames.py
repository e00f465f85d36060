"""Results as data frames and Arrow streams, read by the packages that users have."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import duckdb
import pandas
import polars
import pyarrow
import pytest

from pgmigrate import Estimate, PreflightResult, Report, Status, VerifyResult
from support.command_line import STATUS
from support.scripted_core import report, some_plan, table_result, task_result, verification

FINDING = {
    "check": "target_empty",
    "severity": "blocking",
    "object": 'public."ünïcode ☃"',
    "message": "it differs",
    "remedy": "",
    "objects": [],
}


def some_report() -> Report:
    blocked = task_result(2, status="blocked", begun=None, worker=None, note='it\'s "quoted"')
    return Report.from_mapping(report(task_result(1), blocked, findings=[FINDING]))


def some_verification() -> VerifyResult:
    table = table_result("unchecked", source_rows=None, target_rows=7)
    difference = {"kind": "different_row", "object": "public.t", "key": None, "message": "differs"}
    return VerifyResult.from_mapping(
        verification(
            equal=False,
            tables=[table],
            differences=[
                {**difference, "columns": ["a", "b"]},
                {**difference, "key": "id=1", "columns": []},
            ],
        )
    )


def test_pandas_has_typed_columns() -> None:
    frame = some_report().to_pandas()
    assert list(frame["id"]) == ["d1", "d2"]
    types = {name: str(of) for name, of in frame.dtypes.items()}
    assert (types["rows"], types["seconds"], types["begun"]) == ("int64", "float64", "float64")
    assert types["worker"] == "Int64", "a number that may be missing stays a whole number"
    assert frame["worker"].isna().tolist() == [False, True]
    assert frame["note"].tolist() == ["", 'it\'s "quoted"']


def test_lists_stay_lists() -> None:
    plan = some_plan()
    assert plan.to_pandas()["requires"].tolist() == [["t1"], ["t1"]]
    table: Any = pyarrow.table(plan)
    assert table.schema.field("requires").type == pyarrow.list_(
        pyarrow.field("item", pyarrow.string(), nullable=False)
    )
    assert table.column("requires").to_pylist() == [["t1"], ["t1"]]
    assert table.column("after").to_pylist() == [[], []]


def test_arrow_has_typed_columns() -> None:
    table: Any = pyarrow.table(some_report())
    types = {field.name: (str(field.type), field.nullable) for field in table.schema}
    assert types["rows"] == ("int64", False)
    assert types["worker"] == ("int64", True)
    assert types["begun"] == ("double", True)
    assert types["note"] == ("string", False)
    assert table.column("worker").to_pylist() == [0, None]
    assert table.column("begun").to_pylist() == [1.0, None]
    assert pyarrow.schema(some_report()) == table.schema


def test_pandas_polars_and_duckdb_take_the_results() -> None:
    result, plan, checked = some_report(), some_plan(), some_verification()
    # Its type hints are behind the package.
    from_arrow = getattr(pandas.DataFrame, "from_arrow")  # noqa: B009
    assert from_arrow(result)["id"].tolist() == ["d1", "d2"]
    assert polars.DataFrame(result)["rows"].to_list() == [10, 10]
    assert polars.DataFrame(plan)["id"].to_list() == ["t1", "d1"]
    assert polars.DataFrame(plan.arrow()).schema["requires"] == polars.List(polars.String)
    with duckdb.connect() as database:
        database.register("checked", pyarrow.table(checked))
        asked = database.sql("SELECT object, source_rows IS NULL FROM checked")
        assert asked.fetchall() == [("public.t", True)]
        # By their names as variables, too, which is what people write.
        largest = database.sql("SELECT id FROM plan ORDER BY bytes DESC LIMIT 1")
        assert largest.fetchall() == [("d1",)]


def test_every_part_can_be_had() -> None:
    result, checked = some_report(), some_verification()
    assert result.to_pandas("findings")["object"].tolist() == ['public."ünïcode ☃"']
    assert result.to_pandas("phases")["phase"].tolist() == ["data"]
    assert len(result.to_pandas("absent")) == 0
    keys: Any = pyarrow.table(checked.arrow("differences"))
    assert keys.column("key").to_pylist() == [None, "id=1"]
    assert keys.column("columns").to_pylist() == [["a", "b"], []]
    with pytest.raises(ValueError, match="choose among phases, tasks, absent, findings"):
        result.to_pandas("task")
    with pytest.raises(ValueError, match="no part 'verification'"):
        result.arrow("verification")


def test_a_result_without_rows_has_its_columns() -> None:
    nothing = PreflightResult.from_mapping({"findings": [], "checks": []})
    fields = ["check", "severity", "object", "message", "remedy", "objects"]
    assert list(nothing.to_pandas().columns) == fields
    table: Any = pyarrow.table(nothing)
    assert (table.num_rows, table.column_names[0]) == (0, "check")


def test_a_table_of_arrow_says_what_it_is() -> None:
    assert repr(some_report().arrow("phases")).startswith("ArrowTable(PhaseResult: 1 rows of phase")
    assert len(some_report().arrow()) == 2


def test_an_estimate_is_its_phases() -> None:
    estimate = some_plan_estimate()
    assert estimate.to_pandas()["phase"].tolist() == [of.phase for of in estimate.phases]
    assert estimate.to_pandas("by_jobs")["jobs"].tolist() == [of.jobs for of in estimate.by_jobs]


def some_plan_estimate() -> Estimate:
    phase = {"phase": "data", "tasks": 1, "starts": 0.0, "seconds": 1.0, "work": 2.0}
    jobs = {"jobs": 2, "seconds": 1.0, "low": 0.5, "high": 2.0}
    return Estimate.from_mapping(
        {
            "jobs": 2,
            "seconds": 1.0,
            "low": 0.5,
            "high": 2.0,
            "preparation": 0.1,
            "calibrated": True,
            "by_jobs": [jobs],
            "phases": [phase],
            "chain": [],
            "tables": [],
            "notes": [],
        }
    )


def test_a_status_is_what_runs_now() -> None:
    running = [task_result(7, status="running")]
    status = Status.from_mapping({**STATUS, "state": "running", "active": True, "running": running})
    assert status.to_pandas()["id"].tolist() == ["d7"]


@pytest.mark.parametrize(
    ("module", "call", "extra"),
    [
        ("pandas", "to_pandas", "pandas"),
        ("nanoarrow", "arrow", "arrow"),
        ("nanoarrow", "__arrow_c_stream__", "arrow"),
        ("altair", "timeline", "plots"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, module: str, call: str, extra: str
) -> None:
    for name in ("pgmigrate._results.arrow", "pgmigrate._display.charts.charts"):
        # A package keeps a module that was imported before as an attribute, too.
        package, _, attribute = name.rpartition(".")
        monkeypatch.delattr(importlib.import_module(package), attribute, raising=False)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'pgmigrate\[{extra}\]'"):
        getattr(some_report(), call)()
