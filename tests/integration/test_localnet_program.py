"""The FRT program on the local chain: loaded at its address, initialised by the upgrade authority alone."""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Iterator

import pytest
from solders.compute_budget import set_compute_unit_limit
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from tests.support.localnet import (
    Localnet,
    LocalnetError,
    funded,
    latest_blockhash,
    running_localnet,
    send,
    wait_for,
    wait_landed,
)
from tests.support.program_chain import PROGRAM_DATA, PROGRAM_ID, SYSTEM_STATE, TREASURY, initialize_program

CONFIRMED = {"commitment": "confirmed"}
LOADER = "BPFLoaderUpgradeab1e11111111111111111111111"


@pytest.fixture(scope="module")
def authority() -> Keypair:
    return Keypair()


@pytest.fixture(scope="module")
def chain(authority: Keypair) -> Iterator[Localnet]:
    with running_localnet(slot_ms=20, upgrade_authority=authority.pubkey()) as running:
        yield running


def run(chain: Localnet, signer: Keypair, instruction: Instruction) -> tuple[str, dict]:
    """Send one instruction; its signature and status."""
    instructions = [set_compute_unit_limit(400_000), instruction]
    message = Message.new_with_blockhash(instructions, signer.pubkey(), latest_blockhash(chain)[0])
    signature = send(chain, VersionedTransaction(message, [signer]))
    return signature, wait_landed(chain, signature)


def fund(chain: Localnet, wallet: Keypair) -> None:
    wait_landed(chain, chain.call("requestAirdrop", str(wallet.pubkey()), 10_000_000_000))


def account_data(chain: Localnet, key: Pubkey) -> bytes:
    options = {"commitment": "processed", "encoding": "base64"}
    return b64decode(chain.call("getAccountInfo", str(key), options)["value"]["data"][0])


def test_the_program_is_an_upgradeable_one_with_its_authority(chain: Localnet, authority: Keypair) -> None:
    info = chain.call("getAccountInfo", str(PROGRAM_ID), {"encoding": "base64"})["value"]
    assert (info["executable"], info["owner"]) == (True, LOADER)
    assert b64decode(info["data"][0])[4:36] == bytes(PROGRAM_DATA)
    header = account_data(chain, PROGRAM_DATA)[:49]
    assert header[:4] == struct.pack("<I", 3)
    assert header[12:45] == b"\x01" + bytes(authority.pubkey())
    assert header[45:49] == b"\x7fELF"


def test_only_the_upgrade_authority_initialises_and_the_state_is_listed(chain: Localnet, authority: Keypair) -> None:
    stranger = funded(chain)
    _, refused = run(chain, stranger, initialize_program(stranger.pubkey(), stranger.pubkey()))
    assert refused["err"] == {"InstructionError": [1, "InvalidAccountData"]}
    fund(chain, authority)
    signature, done = run(chain, authority, initialize_program(authority.pubkey(), authority.pubkey()))
    assert done["err"] is None
    meta = wait_for(lambda: chain.call("getTransaction", signature, CONFIRMED))["meta"]
    assert meta["computeUnitsConsumed"] > 1000
    assert [inner["index"] for inner in meta["innerInstructions"]] == [1]
    listed = chain.call("getProgramAccounts", str(PROGRAM_ID), {**CONFIRMED, "encoding": "base64"})
    assert {entry["pubkey"] for entry in listed} == {str(SYSTEM_STATE), str(TREASURY)}


def test_the_authority_can_be_set_while_running() -> None:
    with running_localnet(slot_ms=20) as chain:
        late = funded(chain)
        initialisation = initialize_program(late.pubkey(), late.pubkey())
        assert run(chain, late, initialisation)[1]["err"] == {"InstructionError": [1, "InvalidAccountData"]}
        assert chain.call("frt_setUpgradeAuthority", {"pubkey": str(late.pubkey())}) is True
        assert run(chain, late, initialisation)[1]["err"] is None


def test_without_a_program_there_is_no_authority_to_set() -> None:
    with running_localnet(slot_ms=20, no_program=True) as chain:
        with pytest.raises(LocalnetError) as refused:
            chain.call("frt_setUpgradeAuthority", {"pubkey": str(Keypair().pubkey())})
        assert refused.value.code == -32602


def test_a_missing_program_file_is_said_and_ends_the_start() -> None:
    with (
        pytest.raises(RuntimeError, match=r"no program at /nowhere/frt\.so"),
        running_localnet(program="/nowhere/frt.so"),
    ):
        pass


def test_a_file_that_is_no_program_is_named():
    with (
        pytest.raises(RuntimeError, match=rf"{__file__} is not a program that this chain can run"),
        running_localnet(slot_ms=20, program=__file__),
    ):
        pass
