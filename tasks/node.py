"""One Celery node: `python -m tasks.node QUEUE NAME POOL CONCURRENCY`.

Celery's own command line imports every plugin (a web server and a prompt among them), nearly half of a node's start;
how fast a dead node is back decides how long its chains stand still when two die together.
"""

from __future__ import annotations

import sys

from celery import concurrency
from celery.utils.nodenames import host_format

from tasks.app import app


def main(arguments: list[str]) -> None:
    """Consume until SIGTERM, then finish what is at work. Exits with the worker's code."""
    queue, name, pool, slots = arguments
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
    worker.start()
    sys.exit(worker.exitcode)


if __name__ == "__main__":
    main(sys.argv[1:])
