"""Method name -> the code that carries it out."""

from __future__ import annotations

from typing import Final

from tasks.control.admin import consolidate_pool_fees, pause_pool, set_swap_owner_only, unpause_pool, update_pool_fees
from tasks.control.airdrop import airdrop_sol
from tasks.control.attacks import attack_pool
from tasks.control.audit import run_audit
from tasks.control.bulk import (
    create_threads,
    delete_threads,
    pause,
    resume,
    start_threads,
    stop_service,
    stop_threads,
)
from tasks.control.commands import Handler
from tasks.control.funding import fund_thread, mint_and_send_tokens
from tasks.control.pools import create_pool
from tasks.control.setup import initialize_program
from tasks.control.threads import (
    create_deposit_thread,
    create_swap_thread,
    create_withdrawal_thread,
    delete_thread,
    empty_thread,
    start_thread,
    stop_thread,
)

HANDLERS: Final[dict[str, Handler]] = {
    "initialize_program": initialize_program,
    "create_pool": create_pool,
    "create_pool_random": create_pool,
    "create_deposit_thread": create_deposit_thread,
    "create_withdrawal_thread": create_withdrawal_thread,
    "create_swap_thread": create_swap_thread,
    "start_thread": start_thread,
    "stop_thread": stop_thread,
    "empty_thread": empty_thread,
    "delete_thread": delete_thread,
    "pause_pool": pause_pool,
    "unpause_pool": unpause_pool,
    "set_swap_owner_only": set_swap_owner_only,
    "update_pool_fees": update_pool_fees,
    "consolidate_pool_fees": consolidate_pool_fees,
    "fund_thread": fund_thread,
    "mint_and_send_tokens": mint_and_send_tokens,
    "airdrop_sol": airdrop_sol,
    "create_threads": create_threads,
    "start_threads": start_threads,
    "stop_threads": stop_threads,
    "delete_threads": delete_threads,
    "stop_all_pool_threads": stop_threads,
    "stop_all": stop_threads,
    "stop_service": stop_service,
    "pause": pause,
    "resume": resume,
    "attack_pool": attack_pool,
    "run_audit": run_audit,
}
