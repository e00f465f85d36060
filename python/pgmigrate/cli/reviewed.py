"""The plan that a run follows: a given file, which may have been reviewed, or a new plan."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import click

from pgmigrate import Plan
from pgmigrate._bridge.files import is_file
from pgmigrate._results.plan import OnDrift
from pgmigrate.cli.again import command_line, typed


@dataclass(frozen=True)
class PlanChoice:
    """The options of a run about its plan.

    Attributes:
        path: the plan file, before the folder of a migration is added.
        is_named: whether ``--plan`` was given on the command line.
        replan: a new plan replaces the file.
        accept_drift: the file is followed although the source changed.
        resume: a run is resumed, with its own plan.
    """

    path: Path
    is_named: bool
    replan: bool
    accept_drift: bool
    resume: bool

    @classmethod
    def of(cls, path: Path, *, replan: bool, accept_drift: bool, resume: bool) -> PlanChoice:
        """The choice of the command that runs now.

        Raises:
            click.UsageError: the options exclude each other.
        """
        is_named = typed(click.get_current_context(), "plan_path")
        if replan and accept_drift:
            raise click.UsageError(
                "--replan makes a new plan, and --accept-drift keeps the old one: give one of them"
            )
        if replan and resume:
            raise click.UsageError("--resume follows the run's own plan: --replan begins another")
        if accept_drift and not is_named:
            raise click.UsageError("--accept-drift is about the plan that --plan FILE names")
        return cls(path, is_named, replan, accept_drift, resume)

    @property
    def on_drift(self) -> OnDrift:
        """What to do with a file that differs from the plan that would be made now."""
        return "warn" if self.accept_drift else "refuse"

    def reads(self, path: Path) -> bool:
        """Whether the run follows the file instead of writing it.

        A new plan is written into a device or a pipe; it is never read.

        Raises:
            StateError: it cannot be determined whether the file exists.
        """
        return self.is_named and not self.replan and is_file(path, "plan file")

    def plan(self, path: Path) -> Plan | None:
        """The plan in the file; None if a new one must be made, or the ledger's plan is followed.

        Raises:
            StateError: the file exists and is not a plan, or its status cannot be read.
        """
        return Plan.load(path) if self.reads(path) else None


class ReplacedPlan:
    """Notices that a new plan has replaced another one in its file.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = _digest(path)

    def lines(self) -> list[str]:
        """The message; empty if the file did not exist, or had the same plan."""
        if self._before is None or self._before == _digest(self._path):
            return []
        return [
            f"{self._path} held another plan, which a new one has replaced: "
            f"name a reviewed plan to run it, with --plan {self._path}"
        ]


def ways_on(only: str | None) -> list[str]:
    """The commands to continue with if a plan differs from the one that would be made now.

    Args:
        only: the migration, if the config has several.
    """
    left_out = ("replan", "accept_drift", "resume")
    compared = command_line("plan", extra=["--diff"], without=(*left_out, "jobs"), only=only)
    made = command_line(extra=["--replan"], without=left_out, only=only)
    kept = command_line(extra=["--accept-drift"], without=left_out, only=only)
    return [
        "nothing was touched",
        f"to see all differences: {compared}",
        f"to make a new plan and run it: {made}",
        f"to run the plan as it is, where only objects differ: {kept}",
    ]


def _digest(path: Path) -> str | None:
    try:
        # A pipe or a device has no contents that could be lost.
        if not path.is_file():
            return None
        with path.open("rb") as file:
            found = hashlib.sha256()
            while piece := file.read(1 << 20):
                found.update(piece)
    except OSError:
        return None
    return found.hexdigest()
