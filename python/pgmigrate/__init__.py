"""Moves a PostgreSQL database, or a chosen part of it, into another PostgreSQL.

    from pgmigrate import Migration

    migration = Migration.from_file("config.yaml")
    plan = migration.plan()
    report = migration.run(plan)
    report.raise_for_failures()
    migration.verify(plan).raise_for_differences()

The same from a shell: ``pgmigrate migrate --config config.yaml``.
"""

from pgmigrate import _native
from pgmigrate._checklist import Checklist, ChecklistItem
from pgmigrate._estimate import (
    ChainStep,
    Estimate,
    JobsEstimate,
    PhaseEstimate,
    Rates,
    Speedup,
    TableEstimate,
    TableRates,
)
from pgmigrate._job import Event, OnEvent
from pgmigrate._migration import Migration
from pgmigrate._model import Absent, Finding
from pgmigrate._plan import Plan, Task
from pgmigrate._report import PhaseResult, Report, TaskResult
from pgmigrate._results import (
    BackupResult,
    Check,
    CleanupResult,
    PreflightResult,
    RestoreResult,
    Status,
    TaskCounts,
)
from pgmigrate._run_all import Outcome, outcomes_of, run_all
from pgmigrate._safety import SafetyReport, SafetyStep
from pgmigrate._snapshot import HeldSnapshot, HoldResult
from pgmigrate._unfinished import UnfinishedProcedure
from pgmigrate._verification import (
    Difference,
    KindCount,
    Remark,
    TableResult,
    Unchecked,
    VerifyResult,
)
from pgmigrate.errors import (
    BackupError,
    CommandError,
    ConfigError,
    ConnectError,
    CopyError,
    DriftError,
    InternalError,
    InterruptedRunError,
    PgMigrateError,
    PreflightError,
    SchemaError,
    StateError,
    VerifyError,
)

__version__: str = _native.version()
"""The version of the package and of its core."""

__all__ = [
    "Absent",
    "BackupError",
    "BackupResult",
    "ChainStep",
    "Check",
    "Checklist",
    "ChecklistItem",
    "CleanupResult",
    "CommandError",
    "ConfigError",
    "ConnectError",
    "CopyError",
    "Difference",
    "DriftError",
    "Estimate",
    "Event",
    "Finding",
    "HeldSnapshot",
    "HoldResult",
    "InternalError",
    "InterruptedRunError",
    "JobsEstimate",
    "KindCount",
    "Migration",
    "OnEvent",
    "Outcome",
    "PgMigrateError",
    "PhaseEstimate",
    "PhaseResult",
    "Plan",
    "PreflightError",
    "PreflightResult",
    "Rates",
    "Remark",
    "Report",
    "RestoreResult",
    "SafetyReport",
    "SafetyStep",
    "SchemaError",
    "Speedup",
    "StateError",
    "Status",
    "TableEstimate",
    "TableRates",
    "TableResult",
    "Task",
    "TaskCounts",
    "TaskResult",
    "Unchecked",
    "UnfinishedProcedure",
    "VerifyError",
    "VerifyResult",
    "__version__",
    "outcomes_of",
    "run_all",
]
