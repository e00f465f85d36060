"""A real Airflow in a folder of its own: its commands, its configuration, its processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

# Runs one DAG in this process as often as asked, and says what became of its tasks.
_DAG_TEST = """
import json, sys
import psycopg
from airflow.dag_processing.dagbag import DagBag
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
path, dag_id, result, steps = sys.argv[1:]
bag = DagBag(path)
assert not bag.import_errors, bag.import_errors
def name(row):
    return f"{row.task_id}[{row.map_index}]" if row.map_index >= 0 else row.task_id
def tested(conf, conninfo, script):
    if script:
        with psycopg.connect(conninfo) as changed:
            changed.execute(script)
    run = bag.dags[dag_id].test(run_conf=conf)
    instances = run.get_task_instances()
    values = {}
    with create_session() as session:
        for row in session.query(XComModel).filter_by(dag_id=dag_id, run_id=run.run_id):
            values[f"{name(row)}.{row.key}"] = XComModel.deserialize_value(row)
    return {
        "state": str(run.state),
        "tasks": {name(ti): str(ti.state) for ti in instances},
        "tries": {name(ti): ti.try_number for ti in instances},
        "xcom": values,
    }
found = []
for step in json.loads(steps):
    found.append(tested(**step))
    print("END OF DAG RUN", flush=True)
json.dump(found, open(result, "w"))
"""


@dataclass(frozen=True)
class DagTest:
    """A run of a DAG to make by `dag.test()`.

    Attributes:
        conf: the DAG's params.
        conninfo: the database that is changed before it.
        script: the SQL that changes it.
    """

    conf: Mapping[str, object] = field(default_factory=dict)
    conninfo: str = ""
    script: str = ""


@dataclass
class AirflowSite:
    """An AIRFLOW_HOME with a metadata database.

    Attributes:
        home: the folder.
        settings: variables of the environment beyond those that every site has.
    """

    home: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def dags(self) -> Path:
        """The folder of its DAG files."""
        return self.home / "dags"

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of its processes."""
        own = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "PYTHONWARNINGS": "ignore",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        return {**kept, **own, **self.settings, **more}

    def prepare(self) -> AirflowSite:
        """Makes the metadata database."""
        self.dags.mkdir(parents=True, exist_ok=True)
        done = self.run("db", "migrate")
        assert done.returncode == 0, done.stdout + done.stderr
        return self

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs `airflow` with the arguments to its end."""
        return self._python(["-m", "airflow", *arguments], more)

    def python(self, script: str, *arguments: str, **more: str) -> Any:
        """Runs a script in a process that can import Airflow; what it printed last, as JSON."""
        done = self._python(["-c", script, *arguments], more)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def _python(
        self, arguments: list[str], more: Mapping[str, str], *, apart: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Runs Python with the arguments to its end, with the two outputs apart or together."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.home,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if apart else subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )

    def test_dag(self, file: Path, dag_id: str, **conf: object) -> DagRun:
        """Runs `dag.test()` of a DAG, with its params, in a process of its own."""
        (run,) = self.test_dag_runs(file, dag_id, DagTest(conf))
        return run

    def test_dag_runs(self, file: Path, dag_id: str, *steps: DagTest) -> list[DagRun]:
        """Runs `dag.test()` of a DAG for each step, in one process of their own."""
        result = self.home / f"{dag_id}.json"
        result.unlink(missing_ok=True)
        given = json.dumps([asdict(step) for step in steps])
        done = self._python(
            ["-c", _DAG_TEST, str(file), dag_id, str(result), given], {}, apart=False
        )
        assert result.exists(), done.stdout
        logs = done.stdout.split("END OF DAG RUN\n")
        found = json.loads(result.read_text())
        return [DagRun(log=log, **run) for log, run in zip(logs, found, strict=False)]


@dataclass(frozen=True)
class DagRun:
    """What a run of a DAG came to."""

    state: str
    tasks: Mapping[str, str]
    tries: Mapping[str, int]
    xcom: Mapping[str, Any]
    log: str


def connection(conninfo: str, **extras: object) -> str:
    """A conninfo as the value of an ``AIRFLOW_CONN_...`` variable."""
    given = {key: str(value) for key, value in conninfo_to_dict(conninfo).items()}
    fields = {
        "conn_type": "postgres",
        "host": given.pop("host", ""),
        "port": int(given.pop("port", "5432")),
        "login": given.pop("user", ""),
        "password": given.pop("password", ""),
        "schema": given.pop("dbname", ""),
    }
    return json.dumps({**fields, "extra": {**given, **extras}})
