"""A network with a distance: `delay.py TARGET SECONDS` passes connections on, and a round trip takes that much longer.

Its first line of output is the port it listens on. What is sent meanwhile does not wait for what is on its way,
and opening a connection costs a round trip, as it does on a network.
"""

from __future__ import annotations

import asyncio
import sys

_PIECE = 64 * 1024


async def _deliver(
    queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, later: float
) -> None:
    """Send each piece when its time has come; an empty one is the end."""
    clock = asyncio.get_running_loop()
    while True:
        arrived, piece = await queue.get()
        await asyncio.sleep(arrived + later - clock.time())
        if not piece:
            writer.close()
            return
        writer.write(piece)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, later: float) -> None:
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
    """Listen, and pass on whatever comes."""
    host, _, port = target.partition(":")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        to, back = (reader, far_writer, seconds / 2), (far_reader, writer, seconds / 2)
        await asyncio.gather(_pass_on(*to), _pass_on(*back))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
