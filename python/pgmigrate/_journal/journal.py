"""The journal of the safe procedure: what it has done, for the procedure after a kill.

It is kept in the target's ledger and mirrored in a file next to the state file, because a restore
of the backup also restores an older ledger. Each entry increases the version by one. This module
decides what an open journal means for the next procedure; `recovery` decides what is undone.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from pgmigrate._bridge.files import read_text, write_atomically
from pgmigrate._journal.holder import holder
from pgmigrate._journal.recovery import ApplicationState, TargetState
from pgmigrate._values.wording import action
from pgmigrate.errors import StateError

Outcome: TypeAlias = Literal["migrated", "restored", "untouched", "kept", "not_restored"]
"""How a procedure ended by itself; after ``kept`` and ``not_restored`` the target is changed."""

_OWNER_ONLY: Final = 0o600
_SUFFIX: Final = ".procedure.json"


@dataclass(frozen=True)
class StepTimes:
    """When a step began and ended.

    Attributes:
        state: as in `SafetyStep`.
        began: when, in UTC.
        ended: when, in UTC; None while it runs.
    """

    state: str
    began: str
    ended: str | None = None


@dataclass(frozen=True)
class Journal:
    """What a procedure has done so far.

    Attributes:
        procedure: its id.
        target: the identity of the target's database.
        version: greater by one with every entry.
        began: when the procedure began, in UTC.
        holder: the process that works on it, or worked on it last.
        steps: the steps that were begun, by name.
        application: the state that the procedure has put the application into.
        stopped: when it began to stop the application, in UTC; None if it did not.
        target_state: the state that it has put the target into; ``changed`` from the moment that
            the run may have begun.
        backup: the path of the first backup, which holds the target before the procedure.
        counters: the write counters of the target before that backup.
        source: the write counters of the source after its last writer had stopped.
        run_before: the number of the target's last run before the procedure; None without one.
        made_ledger: whether the procedure created the target's ledger.
        plan_file: where the run's plan is.
        outcome: how it ended; None until it has ended by itself.
    """

    procedure: str
    target: str
    version: int = 0
    began: str = ""
    holder: str = ""
    steps: Mapping[str, StepTimes] = field(default_factory=dict)
    application: ApplicationState = "untouched"
    stopped: str | None = None
    target_state: TargetState = "untouched"
    backup: str | None = None
    counters: Mapping[str, Any] | None = None
    source: Mapping[str, Any] | None = None
    run_before: int | None = None
    made_ledger: bool = False
    plan_file: str | None = None
    outcome: Outcome | None = None

    @property
    def is_open(self) -> bool:
        """Whether something is left to do."""
        is_over = self.outcome in ("migrated", "restored", "untouched")
        return not is_over or self.application == "stopped"

    def to_row(self) -> dict[str, Any]:
        """The journal as the ledger keeps it."""
        return {
            "procedure": self.procedure,
            "version": self.version,
            "outcome": self.outcome,
            "journal": self.to_text(),
        }

    def to_text(self) -> str:
        """The journal as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str, where: str) -> Journal:
        """The journal that a text holds.

        Args:
            text: what `to_text` returned.
            where: where it is kept, for errors.

        Raises:
            StateError: it is no journal of this version.
        """
        try:
            mapping = json.loads(text)
            steps = {name: StepTimes(**times) for name, times in mapping.pop("steps").items()}
            known = {each.name for each in fields(cls)}
            return cls(steps=steps, **{name: mapping[name] for name in known - {"steps"}})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(
                f"{where} holds no journal of a procedure that this version can read",
                name="journal_unreadable",
                remedy="use the version of pgmigrate that wrote it",
            ) from error


def now() -> str:
    """The time in UTC, in the format of journals."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def begun(target: str, earlier: Journal | None) -> Journal:
    """The journal of a procedure that begins on a target.

    Args:
        target: the target's identity.
        earlier: the latest journal there. An open one is continued: with the same id, and with
            what it records of the application, and of a target that it has changed.
    """
    if earlier is None or not earlier.is_open:
        left = earlier is not None and earlier.application == "left"
        return Journal(
            procedure=secrets.token_hex(8),
            target=target,
            began=now(),
            holder=holder(),
            stopped=earlier.stopped if earlier is not None and left else None,
        )
    going_on = replace(earlier, holder=holder(), outcome=None, steps={})
    if earlier.target_state in ("changed", "migrated"):
        return going_on
    return replace(going_on, target_state="untouched", backup=None, counters=None)


def file_of(state: str | None) -> Path | None:
    """The file that mirrors the journal, next to the state file; None without a state file."""
    return None if state is None else Path(state).with_name(Path(state).name + _SUFFIX)


def read_file(path: Path | None) -> Journal | None:
    """The journal in a file; None if there is no file.

    Raises:
        StateError: the file cannot be read, or holds something else.
    """
    if path is None or not path.exists():
        return None
    text = read_text(path, "the journal of the procedure", "make it readable")
    return Journal.from_text(text, f"the file {path}")


def write_file(path: Path | None, journal: Journal) -> None:
    """Writes the mirror, if there is one.

    Raises:
        OSError: the file cannot be written.
    """
    if path is not None:
        write_atomically(path, [journal.to_text().encode() + b"\n"], _OWNER_ONLY)


def reconciled(ledger: Journal | None, mirror: Journal | None, path: Path | None) -> Journal | None:
    """The valid journal, out of the one in the target's ledger and the one in the file.

    The ledger is written first. A file that is ahead of it shows that the target was restored to
    an earlier state.

    Args:
        ledger: the latest journal of the target's ledger.
        mirror: the journal of the file, which is about the same target.
        path: the file, for errors.

    Raises:
        StateError: the file says that the target was changed, and its ledger has no record of it.
    """
    if mirror is None:
        return ledger
    if ledger is None or ledger.procedure != mirror.procedure:
        if not mirror.is_open or (ledger is not None and ledger.began > mirror.began):
            return ledger
        if mirror.target_state in ("untouched", "restored"):
            return mirror
        raise _unknown(mirror, path)
    if mirror.version <= ledger.version:
        return ledger
    is_before = ledger.target_state in ("untouched", "restored")
    if mirror.target_state in ("changed", "migrated") and is_before:
        # The ledger's row is the one of the backup, or the one that a restore has written.
        return replace(mirror, target_state="restored", outcome="restored")
    return mirror


def _unknown(mirror: Journal, path: Path | None) -> StateError:
    backup = (
        "" if mirror.backup is None else f"restore {mirror.backup} with {action('restore')}, or "
    )
    return StateError(
        f"by its journal {path} the procedure of {mirror.began} has changed this target, "
        "and the target's ledger has no record of it: it was dropped, or the target was replaced",
        name="journal_without_ledger",
        side="target",
        remedy=f"{backup}make the target what it should be; then remove the file and begin again",
    )
