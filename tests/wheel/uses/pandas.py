"""pgmigrate[pandas]: plans and reports as data frames."""

from __future__ import annotations

import json
import sys

from pgmigrate import Migration

given = json.loads(sys.argv[1])
migration = Migration(
    source=given["source"], target=given["target"], roles="none", pg_dump=given["pg_dump"]
)
plan = migration.plan()
frame = migration.run(plan).to_pandas()
assert list(frame["id"]) == [task.id for task in plan]
assert str(frame["bytes"].dtype) == "int64" and frame["begun"].notna().all()
