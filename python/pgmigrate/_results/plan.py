"""The plan: what a migration will do, task by task, as plain data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, overload

from pgmigrate import _native
from pgmigrate._bridge.files import read_text, write_atomically
from pgmigrate._results.estimate import Estimate, estimate
from pgmigrate._results.plan_diff import PlanDiff
from pgmigrate._results.rates import Rates
from pgmigrate._results.shown import display
from pgmigrate._results.tabular import Tabular
from pgmigrate._values.finding import Absent, Finding, absent_lines, finding_lines
from pgmigrate._values.humanize import columns, count, plural, printed, size
from pgmigrate._values.record import Record
from pgmigrate._values.sets import Phase
from pgmigrate._values.wording import action, calling

if TYPE_CHECKING:
    import altair

    from pgmigrate._native import PlanText

OnDrift: TypeAlias = Literal["warn", "refuse"]
"""What to do with a plan that differs from the one that would be made now."""


@dataclass(frozen=True)
class Task(Record):
    """One piece of work of a plan.

    Attributes:
        id: its name in the plan, the ledger and the state file.
        phase: the phase that it belongs to.
        kind: what it does: ``data``, ``index``..., else pg_dump's word for the kind of object.
        object: its object, as people read it.
        schema: the object's schema; empty if it has none.
        name: the object's name, after its table's name if it belongs to a table.
        requires: ids of tasks that must be done before it.
        after: ids of tasks, and names of phases, that must have ended before it, done or failed.
        rows: rows by the source's statistics.
        bytes: bytes by the source's statistics.
        format: ``text`` or ``binary`` for a task that copies rows, else empty.
        on_existing: what a task that copies rows does if the table existed before, else empty.
        source_sql: what is read on the source.
        target_sql: what is run on the target. ``***`` replaces each option of a server, user
            mapping, foreign table or foreign data wrapper that may be a secret, and the conninfo
            of a subscription: a run reads these on the source.
        optional_sql: statements that the target may refuse without failing the task, such as the
            one that sets the owner.
        merge_sql: the statement that moves staged rows into a table that existed before.
        note: further information.
    """

    id: str
    phase: Phase
    kind: str
    object: str
    schema: str
    name: str
    requires: tuple[str, ...]
    after: tuple[str, ...]
    rows: int
    bytes: int
    format: str
    on_existing: str
    source_sql: str
    target_sql: str
    optional_sql: str
    merge_sql: str
    note: str


@dataclass(frozen=True, eq=False, repr=False)
class Plan(Tabular, Sequence[Task]):
    """What a migration will do: a sequence of tasks in their order, and plain data.

    Two plans are equal if their texts are equal. A plan holds no password of roles, user mappings,
    servers or subscriptions, so a changed password makes no other plan. Bodies of functions and
    definitions of views are in it unchanged, with any secret that is written in them.

    Attributes:
        header: version, fingerprints and the like.
        tasks: the tasks; each is built when it is accessed.
        absent: what will not exist on the target.
        findings: what planning found.
        source: what `text` is made from.
    """

    _table: ClassVar[str] = "tasks"
    _parts: ClassVar[Mapping[str, type[Record]]] = {
        "tasks": Task,
        "absent": Absent,
        "findings": Finding,
    }

    header: dict[str, Any]
    tasks: Sequence[Task]
    absent: tuple[Absent, ...]
    findings: tuple[Finding, ...]
    # A text, or the core's own object if the core has made the plan.
    source: str | PlanText = field(metadata={"key": "text"})

    @property
    def text(self) -> str:
        """The plan in the format of a plan file (tab-separated)."""
        return str(self.source)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plan:
        """Reads a plan that `save` wrote.

        Args:
            path: the file.

        Raises:
            StateError: it cannot be read, or is not a plan.
        """
        remedy = f"name the file with {action('plan_file')}, or make it with {action('plan')}"
        with calling("load_plan"):
            return cls.parse(read_text(path, "plan file", remedy))

    @classmethod
    def parse(cls, text: str) -> Plan:
        """Reads the text of a plan.

        Raises:
            StateError: it is not a plan.
        """
        return cls.from_mapping(_native.parse_plan(text))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the plan to a file, atomically: the file is never incomplete.

        Only the file's owner may read it.

        Args:
            path: the file; an existing one is replaced.

        Raises:
            OSError: the file cannot be written.
        """
        write_atomically(Path(path), self._parts_of_text(), mode=0o600)

    def estimate(self, jobs: int | None = None, *, rates: Rates | None = None) -> Estimate:
        """How long a run of the plan will take, by simulating its schedule; connects to no server.

        Args:
            jobs: how many tasks run at once; if None, the default of a run on this machine, at
                most eight.
            rates: how fast the servers are, in MB/s and seconds, as `Migration.calibrate` measures
                them; typical figures if None, and the estimate then says so.

        Raises:
            StateError: a figure of the rates is not valid.
            ValueError: jobs is below 1.
        """
        return estimate(self.source, jobs, rates)

    def chart(self) -> altair.LayerChart:
        """The tables that the plan moves, as a treemap by bytes.

        Raises:
            ImportError: altair is missing (``pip install 'pgmigrate[plots]'``).
            ValueError: the plan moves no rows.
        """
        return display().chart("treemap", self)

    def is_in(self, path: str | os.PathLike[str]) -> bool:
        """Whether a file holds this plan and nothing else.

        Args:
            path: the file.

        Raises:
            OSError: it cannot be read.
        """
        with Path(path).open("rb") as file:
            same = all(file.read(len(part)) == part for part in self._parts_of_text())
            return same and not file.read(1)

    def diff(self, later: Plan) -> PlanDiff:
        """How this plan differs from a later one, such as a new one of `Migration.plan`.

        Args:
            later: the other plan.

        Raises:
            StateError: one of them cannot be read.
        """
        return PlanDiff.from_mapping(_native.plan_difference(self.source, later.source))

    def _parts_of_text(self) -> Iterator[bytes]:
        if isinstance(self.source, str):
            yield self.source.encode()
            return
        for at in range(len(self.source)):
            yield self.source[at]

    def by_phase(self) -> dict[str, list[Task]]:
        """The tasks of each phase, phases and tasks in the plan's order."""
        phases: dict[str, list[Task]] = {}
        for task in self.tasks:
            phases.setdefault(task.phase, []).append(task)
        return phases

    def ids(self, *phases: str) -> list[str]:
        """The ids of the tasks of these phases, in the plan's order, for `Migration.run_tasks`.

        Args:
            phases: words such as ``pre-data``; all phases if none is given.

        Raises:
            ConfigError: there is no such phase.
        """
        return _native.plan_ids(self.source, list(phases))

    def groups(self, count: int) -> list[list[str]]:
        """The tasks of the phase ``data`` in groups of about equal time, one for each worker.

        A table that fits into a group stays whole, the chunks of a larger one are distributed, and
        a table that is emptied first is in the same group as the task that empties it. The same
        plan always has the same groups.

        Args:
            count: the largest number of groups; there are fewer if there are fewer tasks, and none
                is empty.

        Raises:
            ConfigError: count is below 1.
        """
        return _native.plan_groups(self.source, max(count, 0))

    @printed
    def summary(self) -> str:
        """A text for people: phases with their work, what the target will not have, findings."""
        sums = self._sums()
        tasks = sum(tasks for _, tasks, _, _ in sums)
        rows = sum(rows for _, _, rows, _ in sums)
        bytes_ = sum(bytes_ for _, _, _, bytes_ in sums)
        shown = [
            (phase, count(tasks), count(rows), size(bytes_))
            for phase, tasks, rows, bytes_ in [*sums, ("total", tasks, rows, bytes_)]
        ]
        lines = columns(("phase", "tasks", "rows (about)", "bytes (about)"), shown)
        return "\n".join([*lines, *absent_lines(self.absent), *finding_lines(self.findings)])

    def _sums(self) -> list[tuple[str, int, int, int]]:
        """Each phase with its tasks, their rows and their bytes."""
        if not isinstance(self.source, str):
            return self.source.sums()
        return [
            (phase, len(tasks), sum(map(_rows, tasks)), sum(task.bytes for task in tasks))
            for phase, tasks in self.by_phase().items()
        ]

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Task, ...]: ...
    def __getitem__(self, index: int | slice) -> Task | tuple[Task, ...]:
        return tuple(self.tasks[index]) if isinstance(index, slice) else self.tasks[index]

    def __len__(self) -> int:
        return len(self.tasks)

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, Plan) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        phases = ", ".join(f"{phase} {tasks}" for phase, tasks, _, _ in self._sums())
        return f"Plan({plural(len(self.tasks), 'task')}{': ' if phases else ''}{phases})"


def _rows(task: Task) -> int:
    # Large objects are not counted as rows.
    return 0 if task.kind == "large objects" else task.rows
