"""create_pool: two fresh mints and the pool in one transaction, then read back, checked and registered."""

from __future__ import annotations

from typing import Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from domain.chain import program
from domain.errors import CommandCode, CommandError
from domain.facts import POOL_FLAG_EXACT, POOL_FLAG_SIMPLE, Mint, Observation, PoolState, Receipt
from domain.faults import Fault
from domain.ids import Address, PoolId
from domain.operations import CreateMint, InitializePool, Operation, OperationKind
from domain.policy import ADMIN_FLAGS, Policy, PolicyStep
from domain.pool import Pool
from domain.randomness import generator
from domain.ratio import PoolSpec, RatioType, classify, pool_spec
from tasks.control.commands import Command

CREATION_COST = 1_160_941_120  # CONTRACT.md 3.3, at the default rent
MINT_RENT = 1_461_600
NO_THREAD = -1  # threads draw by their index, which begins at 0


def create_pool(command: Command) -> None:
    """Spec and keys first, stored; then the transaction; then what the chain shows is compared and registered."""
    if "spec" not in command.data:
        _decide(command)
        return
    spec = _spec(command)
    if "sent" not in command.data:
        _send(command, spec)
        return
    if "receipt" not in command.data:
        receipt = command.landed()
        if receipt is None:
            _send(command, spec)
            return
        command.data["receipt"] = {"slot": receipt.slot, "signature": receipt.signature}
        command.draft.add_faults(_creation_faults(command, receipt, spec))
    _register(command, spec)


def _decide(command: Command) -> None:
    """Fix everything random and create the mints' keys, sorted first, so that the caller's A is the pool's A."""
    runtime = command.runtime
    spec = pool_spec(command.params, generator(runtime.seed(), NO_THREAD, runtime.store.next_pool_number()))
    mints = sorted((Keypair() for _ in range(2)), key=lambda mint: bytes(mint.pubkey()))
    sealer = runtime.chain.keyring.sealer
    command.data["spec"] = {
        "decimals_a": spec.decimals_a,
        "decimals_b": spec.decimals_b,
        "ratio_a": str(spec.ratio_a),
        "ratio_b": str(spec.ratio_b),
        "exact_exchange": spec.exact_exchange,
    }
    command.data["mints"] = [str(mint.pubkey()) for mint in mints]
    command.data["sealed"] = [sealer.seal(mint, Address(str(mint.pubkey()))) for mint in mints]
    command.draft.next_ms = 0


def _spec(command: Command) -> PoolSpec:
    doc = command.data["spec"]
    return PoolSpec(
        decimals_a=doc["decimals_a"],
        decimals_b=doc["decimals_b"],
        ratio_a=int(doc["ratio_a"]),
        ratio_b=int(doc["ratio_b"]),
        exact_exchange=doc["exact_exchange"],
    )


def _send(command: Command, spec: PoolSpec) -> None:
    core = command.core
    seen = command.observe((core,))
    if seen is None:
        return
    command.reserve(CREATION_COST + 2 * MINT_RENT + 20_000, seen)
    mint_a, mint_b = (Address(mint) for mint in command.data["mints"])
    for mint, sealed in zip((mint_a, mint_b), command.data["sealed"], strict=True):
        command.runtime.chain.keyring.add_sealed(mint, sealed)
    creations = [
        CreateMint(payer=core, mint=mint, decimals=decimals, authority=core)
        for mint, decimals in ((mint_a, spec.decimals_a), (mint_b, spec.decimals_b))
    ]
    pool = InitializePool(
        payer=core,
        mint_a=mint_a,
        mint_b=mint_b,
        ratio_a=spec.ratio_a,
        ratio_b=spec.ratio_b,
        flags=POOL_FLAG_EXACT if spec.exact_exchange else 0,
    )
    command.send(
        Operation(
            kind=OperationKind.SETUP,
            actions=(*creations, pool),
            payer=core,
            signers=(core, mint_a, mint_b),
            inputs={
                "method": command.method,
                "spec": command.data["spec"],
                "deltas": {},
                "mints": command.data["mints"],
            },
        ),
        slot=seen.slot,
    )
    command.data["sent"] = True


def _addresses(command: Command, spec: PoolSpec) -> program.PoolAddresses:
    mint_a, mint_b = (Pubkey.from_string(mint) for mint in command.data["mints"])
    return program.pool_addresses(command.runtime.chain.program_id, mint_a, mint_b, spec.ratio_a, spec.ratio_b)


def _creation_faults(command: Command, receipt: Receipt, spec: PoolSpec) -> list[Fault]:
    """CONTRACT.md 9: the treasury gains the registration fee, the payer pays exactly fee, rents and network fee."""
    treasury, core = command.runtime.chain.treasury, command.core
    gained = receipt.lamports[treasury][1] - receipt.lamports[treasury][0]
    paid = receipt.lamports[core][0] - receipt.lamports[core][1]
    wanted = CREATION_COST + 2 * MINT_RENT + receipt.fee
    if gained == program.REGISTRATION_FEE_LAMPORTS and paid == wanted:
        return []
    return [
        Fault(
            check="POOL-creation",
            message=f"creating a pool cost {paid} lamports instead of {wanted}; the treasury got {gained}",
            pool_id=str(_addresses(command, spec).pool_state),
            signature=receipt.signature,
            slot=receipt.slot,
            evidence={"paid": str(paid), "wanted": str(wanted), "treasury": str(gained)},
        )
    ]


