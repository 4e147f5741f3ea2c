"""Build and sign legacy transactions, and measure whether instructions fit into one.

Signing is deterministic: the same instructions, payer and blockhash give the same signature. Two equal operations
within one blockhash would therefore be one transaction; the compute-unit limit carries the operation's number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey

from domain.chain.spl import compute_unit_limit_instruction, compute_unit_price_instruction
from domain.errors import StressError
from domain.ids import Signature

MAX_TRANSACTION_BYTES: Final = 1232
MAX_COMPUTE_UNITS: Final = 1_400_000
UNIQUE_COMPUTE_UNITS: Final = 20_000
"""Operations of one wallet that share a blockhash (about 60 s) stay far below this."""

_SIGNATURE_BYTES: Final = 64
_NO_BLOCKHASH: Final = Hash.default()


class TransactionError(StressError):
    """These instructions and signers make no valid transaction."""


class TransactionTooLarge(TransactionError):  # noqa: N818  # says what is wrong, like the other names here
    """The transaction is over 1232 bytes and no node would take it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTransaction:
    """What a node is sent; `signature` (base58) is known before anything is sent and names it for ever."""

    signature: Signature
    wire: bytes


def compute_unit_limit(kind_base_units: int, operation_number: int) -> int:
    """The limit to request: the kind's base plus the operation number modulo 20,000, so that no two are alike.

    Raises TransactionError over 1,400,000 units, which the runtime would cut down to that, and so make two alike.
    """
    units = kind_base_units + operation_number % UNIQUE_COMPUTE_UNITS
    if kind_base_units < 0 or operation_number < 0 or units > MAX_COMPUTE_UNITS:
        raise TransactionError(f"a limit of {units} compute units (base {kind_base_units}) is outside 0..1,400,000")
    return units


def with_compute_budget(
    instructions: Iterable[Instruction], *, compute_units: int | None, price_micro_lamports: int | None = None
) -> list[Instruction]:
    """The instructions behind the compute-budget ones; error indices count those too."""
    budget: list[Instruction] = []
    if compute_units is not None:
        budget.append(compute_unit_limit_instruction(compute_units))
    if price_micro_lamports is not None:
        budget.append(compute_unit_price_instruction(price_micro_lamports))
    return [*budget, *instructions]


def build_transaction(
    *,
    payer: Keypair,
    instructions: Iterable[Instruction],
    blockhash: Hash,
    compute_units: int | None,
    price_micro_lamports: int | None = None,
    signers: Sequence[Keypair] = (),
) -> SignedTransaction:
    """Sign with the payer and every other key the instructions ask for; `signers` need not repeat the payer.

    Raises TransactionError for a missing or superfluous signer, TransactionTooLarge over 1232 bytes.
    """
    budgeted = with_compute_budget(instructions, compute_units=compute_units, price_micro_lamports=price_micro_lamports)
    payer_key = public_key(payer)
    message = Message.new_with_blockhash(budgeted, payer_key, blockhash)
    content = bytes(message)
    signature_count = content[0]
    _check_size(1 + _SIGNATURE_BYTES * signature_count + len(content), len(budgeted))
    first = payer.sign_message(content)
    if signature_count == 1 and not signers:
        return SignedTransaction(signature=Signature(str(first)), wire=b"\x01" + bytes(first) + content)
    by_key = {public_key(signer): signer for signer in signers}
    by_key[payer_key] = payer
    required = message.account_keys[:signature_count]
    if set(required) != by_key.keys():
        raise TransactionError(
            f"signers do not match: missing {_texts(set(required) - by_key.keys())}, "
            f"not asked for {_texts(by_key.keys() - set(required))}"
        )
    signatures = [bytes(first), *(bytes(by_key[key].sign_message(content)) for key in required[1:])]
    return SignedTransaction(
        signature=Signature(str(first)), wire=bytes([signature_count]) + b"".join(signatures) + content
    )


def public_key(keypair: Keypair) -> Pubkey:
    """The public half as stored in the 64 bytes; Keypair.pubkey() computes it anew, at half the cost of signing."""
    return Pubkey.from_bytes(bytes(keypair)[32:])


def transaction_size_bytes(payer: Pubkey, instructions: Sequence[Instruction]) -> int:
    """Size on the wire of one transaction with exactly these instructions (compute budget included by the caller)."""
    content = bytes(Message.new_with_blockhash(list(instructions), payer, _NO_BLOCKHASH))
    return 1 + _SIGNATURE_BYTES * content[0] + len(content)


def fits(payer: Pubkey, instructions: Sequence[Instruction]) -> bool:
    """Whether the instructions and a compute-unit limit go into one transaction."""
    budgeted = with_compute_budget(instructions, compute_units=MAX_COMPUTE_UNITS)
    return transaction_size_bytes(payer, budgeted) <= MAX_TRANSACTION_BYTES


def _check_size(size_bytes: int, instruction_count: int) -> None:
    if size_bytes > MAX_TRANSACTION_BYTES:
        raise TransactionTooLarge(
            f"{instruction_count} instructions make {size_bytes} bytes, {size_bytes - MAX_TRANSACTION_BYTES} over the "
            f"limit of {MAX_TRANSACTION_BYTES}"
        )


def _texts(keys: Iterable[Pubkey]) -> str:
    return ", ".join(sorted(str(key) for key in keys)) or "none"
