"""pgmigrate[airflow]: Airflow lists the provider and runs a DAG of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

given = json.loads(sys.argv[1])
home = Path.cwd() / "airflow"
dags = home / "dags"
dags.mkdir(parents=True)


def connection(conninfo: str) -> str:
    fields = dict(setting.split("=", 1) for setting in conninfo.split())
    known = {"host": "host", "port": "port", "login": "user", "schema": "dbname"}
    return json.dumps(
        {"conn_type": "postgres", "password": fields["password"]}
        | {name: fields[keyword] for name, keyword in known.items()}
    )


os.environ |= {
    "AIRFLOW_HOME": str(home),
    "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW_CONN_OLD": connection(given["source"]),
    "AIRFLOW_CONN_NEW": connection(given["target"]),
}
airflow = [sys.executable, "-m", "airflow"]
listed = subprocess.run(
    [*airflow, "providers", "list", "-o", "json"], check=True, capture_output=True, text=True
)
assert "pgmigrate" in [row["package_name"] for row in json.loads(listed.stdout)]

dag_file = dags / "move.py"
dag_file.write_text(
    f"""
from airflow.sdk import DAG
from pgmigrate.airflow import PgMigrate

with DAG("move", schedule=None) as dag:
    PgMigrate(
        task_id="move",
        source_conn_id="old",
        target_conn_id="new",
        config={{"roles": "none", "options": {{"pg_dump": {given["pg_dump"]!r}}}}},
        verify=True,
    )

if __name__ == "__main__":
    assert dag.test().state == "success"
"""
)
subprocess.run([*airflow, "db", "migrate"], check=True)
subprocess.run([sys.executable, dag_file], check=True)
