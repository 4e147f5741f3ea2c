"""An echo server that stands still now and then: `python -m tests.support.stalling_server EVERY_S STALL_S`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading

from websockets.asyncio.server import serve


async def main(every_s: float, stall_s: float) -> None:
    async def echo(connection) -> None:
        async for message in connection:
            await connection.send(message)

    def stall() -> None:
        threading.Event().wait(stall_s)  # the whole server stands still: that is the point
        asyncio.get_running_loop().call_later(every_s, stall)

    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        sys.stdout.write(json.dumps({"url": f"ws://127.0.0.1:{port}/", "pid": os.getpid()}) + "\n")
        sys.stdout.flush()
        asyncio.get_running_loop().call_later(every_s, stall)
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), float(sys.argv[2])))
