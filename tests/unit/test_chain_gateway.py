"""What one observation asks of whom, and what it makes of answers that are late, behind or of no known shape."""

from __future__ import annotations

from random import Random

import pytest
from solders.keypair import Keypair

from domain.chain import program
from domain.chain.endpoints import Endpoints
from domain.chain.errors import RpcErrorObject, RpcTimeout, RpcUnavailable
from domain.chain.gateway import ChainUnreachableError, SolanaChain, Want
from domain.chain.keyring import Keyring
from domain.chain.keystore import Sealer
from domain.expiry import Expired, Pending, resolve
from domain.ids import Address, OperationId, Signature
from domain.operations import Intent, OperationKind

WALLET = Address(str(Keypair().pubkey()))
HEIGHT = 500
INTENT = Intent(
    operation_id=OperationId("deposit_1/1"),
    number=1,
    kind=OperationKind.DEPOSIT,
    pool_id=None,
    signature=Signature("s"),
    wire="",
    last_valid_height=HEIGHT,
    compute_limit=0,
    inputs={},
    prepared_at_ms=0,
    prepared_slot=400,
)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Node:
    """A node at one slot that knows no signature; `down` says why it does not answer, `answers` overrides a method."""

    max_connections = 4
    timeout_seconds = 1.0

    def __init__(self, name, *, slot=600, height=HEIGHT + 1, down=None, **answers):
        self.endpoint, self.slot, self.height, self.down, self.answers = name, slot, height, down, answers
        self.asked = 0

    def batch(self, calls, *, timeout_seconds):
        self.asked += 1
        if self.down is not None:
            raise self.down
        return [self.answers[call.method] if call.method in self.answers else self.answer(call) for call in calls]

    def answer(self, call):
        config = call.params[-1] if call.params else {}
        if isinstance(config, dict) and config.get("minContextSlot", 0) > self.slot:
            return RpcErrorObject(self.endpoint, -32016, "Minimum context slot has not been reached")
        context = {"slot": self.slot}
        match call.method:
            case "getEpochInfo":
                return {"absoluteSlot": self.slot, "blockHeight": self.height}
            case "getSignatureStatuses":
                return {"context": context, "value": [None] * len(call.params[0])}
            case "getMultipleAccounts":
                return {"context": context, "value": [None] * len(call.params[0])}
            case "getLatestBlockhash":
                return {"context": context, "value": {"blockhash": "1" * 32, "lastValidBlockHeight": self.height + 150}}
            case "getFirstAvailableBlock":
                return 0
            case _:
                return None


@pytest.fixture
def clock():
    return Clock()


def chain_of(clock, *nodes):
    endpoints = Endpoints(nodes, rng=Random(7), monotonic=clock)
    keyring = Keyring(Keypair(), Sealer(bytes(32)), lambda _: None)
    return SolanaChain(endpoints, program.LOCALNET_PROGRAM_ID, keyring, lambda _: None, lambda: 0)


def look(chain, intent):
    seen = chain.observe(Want.outcomes([intent], (WALLET,)))
    return (*resolve(intent, seen.lookups[intent.signature], seen), seen.endpoint)


def test_a_proof_of_expiry_asks_the_endpoint_that_began_it(clock):
    nodes = Node("a"), Node("b"), Node("c")
    chain = chain_of(clock, *nodes)
    for begun_with in ("b", "c"):
        resolution, _, asked = look(chain, INTENT.expired_seen(600, begun_with))
        assert (resolution, asked) == (Expired(), begun_with)
    nodes[1].down = RpcUnavailable("b", "down")
    with pytest.raises(ChainUnreachableError):  # one failure is noise: the proof waits for its endpoint
        look(chain, INTENT.expired_seen(600, "b"))
    assert [node.asked for node in nodes] == [0, 2, 1]


def test_the_proof_begins_anew_elsewhere_when_its_endpoint_is_not_configured_any_more(clock):
    chain = chain_of(clock, Node("b"))
    resolution, intent, _ = look(chain, INTENT.expired_seen(600, "http://an-old-port"))
    assert (resolution, intent.past_expiry_endpoint) == (Pending(resend=False), "b")
    assert look(chain, intent)[0] == Expired()


def test_the_proof_begins_anew_elsewhere_while_its_endpoint_backs_off(clock):
    dead, alive = Node("a", down=RpcTimeout("a", "dead")), Node("b")
    chain = chain_of(clock, dead, alive)
    intent = INTENT.expired_seen(600, "a")
    for _ in range(20):
        clock.now += 1.4
        try:
            resolution, intent, _ = look(chain, intent)
        except ChainUnreachableError:
            continue
        if resolution == Expired():
            break
    else:
        pytest.fail("nothing was ever concluded")
    assert intent.past_expiry_endpoint == "b"


def test_an_endpoint_that_is_behind_is_passed_over(clock):
    behind, ahead = Node("a", slot=90), Node("b", slot=110)
    chain = chain_of(clock, behind, ahead)
    for _ in range(4):
        assert chain.observe(Want(addresses=(WALLET,), since_slot=100)).endpoint == "b"
    assert chain.observe(Want(addresses=(WALLET,), since_slot=80)).slot in (90, 110)
    health = chain.endpoints.health()[0]
    assert (health.consecutive_failures, health.backoff_seconds) == (0, 0.0)


@pytest.mark.parametrize("code", [-32005, 429])
@pytest.mark.parametrize("whole", [True, False])
def test_an_endpoint_that_says_it_cannot_serve_is_passed_over(clock, code, whole):
    refusal = RpcErrorObject("a", code, "no")
    unwell = Node("a", down=refusal) if whole else Node("a", getEpochInfo=refusal)
    chain = chain_of(clock, unwell, Node("b"))
    assert chain.observe(Want(addresses=(WALLET,))).endpoint == "b"
    assert chain.endpoints.health()[0].last_error is not None


def test_what_the_only_endpoint_does_answer_of_a_batch_is_kept(clock):
    refusal = RpcErrorObject("a", -32005, "no")
    chain = chain_of(clock, Node("a", getLatestBlockhash=refusal))
    assert chain.observe(Want(addresses=(WALLET,))).slot == 600


def test_nothing_is_concluded_when_every_endpoint_is_behind_or_down(clock):
    behind, down = Node("a", slot=90), Node("b", down=RpcUnavailable("b", "down"))
    chain = chain_of(clock, behind, down)
    for _ in range(4):
        with pytest.raises(ChainUnreachableError):
            chain.observe(Want(addresses=(WALLET,), since_slot=100))
    assert behind.asked == down.asked == 4


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("getEpochInfo", None),
        ("getEpochInfo", {"absoluteSlot": 600}),
        ("getMultipleAccounts", {"context": {"slot": 600}, "value": []}),
        ("getMultipleAccounts", {"context": {"slot": 600}, "value": [{"lamports": 1}]}),
        ("getSignatureStatuses", {"context": {"slot": 600}, "value": []}),
        ("getSignatureStatuses", []),
        ("getTransaction", {"slot": 1, "meta": {}}),
        ("getLatestBlockhash", {"value": None}),
    ],
)
def test_an_answer_of_no_known_shape_is_no_answer(clock, method, answer):
    chain = chain_of(clock, Node("a", **{method: answer}))
    with pytest.raises(ChainUnreachableError, match="a answered in an unheard-of shape"):
        look(chain, INTENT)
