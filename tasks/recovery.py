"""After a loss of Redis' newest data: nothing runs until the books know again what the chain knows (DESIGN.md 5).

First wait until every transaction signed before the loss has landed for good or can land no more; then compare, book
what is missing, and let the chains run. It takes as long as a blockhash lives. Every step may be repeated: killed in
the midst, the next supervisor begins again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final
from uuid import uuid4

import structlog

from domain.audit_records import ChainTx
from domain.chain.endpoints import Endpoints
from domain.chain.errors import RpcError
from domain.chain.gateway import ChainUnreachableError
from domain.chain.receipts import AccountReader
from domain.chains import ChainKind, Next, command_chain_id, pool_chain_id
from domain.errors import CommandCode
from domain.facts import PoolState
from domain.ids import Address, ChainId, CommandId, PoolId, Signature
from domain.operations import Intent, OperationKind, Outcome
from domain.policy import ADMIN_FLAGS, Policy, PolicyStep
from domain.recovery import (
    Actors,
    Found,
    Known,
    administered,
    as_empty,
    attribute,
    created_pool,
    intent_of_found,
    intent_of_line,
    is_initialisation,
    settled_line,
    submitted_line,
)
from domain.store.records import ChainRecord, config_from_text
from domain.thread import ThreadKind
from tasks.audit_chain import ChainArchive
from tasks.known_pools import import_pools
from tasks.recovery_chain import RecoveryUnfinishedError, recover_chain
from tasks.recovery_journal import recent_lines
from tasks.runtime import Runtime

log = structlog.get_logger()

LEASE_MS: Final = 40_000  # longer than the chain may be asked for in one go; kept from chain to chain
READ_TIMEOUT_S: Final = 600.0  # a thousand wallets on an endpoint that throttles; the lease is kept meanwhile
MARGIN_SLOTS: Final = 512  # further back than anything that was open when the newest booked operation landed
AT_ONCE: Final = 40  # operations of one chain that are looked up with one request
LOST_ANSWER: Final = "Redis lost this command with its newest data; look what became of it before you repeat it"
_POOL_KINDS: Final = (ChainKind.SHARE, ChainKind.REFILL, ChainKind.PROBE)
_ORDER: Final = tuple(ChainKind)  # threads first: what they brought is what the pools' chains have paid


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """No transaction signed before the loss can land in a block above ``height``."""

    epoch: int
    height: int


class Recovery:
    """``step`` is called by every sweep and never waits for the chain to go on."""

    def __init__(self, runtime: Runtime, journal_path: Path) -> None:
        self._runtime = runtime
        self._path = journal_path
        self._token = f"recovery:{uuid4().hex}"
        self._horizon: Horizon | None = None

    def step(self) -> bool:
        """True while the chains must wait. Raises StressError when store or chain cannot be asked: ask again later."""
        store = self._runtime.store
        if not store.check_epoch():
            store.raise_epoch(store.redis_run_id())
        if not store.recovering():
            self._horizon = None
            return False
        if not store.acquire_lease("recovery", self._token, LEASE_MS):
            return True
        try:
            return not self._advance(store.epoch())
        finally:
            store.release_lease("recovery", self._token)

    def _advance(self, epoch: int) -> bool:
        """True when the books agree with the chain again."""
        store = self._runtime.store
        if self._horizon is None or self._horizon.epoch != epoch:
            self._horizon = Horizon(epoch=epoch, height=newest_height(self._runtime.chain.endpoints))
            log.warning("recovery_began", action="recovery_began", epoch=epoch, until_height=self._horizon.height)
        if finalized_height(self._runtime.chain.endpoints) <= self._horizon.height:
            return False
        outcomes = Comparison(self._runtime, self._path, epoch, self._keep).run()
        if not store.finish_recovery(epoch):
            return False  # Redis lost data once more meanwhile
        log.warning("recovered", action="recovered", epoch=epoch, **outcomes)
        return True

    def _keep(self) -> None:
        """Two that compare at once would book the core wallet's own transactions twice."""
        if not self._runtime.store.renew_lease("recovery", self._token, LEASE_MS):
            raise RecoveryUnfinishedError("another supervisor has taken the recovery over")


