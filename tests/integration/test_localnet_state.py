"""A local chain that is saved, killed, loaded and forked: clients see what a cluster would show them."""

from __future__ import annotations

import signal

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ops.localnet.blocks import CONFIRMED
from ops.localnet.chain import Chain
from ops.localnet.settings import LocalnetSettings
from ops.localnet.state import StateError
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


def confirmed(chain: Localnet, signature: str) -> bool:
    found = status(chain, signature)
    return found is not None and found["confirmationStatus"] != "processed"


def pay(chain: Localnet, payer: Keypair, lamports: int) -> tuple[str, Pubkey]:
    to = Keypair().pubkey()
    signature = send(chain, transfer_of(payer, to, lamports, latest_blockhash(chain)[0]))
    wait_for(lambda: confirmed(chain, signature))
    return signature, to


def seen(chain: Localnet, signature: str, to: Pubkey) -> dict[str, object]:
    return {
        "transaction": chain.call("getTransaction", signature, {"encoding": "json"}),
        "balance": chain.call("getBalance", str(to))["value"],
        "history": [entry["signature"] for entry in chain.call("getSignaturesForAddress", str(to))],
        "genesis": chain.call("getGenesisHash"),
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_confirmed_is_there_after_a_restart(tmp_path, number):
    state = tmp_path / "chain.state"
    with running_localnet(slot_ms=20, state=state) as chain:
        payer = funded(chain)
        signature, to = pay(chain, payer, 2_000_000)
        wait_for(lambda: chain.call("getTransaction", signature, {"encoding": "json"}))
        before, slot = seen(chain, signature, to), chain.call("getSlot", {"commitment": "confirmed"})
        blockhash, _ = latest_blockhash(chain)
        wait_for(lambda: chain.call("isBlockhashValid", str(blockhash), {"commitment": "confirmed"})["value"])
        chain.process.send_signal(number)
        chain.process.wait(timeout=10)
    with running_localnet(slot_ms=20, state=state) as chain:
        assert seen(chain, signature, to) == before
        assert chain.call("getSlot", {"commitment": "confirmed"}) >= slot
        again = send(chain, transfer_of(payer, to, 5_000_000, blockhash))
        assert wait_landed(chain, again)["err"] is None
        wait_for(lambda: chain.call("getBalance", str(to))["value"] == 7_000_000)
        with pytest.raises(LocalnetError, match="already been processed"):
            chain.call("sendTransaction", before["transaction"] and raw(chain, signature), {"encoding": "base64"})


def raw(chain: Localnet, signature: str) -> str:
    answer = chain.call("getTransaction", signature, {"encoding": "base64"})
    text: str = answer["transaction"][0]
    return text


def test_a_saved_chain_can_be_gone_back_to(tmp_path):
    path = str(tmp_path / "kept")
    with running_localnet(slot_ms=20) as chain:
        payer = funded(chain)
        first, to = pay(chain, payer, 2_000_000)
        chain.call("frt_saveState", {"path": path})
        second, _ = pay(chain, payer, 3_000_000)
        chain.call("frt_loadState", {"path": path})
        assert status(chain, first) is not None
        assert status(chain, second) is None
        third, _ = pay(chain, payer, 1_000_000)
        assert chain.call("getBalance", str(to))["value"] == 2_000_000
        listed = chain.call("getSignaturesForAddress", str(payer.pubkey()), {"commitment": "confirmed"})
        assert [entry["signature"] for entry in listed][:2] == [third, first]


@pytest.mark.parametrize("text", ["", "rubbish\n", '{"k":"head","version":99}\n'])
def test_what_is_no_state_is_refused_and_left_alone(tmp_path, text):
    path = tmp_path / "chain.state"
    path.write_text(text)
    with pytest.raises(RuntimeError, match="no saved state"), running_localnet(state=path):
        pass
    assert path.read_text() == text


def test_another_chains_state_is_refused(tmp_path):
    path = tmp_path / "kept"
    Chain(LocalnetSettings(seed=1), lambda: 1.0).save(path)
    with pytest.raises(StateError, match="seed is 1, not 2"):
        Chain(LocalnetSettings(seed=2), lambda: 1.0).load(path)


def test_a_row_that_was_cut_off_costs_its_block_only(tmp_path):
    path = tmp_path / "chain.state"
    chain = Chain(LocalnetSettings(state=path), lambda: 1.0)
    for _ in range(5):
        chain.advance()
    whole, confirmed_slot = path.read_bytes(), chain.blocks.at(CONFIRMED).slot
    chain.close()
    path.write_bytes(whole[:-9])
    again = Chain(LocalnetSettings(state=path), lambda: 1.0)
    assert again.blocks.tip.slot == confirmed_slot - 1
    again.close()


@pytest.mark.parametrize("row", [b"\0\0\0\n", b'{"k":"tx"}\n', b'{"k":"block","slot":1}\n', b'{"k":"new"}\n'])
def test_damage_in_the_midst_is_refused_and_nothing_behind_it_is_dropped(tmp_path, row):
    path = tmp_path / "chain.state"
    chain = Chain(LocalnetSettings(state=path), lambda: 1.0)
    for _ in range(5):
        chain.advance()
    chain.close()
    rows = path.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*rows[:-3], row, *rows[-3:]])
    path.write_bytes(damaged)
    with pytest.raises(StateError, match=r"is damaged|unknown line 'new'"):
        Chain(LocalnetSettings(state=path), lambda: 1.0)
    assert path.read_bytes() == damaged


