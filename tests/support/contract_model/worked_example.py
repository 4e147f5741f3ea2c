"""The worked example of CONTRACT.md 11: start, raw instruction bytes as printed there, golden end state."""

from __future__ import annotations

from tests.support.contract_model import encoding
from tests.support.contract_model.addresses import LOADER, MAIN_TREASURY, PROGRAM_DATA, SYSTEM_STATE, TOKEN_PROGRAM
from tests.support.contract_model.runtime import Instruction
from tests.support.contract_model.state import Account, Mint, TokenAccount, rent_minimum


def label(byte: int) -> bytes:
    return bytes([byte]) * 32


MINT_A, MINT_B, USER, ADMIN = label(0x11), label(0x22), label(0x33), label(0x44)
USER_A, USER_B, USER_LP_A, USER_LP_B = label(0x61), label(0x62), label(0x63), label(0x64)
AUTHORITY, FEE_PAYER = label(0x45), label(0xFE)
POOL = bytes.fromhex("b115aa3154ec874408fe25309dd82dfdf4759baec7a937fc6fb8b1f4bb137418")
VAULT_A = bytes.fromhex("e37eb4babb9d9f321c5ec23105b26c3d54090b0b0161a94dff6200d8e5808a63")
VAULT_B = bytes.fromhex("386aaad79549eb43f0e33f19f48a59cd2405fe1433bb3de3558bc4b948daf628")
LP_A = bytes.fromhex("7a06cac7400d9fada22e336bac2ea57a3dc6483661d70930d92eafa0f0a6ad09")
LP_B = bytes.fromhex("fe42c1b56b61f4819a78769222f43cc4e228dacbbf1815371f4bb198e090b0e1")

POOL_HEX = POOL.hex()
DATA = {
    "initialize_program": "00" + "44" * 32,
    "initialize_pool": "01 00ca9a3b00000000 0068890900000000 00",
    "deposit_a": f"02 {'11' * 32} 00f2052a01000000 {POOL_HEX}",
    "deposit_b": f"02 {'22' * 32} 00ca9a3b00000000 {POOL_HEX}",
    "swap": f"04 {'11' * 32} 01ca9a3b00000000 0068890900000000 {POOL_HEX}",
    "withdraw_b": f"03 {'22' * 32} 00e1f50500000000 {POOL_HEX}",
    "pause_system": "0c 07",
    "unpause_system": "0d",
    "pause_pool": f"13 03 {POOL_HEX}",
    "unpause_pool": f"14 03 {POOL_HEX}",
    "owner_only_on": f"15 01 {'33' * 32} {POOL_HEX}",
    "owner_only_off": f"15 00 {'33' * 32} {POOL_HEX}",
    "update_fees": f"16 03 405dc60000000000 8c24040000000000 {POOL_HEX}",
    "get_version": "0e",
    "consolidate": "11 01",
}


def steps() -> list[tuple[str, Instruction]]:
    """The sequence of the example, encoded by encoding.py; the names are the keys of DATA."""
    mints, accounts = (MINT_A, MINT_B), (USER_A, USER_B)
    return [
        ("initialize_program", encoding.initialize_program(AUTHORITY, ADMIN)),
        ("initialize_pool", encoding.initialize_pool(USER, MINT_A, MINT_B, 1_000_000_000, 160_000_000)),
        ("deposit_a", encoding.deposit(USER, POOL, MINT_A, 5_000_000_000, USER_A, USER_LP_A)),
        ("deposit_b", encoding.deposit(USER, POOL, MINT_B, 1_000_000_000, USER_B, USER_LP_B)),
        ("swap", encoding.swap(USER, POOL, mints, (1_000_000_001, 160_000_000), *accounts)),
        ("withdraw_b", encoding.withdraw(USER, POOL, MINT_B, 100_000_000, USER_LP_B, USER_B)),
        ("pause_system", encoding.pause_system(ADMIN, 7)),
        ("unpause_system", encoding.unpause_system(ADMIN)),
        ("pause_pool", encoding.pause_pool(ADMIN, POOL, 3)),
        ("unpause_pool", encoding.unpause_pool(ADMIN, POOL, 3)),
        ("owner_only_on", encoding.set_owner_only(ADMIN, POOL, 1, USER)),
        ("owner_only_off", encoding.set_owner_only(ADMIN, POOL, 0, USER)),
        ("update_fees", encoding.update_fees(ADMIN, POOL, 3, 13_000_000, 271_500)),
    ]


def start() -> dict[bytes, Account]:
    """Mints, user and token accounts; the program's own accounts come with the chain."""
    accounts = {
        USER: Account(lamports=10_000_000_000),
        ADMIN: Account(lamports=10**10),
        AUTHORITY: Account(lamports=10**10),
        FEE_PAYER: Account(lamports=10**10),
    }
    tokens: dict[bytes, Mint | TokenAccount] = {
        MINT_A: Mint(authority=ADMIN, supply=10**13, decimals=9),
        MINT_B: Mint(authority=ADMIN, supply=10**13, decimals=6),
        USER_A: TokenAccount(mint=MINT_A, owner=USER, amount=10**13),
        USER_B: TokenAccount(mint=MINT_B, owner=USER, amount=10**13),
        USER_LP_A: TokenAccount(mint=LP_A, owner=USER),
        USER_LP_B: TokenAccount(mint=LP_B, owner=USER),
    }
    for key, record in tokens.items():
        data = record.pack()
        accounts[key] = Account(lamports=rent_minimum(len(data)), owner=TOKEN_PROGRAM, data=data)
    return accounts


