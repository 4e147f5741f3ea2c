"""What the methods share: looking things up with the right error, and sending a command and waiting for its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Semaphore
from typing import Any
from uuid import uuid4

import structlog

from api.errors import RpcCode, RpcError, from_command
from api.params import CommandParams
from api.ports import Commands, Store
from api.readings import Readings
from domain.errors import CommandCode, CommandError
from domain.ids import CommandId, PoolId, ThreadId
from domain.pool import Pool
from domain.runtime.clock import Clock
from domain.runtime.settings import Settings
from domain.store.errors import StoreError
from domain.store.records import ChainRecord

log = structlog.get_logger(__name__)

SLICE_S = 1.0  # how long a wait may last before it looks whether the server is closing


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One JSON-RPC call. ``deadline_s`` (monotonic) belongs to the whole HTTP request, so a batch shares it.

    ``command_ids``: of what it sent, for the audit log.
    """

    deadline_s: float
    notification: bool
    command_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One per process, shared by all its threads."""

    settings: Settings
    store: Store
    commands: Commands
    clock: Clock
    waiting: Semaphore  # a place for each request that may wait at once: the other threads stay free for reads
    closing: Event = field(default_factory=Event)
    readings: Readings = field(default_factory=Readings)

    def pool(self, pool_id: str) -> Pool:
        pool = self.store.get_pool(PoolId(pool_id))
        if pool is None:
            text = f"Pool {pool_id} not found in registry"
            raise RpcError(CommandCode.POOL_NOT_FOUND, text, {"pool_id": pool_id})
        return pool

    def own_pool(self, pool_id: str) -> Pool:
        """A pool that this service's core wallet administers."""
        pool = self.pool(pool_id)
        if not pool.managed:
            text = f"Pool {pool_id} is not administered by this service"
            raise RpcError(CommandCode.WRONG_STATE, text, {"pool_id": pool_id})
        return pool

    def pool_for_threads(self, pool_id: str) -> Pool:
        pool = self.pool(pool_id)
        if pool.probe_only:
            text = f"Pool {pool_id} is reserved for probes and takes no threads"
            raise RpcError(CommandCode.WRONG_STATE, text, {"pool_id": pool_id})
        return pool

    def thread(self, thread_id: str) -> ChainRecord:
        """The record of a stress thread; other chains have ids too, but they are nobody's business here."""
        record = self.store.get_chain(ThreadId(thread_id))
        if record is None or not record.kind.is_thread:
            raise thread_not_found(thread_id)
        return record

    def status(self, thread_id: str) -> dict[str, Any]:
        """get_thread_status' answer."""
        cadence_ms, now_s = self.settings.countdown_max_ms, self.clock.monotonic_s()
        found = self.readings.one(self.store, ThreadId(thread_id), cadence_ms=cadence_ms, now_s=now_s)
        if found is None:
            raise thread_not_found(thread_id)
        return found

    def command(
        self,
        call: Call,
        method: str,
        params: CommandParams,
        *,
        check: Callable[[], object] | None = None,
        wait_s: float | None = None,
    ) -> dict[str, Any]:
        """Send a command and give its result. ``check`` raises when it cannot succeed, before anything is sent.

        A command that is known already is not checked: it may have removed the very thing it needed. Raises RpcError:
        the command's own error, or STILL_RUNNING with its id in ``data``.
        """
        arguments = params.arguments()
        if check is not None and not self._known(params.command_id):
            check()
        identity = CommandId(params.command_id or uuid4().hex)
        call.command_ids.append(identity)
        try:
            self.commands.send(method, arguments, identity)
            log.info("command sent", action="command_sent", method=method, command_id=identity)
            if call.notification:
                return {}
            answer = self._wait(identity, call, wait_s)
        except CommandError as error:
            raise from_command(error) from error
        except StoreError as error:
            log.warning("store unavailable", action="store_unavailable", command_id=identity, error=str(error))
            text = "The store did not answer; whether the command was taken is unknown. Ask get_command"
            raise RpcError(RpcCode.STORE_UNAVAILABLE, text, {"command_id": identity}) from error
        if answer is None:
            text = f"Command {identity} is still running; get_command tells how it ends"
            raise RpcError(CommandCode.STILL_RUNNING, text, {"command_id": identity, "method": method})
        return result_of(answer)

    def _known(self, command_id: str | None) -> bool:
        return command_id is not None and self.store.command(CommandId(command_id)) is not None

    def _wait(self, identity: CommandId, call: Call, wait_s: float | None) -> dict[str, Any] | None:
        now_s = self.clock.monotonic_s()
        deadline_s = call.deadline_s if wait_s is None else min(call.deadline_s, now_s + wait_s)
        if not self.waiting.acquire(blocking=False):
            return self.commands.wait(identity, 0)
        try:
            while True:
                left_s = deadline_s - self.clock.monotonic_s()
                answer = self.commands.wait(identity, max(0.0, min(left_s, SLICE_S)))
                if answer is not None or left_s <= SLICE_S or self.closing.is_set():
                    return answer
        finally:
            self.waiting.release()


def thread_not_found(thread_id: str) -> RpcError:
    return RpcError(CommandCode.THREAD_NOT_FOUND, f"Thread {thread_id} not found", {"thread_id": thread_id})


def result_of(answer: dict[str, Any]) -> dict[str, Any]:
    """The result in a command's answer; raises RpcError for the error in it."""
    error = answer.get("error")
    if error is not None:
        raise RpcError(error["code"], error["message"], error.get("data"))
    result: dict[str, Any] = answer["ok"]
    return result
