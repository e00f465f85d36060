"""The package without any extra: a migration with its proof, and what each extra would add."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import distributions
from pathlib import Path

import pgmigrate

given = json.loads(sys.argv[1])
migration = pgmigrate.Migration(
    source=given["source"],
    target=given["target"],
    roles="none",
    pg_dump=given["pg_dump"],
)
plan = migration.plan()
plan.save("plan.tsv")
report = migration.run(plan)
report.raise_for_failures()
report.save("report.html")
migration.verify(plan).raise_for_differences()

print("imported:", *sorted({name.partition(".")[0] for name in sys.modules} - {"__main__"}))
foreign = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
assert foreign <= {"pgmigrate", "__main__"}, foreign

installed = {one.metadata["Name"].lower() for one in distributions()}
assert installed == {"pgmigrate", "click", "rich", "markdown-it-py", "mdurl", "pygments"}, installed

for extra, ask in (
    ("airflow", lambda: import_module("pgmigrate.airflow").PgMigrate),
    ("alembic", lambda: import_module("pgmigrate.alembic")),
    ("arrow", lambda: plan.arrow().__arrow_c_stream__()),
    ("pandas", plan.to_pandas),
    ("plots", report.timeline),
):
    try:
        ask()
    except ImportError as error:
        assert f"pip install 'pgmigrate[{extra}]'" in str(error), error
    else:
        raise AssertionError(f"works without its extra: {extra}")

program = Path(sys.executable).with_name("pgmigrate")
databases = ["--source", given["source"], "--target", given["target"]]
subprocess.run([program, "status", *databases], check=True)
subprocess.run([program, "cleanup", *databases], check=True)