def newest_height(endpoints: Endpoints) -> int:
    """The latest that any endpoint tells: what was signed with another one's blockhash must be over, too."""
    answers = _ask_all(endpoints, "getLatestBlockhash", "processed")
    return max(int(answer["value"]["lastValidBlockHeight"]) for answer in answers)


def finalized_height(endpoints: Endpoints) -> int:
    """The earliest: the comparison may read from any of them."""
    return min(int(height) for height in _ask_all(endpoints, "getBlockHeight", "finalized"))


def _ask_all(endpoints: Endpoints, method: str, commitment: str) -> list[Any]:
    """The answers of the endpoints that gave one. ChainUnreachableError when none did."""
    answers, why = [], ""
    for label in endpoints.labels:
        try:
            answers.append(endpoints.call(method, [{"commitment": commitment}], endpoint=label))
        except RpcError as error:
            why = str(error)
    if not answers:
        raise ChainUnreachableError(why)
    return answers


class Comparison:
    """One comparison of all books with the chain."""

    def __init__(self, runtime: Runtime, path: Path, epoch: int, keep: Callable[[], None]) -> None:
        """``keep`` renews the lease, or raises."""
        self._keep = keep
        self._runtime = runtime
        self._store = runtime.store
        self._path = path
        self._epoch = epoch
        chain = runtime.chain
        reader = AccountReader(str(chain.program_id), chain.system_state, chain.treasury)
        self._archive = ChainArchive(
            chain.endpoints,
            reader,
            deadline=monotonic() + READ_TIMEOUT_S,
            progress=lambda _: keep(),
            private=runtime.settings.local_chain,
        )

    def run(self) -> Counter[str]:
        """Outcomes of what was booked, by name."""
        records = self._records()
        since = max(0, max(map(_last_slot, records), default=0) - MARGIN_SLOTS)
        known = Known.of(recent_lines(self._store, self._path, since))
        actors = self._actors()
        unbooked = self._unbooked(records, known, actors, since)
        self._restore_pools(known, actors, unbooked)
        self._restore_policies(known, actors, unbooked)
        found = as_empty(attribute(tx, actors) for tx in unbooked)
        records += self._missing_pool_chains({record.chain_id for record in records}, known, found)
        lost = {record.chain_id: self._lost(record, known, found, since) for record in records}
        outcomes: Counter[str] = Counter()
        for record in sorted(records, key=lambda record: _ORDER.index(record.kind)):
            if lost[record.chain_id] or _is_settled_since(record, known):
                outcomes += self._recover(record, lost[record.chain_id], known)
        self._keep()
        outcomes += self._book_orphans(known, lost.keys())
        outcomes += self._book_strangers([each for each in found if each.chain_id not in lost], known)
        return outcomes

    def _records(self) -> list[ChainRecord]:
        store = self._store
        names = [pool_chain_id(kind, pool.pool_id) for pool in store.list_pools() for kind in _POOL_KINDS]
        names += [command_chain_id(command_id) for command_id, _ in store.open_commands()]
        return store.thread_records() + [record for record in store.get_chains(names) if record is not None]

    def _actors(self) -> Actors:
        configs = [config_from_text(record.config) for record in self._store.thread_records()]
        configs += [gone.config for gone in self._store.tombstones()]
        chain = self._runtime.chain
        return Actors.of(chain.keyring.core_address, Address(str(chain.program_id)), configs)

    def _unbooked(self, records: list[ChainRecord], known: Known, actors: Actors, since: int) -> list[ChainTx]:
        """Transactions that our wallets signed and no book has, in the order of their slots."""
        listed = self._archive.since([actors.core, *actors.wallets], since)
        booked = known.signatures | {Signature(doc["sig"]) for record in records for doc in _intents(record)}
        # What the core wallet did before there was a journal was another's business, or an earlier run's.
        first = 0 if self._runtime.settings.local_chain else min(known.slots(), default=None)
        new = [
            tx
            for tx in self._archive.transactions([s for s in listed if s not in booked], failed_steps=True)
            if not is_initialisation(tx, actors)
        ]
        return [
            tx
            for tx in new
            if not actors.wallets.keys().isdisjoint(tx.signers)
            or (actors.core in tx.signers and first is not None and tx.slot >= first)
        ]

    def _missing_pool_chains(self, there: set[ChainId], known: Known, found: list[Found]) -> list[ChainRecord]:
        """A pool's chain that was started after what Redis remembers, and has paid since."""
        wanted = known.chains() | {each.chain_id for each in found if each.chain_id is not None}
        started = []
        for pool in self._store.list_pools():
            for kind in _POOL_KINDS:
                chain_id = pool_chain_id(kind, pool.pool_id)
                if chain_id not in wanted or chain_id in there:
                    continue

                def message(generation: int, seq: int, kind: ChainKind = kind, chain_id: ChainId = chain_id) -> Next:
                    now_ms = self._store.now_ms()
                    return self._runtime.publisher.next(kind, chain_id, generation, seq, countdown_ms=0, now_ms=now_ms)

                self._store.start_chain(chain_id, kind, pool.pool_id, "", message)
                started.append(chain_id)
        return [record for record in self._store.get_chains(started) if record is not None]

    def _lost(self, record: ChainRecord, known: Known, found: list[Found], since: int) -> list[Intent]:
        """What the chain has forgotten: first what the journal tells, behind it what only the chain shows."""
        number = int(json.loads(record.state or "{}").get("operation_number", 0))
        intents = [intent_of_line(doc, known, since) for doc in known.after(record.chain_id, number)]
        number = max([number, *(intent.number for intent in intents)])
        now_ms = self._store.now_ms()
        mine = [each for each in found if each.chain_id == record.chain_id]
        return intents + [
            intent_of_found(each, record.chain_id, number + place, now_ms) for place, each in enumerate(mine, 1)
        ]

    def _recover(self, record: ChainRecord, lost: list[Intent], known: Known) -> Counter[str]:
        """In pieces: what one request may ask for is limited, and a chain may have lost hundreds of probes."""
        outcomes: Counter[str] = Counter()
        for start in range(0, max(1, len(lost)), AT_ONCE):
            self._keep()
            now = self._store.get_chain(record.chain_id)
            if now is not None:
                outcomes += recover_chain(self._runtime, now, lost[start : start + AT_ONCE], known)
        return outcomes

    def _restore_pools(self, known: Known, actors: Actors, unbooked: list[ChainTx]) -> None:
        """Pools whose creation was lost: the chain has them, and their constants."""
        sent = [Signature(doc["sig"]) for doc in known.submitted.values() if doc["kind"] == OperationKind.SETUP.value]
        created = [created_pool(tx, actors) for tx in [*self._archive.transactions(sent), *unbooked]]
        import_pools(self._runtime, [pool_id for pool_id in created if pool_id is not None])

    def _restore_policies(self, known: Known, actors: Actors, unbooked: list[ChainTx]) -> None:
        """Administrative steps that were lost: the pool shows what they came to; its newest step gets their slot."""
        sent = [Signature(doc["sig"]) for doc in known.submitted.values() if doc["kind"] == OperationKind.ADMIN.value]
        newest: dict[PoolId, int] = {}
        for tx in [*self._archive.transactions(sent), *unbooked]:
            for pool_id in administered(tx, actors):
                newest[pool_id] = max(newest.get(pool_id, 0), tx.slot)
        for pool_id, slot in newest.items():
            policy = self._store.policy(pool_id)
            if policy is None or any(step.slot is None or step.slot >= slot for step in policy.steps):
                continue
            account = self._archive.accounts([Address(pool_id)])[2][Address(pool_id)]
            if account is None or not isinstance(account.decoded, PoolState):
                continue
            shown = account.decoded
            step = PolicyStep(
                operation_id=f"recovery:{self._epoch}",
                flags=shown.flags & ADMIN_FLAGS,
                liquidity_fee=shown.liquidity_fee,
                swap_fee=shown.swap_fee,
                owner=shown.owner,
                slot=slot,
            )
            self._store.replace_policy(pool_id, Policy(steps=(*policy.steps, step)))

    def _book_orphans(self, known: Known, there: AbstractSet[ChainId]) -> Counter[str]:
        """Operations of the journal whose chain Redis has forgotten altogether: a new thread, a new command."""
        gone = {name: doc for name, doc in known.submitted.items() if _chain_of(name) not in there}
        for name, doc in gone.items():
            self._remember_name(_chain_of(name))
            if "thread" in doc["inputs"]:  # the set-up of one that never acted
                self._remember_name(ChainId(doc["inputs"]["thread"]))
        still_open = {name: doc for name, doc in gone.items() if name not in known.settled}
        landed = {tx.signature: tx for tx in self._archive.transactions([doc["sig"] for doc in still_open.values()])}
        lines, counted, outcomes = [], Counter[str](), Counter[str]()
        for name, doc in still_open.items():
            tx = landed.get(Signature(doc["sig"]))
            lines.append(settled_line(name, tx, self._store.now_ms()))
            outcome = (Outcome.EXPIRED if tx is None else Outcome.RECOVERED).value
            outcomes[outcome] += 1
            counted.update(f"{doc['kind']}.{what}" for what in ("submitted", outcome))
        self._store.append_journal(lines, counted)
        return outcomes

    def _remember_name(self, chain_id: ChainId) -> None:
        """Names that were given away are not given again; a command sent again under its id must not act twice."""
        kind, _, rest = chain_id.partition(":")
        if kind == ChainKind.COMMAND.value:
            command_id = CommandId(rest)
            if self._store.register_command(command_id, "forgotten", "{}"):
                error = {"code": int(CommandCode.WRONG_STATE), "message": LOST_ANSWER, "data": {}}
                self._store.answer_command(command_id, json.dumps({"error": error}))
            return
        name, _, number = chain_id.rpartition("_")
        if name in set(ThreadKind) and number.isdecimal():
            self._store.skip_thread_numbers(ThreadKind(name), int(number))

    def _book_strangers(self, found: list[Found], known: Known) -> Counter[str]:
        """Transactions of the core wallet that only the chain remembers, and that no chain of ours can be told by."""
        chain_id = ChainId(f"recovery:{self._epoch}")
        first = 1 + sum(_chain_of(name) == chain_id for name in known.submitted)
        lines, counted, now_ms = [], Counter[str](), self._store.now_ms()
        for number, each in enumerate(found, first):
            intent = intent_of_found(each, chain_id, number, now_ms)
            lines += [submitted_line(intent, now_ms), settled_line(intent.operation_id, each.tx, now_ms)]
            counted.update(f"{each.kind.value}.{what}" for what in ("submitted", Outcome.RECOVERED.value))
        self._store.append_journal(lines, counted)
        return Counter({Outcome.RECOVERED.value: len(found)} if found else {})


def _intents(record: ChainRecord) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(record.intents or "[]")
    return found


def _is_settled_since(record: ChainRecord, known: Known) -> bool:
    """The journal has the outcome of an operation that is still open here."""
    return any(doc["id"] in known.settled for doc in _intents(record))


def _last_slot(record: ChainRecord) -> int:
    return int(json.loads(record.state or "{}").get("last_slot", 0))


def _chain_of(operation_id: str) -> ChainId:
    return ChainId(operation_id.rpartition("/")[0])
