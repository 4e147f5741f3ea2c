"""When a client's messages are due, in seconds from the start. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from ops.bench.echo.options import Load, Pattern


def planned_s(load: Load, client: int) -> Iterator[float]:
    """Due times of one client, rising, below warm-up + duration.

    Clients are spread over the first interval, so that they do not all send at once (a burst's do within themselves).
    RampUp: the rate rises in a straight line from 0 to ``rate`` at the end.
    """
    end_s = load.warm_up_s + load.duration_s
    phase = (client % load.clients) / load.clients
    count = 0
    while True:
        match load.pattern:
            case Pattern.FIXED_RATE:
                at_s = (count + phase) / load.rate
            case Pattern.BURST:
                at_s = (count // load.burst + phase) * load.burst / load.rate
            case Pattern.RAMP_UP:
                at_s = sqrt(2 * (count + phase) * end_s / load.rate)
            case Pattern.CLOSED:
                return
        if at_s >= end_s:
            return
        yield at_s
        count += 1
