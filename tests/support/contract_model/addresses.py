"""Well-known ids and program-derived addresses (CONTRACT.md 1 and 2), with the curve test in plain integers."""

from __future__ import annotations

import hashlib
from functools import cache

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_FIELD_PRIME = 2**255 - 19
_CURVE_D = -121665 * pow(121666, -1, _FIELD_PRIME) % _FIELD_PRIME


def from_base58(text: str) -> bytes:
    """The 32 bytes of a base58 address."""
    value = 0
    for letter in text:
        value = value * 58 + _ALPHABET.index(letter)
    return value.to_bytes(32, "big")


def to_base58(raw: bytes) -> str:
    """Base58 text of raw bytes; leading zero bytes become leading ones."""
    value = int.from_bytes(raw, "big")
    letters = []
    while value:
        value, digit = divmod(value, 58)
        letters.append(_ALPHABET[digit])
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + "".join(reversed(letters))


PROGRAM_ID = from_base58("4aeVqtWhrUh6wpX8acNj2hpWXKEQwxjA3PYb2sHhNyCn")
SYSTEM_PROGRAM = bytes(32)
TOKEN_PROGRAM = from_base58("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
RENT_SYSVAR = from_base58("SysvarRent111111111111111111111111111111111")
LOADER = from_base58("BPFLoaderUpgradeab1e11111111111111111111111")
NATIVE_LOADER = from_base58("NativeLoader1111111111111111111111111111111")

# Keys that the runtime never hands out as writable, whatever the transaction asks for.
RESERVED_KEYS = frozenset({SYSTEM_PROGRAM, RENT_SYSVAR, LOADER, NATIVE_LOADER})


def is_on_curve(raw: bytes) -> bool:
    """Whether 32 bytes decompress to an edwards25519 point (a program address must not)."""
    y = (int.from_bytes(raw, "little") & (2**255 - 1)) % _FIELD_PRIME
    u = (y * y - 1) % _FIELD_PRIME
    v = (_CURVE_D * y * y + 1) % _FIELD_PRIME
    x_squared = u * pow(v, -1, _FIELD_PRIME) % _FIELD_PRIME
    return x_squared == 0 or pow(x_squared, (_FIELD_PRIME - 1) // 2, _FIELD_PRIME) == 1


@cache
def find_program_address(seeds: tuple[bytes, ...], program: bytes) -> tuple[bytes, int]:
    """The address with the highest valid bump, and that bump."""
    for bump in range(255, -1, -1):
        digest = hashlib.sha256(b"".join(seeds) + bytes([bump]) + program + b"ProgramDerivedAddress").digest()
        if not is_on_curve(digest):
            return digest, bump
    raise AssertionError("no program address for these seeds")


SYSTEM_STATE = find_program_address((b"system_state",), PROGRAM_ID)[0]
MAIN_TREASURY = find_program_address((b"main_treasury",), PROGRAM_ID)[0]
PROGRAM_DATA = find_program_address((PROGRAM_ID,), LOADER)[0]


def pool_address(mint_a: bytes, mint_b: bytes, ratio_a: int, ratio_b: int) -> tuple[bytes, int]:
    """Address and bump of the pool of two ordered mints at (rA, rB) smallest units."""
    seeds = (b"pool_state", mint_a, mint_b, ratio_a.to_bytes(8, "little"), ratio_b.to_bytes(8, "little"))
    return find_program_address(seeds, PROGRAM_ID)


def pool_part(seed: str, pool: bytes) -> tuple[bytes, int]:
    """Address and bump of token_a_vault, token_b_vault, lp_token_a_mint or lp_token_b_mint of a pool."""
    return find_program_address((seed.encode(), pool), PROGRAM_ID)
