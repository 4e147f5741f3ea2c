"""JSON-RPC 2.0 over flask-jsonrpc: its route, registry and rpc.describe; reading, binding and errors are ours.

flask-jsonrpc 4 by itself ignores unknown and surplus parameters, takes true for a number, answers notifications that
fail, and shows exception texts. Every JSON-RPC answer comes with HTTP 200, one to notifications alone with 204.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from typing import Any, NoReturn, cast

import structlog
from flask import request
from flask_jsonrpc import JSONRPC
from flask_jsonrpc.site import JSONRPCSite

from api.errors import RpcCode, RpcError, from_command
from api.methods.table import METHODS, Method
from api.params import NoParams, Params, bind, names_of
from api.service import Call, Service
from domain.errors import CommandError
from domain.store.errors import StoreError

log = structlog.get_logger(__name__)

RPC_PATH = "/rpc"
HttpAnswer = tuple[Any, int, dict[str, str]]


class StrictSite(JSONRPCSite):
    """The calls of one HTTP request, by the letter of the specification."""

    service: Service  # set by install

    def dispatch_request(self) -> HttpAnswer:
        """One call or a batch; commands of a batch share the request's time."""
        settings = self.service.settings
        if not self.is_json:
            return _failure(RpcError(RpcCode.INVALID_REQUEST, "Content-Type must be application/json")), 415, {}
        deadline_s = self.service.clock.monotonic_s() + settings.request_timeout_s
        try:
            document = parse(request.get_data())
        except RpcError as error:
            return _failure(error), 200, {}
        if not isinstance(document, list):
            answer = self._answer(document, deadline_s)
            return (answer, 200, {}) if answer is not None else (None, 204, {})
        if not 1 <= len(document) <= settings.max_batch:
            text = f"Invalid Request: a batch has 1 to {settings.max_batch} calls"
            return _failure(RpcError(RpcCode.INVALID_REQUEST, text)), 200, {}
        answers = [answer for one in document if (answer := self._answer(one, deadline_s)) is not None]
        return (answers, 200, {}) if answers else (None, 204, {})

    def _answer(self, document: object, deadline_s: float) -> dict[str, Any] | None:
        """The answer to one call; None to a notification, however it ended."""
        try:
            request_object = read_call(document)
        except RpcError as error:
            return _failure(error, identity_of(document))
        method: str = request_object["method"]
        identity = request_object.get("id")
        notification = "id" not in request_object
        call = Call(deadline_s=deadline_s, notification=notification)
        with structlog.contextvars.bound_contextvars(method=method if method in self.view_funcs else "unknown"):
            try:
                result = self._run(call, method, request_object.get("params", {}))
                answer = {"jsonrpc": "2.0", "id": identity, "result": result}
            except RpcError as error:
                log.info("call refused", action="command_refused", code=error.code, reason=error.message)
                answer = _failure(error, identity)
        return None if notification else answer

    def _run(self, call: Call, method: str, params: object) -> Any:
        """The method's result. Whatever else goes wrong becomes an RpcError here: this is the edge."""
        view: Callable[..., Any] | None = self.view_funcs.get(method)
        if view is None:
            raise RpcError(RpcCode.METHOD_NOT_FOUND, "Method not found")
        try:
            model = getattr(view, "params_model", None)
            if model is None:  # flask-jsonrpc's own rpc.describe
                bind(NoParams, params)
                return view()
            return view(call, bind(model, params))
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


def install(service: Service) -> JSONRPC:
    """The JSON-RPC application with every method; ``init_app`` puts it into a Flask app."""
    jsonrpc = JSONRPC(path=RPC_PATH, version="1.0.0", jsonrpc_site=StrictSite, enable_web_browsable_api=False)
    site = cast("StrictSite", jsonrpc.get_jsonrpc_site())
    site.name = "frt-stress"
    site.service = service
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
    name = (schema.get("anyOf") or [schema])[0]["type"]
    return {"integer": int, "boolean": bool, "array": list}.get(name, str)


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
