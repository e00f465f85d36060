"""pgmigrate[pgtools]: a pg_dump from PyPI, newer than the source."""

from __future__ import annotations

import json
import sys

from pgmigrate import Migration
from pgmigrate.embedded import find_tool

given = json.loads(sys.argv[1])
pg_dump = find_tool("pg_dump")
assert pg_dump.is_relative_to(sys.prefix), pg_dump
migration = Migration(
    source=given["source"], target=given["target"], roles="none", pg_dump=str(pg_dump)
)
migration.run().raise_for_failures()
migration.verify().raise_for_differences()
