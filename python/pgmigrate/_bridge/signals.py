"""Deferred signals: an exception of a handler would lose an object that was just created."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

_REQUESTS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Holder:
    """A handler that records signals while it holds them back, and later passes them on."""

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
        """Calls the handler of every recorded signal; raises the last exception of a handler."""
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
    """Defers the handlers of signals that end a program until the end of the block.

    Only handlers in Python are deferred, because others raise no exception, and only in the main
    thread, because Python runs handlers there alone.
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
        # A signal that arrives while the handlers are put back is recorded, too.
        for caught, handler in holder.before.items():
            signal.signal(caught, handler)
        holder.is_holding = False
        holder.deliver()
