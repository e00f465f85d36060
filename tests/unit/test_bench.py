"""The benchmark runs to its end on tiny data; what it measures there means nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

BENCH = Path(__file__).parent.parent / "bench"
TOOLS = ("pgmigrate", "lower_bound", "pg_dump_pipe", "pg_dump_restore", "copy_pairs")
FIGURES = ("wall", "wall_min", "wall_max", "to_us", "to_bound", "client_cpu", "peak_memory", "wal")


@pytest.mark.timeout(600)
def test_every_tool_has_every_figure(tmp_path: Path) -> None:
    asked = [f"--tool={name}" for name in (*TOOLS, "insert_batches")]
    done = subprocess.run(
        [
            sys.executable,
            BENCH,
            "--scale=0.002",
            "--rounds=1",
            "--dataset=small_tables",
            f"--output={tmp_path}",
            *asked,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if "debug build" in done.stderr:
        pytest.skip("the benchmark refuses debug builds")
    assert done.returncode == 0, done.stderr
    reported = json.loads((tmp_path / "results.json").read_text())
    assert list(reported["datasets"]) == ["small_tables"]
    for dataset in reported["datasets"].values():
        assert not dataset["problems"]
        assert dataset["prediction"]["low"] < dataset["prediction"]["seconds"]
        assert dataset["predicted_to_outcome"] > 0
        assert set(dataset["tools"]) == {*TOOLS, "insert_batches"}
        for tool, summary in dataset["tools"].items():
            for figure in FIGURES:
                assert summary[figure] > 0, (tool, figure)
    assert done.stdout.count("predicted ") == 1
    ElementTree.parse(tmp_path / "results.svg")


@pytest.mark.timeout(600)
def test_planning_has_every_figure_of_every_size(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, BENCH, "planning", "50", "100", f"--output={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        assert "debug build" in done.stderr
        return
    reported = json.loads((tmp_path / "planning.json").read_text())
    assert [result["objects"] for result in reported] == [50, 100]
    for result in reported:
        # Steps of so small a source may be over before the log's clock has moved.
        assert all(figure >= 0 for figure in result.values())
        assert min(result["tasks"], result["wall"], result["plan_bytes"]) > 0
        assert result["wall"] > result["pg_dump"]
        assert result["peak_memory"] > result["plan_bytes"]
    assert reported[0]["tasks"] < reported[1]["tasks"]
    ElementTree.parse(tmp_path / "planning.svg")
