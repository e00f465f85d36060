"""Rates and estimates by themselves, and the command line around them; no server is asked."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pgmigrate import Estimate, Plan, Rates, StateError, TableRates, _native
from pgmigrate.cli import main
from support.plan_text import plan_text
from support.scripted_core import SOURCE, TARGET, Core, some_plan

ENDPOINTS = ["--source", SOURCE, "--target", TARGET]


def _data(number: int, megabytes: int) -> dict[str, object]:
    return {
        "id": f"t000{number}",
        "phase": "data",
        "kind": "data",
        "schema": "public",
        "name": f"table_{number}",
        "rows": 1000,
        "bytes": megabytes * 10**6,
        "format": "binary",
    }


@pytest.fixture
def plan() -> Plan:
    """Two tables of 20 and 10 MB."""
    return Plan.parse(plan_text([_data(1, 20), _data(2, 10)]))


@pytest.fixture
def rates() -> Rates:
    """10 MB a second in every session, and nothing else takes time."""
    speedup = dataclasses.replace(Rates.typical().copy_speedup[0], sessions=16, speedup=16.0)
    return dataclasses.replace(
        Rates.typical(),
        calibrated=True,
        copy_binary=10.0,
        small_copy=0.0,
        source_round_trip=0.0,
        target_round_trip=0.0,
        preparation=0.0,
        copy_speedup=(speedup,),
    )


def _will_plan(core: Core, plan: Plan) -> None:
    core.will(_native.parse_plan(plan.text))


def test_two_tables_take_their_time(plan: Plan, rates: Rates) -> None:
    assert plan.estimate(1, rates=rates).seconds == pytest.approx(3.0)
    estimate = plan.estimate(2, rates=rates)
    assert estimate.seconds == pytest.approx(2.0)
    assert [step.object for step in estimate.chain] == ["public.table_1"]
    assert {one.jobs: round(one.seconds, 6) for one in estimate.by_jobs} == {
        1: 3.0, 2: 2.0, 4: 2.0, 8: 2.0, 16: 2.0,
    }  # fmt: skip
    assert [(table.table, round(table.work, 6)) for table in estimate.tables] == [
        ("public.table_1", 2.0),
        ("public.table_2", 1.0),
    ]
    assert estimate.low < estimate.seconds < estimate.high


def test_what_is_known_of_a_table_counts(plan: Plan, rates: Rates) -> None:
    known = dataclasses.replace(rates, tables=(TableRates("public.table_1", copy=40.0),))
    assert plan.estimate(1, rates=known).seconds == pytest.approx(1.5)


def test_an_estimate_without_rates_says_that_it_is_uncalibrated(plan: Plan, rates: Rates) -> None:
    guess = plan.estimate(2)
    assert not guess.calibrated
    assert str(guess).startswith("uncalibrated estimate: about ")
    assert "uncalibrated" in guess.notes[0]
    assert guess.high / guess.low > 4
    assert "uncalibrated" not in str(plan.estimate(2, rates=rates))


def test_without_a_number_of_jobs_it_is_that_of_a_run_here(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plan.estimate().jobs == _native.default_jobs()
    monkeypatch.setattr(_native, "default_jobs", lambda: 3)
    assert plan.estimate().jobs == 3
    with pytest.raises(ValueError, match="jobs is 0"):
        plan.estimate(0)


def test_the_text_is_for_people(plan: Plan, rates: Rates) -> None:
    assert str(plan.estimate(1, rates=rates)).splitlines() == [
        "estimate: about 3.0 s with 1 job (1.0 s to 9.0 s)",
        "jobs   time  optimistic  pessimistic",
        "1     3.0 s       1.0 s        9.0 s",
        "2     2.0 s       0.7 s        6.0 s",
        "4     2.0 s       0.7 s        6.0 s",
        "8     2.0 s       0.7 s        6.0 s",
        "16    2.0 s       0.7 s        6.0 s",
        "phase  tasks  starts at  takes   work",
        "data       2      0.0 s  3.0 s  3.0 s",
        "critical path:",
        "  at 0.0 s, 2.0 s: data public.table_1",
        "  at 2.0 s, 1.0 s: data public.table_2",
        "busiest tables  bytes (about)   work",
        "public.table_1        19.1 MB  2.0 s",
        "public.table_2         9.5 MB  1.0 s",
    ]


def test_an_estimate_is_a_mapping_all_the_way_down(plan: Plan, rates: Rates) -> None:
    mapping = json.loads(plan.estimate(2, rates=rates).to_json())
    assert Estimate.from_mapping(mapping) == plan.estimate(2, rates=rates)


def test_the_plan_is_the_same_for_all_rates(plan: Plan, rates: Rates) -> None:
    text = plan.text
    plan.estimate(4, rates=rates)
    assert plan.text == text


def test_rates_survive_a_file(tmp_path: Path, rates: Rates) -> None:
    path = tmp_path / "rates.json"
    known = dataclasses.replace(rates, tables=(TableRates("public.t", analyze=0.5),))
    known.save(path)
    assert Rates.load(path) == known


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"copy_binary": 0}, "copy_binary must be above 0"),
        ({"statement": -1}, "statement must not be below 0"),
        ({"uncertainty": 0.9}, "uncertainty is below 1"),
        ({"copy_speedup": [{"sessions": 2, "speedup": 3.0}]}, "copy_speedup"),
        ({"tables": [{"table": "a.b", "copy": -1.0}]}, "table a.b"),
        ({"version": 1}, "version is 1"),
        ({"misspelt": 1}, "form"),
    ],
)
def test_rates_that_cannot_be_are_refused(
    tmp_path: Path, plan: Plan, change: dict[str, Any], reported: str
) -> None:
    path = tmp_path / "rates.json"
    path.write_text(json.dumps({**Rates.typical().to_dict(), **change}), encoding="utf-8")
    with pytest.raises(StateError, match=reported):
        Rates.load(path)


def test_rates_that_are_given_are_checked_as_well(plan: Plan) -> None:
    with pytest.raises(StateError, match="scan must be above 0"):
        plan.estimate(2, rates=dataclasses.replace(Rates.typical(), scan=0.0))


def test_missing_rates_say_how_to_measure_them(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"rates file .*No such file") as caught:
        Rates.load(tmp_path / "none.json")
    assert "Migration.calibrate()" in str(caught.value.remedy)


def test_plan_estimates_when_it_is_asked_to(
    core: Core, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    _will_plan(core, plan)
    assert main(["plan", *ENDPOINTS, "--estimate", "--jobs", "4"]) == 0
    reported = capsys.readouterr().out
    assert "written to plan.tsv\n\nuncalibrated estimate: about " in reported
    assert "with 4 jobs" in reported


def test_calibrate_measures_keeps_the_rates_and_estimates(
    core: Core, plan: Plan, rates: Rates, capsys: pytest.CaptureFixture[str]
) -> None:
    _will_plan(core, plan)
    core.will(rates.to_dict())
    assert main(["plan", *ENDPOINTS, "--calibrate", "--jobs=1"]) == 0
    assert [verb for verb, _, _ in core.calls] == ["plan", "calibrate"]
    given = core.calls[1][2]
    assert {**given, "plan": str(given["plan"])} == {"plan": plan.text, "seconds": 10.0}
    assert Rates.load("rates.json") == rates
    assert "estimate: about 3.0 s with 1 job" in capsys.readouterr().out
    assert Path("plan.tsv").read_text(encoding="utf-8") == plan.text


def test_calibrate_takes_a_file_and_rates_reads_it(
    core: Core, plan: Plan, rates: Rates, capsys: pytest.CaptureFixture[str]
) -> None:
    _will_plan(core, plan)
    core.will(rates.to_dict())
    assert main(["plan", *ENDPOINTS, "--calibrate", "night.json", "--jobs=2", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["estimate"]
    core.will(_native.parse_plan(plan.text))
    assert main(["plan", *ENDPOINTS, "--rates", "night.json", "--jobs=2", "--json"]) == 0
    assert [verb for verb, _, _ in core.calls] == ["plan", "calibrate", "plan"]
    assert json.loads(capsys.readouterr().out)["estimate"] == first
    assert first["jobs"] == 2 and first["calibrated"] is True


def test_the_configuration_says_how_many_jobs(
    core: Core, plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_native, "default_jobs", lambda most: most)
    settings = {"source": SOURCE, "target": TARGET, "parallel": {"max_jobs": 5}}
    Path("config.json").write_text(json.dumps(settings), encoding="utf-8")
    _will_plan(core, plan)
    assert main(["plan", "--config", "config.json", "--estimate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["estimate"]["jobs"] == 5


def test_a_plan_alone_has_no_estimate(
    core: Core, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    _will_plan(core, plan)
    assert main(["plan", *ENDPOINTS, "--json"]) == 0
    assert "estimate" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "flags", [["--jobs", "2"], ["--calibrate", "a", "--rates", "b"], ["--estimate", "--jobs", "0"]]
)
def test_flags_that_do_not_go_together(core: Core, flags: list[str]) -> None:
    assert main(["plan", *ENDPOINTS, *flags]) == 2
    assert core.calls == []


def test_some_plan_is_no_plan_to_estimate() -> None:
    with pytest.raises(StateError):
        some_plan().estimate(2)
