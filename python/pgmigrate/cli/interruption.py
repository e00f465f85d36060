"""Requests to end the program: Ctrl-C, and what schedulers and closed terminals send."""

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
# A terminal that closes sends several requests at once, and systemd SIGHUP behind SIGTERM.
_SECONDS_OF_A_BURST: Final = 0.5
_REQUESTS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Requests:
    """What becomes of a request to end: an interruption of the work, then of its report."""

    def __init__(self) -> None:
        self._raised_at: float | None = None
        self._ignored: set[int] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._raised_at is not None and now - self._raised_at < _SECONDS_OF_A_BURST:
            # One more exception would keep the first one's handlers from stopping the work.
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
    """Lets SIGTERM and SIGHUP do what Ctrl-C does while the block runs."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _REQUESTS:
            handler = signal.getsignal(number)
            # What nohup has us ignore is not to end us; what is not Python's cannot be put back.
            if handler not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, _requests)
    try:
        yield
    finally:
        _requests.reset()
        for caught, handler in before.items():
            signal.signal(caught, handler)


def spare_the_report() -> None:
    """Work was interrupted and is to be reported: each request is ignored once more from now on."""
    _requests.spare()


def with_result(
    verb: str,
    call: Callable[[], Result],
    made: Callable[[Mapping[str, Any]], Result],
    remedy: str = RUN_AGAIN,
) -> tuple[Result, bool]:
    """A verb's result, and whether it was interrupted: what was done by then is a result, too.

    Args:
        verb: the verb, as the core calls it.
        call: does it.
        made: makes the result of the core's mapping.
        remedy: what to do where there is no result.

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
class Words:
    """What to say of an interrupted verb that has no result.

    Attributes:
        nothing_done: the interruption kept it from its work.
        not_known: nothing says whether it did.
        remedy: how to find that out.
    """

    nothing_done: str
    not_known: str
    remedy: str


def with_answer(
    verb: str,
    call: Callable[[], Result],
    made: Callable[[Mapping[str, Any]], Result],
    words: Words,
) -> Result:
    """A verb's result, also where it was interrupted when nothing could be given up any more.

    Args:
        verb: the verb, as the core calls it.
        call: does it.
        made: makes the result of the core's mapping.
        words: what to say where there is no result.

    Raises:
        InterruptedRunError: the verb was interrupted; the message says whether it did nothing, or
            that this is not known.
        PgMigrateError: the verb failed, or could not find out what became of its work.
    """
    try:
        return call()
    except KeyboardInterrupt as interruption:
        spare_the_report()
        outcome = outcome_of(interruption, verb)
        if isinstance(outcome, Mapping):
            return made(outcome)
        if outcome is None:
            known = InterruptedRunError(f"interrupted; {words.not_known}", remedy=words.remedy)
        elif isinstance(outcome, InterruptedRunError):
            known = InterruptedRunError(f"interrupted; {words.nothing_done}", remedy=RUN_AGAIN)
        else:
            raise outcome from None
        raise known from None


def interrupted(remedy: str = RUN_AGAIN) -> InterruptedRunError:
    """The error of a command that was interrupted before it had a result."""
    return InterruptedRunError("interrupted", remedy=remedy)
