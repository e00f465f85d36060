"""A way to a server that breaks at a COMMIT, or on which something happens before a statement."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

Loss = Literal["request", "answer", "silence", "silent request"]
_COMMIT: Final = b"COMMIT;\0"


class _Way:
    def __init__(
        self,
        conninfo: str,
        loss: Loss | None,
        on_loss: Callable[[], object],
        statement: bytes = _COMMIT,
    ) -> None:
        parts = conninfo_to_dict(conninfo)
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        self.conninfo = make_conninfo(conninfo, host="127.0.0.1", port=port, sslmode="disable")
        self._server = str(parts["host"]), int(str(parts["port"]))
        self._loss, self._on_loss, self._statement = loss, on_loss, statement
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self._server)
                is_asked = threading.Event()
                for work in (self._there, self._back):
                    databases = (client, server, is_asked)
                    threading.Thread(target=work, args=databases, daemon=True).start()

    def _there(
        self, client: socket.socket, server: socket.socket, is_asked: threading.Event
    ) -> None:
        with suppress(OSError):
            while received := client.recv(65536):
                if self._statement in received and self._loss is None:
                    self._on_loss()
                elif self._statement in received:
                    is_asked.set()
                    if self._loss == "request":
                        break
                    if self._loss == "silent request":
                        self._on_loss()
                        continue
                server.sendall(received)
        self._end(client, server)

    def _back(
        self, client: socket.socket, server: socket.socket, is_asked: threading.Event
    ) -> None:
        with suppress(OSError):
            while received := server.recv(65536):
                if is_asked.is_set():
                    self._on_loss()
                    if self._loss == "silence":
                        continue
                    break
                client.sendall(received)
        self._end(client, server)

    @staticmethod
    def _end(*databases: socket.socket) -> None:
        for end in databases:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def losing_commits(
    conninfo: str, loss: Loss, on_loss: Callable[[], object] = lambda: None
) -> Iterator[str]:
    """The conninfo of the same database by a way that loses each client program's COMMIT.

    Args:
        conninfo: the database.
        loss: what is lost: with `silence` the answer and with `silent request` the COMMIT itself,
            while the connection stays.
        on_loss: called when it is lost, and before the client learns that.
    """
    way = _Way(conninfo, loss, on_loss)
    try:
        yield way.conninfo
    finally:
        way.listener.close()


@contextmanager
def before_statement(conninfo: str, text: str, act: Callable[[], object]) -> Iterator[str]:
    """The conninfo of the same database by a way that calls `act` before statements with `text`."""
    way = _Way(conninfo, None, act, text.encode())
    try:
        yield way.conninfo
    finally:
        way.listener.close()
