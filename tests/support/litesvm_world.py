"""A LiteSVM chain with the FRT program beside the model: every instruction runs in both and must agree.

Signature checks and the blockhash check are off, so keys are plain 32-byte labels without private halves.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from solders.account import Account as ChainAccount
from solders.clock import Clock
from solders.hash import Hash
from solders.instruction import AccountMeta
from solders.instruction import Instruction as ChainInstruction
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata

from tests.support.contract_model import Account, ContractModel, Instruction, encoding
from tests.support.contract_model.addresses import (
    LOADER,
    MAIN_TREASURY,
    PROGRAM_DATA,
    PROGRAM_ID,
    RENT_SYSVAR,
    SYSTEM_PROGRAM,
    SYSTEM_STATE,
    TOKEN_PROGRAM,
)
from tests.support.contract_model.state import (
    Mint,
    PoolState,
    SystemState,
    TokenAccount,
    Treasury,
    rent_minimum,
)

# Another build, such as one with a seeded bug, can take the place of the committed program.
PROGRAM_FILE = Path(
    os.environ.get("FRT_TEST_PROGRAM")
    or Path(__file__).resolve().parents[2] / "ops" / "localnet" / "program" / "frt.so"
)
START_TIME = 1_700_000_000

FEE_PAYER = bytes([0xFE]) * 32
ADMIN = bytes([0x44]) * 32
AUTHORITY = bytes([0x45]) * 32

_FIXED_KEYS = (PROGRAM_ID, PROGRAM_DATA, SYSTEM_PROGRAM, TOKEN_PROGRAM, RENT_SYSVAR, LOADER)


def _error_name(failed: FailedTransactionMetadata) -> str:
    """The bare name of an error: "Custom(1035)", "InvalidAccountData", "InsufficientFundsForRent"."""
    text = str(failed.err())
    found = re.search(r"Custom\((\d+)\)", text)
    if found:
        return f"Custom({found[1]})"
    error = failed.err()
    name = str(getattr(error, "err", error)).rsplit(".", maxsplit=1)[-1]
    return re.sub(r"\W.*", "", name.removeprefix("TransactionError"))


class World:
    """The chain and its model; accounts are addressed by 32 raw bytes."""

    def __init__(self, program_file: Path = PROGRAM_FILE) -> None:
        self.chain = LiteSVM().with_sigverify(False).with_blockhash_check(False).with_transaction_history(0)
        self.chain.add_program_from_file(Pubkey(PROGRAM_ID), program_file)
        self.model = ContractModel(now=START_TIME)
        self.seen: set[bytes] = set()
        self.logs: list[str] = []
        self.compute_units = 0
        self.set_time(START_TIME)
        self._adopt(_FIXED_KEYS)
        header = struct.pack("<IQB32s", 3, 0, 1, AUTHORITY)
        program_data = self.model.accounts[PROGRAM_DATA]
        self.put(PROGRAM_DATA, replace(program_data, data=header + program_data.data[45:]))
        for key in (FEE_PAYER, ADMIN, AUTHORITY):
            self.put(key, Account(lamports=10**13))

    def _adopt(self, keys: Iterable[bytes]) -> None:
        """Take accounts that the chain made itself into the model."""
        for key in keys:
            self.seen.add(key)
            account = self.on_chain(key)
            if account is not None:
                self.model.accounts[key] = account

    def on_chain(self, key: bytes) -> Account | None:
        """The account as the chain has it; None when it holds no lamports."""
        account = self.chain.get_account(Pubkey(key))
        if account is None or not account.lamports:
            return None
        return Account(lamports=account.lamports, owner=bytes(account.owner), data=bytes(account.data))

    def put(self, key: bytes, account: Account) -> None:
        """Write one account on both sides."""
        self.seen.add(key)
        existing = self.chain.get_account(Pubkey(key))
        executable = existing is not None and existing.executable
        self.chain.set_account(
            Pubkey(key),
            ChainAccount(account.lamports, account.data, Pubkey(account.owner), executable, 0),
        )
        if account.lamports:
            self.model.accounts[key] = account
        else:
            self.model.accounts.pop(key, None)

    def put_lamports(self, key: bytes, lamports: int) -> None:
        self.put(key, replace(self.model.accounts.get(key, Account()), lamports=lamports))

    def put_token(self, key: bytes, record: TokenAccount | Mint) -> None:
        """Write a token account or a mint with its rent."""
        data = record.pack()
        self.put(key, Account(lamports=rent_minimum(len(data)), owner=TOKEN_PROGRAM, data=data))

    def set_time(self, now: int) -> None:
        clock = self.chain.get_clock()
        self.chain.set_clock(
            Clock(clock.slot, clock.epoch_start_timestamp, clock.epoch, clock.leader_schedule_epoch, now)
        )
        self.model.now = now

    def send(self, instruction: Instruction, fee_payer: bytes = FEE_PAYER) -> str | None:
        """Run on the chain alone; the error's name or None."""
        metas = [AccountMeta(Pubkey(meta.key), meta.signer, meta.writable) for meta in instruction.metas]
        call = ChainInstruction(Pubkey(instruction.program), instruction.data, metas)
        message = Message.new_with_blockhash([call], Pubkey(fee_payer), Hash.default())
        signatures = [Signature.default()] * message.header.num_required_signatures
        outcome = self.chain.send_transaction(Transaction.populate(message, signatures))
        meta = outcome.meta() if isinstance(outcome, FailedTransactionMetadata) else outcome
        self.logs, self.compute_units = meta.logs(), meta.compute_units_consumed()
        self.seen.update(meta.key for meta in instruction.metas)
        self.seen.add(fee_payer)
        return _error_name(outcome) if isinstance(outcome, FailedTransactionMetadata) else None

    def run(self, instruction: Instruction, fee_payer: bytes = FEE_PAYER) -> str | None:
        """Run in both and compare the result and every account; the common result."""
        got = self.send(instruction, fee_payer)
        wanted = self.model.run(instruction, fee_payer=fee_payer)
        assert got == wanted, f"chain {got}, model {wanted}\n" + "\n".join(self.logs)
        self.assert_equal_accounts()
        return got

    def assert_equal_accounts(self) -> None:
        for key in self.seen:
            got, wanted = self.on_chain(key), self.model.accounts.get(key)
            assert got == wanted, f"account {key.hex()}\nchain {got}\nmodel {wanted}\n" + "\n".join(self.logs)

    def initialize(self) -> None:
        assert self.run(encoding.initialize_program(AUTHORITY, ADMIN)) is None

    # What the chain itself holds, decoded.

    def lamports(self, key: bytes) -> int:
        account = self.on_chain(key)
        return account.lamports if account else 0

    def data(self, key: bytes) -> bytes:
        account = self.on_chain(key)
        return account.data if account else b""

    def tokens(self, key: bytes) -> int:
        return TokenAccount.parse(self.data(key)).amount

    def mint(self, key: bytes) -> Mint:
        return Mint.parse(self.data(key))

    def pool(self, key: bytes) -> PoolState:
        return PoolState.parse(self.data(key))

    def treasury(self) -> Treasury:
        return Treasury.parse(self.data(MAIN_TREASURY))

    def system(self) -> SystemState:
        return SystemState.parse(self.data(SYSTEM_STATE))
