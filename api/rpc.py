"""JSON-RPC 2.0 over flask-jsonrpc: its route, registry and rpc.describe; reading, binding and errors are ours.

flask-jsonrpc 4 by itself ignores unknown and surplus parameters, takes true for a number, answers notifications that
fail, and shows exception texts. A JSON-RPC answer comes with HTTP 200, one to notifications alone with 204; what the
door refuses comes with 401, 403 or 429.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, NoReturn, cast

import orjson
import structlog
from flask import Response, g, request
from flask_jsonrpc import JSONRPC
from flask_jsonrpc.encoders import serializable
from flask_jsonrpc.site import JSONRPCSite
from flask_jsonrpc.views import JSONRPCView

from api.cache import AnswerCache
from api.errors import RpcCode, RpcError, from_command
from api.methods.table import METHODS, Method
from api.params import NoParams, Params, bind, names_of
from api.security.audit import shown_params
from api.security.callers import Caller, Refusal
from api.security.door import RPC_PATH, Door
from api.service import Call, Service
from domain.errors import CommandError
from domain.store.errors import StoreError

log = structlog.get_logger(__name__)

CHANGES: Final = frozenset(method.name for method in METHODS if method.changes)
#: Asked again and again by everybody who watches; what a command did shows at once all the same (AnswerCache).
STATUS_READS: Final = frozenset(
    {"get_thread_status", "get_all_threads", "list_threads", "list_pools", "get_pool", "core_wallet_status"}
)
JSON: Final = "application/json"
MOST_ANSWER_BYTES: Final = 2**25  # of a batch, before its last call


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """``body`` empty: nothing may be answered (notifications)."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class StrictSite(JSONRPCSite):
    """The calls of one HTTP request, by the letter of the specification."""

    service: Service  # these three are set by install
    door: Door
    cache: AnswerCache

    def reply(self, body: bytes, caller: Caller) -> HttpAnswer:
        """One call or a batch; commands of a batch share the request's time. Raises Refusal 429, nothing called."""
        settings = self.service.settings
        deadline_s = self.service.clock.monotonic_s() + settings.request_timeout_s
        try:
            document = parse(body)
            self._count(document, caller)
        except RpcError as error:
            self.door.count(caller, RPC_PATH, reads=1)
            return failed(error)
        if not isinstance(document, list):
            answer, code = self._answer(document, caller, deadline_s)
            status = 403 if code == RpcCode.FORBIDDEN else 204 if answer is None else 200
            return HttpAnswer(body=answer or b"", status=status)
        answers: list[bytes] = []
        size = 0
        for one in document:
            answer = self._answer(one, caller, deadline_s)[0] if size <= MOST_ANSWER_BYTES else _left_out(one)
            if answer is not None:
                answers.append(answer)
                size += len(answer)
        return HttpAnswer(body=b"[" + b",".join(answers) + b"]") if answers else HttpAnswer(body=b"", status=204)

    def _count(self, document: Any, caller: Caller) -> None:
        """Every call of a batch counts. Raises RpcError for a batch of the wrong size, Refusal."""
        if not isinstance(document, list):
            changes = _changes(document)
            self.door.count(caller, RPC_PATH, changes=int(changes), reads=int(not changes))
            return
        most = self.service.settings.max_batch
        if not 1 <= len(document) <= most:
            raise RpcError(RpcCode.INVALID_REQUEST, f"Invalid Request: a batch has 1 to {most} calls")
        changing = sum(map(_changes, document))
        self.door.count(caller, RPC_PATH, changes=changing, reads=len(document) - changing)

    def _answer(self, document: object, caller: Caller, deadline_s: float) -> tuple[bytes | None, int]:
        """The answer to one call, None to a notification however it ended; and its error code, 0 for none."""
        began_s = perf_counter()
        try:
            request_object = read_call(document)
        except RpcError as error:
            return encode(_failure(error, identity_of(document))), error.code
        method: str = request_object["method"]
        params = request_object.get("params", {})
        known = method if method in self.view_funcs else "unknown"
        call = Call(deadline_s=deadline_s, notification="id" not in request_object)
        code = 0
        with structlog.contextvars.bound_contextvars(method=known):
            try:
                answer = _success(request_object.get("id"), self._run(call, method, params, caller))
            except RpcError as error:
                log.info("call refused", action="command_refused", code=error.code, reason=error.message)
                answer, code = encode(_failure(error, request_object.get("id"))), error.code
        if self.door.audit.reads or (known in CHANGES and self.door.audit.changes):
            names = _declared(self.view_funcs.get(method))
            self.door.audit.call(caller, known, shown_params(names, params), code, began_s, call.command_ids)
        return None if call.notification else answer, code

    def _run(self, call: Call, method: str, params: object, caller: Caller) -> bytes:
        """The method's result as JSON. Whatever else goes wrong becomes an RpcError here: this is the edge."""
        view: Callable[..., Any] | None = self.view_funcs.get(method)
        if view is None:
            raise RpcError(RpcCode.METHOD_NOT_FOUND, "Method not found")
        if caller.read_only and method in CHANGES:
            raise RpcError(RpcCode.FORBIDDEN, "This API key may only read", {"method": method})
        try:
            model = getattr(view, "params_model", None)
            if model is None:  # flask-jsonrpc's own rpc.describe
                bind(NoParams, params)
                return encode(serializable(view()))
            bound = bind(model, params)
            if method in STATUS_READS:
                return self.cache.get((method, bound.model_dump_json()), lambda: encode(view(call, bound)))
            return encode(view(call, bound))
        except RpcError:
            raise
        except CommandError as error:
            raise from_command(error) from error
        except StoreError as error:
            log.warning("store unavailable", action="store_unavailable", error=str(error))
            raise RpcError(RpcCode.STORE_UNAVAILABLE, "The store is not available, try again later") from error
        except Exception as error:
            log.exception("call failed", action="request_failed")
            raise RpcError(RpcCode.INTERNAL_ERROR, "Internal error") from error
        finally:
            if method in CHANGES:
                self.cache.forget()