def _register(command: Command, spec: PoolSpec) -> None:
    addresses = _addresses(command, spec)
    pool_id = PoolId(str(addresses.pool_state))
    accounts = [Address(str(account)) for account in (addresses.pool_state, addresses.lp_mint_a, addresses.lp_mint_b)]
    seen = command.observe(tuple(accounts))
    if seen is None or seen.slot < command.data["receipt"]["slot"]:
        return
    state = seen.pool(accounts[0])
    if state is None:
        raise CommandError(CommandCode.CONTRACT_REFUSED, f"pool {pool_id} was created but cannot be read")
    pool = _pool(command, spec, addresses, seen)
    command.draft.add_faults(_shape_faults(pool, state, command.core))
    store = command.runtime.store
    store.put_pool(pool)
    step = PolicyStep(
        operation_id="creation",
        flags=state.flags & ADMIN_FLAGS,
        liquidity_fee=state.liquidity_fee,
        swap_fee=state.swap_fee,
        owner=state.owner,
        slot=command.data["receipt"]["slot"],
    )
    store.set_first_policy(pool_id, Policy(steps=(step,)))
    command.answer(_answer(pool, command.data["receipt"]["signature"]))


def _pool(command: Command, spec: PoolSpec, addresses: program.PoolAddresses, seen: Observation) -> Pool:
    lp_mints = [seen.accounts[Address(str(mint))] for mint in (addresses.lp_mint_a, addresses.lp_mint_b)]
    ratio_type = classify(spec.ratio_a, spec.ratio_b, spec.decimals_a, spec.decimals_b)
    decimals = [lp.decoded.decimals if lp and isinstance(lp.decoded, Mint) else -1 for lp in lp_mints]
    return Pool(
        pool_id=PoolId(str(addresses.pool_state)),
        owner=command.core,
        mint_a=Address(str(addresses.mint_a)),
        mint_b=Address(str(addresses.mint_b)),
        vault_a=Address(str(addresses.vault_a)),
        vault_b=Address(str(addresses.vault_b)),
        lp_mint_a=Address(str(addresses.lp_mint_a)),
        lp_mint_b=Address(str(addresses.lp_mint_b)),
        ratio_a=spec.ratio_a,
        ratio_b=spec.ratio_b,
        decimals_a=spec.decimals_a,
        decimals_b=spec.decimals_b,
        lp_decimals_a=decimals[0],
        lp_decimals_b=decimals[1],
        simple_ratio=ratio_type is RatioType.SIMPLE,
        exact_exchange=spec.exact_exchange,
        bumps=addresses.bumps,
        created_slot=command.data["receipt"]["slot"],
        created_at_ms=command.cycle.now_ms,
        probe_only=bool(command.params.get("probe_only", False)),
    )


def _shape_faults(pool: Pool, state: PoolState, core: Address) -> list[Fault]:
    """A new pool has the addresses, ratios, fees and zeros that CONTRACT.md 3.3 gives it."""
    wanted: dict[str, Any] = {
        "owner": core,
        "mints": [pool.mint_a, pool.mint_b],
        "vaults": [pool.vault_a, pool.vault_b],
        "lp_mints": [pool.lp_mint_a, pool.lp_mint_b],
        "ratios": [str(pool.ratio_a), str(pool.ratio_b)],
        "bumps": list(pool.bumps),
        "liquidity": ["0", "0"],
        "fees": [program.DEFAULT_LIQUIDITY_FEE_LAMPORTS, program.DEFAULT_SWAP_FEE_LAMPORTS],
        "flags": (POOL_FLAG_SIMPLE if pool.simple_ratio else 0) | (POOL_FLAG_EXACT if pool.exact_exchange else 0),
        "collected": ["0"] * 6,
        "lp_decimals": [pool.decimals_a, pool.decimals_b],
        "zeros": "",
    }
    counters = [state.collected_liquidity_fees, state.collected_swap_fees, state.total_fees_collected]
    counters += [state.total_fees_consolidated, state.consolidations, state.last_consolidation_at]
    shown: dict[str, Any] = {
        "owner": state.owner,
        "mints": [state.mint_a, state.mint_b],
        "vaults": [state.vault_a, state.vault_b],
        "lp_mints": [state.lp_mint_a, state.lp_mint_b],
        "ratios": [str(state.ratio_a), str(state.ratio_b)],
        "bumps": list(state.bumps),
        "liquidity": [str(state.liquidity_a), str(state.liquidity_b)],
        "fees": [state.liquidity_fee, state.swap_fee],
        "flags": state.flags,
        "collected": [str(counter) for counter in counters],
        "lp_decimals": [pool.lp_decimals_a, pool.lp_decimals_b],
        "zeros": (state.zero_token_fees + state.zero_tail).strip(b"\0").hex(),
    }
    if wanted == shown:
        return []
    evidence = {"wanted": wanted, "shown": shown}
    return [Fault(check="POOL-shape", message="a new pool is not as ordered", pool_id=pool.pool_id, evidence=evidence)]


def _answer(pool: Pool, signature: str) -> dict[str, Any]:
    return {
        "pool_id": pool.pool_id,
        "token_a_mint": pool.mint_a,
        "token_a_decimals": pool.decimals_a,
        "token_b_mint": pool.mint_b,
        "token_b_decimals": pool.decimals_b,
        "ratio_a_numerator": pool.ratio_a,
        "ratio_b_denominator": pool.ratio_b,
        "exact_exchange": pool.exact_exchange,
        "transaction_signature": signature,
    }
