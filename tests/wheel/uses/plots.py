"""pgmigrate[plots]: a page with its pictures, drawn without a browser."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pgmigrate import Migration

given = json.loads(sys.argv[1])
migration = Migration(
    source=given["source"], target=given["target"], roles="none", pg_dump=given["pg_dump"]
)
plan = migration.plan()
report = migration.run(plan)
report.save("report.html")
page = Path("report.html").read_text(encoding="utf-8")
assert page.count("<svg") == 3, page[:2000]
assert "<svg" in plan._repr_html_()
report.timeline().save("timeline.svg")
