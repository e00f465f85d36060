"""The package without any extra: a migration with its proof, by two dependencies of its own."""

from __future__ import annotations

import json
import subprocess
import sys
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
migration.run(plan).raise_for_failures()
migration.verify(plan).raise_for_differences()

print("imported:", *sorted({name.partition(".")[0] for name in sys.modules} - {"__main__"}))
foreign = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
assert foreign <= {"pgmigrate", "__main__"}, foreign

installed = {one.metadata["Name"].lower() for one in distributions()}
assert installed == {"pgmigrate", "click", "rich", "markdown-it-py", "mdurl", "pygments"}, installed

program = Path(sys.executable).with_name("pgmigrate")
ends = ["--source", given["source"], "--target", given["target"]]
subprocess.run([program, "status", *ends], check=True)
subprocess.run([program, "cleanup", *ends], check=True)
