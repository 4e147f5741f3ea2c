"""Takes secrets out of texts and values before they are shown: settings dumps, log lines, error texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

HIDDEN: Final = "***"

# Names whose values are never shown. "sealed" texts are ciphertext, but nobody needs them in a log either.
_SECRET_NAMES: Final = frozenset(
    {
        "api_key",
        "authorization",
        "cookie",
        "keypair",
        "mnemonic",
        "passphrase",
        "password",
        "private_key",
        "sealed",
        "sealed_key",
        "sealing_key",
        "secret",
        "secret_key",
        "seed_phrase",
        "token",
        "x_api_key",
    }
)
_USERINFO: Final = re.compile(r"(?<=://)[^\s/'\"]+(?=@)")
_QUERY: Final = re.compile(r"(https?|wss?)(://[^\s?'\"]+)\?[^\s'\"]+")
_KEY_BYTES: Final = re.compile(r"\[(?:\s*\d{1,3}\s*,){31,}\s*\d{1,3}\s*\]")  # a solana-keygen file
_LONG_SEGMENT: Final = re.compile(r"^[A-Za-z0-9_-]{16,}$")  # RPC providers put their keys into the path
_WEB_PATH: Final = re.compile(r"((?:https?|wss?)://[^\s/?'\"]+)(/[^\s?'\"]*)")
_KEY_IN_PATH: Final = re.compile(r"(?<=/)[A-Za-z0-9_-]{16,}")


def redact_url(url: str) -> str:
    """The URL without user info, query values and key-like path segments; still recognisable."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    if not parts.scheme:
        return HIDDEN
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{HIDDEN}@{host}" if "@" in parts.netloc else host
    path = parts.path
    if parts.scheme != "unix":
        path = "/".join(HIDDEN if _LONG_SEGMENT.match(part) else part for part in path.split("/"))
    query = f"?{parts.query}" if parts.query else ""
    if set(parse_qs(parts.query, keep_blank_values=True)) - {"db"}:
        query = f"?{HIDDEN}"
    return f"{parts.scheme}://{netloc}{path}{query}"


def redact_text(text: str) -> str:
    """The text with URL credentials, key-like URL path segments, URL queries and key files' bytes taken out."""
    text = _USERINFO.sub(HIDDEN, text)
    text = _WEB_PATH.sub(lambda found: found[1] + _KEY_IN_PATH.sub(HIDDEN, found[2]), text)
    text = _QUERY.sub(rf"\1\2?{HIDDEN}", text)
    return _KEY_BYTES.sub(HIDDEN, text)


def is_secret(name: str) -> bool:
    return name.lower().replace("-", "_") in _SECRET_NAMES


def redact(value: Any) -> Any:
    """A copy of a JSON-like value in which no secret is left: by name, and inside its texts."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return HIDDEN
    if isinstance(value, Mapping):
        return {name: HIDDEN if is_secret(str(name)) else redact(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return redact_text(str(value)) if len(value) >= 32 and _is_bytes(value) else [redact(item) for item in value]
    return value


def _is_bytes(values: list[Any] | tuple[Any, ...]) -> bool:
    return all(type(value) is int and 0 <= value <= 255 for value in values)
