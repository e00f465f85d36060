"""Driving a job of the core: from its settings to its result.

The calling thread alone runs callbacks and logging; the core's threads never touch Python.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from pgmigrate import _native
from pgmigrate._bridge.logs import SteadyLogger
from pgmigrate._bridge.signals import held_back
from pgmigrate._values.wording import calling, rendered
from pgmigrate.errors import PgMigrateError
from pgmigrate.events import Event, OnEvent

if TYPE_CHECKING:
    from pgmigrate._native import Job

CoreEvent: TypeAlias = dict[str, Any]
"""An event as a job delivers it: an `Event`, or an internal one such as a log record."""

Outcome: TypeAlias = Mapping[str, Any] | PgMigrateError
"""The outcome of a job: its result or its error."""

logger: Final = SteadyLogger("pgmigrate")
_LEVELS: Final = {
    "ERROR": logging.ERROR,
    "WARN": logging.WARNING,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
}
_OUTCOME: Final = "_pgmigrate_outcome"
_MOST_FAILURES: Final = 3


@dataclass(frozen=True)
class _Kept:
    """What an exception records about the job that it interrupted."""

    verb: str
    outcome: Outcome | None


def do(
    verb: str,
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    on_event: OnEvent | None,
) -> Any:
    """Runs a verb of the core to its end.

    Args:
        verb: its name.
        options: the migration's configuration.
        settings: the settings of this call; for one that is None the configuration decides.
        on_event: called with every event.

    Raises:
        PgMigrateError: the verb failed.
    """
    with calling(verb):
        return drive(start(verb, options, settings), on_event, verb)


async def do_async(
    verb: str,
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    on_event: OnEvent | None,
) -> Any:
    """`do` as an awaitable; cancelling it stops the job cleanly."""
    with calling(verb):
        return await drive_async(start(verb, options, settings), on_event, verb)


def start(verb: str, options: Mapping[str, Any], settings: Mapping[str, Any]) -> Job:
    """Starts a verb of the core; for a setting that is None the configuration decides."""
    given = {key: value for key, value in settings.items() if value is not None}
    return _native.start(verb, options, given)


def path_text(path: str | os.PathLike[str] | None) -> str | None:
    """A path as the core takes it."""
    return None if path is None else os.fspath(path)


class Ending:
    """The outcome of a job. The job returns it only once, so no interruption may lose it.

    Args:
        job: the job.

    Attributes:
        is_taken: whether the job has returned it.
        outcome: the result or the error, once the job has returned it.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self.is_taken = False
        self.outcome: Outcome | None = None

    def take(self) -> Outcome | None:
        """The result or error of a job that has ended; None for a verb without a result."""
        if not self.is_taken:
            with held_back():
                try:
                    self.outcome = self._job.result()
                except PgMigrateError as failure:
                    self.outcome = failure
                self.is_taken = True
        return self.outcome

    def result(self) -> Any:
        """The result of a job that has ended.

        Raises:
            PgMigrateError: the job failed.
        """
        outcome = self.take()
        if isinstance(outcome, PgMigrateError):
            raise outcome
        return outcome


def drive(job: Job, on_event: OnEvent | None, verb: str) -> Any:
    """Waits for the result of a job, and delivers its events and log records meanwhile.

    Args:
        job: the job.
        on_event: called with every event.
        verb: what the job does, for `outcome_of`.
    """
    ending = Ending(job)
    try:
        while (events := job.next()) is not None:
            deliver(events, on_event)
        # Inside the block, because an interruption can also arrive between the job's end and the
        # return.
        return ending.result()
    except BaseException as error:
        if error is ending.outcome:
            raise
        try:
            if not ending.is_taken:
                end(job)
        except BaseException as later:
            keep_outcome(later, verb, ending.take())
            raise
        keep_outcome(error, verb, ending.take())
        raise


def outcome_of(interruption: BaseException, verb: str) -> Outcome | None:
    """The outcome of a job that `drive` ended because of an interruption.

    Args:
        interruption: what `drive` raised: Ctrl-C, or an exception of a signal handler or of
            ``on_event``.
        verb: what the job did.

    Returns:
        Its result or its error. None if the interruption was raised elsewhere, or by a job of
        another verb: the outcome of this job is then not known.
    """
    kept: _Kept | None = getattr(interruption, _OUTCOME, None)
    return kept.outcome if kept is not None and kept.verb == verb else None


def keep_outcome(error: BaseException, verb: str, outcome: Outcome | None) -> None:
    """Attaches the outcome of a job to an exception, for the caller that reports the work.

    Args:
        error: the exception that ends the work.
        verb: the verb of the core that did the work.
        outcome: the outcome; it replaces one that the exception has of another verb.
    """
    # An exception of the caller's may not accept attributes.
    with suppress(AttributeError, TypeError):
        setattr(error, _OUTCOME, _Kept(verb, outcome))


async def drive_async(job: Job, on_event: OnEvent | None, verb: str) -> Any:
    """`drive` as an awaitable."""
    ending = Ending(job)
    try:
        while (events := await job.next_async()) is not None:
            deliver(events, on_event)
        return ending.result()
    except GeneratorExit:
        # The coroutine is being closed and must not await any more.
        job.stop()
        raise
    except BaseException as error:
        if error is ending.outcome:
            raise
        try:
            if not ending.is_taken:
                await end_async(job)
        except GeneratorExit:
            raise
        except BaseException as later:
            keep_outcome(later, verb, ending.take())
            raise
        keep_outcome(error, verb, ending.take())
        raise


def end(job: Job) -> None:
    """Stops a job cleanly, and waits for its end; what it logs meanwhile is delivered.

    Raises:
        BaseException: the last interruption that arrived meanwhile. It is raised only after the
            job's end, because what the caller does next must not run at the same time as the job.
    """
    job.stop()
    held: BaseException | None = None
    failures = 0
    while True:
        try:
            if (events := job.next()) is None:
                break
            deliver(events, None)
        except (KeyboardInterrupt, SystemExit) as interruption:
            held = interruption
        except BaseException as error:
            # A signal handler may raise anything, once; an error of the job itself is raised again
            # by every call.
            held, failures = error, failures + 1
            if failures == _MOST_FAILURES:
                break
    if held is not None:
        raise held


async def end_async(job: Job) -> None:
    """`end` as an awaitable."""
    # Imported here, so that a program that never awaits does not load asyncio.
    from asyncio import CancelledError

    job.stop()
    held: BaseException | None = None
    failures = 0
    while True:
        try:
            if (events := await job.next_async()) is None:
                break
            deliver(events, None)
        except (CancelledError, KeyboardInterrupt, SystemExit) as interruption:
            held = interruption
        except GeneratorExit:
            # The coroutine is being closed and must not await any more.
            raise
        except BaseException as error:
            held, failures = error, failures + 1
            if failures == _MOST_FAILURES:
                break
    if held is not None:
        raise held


def deliver(events: Iterable[CoreEvent], on_event: OnEvent | None) -> None:
    """Hands events to the callback, and log records to ``logging``."""
    for event in events:
        if event["event"] == "log":
            logger.log(_LEVELS.get(event["level"], logging.INFO), rendered(event["message"]))
        elif on_event is not None:
            if event["event"] == "found":
                event = {**event, "remedy": rendered(event["remedy"])}
            on_event(cast("Event", event))
