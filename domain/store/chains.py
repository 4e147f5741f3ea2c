"""Chains in Redis: begin and commit of a cycle, the start of pool and command chains, records to read."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from domain.chains import Begun, BrokenMark, ChainKind, Commit, Committed, Next, Refusal, Refused
from domain.ids import ChainId, PoolId
from domain.store.committing import commit_arguments
from domain.store.edge import Part
from domain.store.errors import StoreConflict
from domain.store.records import RECORD_FIELDS, ChainRecord, chain_record
from domain.thread import ThreadStatus

MakeNext = Callable[[int, int], Next]  # (generation, seq) of the cycle to come -> its message
ATTEMPTS = 20
SEPARATOR = "\x1f"


class ChainStore(Part):
    """begin, commit, start_chain, get_chain."""

    def begin(
        self,
        chain_id: ChainId,
        generation: int,
        seq: int,
        lease_ms: int,
        queue_epoch: int | None = None,
        *,
        recovery: bool = False,
        token: str | None = None,
    ) -> Begun | Refused:
        """Take the chain's lease for the cycle (generation, seq), for ``lease_ms`` of Redis TIME.

        ``queue_epoch``: the epoch when the message was sent, if it says so. ``recovery``: the recovery after a loss of
        data begins a chain while all others wait, live or not; it counts neither as start nor as late.
        """
        token = token or secrets.token_hex(8)
        keys = self._keys
        answer = self._edge.script(
            "begin_cycle",
            [
                keys.chain(chain_id),
                keys.named("epoch"),
                keys.named("recovering"),
                keys.named("paused"),
                keys.named("journal"),
                keys.named("policies"),
                keys.counters("cycles"),
                keys.counters("lateness"),
            ],
            [generation, seq, lease_ms, token, "" if queue_epoch is None else queue_epoch, "1" if recovery else "0"],
        )
        if answer.startswith("!"):
            return Refused(reason=Refusal(answer[1:]))
        epoch, now_ms, kind, due_ms, status, pool, config, state, intents, order, policy, journal, paused = (
            answer.split(SEPARATOR)
        )
        return Begun(
            chain_id=chain_id,
            kind=ChainKind(kind),
            generation=generation,
            seq=seq,
            epoch=int(epoch),
            token=token,
            now_ms=int(now_ms),
            due_ms=int(due_ms),
            status=ThreadStatus(status),
            pool_id=PoolId(pool) if pool else None,
            config=config,
            state=state,
            intents=intents,
            order=order,
            policy=policy,
            journal_length=int(journal),
            service_paused=paused == "1",
        )

    def commit(self, commit: Commit) -> Committed | Refused:
        """Write everything of ``commit`` or nothing.

        ``commit.next`` must carry generation ``begun.generation + (1 if commit.status is not None else 0)`` and seq
        ``begun.seq + 1``. The same token again returns the first answer. An outbox entry that exists is replaced only
        when the same commit takes it; else the answer is OUTBOX. Refused commits are counted, as ``refused_<reason>``.
        """
        answer = self._edge.script("commit_cycle", *commit_arguments(self._keys, commit))
        if answer.startswith("!"):
            reason = Refusal(answer[1:])
            field = f"{commit.begun.kind.value}.refused_{reason.value}"
            self._edge.call("HINCRBY", self._keys.counters("cycles"), field, 1)
            return Refused(reason=reason)
        head, *broken = answer.split("\n")
        generation, seq = head.split(":")
        marks = tuple(broken_mark(line) for line in broken)
        return Committed(generation=int(generation), seq=int(seq), marks_broken=marks)

    def start_chain(
        self, chain_id: ChainId, kind: ChainKind, pool_id: PoolId | None, config: str, make_next: MakeNext
    ) -> bool:
        """Create the chain, or make it live again with a new generation; False when it is live already.

        A command's chain runs once: False too when it has ended. StoreConflict when others keep changing it.
        """
        for _ in range(ATTEMPTS):
            record = self.get_chain(chain_id)
            if record is not None and (record.live or kind is ChainKind.COMMAND):
                return False
            generation, seq = (record.generation + 1, record.seq) if record else (1, 0)
            following = make_next(generation, seq)
            args: list[str | bytes | int] = [
                chain_id,
                record.generation if record else "",
                record.seq if record else "",
                kind.value,
                pool_id or "",
                config,
                following.countdown_ms,
                generation,
                seq,
                following.message,
                ThreadStatus.RUNNING.value,
            ]
            keys = [self._keys.chain(chain_id), self._keys.named("due"), following.queue]
            answer = self._edge.script("start_chain", keys, args)
            if answer != "conflict":
                return bool(answer == "started")
        raise StoreConflict(f"{chain_id} changed {ATTEMPTS} times while it was to be started")

    def get_chain(self, chain_id: ChainId | str) -> ChainRecord | None:
        return chain_record(chain_id, self._edge.call("HMGET", self._keys.chain(chain_id), *RECORD_FIELDS))

    def get_chains(self, chain_ids: Sequence[ChainId | str]) -> list[ChainRecord | None]:
        """One round trip for all, in order; None where there is no such chain."""
        rows = self._edge.batch([("HMGET", self._keys.chain(chain_id), *RECORD_FIELDS) for chain_id in chain_ids])
        return [chain_record(chain_id, row) for chain_id, row in zip(chain_ids, rows, strict=True)]

    def broken_marks(self) -> list[BrokenMark]:
        """Every mark that ever fell, whatever became of the worker that was told."""
        return [broken_mark(line) for line in self._edge.call("LRANGE", self._keys.named("broken-marks"), 0, -1)]


def broken_mark(line: str) -> BrokenMark:
    name, stored_slot, stored_value, slot, value = line.split("|")
    return BrokenMark(
        name=name,
        stored_slot=int(stored_slot),
        stored_value=int(stored_value),
        slot=int(slot),
        value=int(value),
    )
