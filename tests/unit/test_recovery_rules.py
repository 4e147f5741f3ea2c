"""What a transaction that only the chain remembers was, told by its instructions; what of the journal is lost."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from domain.audit_effects import SYSTEM, TOKEN
from domain.audit_records import ChainTx, Step, TokenMove
from domain.chain.endpoints import Endpoints
from domain.chain.errors import RpcUnavailable
from domain.chain.gateway import ChainUnreachableError
from domain.contract_errors import InstructionKind
from domain.ids import Address, ChainId, PoolId, Signature, ThreadId
from domain.operations import OperationKind
from domain.pool import Asset, Side
from domain.recovery import Actors, Known, as_empty, attribute, intent_of_line, settled_line, submitted_line
from domain.thread import ThreadConfig, ThreadKind
from tasks.recovery import finalized_height, newest_height

CORE, PROGRAM, POOL = Address("core"), Address("program"), PoolId("pool")


def config(kind: ThreadKind, number: int, assets: tuple[Asset, Asset]) -> ThreadConfig:
    name = f"{kind.value}_{number}"
    return ThreadConfig(
        thread_id=ThreadId(name),
        kind=kind,
        pool_id=POOL,
        side=Side.A,
        initial_amount=1_000,
        auto_refill=False,
        share=True,
        wallet=Address(f"wallet-{name}"),
        accounts={asset: Address(f"{asset.value}-{name}") for asset in assets},
        index=number,
        created_at_ms=1,
    )


DEPOSIT = config(ThreadKind.DEPOSIT, 1, (Asset.TOKEN_A, Asset.LP_A))
WITHDRAWAL = config(ThreadKind.WITHDRAWAL, 1, (Asset.TOKEN_A, Asset.LP_A))
SWAP = config(ThreadKind.SWAP, 1, (Asset.TOKEN_A, Asset.TOKEN_B))
ACTORS = Actors.of(CORE, PROGRAM, [DEPOSIT, WITHDRAWAL, SWAP])


def tx(steps: list[Step], *signers: Address, error: str | None = None, slot: int = 7, **more) -> ChainTx:
    return ChainTx(
        signature=Signature(f"sig-{slot}"),
        slot=slot,
        fee=5_000,
        error=error,
        signers=signers,
        lamports=more.get("lamports", {}),
        tokens=more.get("tokens", {}),
        steps=tuple(steps),
    )


def trade(kind: InstructionKind, amount: int, output: int = 0) -> Step:
    data = bytes([kind]) + bytes(32) + amount.to_bytes(8, "little") + output.to_bytes(8, "little") + bytes(32)
    return Step(program=PROGRAM, accounts=(), data=data)


def token(tag: int, amount: int, *accounts: str) -> Step:
    return Step(program=TOKEN, accounts=tuple(map(Address, accounts)), data=bytes([tag]) + amount.to_bytes(8, "little"))


def pay(source: str, target: str, lamports: int) -> Step:
    data = b"\2\0\0\0" + lamports.to_bytes(8, "little")
    return Step(program=SYSTEM, accounts=(Address(source), Address(target)), data=data)


@pytest.mark.parametrize("error", [None, "Custom(1)"])
def test_a_trade_is_told_by_its_wallet_and_its_amounts(error):
    found = attribute(tx([trade(InstructionKind.SWAP, 77, 12)], SWAP.wallet, error=error), ACTORS)
    assert (found.chain_id, found.kind, found.pool_id) == ("swap_1", OperationKind.SWAP, POOL)
    assert (found.inputs["amount"], found.inputs["expected_out"]) == ("77", "12")


def test_a_deposit_gives_what_it_takes():
    found = attribute(tx([trade(InstructionKind.DEPOSIT, 77)], DEPOSIT.wallet), ACTORS)
    assert (found.kind, found.inputs["expected_out"]) == (OperationKind.DEPOSIT, "77")


def test_transfers_between_threads_are_a_share_of_the_pools_chain():
    step = token(3, 9, DEPOSIT.accounts[Asset.LP_A], WITHDRAWAL.accounts[Asset.LP_A], DEPOSIT.wallet)
    found = attribute(tx([step, step], DEPOSIT.wallet), ACTORS)
    assert (found.chain_id, found.kind) == (ChainId("share:pool"), OperationKind.SHARE)
    entry = {"owner": "deposit_1", "taker": "withdrawal_1", "asset": "lp_a", "amount": "9"}
    assert found.inputs["entries"] == [entry, entry]
    assert found.inputs["deltas"] == {DEPOSIT.accounts[Asset.LP_A]: "-18", WITHDRAWAL.accounts[Asset.LP_A]: "18"}


def test_mints_and_payments_of_the_core_wallet_are_a_refill():
    steps = [token(7, 50, "mint", DEPOSIT.accounts[Asset.TOKEN_A], CORE), pay(CORE, DEPOSIT.wallet, 80)]
    found = attribute(tx(steps, CORE), ACTORS)
    assert (found.chain_id, found.kind) == (ChainId("refill:pool"), OperationKind.REFILL)
    assert found.inputs["entries"] == [
        {"thread": "deposit_1", "tokens": "50", "asset": "token_a", "lamports": "80"},
    ]


def test_burns_of_a_thread_are_its_own_and_make_the_operation_before_an_emptying():
    burn = token(8, 30, DEPOSIT.accounts[Asset.LP_A], "lp-mint", DEPOSIT.wallet)
    listed = [
        attribute(tx([trade(InstructionKind.DEPOSIT, 5)], DEPOSIT.wallet, slot=1), ACTORS),
        attribute(tx([trade(InstructionKind.DEPOSIT, 30)], DEPOSIT.wallet, slot=2), ACTORS),
        attribute(tx([burn], CORE, DEPOSIT.wallet, slot=3), ACTORS),
    ]
    assert (listed[2].kind, listed[2].inputs["burned"]) == (OperationKind.BURN, {"lp_a": "30"})
    assert ["empty" in found.inputs for found in as_empty(listed)] == [False, True, False]


def test_what_cannot_be_told_is_booked_as_it_moved_things():
    tokens = {
        Address("x"): TokenMove(mint=Address("m"), owner=Address("o"), before=1, after=4),
        Address("y"): TokenMove(mint=Address("m"), owner=Address("o"), before=0, after=0),
    }
    found = attribute(tx([token(7, 3, "m", "x", CORE)], CORE, tokens=tokens, lamports={Address("o"): (5, 9)}), ACTORS)
    assert (found.chain_id, found.kind) == (None, OperationKind.SETUP)
    assert (found.inputs["deltas"], found.inputs["lamports"]) == ({"x": "3", "y": "0"}, {"o": "4"})


def lines() -> list[str]:
    made = []
    for number in (10, 9, 11):
        doc = {"event": "submitted", "op": f"swap_1/{number}", "at_ms": 5, "sig": f"s{number}", "n": number}
        made.append(json.dumps(doc | {"kind": "swap", "pool": "pool", "height": 99, "inputs": {"slot": number}}))
    return [*made, json.dumps({"event": "settled", "op": "swap_1/10", "outcome": "confirmed", "slot": 4})]


def test_the_operations_after_the_records_number_are_lost_in_their_order():
    known = Known.of(lines())
    intents = [intent_of_line(doc, known, 3) for doc in known.after("swap_1", 9)]
    assert [(intent.number, intent.recovered, intent.wire) for intent in intents] == [(10, False, ""), (11, True, "")]
    assert known.after("swap_1", 11) == []
    assert known.after("swap_11", 0) == []


def test_a_lost_operation_reads_back_as_it_was_written():
    known = Known.of(lines())
    intent = intent_of_line(known.submitted["swap_1/11"], known, 3)
    again = Known.of([submitted_line(intent, 5)])
    assert again.submitted["swap_1/11"] == known.submitted["swap_1/11"]


def test_an_orphan_that_never_landed_is_expired_and_one_that_did_is_recovered():
    assert json.loads(settled_line("command:x/1", None, 5))["outcome"] == "expired"
    doc = json.loads(settled_line("command:x/1", tx([], CORE, error="Custom(4)"), 5))
    assert (doc["outcome"], doc["slot"], doc["error"], doc["fee"]) == ("recovered", 7, "Custom(4)", "5000")


class Node:
    """Answers like RpcClient: a chain that stands at ``height``; None: nobody answers."""

    timeout_seconds, max_connections = 5.0, 2

    def __init__(self, height: int | None) -> None:
        self.endpoint = f"node-{height}"
        self.height = height

    def call(self, method: str, params: Any, *, timeout_seconds: float) -> Any:
        if self.height is None:
            raise RpcUnavailable(self.endpoint, "down")
        if method == "getBlockHeight":
            return self.height - 32
        return {"value": {"lastValidBlockHeight": self.height + 150}}


@pytest.mark.parametrize("heights", [(100, 140, None), (140, 100, None), (None, 140, 100)])
def test_a_recovery_waits_for_the_freshest_endpoint_and_reads_when_the_slowest_has_it(heights):
    endpoints = Endpoints([Node(height) for height in heights], rng=Random(7))  # type: ignore[misc]
    for _ in range(3):  # whoever's turn it is
        assert (newest_height(endpoints), finalized_height(endpoints)) == (290, 68)
    with pytest.raises(ChainUnreachableError, match="down"):
        newest_height(Endpoints([Node(None)], rng=Random(7)))  # type: ignore[list-item]
