"""Random JSON-RPC requests from a seed: right, nearly right, and broken in every way a body can be."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

JSON: Final = "application/json"
TEXTS: Final = (
    "", "A", "a_to_b", "null", "0", "-1", "1e5", " ", "\x00", "\ud800", "é", "日本", "😀", "'; DROP TABLE", "../../etc",
    "x" * 200, "x" * 5_000, "{{7*7}}", "%s%n", "deposit_1", "PoolOne", "\u202e", "__class__", "\r\nX: y",
)  # fmt: skip
NUMBERS: Final = (
    0, -0, 1, -1, 2, 9, 10, 255, 2**31, 2**32, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, -(10**30),
    10**300, 0.0, 0.5, 1.0, -1.5, 1e308, 1e-308,
)  # fmt: skip
NAMES: Final = (
    "", "rpc.describe", "rpc.", "RPC.DISCOVER", "__init__", "list_pools ", "List_Pools", "list_pools\x00", "..",
    "a" * 300, "get_thread_status;", "日本", "\ud800", "toString", "constructor",
)  # fmt: skip
TYPES: Final = (
    "", "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "application/json; charset=utf-16", "application/json;", "APPLICATION/JSON", "json", "application/json-rpc", "é",
    "application/json, text/plain",
)  # fmt: skip
ENCODINGS: Final = ("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-7", "utf-8-sig", "cp037")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One HTTP request. ``calls``: the calls in it where the body is the JSON text of them, else none."""

    body: bytes
    content_type: str = JSON
    calls: tuple[Any, ...] = ()
    verb: str = "POST"


