"""Sends commands by name and waits for their answers. Used by the web edge and by the command line."""

from __future__ import annotations

import json
from typing import Any, Final
from uuid import uuid4

from domain.chains import ChainKind, command_chain_id
from domain.errors import CommandCode, CommandError
from domain.ids import CommandId, PoolId, ThreadId
from domain.store.gateway import RedisStore
from tasks.publish import Publisher

# Commands that write to the ledger of their thread's pool.
BOOKED_FOR_A_THREAD: Final = frozenset({"fund_thread", "airdrop_sol"})


class Commands:
    """A command acts once per id, however often it is sent (DESIGN.md 11)."""

    def __init__(self, store: RedisStore, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher

    def send(self, method: str, params: dict[str, Any], command_id: CommandId | None = None) -> CommandId:
        """Register and enqueue. Raises CommandError when the id was used for another method or other parameters."""
        identity = command_id or CommandId(uuid4().hex)
        text = json.dumps(params, sort_keys=True)
        if not self._store.register_command(identity, method, text):
            self._refuse_another(identity, method, text)
        chain_id = command_chain_id(identity)
        config = json.dumps({"command": identity, "method": method, "params": params})
        self._store.start_chain(
            chain_id,
            ChainKind.COMMAND,
            self._pool_of(method, params),
            config,
            lambda generation, seq: self._publisher.next(
                ChainKind.COMMAND, chain_id, generation, seq, countdown_ms=0, now_ms=0
            ),
        )
        return identity

    def _pool_of(self, method: str, params: dict[str, Any]) -> PoolId | None:
        """The pool whose ledger the command may write to."""
        if params.get("pool_id"):
            return PoolId(params["pool_id"])
        if method not in BOOKED_FOR_A_THREAD or not params.get("thread_id"):
            return None
        config = self._store.thread_config(ThreadId(params["thread_id"]))
        return None if config is None else config.pool_id

    def _refuse_another(self, identity: CommandId, method: str, text: str) -> None:
        known = self._store.command(identity)
        if known is not None and (known.method, known.params) != (method, text):
            message = "Invalid params: command_id: belongs to another command already"
            raise CommandError(CommandCode.INVALID_PARAMS, message, {"field": "command_id"})

    def wait(self, command_id: CommandId, timeout_s: float) -> dict[str, Any] | None:
        """{"ok": ...} or {"error": {code, message, data}}; None when it is still running after ``timeout_s``."""
        text = self._store.wait_for_command(command_id, timeout_s)
        return None if text is None else json.loads(text)
