"""What a run reports while it is active: the type of every event that ``on_event`` receives.

The key ``event`` says which of them it is, and type checkers narrow the type by it:

    def on_event(event: Event) -> None:
        if event["event"] == "task_finished":
            print(event["object"], event["status"], event["rows"])

Events hold names and numbers, never a password or the value of a row. Log records are delivered as
records of `logging`, not as events.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias, TypedDict

from pgmigrate._values.sets import Phase, Severity, TableStatus, TaskStatus


class StepStartedEvent(TypedDict):
    """A step outside the plan began.

    Attributes:
        event: its name.
        step: the step's name, such as ``connect``, ``plan``, ``backup`` or ``verify rows``.
    """

    event: Literal["step_started"]
    step: str


class StepFinishedEvent(TypedDict):
    """A step outside the plan ended.

    Attributes:
        event: its name.
        step: the step's name.
        seconds: how long it took.
    """

    event: Literal["step_finished"]
    step: str
    seconds: float


class PhaseSize(TypedDict):
    """The size of a phase.

    Attributes:
        phase: the phase.
        tasks: its tasks.
        rows: its rows by the source's statistics.
        bytes: its bytes by the source's statistics.
    """

    phase: Phase
    tasks: int
    rows: int
    bytes: int


class RunStartedEvent(TypedDict):
    """The run has begun, and the size of its work is known.

    Attributes:
        event: its name.
        run: the run's number in the ledger.
        tasks: tasks to do, without those that are done according to the ledger.
        done: tasks that an earlier run has done.
        jobs: how many tasks run at once.
        phases: the work of each phase, in order.
    """

    event: Literal["run_started"]
    run: int
    tasks: int
    done: int
    jobs: int
    phases: list[PhaseSize]


class TaskStartedEvent(TypedDict):
    """A worker started a task.

    Attributes:
        event: its name.
        task: the task's id in the plan.
        phase: its phase.
        kind: its kind.
        object: its object.
        worker: the worker's number, from 0.
    """

    event: Literal["task_started"]
    task: str
    phase: Phase
    kind: str
    object: str
    worker: int


class TaskProgressEvent(TypedDict):
    """Rows are being copied; the counts are those of this attempt so far.

    Attributes:
        event: its name.
        task: the task's id in the plan.
        phase: its phase.
        rows: rows sent to the target; 0 if the format does not show their number.
        bytes: bytes sent to the target.
    """

    event: Literal["task_progress"]
    task: str
    phase: Phase
    rows: int
    bytes: int


class TaskFinishedEvent(TypedDict):
    """A task ended.

    Attributes:
        event: its name.
        task: the task's id in the plan.
        phase: its phase.
        kind: its kind.
        object: its object.
        status: how it ended; ``pending`` if it was stopped before its end.
        rows: rows written.
        bytes: bytes written.
        seconds: how long it took.
        note: why it failed, or further information.
    """

    event: Literal["task_finished"]
    task: str
    phase: Phase
    kind: str
    object: str
    status: TaskStatus
    rows: int
    bytes: int
    seconds: float
    note: str


class TaskRetriedEvent(TypedDict):
    """An attempt failed, and the task is tried again.

    Attributes:
        event: its name.
        task: the task's id in the plan.
        attempt: the attempt that failed, from 1.
        reason: why.
    """

    event: Literal["task_retried"]
    task: str
    attempt: int
    reason: str


class PhaseLeft(TypedDict):
    """The time left of a phase.

    Attributes:
        phase: the phase.
        seconds: seconds to the end of its last task, including the work before it; None if that is
            not known.
        share: the part of its work that is done, from 0 to 1.
    """

    phase: Phase
    seconds: float | None
    share: float


class TimeLeftEvent(TypedDict):
    """The progress of the run, by the model of the estimate; about every two seconds.

    Attributes:
        event: its name.
        seconds: seconds to the end of the last task; None if that is not known.
        share: the part of the run's work that is done, from 0 to 1.
        phases: the same for the phases that have work in this run, in their order.
    """

    event: Literal["time_left"]
    seconds: float | None
    share: float
    phases: list[PhaseLeft]


class FoundEvent(TypedDict):
    """A fact that a person should know; the keys are those of a `Finding`.

    Attributes:
        event: its name.
        check: a stable name of the check.
        severity: its severity.
        object: its object; empty for a whole server.
        objects: all of its objects, if it covers several.
        message: what was found.
        remedy: what to do about it; empty if there is nothing to do.
    """

    event: Literal["found"]
    check: str
    severity: Severity
    object: str
    objects: list[str]
    message: str
    remedy: str


class SnapshotHeldEvent(TypedDict):
    """A holder has registered its snapshot lease.

    Attributes:
        event: its name.
        run: the run's number in the ledger.
        id: the snapshot's name, with which sessions on the source import it.
        sees: the state of the source, as in `HeldSnapshot`.
    """

    event: Literal["snapshot_held"]
    run: int
    id: str
    sees: str


class HoldProgressEvent(TypedDict):
    """The progress of the rows for which a snapshot is held.

    Attributes:
        event: its name.
        settled: tasks of the data phase that need no more work.
        running: those that a part is running.
        failed: those that failed.
        pending: those that were not begun.
    """

    event: Literal["hold_progress"]
    settled: int
    running: int
    failed: int
    pending: int


class TableVerifiedEvent(TypedDict):
    """A table was compared.

    Attributes:
        event: its name.
        object: the table.
        status: the result of the comparison.
        rows: rows on the target.
    """

    event: Literal["table_verified"]
    object: str
    status: TableStatus
    rows: int


class RunFinishedEvent(TypedDict):
    """No task of the run is running any more; a verification may follow.

    Attributes:
        event: its name.
        done: tasks done, in this run and before.
        failed: tasks that failed, or are blocked by one that failed.
        seconds: how long this run took.
    """

    event: Literal["run_finished"]
    done: int
    failed: int
    seconds: float


class ProcedureStepEvent(TypedDict):
    """A step of the safe procedure began or ended; the keys are those of a `SafetyStep`.

    Attributes:
        event: its name.
        name: the step's name.
        about: what it does, in words.
        state: its state.
        seconds: how long it took.
        note: further information, such as why it failed or was skipped.
    """

    event: Literal["procedure_step"]
    name: str
    about: str
    state: Literal["running", "done", "failed", "interrupted", "skipped"]
    seconds: float
    note: str


Event: TypeAlias = (
    StepStartedEvent
    | StepFinishedEvent
    | RunStartedEvent
    | TaskStartedEvent
    | TaskProgressEvent
    | TaskFinishedEvent
    | TaskRetriedEvent
    | TimeLeftEvent
    | FoundEvent
    | SnapshotHeldEvent
    | HoldProgressEvent
    | TableVerifiedEvent
    | RunFinishedEvent
    | ProcedureStepEvent
)
"""An event of a run; its key ``event`` says which one."""

OnEvent: TypeAlias = Callable[[Event], object]
"""A function that is called with every event, in the thread that called the verb."""

__all__ = [
    "Event",
    "FoundEvent",
    "HoldProgressEvent",
    "OnEvent",
    "Phase",
    "PhaseLeft",
    "PhaseSize",
    "ProcedureStepEvent",
    "RunFinishedEvent",
    "RunStartedEvent",
    "SnapshotHeldEvent",
    "StepFinishedEvent",
    "StepStartedEvent",
    "TableVerifiedEvent",
    "TaskFinishedEvent",
    "TaskProgressEvent",
    "TaskRetriedEvent",
    "TaskStartedEvent",
    "TimeLeftEvent",
]
"""The events, one type for each."""
