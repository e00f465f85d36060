"""The closed sets of the core, as types. Written by `python tests/reference` from its sources."""

from typing import Literal, TypeAlias

Phase: TypeAlias = Literal[
    "roles",
    "pre-data",
    "data",
    "index",
    "analyze",
    "constraint",
    "post-data",
    "privileges",
    "refresh",
    "finish",
]
"""The part of a run that a task belongs to, in the usual order of execution."""

TaskStatus: TypeAlias = Literal[
    "pending",
    "running",
    "done",
    "kept",
    "skipped",
    "failed",
    "blocked",
]
"""How a task stands."""

RunState: TypeAlias = Literal["running", "interrupted", "failed", "done"]
"""How a run stands, as its row in the ledger says."""

ReportStatus: TypeAlias = Literal["done", "failed", "interrupted", "dry_run"]
"""How the part of a run ended that one report shows."""

HoldStatus: TypeAlias = Literal["settled", "released", "stopped"]
"""How the holding of a snapshot ended."""

Severity: TypeAlias = Literal["info", "warning", "blocking"]
"""How much a finding weighs."""

CheckState: TypeAlias = Literal["ok", "info", "warning", "blocking", "not_made"]
"""The result of a check."""

Verdict: TypeAlias = Literal["equal", "contains_source", "different", "not_compared"]
"""The verdict of a comparison."""

TableStatus: TypeAlias = Literal["equal", "contains_source", "different", "unchecked"]
"""How the comparison of a table's rows ended."""

DifferenceKind: TypeAlias = Literal[
    "missing_row",
    "extra_row",
    "different_row",
    "row_count",
    "sequence",
    "large_object",
    "invalid_index",
    "invalid_constraint",
    "missing_object",
    "extra_object",
    "different_object",
]
"""What kind of thing differs."""

Became: TypeAlias = Literal["added", "removed", "changed"]
"""How an object changed since a plan was made."""
