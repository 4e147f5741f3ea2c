"""Many commands under one: each member is a command of its own, a window of them at a time (DESIGN.md 4, 11).

A member's id follows from the bulk command's id and its position, so whoever is delivered a step again sends nobody
twice; who the members are is therefore committed before the first is sent. What they answered is read at the end.
"""

from __future__ import annotations

import json
from typing import Any, Final

from domain.errors import CommandCode
from domain.ids import Address, CommandId, PoolId
from domain.refill import RESERVE_LAMPORTS, sol_target
from domain.thread import TRANSITIONS, OrderKind, ThreadKind
from tasks.control.commands import Command
from tasks.control.threads import TOKEN_ACCOUNT_RENT_ROOM

POLL_MS: Final = 100
CREATIONS_AT_ONCE: Final = 64  # each polls the chain
ORDERS_AT_ONCE: Final = 250  # the threads' own chains carry them out
MEMBER: Final = "~"  # no caller's id can hold it

Member = tuple[str, dict[str, Any]]


def create_threads(command: Command) -> None:
    """``threads``, or ``count`` times ``template``: each with its ``kind`` and that kind's parameters."""
    wanted = command.params.get("threads") or [command.params["template"]] * command.params["count"]
    if "sent" not in command.data:
        if _affordable(command, wanted):
            _settled_on(command)
        return
    members: list[Member] = []
    for thread in wanted:
        params = {name: value for name, value in thread.items() if name != "kind"}
        members.append((f"create_{thread['kind']}_thread", params))
    _run(command, members, CREATIONS_AT_ONCE)


def start_threads(command: Command) -> None:
    _order_all(command, OrderKind.START)


def stop_threads(command: Command) -> None:
    """Also stop_all and stop_all_pool_threads."""
    _order_all(command, OrderKind.STOP)


def delete_threads(command: Command) -> None:
    _order_all(command, OrderKind.DELETE)


def stop_service(command: Command) -> None:
    """Every thread stopped; then the whole service pauses until it is resumed."""
    _order_all(command, OrderKind.STOP)
    if command.draft.answer is not None:
        command.runtime.store.set_service_paused(True)


def pause(command: Command) -> None:
    """Open operations settle, nothing new is submitted."""
    command.runtime.store.set_service_paused(True)
    command.answer({"status": "paused"})


def resume(command: Command) -> None:
    command.runtime.store.set_service_paused(False)
    command.answer({"status": "running"})


def _order_all(command: Command, kind: OrderKind) -> None:
    """The threads that are named, or all (of a pool) that can take the order, as they are at the first step."""
    if "sent" not in command.data:
        command.data["threads"] = command.params.get("thread_ids") or _those_that_can(command, kind)
        _settled_on(command)
        return
    members: list[Member] = [(f"{kind.value}_thread", {"thread_id": name}) for name in command.data["threads"]]
    _run(command, members, ORDERS_AT_ONCE)


def _those_that_can(command: Command, kind: OrderKind) -> list[str]:
    pool_id = command.params.get("pool_id")
    return [
        config.thread_id
        for config, status in command.runtime.store.thread_heads()
        if status in TRANSITIONS[kind] and pool_id in (None, config.pool_id)
    ]


def _affordable(command: Command, wanted: list[dict[str, Any]]) -> bool:
    """The core wallet can set all of them up; False when the chain gave no answer. Raises CORE_WALLET_SHORT."""
    pools = sorted({thread["pool_id"] for thread in wanted})
    known = [pool_id for pool_id in pools if command.runtime.store.get_pool(PoolId(pool_id)) is not None]
    seen = command.observe((command.core, *map(Address, known)))
    if seen is None:
        return False
    needed = 0
    for thread in wanted:
        state = seen.pool(Address(thread["pool_id"]))
        if state is not None:  # the others fail on their own
            target = sol_target(ThreadKind(thread["kind"]), state, command.runtime.settings.sol_threshold)
            needed += target + TOKEN_ACCOUNT_RENT_ROOM
    had = seen.lamports(command.core)
    if needed > had - RESERVE_LAMPORTS - sum(command.runtime.store.core_reservations().values()):
        raise command.short_of(needed, had)
    return True


def _settled_on(command: Command) -> None:
    """The members are sent from the next step on: by then other threads may fit, or less money be free."""
    command.data.update(sent=0, waiting=[])
    command.draft.next_ms = 0


def _run(command: Command, members: list[Member], at_once: int) -> None:
    """Send what fits into the window; answer when every member has answered."""
    store, data = command.runtime.store, command.data
    sent, waiting = data["sent"], data["waiting"]
    answers = store.command_answers([_member_id(command, index) for index in waiting])
    waiting = [index for index, answer in zip(waiting, answers, strict=True) if answer is None]
    while sent < len(members) and len(waiting) < at_once:
        method, params = members[sent]
        command.runtime.commands.send(method, params, _member_id(command, sent))
        waiting.append(sent)
        sent += 1
    data.update(sent=sent, waiting=waiting)
    command.draft.next_ms = POLL_MS
    if not waiting:
        command.answer(_results(command, members))


def _member_id(command: Command, index: int) -> CommandId:
    return CommandId(f"{command.command_id}{MEMBER}{index}")


def _results(command: Command, members: list[Member]) -> dict[str, Any]:
    ids = [_member_id(command, index) for index in range(len(members))]
    results = []
    for (_, params), name, text in zip(members, ids, command.runtime.store.command_answers(ids), strict=True):
        answer: dict[str, Any] = json.loads(text) if text else {"error": _forgotten(name)}
        result = answer.get("ok")
        thread_id = params.get("thread_id") or (result or {}).get("thread_id")
        error = answer.get("error")
        results.append({"command_id": name, "thread_id": thread_id, "result": result, "error": error})
    failed = sum(1 for entry in results if entry["error"] is not None)
    return {"total": len(results), "succeeded": len(results) - failed, "failed": failed, "results": results}


def _forgotten(command_id: CommandId) -> dict[str, Any]:
    """Answers are kept for a day; a bulk command that stood still for longer cannot tell."""
    text = f"the answer of {command_id} is not kept any more"
    return {"code": int(CommandCode.STILL_RUNNING), "message": text, "data": {"command_id": command_id}}
