"""The JSON report of one run (ECH-16), its schema and its file."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jsonschema

from ops.bench.echo.client.tally import curve_ms, latency_ms
from ops.bench.echo.run import EchoBenchError, Outcome
from ops.report.write import replace_file

SCHEMA: Final = Path(__file__).with_name("report.schema.json")
SCHEMA_VERSION: Final = 1
Document = dict[str, Any]


def server_facts(name: str, language: str, version: str | None, options: Mapping[str, Any]) -> Document:
    """What is said of the server; nobody asks it."""
    return {"name": name, "language": language, "version": version, "options": dict(options)}


def build(outcome: Outcome, server: Document) -> Document:
    """The document; times are ISO 8601 in UTC, latencies milliseconds."""
    tally, load = outcome.tally, outcome.load
    seconds = outcome.measured_s
    return {
        "metadata": {
            "schemaVersion": SCHEMA_VERSION,
            "serverName": server["name"],
            "serverLanguage": server["language"],
            "serverVersion": server["version"],
            "scenario": load.scenario,
            "startedAt": outcome.started_at.isoformat(timespec="milliseconds"),
            "endedAt": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "measuredSeconds": round(seconds, 3),
            "partial": outcome.partial,
            "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        },
        "clientConfig": _client_config(outcome),
        "serverConfig": server["options"],
        "throughput": {
            "messagesPlanned": tally.planned,
            "messagesSent": tally.sent,
            "messagesReceived": tally.received,
            "messagesPerSecond": round(tally.in_time / seconds, 2) if seconds else 0,
            "bytesPerSecond": round(tally.bytes_received / max(1, tally.received) * tally.in_time / seconds)
            if seconds
            else 0,
        },
        "latency": {
            "unit": "ms",
            "from": "planned send time" if load.open_loop else "send time",
            **latency_ms(outcome.histogram),
            "curve": curve_ms(outcome.histogram),
        },
        "errors": _errors(outcome),
        "client": {
            "connected": tally.connected,
            "cpuOfOneCore": outcome.cpu,
            "waitingForACore": outcome.waiting,
            "coresAllowed": outcome.cores,
            "client_saturated": outcome.client_saturated,
            "lateSends": tally.late,
        },
        "server": _server(outcome),
        "resourceUsage": {"intervalSeconds": 1, "samples": outcome.resources},
    }


def _server(outcome: Outcome) -> Document:
    """What it used in the measured time. What one of its CPU seconds echoes, no client can distort."""
    cpu_s, seconds = outcome.server_cpu_s, outcome.measured_s
    return {
        "cpuSeconds": cpu_s,
        "cpuOfOneCore": None if cpu_s is None or not seconds else round(cpu_s / seconds, 4),
        "messagesPerCpuSecond": round(outcome.tally.in_time / cpu_s, 1) if cpu_s else None,
    }


def _client_config(outcome: Outcome) -> Document:
    load = outcome.load
    return {
        "url": outcome.url,
        "clients": load.clients,
        "pattern": load.pattern.value,
        "loop": "open" if load.open_loop else "closed",
        "messagesPerSecondPerClient": load.rate if load.open_loop else None,
        "payloadBytes": load.payload_bytes,
        "payloadKind": "text" if load.text else "binary",
        "durationSeconds": load.duration_s,
        "warmUpSeconds": load.warm_up_s,
        "rampSeconds": load.ramp_s,
        "processes": load.processes,
        "seed": load.seed,
    }


def _errors(outcome: Outcome) -> Document:
    tally = outcome.tally
    planned = max(1, tally.planned)
    return {
        "connectionErrors": tally.connect_errors,
        "connectionRetries": tally.connect_retries,
        "connectionsLost": tally.disconnected,
        "clientProcessesDied": outcome.died,
        "messagesLost": tally.lost,
        "messagesNotSent": tally.not_sent,
        "mismatches": tally.mismatched,
        "duplicates": tally.duplicated,
        "outOfOrder": tally.out_of_order,
        "errorRate": round(min(1.0, tally.errors / planned), 6),
        "first": outcome.messages,
    }


def check(document: Any, source: str) -> Document:
    """The document if it fits the schema. EchoBenchError naming the place that does not."""
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    error = jsonschema.exceptions.best_match(validator.iter_errors(document))
    if error is not None:
        raise EchoBenchError(f"{source}: {error.json_path}: {error.message}")
    checked: Document = document
    return checked


def file_name(document: Document) -> str:
    """scenario-server-time.json."""
    metadata = document["metadata"]
    time = datetime.fromisoformat(metadata["startedAt"]).strftime("%Y%m%dT%H%M%SZ")
    name = "".join(letter if letter.isalnum() or letter in "._" else "_" for letter in metadata["serverName"])
    return f"{metadata['scenario']}-{name}-{time}.json"


def write(document: Document, directory: Path) -> Path:
    """Checked and written whole or not at all; the path."""
    check(document, "the report")
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / file_name(document)
    replace_file(path, json.dumps(document, indent=1) + "\n")
    return path


def read(path: Path) -> Document:
    """EchoBenchError in one line for a file that is no report."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise EchoBenchError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise EchoBenchError(f"{path}: no JSON document") from None
    return check(document, str(path))
