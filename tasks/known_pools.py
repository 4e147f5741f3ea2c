"""The pools at a start: what the chain says of those we know, and those of our core wallet that we do not (POL-07..12).

"No answer" is never "gone": a pool is archived on a valid answer without its account, and only when no thread uses it.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

import structlog
from solders.pubkey import Pubkey

from domain.chain import layouts, program
from domain.chain.errors import RpcError
from domain.chain.gateway import ChainUnreachableError, Want
from domain.chain.version import SUPPORTED, contract_version, is_supported
from domain.facts import Mint, Observation, PoolState
from domain.ids import Address, PoolId
from domain.policy import ADMIN_FLAGS, Policy, PolicyStep
from domain.pool import Pool
from tasks.runtime import Runtime

log = structlog.get_logger()

POOLS_AT_ONCE: Final = 15  # each with its four mints, within the hundred accounts of one request
CREATE_TIMEOUT_S: Final = 60.0


@dataclass(slots=True, kw_only=True)
class PoolsAtStart:
    """What became of the pools; ``unanswered``: the chain could not be asked, so nothing was concluded."""

    valid: list[PoolId] = field(default_factory=list)
    imported: list[PoolId] = field(default_factory=list)
    archived: list[PoolId] = field(default_factory=list)
    in_use: list[PoolId] = field(default_factory=list)  # gone, but threads of it are known
    changed: list[PoolId] = field(default_factory=list)  # not the pool that is remembered
    unanswered: bool = False


def pools_at_start(runtime: Runtime) -> PoolsAtStart:
    """Validate what is known, import what the core wallet owns. Never raises for a chain that does not answer."""
    found = PoolsAtStart()
    try:
        _validate(runtime, found)
        import_pools(runtime, _own_pools(runtime), found)
    except ChainUnreachableError as error:
        found.unanswered = True
        log.warning("pools_unanswered", action="pools_unanswered", error=str(error))
    log.info(
        "pools_at_start",
        action="pools_at_start",
        valid=len(found.valid),
        imported=found.imported,
        archived=found.archived,
        in_use=found.in_use,
        changed=found.changed,
    )
    return found


def _validate(runtime: Runtime, found: PoolsAtStart) -> None:
    pools = runtime.store.list_pools()
    for start in range(0, len(pools), 100):
        batch = pools[start : start + 100]
        seen = runtime.chain.observe(Want(addresses=tuple(Address(pool.pool_id) for pool in batch)))
        for pool in batch:
            if seen.slot < pool.created_slot:
                raise ChainUnreachableError(f"the node stands at slot {seen.slot}, before pool {pool.pool_id}")
            _judge(runtime, pool, seen, found)


def _judge(runtime: Runtime, pool: Pool, seen: Observation, found: PoolsAtStart) -> None:
    account = seen.accounts[Address(pool.pool_id)]
    if account is None:
        if runtime.store.threads_of_pool(pool.pool_id):
            found.in_use.append(pool.pool_id)
        elif runtime.store.archive_pool(pool.pool_id):
            found.archived.append(pool.pool_id)
        return
    state = account.decoded
    same = isinstance(state, PoolState) and (state.mint_a, state.mint_b, state.ratio_a, state.ratio_b) == (
        pool.mint_a,
        pool.mint_b,
        pool.ratio_a,
        pool.ratio_b,
    )
    (found.valid if same else found.changed).append(pool.pool_id)


def _own_pools(runtime: Runtime) -> list[PoolId]:
    """Pools on the chain that the core wallet owns. ChainUnreachableError also where a node refuses to search."""
    filters: list[dict[str, Any]] = [
        {"dataSize": program.POOL_STATE_BYTES},
        {"memcmp": {"offset": 0, "bytes": runtime.chain.keyring.core_address}},
    ]
    options = {"commitment": "confirmed", "encoding": "base64", "filters": filters}
    try:
        rows = runtime.chain.endpoints.call("getProgramAccounts", [str(runtime.chain.program_id), options])
    except RpcError as error:
        raise ChainUnreachableError(str(error)) from error
    pools = []
    for row in rows:
        try:
            layouts.decode_pool_state(b64decode(row["account"]["data"][0]))
        except layouts.LayoutError:
            continue
        pools.append(PoolId(row["pubkey"]))
    return sorted(pools)


def import_pools(runtime: Runtime, pool_ids: Iterable[PoolId], found: PoolsAtStart | None = None) -> list[PoolId]:
    """Register pools that are on the chain and whose tokens we can mint; those that are known stay as they are."""
    result = found or PoolsAtStart()
    known = {pool.pool_id for pool in runtime.store.list_pools()}
    new = [pool_id for pool_id in dict.fromkeys(pool_ids) if pool_id not in known]
    for start in range(0, len(new), POOLS_AT_ONCE):
        batch = new[start : start + POOLS_AT_ONCE]
        seen = runtime.chain.observe(Want(addresses=tuple(map(Address, batch))))
        states = {pool_id: seen.pool(Address(pool_id)) for pool_id in batch}
        mints = [mint for state in states.values() if state is not None for mint in _mints(state)]
        shown = runtime.chain.observe(Want(addresses=tuple(dict.fromkeys(mints)), since_slot=seen.slot))
        for pool_id, state in states.items():
            pool = None if state is None else _pool(runtime, pool_id, state, shown)
            if state is not None and pool is not None:
                runtime.store.put_pool(pool)
                runtime.store.set_first_policy(pool_id, _policy(state, seen.slot))
                result.imported.append(pool_id)
    return result.imported


def _mints(state: PoolState) -> tuple[Address, ...]:
    return (state.mint_a, state.mint_b, state.lp_mint_a, state.lp_mint_b)


def _pool(runtime: Runtime, pool_id: PoolId, state: PoolState, seen: Observation) -> Pool | None:
    """None where the core wallet is not the authority of both mints: nobody could be given tokens."""
    core = runtime.chain.keyring.core_address
    mints = []
    for address in _mints(state):
        account = seen.accounts[address]
        if account is None or not isinstance(account.decoded, Mint):
            return None
        mints.append(account.decoded)
    if state.owner != core or any(mint.mint_authority != core for mint in mints[:2]):
        return None
    return Pool(
        pool_id=pool_id,
        owner=core,
        mint_a=state.mint_a,
        mint_b=state.mint_b,
        vault_a=state.vault_a,
        vault_b=state.vault_b,
        lp_mint_a=state.lp_mint_a,
        lp_mint_b=state.lp_mint_b,
        ratio_a=state.ratio_a,
        ratio_b=state.ratio_b,
        decimals_a=mints[0].decimals,
        decimals_b=mints[1].decimals,
        lp_decimals_a=mints[2].decimals,
        lp_decimals_b=mints[3].decimals,
        simple_ratio=bool(state.flags & 1),
        exact_exchange=state.exact_exchange,
        bumps=state.bumps,
        created_slot=seen.slot,
        created_at_ms=runtime.store.now_ms(),
    )


def _policy(state: PoolState, slot: int) -> Policy:
    step = PolicyStep(
        operation_id="import",
        flags=state.flags & ADMIN_FLAGS,
        liquidity_fee=state.liquidity_fee,
        swap_fee=state.swap_fee,
        owner=state.owner,
        slot=slot,
    )
    return Policy(steps=(step,))


def create_missing_pools(runtime: Runtime, target: int) -> list[PoolId]:
    """Random pools until there are ``target``; the workers run by now. Ends with the first that is refused."""
    created: list[PoolId] = []
    there = sum(not pool.probe_only for pool in runtime.store.list_pools())
    deadline = monotonic() + CREATE_TIMEOUT_S
    for _ in range(max(0, target - there)):
        command_id = runtime.commands.send("create_pool_random", {})
        answer = runtime.commands.wait(command_id, max(0.0, deadline - monotonic()))
        if answer is None or "error" in answer:
            why = "it is still being created" if answer is None else answer["error"]["message"]
            log.warning("pool_target_missed", action="pool_target_missed", target=target, error=why)
            break
        created.append(PoolId(answer["ok"]["pool_id"]))
    return created


def check_version(runtime: Runtime) -> str | None:
    """What the program says it is; warns when it is none that this service was made for, and goes on.

    None when it does not say. A version is a hint: the checks are the judge.
    """
    chain = runtime.chain
    try:
        version = contract_version(chain.endpoints, chain.program_id, Pubkey.from_string(chain.keyring.core_address))
    except RpcError as error:
        log.warning("version_unknown", action="version_unknown", error=str(error))
        return None
    if version is None or not is_supported(version):
        log.warning("version_unsupported", action="version_unsupported", version=version, supported=str(SUPPORTED))
    return version
