"""Reading the chain for the audit: all pages, retries, throttling, and what becomes of a transaction's JSON."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from domain.audit_effects import COMPUTE_BUDGET, SYSTEM, TOKEN
from domain.chain.endpoints import BatchAnswer
from domain.chain.errors import RpcErrorObject, RpcMissingAnswer, RpcThrottled, RpcTimeout
from domain.chain.receipts import AccountReader
from domain.chain.rpc import Call
from domain.ids import Address, Signature
from ops.localnet import base58
from tasks import audit_chain
from tasks.audit import _final_accounts
from tasks.audit_chain import AuditUnansweredError, ChainArchive, read_transaction


class Scripted:
    """Answers calls by a function; before that it raises or returns what ``first`` lists."""

    def __init__(self, answer: Callable[[Call], Any], *first: Any) -> None:
        self.answer = answer
        self.first = list(first)
        self.asked: list[list[Call]] = []

    def batch(self, calls: list[Call], **_: Any) -> BatchAnswer:
        self.asked.append(calls)
        if self.first:
            outcome = self.first.pop(0)
            if isinstance(outcome, Exception) and not isinstance(outcome, (RpcErrorObject, RpcMissingAnswer)):
                raise outcome
            return BatchAnswer(endpoint="node", results=[outcome] * len(calls))
        return BatchAnswer(endpoint="node", results=[self.answer(call) for call in calls])


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(audit_chain, "RETRY_S", 0.001)


def archive(node: Scripted, *, seconds: float = 5.0) -> ChainArchive:
    reader = AccountReader("frt", "system", "treasury")
    return ChainArchive(node, reader, deadline=monotonic() + seconds, progress=lambda _: None)  # type: ignore[arg-type]


def lists(sizes: dict[str, int]) -> Callable[[Call], Any]:
    """getSignaturesForAddress of addresses with so many transactions, newest first."""

    def answer(call: Call) -> Any:
        address, options = call.params
        assert options["commitment"] == "finalized"
        newest = sizes[address] if "before" not in options else int(options["before"].split("-")[1])
        oldest = max(0, newest - options["limit"])
        return [{"signature": f"{address}-{n}"} for n in range(newest - 1, oldest - 1, -1)]

    return answer


def test_histories_are_read_to_their_beginning_oldest_first():
    sizes = {"a": 2_500, "b": 0, "c": 1_000, "d": 1}
    found = archive(Scripted(lists(sizes))).histories(map(Address, sizes))
    assert {address: len(listed) for address, listed in found.items()} == sizes
    assert found[Address("a")] == tuple(f"a-{n}" for n in range(2_500))


@pytest.mark.parametrize(
    "trouble",
    [RpcTimeout("node", "late"), RpcErrorObject("node", code=-32005, message="behind"), RpcMissingAnswer("node")],
)
def test_a_question_without_an_answer_is_asked_again(trouble):
    node = Scripted(lists({"a": 3}), trouble)
    assert len(archive(node).histories([Address("a")])[Address("a")]) == 3
    assert len(node.asked) == 2


def test_no_answer_in_time_is_no_pass():
    node = Scripted(lists({}), *[RpcTimeout("node", "late")] * 10_000)
    with pytest.raises(AuditUnansweredError):
        archive(node, seconds=0.05).histories([Address("a")])


def archive_throttled_on_our_own_chain(refusal: Any) -> bool:
    reader = AccountReader("frt", "system", "treasury")
    node: Any = Scripted(lists({"a": 1}), refusal)
    reading = ChainArchive(node, reader, deadline=monotonic() + 5, progress=lambda _: None, private=True)
    assert len(reading.histories([Address("a")])[Address("a")]) == 1
    return reading.throttled


@pytest.mark.parametrize("refusal", [RpcThrottled("node", "too many"), RpcErrorObject("node", 429, "too many")])
def test_a_throttling_node_gets_smaller_requests(refusal):
    sizes = {f"x{n}": 1 for n in range(40)}
    node = Scripted(lists(sizes), refusal)
    reading = archive(node)
    reading.histories(map(Address, sizes))
    assert reading.throttled
    assert not archive_throttled_on_our_own_chain(refusal)
    assert len(node.asked[0]) == audit_chain.HISTORIES_PER_REQUEST
    assert max(map(len, node.asked[2:])) <= audit_chain.HISTORIES_PER_REQUEST // 10


def test_it_waits_until_finalized_has_passed_what_is_confirmed():
    slots = iter([7, 5, 6, 9])
    assert archive(Scripted(lambda _: next(slots))).wait_finalized() == 9


def transaction(**meta: Any) -> dict[str, Any]:
    transfer = base58.encode(b"\x02\0\0\0" + (9).to_bytes(8, "little"))
    tokens = {"mint": "mint", "owner": "payer", "uiTokenAmount": {"amount": "5"}}
    return {
        "slot": 7,
        "transaction": {
            "message": {
                "header": {"numRequiredSignatures": 2},
                "accountKeys": ["payer", "signer", "account", SYSTEM, COMPUTE_BUDGET, TOKEN],
                "instructions": [
                    {"programIdIndex": 4, "accounts": [], "data": "3"},
                    {"programIdIndex": 5, "accounts": [2, 0], "data": base58.encode(b"\0\x03")},
                    {"programIdIndex": 3, "accounts": [0, 1], "data": transfer},
                ],
            }
        },
        "meta": {
            "err": None,
            "fee": 10,
            "preBalances": [100, 5, 0, 1, 1, 1],
            "postBalances": [81, 14, 0, 1, 1, 1],
            "preTokenBalances": [],
            "postTokenBalances": [{"accountIndex": 2, **tokens}],
            "innerInstructions": [
                {"index": 1, "instructions": [{"programIdIndex": 3, "accounts": [0, 2], "data": transfer}]}
            ],
            "computeUnitsConsumed": 3,
        }
        | meta,
    }


def test_a_transaction_is_read_in_order_of_execution():
    tx = read_transaction(Signature("s"), transaction())
    assert tx.signers == ("payer", "signer")
    assert dict(tx.lamports) == {"payer": (100, 81), "signer": (5, 14)}
    assert tx.tokens[Address("account")].delta == 5
    ran = [(step.program, step.within, step.accounts) for step in tx.steps]
    assert ran == [
        (COMPUTE_BUDGET, None, ()),
        (TOKEN, None, ("account", "payer")),
        (SYSTEM, TOKEN, ("payer", "account")),
        (SYSTEM, None, ("payer", "signer")),
    ]
    assert tx.steps[1].data == b"\0\x03"


def test_what_is_called_at_third_hand_is_its_callers_doing():
    """A router calls the program under test, which calls the token program: the transfer is not the router's."""

    def called(program: int, height: int | None) -> dict[str, Any]:
        return {"programIdIndex": program, "accounts": [0], "data": "3", "stackHeight": height}

    group = {"index": 1, "instructions": [called(2, 2), called(3, 3), called(0, 4), called(3, 3), called(1, 2)]}
    tx = read_transaction(Signature("s"), transaction(innerInstructions=[group]))
    ran = [(step.program, step.within) for step in tx.steps[2:7]]
    assert ran == [("account", TOKEN), (SYSTEM, "account"), ("payer", SYSTEM), (SYSTEM, "account"), ("signer", TOKEN)]
    without = {"index": 1, "instructions": [called(2, None), called(3, None)]}
    tx = read_transaction(Signature("s"), transaction(innerInstructions=[without]))
    assert [step.within for step in tx.steps[2:4]] == [TOKEN, TOKEN]


