"""The virtual machine: LiteSVM with its own checks off, executing and simulating one transaction at a time.

LiteSVM reports no balances, so accounts are read before and after; failed loads pay their fee as on a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson
from solders.account import Account
from solders.clock import Clock
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, SimulatedTransactionInfo, TransactionMetadata

from ops.localnet.history import TokenBalance, TxRecord
from ops.localnet.messages import loaded_addresses, message_of, writable_flags
from ops.localnet.tokens import TokenAccount
from ops.localnet.versions import SYSTEM_PROGRAM, AccountState, AccountVersions

SLOTS_PER_EPOCH = 432_000
_NO_ACCOUNT = Account(0, b"", SYSTEM_PROGRAM)
#: LiteSVM refuses these for free; clusters land them as fee-only transactions.
_FEE_ONLY_ERRORS = frozenset(("InvalidProgramForExecution", "ProgramAccountNotFound"))
_PROGRAM_DATA_HEADER_BYTES = 45


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """Where in the chain a transaction executes: its slot, the time there, and how far back reads may reach."""

    slot: int
    unix_timestamp: int
    oldest_read_slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A landed transaction and every address it names."""

    record: TxRecord
    addresses: list[Pubkey]
    fee_lamports: int
    #: The accounts as they were before it, by address.
    before: dict[Pubkey, Account | None]


def _outcome(result: TransactionMetadata | FailedTransactionMetadata) -> tuple[TransactionMetadata, bytes | None]:
    if isinstance(result, FailedTransactionMetadata):
        return result.meta(), orjson.dumps(orjson.loads(result.to_json())["err"])
    return result, None


