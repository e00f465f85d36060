"""Airflow as people run it: scheduler, DAG processor, API server, triggerer; what they did."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.airflow_site import AirflowSite

_PATIENCE = 120.0


@dataclass(frozen=True)
class TaskRow:
    """A task instance, as the metadata database has it."""

    name: str
    state: str | None
    tries: int
    pid: int | None


@dataclass
class AirflowServices:
    """The running parts of an Airflow with the LocalExecutor, on a port of the loopback address."""

    site: AirflowSite
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self) -> None:
        """Starts all of them."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.site.settings |= {
            "AIRFLOW__API_AUTH__JWT_SECRET": os.urandom(32).hex(),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "5",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        }
        self._start(
            "api-server", "--apps=execution", "--workers=1", "--host=127.0.0.1", f"--port={port}"
        )
        for service in ("dag-processor", "scheduler", "triggerer"):
            self._start(service)

    def _start(self, service: str, *arguments: str) -> None:
        # A group of its own: the workers that it starts are to end with it.
        with self.log(service).open("w") as out:
            self.running[service] = subprocess.Popen(
                [sys.executable, "-m", "airflow", service, *arguments],
                cwd=self.site.home,
                env=self.site.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Ends all of them, each by its own id."""
        for process in reversed(self.running.values()):
            process.terminate()
        deadline = time.monotonic() + 3
        for process in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            # What is left of its group, if anything is.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def log(self, service: str) -> Path:
        """The file with the output of a service."""
        return self.site.home / f"{service}.log"

    def trigger(self, dag_id: str) -> DagRunWatch:
        """Starts a run of a DAG, as soon as Airflow knows the DAG."""
        run_id = f"{dag_id}_run"
        known = "SELECT 1 FROM dag WHERE dag_id = ?"
        watch = DagRunWatch(self, dag_id, run_id)
        watch.until(lambda: bool(self.query(known, dag_id)), f"{dag_id} is not known")
        done = self.site.run("dags", "trigger", dag_id, "--run-id", run_id)
        assert done.returncode == 0, done.stdout + done.stderr
        return watch

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of the metadata database."""
        path = self.site.home / "airflow.db"
        with _reading(path) as connection:
            return connection.execute(sql, parameters).fetchall()


def _said(file: Path) -> str:
    """The words of a log and the messages of its exceptions, without their stacks."""
    lines = []
    for line in file.read_text().splitlines():
        record: dict[str, Any] = json.loads(line) if line.startswith("{") else {"event": line}
        lines.append(f"{record.get('level', '')} {record.get('event')}")
        lines += [f"  {error['exc_value']}" for error in record.get("error_detail", ())]
    return "\n".join(lines)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


@dataclass(frozen=True)
class DagRunWatch:
    """A run of a DAG on its way."""

    services: AirflowServices
    dag_id: str
    run_id: str

    @property
    def state(self) -> str:
        """The run's state."""
        found = self.services.query(
            "SELECT state FROM dag_run WHERE dag_id = ? AND run_id = ?", self.dag_id, self.run_id
        )
        return str(found[0][0]) if found else "none"

    def tasks(self, task_id: str | None = None) -> list[TaskRow]:
        """The run's task instances, or those of one task."""
        found = self.services.query(
            "SELECT task_id, map_index, state, try_number, pid FROM task_instance "
            "WHERE dag_id = ? AND run_id = ? ORDER BY task_id, map_index",
            self.dag_id,
            self.run_id,
        )
        return [
            TaskRow(f"{name}[{index}]" if index >= 0 else name, state, tries, pid)
            for name, index, state, tries, pid in found
            if task_id in (None, name)
        ]

    def until(self, holds: Callable[[], bool], problem: str, *, expected: str = "") -> None:
        """Waits until a condition holds."""
        deadline = time.monotonic() + _PATIENCE
        while not holds():
            is_over = time.monotonic() > deadline or self.state == "failed" != expected
            assert not is_over, f"{problem}: {self.tasks()}\n{self.logs()}"
            for service, process in self.services.running.items():
                assert process.poll() is None, self.services.log(service).read_text()
            time.sleep(0.1)

    def finish(self) -> None:
        """Waits for the run's good end."""
        self.until(lambda: self.state == "success", "the run does not succeed")

    def logs(self, task_id: str = "") -> str:
        """What the run's tasks have logged."""
        folder = self.services.site.home / "logs" / f"dag_id={self.dag_id}"
        found = sorted(folder.glob(f"run_id=*/task_id={task_id}*/**/*.log"))
        return "\n".join(f"== {file.relative_to(folder)}\n{_said(file)}" for file in found)

    def values(self, task_id: str) -> list[Any]:
        """What a task gave, or each of its mapped instances."""
        found = self.services.query(
            "SELECT value FROM xcom WHERE dag_id = ? AND run_id = ? AND task_id = ? "
            "AND key = 'return_value' ORDER BY map_index",
            self.dag_id,
            self.run_id,
            task_id,
        )
        return [json.loads(value) for (value,) in found]
