"""What a run reports while it goes on: every event that ``on_event`` is called with, as a type.

The key ``event`` says which of them it is, and type checkers narrow by it:

    def on_event(event: Event) -> None:
        if event["event"] == "task_finished":
            print(event["object"], event["status"], event["rows"])

Events hold names and numbers, never a password or the value of a row. Log records come as records
of `logging`, not as events.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias, TypedDict

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
"""The phases of a plan, in their order."""


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
    """How much a phase has to do.

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
    """The run knows its work.

    Attributes:
        event: its name.
        run: the run's number in the ledger.
        tasks: tasks to do, without those that the ledger has as done.
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
    """A worker took a task.

    Attributes:
        event: its name.
        task: the task's id in the plan.
        phase: its phase.
        kind: its kind.
        object: what it is about.
        worker: the worker's number, from 0.
    """

    event: Literal["task_started"]
    task: str
    phase: Phase
    kind: str
    object: str
    worker: int


class TaskProgressEvent(TypedDict):
    """Rows are on their way; the counts are of this attempt so far.

    Attributes:
        event: its name.
        task: the task's id in the plan.
        phase: its phase.
        rows: rows sent to the target, 0 while the format does not say.
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
        object: what it is about.
        status: how it ended; ``pending`` was stopped before its end.
        rows: rows written.
        bytes: bytes written.
        seconds: how long it took.
        note: why it failed, or what else there is to say.
    """

    event: Literal["task_finished"]
    task: str
    phase: Phase
    kind: str
    object: str
    status: Literal["done", "kept", "failed", "blocked", "pending"]
    rows: int
    bytes: int
    seconds: float
    note: str


class TaskRetriedEvent(TypedDict):
    """An attempt failed and is made again.

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
    """How long the rest of a phase takes.

    Attributes:
        phase: the phase.
        seconds: seconds to the end of its last task, what comes before included; None where that is
            not known.
        share: the part of its work that is done, from 0 to 1.
    """

    phase: Phase
    seconds: float | None
    share: float


class TimeLeftEvent(TypedDict):
    """How far the run is, by the model of the estimate; about every two seconds.

    Attributes:
        event: its name.
        seconds: seconds to the end of the last task; None where that is not known.
        share: the part of the run's work that is done, from 0 to 1.
        phases: the same of the phases that have work in this run, in their order.
    """

    event: Literal["time_left"]
    seconds: float | None
    share: float
    phases: list[PhaseLeft]


class FoundEvent(TypedDict):
    """Something that a person should know; the keys are those of a `Finding`.

    Attributes:
        event: its name.
        check: a stable name of the check.
        severity: how much it weighs.
        object: what it is about; empty for a whole server.
        objects: all objects that it is about, where it stands for several.
        message: what was found.
        remedy: what to do about it; empty where there is nothing to do.
    """

    event: Literal["found"]
    check: str
    severity: Literal["info", "warning", "blocking"]
    object: str
    objects: list[str]
    message: str
    remedy: str


class SnapshotHeldEvent(TypedDict):
    """A holder has announced its snapshot.

    Attributes:
        event: its name.
        run: the run's number in the ledger.
        id: the snapshot's name, by which sessions on the source join it.
        sees: the state of the source, as in `HeldSnapshot`.
    """

    event: Literal["snapshot_held"]
    run: int
    id: str
    sees: str


class HoldProgressEvent(TypedDict):
    """How far the rows are that a snapshot is held for.

    Attributes:
        event: its name.
        settled: tasks of the data phase that are settled.
        running: those that a part has taken.
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
        status: how it compares.
        rows: rows on the target.
    """

    event: Literal["table_verified"]
    object: str
    status: Literal["equal", "contains_source", "different", "unchecked"]
    rows: int


class RunFinishedEvent(TypedDict):
    """No task of the run is under way any more; a verification may follow.

    Attributes:
        event: its name.
        done: tasks done, in this run and before.
        failed: tasks failed, or blocked by one that did.
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
        state: how far it is.
        seconds: how long it took.
        note: what there is to say about it, such as why it failed or was skipped.
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
"""Something that happened in a run; its key ``event`` says what."""

OnEvent: TypeAlias = Callable[[Event], object]
"""What is called with every event, in the thread that called the verb."""

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
