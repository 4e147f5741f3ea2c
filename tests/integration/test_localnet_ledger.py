"""The chain inside the server, driven slot by slot without a timer: exact boundaries, old versions, packed history."""

from __future__ import annotations

import orjson
import pytest
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.sysvar import CLOCK as CLOCK_SYSVAR
from solders.transaction import VersionedTransaction

from ops.localnet import base58
from ops.localnet.blocks import BLOCKHASH_LIFE_BLOCKS, MAX_ENDPOINT_LAG_BLOCKS
from ops.localnet.chain import Chain
from ops.localnet.history import TokenBalance, TxRecord
from ops.localnet.machine import Bank
from ops.localnet.rpc.dispatch import Dispatcher
from ops.localnet.settings import LocalnetSettings
from ops.localnet.tokens import ui_amount

SOL = 1_000_000_000


class Clock:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def chain(clock: Clock) -> Chain:
    return Chain(LocalnetSettings(program=None), clock)


def funded(chain: Chain) -> Keypair:
    wallet = Keypair()
    chain.airdrop(wallet.pubkey(), 10 * SOL)
    chain.advance()
    return wallet


def pay(chain: Chain, wallet: Keypair, to: Pubkey, lamports: int) -> VersionedTransaction:
    instruction = transfer(TransferParams(from_pubkey=wallet.pubkey(), to_pubkey=to, lamports=lamports))
    message = Message.new_with_blockhash([instruction], wallet.pubkey(), chain.blocks.tip.blockhash)
    return VersionedTransaction(message, [wallet])


def advance_to(chain: Chain, height: int) -> None:
    while chain.blocks.tip.height < height:
        chain.advance()


def landed(chain: Chain, tx: VersionedTransaction) -> bool:
    return chain.history.seq_of(bytes(tx.signatures[0])) is not None


@pytest.mark.parametrize(
    ("blocks_waited", "lands"), [(BLOCKHASH_LIFE_BLOCKS - 1, True), (BLOCKHASH_LIFE_BLOCKS, False)]
)
def test_the_last_valid_height_is_the_last_one(chain: Chain, blocks_waited: int, lands: bool) -> None:
    tx = pay(chain, funded(chain), Keypair().pubkey(), SOL)
    last_valid = chain.blocks.tip.last_valid_height
    advance_to(chain, chain.blocks.tip.height + blocks_waited)
    chain.submit(tx, bytes(tx))
    block = chain.advance()
    assert (block.height <= last_valid, landed(chain, tx)) == (lands, lands)


def test_a_held_transaction_lands_once_at_its_height_although_sent_again(chain: Chain) -> None:
    wallet, friend = funded(chain), Keypair().pubkey()
    tx = pay(chain, wallet, friend, SOL)
    chain.faults.replace({"late_landing": {"max_blocks": 40}, "seed": 4})
    chain.submit(tx, bytes(tx))
    sent_at = chain.blocks.tip.height
    while not landed(chain, tx):
        chain.submit(tx, bytes(tx))
        chain.advance()
    assert 2 <= chain.blocks.tip.height - sent_at <= 41
    assert chain.accounts.current(friend).lamports == SOL


def test_every_kept_slot_answers_with_its_own_balance(chain: Chain) -> None:
    wallet, friend = funded(chain), Keypair().pubkey()
    expected = {chain.blocks.tip.slot: 0}
    for count in range(1, 150):
        tx = pay(chain, wallet, friend, 1_000_000)
        chain.submit(tx, bytes(tx))
        expected[chain.advance().slot] = count * 1_000_000
    oldest = chain.blocks.at("finalized", MAX_ENDPOINT_LAG_BLOCKS).slot
    assert oldest == chain.blocks.tip.slot - 32 - MAX_ENDPOINT_LAG_BLOCKS
    kept = {slot: balance for slot, balance in expected.items() if slot >= oldest}
    assert {slot: chain.accounts.at(friend, slot).lamports for slot in kept} == kept
    # What no read can reach is dropped, else a hot account would grow for ever.
    assert len(chain.accounts._chains[friend]) <= 32 + MAX_ENDPOINT_LAG_BLOCKS + 2


