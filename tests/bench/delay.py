"""A TCP proxy that adds latency: `delay.py TARGET SECONDS` forwards connections with a longer round trip.

Its first line of output is its port. As on a real network, data in flight does not delay later data, and
opening a connection costs a round trip.
"""

from __future__ import annotations

import asyncio
import sys

_PIECE = 64 * 1024


async def _deliver(
    queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, later: float
) -> None:
    """Send each piece `later` seconds after it arrived; an empty piece ends the connection."""
    clock = asyncio.get_running_loop()
    while True:
        arrived, piece = await queue.get()
        await asyncio.sleep(arrived + later - clock.time())
        if not piece:
            writer.close()
            return
        writer.write(piece)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, later: float) -> None:
    clock, queue = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]]()
    delivery = asyncio.create_task(_deliver(queue, writer, later))
    piece = b"more"
    while piece:
        try:
            piece = await reader.read(_PIECE)
        except ConnectionError:
            piece = b""
        queue.put_nowait((clock.time(), piece))
    await delivery


async def main(target: str, seconds: float) -> None:
    """Listen on a free port and forward every connection."""
    host, _, port = target.partition(":")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        to, back = (reader, far_writer, seconds / 2), (far_reader, writer, seconds / 2)
        await asyncio.gather(_forward(*to), _forward(*back))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
