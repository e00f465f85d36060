"""An application that writes to a database for as long as it runs, as a process of its own.

As a program: ``application.py start|run|stop|check FOLDER``, with the conninfo in ``DATABASE``.
``start`` comes back once the application writes, ``stop`` once it is gone, ``check`` prints the
process while there is one. Each row has the process that wrote it, and when.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLES = """
CREATE TABLE written (process int, number int, at timestamptz, PRIMARY KEY (process, number));
CREATE TABLE settings (name text PRIMARY KEY, value text);
INSERT INTO settings SELECT 'name' || i, 'value' || i FROM generate_series(1, 500) AS i;
"""
_PATIENCE = 30.0


@dataclass(frozen=True)
class Application:
    """The application in its folder, writing to a database."""

    folder: Path
    conninfo: str

    def command(self, verb: str) -> list[str]:
        return [sys.executable, __file__, verb, str(self.folder)]

    @property
    def env(self) -> dict[str, str]:
        return {"DATABASE": self.conninfo}

    def procedure(self, **keys: Any) -> dict[str, Any]:
        """The section `procedure` that stops, checks and starts it."""
        return {
            "stop": [self.command("stop")],
            "check_stopped": {"run": self.command("check"), "expect": "no_output"},
            "start": [self.command("start")],
            "env": self.env,
            **keys,
        }

    def do(self, verb: str) -> None:
        subprocess.run(self.command(verb), env={**os.environ, **self.env}, check=True)

    def process(self) -> int | None:
        """The process that runs, if any."""
        return _process(self.folder)


def _process(folder: Path) -> int | None:
    try:
        process = int((folder / "pid").read_text())
        os.kill(process, 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    return process


def _start(folder: Path) -> None:
    with (folder / "output").open("ab") as output:
        subprocess.Popen(
            [sys.executable, __file__, "run", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + _PATIENCE
    while _process(folder) is None:
        assert time.monotonic() < deadline, "the application does not start"
        time.sleep(0.02)


def _stop(folder: Path) -> None:
    process = _process(folder)
    assert process is not None, "the application does not run"
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    while _process(folder) is not None:
        assert time.monotonic() < deadline, "the application does not stop"
        time.sleep(0.02)


def _run(folder: Path) -> None:
    # The other verbs are run very often, and it takes most of their time to import this.
    import psycopg

    wanted = True

    def stop(*_: object) -> None:
        nonlocal wanted
        wanted = False

    signal.signal(signal.SIGTERM, stop)
    pid = folder / "pid"
    with psycopg.connect(os.environ["DATABASE"], application_name="bot", autocommit=True) as db:
        number = 0
        while wanted:
            db.execute(
                "INSERT INTO written VALUES (%s, %s, clock_timestamp()) /* hush query */",
                [os.getpid(), number],
            )
            if number == 0:
                new = folder / "pid.new"
                new.write_text(str(os.getpid()))
                new.replace(pid)
            number += 1
            time.sleep(0.02)
    # A process that waits for it may check only after the session has ended.
    pid.unlink()


def main(verb: str, folder: Path) -> None:
    if verb == "start":
        _start(folder)
    elif verb == "stop":
        _stop(folder)
    elif verb == "run":
        _run(folder)
    elif (process := _process(folder)) is not None:
        print(f"process {process}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
