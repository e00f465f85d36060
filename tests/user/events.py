"""What a run reports while it goes on, each event by its type."""

from __future__ import annotations

from pgmigrate import Event
from pgmigrate.events import (
    FoundEvent,
    HoldProgressEvent,
    Phase,
    PhaseLeft,
    PhaseSize,
    ProcedureStepEvent,
    RunFinishedEvent,
    RunStartedEvent,
    SnapshotHeldEvent,
    StepFinishedEvent,
    StepStartedEvent,
    TableVerifiedEvent,
    TaskFinishedEvent,
    TaskProgressEvent,
    TaskRetriedEvent,
    TaskStartedEvent,
    TimeLeftEvent,
)

Line = tuple[object, ...]


def line(event: Event) -> Line:
    """All that an event says; its name decides which it is."""
    if event["event"] == "task_finished":
        return of_result(event)
    if event["event"] == "task_started":
        return of_start(event)
    if event["event"] == "task_progress":
        return of_progress(event)
    if event["event"] == "task_retried":
        return of_retry(event)
    if event["event"] == "run_started":
        return of_run(event)
    if event["event"] == "run_finished":
        return of_end(event)
    if event["event"] == "time_left":
        return of_time(event)
    if event["event"] == "found":
        return of_found(event)
    if event["event"] == "step_started":
        return of_step(event)
    if event["event"] == "step_finished":
        return of_step_end(event)
    if event["event"] == "snapshot_held":
        return of_snapshot(event)
    if event["event"] == "hold_progress":
        return of_hold(event)
    if event["event"] == "table_verified":
        return of_table(event)
    return of_procedure(event)


def of_step(event: StepStartedEvent) -> Line:
    return event["event"], event["step"]


def of_step_end(event: StepFinishedEvent) -> Line:
    return event["event"], event["step"], event["seconds"]


def of_run(event: RunStartedEvent) -> Line:
    sizes = [word for size in event["phases"] for word in of_size(size)]
    return event["event"], event["run"], event["tasks"], event["done"], event["jobs"], *sizes


def of_size(size: PhaseSize) -> Line:
    phase: Phase = size["phase"]
    return phase, size["tasks"], size["rows"], size["bytes"]


def of_end(event: RunFinishedEvent) -> Line:
    return event["event"], event["done"], event["failed"], event["seconds"]


def of_start(event: TaskStartedEvent) -> Line:
    about = (event["phase"], event["kind"], event["object"])
    return event["event"], event["task"], *about, event["worker"]


def of_progress(event: TaskProgressEvent) -> Line:
    return event["event"], event["task"], event["phase"], event["rows"], event["bytes"]


def of_result(event: TaskFinishedEvent) -> Line:
    about = (event["phase"], event["kind"], event["object"])
    amounts = (event["rows"], event["bytes"], event["seconds"])
    return event["event"], event["task"], *about, event["status"], *amounts, event["note"]


def of_retry(event: TaskRetriedEvent) -> Line:
    return event["event"], event["task"], event["attempt"], event["reason"]


def of_time(event: TimeLeftEvent) -> Line:
    phases = [word for left in event["phases"] for word in of_left(left)]
    return event["event"], event["seconds"], event["share"], *phases


def of_left(left: PhaseLeft) -> Line:
    return left["phase"], left["seconds"], left["share"]


def of_found(event: FoundEvent) -> Line:
    about = (event["check"], event["severity"], event["object"], *event["objects"])
    return event["event"], *about, event["message"], event["remedy"]


def of_snapshot(event: SnapshotHeldEvent) -> Line:
    return event["event"], event["run"], event["id"], event["sees"]


def of_hold(event: HoldProgressEvent) -> Line:
    left = (event["running"], event["failed"], event["pending"])
    return event["event"], event["settled"], *left


def of_table(event: TableVerifiedEvent) -> Line:
    return event["event"], event["object"], event["status"], event["rows"]


def of_procedure(event: ProcedureStepEvent) -> Line:
    words = (event["name"], event["about"], event["state"], event["note"])
    return event["event"], *words, event["seconds"]
