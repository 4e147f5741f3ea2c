"""A bare LiteSVM chain with the program loaded, and hand-written instruction bytes (CONTRACT.md 3).

Written without the service's own encoders, so that a mistake there cannot hide a mistake in the program.
Signatures are not verified: a scenario may name any key as signer, or leave it out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from solders.account import Account
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.token import ID as TOKEN_PROGRAM
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

PROGRAM_ID = Pubkey.from_string("4aeVqtWhrUh6wpX8acNj2hpWXKEQwxjA3PYb2sHhNyCn")
RENT_SYSVAR = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
FEE_PAYER = Pubkey.from_bytes(b"\xfe" * 32)
START_S = 1_700_000_000

PoolKey = tuple[Pubkey, Pubkey, int, int]


def key(byte: int) -> Pubkey:
    """The key that is one byte repeated."""
    return Pubkey.from_bytes(bytes([byte]) * 32)


def pda(*seeds: bytes, program: Pubkey = PROGRAM_ID) -> Pubkey:
    return Pubkey.find_program_address(seeds, program)[0]


SYSTEM_STATE = pda(b"system_state")
TREASURY = pda(b"main_treasury")
PROGRAM_DATA = pda(bytes(PROGRAM_ID), program=LOADER)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


@dataclass(frozen=True)
class Pool:
    """Addresses of a pool; mints in the order A, B."""

    mints: tuple[Pubkey, Pubkey]
    ratios: tuple[int, int]

    @cached_property
    def id(self) -> Pubkey:
        return pda(b"pool_state", bytes(self.mints[0]), bytes(self.mints[1]), u64(self.ratios[0]), u64(self.ratios[1]))

    @cached_property
    def vaults(self) -> tuple[Pubkey, Pubkey]:
        return pda(b"token_a_vault", bytes(self.id)), pda(b"token_b_vault", bytes(self.id))

    @cached_property
    def lp_mints(self) -> tuple[Pubkey, Pubkey]:
        return pda(b"lp_token_a_mint", bytes(self.id)), pda(b"lp_token_b_mint", bytes(self.id))


@dataclass(frozen=True)
class Result:
    """Outcome of one transaction: "ok", "Custom(1047)" or the builtin's name; compute units of the instruction."""

    code: str
    units: int
    logs: tuple[str, ...]


def meta(account: Pubkey, mode: str = "") -> AccountMeta:
    """Mode is any of "s" (signer) and "w" (writable)."""
    return AccountMeta(account, "s" in mode, "w" in mode)


class ProgramChain:
    """LiteSVM with the program at its default id, the worked example's clock and a rich fee payer."""

    def __init__(self, program: Path, upgrade_authority: Pubkey) -> None:
        svm = LiteSVM().with_sigverify(False).with_blockhash_check(False).with_transaction_history(0)
        svm.add_program_from_file(PROGRAM_ID, program)
        record = svm.get_account(PROGRAM_DATA)
        assert record is not None
        header = struct.pack("<IQB", 3, 0, 1) + bytes(upgrade_authority)
        svm.set_account(PROGRAM_DATA, Account(record.lamports, header + record.data[45:], LOADER, False, 0))
        self.svm = svm
        self.set_time(START_S)
        self.fund(FEE_PAYER, 10**15)

    def set_time(self, unix_s: int) -> None:
        clock = self.svm.get_clock()
        clock.unix_timestamp = unix_s
        self.svm.set_clock(clock)

    def time(self) -> int:
        return self.svm.get_clock().unix_timestamp

    def fund(self, account: Pubkey, lamports: int) -> None:
        self.svm.set_account(account, Account(lamports, b"", SYSTEM_PROGRAM, False, 0))

    def put(self, account: Pubkey, data: bytes, owner: Pubkey = TOKEN_PROGRAM, lamports: int = 10_000_000) -> None:
        self.svm.set_account(account, Account(lamports, data, owner, False, 0))

    def put_mint(self, mint: Pubkey, decimals: int, supply: int = 10**15) -> None:
        self.put(mint, bytes(36) + u64(supply) + bytes([decimals, 1]) + bytes(36))

    def put_token(
        self, account: Pubkey, mint: Pubkey, owner: Pubkey, amount: int, *, delegated: int | None = None, state: int = 1
    ) -> None:
        delegate = bytes(36) if delegated is None else b"\1\0\0\0" + b"\x77" * 32
        tail = delegate + bytes([state]) + bytes(12) + u64(delegated or 0) + bytes(36)
        self.put(account, bytes(mint) + bytes(owner) + u64(amount) + tail)

    def lamports(self, account: Pubkey) -> int:
        return self.svm.get_balance(account) or 0

    def data(self, account: Pubkey) -> bytes:
        found = self.svm.get_account(account)
        return b"" if found is None else bytes(found.data)

    def tokens(self, account: Pubkey) -> int:
        return int.from_bytes(self.data(account)[64:72], "little")

    def send(self, *instructions: Instruction, limit: int = 400_000) -> Result:
        budget = Instruction(COMPUTE_BUDGET, b"\2" + struct.pack("<I", limit), [])
        message = Message.new_with_blockhash([budget, *instructions], FEE_PAYER, Hash.default())
        signatures = [Signature.default()] * message.header.num_required_signatures
        answer = self.svm.send_transaction(VersionedTransaction.populate(message, signatures))
        if isinstance(answer, FailedTransactionMetadata):
            metadata, code = answer.meta(), error_name(answer.err())
        else:
            metadata, code = answer, "ok"
        return Result(code, metadata.compute_units_consumed() - 150, tuple(metadata.logs()))


