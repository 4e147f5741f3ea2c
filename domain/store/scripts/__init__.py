"""Lua scripts, one verb per file, loaded by name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class LuaScript:
    """One script's text and the SHA-1 that Redis knows it by."""

    name: str
    text: str
    sha: str


@cache
def load(name: str) -> LuaScript:
    """The script in ``<name>.lua``; FileNotFoundError when there is none."""
    text = files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8")
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return LuaScript(name=name, text=text, sha=sha)


def names() -> tuple[str, ...]:
    """All scripts there are."""
    found = (entry.name for entry in files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(".lua") for name in found if name.endswith(".lua")))
