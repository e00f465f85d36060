"""A run in a separate process, which outlives the Airflow task that started it.

`start` is called by the task; the rest is that process: ``python -m pgmigrate.airflow.detached``.
It reads its job from its standard input, passwords included, so that neither arguments nor
environment show them. It answers in lines of JSON: a line for each finding, and a last one that
reports that the run has begun, that the backup before the run has begun, or why there is no run.
When it writes that line, the process holds the run's lock on the target. From then on the lock and
the ledger show its state.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, cast

from rich.console import Console

from pgmigrate import Event, Migration, OnEvent, PgMigrateError, Plan
from pgmigrate._values.wording import facing
from pgmigrate.errors import InterruptedRunError, from_native
from pgmigrate.progress import LineProgress


@dataclass(frozen=True)
class Started:
    """A process that prepares or does a run.

    Attributes:
        run: the run's number; None while the target is backed up, before the run begins.
        pid: the process's id.
    """

    run: int | None
    pid: int


def start(
    migration: Migration,
    plan: Plan,
    settings: Mapping[str, Any],
    log_path: str | None,
    on_event: OnEvent,
) -> Started:
    """Starts a run and returns as soon as the ledger has it, or the backup before it has begun.

    Args:
        migration: what to do.
        plan: the plan to follow.
        settings: keywords of `Migration.run`.
        log_path: a file on this machine to which the run's own log is appended; no log if None.
        on_event: called with the findings before the run.

    Raises:
        PgMigrateError: the run could not begin.
    """
    work = {"options": migration._options, "plan": plan.text, "settings": dict(settings)}
    process = _spawn(log_path)
    try:
        answer = _ask(process, work, on_event)
    except BaseException:
        # If the caller is stopped while the run begins, the process is ended, too.
        process.terminate()
        process.wait()
        raise
    if "run" in answer:
        return Started(answer["run"], process.pid)
    process.wait()
    raise from_native(answer)


def _spawn(log_path: str | None) -> subprocess.Popen[bytes]:
    log = subprocess.DEVNULL if log_path is None else os.open(log_path, _APPEND, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "pgmigrate.airflow.detached"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    finally:
        if log_path is not None:
            os.close(log)


_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def _ask(
    process: subprocess.Popen[bytes], work: Mapping[str, Any], on_event: OnEvent
) -> dict[str, Any]:
    assert process.stdin is not None and process.stdout is not None
    with suppress(BrokenPipeError), process.stdin:
        process.stdin.write(json.dumps(work).encode())
    with process.stdout:
        for line in process.stdout:
            answer: dict[str, Any] = json.loads(line)
            if "event" not in answer:
                return answer
            on_event(cast("Event", answer))
    code = process.wait()
    message = f"the process of the run ended with {code} before the run began"
    return {"kind": InterruptedRunError.kind, "name": "run_not_begun", "message": message}


class _Answer:
    """The answer of this process to the one that started it, up to the last line."""

    def __init__(self) -> None:
        self._is_given = False

    def __call__(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "found" and not self._is_given:
            _print(event)
        elif event["event"] == "run_started":
            self.give({"run": event["run"]})
        elif _is_backup(event):
            self.give({"run": None})

    def give(self, answer: Mapping[str, Any]) -> None:
        """Writes the last line, once."""
        if not self._is_given:
            self._is_given = True
            _print(answer)


def _is_backup(event: Mapping[str, Any]) -> bool:
    """Whether an event reports the beginning of the target's backup, which precedes the run."""
    return (event["event"], event.get("step")) == ("step_started", "backup")


def _print(line: Mapping[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def main() -> int:
    """Does the job on standard input; returns the exit code."""
    with facing("airflow"):
        return _do()


def _do() -> int:
    signal.signal(signal.SIGTERM, _stop)
    work = json.load(sys.stdin)
    answer = _Answer()
    progress = LineProgress(Console(stderr=True))

    def on_event(event: Event) -> None:
        if _is_backup(event):
            print("backing up the target before the run begins", file=sys.stderr, flush=True)
        answer(event)
        progress(event)

    try:
        migration = Migration._from_options(work["options"])
        report = migration.run(Plan.parse(work["plan"]), on_event=on_event, **work["settings"])
    except PgMigrateError as error:
        answer.give(error.to_dict())
        print(error, file=sys.stderr)
        return 1
    print(report.text(), file=sys.stderr)
    return 0 if report.ok else 1


def _stop(number: int, frame: FrameType | None) -> None:
    # Only an exception reaches the run, which stops cleanly and then raises it again.
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
