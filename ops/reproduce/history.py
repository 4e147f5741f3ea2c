"""What happened in a fault's pool just before it, from the journal that the run left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from domain.operations import Outcome
from ops.reproduce.recorded import Recorded
from tasks.spill import read_spilled

SHOWN: Final = 8
_CHANGED: Final = (Outcome.CONFIRMED, Outcome.RECOVERED)
_AMOUNTS: Final = ("spent", "received", "pool_fee", "probe")


def last_entries(directory: Path, recorded: Recorded) -> list[str]:
    """The newest operations that changed the pool up to the fault's slot, oldest first; what failed changed nothing."""
    pool_id, slot = recorded.document.get("pool_id"), recorded.slot
    if pool_id is None or slot is None:
        return []
    lines = read_spilled(directory / "data" / "journal.jsonl") or read_spilled(directory / "journal.jsonl")
    found = []
    for line in lines:
        entry = json.loads(line)
        at = entry.get("slot")
        changed = entry.get("outcome") in _CHANGED and entry.get("pool") == pool_id
        if changed and at is not None and at <= slot:
            found.append((at, _text(entry)))
    found.sort(key=lambda pair: pair[0])
    return [text for _, text in found[-SHOWN:]]


def _text(entry: Mapping[str, Any]) -> str:
    amounts = " ".join(f"{name} {entry[name]}" for name in _AMOUNTS if entry.get(name) not in (None, "", "0"))
    return f"slot {entry['slot']} {entry['op']} {entry['kind']} {amounts}".rstrip()
