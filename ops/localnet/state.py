"""The chain on disk: a file of lines, one per fact, that only grows until it is written anew.

A line is written when its block is confirmed, before anybody can read it at confirmed: what a client has seen confirmed
is in the file, whatever kills the process, and what is not confirmed may be lost, as on a fork. A row that was cut off
and whatever follows the last whole block are dropped when it is read.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import orjson
from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey

from ops.localnet.blocks import Block
from ops.localnet.history import TxRecord
from ops.localnet.settings import LocalnetSettings

VERSION = 1


class StateError(ValueError):
    """The file is no saved state, or one of another chain; the text says which."""


@dataclass(slots=True, kw_only=True)
class Image:
    """A whole chain as it was read: accounts oldest state first, blocks and transactions in their order."""

    accounts: list[tuple[Pubkey, int, Account | None]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    transactions: list[TxRecord] = field(default_factory=list)
    first_seq: int = 0
    queue: list[bytes] = field(default_factory=list)
    airdrops: int = 0
    clock_offset_s: int = 0
    restarts: int = 0


def head(settings: LocalnetSettings, *, first_seq: int, airdrops: int, clock_offset_s: int, restarts: int) -> bytes:
    """The first line: which chain this is."""
    return _row(
        k="head",
        version=VERSION,
        **_identity(settings),
        first_seq=first_seq,
        airdrops=airdrops,
        clock_offset_s=clock_offset_s,
        restarts=restarts,
    )


def _identity(settings: LocalnetSettings) -> dict[str, Any]:
    program = None if settings.program is None else sha256(settings.program.read_bytes()).hexdigest()
    return {"seed": settings.seed, "program_id": settings.program_id, "program": program}


def account_row(key: Pubkey, slot: int, account: Account | None) -> bytes:
    if account is None:
        return _row(k="account", key=_text(bytes(key)), slot=slot, gone=True)
    return _row(
        k="account",
        key=_text(bytes(key)),
        slot=slot,
        lamports=account.lamports,
        owner=_text(bytes(account.owner)),
        data=_text(account.data),
        executable=account.executable,
    )


def transaction_row(record: TxRecord | bytes) -> bytes:
    return _row(k="tx", packed=_text(record if isinstance(record, bytes) else record.pack()))


def block_row(block: Block, airdrops: int, clock_offset_s: int) -> bytes:
    return _row(
        k="block",
        slot=block.slot,
        height=block.height,
        parent=block.parent_slot,
        hash=_text(bytes(block.blockhash)),
        time=block.unix_timestamp,
        end_seq=block.end_seq,
        price=block.min_unit_price,
        airdrops=airdrops,
        clock_offset_s=clock_offset_s,
    )


def queue_row(raw: list[bytes]) -> bytes:
    return _row(k="queue", raw=[_text(each) for each in raw])


def read_image(path: Path, settings: LocalnetSettings) -> Image:
    """Raises StateError for a file that is no state of this chain; OSError."""
    with path.open("rb") as file:
        first = _document(file.readline())
        if first is None or first.get("k") != "head" or first.get("version") != VERSION:
            raise StateError(f"{path} is no saved state of a local chain")
        for name, value in _identity(settings).items():
            if first[name] != value:
                raise StateError(f"{path} is the state of another chain: its {name} is {first[name]}, not {value}")
        image = Image(
            first_seq=first["first_seq"],
            airdrops=first["airdrops"],
            clock_offset_s=first["clock_offset_s"],
            restarts=first["restarts"],
        )
        waiting: list[tuple[Pubkey, int, Account | None]] = []
        for row in file:
            doc = _document(row)
            if doc is None:
                if file.read(1):  # not the last one: what follows cannot be told apart from another history
                    raise StateError(f"{path} is damaged in its midst; restore a copy of it, or move it away")
                break  # the last row was cut off
            try:
                _take(image, waiting, doc)
            except StateError:
                raise
            except (KeyError, TypeError, ValueError) as error:
                raise StateError(f"{path} is damaged: a line of kind {doc.get('k')!r} cannot be read") from error
    if not image.blocks:
        raise StateError(f"{path} holds no block")
    del image.transactions[image.blocks[-1].end_seq - image.first_seq :]
    return image


def _take(image: Image, waiting: list[tuple[Pubkey, int, Account | None]], doc: dict[str, Any]) -> None:
    match doc["k"]:
        case "account":
            waiting.append((Pubkey(_bytes(doc["key"])), doc["slot"], _account(doc)))
        case "tx":
            image.transactions.append(TxRecord.unpack(_bytes(doc["packed"])))
        case "block":
            image.accounts += waiting
            waiting.clear()
            image.airdrops, image.clock_offset_s = doc["airdrops"], doc["clock_offset_s"]
            image.blocks.append(
                Block(
                    slot=doc["slot"],
                    height=doc["height"],
                    parent_slot=doc["parent"],
                    blockhash=Hash(_bytes(doc["hash"])),
                    unix_timestamp=doc["time"],
                    end_seq=doc["end_seq"],
                    min_unit_price=doc["price"],
                )
            )
        case "queue":
            image.queue = [_bytes(text) for text in doc["raw"]]
        case other:
            raise StateError(f"unknown line {other!r} in the saved state")


def _account(doc: dict[str, Any]) -> Account | None:
    if doc.get("gone"):
        return None
    return Account(doc["lamports"], _bytes(doc["data"]), Pubkey(_bytes(doc["owner"])), doc["executable"])


def write_whole(path: Path, rows: Iterator[bytes]) -> None:
    """A new file in the place of the old one, complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            for row in rows:
                file.write(row)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


class StateLog:
    """The state's file while the chain runs. ``append`` hands the rows to the system; ``sync`` to the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def begin(self, rows: Iterator[bytes]) -> None:
        """Write everything anew, then go on behind it."""
        self.close()
        write_whole(self.path, rows)
        self._file = self.path.open("ab", buffering=0)

    def append(self, rows: Iterator[bytes]) -> None:
        if self._file is not None:
            self._file.write(b"".join(rows))

    def sync(self) -> None:
        """May take as long as the disk does: not for the thread that ends slots."""
        file = self._file
        if file is not None:
            with suppress(ValueError):  # closed meanwhile, because everything is written anew
                os.fdatasync(file.fileno())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _row(**fields: Any) -> bytes:
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def _document(row: bytes) -> dict[str, Any] | None:
    if not row.endswith(b"\n"):
        return None
    try:
        doc = orjson.loads(row)
    except orjson.JSONDecodeError:
        return None
    return doc if isinstance(doc, dict) else None


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return b64decode(text)
