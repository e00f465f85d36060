"""A way to a server that breaks on one side only, as when a firewall forgets a connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg


class HalfOpen:
    """Hands bytes on between clients and a server, which does not notice what is broken off."""

    def __init__(self, conninfo: str) -> None:
        with psycopg.connect(conninfo) as connection:
            self._server = "127.0.0.1", connection.info.port
            info = connection.info
            self._listener = socket.create_server(("127.0.0.1", 0))
            port = self._listener.getsockname()[1]
            self.conninfo = (
                f"host=127.0.0.1 port={port} user={info.user} dbname={info.dbname} "
                f"password={info.password or 'none'} sslmode=disable"
            )
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._forgotten: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._pairs.append((client, server))
                for databases in ((client, server), (server, client)):
                    threading.Thread(target=self._hand_on, args=databases, daemon=True).start()

    def _hand_on(self, reader: socket.socket, writer: socket.socket) -> None:
        with suppress(OSError):
            while received := reader.recv(65536):
                writer.sendall(received)
        if writer not in self._forgotten and reader not in self._forgotten:
            for end in (reader, writer):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def keep(self) -> None:
        """Leaves the server's connections open, whatever becomes of their clients."""
        self._forgotten += [server for _, server in self._pairs]

    def break_off(self) -> None:
        """Ends all connections of the clients, and none of the server's."""
        self.keep()
        pairs, self._pairs = self._pairs, []
        for client, _ in pairs:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends everything."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.break_off()
        for end in (*self._forgotten, *(end for pair in self._pairs for end in pair)):
            end.close()


@contextmanager
def half_open(conninfo: str) -> Iterator[HalfOpen]:
    """A way to a server for as long as the block lasts."""
    way = HalfOpen(conninfo)
    try:
        yield way
    finally:
        way.close()
