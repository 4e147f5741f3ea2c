"""Base58 for byte strings of any length (solders has it for keys and signatures only)."""

from __future__ import annotations

from solders.signature import Signature

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ZERO = _ALPHABET[0]
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
#: As many digits as always fit into a signature's 64 bytes.
_CHUNK_DIGITS = 87
#: As many as stay in one machine word.
_WORD_DIGITS = 10
_CHUNK = 58**_CHUNK_DIGITS


def encode(data: bytes) -> str:
    """`data` in base58."""
    number, chunks = int.from_bytes(data, "big"), []
    # Chunk by chunk through solders' own encoder: digit by digit took half the time of a getTransaction.
    while number:
        number, chunk = divmod(number, _CHUNK)
        digits = str(Signature.from_bytes(chunk.to_bytes(64, "big"))).lstrip(_ZERO)
        chunks.append(digits.rjust(_CHUNK_DIGITS, _ZERO))
    leading_zeros = len(data) - len(data.lstrip(b"\0"))
    return _ZERO * leading_zeros + "".join(reversed(chunks)).lstrip(_ZERO)


def decode(text: str) -> bytes:
    """The bytes that `text` stands for. ValueError for a letter that is none of base58."""
    number = 0
    for start in range(0, len(text), _WORD_DIGITS):
        letters, word = text[start : start + _WORD_DIGITS], 0
        for letter in letters:
            value = _VALUES.get(letter)
            if value is None:
                raise ValueError(f"invalid base58 character {letter!r}")
            word = word * 58 + value
        number = number * 58 ** len(letters) + word
    leading_zeros = len(text) - len(text.lstrip(_ZERO))
    return b"\0" * leading_zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
