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
from pgmigrate._journal.unfinished import UnfinishedProcedure
from pgmigrate._migration.held_snapshot import HeldSnapshot
from pgmigrate._migration.migration import Migration
from pgmigrate._migration.run_all import Outcome, outcomes_of, run_all
from pgmigrate._migration.run_options import RunOptions, SafeRunOptions, TaskOptions
from pgmigrate._procedure.checklist import Checklist, ChecklistItem
from pgmigrate._procedure.report import SafetyReport, SafetyStep
from pgmigrate._results.backup import BackupResult, CleanupResult, RestoreResult
from pgmigrate._results.estimate import (
    ChainStep,
    Estimate,
    JobsEstimate,
    PhaseEstimate,
    TableEstimate,
)
from pgmigrate._results.hold import HoldResult
from pgmigrate._results.plan import Plan, Task
from pgmigrate._results.plan_diff import PlanChange, PlanDiff
from pgmigrate._results.preflight import Check, PreflightResult
from pgmigrate._results.rates import Rates, Speedup, TableRates
from pgmigrate._results.report import PhaseResult, Report, TaskResult
from pgmigrate._results.shown import Display, install
from pgmigrate._results.status import Status, TaskCounts
from pgmigrate._results.verification import KindCount, Remark, TableResult, Unchecked, VerifyResult
from pgmigrate._values.finding import Absent, Difference, Finding
from pgmigrate._values.options import (
    Command,
    Configuration,
    Connection,
    OneCommand,
    Options,
    Parallel,
    Procedure,
    RevisionRule,
    Roles,
    RolesMode,
    Schemas,
    StopCheck,
    TableName,
    TableOptions,
    TableRule,
    Tables,
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
from pgmigrate.events import Event, OnEvent


def _load_display() -> Display:
    from pgmigrate._display.results import ResultDisplay

    return ResultDisplay()


install(_load_display)

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
    "Command",
    "CommandError",
    "ConfigError",
    "Configuration",
    "ConnectError",
    "Connection",
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
    "OneCommand",
    "Options",
    "Outcome",
    "Parallel",
    "PgMigrateError",
    "PhaseEstimate",
    "PhaseResult",
    "Plan",
    "PlanChange",
    "PlanDiff",
    "PreflightError",
    "PreflightResult",
    "Procedure",
    "Rates",
    "Remark",
    "Report",
    "RestoreResult",
    "RevisionRule",
    "Roles",
    "RolesMode",
    "RunOptions",
    "SafeRunOptions",
    "SafetyReport",
    "SafetyStep",
    "SchemaError",
    "Schemas",
    "Speedup",
    "StateError",
    "Status",
    "StopCheck",
    "TableEstimate",
    "TableName",
    "TableOptions",
    "TableRates",
    "TableResult",
    "TableRule",
    "Tables",
    "Task",
    "TaskCounts",
    "TaskOptions",
    "TaskResult",
    "Unchecked",
    "UnfinishedProcedure",
    "VerifyError",
    "VerifyResult",
    "__version__",
    "outcomes_of",
    "run_all",
]
