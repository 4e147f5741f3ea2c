"""One chain brought up to what the chain and the journal say of it, in one commit under its own lease."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic, sleep
from typing import Any, Final

import orjson

from domain.chains import Begun, ChainKind, Refused
from domain.errors import StressError
from domain.operations import Intent
from domain.recovery import Known, submitted_line
from domain.settle import OWN_KINDS
from domain.state import ThreadState
from domain.store.records import ChainRecord
from tasks.behaviours import behaviour_of
from tasks.cycles.thread import settle_cycle
from tasks.draft import Draft
from tasks.runtime import Runtime
from tasks.walk import Cycle, finish

LEASE_MS: Final = 10_000
LOOKS: Final = 40
PAUSE_S: Final = 0.1
SPREAD_MS: Final = 2_000  # the chains go on over two seconds, as after a start


class RecoveryUnfinishedError(StressError):
    """The books cannot be compared yet: a node did not answer, or a lease from before the loss still holds."""


def recover_chain(runtime: Runtime, record: ChainRecord, lost: Sequence[Intent], known: Known) -> Counter[str]:
    """Book what the chain's record has forgotten; the outcomes by name. Raises RecoveryUnfinishedError."""
    begun = runtime.store.begin(record.chain_id, record.generation, record.seq, LEASE_MS, recovery=True)
    if isinstance(begun, Refused):
        raise RecoveryUnfinishedError(f"{record.chain_id} cannot be recovered yet: {begun.reason.value}")
    open_intents = [Intent.from_json(doc) for doc in orjson.loads(begun.intents or "[]")]
    must_settle = {intent.signature for intent in lost}
    must_settle |= {intent.signature for intent in open_intents if intent.operation_id in known.settled}
    held = replace(begun, order="", service_paused=True, state=_remembering(begun, lost))
    draft = _decided(runtime, held, [*open_intents, *lost], must_settle)
    _complete(runtime, draft, begun, record, lost, known)
    refusal = finish(Cycle(runtime, begun, monotonic()), draft)
    if refusal is not None:
        raise RecoveryUnfinishedError(f"{record.chain_id} could not be written: {refusal.value}")
    return Counter(doc["outcome"] for doc in map(orjson.loads, draft.journal) if doc["event"] == "settled")


def _remembering(begun: Begun, lost: Sequence[Intent]) -> str:
    """The chain's document as if it had just submitted what was lost."""
    if not lost:
        return begun.state
    newest = max(intent.number for intent in lost)
    if begun.kind.is_thread:
        state = ThreadState.from_text(begun.state)
        at_ms = [intent.prepared_at_ms for intent in lost if intent.kind in OWN_KINDS]
        if at_ms:  # between the first operation and the last lie the intervals that a status tells of
            state = state.plus(submitted=len(at_ms)).evolved(
                first_operation_at_ms=state.first_operation_at_ms or min(at_ms),
                last_operation_at_ms=max(state.last_operation_at_ms, *at_ms),
            )
        return state.evolved(operation_number=max(state.operation_number, newest)).to_text()
    doc: dict[str, Any] = json.loads(begun.state or "{}")
    doc["operation_number"] = max(doc.get("operation_number", 0), newest)
    if begun.kind is ChainKind.COMMAND:
        doc.setdefault("attempts", 0)
        doc.setdefault("last_slot", 0)
        doc["data"] = {**doc.get("data", {}), "sent": True}  # its next step looks for the outcome, and sends nothing
    else:
        totals = doc.setdefault("totals", {})
        totals["submitted"] = totals.get("submitted", 0) + len(lost)
    return json.dumps(doc, separators=(",", ":"))


def _decided(runtime: Runtime, begun: Begun, intents: list[Intent], must_settle: set[Any]) -> Draft:
    """Look until everything lost has an outcome: an expiry takes two looks at one endpoint."""
    decide = settle_cycle if begun.kind.is_thread else behaviour_of(begun.kind)
    for _ in range(LOOKS):
        text = orjson.dumps([intent.to_json() for intent in intents]).decode()
        draft = decide(Cycle(runtime, replace(begun, intents=text), monotonic()))
        still_open = {intent.signature: intent for intent in draft.intents}
        if must_settle.isdisjoint(still_open):
            return draft
        intents = [still_open.get(intent.signature, intent) for intent in intents]
        sleep(PAUSE_S)
    raise RecoveryUnfinishedError(f"{begun.chain_id}: the chain does not tell what became of its transactions")


def _complete(
    runtime: Runtime, draft: Draft, begun: Begun, record: ChainRecord, lost: Sequence[Intent], known: Known
) -> None:
    """What an ordinary cycle does not write: the submissions, the order as it was, when to go on."""
    if begun.kind.is_thread:
        # How long the outage lasted is no operation's duration.
        last_confirm_ms = ThreadState.from_text(begun.state).last_confirm_ms
        draft.state = ThreadState.from_text(draft.state).evolved(last_confirm_ms=last_confirm_ms).to_text()
    if begun.kind is ChainKind.SHARE:
        _take_from_outbox(runtime, draft, begun, lost)
    fresh = [line for line in draft.journal if not _is_known(orjson.loads(line), known)]
    missing = [intent for intent in lost if intent.operation_id not in known.submitted]
    draft.journal = [*(submitted_line(intent, begun.now_ms) for intent in missing), *fresh]
    for intent in lost:
        draft.count("operations", f"{intent.kind.value}.submitted")
    for name in [name for name in draft.counts if name[0] in ("confirm", "waits")]:
        del draft.counts[name]  # how long the outage lasted is no confirmation time
    draft.end_only_if_pool_idle = False
    if begun.kind is ChainKind.COMMAND:
        return
    draft.order = begun.order
    if begun.order:
        draft.status = None  # a person's order decides what becomes of the thread
    draft.next_ms = runtime.jitter.randint(0, SPREAD_MS) if record.live else None


def _is_known(doc: dict[str, Any], known: Known) -> bool:
    return doc["event"] == "settled" and doc["op"] in known.settled


def _take_from_outbox(runtime: Runtime, draft: Draft, begun: Begun, lost: Sequence[Intent]) -> None:
    """What a forgotten payment was made of is in the outbox again: take it out; what did not land was put back."""
    if begun.pool_id is None:
        return
    needed: Counter[tuple[str, str]] = Counter()
    for intent in lost:
        for entry in intent.inputs["entries"]:
            if runtime.store.thread_config(entry["owner"]) is not None:  # else it is forgotten, and so is what it owes
                needed[entry["owner"], entry["asset"]] += int(entry["amount"])
    if not needed:
        return
    left = Counter(needed)
    for entry_id, text in runtime.store.outbox(begun.pool_id).items():
        doc = json.loads(text)
        key = (doc["owner"], doc["asset"])
        if left[key] <= 0:
            continue
        draft.outbox_take[entry_id] = text
        left[key] -= int(doc["amount"])
    for number, ((owner, asset), amount) in enumerate(left.items()):
        if amount > 0:
            raise RecoveryUnfinishedError(f"{begun.chain_id}: {amount} of {asset} were paid for {owner} and never owed")
        if amount < 0:
            rest = {"owner": owner, "asset": asset, "amount": str(-amount)}
            draft.outbox_put[f"{begun.chain_id}/{begun.epoch}.{begun.seq}/recovered{number}"] = json.dumps(
                rest, separators=(",", ":")
            )
