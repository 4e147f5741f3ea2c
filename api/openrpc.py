"""The OpenRPC document of POST /rpc, made from the table of methods, their models and the schemas of their results."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from api.errors import RpcCode
from api.methods.table import METHODS, Method
from api.params import CommandParams, names_of
from domain.errors import CommandCode

OPENRPC: Final = "1.3.2"
API_VERSION: Final = "1.0.0"
DISCOVER: Final = "rpc.discover"
SCHEMAS: Final = Path(__file__).with_name("schemas")

Document = dict[str, Any]

#: What each code means, and an example of its ``data``.
ERRORS: Final[Mapping[int, tuple[str, Document]]] = {
    RpcCode.PARSE_ERROR: ("Parse error", {}),
    RpcCode.INVALID_REQUEST: ("Invalid Request", {"field": "jsonrpc"}),
    RpcCode.METHOD_NOT_FOUND: ("Method not found", {}),
    RpcCode.INVALID_PARAMS: (
        "Invalid params",
        {"field": "limit", "errors": [{"field": "limit", "message": "must be at least 1"}]},
    ),
    RpcCode.INTERNAL_ERROR: ("Internal error", {}),
    RpcCode.STORE_UNAVAILABLE: ("The store is not available, try again later", {}),
    RpcCode.UNAUTHORISED: ("An API key is required", {}),
    RpcCode.FORBIDDEN: ("This key may only read, or this address or host name may not call", {}),
    RpcCode.TOO_MANY_REQUESTS: ("Too many requests", {}),
    CommandCode.SWAP_DIRECTION_TAKEN: ("The pool has a swap thread for this direction", {"direction": "a_to_b"}),
    CommandCode.POOL_NOT_FOUND: ("Pool not found in registry", {"pool_id": "..."}),
    CommandCode.THREAD_IN_ERROR: ("The thread is in error state", {"thread_id": "deposit_1", "status": "error"}),
    CommandCode.THREAD_NOT_FOUND: ("Thread not found", {"thread_id": "deposit_1"}),
    CommandCode.WRONG_STATE: ("Wrong state for this command", {"thread_id": "deposit_1", "status": "running"}),
    CommandCode.CHAIN_UNREACHABLE: ("The chain could not be reached", {}),
    CommandCode.CORE_WALLET_SHORT: ("Not enough SOL in the core wallet", {}),
    CommandCode.CONTRACT_REFUSED: (
        "The contract refused",
        {"code": "Custom(1025)", "name": "InvalidFee", "instruction": 1, "signature": "..."},
    ),
    CommandCode.STILL_RUNNING: (
        "The command is still running; get_command tells how it ends",
        {"command_id": "...", "method": "..."},
    ),
}
_ALWAYS: Final = (
    RpcCode.INVALID_PARAMS,
    RpcCode.INTERNAL_ERROR,
    RpcCode.STORE_UNAVAILABLE,
    RpcCode.UNAUTHORISED,
    RpcCode.FORBIDDEN,
    RpcCode.TOO_MANY_REQUESTS,
)
_COMMAND: Final = (
    CommandCode.WRONG_STATE,
    CommandCode.CHAIN_UNREACHABLE,
    CommandCode.CORE_WALLET_SHORT,
    CommandCode.CONTRACT_REFUSED,
    CommandCode.STILL_RUNNING,
)
_BY_METHOD: Final = {
    "create_threads": CommandCode.POOL_NOT_FOUND,
    "create_swap_thread": CommandCode.SWAP_DIRECTION_TAKEN,
    "empty_thread": CommandCode.THREAD_IN_ERROR,
    "fund_thread": CommandCode.POOL_NOT_FOUND,
}


def codes_of(method: Method) -> list[int]:
    """The error codes that a call of the method may be answered with, apart from those of a malformed request."""
    fields = method.params.model_fields
    codes: list[int] = list(_ALWAYS)
    if "pool_id" in fields or "pool_ids" in fields:
        codes.append(CommandCode.POOL_NOT_FOUND)
    if "thread_id" in fields or "thread_ids" in fields:
        codes.append(CommandCode.THREAD_NOT_FOUND)
    if issubclass(method.params, CommandParams):
        codes += _COMMAND
    if method.name in _BY_METHOD:
        codes.append(_BY_METHOD[method.name])
    return sorted(codes, reverse=True)


@cache
def result_schema(name: str) -> Document:
    """The JSON Schema (2020-12) of a method's result; its references name other files of the same folder."""
    found: Document = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    return found


