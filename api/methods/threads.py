"""Threads: creation, orders, status (DESIGN.md 11, design sections 3.2 and 3.3)."""

from __future__ import annotations

from functools import partial
from typing import Any

from api import params as p
from api.service import Call, Service


def create_deposit_thread(service: Service, call: Call, params: p.CreateDepositThread) -> dict[str, Any]:
    check = partial(service.pool_for_threads, params.pool_id)
    return service.command(call, "create_deposit_thread", params, check=check)


def create_withdrawal_thread(service: Service, call: Call, params: p.CreateWithdrawalThread) -> dict[str, Any]:
    check = partial(service.pool_for_threads, params.pool_id)
    return service.command(call, "create_withdrawal_thread", params, check=check)


def create_swap_thread(service: Service, call: Call, params: p.CreateSwapThread) -> dict[str, Any]:
    check = partial(service.pool_for_threads, params.pool_id)
    return service.command(call, "create_swap_thread", params, check=check)


def start_thread(service: Service, call: Call, params: p.ThreadCommand) -> dict[str, Any]:
    return service.command(call, "start_thread", params, check=partial(service.thread, params.thread_id))


def stop_thread(service: Service, call: Call, params: p.ThreadCommand) -> dict[str, Any]:
    """Waits until the open operation is settled, but a little less long than the request may last (LIF-12)."""
    check, wait_s = partial(service.thread, params.thread_id), service.settings.stop_wait_s
    return service.command(call, "stop_thread", params, check=check, wait_s=wait_s)


def delete_thread(service: Service, call: Call, params: p.ThreadCommand) -> dict[str, Any]:
    return service.command(call, "delete_thread", params, check=partial(service.thread, params.thread_id))


def empty_thread(service: Service, call: Call, params: p.ThreadCommand) -> dict[str, Any]:
    return service.command(call, "empty_thread", params, check=partial(service.thread, params.thread_id))


def get_thread_status(service: Service, _: Call, params: p.GetThread) -> dict[str, Any]:
    return service.status(params.thread_id)


def get_all_threads(service: Service, _: Call, __: p.NoParams) -> dict[str, Any]:
    return service.readings.every(service.store, cadence_ms=service.settings.countdown_max_ms)
