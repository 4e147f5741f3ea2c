"""The journal's lines read into operations. Identical lines count once: the spiller may repeat some after a crash."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from domain.audit_records import Journal, JournalOp, Settled
from domain.ids import OperationId, PoolId, Signature
from domain.operations import OperationKind, Outcome

SETTLING = frozenset({"settled", "recovered"})


def read_journal(lines: Iterable[str]) -> Journal:
    """Two different lines of one event and operation, one signature twice, or an outcome without an operation are
    reported in ``broken``. Lines that are no JSON object, or lack what every operation has, too.
    """
    submitted: dict[str, dict[str, Any]] = {}
    settled: dict[str, dict[str, Any]] = {}
    broken: list[tuple[str, str]] = []
    unknown: Counter[str] = Counter()
    for line in dict.fromkeys(lines):
        doc = _document(line)
        if doc is None:
            broken.append(("", f"not a journal line: {line[:200]}"))
            continue
        event, name = doc["event"], doc["op"]
        kept = submitted if event == "submitted" else settled if event in SETTLING else None
        if kept is None:
            unknown[event] += 1
        elif name in kept:
            broken.append((name, f"{event} twice, with different content"))
        else:
            kept[name] = doc
    broken += [(name, "an outcome without a submission") for name in settled.keys() - submitted.keys()]
    operations = []
    for name, doc in submitted.items():
        try:
            operations.append(_operation(doc, settled.get(name)))
        except (KeyError, ValueError, TypeError) as error:
            broken.append((name, f"its lines cannot be read: {error!r}"))
    used: dict[Signature, str] = {}
    for operation in operations:
        other = used.setdefault(operation.signature, operation.operation_id)
        if other != operation.operation_id:
            broken.append((operation.operation_id, f"its signature is also that of {other}"))
    return Journal(operations=tuple(operations), broken=tuple(broken), unknown_events=dict(unknown))


def _document(line: str) -> dict[str, Any] | None:
    try:
        doc = json.loads(line)
    except ValueError:
        return None
    return doc if isinstance(doc, dict) and isinstance(doc.get("event"), str) and "op" in doc else None


def _operation(doc: dict[str, Any], outcome: dict[str, Any] | None) -> JournalOp:
    return JournalOp(
        operation_id=OperationId(doc["op"]),
        number=int(doc["n"]),
        kind=OperationKind(doc["kind"]),
        pool_id=None if doc.get("pool") is None else PoolId(doc["pool"]),
        signature=Signature(doc["sig"]),
        inputs=doc.get("inputs") or {},
        settled=None if outcome is None else _settled(outcome),
    )


def _settled(doc: dict[str, Any]) -> Settled:
    def number(name: str) -> int | None:
        return None if doc.get(name) is None else int(doc[name])

    return Settled(
        outcome=Outcome(doc["outcome"]),
        slot=number("slot"),
        error=doc.get("error") or "",
        spent=number("spent"),
        received=number("received"),
        fee=number("fee"),
        pool_fee=number("pool_fee"),
        compute_units=number("cu"),
    )