@cache
def discover() -> Document:
    """The document. It never changes while the process lives."""
    return {
        "openrpc": OPENRPC,
        "info": {
            "title": "FRT stress test service",
            "version": API_VERSION,
            "description": "Stress tester for the Fixed Ratio Trading program: JSON-RPC 2.0 over POST /rpc. "
            "Amounts are integers of base units or lamports. A command takes a command_id: until a day after "
            "its answer the same id with the same parameters acts once.",
        },
        "methods": [_method(method) for method in METHODS],
        "components": {
            "schemas": {method.name: _component(method.name) for method in METHODS},
            "errors": {_error_name(code): _error(code) for code in ERRORS},
        },
    }


def _method(method: Method) -> Document:
    schema = result_schema(method.name)
    texts = [method.params.__dict__.get("__doc__"), method.run.__doc__]
    described = "\n\n".join(inspect.cleandoc(text) for text in texts if text)
    return {
        "name": method.name,
        "summary": method.summary,
        **({"description": described} if described else {}),
        "tags": [{"name": "command" if method.changes else "read"}],
        "paramStructure": "either",
        "params": list(_params(method)),
        "result": {
            "name": schema.get("title", method.name),
            "schema": {"$ref": f"#/components/schemas/{method.name}"},
        },
        "errors": [{"$ref": f"#/components/errors/{_error_name(code)}"} for code in codes_of(method)],
        "examples": [_example(method.name, params, schema) for params in _example_params(schema)],
        "x-changes": method.changes,
    }


def _params(method: Method) -> Iterable[Document]:
    """In positional order. ``null`` is no way to leave a parameter out, so it is in no schema."""
    if not method.params.model_fields:
        return
    whole = method.params.model_json_schema()
    whole = _inlined(whole, whole.get("$defs", {}))
    for name in names_of(method.params):
        schema = {key: value for key, value in whole["properties"][name].items() if key not in ("title", "anyOf")}
        kinds = [kind for kind in whole["properties"][name].get("anyOf", []) if kind != {"type": "null"}]
        if len(kinds) == 1:
            schema |= kinds[0]
        elif kinds:
            schema["anyOf"] = kinds
        if schema.get("default", ...) is None:
            del schema["default"]
        yield {"name": name, "schema": schema, "required": method.params.model_fields[name].is_required()}


def _inlined(part: Any, models: Document) -> Any:
    """Models inside a model stand where they are used: a parameter's schema has no place for definitions."""
    if isinstance(part, list):
        return [_inlined(one, models) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inlined(models[part["$ref"].rpartition("/")[2]], models)
    left_out = ("discriminator", "$defs")
    return {key: _inlined(value, models) for key, value in part.items() if key not in left_out}


def _example_params(schema: Document) -> list[Document]:
    return [schema.get("x-params", {})] if schema.get("examples") else []


def _example(name: str, params: Document, schema: Document) -> Document:
    return {
        "name": name,
        "params": [{"name": key, "value": value} for key, value in params.items()],
        "result": {"name": "result", "value": schema["examples"][0]},
    }


def _component(name: str) -> Document:
    """A result's schema inside the document: its references point into the document."""
    left_out = ("$schema", "$id", "x-params", "examples")
    schema = {key: value for key, value in result_schema(name).items() if key not in left_out}
    found: Document = _moved(schema, f"#/components/schemas/{name}")
    return found


def _moved(part: Any, root: str) -> Any:
    if isinstance(part, list):
        return [_moved(one, root) for one in part]
    if not isinstance(part, dict):
        return part
    moved = {key: _moved(value, root) for key, value in part.items()}
    reference = part.get("$ref")
    if isinstance(reference, str):
        file, _, pointer = reference.partition("#")
        base = f"#/components/schemas/{file.removesuffix('.json')}" if file else root
        moved["$ref"] = base + pointer
    return moved


def _error_name(code: int) -> str:
    known: dict[int, str] = {int(one): one.name for one in (*CommandCode, *RpcCode)}
    return known[int(code)].title().replace("_", "")


def _error(code: int) -> Document:
    message, data = ERRORS[code]
    return {"code": int(code), "message": message, **({"data": data} if data else {})}