def error_name(error: object) -> str:
    """ "Custom(1047)" or "InvalidAccountData": the instruction's error without its position."""
    inner = getattr(error, "err", error)
    if hasattr(inner, "code"):
        return f"Custom({inner.code})"
    return str(inner).rsplit(".", maxsplit=1)[-1]


def instruction(data: bytes, metas: Iterable[AccountMeta], program: Pubkey = PROGRAM_ID) -> Instruction:
    return Instruction(program, data, list(metas))


def replaced(original: Instruction, at: int, account: Pubkey | AccountMeta) -> Instruction:
    """The same instruction with account `at` exchanged (flags kept when only a key is given)."""
    metas = list(original.accounts)
    old = metas[at]
    metas[at] = account if isinstance(account, AccountMeta) else AccountMeta(account, old.is_signer, old.is_writable)
    return Instruction(original.program_id, bytes(original.data), metas)


def unsigned(original: Instruction, at: int = 0) -> Instruction:
    old = original.accounts[at]
    return replaced(original, at, AccountMeta(old.pubkey, False, old.is_writable))


def readonly(original: Instruction, at: int) -> Instruction:
    old = original.accounts[at]
    return replaced(original, at, AccountMeta(old.pubkey, old.is_signer, False))


def with_data(original: Instruction, data: bytes) -> Instruction:
    return Instruction(original.program_id, data, list(original.accounts))


# ---- instructions ----


def initialize_program(authority: Pubkey, admin: Pubkey) -> Instruction:
    metas = [meta(authority, "sw"), meta(SYSTEM_PROGRAM), meta(RENT_SYSVAR), meta(SYSTEM_STATE, "w")]
    return instruction(b"\0" + bytes(admin), [*metas, meta(TREASURY, "w"), meta(PROGRAM_DATA)])


def initialize_pool(user: Pubkey, pool: Pool, flags: int = 0, *, reverse: bool = False) -> Instruction:
    data = b"\1" + u64(pool.ratios[0]) + u64(pool.ratios[1]) + bytes([flags])
    mints = pool.mints[::-1] if reverse else pool.mints
    metas = [meta(user, "sw"), meta(SYSTEM_PROGRAM), meta(SYSTEM_STATE), meta(pool.id, "w"), meta(TOKEN_PROGRAM)]
    metas += [meta(TREASURY, "w"), meta(RENT_SYSVAR), meta(mints[0]), meta(mints[1])]
    metas += [meta(account, "w") for account in (*pool.vaults, *pool.lp_mints)]
    return instruction(data, metas)


def _liquidity(
    kind: int, user: Pubkey, pool: Pool, side: int, amount: int, source: Pubkey, target: Pubkey
) -> Instruction:
    data = bytes([kind]) + bytes(pool.mints[side]) + u64(amount) + bytes(pool.id)
    metas = [meta(user, "sw"), meta(SYSTEM_PROGRAM), meta(SYSTEM_STATE), meta(pool.id, "w"), meta(TOKEN_PROGRAM)]
    accounts = (*pool.vaults, source, target, *pool.lp_mints)
    return instruction(data, metas + [meta(account, "w") for account in accounts])


