"""The text of a plan, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

COLUMNS = (
    "id", "phase", "kind", "schema", "name", "requires", "after", "rows", "bytes", "format",
    "on_existing", "source_sql", "target_sql", "optional_sql", "merge_sql", "note", "subject",
)  # fmt: skip
HEADER = {
    "version": 3,
    "source": "1/2/shop",
    "source_version": 160000,
    "config": {},
    "tables": {},
    "absent": [],
    "findings": [],
}


def plan_text(tasks: Iterable[Mapping[str, object]]) -> str:
    """A plan of tasks with these fields; a field that is not given is empty."""
    rows = [{"id": "plan", "note": json.dumps(HEADER)}, *tasks]
    lines = ["\t".join(str(row.get(column, "")) for column in COLUMNS) for row in rows]
    return "\n".join(["\t".join(COLUMNS), *lines]) + "\n"