def test_a_look_into_the_past_leaves_the_present_alone(chain: Chain) -> None:
    wallet = funded(chain)
    tx = pay(chain, wallet, Keypair().pubkey(), SOL)
    past = chain.blocks.at("finalized")
    bank = Bank(slot=past.slot, unix_timestamp=past.unix_timestamp, oldest_read_slot=past.slot)
    assert chain.machine.simulate(tx, bank)[1] == b'"AccountNotFound"'
    clock_data = chain.accounts.at(CLOCK_SYSVAR, chain.blocks.tip.slot).account.data
    assert int.from_bytes(clock_data[:8], "little") == chain.blocks.tip.slot != past.slot
    chain.submit(tx, bytes(tx))
    chain.advance()
    assert chain.counts.failed == chain.counts.dropped == 0


def test_a_read_within_a_slot_still_answers_from_the_block_before(chain: Chain) -> None:
    wallet, friend = funded(chain), Keypair().pubkey()
    txs = [pay(chain, wallet, friend, SOL + number) for number in range(3)]
    for tx in txs:
        chain.submit(tx, bytes(tx))
    tip, rpc = chain.blocks.tip, Dispatcher(chain)

    def read() -> list:
        processed = {"commitment": "processed"}
        calls = [("getSlot", [processed]), ("getBalance", [str(friend), processed])]
        calls.append(("getSignatureStatuses", [[str(txs[0].signatures[0])]]))
        batch = [{"jsonrpc": "2.0", "id": 1, "method": method, "params": params} for method, params in calls]
        slot, balance, statuses = [answer["result"] for answer in orjson.loads(rpc.answer(batch))]
        return [slot, balance["value"], statuses["value"][0] is not None]

    steps = chain.slot()
    next(steps)
    next(steps)
    late = pay(chain, wallet, friend, SOL + 9)
    chain.submit(late, bytes(late))
    chain.submit(txs[0], bytes(txs[0]))
    assert landed(chain, txs[0])
    assert read() == [tip.slot, 0, False]
    assert list(steps) == [None]
    assert read() == [tip.slot + 1, 3 * SOL + 3, True]
    # What arrives while a slot executes belongs to the next one; what has just executed is not taken again.
    chain.advance()
    assert read() == [tip.slot + 2, 4 * SOL + 12, True]


def test_slots_of_faults_leave_gaps_and_heights_none(chain: Chain) -> None:
    chain.faults.replace({"skipped_slots": {"max": 3}})
    blocks = [chain.advance() for _ in range(50)]
    assert [block.height for block in blocks] == list(range(1, 51))
    steps = {block.slot - block.parent_slot for block in blocks}
    assert steps == {2, 3, 4}


def test_time_never_runs_backwards(chain: Chain, clock: Clock) -> None:
    first = chain.advance().unix_timestamp
    clock.now -= 1000
    assert chain.advance().unix_timestamp == first
    chain.warp_clock(5000)
    assert chain.advance().unix_timestamp == first + 4000


def test_the_same_seed_makes_the_same_blockhashes(clock: Clock) -> None:
    def hashes(seed: int) -> list[str]:
        chain = Chain(LocalnetSettings(program=None, seed=seed), clock)
        return [str(chain.advance().blockhash) for _ in range(5)]

    assert hashes(1) == hashes(1)
    assert len(set(hashes(1)) | set(hashes(2))) == 10


def test_a_packed_record_is_the_record() -> None:
    keys = [bytes([byte]) * 32 for byte in range(1, 6)]
    mint, owner, other = map(Pubkey, keys[:3])
    record = TxRecord(
        slot=2**40,
        unix_timestamp=1_800_000_000,
        raw=b"\x01" + bytes(range(64)) + b"message" * 50,
        err=b'{"InstructionError":[0,{"Custom":1}]}',
        meta=b"meta" * 100,
        pre_lamports=(2**64 - 1, 0, 5),
        post_lamports=(2**64 - 2, 1, 5),
        pre_tokens=(TokenBalance(1, 6, False, mint, owner, 2**64 - 1),),
        post_tokens=(TokenBalance(1, 6, False, mint, owner, 0), TokenBalance(2, 9, True, mint, other, 3)),
        loaded_writable=(keys[3],),
        loaded_readonly=(keys[4], keys[0]),
    )
    assert TxRecord.unpack(record.pack()) == record
    assert record.signature == bytes(range(64))


