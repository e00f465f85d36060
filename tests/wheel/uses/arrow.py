"""pgmigrate[arrow]: the Arrow interface, without pyarrow or anything of its size."""

from __future__ import annotations

import json
import sys
from importlib.metadata import distributions

import nanoarrow

from pgmigrate import Migration

given = json.loads(sys.argv[1])
migration = Migration(
    source=given["source"], target=given["target"], roles="none", pg_dump=given["pg_dump"]
)
plan = migration.plan()
read = nanoarrow.ArrayStream(plan).read_all()
assert [row["id"] for row in read.to_pylist()] == [task.id for task in plan]
assert "pyarrow" not in {one.metadata["Name"].lower() for one in distributions()}