def test_a_failed_transaction_has_carried_nothing_out():
    tx = read_transaction(Signature("s"), transaction(err={"InstructionError": [1, {"Custom": 1}]}))
    assert (tx.error, tx.steps) == ("Custom(1)", ())


def test_unknown_signatures_are_left_out_and_a_lost_meta_is_no_pass():
    node = Scripted(lambda call: transaction() if call.id == "known" else None)
    found = list(archive(node).transactions([Signature("known"), Signature("never")]))
    assert [tx.signature for tx in found] == ["known"]
    many = [Signature(f"s{n}") for n in range(125)]
    assert len(list(archive(Scripted(lambda _: transaction())).transactions(many))) == 125
    with pytest.raises(AuditUnansweredError):
        list(archive(Scripted(lambda _: transaction() | {"meta": None})).transactions(many[:1]))


class Moving:
    """A shared chain on which a stranger goes on while it is read: a new slot with every answer of accounts."""

    def __init__(self, slots: dict[str, int], read_at: list[int]) -> None:
        self.slots = slots  # of every transaction there will ever be, by signature
        self.read_at = read_at  # the slots that the readings answer from
        self.asked_since: list[int] = []

    def __call__(self, call: Call) -> Any:
        match call.method:
            case "getMultipleAccounts":
                self.asked_since.append(call.params[1]["minContextSlot"])
                return {"context": {"slot": self.read_at.pop(0)}, "value": [None] * len(call.params[0])}
            case "getSignaturesForAddress":
                return [{"signature": s} for s, _ in sorted(self.slots.items(), key=lambda pair: -pair[1])]
        return transaction() | {"slot": self.slots[call.params[0]]}


def final(node: Moving, known: list[str], addresses: int = 1) -> tuple[dict, dict]:
    history = {Address(f"a{n}"): tuple(map(Signature, known)) for n in range(addresses)}
    transactions = {tx.signature: tx for tx in archive(Scripted(node)).transactions([Signature(s) for s in known])}
    _final_accounts(archive(Scripted(node)), Address("a0"), history, transactions, private=False)
    return history, transactions


def test_what_others_did_after_the_accounts_were_read_stays_out():
    node = Moving({"old": 5, "seen": 8, "late": 11}, [10])
    history, transactions = final(node, ["old"])
    assert history == {"a0": ("old", "seen")}
    assert set(transactions) == {"old", "seen"}
    assert node.asked_since == [5]  # never older than what is known


def test_what_lies_between_two_answers_is_read_again():
    node = Moving({"old": 5, "between": 11}, [10, 12, 13, 13])
    history, _ = final(node, ["old"], addresses=101)
    assert set(history.values()) == {("old", "between")}
    assert node.asked_since == [5, 5, 11, 11]


def test_a_node_that_is_behind_its_own_history_is_waited_for():
    behind = RpcErrorObject("node", -32016, "Minimum context slot has not been reached")
    answer = {"context": {"slot": 9}, "value": [None]}
    node = Scripted(lambda _: answer, behind, behind)
    assert archive(node).accounts([Address("a0")], 9) == (9, 9, {"a0": None})
