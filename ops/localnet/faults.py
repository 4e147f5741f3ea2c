"""Faults that a real endpoint or cluster shows now and then, switchable at run time and seeded.

Here is only what is decided; HTTP, the chain and the methods ask and act.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from random import Random
from typing import Any

from ops.localnet.blocks import BLOCKHASH_LIFE_BLOCKS, MAX_ENDPOINT_LAG_BLOCKS

#: Fields of each fault: (smallest, largest). `probability` is a number, everything else an integer.
_PROBABILITY = (0, 1)
FIELDS: dict[str, dict[str, tuple[int, int]]] = {
    # Answers wait a uniform time in [min, max] ms.
    "latency_ms": {"probability": _PROBABILITY, "min": (0, 60_000), "max": (0, 60_000)},
    # The connection closes; nothing was executed.
    "lost_request": {"probability": _PROBABILITY},
    # Everything was executed; the connection closes without the answer.
    "lost_reply": {"probability": _PROBABILITY},
    # The transaction waits for a random block, up to the last one its blockhash allows.
    "late_landing": {"probability": _PROBABILITY, "max_blocks": (1, BLOCKHASH_LIFE_BLOCKS)},
    "http_429": {"probability": _PROBABILITY},
    "http_500": {"probability": _PROBABILITY},
    # The transaction's blockhash counts for `blocks` blocks instead of 150; by signature, so resending does not help.
    "early_expiry": {"probability": _PROBABILITY, "blocks": (0, BLOCKHASH_LIFE_BLOCKS)},
    # getTransaction knows the transaction this many slots later than its state shows; by signature.
    "get_transaction_lag": {"probability": _PROBABILITY, "slots": (1, 10_000)},
    # A block is preceded by 1..max slots without one.
    "skipped_slots": {"probability": _PROBABILITY, "max": (1, 1_000)},
    "reordered_batches": {"probability": _PROBABILITY},
    # Before a block the newest 1..slots that are not confirmed are dropped; each of their transactions lands again
    # in the next block with the probability `relanding`, or is forgotten.
    "fork": {"probability": _PROBABILITY, "slots": (1, 32), "relanding": _PROBABILITY},
    # Reads through the path /lag answer from this many blocks behind.
    "lagging_endpoint": {"slots": (0, MAX_ENDPOINT_LAG_BLOCKS)},
}
_DEFAULTS: dict[str, dict[str, float]] = {
    "late_landing": {"max_blocks": BLOCKHASH_LIFE_BLOCKS},
    "early_expiry": {"blocks": 0},
    "skipped_slots": {"max": 1},
    "fork": {"slots": 1, "relanding": 0.5},
}


class UnknownFaultError(ValueError):
    """A fault or a field that does not exist, lacks a value or is out of range; the text names it."""


@dataclass(frozen=True, slots=True)
class RequestFate:
    """What happens to one HTTP request."""

    delay_s: float = 0.0
    status: int = 200
    request_lost: bool = False
    reply_lost: bool = False
    reordered: bool = False


UNHARMED = RequestFate()


def _read_fault(name: str, given: Any) -> dict[str, float]:
    fields = FIELDS.get(name)
    if fields is None:
        raise UnknownFaultError(f"unknown fault `{name}`")
    if not isinstance(given, dict):
        raise UnknownFaultError(f"fault `{name}` must be an object")
    values: dict[str, float] = {"probability": 1} if "probability" in fields else {}
    values |= _DEFAULTS.get(name, {})
    for field, value in given.items():
        if field not in fields:
            raise UnknownFaultError(f"unknown field `{name}.{field}`")
        kinds = (int, float) if fields[field] is _PROBABILITY else (int,)
        low, high = fields[field]
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            raise UnknownFaultError(f"`{name}.{field}` must be a number from {low} to {high}")
        values[field] = value
    missing = [field for field in fields if field not in values]
    if missing:
        raise UnknownFaultError(f"missing field `{name}.{missing[0]}`")
    if name == "latency_ms" and values["min"] > values["max"]:
        raise UnknownFaultError("`latency_ms.max` must not be below `latency_ms.min`")
    return values


class Faults:
    """The switched-on faults and the generators that decide about each."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._on: dict[str, dict[str, float]] = {}
        self._randoms: dict[str, Random] = {}

    def replace(self, given: dict[str, Any]) -> None:
        """Switch exactly the named faults on, all others off; `seed` restarts the generators. UnknownFaultError."""
        rest = dict(given)
        seed = rest.pop("seed", self._seed)
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise UnknownFaultError("`seed` must be an integer")
        # Everything is read before anything changes.
        self._on = {name: _read_fault(name, fields) for name, fields in rest.items()}
        self._seed = seed
        self._randoms = {}

    def describe(self) -> dict[str, Any]:
        """What `replace` would need to bring this state about."""
        return {"seed": self._seed, **self._on}

    def _random(self, name: str) -> Random:
        # One generator per fault: switching one on does not change what another decides.
        if name not in self._randoms:
            self._randoms[name] = Random(f"{self._seed}|{name}")
        return self._randoms[name]

    def _hits(self, name: str) -> bool:
        fault = self._on.get(name)
        return fault is not None and self._random(name).random() < fault["probability"]

    def _fate_of(self, name: str, signature: bytes) -> Random | None:
        """A generator that depends on the signature alone, None when the fault spares it."""
        fault = self._on.get(name)
        if fault is None:
            return None
        digest = hashlib.sha256(f"{self._seed}|{name}|".encode() + signature).digest()
        random = Random(digest)
        return random if random.random() < fault["probability"] else None

    def request_fate(self) -> RequestFate:
        """Draw what happens to the next HTTP request."""
        if not self._on:
            return UNHARMED
        delay_s = 0.0
        if self._hits("latency_ms"):
            latency = self._on["latency_ms"]
            delay_s = self._random("latency_ms").uniform(latency["min"], latency["max"]) / 1000
        # Every draw is made every time, so that one fault's outcome does not shift another's sequence.
        is_429, is_500 = self._hits("http_429"), self._hits("http_500")
        return RequestFate(
            delay_s=delay_s,
            status=429 if is_429 else 500 if is_500 else 200,
            request_lost=self._hits("lost_request"),
            reply_lost=self._hits("lost_reply"),
            reordered=self._hits("reordered_batches"),
        )

    def shuffle(self, answers: list[Any]) -> None:
        """Put a batch's answers into another order."""
        self._random("reordered_batches").shuffle(answers)

    def landing_delay_blocks(self, signature: bytes, blocks_left: int) -> int:
        """How many blocks later than the next one a transaction lands, at most `blocks_left`."""
        random = self._fate_of("late_landing", signature)
        if random is None or blocks_left < 1:
            return 0
        return random.randint(1, min(blocks_left, int(self._on["late_landing"]["max_blocks"])))

    def blockhash_life(self, signature: bytes) -> int:
        """For how many blocks the blockhash of this transaction counts."""
        if self._fate_of("early_expiry", signature) is None:
            return BLOCKHASH_LIFE_BLOCKS
        return int(self._on["early_expiry"]["blocks"])

    def transaction_lag_slots(self, signature: bytes) -> int:
        """How many slots getTransaction hides a landed transaction."""
        if self._fate_of("get_transaction_lag", signature) is None:
            return 0
        return int(self._on["get_transaction_lag"]["slots"])

    def skipped_slots(self) -> int:
        """How many slots without a block precede the next one."""
        if not self._hits("skipped_slots"):
            return 0
        return self._random("skipped_slots").randint(1, int(self._on["skipped_slots"]["max"]))

    def forked_slots(self) -> int:
        """How many of the newest blocks are dropped before the next one."""
        if not self._hits("fork"):
            return 0
        return self._random("fork").randint(1, int(self._on["fork"]["slots"]))

    def relands(self) -> bool:
        """Whether a transaction of a dropped block is still known to whoever makes the next one."""
        chance = self._on.get("fork", _DEFAULTS["fork"])["relanding"]
        return self._random("fork").random() < chance

    def endpoint_lag_blocks(self) -> int:
        """How far reads through /lag stand behind."""
        return int(self._on.get("lagging_endpoint", {}).get("slots", 0))
