"""Evidence is completed for the first faults of a check, and what cannot be had is left out without harm."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from domain.chain.endpoints import BatchAnswer
from domain.chain.errors import RpcErrorObject, RpcTimeout
from domain.chain.rpc import Call
from domain.chains import ChainKind
from domain.faults import Fault
from tasks.evidence import MOST_EXECUTIONS, MOST_SUSPECTED, make_reproducible
from tests.support.rules import make_policy, make_pool, make_step

BEGUN: Any = SimpleNamespace(config='{"id":"deposit_1"}', kind=ChainKind.DEPOSIT)


class Node:
    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[Call] = []

    def batch(self, calls: list[Call], **_: Any) -> BatchAnswer:
        self.asked += calls
        if isinstance(self.answer, RpcTimeout):
            raise self.answer
        return BatchAnswer(endpoint="node", results=[self.answer])


def runtime(node: Node) -> Any:
    keyring = SimpleNamespace(core_address="core")
    return SimpleNamespace(
        chain=SimpleNamespace(program_id="frt", keyring=keyring, endpoints=node),
        store=SimpleNamespace(policy_text=lambda _: make_policy(make_step()).to_text()),
        settings=SimpleNamespace(local_chain=True),
        pool=lambda _: make_pool(),
        reproducible=Counter(),
    )


def fault(**changes: Any) -> Fault:
    return Fault(**{"check": "SWP-fee", "message": "m", "pool_id": "pool", "slot": 9} | changes)


def test_the_first_faults_of_a_check_get_their_accounts_and_the_others_none():
    node = Node([{"accounts": {}, "slot": 9}])
    made = runtime(node)
    faults = [fault(signature=f"S{n}") for n in range(MOST_EXECUTIONS + 5)]
    make_reproducible(made, BEGUN, faults)
    assert sum("execution" in one.evidence for one in faults) == MOST_EXECUTIONS == len(node.asked)
    assert faults[0].evidence["execution"] == {"accounts": {}, "slot": 9, "exact": True}
    assert faults[0].evidence["context"]["thread"] == {"id": "deposit_1"}
    assert node.asked[0].params[0]["signatures"] == ["S0"]
    other = fault(check="DEP-fee", signature="T")
    make_reproducible(made, BEGUN, [other])
    assert "execution" in other.evidence


def test_a_snapshot_names_its_suspects_once_oldest_first():
    node = Node([{"slot": 9}, {"slot": 8}])
    made = runtime(node)
    faults = [fault(check="J1"), fault(check="J1")]
    make_reproducible(made, BEGUN, faults)
    assert [one["slot"] for one in faults[0].evidence["suspects"]] == [8, 9]
    assert "suspects" not in faults[1].evidence
    assert len(node.asked) == MOST_SUSPECTED
    assert node.asked[0].params[0]["untilSlot"] == 9


def test_a_chain_that_does_not_answer_costs_a_fault_nothing():
    for trouble in (RpcTimeout("node", "no answer"), RpcErrorObject("node", -32601, "Method not found")):
        one, made = fault(signature="S"), runtime(Node(trouble))
        make_reproducible(made, BEGUN, [one])
        assert "execution" not in one.evidence
        assert not made.reproducible
