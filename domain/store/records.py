"""What the store answers with: chain records, thread records, tombstones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.chains import ChainKind
from domain.ids import Address, ChainId, PoolId, ThreadId
from domain.pool import Asset, Side
from domain.state import ThreadState
from domain.thread import ThreadConfig, ThreadKind, ThreadStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRecord:
    """A chain as it stands. Times are milliseconds of Redis; the texts are the chain's own JSON."""

    chain_id: ChainId
    kind: ChainKind
    status: ThreadStatus
    generation: int
    seq: int
    live: bool
    ready: bool
    leased: bool  # a lease token is set; it counts until ``lease_until_ms``
    lease_until_ms: int
    due_ms: int
    pool_id: PoolId | None
    config: str
    state: str
    intents: str
    order: str


RECORD_FIELDS = (
    "kind",
    "status",
    "generation",
    "seq",
    "live",
    "ready",
    "lease_token",
    "lease_until_ms",
    "due_ms",
    "pool",
    "config",
    "state",
    "intents",
    "order",
)


def chain_record(chain_id: str, values: list[str | None]) -> ChainRecord | None:
    """From an HMGET of RECORD_FIELDS; None when there is no such chain."""
    if values[0] is None:
        return None
    doc = {name: value or "" for name, value in zip(RECORD_FIELDS, values, strict=True)}
    return ChainRecord(
        chain_id=ChainId(chain_id),
        kind=ChainKind(doc["kind"]),
        status=ThreadStatus(doc["status"]),
        generation=int(doc["generation"]),
        seq=int(doc["seq"]),
        live=doc["live"] == "1",
        ready=doc["ready"] == "1",
        leased=doc["lease_token"] != "",
        lease_until_ms=int(doc["lease_until_ms"]),
        due_ms=int(doc["due_ms"]),
        pool_id=PoolId(doc["pool"]) if doc["pool"] else None,
        config=doc["config"],
        state=doc["state"],
        intents=doc["intents"],
        order=doc["order"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """What stays of a deleted (or never finished) thread, for the audit."""

    thread_id: ThreadId
    config: ThreadConfig
    state: ThreadState


def tombstone_text(config: str, state: str) -> str:
    return json.dumps({"config": config, "state": state}, separators=(",", ":"))


def tombstone(thread_id: str, text: str) -> Tombstone:
    doc = json.loads(text)
    return Tombstone(
        thread_id=ThreadId(thread_id), config=config_from_text(doc["config"]), state=ThreadState.from_text(doc["state"])
    )


def config_to_text(config: ThreadConfig) -> str:
    """JSON of a ThreadConfig; the amount is decimal text."""
    doc: dict[str, Any] = {
        "id": config.thread_id,
        "kind": config.kind.value,
        "pool": config.pool_id,
        "side": config.side.value,
        "initial_amount": str(config.initial_amount),
        "auto_refill": config.auto_refill,
        "share": config.share,
        "wallet": config.wallet,
        "accounts": {asset.value: address for asset, address in config.accounts.items()},
        "index": config.index,
        "created_at_ms": config.created_at_ms,
    }
    return json.dumps(doc, separators=(",", ":"))


def config_from_text(text: str) -> ThreadConfig:
    doc: Mapping[str, Any] = json.loads(text)
    return ThreadConfig(
        thread_id=ThreadId(doc["id"]),
        kind=ThreadKind(doc["kind"]),
        pool_id=PoolId(doc["pool"]),
        side=Side(doc["side"]),
        initial_amount=int(doc["initial_amount"]),
        auto_refill=doc["auto_refill"],
        share=doc["share"],
        wallet=Address(doc["wallet"]),
        accounts={Asset(name): Address(address) for name, address in doc["accounts"].items()},
        index=doc["index"],
        created_at_ms=doc["created_at_ms"],
    )
