"""A run in a process of its own, which outlives the Airflow task that started it.

`start` is called by the task; the rest is that process: ``python -m pgmigrate.airflow.detached``.
It is told what to do on its standard input, passwords included, so that neither arguments nor
environment show them, and answers with one line: the run's number, or why there is none. From then
on whoever wants to know how it goes asks the target's ledger.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType
from typing import Any

from rich.console import Console

from pgmigrate import Migration, PgMigrateError, Plan
from pgmigrate.errors import InterruptedRunError, from_native
from pgmigrate.progress import LineProgress


def start(
    migration: Migration, plan: Plan, settings: Mapping[str, Any], log_path: str | None
) -> tuple[int, int]:
    """Starts a run and returns as soon as the ledger has it.

    Args:
        migration: what to do.
        plan: the plan to follow.
        settings: keywords of `Migration.run`.
        log_path: a file on this machine that the run's own log is added to; none when None.

    Returns:
        The run's number and the process's id.

    Raises:
        PgMigrateError: the run could not begin.
    """
    work = {"options": migration._options, "plan": plan.text, "settings": dict(settings)}
    log = subprocess.DEVNULL if log_path is None else os.open(log_path, _APPEND, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "pgmigrate.airflow.detached"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    finally:
        if log_path is not None:
            os.close(log)
    try:
        answer = _ask(process, work)
    except BaseException:
        # Whoever is stopped while the run begins takes it along.
        process.terminate()
        process.wait()
        raise
    if "run" in answer:
        return answer["run"], process.pid
    process.wait()
    raise from_native(answer)


_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def _ask(process: subprocess.Popen[bytes], work: Mapping[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None and process.stdout is not None
    with suppress(BrokenPipeError), process.stdin:
        process.stdin.write(json.dumps(work).encode())
    with process.stdout:
        line = process.stdout.readline()
    if not line:
        code = process.wait()
        message = f"the process of the run ended with {code} before the run began"
        return {"kind": InterruptedRunError.kind, "message": message}
    answer: dict[str, Any] = json.loads(line)
    return answer


class _Answer:
    """Says once, to whoever started this process, that the run has begun."""

    def __init__(self) -> None:
        self._is_given = False

    def __call__(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "run_started":
            self.give({"run": event["run"]})

    def give(self, answer: Mapping[str, Any]) -> None:
        if not self._is_given:
            self._is_given = True
            print(json.dumps(answer), flush=True)


def _main() -> int:
    signal.signal(signal.SIGTERM, _stop)
    work = json.load(sys.stdin)
    answer = _Answer()
    progress = LineProgress(Console(stderr=True))

    def on_event(event: dict[str, Any]) -> None:
        answer(event)
        progress(event)

    try:
        migration = Migration._from_options(work["options"])
        plan = Plan.parse(work["plan"])
        report = migration.run(plan, on_event=on_event, **work["settings"])
    except PgMigrateError as error:
        answer.give(error.to_dict())
        print(error, file=sys.stderr)
        return 1
    print(report.text(), file=sys.stderr)
    return 0 if report.ok else 1


def _stop(number: int, frame: FrameType | None) -> None:
    # Only an exception reaches the run, which stops in order before it passes it on.
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(_main())
