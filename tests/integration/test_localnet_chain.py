"""What makes the local chain a chain: commitment, blockhash life, duplicates, fees, order, time, memory."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.transaction import VersionedTransaction

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
    wire,
)

SOL = 1_000_000_000
BLOCKHASH_LIFE = 150


@pytest.fixture(scope="module")
def chain() -> Iterator[Localnet]:
    with running_localnet(slot_ms=20, no_program=True) as running:
        yield running


@pytest.fixture(scope="module")
def fast_chain() -> Iterator[Localnet]:
    with running_localnet(slot_ms=6, no_program=True) as running:
        yield running


def heights(chain: Localnet) -> list[int]:
    """Processed, confirmed and finalized height from one batch, so from one instant."""
    levels = ("processed", "confirmed", "finalized")
    answers = chain.batch(*(("getBlockHeight", [{"commitment": level}]) for level in levels))
    return [answer["result"] for answer in answers]


def balances(chain: Localnet, wallet: Keypair) -> list[int]:
    levels = ("processed", "confirmed", "finalized")
    calls = (("getBalance", [str(wallet.pubkey()), {"commitment": level}]) for level in levels)
    return [answer["result"]["value"] for answer in chain.batch(*calls)]


def test_confirmed_follows_by_one_block_and_finalized_by_thirty_two(chain: Localnet) -> None:
    wait_height(chain, 40)
    processed, confirmed, finalized = heights(chain)
    assert (processed - confirmed, processed - finalized) == (1, 32)


def test_the_lags_are_settings() -> None:
    with running_localnet(slot_ms=5, confirmed_lag=3, finalized_lag=7, no_program=True) as chain:
        wait_height(chain, 10)
        processed, confirmed, finalized = heights(chain)
        assert (processed - confirmed, processed - finalized) == (3, 7)


def test_a_read_answers_from_the_slot_of_its_commitment(chain: Localnet) -> None:
    wallet = Keypair()
    signature = chain.call("requestAirdrop", str(wallet.pubkey()), SOL)
    # Polled until every stage was seen: nowhere, processed only, not yet finalized, everywhere.
    seen = []

    def finalized() -> bool:
        seen.append(balances(chain, wallet))
        return seen[-1][2] == SOL

    wait_for(finalized)
    stages = list(dict.fromkeys(map(tuple, seen)))
    assert set(stages) <= {(0, 0, 0), (SOL, 0, 0), (SOL, SOL, 0), (SOL, SOL, SOL)}
    assert stages == sorted(stages)
    assert (SOL, SOL, 0) in stages
    assert status(chain, signature)["confirmationStatus"] == "finalized"


def test_get_transaction_answers_only_once_the_commitment_is_reached(chain: Localnet) -> None:
    signature = chain.call("requestAirdrop", str(Keypair().pubkey()), SOL)
    seen = []

    def finalized() -> bool:
        calls = [("getSignatureStatuses", [[signature]])]
        calls += [("getTransaction", [signature, {"commitment": level}]) for level in ("confirmed", "finalized")]
        answers = [answer["result"] for answer in chain.batch(*calls)]
        landed = answers[0]["value"][0]
        level = landed and landed["confirmationStatus"]
        seen.append((level, answers[1] is not None, answers[2] is not None))
        return seen[-1][2]

    wait_for(finalized)
    expected = {
        (None, False, False),
        ("processed", False, False),
        ("confirmed", True, False),
        ("finalized", True, True),
    }
    assert set(seen) <= expected
    assert ("confirmed", True, False) in seen


def test_a_blockhash_is_good_for_150_blocks_and_not_one_more(fast_chain: Localnet) -> None:
    wallet = funded(fast_chain)
    blockhash, last_valid = latest_blockhash(fast_chain)
    tx = transfer_of(wallet, Keypair().pubkey(), SOL, blockhash)
    assert fast_chain.call("isBlockhashValid", str(blockhash), {"commitment": "processed"})["value"] is True
    brought = last_valid - BLOCKHASH_LIFE
    assert 0 <= fast_chain.call("getBlockHeight", {"commitment": "processed"}) - brought < BLOCKHASH_LIFE

    wait_height(fast_chain, last_valid + 1)
    assert fast_chain.call("isBlockhashValid", str(blockhash), {"commitment": "processed"})["value"] is False
    # Without preflight it is accepted, gets its signature and never lands; with preflight it is refused.
    dropped = fast_chain.call("frt_stats")["transactions"]["dropped"]
    signature = send(fast_chain, tx)
    assert signature == str(tx.signatures[0])
    wait_for(lambda: fast_chain.call("frt_stats")["transactions"]["dropped"] == dropped + 1)
    assert status(fast_chain, signature) is None
    with pytest.raises(LocalnetError) as refused:
        fast_chain.call("sendTransaction", wire(tx), {"encoding": "base64", "preflightCommitment": "processed"})
    assert (refused.value.code, refused.value.data["err"]) == (-32002, "BlockhashNotFound")
    assert "Blockhash not found" in refused.value.message


def test_a_blockhash_nobody_knows_never_lands(chain: Localnet) -> None:
    wallet = funded(chain)
    foreign = transfer_of(wallet, Keypair().pubkey(), SOL, unknown_hash())
    signature = send(chain, foreign)
    good = send(chain, transfer_of(wallet, Keypair().pubkey(), SOL, latest_blockhash(chain)[0]))
    wait_landed(chain, good)
    assert status(chain, signature) is None
    assert chain.call("getBalance", str(wallet.pubkey()), {"commitment": "processed"})["value"] == 9 * SOL - 5000


def unknown_hash() -> Hash:
    return Hash.new_unique()


def test_the_same_transaction_executes_once(chain: Localnet) -> None:
    wallet, friend = funded(chain), Keypair()
    tx = transfer_of(wallet, friend.pubkey(), SOL, latest_blockhash(chain)[0])
    assert send(chain, tx) == send(chain, tx)
    first = wait_landed(chain, str(tx.signatures[0]))
    again = send(chain, tx)
    wait_height(chain, chain.call("getBlockHeight", {"commitment": "processed"}) + 3)
    assert status(chain, again)["slot"] == first["slot"]
    assert balances(chain, friend)[0] == SOL
    assert chain.call("getSignaturesForAddress", str(friend.pubkey()), {"commitment": "confirmed"})[1:] == []
    with pytest.raises(LocalnetError) as refused:
        chain.call("sendTransaction", wire(tx), {"encoding": "base64", "preflightCommitment": "processed"})
    assert refused.value.data["err"] == "AlreadyProcessed"


def test_a_failing_transaction_lands_pays_its_fee_and_blocks_its_signature(chain: Localnet) -> None:
    wallet = funded(chain, SOL)
    tx = transfer_of(wallet, Keypair().pubkey(), 5 * SOL, latest_blockhash(chain)[0])
    signature = send(chain, tx)
    landed = wait_landed(chain, signature)
    assert landed["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert landed["status"] == {"Err": landed["err"]}
    send(chain, tx)
    wait_height(chain, chain.call("getBlockHeight", {"commitment": "processed"}) + 3)
    assert balances(chain, wallet)[0] == SOL - 5000
    meta = chain.call("getTransaction", signature, {"commitment": "confirmed"})["meta"]
    assert (meta["err"], meta["fee"]) == (landed["err"], 5000)
    assert (meta["preBalances"][0], meta["postBalances"][0]) == (SOL, SOL - 5000)


def test_a_payer_without_money_never_lands(chain: Localnet) -> None:
    pauper = Keypair()
    signature = send(chain, transfer_of(pauper, Keypair().pubkey(), 1, latest_blockhash(chain)[0]))
    funded(chain)
    assert status(chain, signature) is None


def test_a_missing_program_lands_as_a_failure_that_paid(chain: Localnet) -> None:
    wallet = funded(chain, SOL)
    instruction = Instruction(Keypair().pubkey(), b"", [])
    message = Message.new_with_blockhash([instruction], wallet.pubkey(), latest_blockhash(chain)[0])
    landed = wait_landed(chain, send(chain, VersionedTransaction(message, [wallet])))
    assert landed["err"] in ("ProgramAccountNotFound", "InvalidProgramForExecution")
    assert balances(chain, wallet)[0] == SOL - 5000


def landing_order(order: str, seed: int) -> list[int]:
    """In which order ten transfers sent within one slot land."""
    with running_localnet(slot_ms=400, order=order, seed=seed, no_program=True) as chain:
        friend = Keypair().pubkey()
        wallets = [Keypair() for _ in range(10)]
        drops = [chain.call("requestAirdrop", str(wallet.pubkey()), SOL) for wallet in wallets]
        wait_landed(chain, drops[-1])
        blockhash = latest_blockhash(chain)[0]
        txs = [transfer_of(wallet, friend, SOL // 2, blockhash) for wallet in wallets]
        calls = [("sendTransaction", [wire(tx), {"encoding": "base64", "skipPreflight": True}]) for tx in txs]
        sent = [answer["result"] for answer in chain.batch(*calls)]
        wait_landed(chain, sent[-1])
        wait_for(lambda: chain.call("getTransaction", sent[-1], {"commitment": "confirmed"}))
        listed = chain.call("getSignaturesForAddress", str(friend), {"commitment": "confirmed"})
        assert len({entry["slot"] for entry in listed}) == 1
        return [sent.index(entry["signature"]) for entry in reversed(listed)]


def test_a_slot_executes_in_arrival_order_or_in_a_seeded_random_one() -> None:
    assert landing_order("arrival", 1) == list(range(10))
    shuffled = landing_order("random", 1)
    assert sorted(shuffled) == list(range(10))
    assert shuffled != list(range(10))


def test_time_follows_the_wall_clock_and_can_be_warped_forward(chain: Localnet) -> None:
    before = block_time(chain)
    assert abs(before - time.time()) < 5
    assert chain.call("frt_warpClock", {"seconds": 86_400})["unixTimestamp"] - before in range(86_400, 86_410)
    assert block_time(chain) - before in range(86_400, 86_410)


def block_time(chain: Localnet) -> int:
    signature = chain.call("requestAirdrop", str(Keypair().pubkey()), SOL)
    found = wait_for(lambda: chain.call("getTransaction", signature, {"commitment": "confirmed"}))
    return found["blockTime"]


def test_sigterm_ends_the_process_cleanly() -> None:
    with running_localnet(slot_ms=20, no_program=True) as chain:
        chain.call("getHealth")
        chain.process.terminate()
        assert chain.process.wait(timeout=5) == 0


def test_old_history_is_forgotten_past_the_cap() -> None:
    with running_localnet(slot_ms=20, max_transactions=50, no_program=True) as chain:
        wallet = str(Keypair().pubkey())
        sent = []
        # The cap is applied in steps of 1024 beyond it.
        for _ in range(12):
            calls = [("requestAirdrop", [wallet, SOL]) for _ in range(100)]
            sent += [answer["result"] for answer in chain.batch(*calls)]
        wait_landed(chain, sent[-1])
        wait_for(lambda: chain.call("getFirstAvailableBlock"))
        assert chain.call("getSignatureStatuses", [sent[0]], {"searchTransactionHistory": True})["value"] == [None]
        assert chain.call("getTransaction", sent[0], {"commitment": "confirmed"}) is None
        wait_for(lambda: chain.call("getTransaction", sent[-1], {"commitment": "confirmed"}))
        listed = chain.call("getSignaturesForAddress", wallet, {"commitment": "confirmed"})
        assert 50 <= len(listed) < 1200
        assert [entry["signature"] for entry in listed] == sent[: -len(listed) - 1 : -1]
