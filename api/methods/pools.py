"""Pools: creation, the registry, and the administrative commands (DESIGN.md 11)."""

from __future__ import annotations

from math import gcd
from typing import Any

from api import params as p
from api.service import Call, Service
from api.status import timestamp
from domain.pool import Pool


def create_pool(service: Service, call: Call, params: p.CreatePool) -> dict[str, Any]:
    return service.command(call, "create_pool", params)


def list_pools(service: Service, _: Call, __: p.NoParams) -> dict[str, Any]:
    return {"pools": [pool_entry(pool) for pool in service.store.list_pools()]}


def pause_pool(service: Service, call: Call, params: p.PausePool) -> dict[str, Any]:
    return service.command(call, "pause_pool", params, check=lambda: service.own_pool(params.pool_id))


def unpause_pool(service: Service, call: Call, params: p.PausePool) -> dict[str, Any]:
    return service.command(call, "unpause_pool", params, check=lambda: service.own_pool(params.pool_id))


def set_swap_owner_only(service: Service, call: Call, params: p.SetSwapOwnerOnly) -> dict[str, Any]:
    return service.command(call, "set_swap_owner_only", params, check=lambda: service.own_pool(params.pool_id))


def update_pool_fees(service: Service, call: Call, params: p.UpdatePoolFees) -> dict[str, Any]:
    return service.command(call, "update_pool_fees", params, check=lambda: service.own_pool(params.pool_id))


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
        "ratio_display": ratio_display(pool),
        "ratio_a_numerator": pool.ratio_a,
        "ratio_b_denominator": pool.ratio_b,
        "exact_exchange": pool.exact_exchange,
        "lp_token_a_mint": pool.lp_mint_a,
        "lp_token_b_mint": pool.lp_mint_b,
        "created_at": timestamp(pool.created_at_ms),
        "managed": pool.managed,
        "probe_only": pool.probe_only,
    }


def ratio_display(pool: Pool) -> str:
    """The ratio in whole tokens, exact: "1 Token A = 160 Token B", or from B's side, or with both sides above 1."""
    whole_a = pool.ratio_a * 10**pool.decimals_b
    whole_b = pool.ratio_b * 10**pool.decimals_a
    common = gcd(whole_a, whole_b)
    amount_a, amount_b = whole_a // common, whole_b // common
    if amount_b == 1 and amount_a != 1:
        return f"1 Token B = {amount_a} Token A"
    return f"{amount_a} Token A = {amount_b} Token B"
