"""The table of threads: all of them as short rows, read at most every two seconds, filtered, sorted and cut here."""

from __future__ import annotations

from threading import Lock
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from api.ports import Store
from domain.runtime.clock import Clock
from domain.state import Order
from domain.store.records import ChainRecord, config_from_text
from domain.thread import ThreadConfig, ThreadStatus

FRESH_S: Final = 2.0
MAX_ROWS: Final = 200

Row = dict[str, Any]


class ThreadQuery(BaseModel):
    """What part of the table is wanted. ``q`` is a part of the thread's or its wallet's name."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    q: Annotated[str, Field(max_length=64)] = ""
    status: Literal["", "created", "running", "stopped", "error"] = ""
    kind: Literal["", "deposit", "withdrawal", "swap"] = ""
    pool: Annotated[str, Field(max_length=128)] = ""
    sort: Literal["index", "id", "kind", "pool", "status", "confirmed", "failed", "sol", "last_ms"] = "index"
    descending: bool = False
    offset: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 50


class ThreadTable:
    """One per process, safe to share."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self._read_s = 0.0
        self._rows: list[Row] | None = None
        self._configs: dict[str, ThreadConfig] = {}

    def page(self, query: ThreadQuery, *, fresh: bool = False) -> dict[str, Any]:
        """``total`` threads, ``matching`` ones, and the ``rows`` from ``offset`` on. Raises StoreError."""
        rows = self._all(fresh=fresh)
        found = [row for row in rows if _matches(row, query)]
        found.sort(key=lambda row: _order(row[query.sort]), reverse=query.descending)
        shown = found[query.offset : query.offset + query.limit]
        return {"total": len(rows), "matching": len(found), "offset": query.offset, "rows": shown}

    def _all(self, *, fresh: bool) -> list[Row]:
        with self._lock:
            now_s = self._clock.monotonic_s()
            if self._rows is None or fresh or now_s - self._read_s >= FRESH_S:
                records = self._store.thread_records()
                self._configs = {record.chain_id: self._config(record) for record in records}
                self._rows = [_row(record, self._configs[record.chain_id]) for record in records]
                self._read_s = now_s
            return self._rows

    def _config(self, record: ChainRecord) -> ThreadConfig:
        """It never changes, and reading it takes longer than the rest of a row."""
        return self._configs.get(record.chain_id) or config_from_text(record.config)


def _row(record: ChainRecord, config: ThreadConfig) -> Row:
    """Counts of the session; the balance as of the last snapshot, null before there was one."""
    state = orjson.loads(record.state or "{}")
    session = {name: int(count) for name, count in state.get("session", {}).items()}
    order = Order.from_text(record.order)
    errors = state.get("errors", [])
    return {
        "id": config.thread_id,
        "index": config.index,
        "kind": config.kind.value,
        "pool": config.pool_id,
        "side": config.direction or config.side.value,
        "wallet": config.wallet,
        "status": record.status.value,
        "order": order.kind.value if order else "",
        "ready": record.ready,
        "confirmed": session.get("confirmed", 0) + session.get("recovered", 0),
        "failed": sum(session.get(name, 0) for name in ("failed_expected", "failed_unexpected", "expired")),
        "unexpected": session.get("failed_unexpected", 0),
        "waiting": state.get("waiting", "") if record.status is ThreadStatus.RUNNING else "",
        "last_error": errors[-1]["error"] if errors else "",
        "sol": state.get("balances", {}).get("sol"),  # lamports as text
        "last_ms": state.get("last_operation_at_ms", 0),
    }


def _matches(row: Row, query: ThreadQuery) -> bool:
    return (
        query.status in ("", row["status"])
        and query.kind in ("", row["kind"])
        and query.pool in ("", row["pool"])
        and (query.q.lower() in row["id"] or query.q in row["wallet"])
    )


def _order(value: Any) -> tuple[int, int | str]:
    """Unknown first; names by their number, so that deposit_10 comes after deposit_9; lamports as numbers."""
    if value is None:
        return (0, 0)
    if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
        return (1, int(value))
    name, _, number = str(value).rpartition("_")
    return (1, f"{name}_{int(number):09}") if name and number.isdecimal() else (1, str(value))