class RpcView(JSONRPCView):
    """POST /rpc through Flask."""

    jsonrpc_site: StrictSite

    def post(self) -> Response:
        if not request.is_json:
            answer = failed(RpcError(RpcCode.INVALID_REQUEST, "Content-Type must be application/json"), 415)
        else:
            try:
                answer = self.jsonrpc_site.reply(request.get_data(), g.caller)
            except Refusal as refusal:
                answer = turned_away(refusal)
        return Response(answer.body, answer.status, answer.headers, mimetype=JSON if answer.body else None)


def encode(document: Any) -> bytes:
    """JSON; orjson is ten times as fast, but knows no integers above 64 bits and no broken surrogates."""
    try:
        return orjson.dumps(document)
    except TypeError:
        return json.dumps(document, separators=(",", ":")).encode()


def failed(error: RpcError, status: int = 200) -> HttpAnswer:
    return HttpAnswer(body=encode(_failure(error)), status=status)


def turned_away(refusal: Refusal) -> HttpAnswer:
    """A refusal on /rpc: a JSON-RPC error without id."""
    document = _failure(RpcError(refusal.code, refusal.text))
    return HttpAnswer(body=encode(document), status=refusal.status, headers=tuple(refusal.headers.items()))


def _success(identity: Any, result: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":' + encode(identity) + b',"result":' + result + b"}"


def _left_out(document: object) -> bytes | None:
    """The answer to a call of a batch that is not carried out."""
    if isinstance(document, dict) and "id" not in document:
        return None
    text = f"The answers of this batch have more than {MOST_ANSWER_BYTES} bytes; this call was not made"
    return encode(_failure(RpcError(RpcCode.INVALID_REQUEST, text), identity_of(document)))


def _changes(document: object) -> bool:
    method = document.get("method") if isinstance(document, dict) else None
    return isinstance(method, str) and method in CHANGES


def _declared(view: Any) -> list[str]:
    model = getattr(view, "params_model", None)
    return [] if model is None else names_of(model)


def install(service: Service, door: Door) -> JSONRPC:
    """The JSON-RPC application with every method; ``init_app`` puts it into a Flask app."""
    jsonrpc = JSONRPC(
        path=RPC_PATH,
        version="1.0.0",
        jsonrpc_site=StrictSite,
        jsonrpc_site_api=RpcView,
        enable_web_browsable_api=False,
    )
    site = cast("StrictSite", jsonrpc.get_jsonrpc_site())
    site.name = "frt-stress"
    site.service = service
    site.door = door
    site.cache = AnswerCache(service.clock, service.settings.read_cache_ms)
    for method in METHODS:
        jsonrpc.register(_view(service, method), name=method.name, validate=False)
    return jsonrpc


def _view(service: Service, method: Method) -> Callable[..., dict[str, Any]]:
    """A function that flask-jsonrpc can describe: it shows the fields of the method's model as its parameters."""

    def view(call: Call, params: Params) -> dict[str, Any]:
        return method.run(service, call, params)

    schema = method.params.model_json_schema()["properties"] if method.params.model_fields else {}
    kinds = {name: _kind(schema[name]) for name in names_of(method.params)}
    view.__name__ = method.name
    view.__doc__ = method.summary
    view.__annotations__ = {**kinds, "return": dict}
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind) for name, kind in kinds.items()
    ]
    vars(view).update(__signature__=inspect.Signature(parameters), params_model=method.params)
    return view


def _kind(schema: dict[str, Any]) -> type:
    """The Python type of a field's JSON schema; of an optional field, the type it has when it is there."""
    name = (schema.get("anyOf") or [schema])[0].get("type", "object")  # a model of its own is a reference
    return {"integer": int, "boolean": bool, "array": list, "object": dict}.get(name, str)


def parse(body: bytes) -> Any:
    """The JSON document of a body: UTF-8, each name once, numbers finite. Raises RpcError PARSE_ERROR."""
    try:
        return json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except RecursionError:
        raise RpcError(RpcCode.PARSE_ERROR, "Parse error: nested too deeply") from None
    except UnicodeDecodeError:
        raise RpcError(RpcCode.PARSE_ERROR, "Parse error: not UTF-8") from None
    except ValueError:
        raise RpcError(RpcCode.PARSE_ERROR, "Parse error: not a JSON document that can be read") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name appears twice")
    return document


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def read_call(document: object) -> dict[str, Any]:
    """The document, if it is a request object (its parameters aside). Raises RpcError INVALID_REQUEST."""
    if not isinstance(document, dict):
        raise RpcError(RpcCode.INVALID_REQUEST, "Invalid Request: a call is an object")
    if document.get("jsonrpc") != "2.0":
        raise _invalid("jsonrpc", 'must be "2.0"')
    if not isinstance(document.get("method"), str):
        raise _invalid("method", "must be a string")
    if "id" in document and not _is_id(document["id"]):
        raise _invalid("id", "must be a string, a number or null")
    return document


def identity_of(document: object) -> Any:
    """The id of a request that is otherwise invalid, null when it cannot be told."""
    identity = document.get("id") if isinstance(document, dict) else None
    return identity if _is_id(identity) else None


def _is_id(value: object) -> bool:
    return value is None or isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool))


def _invalid(field: str, text: str) -> RpcError:
    return RpcError(RpcCode.INVALID_REQUEST, f"Invalid Request: {field}: {text}", {"field": field})


def _failure(error: RpcError, identity: Any = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "error": error.to_json()}