def program_data() -> tuple[bytes, Account]:
    """A ProgramData account with the example's upgrade authority, for a model without a chain."""
    data = b"\3\0\0\0" + bytes(8) + b"\1" + AUTHORITY
    return PROGRAM_DATA, Account(lamports=rent_minimum(45), owner=LOADER, data=data)


def _hex(text: str) -> bytes:
    return bytes.fromhex("".join(text.split()))


GOLDEN_POOL = _hex(
    f"""
    {"33" * 32} {"11" * 32} {"22" * 32}
    e37eb4babb9d9f321c5ec23105b26c3d54090b0b0161a94dff6200d8e5808a63
    386aaad79549eb43f0e33f19f48a59cd2405fe1433bb3de3558bc4b948daf628
    7a06cac7400d9fada22e336bac2ea57a3dc6483661d70930d92eafa0f0a6ad09
    fe42c1b56b61f4819a78769222f43cc4e228dacbbf1815371f4bb198e090b0e1
    00ca9a3b00000000 0068890900000000
    01bca06501000000 00811b2c00000000
    fe ff ff fe ff 01
    405dc60000000000 8c24040000000000
    {"00" * 32}
    c017530200000000 8c24040000000000 4c3c570200000000
    {"00" * 24} {"00" * 48} {"00" * 32}
    """
)
GOLDEN_LP_MINT_A = _hex(f"01000000 {POOL_HEX} 00f2052a01000000 09 01 00000000 {'00' * 32}")
GOLDEN_VAULT_A = _hex(f"{'11' * 32} {POOL_HEX} 01bca06501000000 {'00' * 36} 01 {'00' * 56}")
GOLDEN_SYSTEM_STATE = _hex(f"00 {'00' * 8} 00 {'44' * 32} 01 {'44' * 32} 00f1536500000000")
GOLDEN_TREASURY_FIELDS = {
    "total_balance": 1_151_837_440,
    "pool_creation_count": 1,
    "total_pool_creation_fees": 1_150_000_000,
    "last_update_timestamp": 1_700_000_000,
    "last_withdrawal_timestamp": 1_700_255_600,
}
GOLDEN_LAMPORTS = {USER: 8_799_787_380, POOL: 43_210_860, MAIN_TREASURY: 1_151_837_440, SYSTEM_STATE: 1_468_560}
GOLDEN_TOKENS = {
    USER_A: 9_993_999_999_999,
    USER_B: 9_999_260_000_000,
    USER_LP_A: 5_000_000_000,
    USER_LP_B: 900_000_000,
    VAULT_A: 6_000_000_001,
    VAULT_B: 740_000_000,
}
GOLDEN_SUPPLIES = {LP_A: 5_000_000_000, LP_B: 900_000_000}
GOLDEN_SURPLUS = 160_000_000

# CONTRACT.md 5: (rA, rB, dA, dB) -> type.
CLASSIFICATION = (
    (10**9, 160_000_000, 9, 6, "Simple"),
    (1, 160, 9, 6, "Simple"),
    (1_000_000, 1_010_000, 6, 6, "Decimal"),
    (2, 3, 6, 6, "Engineering"),
    (1_500_000, 2_000_000, 6, 6, "Decimal"),
    (2, 1, 6, 6, "Simple"),
    (1_999_999, 1_999_999, 6, 6, "Decimal"),
    (2, 3, 0, 0, "Engineering"),
    (2_500_000, 3_700_000, 6, 6, "Engineering"),
    (7, 1, 0, 0, "Simple"),
    (3_000_000, 2_000_000, 6, 6, "Engineering"),
    (1, 2**64 - 1, 6, 6, "Decimal"),
    (500_000, 1_000_000, 6, 6, "Simple"),
    (10**9, 10**18, 9, 9, "Simple"),
    (500_000, 300_000, 6, 6, "Engineering"),
    (10**8, 10**16, 8, 8, "Simple"),
    (500_000_000, 250_000_000, 9, 6, "Engineering"),
    (1, 1, 0, 9, "Simple"),
    (999_999, 2_000_000, 6, 6, "Engineering"),
    (5, 7, 64, 0, "PANIC"),
    (1_000_001, 2_000_000, 6, 6, "Decimal"),
    (2, 3, 19, 19, "Decimal"),
)

# CONTRACT.md 6: (in, r_in, r_out, out or error, rem).
SWAPS = (
    (1_000_000_000, 10**9, 160_000_000, 160_000_000, 0),
    (6, 10**9, 160_000_000, "InvalidArgument", 960_000_000),
    (7, 10**9, 160_000_000, 1, 120_000_000),
    (1_000_000_001, 10**9, 160_000_000, 160_000_000, 160_000_000),
    (999_999_999, 10**9, 160_000_000, 159_999_999, 840_000_000),
    (1, 160_000_000, 10**9, 6, 40_000_000),
    (123_456_789, 160_000_000, 10**9, 771_604_931, 40_000_000),
    (2**64 - 1, 10**9, 160_000_000, 2_951_479_051_793_528_258, 400_000_000),
    (2**64 - 1, 160_000_000, 10**9, "Custom(1019)", None),
    (10, 1, 3, 30, 0),
)
