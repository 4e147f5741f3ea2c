"""Base58 for byte strings of any length (solders has it for keys and signatures only)."""

from __future__ import annotations

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}


def encode(data: bytes) -> str:
    """`data` in base58."""
    number, letters = int.from_bytes(data, "big"), []
    while number:
        number, digit = divmod(number, 58)
        letters.append(_ALPHABET[digit])
    leading_zeros = len(data) - len(data.lstrip(b"\0"))
    return _ALPHABET[0] * leading_zeros + "".join(reversed(letters))


def decode(text: str) -> bytes:
    """The bytes that `text` stands for. ValueError for a letter that is none of base58."""
    number = 0
    for letter in text:
        value = _VALUES.get(letter)
        if value is None:
            raise ValueError(f"invalid base58 character {letter!r}")
        number = number * 58 + value
    leading_zeros = len(text) - len(text.lstrip(_ALPHABET[0]))
    return b"\0" * leading_zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
