"""How an instruction record becomes bytes and account metas, and back: one declaration serves both directions.

An instruction is one discriminator byte, fixed-size borsh fields, and an exact list of accounts (CONTRACT.md 3.0).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from struct import error as StructError  # noqa: N812  # the library's class has a lower-case name
from typing import Any, Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from domain.contract_errors import InstructionKind
from domain.errors import StressError

U8: Final = "B"
U64: Final = "Q"
BOOL: Final = "?"
PUBKEY: Final = "32s"


class InstructionFormatError(StressError):
    """Bytes or accounts that are not the instruction they are said to be, or a value that does not fit its field."""


@dataclass(frozen=True, slots=True)
class Account:
    """One place in the account list: the record's field it comes from, or a key that never changes."""

    source: str | Pubkey
    signer: bool = False
    writable: bool = False


@dataclass(frozen=True, slots=True)
class InstructionFormat:
    """The declaration of one instruction; `rest` names a tuple field whose keys follow the fixed accounts, writable."""

    kind: InstructionKind
    accounts: tuple[Account, ...]
    arguments: tuple[tuple[str, str], ...] = ()
    rest: str | None = None
    _packer: Struct = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_packer", Struct("<B" + "".join(code for _, code in self.arguments)))

    @property
    def size_bytes(self) -> int:
        return self._packer.size

    def encode(self, record: object, program_id: Pubkey, *, tail: bytes = b"") -> Instruction:
        """The instruction that `record` describes. Raises InstructionFormatError when a value does not fit."""
        return Instruction(program_id, self.encode_arguments(record) + tail, self.encode_accounts(record))

    def encode_arguments(self, record: object) -> bytes:
        values = [
            bytes(getattr(record, name)) if code == PUBKEY else getattr(record, name) for name, code in self.arguments
        ]
        try:
            return self._packer.pack(self.kind, *values)
        except StructError as error:
            raise InstructionFormatError(f"{self.kind.name}: {error}") from error

    def encode_accounts(self, record: object) -> list[AccountMeta]:
        metas = [
            AccountMeta(
                getattr(record, account.source) if isinstance(account.source, str) else account.source,
                account.signer,
                account.writable,
            )
            for account in self.accounts
        ]
        if self.rest is not None:
            metas += [AccountMeta(key, is_signer=False, is_writable=True) for key in getattr(record, self.rest)]
        return metas

    def decode(self, instruction: Instruction, *, tail_allowed: bool = False) -> dict[str, Any]:
        """Field values by name: accounts and arguments. Lengths and account counts must be exact."""
        data = instruction.data
        if len(data) < self.size_bytes or (len(data) > self.size_bytes and not tail_allowed):
            raise InstructionFormatError(f"{self.kind.name} takes {self.size_bytes} bytes of data, got {len(data)}")
        discriminator, *raw = self._packer.unpack_from(data)
        if discriminator != self.kind:
            raise InstructionFormatError(f"discriminator {discriminator} is not {self.kind.name} ({int(self.kind)})")
        values = self._decode_accounts(instruction.accounts)
        position = 1
        for (name, code), value in zip(self.arguments, raw, strict=True):
            if code == PUBKEY:
                values[name] = Pubkey.from_bytes(value)
                position += 32
                continue
            if code == BOOL and data[position] > 1:
                raise InstructionFormatError(f"{self.kind.name}: {name} is a bool, got byte {data[position]}")
            values[name] = value
            position += 8 if code == U64 else 1
        return values

    def _decode_accounts(self, metas: list[AccountMeta]) -> dict[str, Any]:
        fixed = len(self.accounts)
        if len(metas) < fixed or (len(metas) > fixed and self.rest is None):
            raise InstructionFormatError(f"{self.kind.name} takes {fixed} accounts, got {len(metas)}")
        values: dict[str, Any] = {}
        for index, (account, meta) in enumerate(zip(self.accounts, metas, strict=False)):
            if isinstance(account.source, str):
                values[account.source] = meta.pubkey
            elif meta.pubkey != account.source:
                raise InstructionFormatError(
                    f"{self.kind.name}: account {index} is {meta.pubkey}, not {account.source}"
                )
        if self.rest is not None:
            values[self.rest] = tuple(meta.pubkey for meta in metas[fixed:])
        return values
