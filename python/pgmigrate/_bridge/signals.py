"""Signals that have to wait: an exception of a handler would lose what was just made."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

_REQUESTS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Holder:
    """A handler that notes signals, and hands them on once it no longer holds them back."""

    def __init__(self) -> None:
        self.before: dict[int, Any] = {}
        self.came: list[tuple[int, FrameType | None]] = []
        self.is_holding = True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.is_holding:
            self.came.append((number, frame))
        else:
            self.before[number](number, frame)

    def deliver(self) -> None:
        """Calls the handler of every signal that came; raises what the last one raised."""
        raised: BaseException | None = None
        for number, frame in self.came:
            try:
                self.before[number](number, frame)
            except BaseException as error:
                raised = error
        if raised is not None:
            raise raised


@contextmanager
def held_back() -> Iterator[None]:
    """Calls the handlers of signals that end a program after the block, not within it.

    Only handlers in Python are held back, for no other raises an exception, and only in the main
    thread, which alone runs them.
    """
    holder = _Holder()
    try:
        if threading.current_thread() is threading.main_thread():
            for number in _REQUESTS:
                handler = signal.getsignal(number)
                if callable(handler):
                    holder.before[number] = handler
                    signal.signal(number, holder)
        yield
    finally:
        # One that comes while handlers are put back is held, too.
        for caught, handler in holder.before.items():
            signal.signal(caught, handler)
        holder.is_holding = False
        holder.deliver()
