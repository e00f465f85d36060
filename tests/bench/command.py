"""The command line of the benchmark, and the order of things.

Round after round, every tool copies the dataset once, each round starting with another tool, so
that what changes on the machine meanwhile falls on all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pgmigrate
from bench import contents, lower_bound
from bench.contents import Piece, Proof
from bench.datasets import DATASETS, Dataset
from bench.measure import CommandError, LimitError, measured
from bench.pair import SETTINGS, Pair, connected, running
from bench.plot import svg
from bench.results import Prediction, Result, Run
from bench.tools import LOWER_BOUND, PGMIGRATE, TOOLS, Job, Tool
from pgmigrate import Migration

_QUICK: Final = 0.05
_WAL: Final = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"


@dataclass(frozen=True)
class Source:
    """A dataset on the source server, ready to be copied.

    Attributes:
        dataset: which one.
        pieces: its tables in pieces.
        proof: what a copy of it must have.
        lower_bound: the argument of `plain_sql`.
    """

    dataset: Dataset
    pieces: list[Piece]
    proof: Proof
    lower_bound: Path

    @property
    def bytes(self) -> int:
        return sum(piece.bytes for piece in self.pieces)


@dataclass(frozen=True)
class Options:
    """What the command line says; see README.md."""

    rounds: int
    scale: float
    jobs: int
    limit: float
    datasets: list[Dataset]
    tools: list[Tool]
    output: Path

    @property
    def titles(self) -> dict[str, str]:
        return {tool.name: tool.title for tool in self.tools}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark.

    Returns:
        0, or 1 where pgmigrate or the lower bound failed. Other tools may.
    """
    options = _options(arguments)
    if reason := PGMIGRATE.missing():
        sys.exit(reason)
    results: list[Result] = []
    with (
        tempfile.TemporaryDirectory(prefix="pgmigrate-bench-") as name,
        running(Path(name)) as pair,
    ):
        for dataset in options.datasets:
            results.append(_measure(pair, dataset, options))
            print(results[-1].text(options.titles), flush=True)
            # After each dataset, so that nothing is lost when a later one is interrupted.
            _save(pair, options, results)
    print(f"written to {options.output / 'results.json'} and {options.output / 'results.svg'}")
    needed = {PGMIGRATE.name, LOWER_BOUND.name}
    return 1 if any(needed & result.problems.keys() for result in results) else 0


def _measure(pair: Pair, dataset: Dataset, options: Options) -> Result:
    _report(f"{dataset.name}: creating it")
    source = _source(pair, dataset, options)
    tables = {piece.table.name for piece in source.pieces}
    rows = sum(source.proof.rows.values())
    result = Result(dataset.name, dataset.title, len(tables), rows, source.bytes)
    for tool in options.tools:
        if reason := tool.missing():
            result.problems[tool.name] = f"not run: {reason}"
    if PGMIGRATE in options.tools and PGMIGRATE.name not in result.problems:
        _report(f"{dataset.name}: predicting")
        result.prediction = _prediction(pair, dataset, options)
    for number in range(options.rounds):
        at = number % len(options.tools)
        for tool in (*options.tools[at:], *options.tools[:at]):
            if tool.name not in result.problems:
                _try(pair, source, tool, result, number + 1, options)
    lower_bound.remove_files(pair, dataset.name)
    pair.drop_used()
    pair.drop_source(dataset.name)
    return result


def _prediction(pair: Pair, dataset: Dataset, options: Options) -> Prediction:
    source = pair.source_server.conninfo_for(dataset.name)
    with pair.new_target(0) as target:
        migration = Migration(source=source, target=target)
        plan = migration.plan()
        reported = plan.estimate(options.jobs, rates=migration.calibrate(plan))
    uncalibrated = plan.estimate(options.jobs).seconds
    return Prediction(reported.seconds, reported.low, reported.high, uncalibrated)


