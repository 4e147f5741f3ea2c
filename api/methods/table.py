"""Every method of POST /rpc: its name, the model of its parameters, and the function behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from api import params as p
from api.methods import commands, pools, threads


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """``run`` takes the service, the call and the bound parameters, and gives the result or raises RpcError."""

    name: str
    params: type[p.Params]
    run: Callable[..., dict[str, Any]]
    summary: str


def _method(name: str, params: type[p.Params], run: Callable[..., dict[str, Any]], summary: str) -> Method:
    return Method(name=name, params=params, run=run, summary=summary)


METHODS: Final = (
    _method("create_pool", p.CreatePool, pools.create_pool, "Create a token pair and its pool"),
    _method("list_pools", p.NoParams, pools.list_pools, "All registered pools"),
    _method("pause_pool", p.PausePool, pools.pause_pool, "Pause liquidity, swaps or both"),
    _method("unpause_pool", p.PausePool, pools.unpause_pool, "End a pause of liquidity, swaps or both"),
    _method("set_swap_owner_only", p.SetSwapOwnerOnly, pools.set_swap_owner_only, "Let only the owner swap, or all"),
    _method("update_pool_fees", p.UpdatePoolFees, pools.update_pool_fees, "Set the fees, in lamports per operation"),
    _method("consolidate_pool_fees", p.ConsolidatePoolFees, pools.consolidate_pool_fees, "Move fees to the treasury"),
    _method("create_deposit_thread", p.CreateDepositThread, threads.create_deposit_thread, "Create a deposit thread"),
    _method(
        "create_withdrawal_thread",
        p.CreateWithdrawalThread,
        threads.create_withdrawal_thread,
        "Create a withdrawal thread",
    ),
    _method("create_swap_thread", p.CreateSwapThread, threads.create_swap_thread, "Create a swap thread"),
    _method("start_thread", p.ThreadCommand, threads.start_thread, "Start a thread"),
    _method("stop_thread", p.ThreadCommand, threads.stop_thread, "Stop a thread once its operation is settled"),
    _method("delete_thread", p.ThreadCommand, threads.delete_thread, "Empty, sweep and remove a thread"),
    _method("empty_thread", p.ThreadCommand, threads.empty_thread, "Use up and burn all a thread holds"),
    _method("get_thread_status", p.GetThread, threads.get_thread_status, "One thread's status"),
    _method("get_all_threads", p.NoParams, threads.get_all_threads, "Every thread's status and a summary"),
    _method("get_command", p.GetCommand, commands.get_command, "How a command ended, or that it is running"),
)
