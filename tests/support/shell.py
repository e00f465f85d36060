"""The `pgmigrate` command as a user runs it: a process of its own in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


@dataclass(frozen=True)
class Shell:
    """A folder in which commands are run."""

    folder: Path

    def write_config(self, source: str, target: str, **keys: object) -> None:
        """Writes `config.json` for a migration without roles, with these keys besides."""
        config = {"source": source, "target": target, "roles": "none", **keys}
        (self.folder / "config.json").write_text(json.dumps(config))

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Starts `pgmigrate` with the arguments; the caller waits for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "pgmigrate", *arguments],
            cwd=self.folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start_group(self, *arguments: str, by: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Starts `pgmigrate`, by another program, as the leader of a group of its own.

        A terminal does so, and sends its signals to the group.
        """
        return subprocess.Popen(
            [*by, sys.executable, "-m", "pgmigrate", *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, timeout: float = 120, **environment: str) -> Done:
        """Runs `pgmigrate` with the arguments to its end."""
        process = self.start(*arguments, **environment)
        stdout, stderr = process.communicate(timeout=timeout)
        return Done(process.returncode, stdout, stderr)

    def killed_after(self, seconds: float, *arguments: str) -> int:
        """Runs `pgmigrate` and sends SIGKILL after that time, if it still runs; its exit code."""
        process = self.start(*arguments)
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        return process.returncode

    def interrupted_after(self, seconds: float, *arguments: str) -> tuple[Done, float]:
        """Runs `pgmigrate`, sends SIGINT after that time; how it ended, and how long it took."""
        process = self.start(*arguments)
        time.sleep(seconds)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        return Done(process.returncode, stdout, stderr), time.monotonic() - began
