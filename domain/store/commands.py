"""Commands in Redis: registered once by their id, answered once, waited for by any number of callers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from domain.ids import CommandId, Signature
from domain.store.committing import answer_writes
from domain.store.edge import Part
from domain.store.keys import SIGNATURE_TTL_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """A command as it stands; ``answer`` None while it is open. Kept for a day after its answer."""

    command_id: CommandId
    method: str
    params: str
    created_ms: int
    answer: str | None
    done_ms: int | None


class CommandStore(Part):
    """register_command, answer_command, wait_for_command."""

    def register_command(self, command_id: CommandId, method: str, params_json: str) -> bool:
        """True when the id is new; False when the command is known, open or answered."""
        keys = [self._keys.command(command_id), self._keys.named("open-commands")]
        # the nonce lets a repeated call (lost reply) still learn that it was the one that registered
        args = [command_id, method, params_json, secrets.token_hex(8)]
        return bool(self._edge.script("register_command", keys, args))

    def answer_command(self, command_id: CommandId, answer: str) -> bool:
        """Answer a command outside of a commit; the first answer stays, False for a later one."""
        seconds, micros = self._edge.call("TIME")
        now_ms = seconds * 1000 + micros // 1000
        keys = [self._keys.command(command_id)]
        args: list[str | bytes | int] = []
        for write in answer_writes(self._keys, command_id, answer, now_ms):
            args.append(len(write))
            args.extend(write)
        return bool(self._edge.script("answer_command", keys, args))

    def command(self, command_id: CommandId) -> CommandRecord | None:
        doc = self._edge.call("HGETALL", self._keys.command(command_id))
        if "method" not in doc:
            return None
        return CommandRecord(
            command_id=command_id,
            method=doc["method"],
            params=doc["params"],
            created_ms=int(doc["created_ms"]),
            answer=doc.get("answer"),
            done_ms=int(doc["done_ms"]) if "done_ms" in doc else None,
        )

    def command_answer(self, command_id: CommandId) -> str | None:
        found: str | None = self._edge.call("HGET", self._keys.command(command_id), "answer")
        return found

    def command_answers(self, command_ids: Sequence[CommandId]) -> list[str | None]:
        """One round trip for all, in order; None where there is no answer yet."""
        if not command_ids:
            return []
        return list(self._edge.batch([("HGET", self._keys.command(name), "answer") for name in command_ids]))

    def claim_once(self, command_id: CommandId, what: str) -> bool:
        """True for the first who asks: for a deed that must not be done twice and that no signature guards."""
        return bool(self._edge.call("HSETNX", self._keys.command(command_id), f"claimed:{what}", "1"))

    def claim_signature(self, signature: Signature, command_id: CommandId) -> bool:
        """False when the signature belongs to an intent or to another command."""
        key = self._keys.signature(signature)
        self._edge.call("SET", key, command_id, "NX", "PX", SIGNATURE_TTL_MS)
        return bool(self._edge.call("GET", key) == command_id)

    def wait_for_command(self, command_id: CommandId, timeout_s: float) -> str | None:
        """Block until the answer is there; None when it is not after ``timeout_s``. Many callers may wait at once.

        The done list is turned round, never emptied, so one waiter's wake-up takes nothing from another.
        """
        deadline = time.monotonic() + timeout_s
        done = self._keys.done(command_id)
        while True:
            answer = self.command_answer(command_id)
            left = deadline - time.monotonic()
            if answer is not None or left <= 0:
                return answer
            pause = f"{max(0.01, min(left, self._edge.block_s)):.3f}"
            self._edge.call("BLMOVE", done, done, "LEFT", "RIGHT", pause)

    def request_audit(self, command_id: CommandId) -> None:
        """Leave a run_audit command to the auditor."""
        self._edge.call("SADD", self._keys.named("audits"), command_id)

    def requested_audits(self) -> list[CommandId]:
        return sorted(CommandId(name) for name in self._edge.call("SMEMBERS", self._keys.named("audits")))

    def drop_audit(self, command_id: CommandId) -> None:
        self._edge.call("SREM", self._keys.named("audits"), command_id)

    def open_commands(self) -> list[tuple[CommandId, int]]:
        """Commands without an answer and when they were registered (Redis ms), oldest first."""
        found = self._edge.call("ZRANGE", self._keys.named("open-commands"), 0, -1, "WITHSCORES", withscores=True)
        return [(CommandId(name), int(score)) for name, score in found]