class Machine:
    """LiteSVM and the versions of every account that it changed."""

    def __init__(self) -> None:
        # Signatures are checked once, when a transaction arrives; blockhashes and duplicates by our own tables.
        self._svm = LiteSVM().with_blockhash_check(False).with_sigverify(False).with_transaction_history(0)
        self.accounts = AccountVersions(self._svm.get_account)

    def set_clock(self, slot: int, unix_timestamp: int) -> None:
        """Move the clock sysvar."""
        epoch = slot // SLOTS_PER_EPOCH
        self._svm.set_clock(Clock(slot, 0, epoch, epoch + 1, unix_timestamp))

    def enter_slot(self, slot: int, unix_timestamp: int, slot_hashes: Iterable[tuple[int, Hash]]) -> None:
        """Set the sysvars that programs see in a slot: its clock and the hashes of the slots before it."""
        self.set_clock(slot, unix_timestamp)
        self._svm.set_slot_hashes(list(slot_hashes))

    def set_account(self, key: Pubkey, account: Account, bank: Bank) -> None:
        """Write an account from outside any transaction (genesis, administration)."""
        self.accounts.current(key)
        self._svm.set_account(key, account)
        self.accounts.put(key, bank.slot, account, bank.oldest_read_slot)

    def put_back(self, key: Pubkey, account: Account | None) -> None:
        """Give the machine an account as ``accounts`` has it by now."""
        self._svm.set_account(key, account or _NO_ACCOUNT)

    def add_program(self, program_id: Pubkey, file: Path) -> None:
        """Load a program under the upgradeable loader. OSError without the file, ValueError when it is no program."""
        file.stat()
        try:
            self._svm.add_program_from_file(program_id, file)
        except OSError as error:  # LiteSVM's one kind of error, whatever is wrong with the program
            raise ValueError(f"{file} is not a program that this chain can run (SBF shared object): {error}") from None

    def set_upgrade_authority(self, program_id: Pubkey, authority: Pubkey, bank: Bank) -> None:
        """Write the authority into the ProgramData header (CONTRACT.md 12). KeyError without such a program."""
        program = self._svm.get_account(program_id)
        if program is None or len(program.data) != 36:
            raise KeyError(str(program_id))
        data_key = Pubkey(program.data[4:36])
        data = self._svm.get_account(data_key)
        if data is None:
            raise KeyError(str(data_key))
        header = data.data[:12] + b"\x01" + bytes(authority)
        changed = Account(data.lamports, header + data.data[_PROGRAM_DATA_HEADER_BYTES:], data.owner, data.executable)
        self.set_account(data_key, changed, bank)

    def minimum_balance(self, data_bytes: int) -> int:
        """Lamports that exempt an account of `data_bytes` from rent."""
        return self._svm.minimum_balance_for_rent_exemption(data_bytes)

    def execute(self, tx: VersionedTransaction, raw: bytes, bank: Bank) -> Executed | None:
        """Run a transaction; None when it does not land (its payer cannot pay, or it cannot be loaded)."""
        message = message_of(tx)
        accounts = self.accounts
        writable, readonly = loaded_addresses(message, lambda key: accounts.current(key).account)
        keys = [*message.account_keys, *writable, *readonly]
        flags = writable_flags(message) + [True] * len(writable) + [False] * len(readonly)
        before = [accounts.current(key) for key in keys]
        meta, err = _outcome(self._svm.send_transaction(tx))
        if err is not None and not self._charged(keys[0], before[0], meta, err):
            return None
        after = list(before)
        for index, key in enumerate(keys):
            if flags[index]:
                account = self._svm.get_account(key)
                if account != before[index].account:
                    after[index] = accounts.put(key, bank.slot, account, bank.oldest_read_slot)
        pre_tokens, post_tokens = self._token_balances(before, after)
        record = TxRecord(
            slot=bank.slot,
            unix_timestamp=bank.unix_timestamp,
            raw=raw,
            err=err,
            meta=bytes(meta),
            pre_lamports=tuple(state.lamports for state in before),
            post_lamports=tuple(state.lamports for state in after),
            pre_tokens=pre_tokens,
            post_tokens=post_tokens,
            loaded_writable=tuple(map(bytes, writable)),
            loaded_readonly=tuple(map(bytes, readonly)),
        )
        origin = {key: state.account for key, state in zip(keys, before, strict=True)}
        return Executed(record=record, addresses=keys, fee_lamports=meta.fee(), before=origin)

    def _charged(self, payer: Pubkey, before: AccountState, meta: TransactionMetadata, err: bytes) -> bool:
        """Whether a failed transaction paid its fee, which is what makes it land."""
        account, name = before.account, orjson.loads(err)
        if account is None:
            return False
        if self._svm.get_balance(payer) != account.lamports:
            return True
        if name not in _FEE_ONLY_ERRORS or account.owner != SYSTEM_PROGRAM or account.data:
            return False
        left = account.lamports - meta.fee()
        if left < 0 or 0 < left < self.minimum_balance(0) <= account.lamports:
            return False
        self._svm.set_account(payer, Account(left, b"", SYSTEM_PROGRAM))
        return True

    def _token_balances(
        self, before: list[AccountState], after: list[AccountState]
    ) -> tuple[tuple[TokenBalance, ...], tuple[TokenBalance, ...]]:
        pre, post = [], []
        for index, state in enumerate(before):
            entry = None if state.token is None else self._token_balance(index, state.token)
            if entry is not None:
                pre.append(entry)
            changed = after[index]
            if changed is not state:
                entry = None if changed.token is None else self._token_balance(index, changed.token)
            if entry is not None:
                post.append(entry)
        return tuple(pre), tuple(post)

    def _token_balance(self, index: int, token: TokenAccount) -> TokenBalance | None:
        mint = self.accounts.current(token.mint).mint
        # A validator too leaves out what it cannot give decimals for.
        if mint is None:
            return None
        return TokenBalance(index, mint.decimals, token.is_token_2022, token.mint, token.owner, token.amount)

    def simulate(
        self, tx: VersionedTransaction, bank: Bank
    ) -> tuple[TransactionMetadata, bytes | None, list[tuple[Pubkey, Account]]]:
        """Run a transaction on the state at the end of the slot, changing nothing: meta, error, accounts after."""
        message = message_of(tx)

        def then(key: Pubkey) -> Account | None:
            return self.accounts.at(key, bank.slot).account

        writable, readonly = loaded_addresses(message, then)
        moved: list[tuple[Pubkey, Account]] = []
        clock = self._svm.get_clock()
        for key in {*message.account_keys, *writable, *readonly}:
            now, past = self._svm.get_account(key), then(key)
            if now != past:
                moved.append((key, now or _NO_ACCOUNT))
                self._svm.set_account(key, past or _NO_ACCOUNT)
        self.set_clock(bank.slot, bank.unix_timestamp)
        try:
            result = self._svm.simulate_transaction(tx)
        finally:
            self._svm.set_clock(clock)
            for key, account in moved:
                self._svm.set_account(key, account)
        if isinstance(result, SimulatedTransactionInfo):
            return result.meta(), None, result.post_accounts()
        meta, err = _outcome(result)
        return meta, err, []