class Fuzz:
    """``valid``: method -> parameters that it accepts."""

    def __init__(self, seed: int, valid: Mapping[str, Mapping[str, Any]]) -> None:
        self._random = Random(seed)
        self._valid = valid
        self._methods = sorted(valid)
        self._number = 0

    def shot(self) -> Shot:
        kinds: tuple[tuple[int, Callable[[], Shot]], ...] = (
            (50, self._one),
            (12, self._batch),
            (8, self._anything),
            (8, self._truncated),
            (5, self._flipped),
            (4, self._encoded),
            (3, self._deep),
            (3, self._twice),
            (3, self._numbers),
            (3, self._typed),
            (1, self._verb),
        )
        weights, makers = zip(*kinds, strict=True)
        return self._random.choices(makers, weights)[0]()

    def _pick(self, values: Any) -> Any:
        return values[self._random.randrange(len(values))]

    def _chance(self, percent: int) -> bool:
        return self._random.randrange(100) < percent

    def value(self, depth: int = 3) -> Any:
        """Any JSON value."""
        kind = self._random.randrange(9 if depth else 6)
        if kind == 0:
            return self._pick((None, True, False))
        if kind in (1, 2):
            return self._pick(NUMBERS)
        if kind in (3, 4, 5):
            return self._pick(TEXTS)
        if kind == 6:
            return [self.value(depth - 1) for _ in range(self._random.randrange(4))]
        return {self._pick(TEXTS): self.value(depth - 1) for _ in range(self._random.randrange(4))}

    def params(self, method: str) -> Any:
        """The method's own, mostly with something wrong in them."""
        given: Any = dict(self._valid.get(method, {}))
        for _ in range(self._random.randrange(3)):
            change = self._random.randrange(5)
            if change == 0 and given:
                del given[self._pick(sorted(given))]
            elif change in (1, 2) and given:
                given[self._pick(sorted(given))] = self.value(2)
            elif change == 3:
                given[self._pick(TEXTS)] = self.value(1)
            elif change == 4:
                return self.value(2) if self._chance(50) else list(given.values())
        return given

    def call(self) -> Any:
        """A request object, mostly one that is nearly right."""
        self._number += 1
        method = self._pick(self._methods) if self._chance(85) else self._pick(NAMES)
        call: Any = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": self.params(method)}
        for _ in range(self._random.choice((0, 0, 0, 1, 2))):
            change = self._random.randrange(6)
            if change == 0:
                call["id"] = self._pick((None, "text", 1.5, -1, 10**20, True, [], {}, "\ud800", ""))
            elif change == 1:
                call.pop(self._pick(sorted(call)), None)
                if not call:
                    return call
            elif change == 2:
                call["jsonrpc"] = self._pick(("1.0", 2.0, 2, None, "", "2.0 ", ["2.0"]))
            elif change == 3:
                call[self._pick(TEXTS)] = self.value(1)
            elif change == 4:
                call["method"] = self.value(1)
            else:
                return self.value(2)
        return call

    def _one(self) -> Shot:
        call = self.call()
        return Shot(body=_bytes(call), calls=(call,))

    def _batch(self) -> Shot:
        size = self._random.choice((0, 1, 2, 3, 5, 8))
        calls = [[self.call()] if self._chance(3) else self.call() for _ in range(size)]
        if self._chance(2):
            calls = [1] * self._random.choice((100, 101, 3_000))
        return Shot(body=_bytes(calls), calls=tuple(calls))

    def _anything(self) -> Shot:
        if self._chance(50):
            return Shot(body=self._random.randbytes(self._random.randrange(200)))
        return Shot(body=_bytes(self.value(4)))

    def _truncated(self) -> Shot:
        body = _bytes(self.call() if self._chance(70) else [self.call(), self.call()])
        return Shot(body=body[: self._random.randrange(max(1, len(body)))])

    def _flipped(self) -> Shot:
        body = bytearray(_bytes(self._read()))
        for _ in range(self._random.randrange(1, 4)):
            body[self._random.randrange(len(body))] = self._random.randrange(256)
        return Shot(body=bytes(body))

    def _read(self) -> Any:
        return {"jsonrpc": "2.0", "id": 1, "method": "list_pools", "params": {}}

    def _encoded(self) -> Shot:
        return Shot(body=json.dumps(self._read()).encode(self._pick(ENCODINGS)))

    def _deep(self) -> Shot:
        depth = self._random.choice((10, 500, 990, 1_010, 5_000, 100_000))
        opening, closing = self._pick((("[", "]"), ('{"a":', "}"), ('[{"params":', "}]")))
        inside = self._pick(("1", "", "{}"))
        text = opening * depth + inside + (closing * depth if self._chance(70) else "")
        if self._chance(50):
            text = f'{{"jsonrpc":"2.0","id":1,"method":"list_pools","params":{text}}}'
        return Shot(body=text.encode())

    def _twice(self) -> Shot:
        """A name that stands there twice: readers of JSON do not agree on which counts."""
        name = self._pick(
            ('"method":"stop_all"', '"id":2', '"params":{"thread_id":"x","thread_id":"y"}', '"jsonrpc":"2.0"')
        )
        return Shot(body=f'{{"jsonrpc":"2.0","id":1,"method":"list_pools","params":{{}},{name}}}'.encode())

    def _numbers(self) -> Shot:
        number = self._pick(
            (
                "1e400",
                "-1e400",
                "NaN",
                "Infinity",
                "1" * 4_000,
                "1" * 5_000,
                "0" * 50,
                "01",
                "1.",
                ".5",
                "+1",
                "0x10",
                "1e",
                "-",
            )
        )
        place = self._pick(('"id":{},"params":{{}}', '"id":1,"params":{{"limit":{}}}', '"id":1,"params":[{}]'))
        return Shot(body=f'{{"jsonrpc":"2.0","method":"list_threads",{place.format(number)}}}'.encode())

    def _typed(self) -> Shot:
        return Shot(body=_bytes(self._read()), content_type=self._pick(TYPES))

    def _verb(self) -> Shot:
        return Shot(body=_bytes(self._read()), verb=self._pick(("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")))


def _bytes(document: Any) -> bytes:
    return json.dumps(document).encode()
