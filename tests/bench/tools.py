"""The ways to copy a database that are compared, each as the commands that a user would type.

All write to an empty database and leave it with all rows, indexes, constraints and statistics.
"""

from __future__ import annotations

import functools
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.contents import Piece
from bench.measure import Pipeline

_HERE: Final = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Job:
    """What a tool is to do.

    Attributes:
        source: conninfo of the source, without a password; the environment has a password file.
        target: conninfo of the target.
        jobs: how much is done at once.
        directory: an empty directory, the working directory.
        pieces: the tables in pieces, for tools that take what to copy.
        lower_bound: what `lower_bound.prepare` wrote.
    """

    source: str
    target: str
    jobs: int
    directory: Path
    pieces: Sequence[Piece]
    lower_bound: Path


@dataclass(frozen=True)
class Tool:
    """A way to copy a database.

    Attributes:
        name: what the command line calls it.
        title: what it is.
        commands: the pipelines for a job, which run one after another.
        missing: why it cannot run on this machine; empty where it can.
        own_clock: a file in which it leaves its wall time in seconds; empty where that is the time
            from its start to its end.
    """

    name: str
    title: str
    commands: Callable[[Job], list[Pipeline]]
    missing: Callable[[], str] = lambda: ""
    own_clock: str = ""


def _pgmigrate(job: Job) -> list[Pipeline]:
    command = [sys.executable, "-m", "pgmigrate", "migrate", f"--jobs={job.jobs}"]
    return [[[*command, "--source", job.source, "--target", job.target]]]


def _lower_bound(job: Job) -> list[Pipeline]:
    script = str(_HERE / "plain_sql.py")
    return [[[sys.executable, script, str(job.lower_bound), LOWER_BOUND.own_clock]]]


def _dump_restore(job: Job) -> list[Pipeline]:
    jobs = f"--jobs={job.jobs}"
    dump = ["pg_dump", "--format=directory", "--compress=none", jobs, "--file=dump", job.source]
    restore = ["pg_restore", "--exit-on-error", jobs, f"--dbname={job.target}", "dump"]
    return [[dump], [restore], _analyze(job)]


def _pipe(job: Job) -> list[Pipeline]:
    # One transaction is faster than one a statement, and leaves all or nothing.
    return [[["pg_dump", job.source], [*_psql(job.target), "--single-transaction"]], _analyze(job)]


def _pgcopydb(job: Job, binary: bool = False) -> list[Pipeline]:
    smallest_piece = min((piece.bytes for piece in job.pieces if piece.condition), default=0)
    command = [
        "pgcopydb",
        "clone",
        f"--source={job.source}",
        f"--target={job.target}",
        f"--table-jobs={job.jobs}",
        f"--index-jobs={job.jobs}",
        "--dir=pgcopydb",
    ]
    if smallest_piece:
        command.append(f"--split-tables-larger-than={smallest_piece}")
    if binary:
        command.append("--use-copy-binary")
    if "--skip-vacuum" not in _pgcopydb_help():
        # It does VACUUM ANALYZE by itself.
        return [[command]]
    return [[[*command, "--skip-vacuum"]], _analyze(job)]


def _copy_pairs(job: Job) -> list[Pipeline]:
    source, target = (shlex.join(_psql(side)) for side in (job.source, job.target))
    lines = [
        f"{source} --command={shlex.quote(piece.read('STDOUT', ''))}"
        f" | {target} --command={shlex.quote(piece.load('STDIN', ''))}"
        for piece in job.pieces
    ]
    script = job.directory / "pairs"
    script.write_text("".join(f"{line}\n" for line in lines))
    if _has_parallel():
        run = ["parallel", "--will-cite", f"--jobs={job.jobs}", "--halt=now,fail=1"]
        run += ["--arg-file=pairs"]
    else:
        run = ["xargs", "--arg-file=pairs", "--delimiter=\\n", "--max-args=1"]
        run += [f"--max-procs={job.jobs}", "sh", "-c"]
    # Not --schema-only, which would leave materialized views empty.
    sections = ["--section=pre-data", "--section=post-data"]
    dump = ["pg_dump", "--format=custom", *sections, "--file=schema.dump", job.source]
    restore = ["pg_restore", "--exit-on-error", f"--dbname={job.target}", "schema.dump"]
    after = [*restore, "--section=post-data", f"--jobs={job.jobs}"]
    return [[dump], [[*restore, "--section=pre-data"]], [run], [after], _analyze(job)]


def _insert(job: Job) -> list[Pipeline]:
    return [[[sys.executable, str(_HERE / "insert_batches.py"), job.source, job.target]]]


def _psql(conninfo: str) -> list[str]:
    options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=on"]
    return ["psql", *options, f"--dbname={conninfo}"]


def _analyze(job: Job) -> Pipeline:
    options = ["--analyze-only", "--quiet", f"--jobs={job.jobs}"]
    return [["vacuumdb", *options, f"--dbname={job.target}"]]


def _has_parallel() -> bool:
    if shutil.which("parallel") is None:
        return False
    reported = subprocess.run(
        ["parallel", "--version"], capture_output=True, text=True, check=False
    )
    # moreutils has a program of that name, too.
    return reported.stdout.startswith("GNU parallel")


@functools.cache
def _pgcopydb_help() -> str:
    reported = subprocess.run(
        ["pgcopydb", "clone", "--help"], capture_output=True, text=True, check=False
    )
    return reported.stdout + reported.stderr


def _no_pgcopydb() -> str:
    return "" if shutil.which("pgcopydb") else "pgcopydb is not on PATH"


def _no_binary_pgcopydb() -> str:
    if reason := _no_pgcopydb():
        return reason
    return "" if "--use-copy-binary" in _pgcopydb_help() else "this pgcopydb has no binary COPY"


def _debug_build() -> str:
    from pgmigrate import _native

    is_debug_build: Callable[[], bool] = getattr(_native, "is_debug_build", lambda: False)
    if is_debug_build():
        return "the installed pgmigrate is a debug build: install it with `pip install .`"
    return ""


def _no_pairs() -> str:
    if shutil.which("parallel") or shutil.which("xargs"):
        return ""
    return "neither GNU parallel nor xargs is on PATH"


PGMIGRATE: Final = Tool("pgmigrate", "pgmigrate migrate", _pgmigrate, _debug_build)
LOWER_BOUND: Final = Tool(
    "lower_bound", "the servers alone, by plain SQL", _lower_bound, own_clock="seconds"
)

TOOLS: Final = (
    PGMIGRATE,
    LOWER_BOUND,
    Tool("pg_dump_pipe", "pg_dump, psql pipe", _pipe),
    Tool("pg_dump_restore", "pg_dump -Fd -j, pg_restore -j", _dump_restore),
    Tool("pgcopydb", "pgcopydb clone", _pgcopydb, _no_pgcopydb),
    Tool(
        "pgcopydb_binary",
        "pgcopydb clone --use-copy-binary",
        functools.partial(_pgcopydb, binary=True),
        _no_binary_pgcopydb,
    ),
    Tool(
        "copy_pairs",
        f"psql COPY pairs under {'GNU parallel' if _has_parallel() else 'xargs -P'}",
        _copy_pairs,
        _no_pairs,
    ),
    Tool("insert_batches", "INSERT of 1,000 rows through psycopg", _insert),
)
"""In the order of the tables that are printed."""