def _source(pair: Pair, dataset: Dataset, options: Options) -> Source:
    dataset.create(pair, options.scale)
    with connected(pair.source_server.conninfo_for(dataset.name)) as connection:
        proof = contents.proof(connection)
        pieces = contents.pieces(contents.tables(connection))
    path = pair.directory
    if LOWER_BOUND in options.tools:
        path = lower_bound.prepare(pair, dataset.name, pieces, pair.directory, options.jobs)
    return Source(dataset, pieces, proof, path)


def _try(
    pair: Pair, source: Source, tool: Tool, result: Result, number: int, options: Options
) -> None:
    _report(f"{source.dataset.name}: round {number}, {tool.name}")
    try:
        result.runs.append(_run(pair, source, tool, number, options))
    except LimitError as error:
        result.problems[tool.name] = f"not run to its end: {error}"
    except CommandError as error:
        result.problems[tool.name] = f"failed: {error}"
        _report(result.problems[tool.name])


def _run(pair: Pair, source: Source, tool: Tool, number: int, options: Options) -> Run:
    directory = Path(tempfile.mkdtemp(prefix=f"{tool.name}-", dir=pair.directory))
    job = Job(
        pair.source(source.dataset.name),
        pair.target,
        options.jobs,
        directory,
        source.pieces,
        source.lower_bound,
    )
    try:
        commands = tool.commands(job)
        with pair.new_target(source.bytes) as target, connected(target) as connection:
            before = connection.execute(_WAL).fetchall()[0][0]
            figures = measured(commands, directory, pair.environment(), options.limit)
            after = connection.execute(_WAL).fetchall()[0][0]
            if tool.own_clock:
                figures["wall"] = float((directory / tool.own_clock).read_text())
            if difference := source.proof.difference(contents.proof(connection)):
                raise CommandError(f"the copy is not complete: {difference}")
        return Run(tool.name, number, **figures, wal=int(after - before))
    finally:
        shutil.rmtree(directory)


def _save(pair: Pair, options: Options, results: Sequence[Result]) -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    described: dict[str, Any] = {
        "pgmigrate": pgmigrate.__version__,
        "machine": {"system": platform.platform(), "cpus": os.cpu_count()},
        "servers": {
            side: _version(server.conninfo)
            for side, server in (("source", pair.source_server), ("target", pair.target_server))
        },
        "settings": SETTINGS,
        "rounds": options.rounds,
        "scale": options.scale,
        "jobs": options.jobs,
        "titles": options.titles,
        "datasets": {result.dataset: result.to_dict() for result in results},
    }
    text = json.dumps(described, indent=2) + "\n"
    (options.output / "results.json").write_text(text, encoding="utf-8")
    image = svg(results, options.titles)
    (options.output / "results.svg").write_text(image, encoding="utf-8")


def _version(conninfo: str) -> str:
    with connected(conninfo) as connection:
        return str(connection.execute("SHOW server_version").fetchall()[0][0])


def _report(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python tests/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"the same as --scale {_QUICK}")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    parser.add_argument(
        "--scale", type=float, default=1.0, metavar="X", help="size of the datasets; default: 1"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument(
        "--limit", type=float, default=300, metavar="SECONDS", help="for a run; default: 300"
    )
    parser.add_argument(
        "--dataset",
        action="append",
        choices=[dataset.name for dataset in DATASETS],
        help="only this one; repeatable",
    )
    parser.add_argument(
        "--tool",
        action="append",
        choices=[tool.name for tool in TOOLS],
        help="only this one; repeatable",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("bench-results"),
        metavar="DIR",
        help="gets results.json and results.svg; default: bench-results",
    )
    given = parser.parse_args(arguments)
    if given.rounds < 1 or given.jobs < 1 or given.scale <= 0:
        parser.error("--rounds, --jobs and --scale must be above 0")
    return Options(
        given.rounds,
        _QUICK if given.quick else given.scale,
        given.jobs,
        given.limit,
        [d for d in DATASETS if not given.dataset or d.name in given.dataset],
        [t for t in TOOLS if not given.tool or t.name in given.tool],
        given.output,
    )
