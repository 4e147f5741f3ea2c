"""What Redis lost with its last second, worked out from the journal and the chain (DESIGN.md 5, "Epoch").

The journal's file is synced before its entries leave Redis, so together with the stream it is the beginning of what
happened, never a selection. What came after it, only the chain knows: there an operation is told by its instructions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from domain.audit_effects import ASSOCIATED, COMPUTE_BUDGET, SYSTEM, TOKEN, u64
from domain.audit_records import ChainTx, Step
from domain.chains import ChainKind, pool_chain_id
from domain.contract_errors import InstructionKind
from domain.ids import Address, ChainId, OperationId, PoolId, Signature
from domain.operations import Intent, OperationKind
from domain.pool import Asset
from domain.thread import ThreadConfig

COMPUTE_LIMIT: Final = 1_400_000  # the most a transaction may ask for: what was asked for is not remembered
_TRADES: Final = {
    InstructionKind.DEPOSIT: OperationKind.DEPOSIT,
    InstructionKind.WITHDRAW: OperationKind.WITHDRAWAL,
    InstructionKind.SWAP: OperationKind.SWAP,
}
_ADMIN: Final = frozenset(
    {
        InstructionKind.PAUSE_POOL,
        InstructionKind.UNPAUSE_POOL,
        InstructionKind.SET_SWAP_OWNER_ONLY,
        InstructionKind.UPDATE_POOL_FEES,
    }
)
_CREATION: Final = bytes([InstructionKind.INITIALIZE_POOL])
_TRANSFER: Final = (3, 12)
_MINT: Final = (7, 14)
_BURN: Final = (8, 15)
_CLOSE: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The journal's lines of the time in question, by operation."""

    submitted: Mapping[str, dict[str, Any]]
    settled: Mapping[str, dict[str, Any]]

    @classmethod
    def of(cls, lines: Iterable[str]) -> Known:
        submitted: dict[str, dict[str, Any]] = {}
        settled: dict[str, dict[str, Any]] = {}
        for line in lines:
            doc = orjson.loads(line)
            (submitted if doc["event"] == "submitted" else settled)[doc["op"]] = doc
        return cls(submitted=submitted, settled=settled)

    @property
    def signatures(self) -> set[Signature]:
        return {Signature(doc["sig"]) for doc in self.submitted.values()}

    def slots(self) -> list[int]:
        submitted = [int(doc["inputs"]["slot"]) for doc in self.submitted.values() if "slot" in (doc["inputs"] or {})]
        return submitted + [doc["slot"] for doc in self.settled.values() if doc.get("slot") is not None]

    def after(self, chain_id: str, number: int) -> list[dict[str, Any]]:
        """A chain's submissions with a number above ``number``: its record does not know them any more."""
        found = [
            doc
            for name, doc in self.submitted.items()
            if name.rpartition("/")[0] == chain_id and int(doc["n"]) > number
        ]
        return sorted(found, key=lambda doc: int(doc["n"]))

    def chains(self) -> set[ChainId]:
        return {ChainId(name.rpartition("/")[0]) for name in self.submitted}