def test_history_answers_the_same_when_it_is_packed(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    wallet, friend = funded(chain), Keypair().pubkey()
    for count in range(20):
        tx = pay(chain, wallet, friend, SOL // 100 + count)
        chain.submit(tx, bytes(tx))
        chain.advance()
    before = [chain.history.record(seq) for seq in range(chain.history.end_seq)]
    monkeypatch.setattr("ops.localnet.history.UNPACKED_RECORDS", 3)
    chain.history.tidy()
    assert sum(isinstance(stored, bytes) for stored in chain.history._records) == len(before) - 3
    assert [chain.history.record(seq) for seq in range(chain.history.end_seq)] == before


@pytest.mark.parametrize(
    ("amount", "decimals", "text"),
    [(0, 0, "0"), (0, 9, "0"), (1, 9, "0.000000001"), (1_500_000, 6, "1.5"), (2**64 - 1, 2, "184467440737095516.15")],
)
def test_ui_amounts_are_exact_as_text(amount: int, decimals: int, text: str) -> None:
    shown = ui_amount(amount, decimals)
    assert (shown["uiAmountString"], shown["amount"]) == (text, str(amount))


def test_base58_agrees_with_solders() -> None:
    for key in (Pubkey.from_bytes(b"\0\0" + b"\x07" * 30), Pubkey.new_unique(), Pubkey.default()):
        assert base58.encode(bytes(key)) == str(key)
        assert base58.decode(str(key)) == bytes(key)
    assert base58.decode("") == b""
    with pytest.raises(ValueError, match="invalid base58"):
        base58.decode("0")


def executions(chain: Chain, **options: object) -> list[dict[str, object] | None]:
    call = {"jsonrpc": "2.0", "id": 1, "method": "frt_getExecutions", "params": [options]}
    found: list[dict[str, object] | None] = orjson.loads(Dispatcher(chain).answer(call))["result"]
    return found


def lamports_in(execution: dict[str, object] | None, key: Pubkey) -> int:
    assert execution is not None
    accounts = execution["accounts"]
    assert isinstance(accounts, dict)
    return int(accounts[str(key)]["lamports"])


def test_what_a_transaction_executed_on_is_kept_also_within_one_slot(chain: Chain) -> None:
    wallet, target = funded(chain), Keypair().pubkey()
    sent = [pay(chain, wallet, target, lamports) for lamports in (SOL, SOL + 1)]
    for tx in sent:
        chain.submit(tx, bytes(tx))
    chain.advance()
    names = [str(tx.signatures[0]) for tx in sent]
    first, second, unknown = executions(chain, signatures=[*names, str(Keypair().sign_message(b"other"))])
    assert first is not None
    assert second is not None
    assert unknown is None
    assert first["accounts"][str(target)] is None  # type: ignore[index]
    assert lamports_in(second, target) == SOL
    assert lamports_in(first, wallet.pubkey()) - lamports_in(second, wallet.pubkey()) == SOL + 5_000
    slot = chain.blocks.tip.slot
    newest = executions(chain, address=str(target), untilSlot=slot, limit=1)
    assert [one and one["signature"] for one in newest] == names[1:]
    assert executions(chain, address=str(target), untilSlot=slot - 1, limit=5) == []


def test_accounts_beside_a_transaction_are_as_it_left_them_and_not_its_slot(chain: Chain) -> None:
    wallet, target = funded(chain), Keypair().pubkey()
    sent = [pay(chain, wallet, to, SOL) for to in (Keypair().pubkey(), target, Keypair().pubkey())]
    for tx in sent:
        chain.submit(tx, bytes(tx))
    chain.advance()
    before, _, after = executions(chain, signatures=[str(tx.signatures[0]) for tx in sent], also=[str(target)])
    assert before is not None
    assert before["accounts"][str(target)] is None  # type: ignore[index]
    assert lamports_in(after, target) == SOL


def test_a_fork_takes_back_what_a_transaction_executed_on(chain: Chain) -> None:
    wallet, target = funded(chain), Keypair().pubkey()
    advance_to(chain, 5)
    tx = pay(chain, wallet, target, SOL)
    chain.submit(tx, bytes(tx))
    chain.advance()
    assert executions(chain, signatures=[str(tx.signatures[0])]) != [None]
    chain.faults.replace({"fork": {"probability": 0.0, "slots": 1, "relanding": 0.0}})
    chain.fork(1)
    chain.advance()
    assert executions(chain, signatures=[str(tx.signatures[0])]) == [None]
