"""Money and tokens for threads, for the core wallet and for any address (DESIGN.md 11, API-20..25, API-29)."""

from __future__ import annotations

from functools import partial
from typing import Any

from api import params_funding as f
from api.service import Call, Service


def fund_thread(service: Service, call: Call, params: f.FundThread) -> dict[str, Any]:
    return service.command(call, "fund_thread", params, check=partial(service.thread, params.thread_id))


def mint_and_send_tokens(service: Service, call: Call, params: f.MintAndSendTokens) -> dict[str, Any]:
    return service.command(call, "mint_and_send_tokens", params, check=partial(service.own_pool, params.pool_id))


def airdrop_sol(service: Service, call: Call, params: f.AirdropSol) -> dict[str, Any]:
    thread_id = params.thread_id
    check = None if thread_id is None else partial(service.thread, thread_id)
    return service.command(call, "airdrop_sol", params, check=check)


def create_pool_random(service: Service, call: Call, params: f.CreatePoolRandom) -> dict[str, Any]:
    return service.command(call, "create_pool_random", params)
