"""How long planning takes, and how much memory, by the number of objects on the source.

`python tests/bench planning`: see README.md in this folder.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from bench import many_objects
from bench.curve import svg
from bench.measure import measured
from bench.pair import Pair, connected
from bench.results import table
from bench.tools import PGMIGRATE
from pgmigrate.embedded import EmbeddedServer

_SIZES: Final = (1_000, 10_000, 100_000)
_SETTINGS: Final[dict[str, str | int]] = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    # pg_dump locks all tables in one transaction.
    "max_locks_per_transaction": 2048,
    "autovacuum": "off",
    # No test waits for this source's disk: it is made to be read, and goes when the benchmark ends.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}
# The program as its console script runs it. Only a process itself knows its own peak memory without
# that of the programs that it has started.
_PROGRAM: Final = """
import resource, sys
from pathlib import Path
from pgmigrate.cli import main
code = main()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Path("peak").write_text(str(peak * (1 if sys.platform == "darwin" else 1024)))
sys.exit(code)
"""


@dataclass(frozen=True)
class Planned:
    """A plan that was made.

    Attributes:
        objects: tables and indexes on the source.
        tasks: tasks of the plan.
        wall: seconds from the start of the program to its end.
        pg_dump: seconds that pg_dump took.
        catalog: seconds of our own queries, at the same time.
        planning: seconds from the last of both to the finished plan.
        rest: all other seconds: the start of the program, connecting, writing the file.
        peak_memory: of the program without pg_dump, in bytes.
        plan_bytes: size of the file.
    """

    objects: int
    tasks: int
    wall: float
    pg_dump: float
    catalog: float
    planning: float
    rest: float
    peak_memory: int
    plan_bytes: int

    @property
    def row(self) -> tuple[str, ...]:
        """Its line in the table."""
        above = (self.peak_memory - self.plan_bytes) / self.objects
        seconds = (self.wall, self.pg_dump, self.catalog, self.planning, self.rest)
        return (
            f"{self.objects:,}",
            f"{self.tasks:,}",
            *(f"{value:.1f}" for value in seconds),
            f"{self.peak_memory / 1e6:,.0f}",
            f"{self.plan_bytes / 1e6:,.1f}",
            f"{above / 1e3:.1f}",
        )


_HEAD: Final = (
    "objects",
    "tasks",
    "wall s",
    "pg_dump s",
    "catalog s",
    "planning s",
    "rest s",
    "memory MB",
    "plan MB",
    "kB above plan/object",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark.

    Returns:
        0; what goes wrong is raised.
    """
    sizes, output = _options(arguments)
    if reason := PGMIGRATE.missing():
        sys.exit(reason)
    results: list[Planned] = []
    with _running() as pair:
        for size in sizes:
            results.append(_measure(pair, size))
            print("\n".join(table(_HEAD, [result.row for result in results])), flush=True)
    output.mkdir(parents=True, exist_ok=True)
    reported = json.dumps([asdict(result) for result in results], indent=2) + "\n"
    (output / "planning.json").write_text(reported, encoding="utf-8")
    (output / "planning.svg").write_text(_image(results), encoding="utf-8")
    print(f"written to {output / 'planning.json'} and {output / 'planning.svg'}")
    return 0


@contextmanager
def _running() -> Iterator[Pair]:
    with (
        tempfile.TemporaryDirectory(prefix="pgmigrate-bench-") as name,
        EmbeddedServer(16, options=_SETTINGS) as server,
    ):
        # A plan looks at no target, so its server may be the source's.
        yield Pair(server, server, Path(name))


def _measure(pair: Pair, size: int) -> Planned:
    name = f"objects_{size}"
    print(f"{name}: creating it", file=sys.stderr, flush=True)
    with connected(pair.create_source(name)) as connection:
        objects = many_objects.fill(connection, size)
    directory = pair.directory / name
    directory.mkdir()
    command = [sys.executable, "-c", _PROGRAM, "plan"]
    databases = ["--source", pair.source(name), "--target", pair.target]
    figures = measured([[[*command, *databases]]], directory, pair.environment(), limit=1800)
    pair.drop_source(name)
    steps = _steps((directory / "pgmigrate.log").read_text(encoding="utf-8"))
    plan = directory / "plan.tsv"
    with plan.open("rb") as file:
        # Without the names of the columns and the row that says what the plan stands on.
        tasks = sum(1 for _ in file) - 2
    wall = figures["wall"]
    return Planned(
        objects=objects,
        tasks=tasks,
        wall=wall,
        pg_dump=steps["pg_dump"],
        catalog=steps["catalog"],
        planning=steps["plan"],
        rest=wall - steps["inspect"] - steps["plan"],
        peak_memory=int((directory / "peak").read_text()),
        plan_bytes=plan.stat().st_size,
    )


def _steps(log: str) -> dict[str, float]:
    """The seconds of each step, by the log's lines: `<time> INFO <step> started` or `done in`."""
    begun: dict[str, datetime] = {}
    steps: dict[str, float] = {}
    for stamp, step, what in re.findall(r"^(\S+ \S+) INFO (\w+) (started|done in)", log, re.M):
        time = datetime.fromisoformat(stamp)
        if what == "started":
            begun[step] = time
        else:
            # pg_dump and the catalog begin with the step that both are parts of.
            began = begun[step if step in begun else "inspect"]
            steps[step] = (time - began).total_seconds()
    return steps


def _image(results: Sequence[Planned]) -> str:
    sizes = [result.objects for result in results]
    seconds = {
        "in total": [result.wall for result in results],
        "pg_dump": [result.pg_dump for result in results],
        "our queries, at the same time": [result.catalog for result in results],
    }
    memory = {
        "peak, without pg_dump": [result.peak_memory / 1e6 for result in results],
        "the plan itself": [result.plan_bytes / 1e6 for result in results],
    }
    return svg("tables and indexes", sizes, {"seconds": seconds, "MB": memory})


def _options(arguments: Sequence[str] | None) -> tuple[list[int], Path]:
    parser = argparse.ArgumentParser(prog="python tests/bench planning", description=__doc__)
    parser.add_argument(
        "sizes", type=int, nargs="*", metavar="OBJECTS", help="default: 1000 10000 100000"
    )
    parser.add_argument("--output", type=Path, default=Path("bench-results"), metavar="DIR")
    given = parser.parse_args(arguments)
    if any(size < 1 for size in given.sizes):
        parser.error("sizes must be above 0")
    return sorted(given.sizes) or list(_SIZES), given.output
