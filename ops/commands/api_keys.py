"""`frt api-key`: a new API key, shown once, and what to configure of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from api.security.keys import KeyFileError, new_key, parse, read_file


def api_key(
    name: Annotated[str, typer.Argument(help="Who will use it; shown in the audit log.")],
    read_only: Annotated[bool, typer.Option("--read-only", help="It may look, but not act.")] = False,
    file: Annotated[Path | None, typer.Option(help="Add the entry to this file of keys (made with mode 0600).")] = None,
) -> None:
    """Make an API key. The key is printed once and kept nowhere; the service is given its digest alone."""
    text, key = new_key(name, read_only=read_only)
    if file is not None:
        _add(file, name, key.entry())
    print(f"key    {text}")
    print(f"entry  {key.entry()}")
    if file is None:
        print("Put the entry into FRT_API_KEYS (comma-separated) or into the file that FRT_API_KEYS_FILE names.")


def _add(file: Path, name: str, entry: str) -> None:
    """Raises KeyFileError when the file is not one of keys, has the name already or cannot be written."""
    lines = read_file(file) if file.exists() else []
    entries = [parse(line.strip(), number) for number, line in enumerate(lines, start=1) if line.strip()]
    if any(known.name == name for known in entries):
        raise KeyFileError(f"{file} has a key with the name {name} already")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise KeyFileError(f"{file} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "a+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        ended = size == 0 or os.pread(stream.fileno(), 1, size - 1) == b"\n"
        stream.write(f"{'' if ended else chr(10)}{entry}\n".encode())
