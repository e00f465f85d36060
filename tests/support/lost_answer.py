"""A way to a server that breaks at a COMMIT: before the server has it, or before its answer."""

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
    def __init__(self, server: tuple[str, int], loss: Loss, on_loss: Callable[[], object]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self._server, self._loss, self._on_loss = server, loss, on_loss
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self._server)
                is_asked = threading.Event()
                for work in (self._there, self._back):
                    ends = (client, server, is_asked)
                    threading.Thread(target=work, args=ends, daemon=True).start()

    def _there(
        self, client: socket.socket, server: socket.socket, is_asked: threading.Event
    ) -> None:
        with suppress(OSError):
            while received := client.recv(65536):
                if _COMMIT in received:
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
    def _end(*ends: socket.socket) -> None:
        for end in ends:
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
    parts = conninfo_to_dict(conninfo)
    way = _Way((str(parts["host"]), int(str(parts["port"]))), loss, on_loss)
    try:
        port = way.listener.getsockname()[1]
        yield make_conninfo(conninfo, host="127.0.0.1", port=port, sslmode="disable")
    finally:
        way.listener.close()
