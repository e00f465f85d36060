"""A proxy that ends TLS with the server's own certificate, and notes how clients log in."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@dataclass
class Logins:
    """What was seen on the way."""

    conninfo: str = ""
    mechanisms: list[str] = field(default_factory=list)
    clear: int = 0


def _hand_on(reader: socket.socket, writer: socket.socket, logins: Logins | None) -> None:
    with suppress(OSError):
        while received := reader.recv(65536):
            if logins is not None and received[:1] == b"p" and b"SCRAM-SHA-256" in received:
                logins.mechanisms.append(received[5:].split(b"\0")[0].decode())
            writer.sendall(received)
    for end in (reader, writer):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def noting_logins(conninfo: str, certificate: Path, key: Path) -> Iterator[Logins]:
    """The conninfo of the same server by the proxy, with what was seen of its clients."""
    parts = conninfo_to_dict(conninfo)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate, key)
    theirs = ssl.create_default_context()
    theirs.check_hostname, theirs.verify_mode = False, ssl.CERT_NONE
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    logins = Logins(make_conninfo(conninfo, host="127.0.0.1", port=port))

    def serve(client: socket.socket) -> None:
        with suppress(OSError):
            if client.recv(8) != _SSL_REQUEST:
                logins.clear += 1
                client.close()
                return
            client.sendall(b"S")
            server = socket.create_connection((str(parts["host"]), int(str(parts["port"]))))
            server.sendall(_SSL_REQUEST)
            assert server.recv(1) == b"S"
            ends = own.wrap_socket(client, server_side=True), theirs.wrap_socket(server)
            threading.Thread(target=_hand_on, args=(*ends, logins), daemon=True).start()
            _hand_on(ends[1], ends[0], None)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield logins
    finally:
        listener.close()
