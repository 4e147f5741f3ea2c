"""A real stack with pools and threads that run, for whoever looks at it from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.runtime.settings import load
from ops.plan import worker_plan
from ops.run.fleet import Call, results
from ops.stack import Stack, Wanted
from tasks.app import create_app
from tasks.bootstrap import prepare_chain
from tasks.runtime import Runtime, build_runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStack:
    """``threads``: ids in order of creation, spread evenly over the pools."""

    stack: Stack
    runtime: Runtime
    pools: list[str]
    threads: list[str]

    @property
    def url(self) -> str:
        return f"{self.stack.api_url}/"


@contextmanager
def live_stack(folder: Path, *, threads: int, pools: int, **overrides: Any) -> Iterator[LiveStack]:
    """Every service with ``threads`` started; a swap thread per pool and direction, else deposits and withdrawals."""
    plan = worker_plan(sorted(os.sched_getaffinity(0)), nodes=2)
    wanted = Wanted(directory=folder, plan=plan, seed=1, slot_ms=400)
    with Stack(wanted, lambda more: load({}, None, {"log_format": "json", **overrides, **more})) as stack:
        settings = stack.open_foundation()
        app = create_app(settings)
        runtime = build_runtime(settings, app)
        runtime.store.set_run_once("seed", "1")
        runtime.store.set_run_once("started_at_ms", str(runtime.store.now_ms()))
        prepare_chain(runtime)
        stack.open_services(app)
        made = results(runtime.commands, [_pool(number) for number in range(pools)])
        names = [answer["pool_id"] for answer in made]
        created = results(runtime.commands, [_thread(number, names) for number in range(threads)])
        ids = [answer["thread_id"] for answer in created]
        results(runtime.commands, [Call(method="start_thread", params={"thread_id": name}) for name in ids])
        try:
            yield LiveStack(stack=stack, runtime=runtime, pools=names, threads=ids)
        finally:
            runtime.close()


def _pool(number: int) -> Call:
    params = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160 * (number + 1)}
    return Call(method="create_pool", params=params | {"ratio_direction": "a_to_b"})


def _thread(number: int, pools: list[str]) -> Call:
    pool, turn = pools[number % len(pools)], number // len(pools)
    if turn < 2:
        params: dict[str, Any] = {"direction": ("a_to_b", "b_to_a")[turn], "initial_amount": 10**12}
        return Call(method="create_swap_thread", params={"pool_id": pool} | params)
    side = {"pool_id": pool, "token_type": "AB"[turn % 2]}
    if turn % 5 == 4:
        return Call(method="create_withdrawal_thread", params=side)
    return Call(method="create_deposit_thread", params=side | {"initial_amount": 10**12, "auto_refill": True})
