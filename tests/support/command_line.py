"""What tests of the command line with a scripted core share."""

from __future__ import annotations

from support.scripted_core import SOURCE, TARGET, Core

ENDPOINTS = ["--source", SOURCE, "--target", TARGET]
FINDING = {
    "check": "target_empty",
    "severity": "blocking",
    "object": "public.t",
    "message": "public.t differs",
    "remedy": "drop it",
    "objects": [],
}
STATUS = {
    "run": 1,
    "plan": "f00d",
    "consistent": None,
    "state": "interrupted",
    "active": False,
    "procedure": None,
    "tasks": {"done": 1, "kept": 0, "running": 0, "failed": 0, "blocked": 0, "pending": 1},
    "rows_done": 1,
    "rows_total": 2,
    "bytes_done": 1,
    "bytes_total": 2,
    "seconds": 1.0,
    "seconds_left": None,
    "running": [],
    "failed": [],
    "findings": [],
}


def verbs(core: Core) -> list[str]:
    return [verb for verb, _, _ in core.calls]
