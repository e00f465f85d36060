"""Runs commands and measures them: wall time, CPU time and peak memory of them and their children.

This file is also the program that does it, in a process of its own: Linux hands the peak memory of
a process on to the programs it starts, so they must not be started by the large benchmark itself.
As a program it imports little, to keep that floor low.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Pipeline = list[list[str]]
"""Commands, each of which reads what the one before it writes."""


class CommandError(Exception):
    """A command failed, or took too long."""


class LimitError(CommandError):
    """The commands took longer than allowed."""


def measured(
    pipelines: Sequence[Pipeline], directory: Path, environment: Mapping[str, str], limit: float
) -> dict[str, float]:
    """Runs pipelines one after another.

    Args:
        pipelines: what to run.
        directory: the working directory; the file `output.log` in it gets what they write.
        environment: all their variables.
        limit: seconds after which they are killed.

    Returns:
        `wall` and `client_cpu` in seconds; `peak_memory`, that of the largest process, in bytes.

    Raises:
        LimitError: the limit was reached.
        CommandError: a command failed.
    """
    log = directory / "output.log"
    runner = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, json.dumps(pipelines), str(log)],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Ctrl-C is for the benchmark, which ends the runner itself.
        start_new_session=True,
    )
    try:
        reported, _ = runner.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise LimitError(f"took more than {limit:.0f} s") from None
    finally:
        if runner.poll() is None:
            runner.terminate()
            runner.communicate()
    if runner.returncode != 0:
        tail = log.read_text(errors="replace").splitlines()[-12:] if log.exists() else []
        raise CommandError("\n".join([reported.strip(), *tail]))
    result: dict[str, float] = json.loads(reported)
    return result


def _run(pipelines: list[Pipeline], log_path: str) -> dict[str, Any]:
    cpu, peak = 0.0, 0
    began = time.monotonic()
    with open(log_path, "ab") as log:  # noqa: PTH123 - pathlib would raise the floor
        for pipeline in pipelines:
            started: list[subprocess.Popen[bytes]] = []
            signal.signal(signal.SIGTERM, lambda *_, started=started: _killed(started))
            _start(pipeline, log, started)
            for command, process in zip(pipeline, started, strict=True):
                usage = _waited(process)
                if process.returncode != 0:
                    sys.exit(f"{command[0]} ended with {process.returncode}")
                cpu += usage.ru_utime + usage.ru_stime
                peak = max(peak, usage.ru_maxrss)
    wall = time.monotonic() - began
    unit = 1 if sys.platform == "darwin" else 1024
    return {"wall": wall, "client_cpu": cpu, "peak_memory": peak * unit}


def _start(pipeline: Pipeline, log: Any, started: list[subprocess.Popen[bytes]]) -> None:
    for number, command in enumerate(pipeline, 1):
        last = number == len(pipeline)
        before = started[-1].stdout if started else subprocess.DEVNULL
        process = subprocess.Popen(
            command,
            stdin=before,
            stdout=log if last else subprocess.PIPE,
            stderr=log,
            # Some end by a signal to their whole process group.
            start_new_session=True,
        )
        if started and started[-1].stdout is not None:
            # Else the first process would never learn that the second has died.
            started[-1].stdout.close()
        started.append(process)


def _killed(started: list[subprocess.Popen[bytes]]) -> None:
    for process in started:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    sys.exit(1)


def _waited(process: subprocess.Popen[bytes]) -> Any:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


if __name__ == "__main__":
    json.dump(_run(json.loads(sys.argv[1]), sys.argv[2]), sys.stdout)
