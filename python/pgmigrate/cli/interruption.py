"""Requests to end the program: Ctrl-C, and the signals of schedulers and closed terminals."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final, TypeVar

from pgmigrate._bridge.job import outcome_of
from pgmigrate.errors import InterruptedRunError

Result = TypeVar("Result")

RUN_AGAIN: Final = "run it again"
# A terminal that closes sends several requests at once, and systemd sends SIGHUP after SIGTERM.
_SECONDS_OF_A_BURST: Final = 0.5
_REQUESTS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Requests:
    """Handles requests to end: the first interrupts the work, a later one its report."""

    def __init__(self) -> None:
        self._raised_at: float | None = None
        self._ignored: set[int] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._raised_at is not None and now - self._raised_at < _SECONDS_OF_A_BURST:
            # Another exception would interrupt the code that stops the work after the first one.
            return
        if self._ignored is not None and number not in self._ignored:
            self._ignored.add(number)
            return
        self._raised_at = now
        raise KeyboardInterrupt

    def spare(self) -> None:
        if self._ignored is None:
            self._ignored = set()

    def reset(self) -> None:
        self._raised_at = self._ignored = None


_requests: Final = _Requests()


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Gives SIGTERM and SIGHUP the effect of Ctrl-C while the block runs."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _REQUESTS:
            handler = signal.getsignal(number)
            # A signal that nohup has set to be ignored stays ignored; a handler that was not
            # installed from Python cannot be put back.
            if handler not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, _requests)
    try:
        yield
    finally:
        _requests.reset()
        for caught, handler in before.items():
            signal.signal(caught, handler)


def spare_the_report() -> None:
    """Called before the report of interrupted work: each request is ignored once more."""
    _requests.spare()


def with_result(
    verb: str,
    call: Callable[[], Result],
    made: Callable[[Mapping[str, Any]], Result],
    remedy: str = RUN_AGAIN,
) -> tuple[Result, bool]:
    """A verb's result, and whether it was interrupted; an interrupted verb may have a result.

    Args:
        verb: the verb, by its name in the core.
        call: runs it.
        made: makes the result from the core's mapping.
        remedy: what to do if there is no result.

    Raises:
        InterruptedRunError: the verb was interrupted before it had a result.
    """
    try:
        return call(), False
    except KeyboardInterrupt as interruption:
        spare_the_report()
        outcome = outcome_of(interruption, verb)
        if not isinstance(outcome, Mapping):
            raise interrupted(remedy) from None
        return made(outcome), True


@dataclass(frozen=True)
class InterruptionMessages:
    """The messages for an interrupted verb that has no result.

    Attributes:
        nothing_done: the message if the verb was interrupted before its work.
        not_known: the message if it is not known whether the work was done.
        remedy: how to find that out.
    """

    nothing_done: str
    not_known: str
    remedy: str


def with_answer(
    verb: str,
    call: Callable[[], Result],
    made: Callable[[Mapping[str, Any]], Result],
    messages: InterruptionMessages,
) -> Result:
    """A verb's result, also if it was interrupted too late to be stopped.

    Args:
        verb: the verb, by its name in the core.
        call: runs it.
        made: makes the result from the core's mapping.
        messages: what is reported if there is no result.

    Raises:
        InterruptedRunError: the verb was interrupted; the message says whether it did nothing, or
            that this is not known.
        PgMigrateError: the verb failed, or could not find out whether its work was done.
    """
    try:
        return call()
    except KeyboardInterrupt as interruption:
        spare_the_report()
        outcome = outcome_of(interruption, verb)
        if isinstance(outcome, Mapping):
            return made(outcome)
        if outcome is None:
            known = InterruptedRunError(
                f"interrupted; {messages.not_known}", name="interrupted", remedy=messages.remedy
            )
        elif isinstance(outcome, InterruptedRunError):
            known = InterruptedRunError(
                f"interrupted; {messages.nothing_done}", name="interrupted", remedy=RUN_AGAIN
            )
        else:
            raise outcome from None
        raise known from None


def interrupted(remedy: str = RUN_AGAIN) -> InterruptedRunError:
    """The error of a command that was interrupted before it had a result."""
    return InterruptedRunError("interrupted", name="interrupted", remedy=remedy)