def deposit(user: Pubkey, pool: Pool, side: int, amount: int, source: Pubkey, lp: Pubkey) -> Instruction:
    return _liquidity(2, user, pool, side, amount, source, lp)


def withdraw(user: Pubkey, pool: Pool, side: int, amount: int, lp: Pubkey, target: Pubkey) -> Instruction:
    return _liquidity(3, user, pool, side, amount, lp, target)


def swap(
    user: Pubkey, pool: Pool, side: int, amount: int, expected: int, source: Pubkey, target: Pubkey
) -> Instruction:
    data = b"\4" + bytes(pool.mints[side]) + u64(amount) + u64(expected) + bytes(pool.id)
    metas = [meta(user, "sw"), meta(SYSTEM_PROGRAM), meta(SYSTEM_STATE), meta(pool.id, "w"), meta(TOKEN_PROGRAM)]
    metas += [meta(account, "w") for account in (*pool.vaults, source, target)]
    return instruction(data, [*metas, meta(pool.mints[side]), meta(pool.mints[1 - side])])


def pause_system(admin: Pubkey, reason: int = 7) -> Instruction:
    return instruction(bytes([12, reason]), [meta(admin, "s"), meta(SYSTEM_STATE, "w"), meta(PROGRAM_DATA)])


def unpause_system(admin: Pubkey) -> Instruction:
    metas = [meta(admin, "s"), meta(SYSTEM_STATE, "w"), meta(TREASURY, "w"), meta(PROGRAM_DATA)]
    return instruction(b"\x0d", metas)


def consolidate(admin: Pubkey, pools: Sequence[Pubkey], count: int | None = None) -> Instruction:
    metas = [meta(admin, "s"), meta(SYSTEM_STATE), meta(TREASURY, "w"), meta(PROGRAM_DATA)]
    number = len(pools) if count is None else count
    return instruction(bytes([17, number]), metas + [meta(pool, "w") for pool in pools])


def _pool_admin(data: bytes, admin: Pubkey, pool: Pubkey) -> Instruction:
    return instruction(data, [meta(admin, "s"), meta(SYSTEM_STATE), meta(pool, "w"), meta(PROGRAM_DATA)])


def pause_pool(admin: Pubkey, pool: Pubkey, bits: int) -> Instruction:
    return _pool_admin(bytes([19, bits]) + bytes(pool), admin, pool)


def unpause_pool(admin: Pubkey, pool: Pubkey, bits: int) -> Instruction:
    return _pool_admin(bytes([20, bits]) + bytes(pool), admin, pool)


def owner_only(admin: Pubkey, pool: Pubkey, owner: Pubkey, enable: int) -> Instruction:
    return _pool_admin(bytes([21, enable]) + bytes(owner) + bytes(pool), admin, pool)


def update_fees(admin: Pubkey, pool: Pubkey, which: int, liquidity: int, swap_fee: int) -> Instruction:
    return _pool_admin(bytes([22, which]) + u64(liquidity) + u64(swap_fee) + bytes(pool), admin, pool)


def withdraw_treasury(admin: Pubkey, target: Pubkey, amount: int) -> Instruction:
    metas = [meta(admin, "s"), meta(TREASURY, "w"), meta(RENT_SYSVAR), meta(target, "w")]
    return instruction(b"\x0f" + u64(amount), [*metas, meta(SYSTEM_STATE), meta(PROGRAM_DATA)])


def donate(donor: Pubkey, amount: int, message: bytes = b"") -> Instruction:
    data = b"\x17" + u64(amount) + struct.pack("<I", len(message)) + message
    return instruction(data, [meta(donor, "sw"), meta(TREASURY, "w"), meta(SYSTEM_STATE), meta(SYSTEM_PROGRAM)])


def admin_change(admin: Pubkey, new_admin: Pubkey) -> Instruction:
    metas = [meta(admin, "s"), meta(SYSTEM_STATE, "w"), meta(PROGRAM_DATA)]
    return instruction(b"\x18" + bytes(new_admin), metas)
