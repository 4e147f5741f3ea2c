"""API keys: what one looks like, how the configured ones are read, and finding the one that was presented.

Only digests are kept. A key has 256 random bits, so a plain SHA-256 cannot be searched through.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Final

from domain.errors import StressError
from domain.runtime.settings import Settings

PREFIX: Final = "frt_"  # so that a scanner of leaked keys, and a person, can tell what it is
SHORTEST_SECRET: Final = 24
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_RIGHTS: Final = {"full": False, "read": True}
_FORM: Final = "name:full|read:sha256:HEX or name:full|read:SECRET"


class KeyFileError(StressError):
    """The configured API keys cannot be used. The message names the entry by its number, never by its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """``digest``: the SHA-256 of the key's text."""

    name: str
    read_only: bool
    digest: bytes

    def entry(self) -> str:
        """As it stands in ``api_keys`` or in the file of keys."""
        return f"{self.name}:{'read' if self.read_only else 'full'}:sha256:{self.digest.hex()}"


class KeyRing:
    """Every configured key."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = tuple(keys)

    def find(self, presented: str) -> ApiKey | None:
        """The key with this text. Every key is compared, each in constant time, so timing tells nothing."""
        digest = sha256(presented.encode("utf-8", "surrogateescape")).digest()
        found = None
        for key in self._keys:
            if compare_digest(key.digest, digest):
                found = key
        return found


def new_key(name: str, *, read_only: bool) -> tuple[str, ApiKey]:
    """A new key's text, which is shown once and kept nowhere, and what is configured of it. Raises KeyFileError."""
    if not _NAME.fullmatch(name):
        raise KeyFileError("a key's name has 1 to 64 letters, digits, dots, dashes and underscores")
    text = PREFIX + secrets.token_urlsafe(32)
    return text, ApiKey(name=name, read_only=read_only, digest=sha256(text.encode()).digest())


def load_keys(settings: Settings) -> KeyRing:
    """The keys of the settings and of the file. Raises KeyFileError."""
    entries: list[str] = []
    if settings.api_keys is not None:
        entries += settings.api_keys.get_secret_value().split(",")
    if settings.api_keys_file is not None:
        entries += read_file(settings.api_keys_file)
    keys = [parse(entry.strip(), number) for number, entry in enumerate(entries, start=1) if entry.strip()]
    names = [key.name for key in keys]
    if len(set(names)) != len(names):
        raise KeyFileError("two API keys have the same name")
    if len({key.digest for key in keys}) != len(keys):
        raise KeyFileError("two names have the same API key")
    if settings.api_key_required and not keys:
        raise KeyFileError("an API key is required, but there is none in api_keys or api_keys_file")
    return KeyRing(keys)


def read_file(path: Path) -> list[str]:
    """The lines of a file of keys, without comments. Raises KeyFileError, also when others may read the file."""
    try:
        if path.stat().st_mode & 0o077:
            raise KeyFileError(f"{path} can be read by others; its mode must be 0600")
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise KeyFileError(f"{path} is not a file of API keys") from None
    except OSError as error:
        raise KeyFileError(f"the file of API keys {path} cannot be read: {error.strerror}") from None
    return [line for line in lines if not line.lstrip().startswith("#")]


def parse(entry: str, number: int) -> ApiKey:
    """One entry, with its digest or with the key itself. Raises KeyFileError."""
    name, _, rest = entry.partition(":")
    rights, _, secret = rest.partition(":")
    if not _NAME.fullmatch(name) or rights not in _RIGHTS or not secret:
        raise KeyFileError(f"API key {number} is not of the form {_FORM}")
    kind, _, digest = secret.partition(":")
    if kind == "sha256":
        if not _DIGEST.fullmatch(digest):
            raise KeyFileError(f"API key {number} ({name}): a SHA-256 digest has 64 lower-case hexadecimal digits")
        return ApiKey(name=name, read_only=_RIGHTS[rights], digest=bytes.fromhex(digest))
    if len(secret) < SHORTEST_SECRET:
        raise KeyFileError(f"API key {number} ({name}): a key has at least {SHORTEST_SECRET} characters")
    return ApiKey(name=name, read_only=_RIGHTS[rights], digest=sha256(secret.encode()).digest())
