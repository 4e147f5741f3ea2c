"""Many threads at once, and the whole service (DESIGN.md 11). Their answers tell of every member."""

from __future__ import annotations

from functools import partial
from typing import Any

from api import params_bulk as b
from api.service import Call, Service


def create_threads(service: Service, call: Call, params: b.CreateThreads) -> dict[str, Any]:
    def check() -> None:
        wanted = params.threads or ([params.template] if params.template is not None else [])
        for pool_id in {thread.pool_id for thread in wanted}:
            service.pool_for_threads(pool_id)

    return service.command(call, "create_threads", params, check=check)


def start_threads(service: Service, call: Call, params: b.ThreadsCommand) -> dict[str, Any]:
    return service.command(call, "start_threads", params, check=_pool_check(service, params.pool_id))


def stop_threads(service: Service, call: Call, params: b.ThreadsCommand) -> dict[str, Any]:
    check, wait_s = _pool_check(service, params.pool_id), service.settings.stop_wait_s
    return service.command(call, "stop_threads", params, check=check, wait_s=wait_s)


def delete_threads(service: Service, call: Call, params: b.ThreadsCommand) -> dict[str, Any]:
    return service.command(call, "delete_threads", params, check=_pool_check(service, params.pool_id))


def stop_all_pool_threads(service: Service, call: Call, params: b.StopAllPoolThreads) -> dict[str, Any]:
    check, wait_s = partial(service.pool, params.pool_id), service.settings.stop_wait_s
    return service.command(call, "stop_all_pool_threads", params, check=check, wait_s=wait_s)


def stop_all(service: Service, call: Call, params: b.WholeService) -> dict[str, Any]:
    return service.command(call, "stop_all", params, wait_s=service.settings.stop_wait_s)


def stop_service(service: Service, call: Call, params: b.WholeService) -> dict[str, Any]:
    return service.command(call, "stop_service", params, wait_s=service.settings.stop_wait_s)


def pause(service: Service, call: Call, params: b.WholeService) -> dict[str, Any]:
    return service.command(call, "pause", params)


def resume(service: Service, call: Call, params: b.WholeService) -> dict[str, Any]:
    return service.command(call, "resume", params)


def _pool_check(service: Service, pool_id: str | None) -> Any:
    return None if pool_id is None else partial(service.pool, pool_id)
