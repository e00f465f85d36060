"""Migrations within the safe procedure, for its tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pgmigrate import Migration, SafetyReport

# For the target: a row of the source does not come in.
REFUSING = """
CREATE TABLE settings (
    name text PRIMARY KEY, value text CONSTRAINT refused CHECK (value <> 'value7')
);
INSERT INTO settings VALUES ('own', 'own');
"""


def migration(
    ends: tuple[str, str], folder: Path, procedure: dict[str, Any], **keys: Any
) -> Migration:
    options = {"backup_dir": str(folder / "backup"), **keys.pop("options", {})}
    return Migration(
        source=ends[0], target=ends[1], roles="none", options=options, procedure=procedure, **keys
    )


def states(report: SafetyReport) -> dict[str, str]:
    return {step.name: step.state for step in report.steps}


def config_file(migration: Migration, path: Path) -> Path:
    path.write_text(json.dumps(migration._options))
    return path
