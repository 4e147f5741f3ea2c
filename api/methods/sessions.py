"""Finished sessions of a thread, from their files and from what has no file yet (design section 3.4)."""

from __future__ import annotations

import json
from typing import Any

from api import params_reads as p
from api.errors import RpcError
from api.service import Call, Service
from domain.errors import CommandCode
from domain.files.sessions import SessionFiles
from domain.ids import ThreadId
from domain.session import verification_summary


def get_thread_sessions(service: Service, _: Call, params: p.GetThreadSessions) -> dict[str, Any]:
    """The newest first. A deleted thread's sessions are answered for as long as their files are kept."""
    waiting = [json.loads(text) for _, text in service.store.read_sessions()]
    also = [record for record in waiting if record["thread_id"] == params.thread_id]
    found = SessionFiles(service.settings.data_dir).read(params.thread_id, params.limit, also)
    if not found and service.store.thread_config(ThreadId(params.thread_id)) is None:
        text = f"Thread {params.thread_id} not found"
        raise RpcError(CommandCode.THREAD_NOT_FOUND, text, {"thread_id": params.thread_id})
    return {"thread_id": params.thread_id, "sessions": [_session(name, record) for name, record in found]}


def _session(name: str, record: dict[str, Any]) -> dict[str, Any]:
    info = record["session_info"]
    return {
        "session_file": name,
        "start_time": info["start_time"],
        "end_time": info["end_time"],
        "duration_seconds": info["duration_seconds"],
        "start_reason": info["start_reason"],
        "stop_reason": info["stop_reason"],
        "verification_summary": verification_summary(record),
    }
