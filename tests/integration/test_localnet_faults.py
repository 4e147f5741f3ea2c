"""Every fault switch of the local chain does what its name says, spares frt_ methods, and can be switched off."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator

import pytest
from solders.keypair import Keypair

from tests.support.localnet import (
    Localnet,
    LocalnetError,
    funded,
    latest_blockhash,
    running_localnet,
    send,
    status,
    transfer_of,
    wait_for,
    wait_height,
    wait_landed,
)

SOL = 1_000_000_000
CUT = (http.client.RemoteDisconnected, ConnectionError)
PROCESSED, CONFIRMED = {"commitment": "processed"}, {"commitment": "confirmed"}


@pytest.fixture(scope="module")
def running() -> Iterator[Localnet]:
    with running_localnet(slot_ms=20, no_program=True) as chain:
        yield chain


@pytest.fixture
def chain(running: Localnet) -> Iterator[Localnet]:
    yield running
    running.call("frt_setFaults", {})


def height(chain: Localnet) -> int:
    return chain.call("getBlockHeight", PROCESSED)


def signed_transfer(chain: Localnet) -> tuple[object, int]:
    wallet = funded(chain)
    blockhash, last_valid = latest_blockhash(chain)
    return transfer_of(wallet, Keypair().pubkey(), SOL, blockhash), last_valid


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"latencyms": {}}, "latencyms"),
        ({"latency_ms": {"min": 1, "max": 2, "mean": 3}}, "latency_ms.mean"),
        ({"latency_ms": {"min": 5, "max": 2}}, "latency_ms.max"),
        ({"latency_ms": {"min": 5}}, "latency_ms.max"),
        ({"lost_reply": {"probability": 2}}, "lost_reply.probability"),
        ({"lost_reply": True}, "lost_reply"),
        ({"get_transaction_lag": {"slots": 0}}, "get_transaction_lag.slots"),
        ({"seed": "x"}, "seed"),
    ],
)
def test_unknown_or_wrong_faults_are_refused_by_name_and_change_nothing(
    chain: Localnet, given: dict, named: str
) -> None:
    chain.call("frt_setFaults", {"http_500": {"probability": 0}, "seed": 5})
    with pytest.raises(LocalnetError) as refused:
        chain.call("frt_setFaults", given)
    assert refused.value.code == -32602
    assert f"`{named}`" in refused.value.message
    assert chain.call("frt_getFaults") == {"seed": 5, "http_500": {"probability": 0}}


@pytest.mark.parametrize(("fault", "expected"), [("http_429", 429), ("http_500", 500)])
def test_http_errors_come_at_their_rate_and_spare_local_methods(chain: Localnet, fault: str, expected: int) -> None:
    def statuses() -> list[int]:
        chain.call("frt_setFaults", {fault: {"probability": 0.5}, "seed": 11})
        call = {"jsonrpc": "2.0", "id": 1, "method": "getSlot"}
        return [chain.post(call)[0] for _ in range(40)]

    first = statuses()
    assert set(first) == {200, expected}
    assert 8 <= first.count(expected) <= 32
    # The same seed decides the same; local methods in between draw nothing.
    assert statuses() == first
    chain.call("frt_setFaults", {fault: {"probability": 1}})
    assert chain.call("frt_stats")["slot"] > 0


def test_latency_delays_answers_within_its_bounds(chain: Localnet) -> None:
    chain.call("frt_setFaults", {"latency_ms": {"min": 400, "max": 420}})
    before = time.monotonic()
    chain.call("getSlot")
    assert 0.4 <= time.monotonic() - before < 5
    before = time.monotonic()
    chain.call("frt_stats")
    assert time.monotonic() - before < 0.4


def test_a_lost_request_executes_nothing(chain: Localnet) -> None:
    tx, last_valid = signed_transfer(chain)
    chain.call("frt_setFaults", {"lost_request": {"probability": 1}})
    with pytest.raises(CUT):
        send(chain, tx)
    chain.call("frt_setFaults", {})
    wait_height(chain, last_valid - 140)
    assert status(chain, str(tx.signatures[0])) is None
    wait_landed(chain, send(chain, tx))


def test_a_lost_reply_hides_a_transaction_that_landed(chain: Localnet) -> None:
    tx, _ = signed_transfer(chain)
    chain.call("frt_setFaults", {"lost_reply": {"probability": 1}})
    with pytest.raises(CUT):
        send(chain, tx)
    chain.call("frt_setFaults", {})
    assert wait_landed(chain, str(tx.signatures[0]))["err"] is None


def test_late_landing_stays_within_the_last_valid_height(chain: Localnet) -> None:
    wallets = [funded(chain) for _ in range(8)]
    chain.call("frt_setFaults", {"late_landing": {"probability": 1}, "seed": 3})
    blockhash, last_valid = latest_blockhash(chain)
    sent_at = height(chain)
    sent = [send(chain, transfer_of(wallet, Keypair().pubkey(), SOL, blockhash)) for wallet in wallets]
    # Sending again must not bring it forward.
    send(chain, transfer_of(wallets[0], wallets[1].pubkey(), SOL, blockhash))
    slots = [wait_landed(chain, signature)["slot"] for signature in sent]
    # No slot is skipped here, so slots and heights agree.
    assert all(sent_at < slot <= last_valid for slot in slots)
    assert max(slots) > sent_at + 20
    assert len(set(slots)) > 4


def test_early_expiry_drops_a_transaction_whose_blockhash_still_counts(chain: Localnet) -> None:
    tx, last_valid = signed_transfer(chain)
    chain.call("frt_setFaults", {"early_expiry": {"probability": 1, "blocks": 0}})
    dropped = chain.call("frt_stats")["transactions"]["dropped"]
    # The same signature has the same fate however often it is sent.
    for count in (1, 2):
        send(chain, tx)
        wait_for(lambda count=count: chain.call("frt_stats")["transactions"]["dropped"] == dropped + count)
    assert status(chain, str(tx.signatures[0])) is None
    assert height(chain) < last_valid
    chain.call("frt_setFaults", {})
    wait_landed(chain, send(chain, tx))


def test_get_transaction_lags_behind_state(chain: Localnet) -> None:
    chain.call("frt_setFaults", {"get_transaction_lag": {"slots": 25}})
    signature = chain.call("requestAirdrop", str(Keypair().pubkey()), SOL)
    landed = wait_landed(chain, signature)["slot"]
    seen = []

    def found() -> bool:
        calls = [("getSlot", [CONFIRMED]), ("getTransaction", [signature, CONFIRMED])]
        slot, transaction = [answer["result"] for answer in chain.batch(*calls)]
        seen.append((slot, transaction is not None))
        return seen[-1][1]

    wait_for(found)
    assert all(known == (slot >= landed + 25) for slot, known in seen)
    assert any(landed <= slot < landed + 25 for slot, _ in seen)


def test_skipped_slots_part_heights_from_slots(chain: Localnet) -> None:
    info = chain.call("getEpochInfo", PROCESSED)
    apart = info["absoluteSlot"] - info["blockHeight"]
    chain.call("frt_setFaults", {"skipped_slots": {"probability": 0.5, "max": 4}})

    def parted() -> dict | None:
        now = chain.call("getEpochInfo", PROCESSED)
        return now if now["absoluteSlot"] - now["blockHeight"] > apart + 10 else None

    wait_for(parted)
    # Confirmed is one block behind, whatever lies between the slots.
    calls = [(method, [level]) for level in (PROCESSED, CONFIRMED) for method in ("getBlockHeight", "getSlot")]
    processed, processed_slot, confirmed, confirmed_slot = [answer["result"] for answer in chain.batch(*calls)]
    assert processed - confirmed == 1
    assert 1 <= processed_slot - confirmed_slot <= 5
    landed = wait_landed(chain, chain.call("requestAirdrop", str(Keypair().pubkey()), SOL))
    assert landed["slot"] > apart


def test_batches_come_back_in_another_order(chain: Localnet) -> None:
    chain.call("frt_setFaults", {"reordered_batches": {"probability": 1}, "seed": 1})
    answers = chain.batch(*[("getSlot", [])] * 8)
    ids = [answer["id"] for answer in answers]
    assert sorted(ids) == list(range(8))
    assert ids != list(range(8))


def test_the_second_endpoint_lags_in_every_read(chain: Localnet) -> None:
    chain.call("frt_setFaults", {"lagging_endpoint": {"slots": 60}})
    wait_height(chain, 100)
    wallet = str(Keypair().pubkey())
    signature = chain.call("requestAirdrop", wallet, SOL)
    landed = wait_landed(chain, signature)["slot"]

    def lagging() -> tuple[int, int, object]:
        calls = [("getSlot", [PROCESSED]), ("getBalance", [wallet, PROCESSED]), ("getSignatureStatuses", [[signature]])]
        slot, balance, known = [answer["result"] for answer in chain.batch(*calls, path="/lag")]
        assert balance["context"]["slot"] == known["context"]["slot"] == slot
        return slot, balance["value"], known["value"][0]

    slot, balance, known = lagging()
    assert slot < landed
    assert (balance, known) == (0, None)
    slot, balance, known = wait_for(lambda: seen if (seen := lagging())[0] >= landed else None)
    assert balance == SOL
    assert known["slot"] == landed
    body = json.dumps([{"jsonrpc": "2.0", "id": 0, "method": "getSlot", "params": [PROCESSED]}]).encode()
    behind, ahead = (json.loads(chain.post(body, path)[1])[0]["result"] for path in ("/lag", "/"))
    assert ahead - behind >= 60
