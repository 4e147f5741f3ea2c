"""Every method of POST /rpc: its name, the model of its parameters, and the function behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from api import params as p
from api import params_bulk as b
from api import params_funding as f
from api import params_reads as r
from api.methods import bulk, commands, funding, pools, reads, sessions, threads


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """``run`` takes the service, the call and the bound parameters, and gives the result or raises RpcError.

    ``changes``: a command. A read-only key may not call it, and it has a rate limit of its own.
    """

    name: str
    params: type[p.Params]
    run: Callable[..., dict[str, Any]]
    summary: str
    changes: bool


def _read(name: str, params: type[p.Params], run: Callable[..., dict[str, Any]], summary: str) -> Method:
    return Method(name=name, params=params, run=run, summary=summary, changes=False)


def _command(name: str, params: type[p.Params], run: Callable[..., dict[str, Any]], summary: str) -> Method:
    return Method(name=name, params=params, run=run, summary=summary, changes=True)


METHODS: Final = (
    _command("create_pool", p.CreatePool, pools.create_pool, "Create a token pair and its pool"),
    _read("list_pools", p.NoParams, pools.list_pools, "All registered pools"),
    _command("pause_pool", p.PausePool, pools.pause_pool, "Pause liquidity, swaps or both"),
    _command("unpause_pool", p.PausePool, pools.unpause_pool, "End a pause of liquidity, swaps or both"),
    _command("set_swap_owner_only", p.SetSwapOwnerOnly, pools.set_swap_owner_only, "Let only the owner swap, or all"),
    _command("update_pool_fees", p.UpdatePoolFees, pools.update_pool_fees, "Set the fees, in lamports per operation"),
    _command("consolidate_pool_fees", p.ConsolidatePoolFees, pools.consolidate_pool_fees, "Move fees to the treasury"),
    _command("create_deposit_thread", p.CreateDepositThread, threads.create_deposit_thread, "Create a deposit thread"),
    _command(
        "create_withdrawal_thread",
        p.CreateWithdrawalThread,
        threads.create_withdrawal_thread,
        "Create a withdrawal thread",
    ),
    _command("create_swap_thread", p.CreateSwapThread, threads.create_swap_thread, "Create a swap thread"),
    _command("start_thread", p.ThreadCommand, threads.start_thread, "Start a thread"),
    _command("stop_thread", p.ThreadCommand, threads.stop_thread, "Stop a thread once its operation is settled"),
    _command("delete_thread", p.ThreadCommand, threads.delete_thread, "Empty, sweep and remove a thread"),
    _command("empty_thread", p.ThreadCommand, threads.empty_thread, "Use up and burn all a thread holds"),
    _read("get_thread_status", p.GetThread, threads.get_thread_status, "One thread's status"),
    _read("get_all_threads", p.NoParams, threads.get_all_threads, "Every thread's status and a summary"),
    _read("get_pool", r.GetPool, reads.get_pool, "One pool: constants, newest snapshot, marks, policy"),
    _read("list_threads", r.ListThreads, reads.list_threads, "Threads by filter, page by page"),
    _read("get_thread_sessions", r.GetThreadSessions, sessions.get_thread_sessions, "A thread's finished sessions"),
    _read("core_wallet_status", p.NoParams, reads.core_wallet_status, "The core wallet's balance and reservations"),
    _read("get_faults", r.GetFaults, reads.get_faults, "Checks that did not hold, page by page"),
    _read("get_journal", r.GetJournal, reads.get_journal, "Operations and their outcomes, page by page"),
    _command("create_pool_random", f.CreatePoolRandom, funding.create_pool_random, "Create a pool by chance"),
    _command("fund_thread", f.FundThread, funding.fund_thread, "Give a thread SOL, tokens or LP tokens"),
    _command("mint_and_send_tokens", f.MintAndSendTokens, funding.mint_and_send_tokens, "Mint tokens to any address"),
    _command("airdrop_sol", f.AirdropSol, funding.airdrop_sol, "Ask the faucet for SOL, where there is one"),
    _command("create_threads", b.CreateThreads, bulk.create_threads, "Create up to a thousand threads"),
    _command("start_threads", b.ThreadsCommand, bulk.start_threads, "Start threads: named, of a pool, or all"),
    _command("stop_threads", b.ThreadsCommand, bulk.stop_threads, "Stop threads: named, of a pool, or all"),
    _command("delete_threads", b.ThreadsCommand, bulk.delete_threads, "Delete threads: named, of a pool, or all"),
    _command("stop_all_pool_threads", b.StopAllPoolThreads, bulk.stop_all_pool_threads, "Stop a pool's threads"),
    _command("stop_all", b.WholeService, bulk.stop_all, "Stop every thread"),
    _command("stop_service", b.WholeService, bulk.stop_service, "Stop every thread, then pause the service"),
    _command("pause", b.WholeService, bulk.pause, "Submit nothing new until resumed; what is open settles"),
    _command("resume", b.WholeService, bulk.resume, "End a pause of the service"),
    _command("run_audit", p.RunAudit, commands.run_audit, "The closing audit of a service at rest"),
    _read("rpc.discover", p.NoParams, commands.discover, "This API as an OpenRPC document"),
    _read("get_command", p.GetCommand, commands.get_command, "How a command ended, or that it is running"),
)
