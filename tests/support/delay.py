"""A proxy on loopback that delays what passes in either direction, as a long link does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from psycopg.conninfo import conninfo_to_dict, make_conninfo

Arrivals = asyncio.Queue[tuple[float, bytes]]


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
) -> None:
    """Each piece arrives so much later than it was sent; those behind it do not wait for it."""
    clock = asyncio.get_running_loop().time
    pieces: Arrivals = asyncio.Queue()

    async def take() -> None:
        with suppress(OSError):
            while piece := await reader.read(1 << 16):
                pieces.put_nowait((clock() + seconds, piece))
        pieces.put_nowait((clock() + seconds, b""))

    taking = asyncio.create_task(take())
    with suppress(OSError):
        while True:
            arrival, piece = await pieces.get()
            await asyncio.sleep(max(0.0, arrival - clock()))
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
    taking.cancel()
    writer.close()


@contextmanager
def delayed(conninfo: str, seconds: float) -> Iterator[str]:
    """The conninfo of the same database behind a link that takes `seconds` each way."""
    parts = conninfo_to_dict(conninfo)
    loop = asyncio.new_event_loop()
    started: list[asyncio.Server] = []

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await asyncio.open_connection(str(parts["host"]), int(str(parts["port"])))
        await asyncio.gather(
            _pass_on(reader, server[1], seconds), _pass_on(server[0], writer, seconds)
        )

    async def listen() -> None:
        started.append(await asyncio.start_server(connect, "127.0.0.1", 0))

    loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = started[0].sockets[0].getsockname()[1]
    try:
        yield make_conninfo(conninfo, host="127.0.0.1", port=port)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        started[0].close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()
