"""How a command stands, for callers that got -1009 or lost the answer (DESIGN.md 11)."""

from __future__ import annotations

import json
from typing import Any

from api import params as p
from api.errors import InvalidParams, RpcError
from api.service import Call, Service
from domain.chains import command_chain_id
from domain.errors import CommandCode
from domain.ids import CommandId
from domain.runtime.redact import redact_text
from domain.session import iso


def get_command(service: Service, _: Call, params: p.GetCommand) -> dict[str, Any]:
    """``status`` "running", "done" with ``result``, or "failed" with ``error`` (code, message, data).

    ``unreachable``: why a command that runs could not ask the chain when it last tried; it goes on trying.
    """
    record = service.store.command(CommandId(params.command_id))
    if record is None:
        raise InvalidParams([("command_id", "no such command; answers are kept for a day")])
    found: dict[str, Any] = {
        "command_id": record.command_id,
        "method": record.method,
        "status": "running",
        "created_at": iso(record.created_ms),
        "finished_at": iso(record.done_ms or 0),
        "unreachable": None,
        "result": None,
        "error": None,
    }
    if record.answer is not None:
        answer = json.loads(record.answer)
        found["status"] = "failed" if answer.get("error") else "done"
        found |= {"result": answer.get("ok"), "error": answer.get("error")}
    elif (chain := service.store.get_chain(command_chain_id(record.command_id))) is not None:
        reason = json.loads(chain.state or "{}").get("data", {}).get("unreachable")
        found["unreachable"] = None if reason is None else redact_text(reason)
    return found


def discover(_: Service, __: Call, ___: p.NoParams) -> dict[str, Any]:
    """An OpenRPC document, from which a generic client can call every method."""
    from api.openrpc import discover as document  # it describes the table that this function is in

    return document()


def run_audit(service: Service, call: Call, params: p.RunAudit) -> dict[str, Any]:
    """Takes seconds to minutes: past the request's time it answers -1009 and goes on."""

    def check() -> None:
        running = service.store.overview().running
        if running:
            text = f"Cannot audit: {running} threads are running; stop them first"
            raise RpcError(CommandCode.WRONG_STATE, text, {"running": running})

    return service.command(call, "run_audit", params, check=check)
