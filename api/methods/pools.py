"""Pools: creation, the registry, and the administrative commands (DESIGN.md 11)."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from api import params as p
from api.errors import InvalidParams
from api.service import Call, Service
from domain.errors import CommandError
from domain.pool import Pool
from domain.ratio import pool_spec, ratio_display
from domain.session import iso


def create_pool(service: Service, call: Call, params: p.CreatePool) -> dict[str, Any]:
    return service.command(call, "create_pool", params, check=partial(_check_spec, params))


def _check_spec(params: p.CreatePool) -> None:
    """Refuse at once what the program cannot accept, where nothing of the pool is left to chance."""
    by_units = params.ratio_a is not None
    by_tokens = params.ratio_whole_number is not None and params.ratio_direction is not None
    if params.token_a_decimals is None or params.token_b_decimals is None or not (by_units or by_tokens):
        return
    try:
        pool_spec(params.arguments(), Random(0))
    except CommandError as error:
        field = str(error.data.get("field", "params")) if by_units else "ratio_whole_number"
        raise InvalidParams([(field, str(error))]) from error


def list_pools(service: Service, _: Call, __: p.NoParams) -> dict[str, Any]:
    return {"pools": [pool_entry(pool) for pool in service.store.list_pools()]}


def pause_pool(service: Service, call: Call, params: p.PausePool) -> dict[str, Any]:
    return service.command(call, "pause_pool", params, check=partial(service.own_pool, params.pool_id))


def unpause_pool(service: Service, call: Call, params: p.PausePool) -> dict[str, Any]:
    return service.command(call, "unpause_pool", params, check=partial(service.own_pool, params.pool_id))


def set_swap_owner_only(service: Service, call: Call, params: p.SetSwapOwnerOnly) -> dict[str, Any]:
    return service.command(call, "set_swap_owner_only", params, check=partial(service.own_pool, params.pool_id))


def update_pool_fees(service: Service, call: Call, params: p.UpdatePoolFees) -> dict[str, Any]:
    return service.command(call, "update_pool_fees", params, check=partial(service.own_pool, params.pool_id))


def consolidate_pool_fees(service: Service, call: Call, params: p.ConsolidatePoolFees) -> dict[str, Any]:
    def check() -> None:
        for pool_id in params.pool_ids:
            service.own_pool(pool_id)

    return service.command(call, "consolidate_pool_fees", params, check=check)


def pool_entry(pool: Pool) -> dict[str, Any]:
    """POL-06, API-05. The ratio is in base units: ``numerator`` units of A against ``denominator`` units of B."""
    return {
        "pool_id": pool.pool_id,
        "token_a_mint": pool.mint_a,
        "token_a_decimals": pool.decimals_a,
        "token_b_mint": pool.mint_b,
        "token_b_decimals": pool.decimals_b,
        "ratio_display": ratio_display(pool.ratio_a, pool.ratio_b, pool.decimals_a, pool.decimals_b),
        "ratio_a_numerator": pool.ratio_a,
        "ratio_b_denominator": pool.ratio_b,
        "exact_exchange": pool.exact_exchange,
        "lp_token_a_mint": pool.lp_mint_a,
        "lp_token_b_mint": pool.lp_mint_b,
        "created_at": iso(pool.created_at_ms),
        "managed": pool.managed,
        "probe_only": pool.probe_only,
    }
