"""Files that are whole or not there: written aside, synced, renamed; with a checksum in their first lines."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

from domain.errors import StressError

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
_DRAFT: Final = ".draft-"
_CHECKSUM: Final = '  "checksum": "sha256:'


class FilesError(StressError):
    """The data folder cannot be used as it is. Nothing in it was changed."""


class DamagedFile(FilesError):  # noqa: N818  # says what is wrong
    """A file that is there and is not what was written."""


def make_folder(path: Path) -> None:
    """The folder with mode 0700, its parents as they come."""
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def append_rows(path: Path, rows: bytes) -> None:
    """Add whole rows, on the disk before this returns. Mode 0600. OSError when there is no room or no permission.

    One write, so that a frozen writer cannot leave half a row for another one to write into. What a killed writer cut
    off stays a row of its own, which readers drop.
    """
    make_folder(path.parent)
    there = path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(descriptor, "a+b", buffering=0) as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                rows = b"\n" + rows
        left = memoryview(rows)
        while left:
            left = left[file.write(left) :]
        os.fsync(file.fileno())
    if not there:
        sync_folder(path.parent)


def write_atomic(path: Path, content: bytes, *, durable: bool = True) -> None:
    """``path`` holds the old content or all of the new one, whatever happens. Mode 0600.

    ``durable``: on the disk before this returns. OSError when there is no room or no permission.
    """
    draft = path.with_name(f".{path.name}{_DRAFT}{secrets.token_hex(6)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Names that were given or taken in it are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_drafts(folder: Path) -> None:
    """What a killed writer left. Only for the one writer of the folder."""
    for draft in folder.glob(f".*{_DRAFT}*"):
        draft.unlink(missing_ok=True)


def to_bytes(document: dict[str, Any]) -> bytes:
    """Indented JSON whose first field is the checksum of all that follows it."""
    try:
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    except TypeError:  # an amount beyond 64 bits; json's own indentation would take ten times as long
        text = orjson.dumps(_with_fragments(document), option=orjson.OPT_INDENT_2)
    rest = text.removeprefix(b"{\n") + b"\n"
    return f'{{\n{_CHECKSUM}{sha256(rest).hexdigest()}",\n'.encode() + rest


def _with_fragments(data: Any) -> Any:
    """The same data with every integer of more than 64 bits as the digits that are to be written."""
    if isinstance(data, dict):
        return {name: _with_fragments(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_with_fragments(value) for value in data]
    if isinstance(data, int) and not -(2**63) <= data < 2**64:
        return orjson.Fragment(str(data))
    return data


def from_bytes(content: bytes) -> dict[str, Any]:
    """The document without its checksum. Raises ValueError saying what is wrong.

    A file whose checksum line was taken out by a person who edited it is read as it is.
    """
    if not content.strip():
        raise ValueError("it is empty")
    brace, _, following = content.partition(b"\n")
    line, _, rest = following.partition(b"\n")
    signed = brace == b"{" and line.startswith(_CHECKSUM.encode())
    if signed and line != f'{_CHECKSUM}{sha256(rest).hexdigest()}",'.encode():
        raise ValueError("its content does not match its checksum")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004  # the content is wrong, not a type of ours
    document.pop("checksum", None)
    return document


def read_document(path: Path) -> dict[str, Any] | None:
    """None when there is no such file. Raises DamagedFile, and FilesError when it cannot be read."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FilesError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return from_bytes(content)
    except ValueError as error:
        raise DamagedFile(f"{path} is damaged: {error}") from None


def backup_of(path: Path) -> Path:
    return path.with_name(path.name + ".backup")


def read_with_backup(path: Path, check: Callable[[dict[str, Any]], object]) -> tuple[dict[str, Any] | None, str]:
    """The document from the file, else from its backup; with why the file itself was not used ("" when it was).

    ``check`` raises KeyError, TypeError or ValueError for a document that is another one than should be there. None
    when neither file is there. Raises DamagedFile when what is there is damaged.
    """
    reasons: list[str] = []
    for each in (path, backup_of(path)):
        try:
            found = read_document(each)
            if found is not None:
                check(found)
                return found, "; ".join(reasons)
            reasons.append(f"{each} is missing")
        except DamagedFile as error:
            reasons.append(str(error))
        except (KeyError, TypeError, ValueError):
            reasons.append(f"{each} is damaged: it does not hold what belongs there")
    if all("missing" in reason for reason in reasons):
        return None, ""
    raise DamagedFile("; ".join(reasons))
