"""One Celery node: `python -m tasks.node QUEUE NAME POOL CONCURRENCY [--spare]`.

How fast a dead node is back decides how long chains stand still when two nodes die together. So Celery's own command
line is not used: it imports every plugin (a web server and a prompt among them), nearly half of a node's start. And a
*spare* loads everything, then waits for a line on its standard input before it connects to anything.
"""

from __future__ import annotations

import sys
from typing import Any, cast

import kombu.serialization
import kombu.transport.redis
import orjson
from celery import concurrency
from celery.utils.nodenames import host_format

from tasks.app import app
from tasks.names import SPARE
from tasks.registry import Process


def read_messages_fast() -> None:
    """Kombu's own reading of JSON, twice per message, takes a twentieth of a worker's CPU."""
    library = cast("Any", kombu)
    library.transport.redis.loads = orjson.loads
    library.serialization.register("json", library.utils.json.dumps, orjson.loads, "application/json", "utf-8")


def main(arguments: list[str]) -> None:
    """Consume until SIGTERM, then finish what is at work. Exits with the worker's code; a spare not needed with 0."""
    queue, name, pool, slots, *spare = arguments
    Process.role, Process.name = queue, name
    read_messages_fast()
    worker = app.Worker(
        hostname=host_format(f"{name}@%h"),
        queues=queue,
        pool_cls=concurrency.get_implementation(pool),
        concurrency=int(slots),
        loglevel="INFO",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
    )
    if spare == [SPARE]:
        Process.runtime()
        if not sys.stdin.buffer.readline():
            return
    worker.start()
    sys.exit(worker.exitcode)


if __name__ == "__main__":
    main(sys.argv[1:])
