"""The table of all settings, made from the model itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from domain.runtime.settings import ENV_PREFIX, Settings

BEGIN: Final = "<!-- settings: frt config --docs -->"
END: Final = "<!-- end of settings -->"


def settings_table() -> str:
    """Markdown: name, default, limits and meaning of every setting, in the order of the model."""
    rows = [
        f"| `{name}` | {_default(field)} | {_meaning(field)} |"
        for name, field in Settings.model_fields.items()
        if field.description
    ]
    head = f"As `{ENV_PREFIX}<NAME>` in the environment, or `name` in the TOML file that `{ENV_PREFIX}CONFIG` names.\n"
    return "\n".join((head, "| setting | default | meaning |", "|---|---|---|", *rows)) + "\n"


def undocumented() -> list[str]:
    """Settings without a description: there must be none."""
    return [name for name, field in Settings.model_fields.items() if not field.description]


def update(page: Path) -> bool:
    """Put the table between the marks of a page; was it different?"""
    text = page.read_text("utf-8")
    new = re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n\n{settings_table()}\n{END}", text, flags=re.DOTALL)
    if new != text:
        page.write_text(new, encoding="utf-8")
    return new != text


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "follows from others"
    value: Any = field.default
    if value is None or value is PydanticUndefined:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        value = ", ".join(value) or "empty"
    return f"`{value}`"


def _meaning(field: FieldInfo) -> str:
    limits = []
    for rule in field.metadata:
        for word, name in (("at least", "ge"), ("above", "gt"), ("at most", "le"), ("below", "lt")):
            limit = getattr(rule, name, None)
            if limit is not None:
                limits.append(f"{word} {limit:,}")
    told = (field.description or "").replace("|", "\\|")
    return f"{told} ({', '.join(limits)})" if limits else told