@dataclass(frozen=True, slots=True, kw_only=True)
class Actors:
    """Whose wallets and token accounts these are."""

    core: Address
    program: Address
    wallets: Mapping[Address, ThreadConfig]
    accounts: Mapping[Address, tuple[ThreadConfig, Asset]]

    @classmethod
    def of(cls, core: Address, program: Address, configs: Iterable[ThreadConfig]) -> Actors:
        configs = list(configs)
        return cls(
            core=core,
            program=program,
            wallets={config.wallet: config for config in configs},
            accounts={address: (config, asset) for config in configs for asset, address in config.accounts.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A transaction of ours that no book has. ``chain_id`` None: no chain of ours can be told to have sent it."""

    tx: ChainTx
    chain_id: ChainId | None
    kind: OperationKind
    pool_id: PoolId | None
    inputs: dict[str, Any] = field(default_factory=dict)


def attribute(tx: ChainTx, actors: Actors) -> Found:
    """Which chain sent it and what it was for, by its instructions alone."""
    steps = [step for step in tx.steps if step.within is None and step.program != COMPUTE_BUDGET]
    for rule in (_trade, _share, _refill, _cleaning):
        found = rule(tx, steps, actors)
        if found is not None:
            return found
    # Also those that did not change: a thread that Redis has forgotten keeps tokens in the accounts it was given.
    deltas = {account: str(move.delta) for account, move in tx.tokens.items()}
    lamports = {a: str(tx.lamport_delta(a)) for a in tx.lamports if a != tx.payer and tx.error is None}
    owners = {move.owner for move in tx.tokens.values() if move.owner}
    inputs = {"recovered": True, "deltas": deltas, "lamports": lamports, "wallets": sorted(owners)}
    return Found(tx=tx, chain_id=None, kind=OperationKind.SETUP, pool_id=None, inputs=inputs)


def is_initialisation(tx: ChainTx, actors: Actors) -> bool:
    """The program's initialisation comes before there is a journal."""
    steps = [step for step in tx.steps if step.within is None and step.program != COMPUTE_BUDGET]
    return [(step.program, step.data[:1]) for step in steps] == [
        (actors.program, bytes([InstructionKind.INITIALIZE_PROGRAM]))
    ]


def created_pool(tx: ChainTx, actors: Actors) -> PoolId | None:
    """The pool that the transaction made."""
    made = [step for step in tx.steps if step.program == actors.program and step.data[:1] == _CREATION]
    return PoolId(made[0].accounts[3]) if made and tx.error is None else None


def administered(tx: ChainTx, actors: Actors) -> set[PoolId]:
    """The pools whose flags or fees the transaction changed."""
    if tx.error is not None:
        return set()
    return {
        PoolId(step.accounts[2])
        for step in tx.steps
        if step.program == actors.program and step.data and step.data[0] in _ADMIN
    }


def as_empty(found: Iterable[Found]) -> list[Found]:
    """An operation after which its wallet burned or swept was an emptying: what it brought is owed to nobody."""
    listed = list(found)
    cleaned: set[ChainId | None] = set()
    for index in range(len(listed) - 1, -1, -1):
        each = listed[index]
        if each.kind in (OperationKind.BURN, OperationKind.SWEEP):
            cleaned.add(each.chain_id)
        elif each.kind in _TRADES.values() and each.chain_id in cleaned:
            each.inputs["empty"] = True
            cleaned.discard(each.chain_id)
    return listed


def intent_of_line(doc: Mapping[str, Any], known: Known, since_slot: int) -> Intent:
    """An operation of the journal whose chain has forgotten it; its signed bytes are lost."""
    pool = doc.get("pool")
    return Intent(
        operation_id=OperationId(doc["op"]),
        number=int(doc["n"]),
        kind=OperationKind(doc["kind"]),
        pool_id=None if pool is None else PoolId(pool),
        signature=Signature(doc["sig"]),
        wire="",
        last_valid_height=int(doc["height"]),
        compute_limit=COMPUTE_LIMIT,
        inputs=dict(doc.get("inputs") or {}),
        prepared_at_ms=int(doc["at_ms"]),
        prepared_slot=since_slot,
        recovered=doc["op"] not in known.settled,
    )


def intent_of_found(found: Found, chain_id: ChainId, number: int, now_ms: int) -> Intent:
    return Intent(
        operation_id=OperationId(f"{chain_id}/{number}"),
        number=number,
        kind=found.kind,
        pool_id=found.pool_id,
        signature=found.tx.signature,
        wire="",
        last_valid_height=0,
        compute_limit=COMPUTE_LIMIT,
        inputs=found.inputs,
        prepared_at_ms=now_ms,
        prepared_slot=found.tx.slot,
        recovered=True,
    )


def submitted_line(intent: Intent, now_ms: int) -> str:
    """What the journal would have had."""
    doc = {
        "event": "submitted",
        "op": intent.operation_id,
        "at_ms": now_ms,
        "sig": intent.signature,
        "n": intent.number,
        "kind": intent.kind.value,
        "pool": intent.pool_id,
        "height": intent.last_valid_height,
        "inputs": intent.inputs,
    }
    return orjson.dumps(doc).decode()


def settled_line(operation_id: str, tx: ChainTx | None, now_ms: int) -> str:
    """The outcome of an operation whose chain is gone: recovered as the chain shows it, or expired."""
    doc: dict[str, Any] = {"event": "settled", "op": operation_id, "at_ms": now_ms, "outcome": "expired"}
    if tx is not None:
        doc |= {"outcome": "recovered", "slot": tx.slot, "error": tx.error or "", "fee": str(tx.fee)}
        doc["cu"] = tx.compute_units
    return orjson.dumps(doc).decode()


def _trade(tx: ChainTx, steps: list[Step], actors: Actors) -> Found | None:
    config = actors.wallets.get(tx.payer)
    if config is None or len(steps) != 1 or steps[0].program != actors.program or not steps[0].data:
        return None
    data = steps[0].data
    kind = _TRADES.get(data[0])  # type: ignore[call-overload]
    if kind is None or kind.value != config.kind.value:
        return None
    amount = u64(data, 33)
    inputs = {
        "recovered": True,
        "side": config.side.value,
        "amount": str(amount),
        "expected_out": str(u64(data, 41) if kind is OperationKind.SWAP else amount),
        "slot": tx.slot,
        "excess": "0",
        "lp_supply": "0",
        "wallets": [config.wallet],
    }
    chain_id = ChainId(config.thread_id)
    return Found(tx=tx, chain_id=chain_id, kind=kind, pool_id=config.pool_id, inputs=inputs)


def _share(tx: ChainTx, steps: list[Step], actors: Actors) -> Found | None:
    """Transfers from threads to threads of one pool, the first owner paying."""
    payer = actors.wallets.get(tx.payer)
    if payer is None or not steps:
        return None
    entries: list[dict[str, str]] = []
    deltas: dict[Address, int] = {}
    wallets: dict[Address, None] = {}
    for step in steps:
        if step.program != TOKEN or not step.data or step.data[0] not in _TRANSFER:
            return None
        source = step.accounts[0]
        target = step.accounts[1] if step.data[0] == _TRANSFER[0] else step.accounts[2]
        if source not in actors.accounts or target not in actors.accounts:
            return None
        (owner, asset), (taker, _) = actors.accounts[source], actors.accounts[target]
        amount = u64(step.data, 1)
        entries.append(
            {"owner": owner.thread_id, "taker": taker.thread_id, "asset": asset.value, "amount": str(amount)}
        )
        deltas[source] = deltas.get(source, 0) - amount
        deltas[target] = deltas.get(target, 0) + amount
        wallets |= {owner.wallet: None, taker.wallet: None}
    inputs = {
        "recovered": True,
        "entries": entries,
        "deltas": {address: str(delta) for address, delta in deltas.items()},
        "wallets": list(wallets),
    }
    chain_id = pool_chain_id(ChainKind.SHARE, payer.pool_id)
    return Found(tx=tx, chain_id=chain_id, kind=OperationKind.SHARE, pool_id=payer.pool_id, inputs=inputs)


def _refill(tx: ChainTx, steps: list[Step], actors: Actors) -> Found | None:
    """The core wallet minted to, or paid, threads of one pool, and opened no account."""
    if tx.payer != actors.core or not steps:
        return None
    entries: dict[str, dict[str, str]] = {}
    deltas: dict[Address, int] = {}
    lamports: dict[Address, int] = {}
    pools: set[PoolId] = set()

    def entry(config: ThreadConfig) -> dict[str, str]:
        pools.add(config.pool_id)
        fresh = {"thread": config.thread_id, "tokens": "0", "asset": config.spends.value, "lamports": "0"}
        return entries.setdefault(config.thread_id, fresh)

    for step in steps:
        if step.program == TOKEN and step.data[:1] and step.data[0] in _MINT and step.accounts[1] in actors.accounts:
            config, asset = actors.accounts[step.accounts[1]]
            if asset is not config.spends:
                return None
            amount, into = u64(step.data, 1), entry(config)
            into["tokens"] = str(int(into["tokens"]) + amount)
            deltas[step.accounts[1]] = deltas.get(step.accounts[1], 0) + amount
        elif step.program == SYSTEM and step.data[:4] == b"\2\0\0\0" and step.accounts[1] in actors.wallets:
            amount, into = u64(step.data, 4), entry(actors.wallets[step.accounts[1]])
            into["lamports"] = str(int(into["lamports"]) + amount)
            lamports[step.accounts[1]] = lamports.get(step.accounts[1], 0) + amount
        else:
            return None
    if len(pools) != 1:
        return None
    pool_id = pools.pop()
    inputs = {
        "recovered": True,
        "entries": list(entries.values()),
        "deltas": {address: str(delta) for address, delta in deltas.items()},
        "lamports": {address: str(delta) for address, delta in lamports.items()},
        "wallets": [wallet for wallet, config in actors.wallets.items() if config.thread_id in entries],
    }
    chain_id = pool_chain_id(ChainKind.REFILL, pool_id)
    return Found(tx=tx, chain_id=chain_id, kind=OperationKind.REFILL, pool_id=pool_id, inputs=inputs)


def _cleaning(tx: ChainTx, steps: list[Step], actors: Actors) -> Found | None:
    """A thread burned what it held, or closed its accounts and gave its SOL back; the core wallet paid."""
    owners = [actors.wallets[signer] for signer in tx.signers if signer in actors.wallets]
    if tx.payer != actors.core or len(owners) != 1 or not steps or any(step.program == ASSOCIATED for step in steps):
        return None
    config = owners[0]
    chain_id = ChainId(config.thread_id)
    if all(step.program == TOKEN and step.data[:1] and step.data[0] in _BURN for step in steps):
        amounts = {step.accounts[0]: u64(step.data, 1) for step in steps}
        if not amounts.keys() <= set(config.accounts.values()):
            return None
        asset_of = {address: asset for asset, address in config.accounts.items()}
        inputs = {
            "recovered": True,
            "deltas": {address: str(-amount) for address, amount in amounts.items()},
            "wallets": [config.wallet],
            "burned": {asset_of[address].value: str(amount) for address, amount in amounts.items()},
        }
        return Found(tx=tx, chain_id=chain_id, kind=OperationKind.BURN, pool_id=config.pool_id, inputs=inputs)
    swept = any(step.program == TOKEN and step.data[:1] == bytes([_CLOSE]) for step in steps)
    paid = any(step.program == SYSTEM and step.accounts[0] == config.wallet for step in steps)
    if not swept and not paid:
        return None
    inputs = {
        "recovered": True,
        "lamports": {config.wallet: str(tx.lamport_delta(config.wallet))},
        "deltas": {},
        "wallets": [config.wallet],
    }
    return Found(tx=tx, chain_id=chain_id, kind=OperationKind.SWEEP, pool_id=config.pool_id, inputs=inputs)