def forked(relanding: float) -> tuple[Chain, Keypair, str]:
    """A chain whose newest block holds one transfer of 5 SOL, and will be dropped."""
    chain = Chain(LocalnetSettings(), lambda: 1.0)
    payer = Keypair()
    chain.airdrop(payer.pubkey(), 10**10)
    for _ in range(3):
        chain.advance()
    tx = transfer_of(payer, Keypair().pubkey(), 5 * 10**9, chain.blocks.at(CONFIRMED).blockhash)
    chain.submit(tx, bytes(tx))
    chain.advance()
    assert chain.history.seq_of(bytes(tx.signatures[0])) is not None
    chain.faults.replace({"fork": {"probability": 0, "relanding": relanding}})
    chain.fork(9)
    return chain, payer, str(tx.signatures[0])


@pytest.mark.parametrize(("relanding", "left"), [(0, 10**10), (1, 5 * 10**9 - 5_000)])
def test_a_fork_takes_everything_back_and_a_transaction_lands_again_or_not(relanding, left):
    chain, payer, _ = forked(relanding)
    before, confirmed_before = chain.blocks.tip, chain.blocks.at(CONFIRMED)
    chain.advance()
    assert chain.blocks.height_of(before.blockhash) is None
    assert (chain.blocks.tip.height, chain.blocks.tip.slot) == (before.height, before.slot + 1)
    assert chain.blocks.tip.parent_slot == confirmed_before.slot
    assert chain.blocks.at(CONFIRMED).height >= confirmed_before.height
    assert chain.accounts.current(payer.pubkey()).lamports == left
    assert chain.machine.accounts.at(payer.pubkey(), chain.blocks.at(CONFIRMED).slot).lamports == 10**10
    assert chain.counts.forked == 1
    listed = chain.history.for_address(payer.pubkey(), before_seq=10**6, after_seq=-1, limit=9)
    assert len(list(listed)) == (2 if relanding else 1)


def test_what_a_fork_forgot_can_be_sent_again():
    chain, payer, _ = forked(0)
    chain.advance()
    tx = transfer_of(payer, Keypair().pubkey(), 10**9, chain.blocks.at(CONFIRMED).blockhash)
    chain.submit(tx, bytes(tx))
    chain.advance()
    assert chain.accounts.current(payer.pubkey()).lamports == 9 * 10**9 - 5_000


def test_confirmed_never_forks_under_load():
    with running_localnet(slot_ms=20, confirmed_lag=4) as chain:
        payer = funded(chain)
        chain.call("frt_setFaults", {"fork": {"probability": 0.15, "slots": 4, "relanding": 0.7}})
        sure: dict[str, int] = {}
        sent: list[str] = []
        start = chain.call("getBlockHeight", {"commitment": "processed"})
        while chain.call("getBlockHeight", {"commitment": "processed"}) < start + 60:
            blockhash, _ = latest_blockhash(chain)
            sent.append(send(chain, transfer_of(payer, Keypair().pubkey(), 1_000_000 + len(sent), blockhash)))
            recent = sent[-200:]
            for signature, found in zip(recent, chain.call("getSignatureStatuses", recent)["value"], strict=True):
                if found is not None and found["confirmationStatus"] != "processed":
                    assert sure.setdefault(signature, found["slot"]) == found["slot"]
        assert chain.call("frt_stats")["transactions"]["forked"] > 0
        chain.call("frt_setFaults", {})
        wait_height(chain, start + 80)
        assert sure
        for signature, slot in sure.items():
            found = status(chain, signature)
            assert found is not None
            assert found["slot"] == slot
