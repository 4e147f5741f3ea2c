"""The blocks of commands and code in the project's pages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "ops/deploy/README.md", "ops/deploy/SECURITY.md", "ops/bench/echo/README.md", "tests/README.md")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[list[str]]:
    """The words of every line of shell, without comments, and of every `./frt ...` in the text."""
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    inline = re.findall(r"`(\./frt [^`]+)`", (ROOT / page).read_text("utf-8"))
    return [words for line in (*lines, *inline) if (words := shlex.split(line, comments=True))]


def ours(words: list[str]) -> list[str] | None:
    """The arguments of a call of our command line, whatever variables or sudo stand before it."""
    while words and (re.match(r"\w+=", words[0]) or words[0] == "sudo"):
        words = words[1:]
    return words[1:] if words and words[0] in ("./frt", "frt") else None
