"""Calls methods over HTTP, holds every answer to its schema, and remembers per method what was seen."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any, Final

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from api.client import STILL_RUNNING, CallError, Client, ClientError
from api.methods.table import METHODS
from api.openrpc import SCHEMAS, codes_of, result_schema
from domain.errors import StressError

POLL_S: Final = 0.2
ERROR: Final = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "integer"},
        "message": {"type": "string", "minLength": 1},
        "data": {"type": "object"},
    },
    "additionalProperties": False,
}


class CheckFailedError(StressError):
    """An answer or an effect is not as documented; the message says how."""


@dataclass(slots=True)
class Seen:
    """What one method showed: how many right answers, which error codes, and the failures as text."""

    results: int = 0
    codes: set[int] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.results > 0 and not self.failures


class Checker:
    """``seen`` by method name. A wrong answer is noted and raised, so that the step that needs it ends."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.seen: dict[str, Seen] = defaultdict(Seen)
        self._methods = {method.name: method for method in METHODS}
        self._files: Registry[Any] = Registry(retrieve=_schema_file)  # type: ignore[call-arg]  # attrs hides it

    def ok(self, method: str, **params: Any) -> Any:
        """The result, which fits its schema. A command is waited for, however long the service lets it run."""
        send = self.client.command if self._methods[method].changes else self.client.call
        try:
            result = send(method, params)
        except ClientError as error:
            raise self._failed(method, f"{_shown(params)}: {error}") from error
        self.fits(method, result)
        return result

    def fits(self, method: str, result: Any) -> None:
        """Count a result that came another way, in a batch or from get_command."""
        validator = Draft202012Validator(result_schema(method), registry=self._files)
        wrong = [
            f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(result)
        ]
        if wrong:
            raise self._failed(method, f"the result does not fit its schema: {'; '.join(wrong[:3])}"[:500])
        self.seen[method].results += 1

    def refused(self, method: str, code: int, *, client: Client | None = None, **params: Any) -> CallError:
        """The error, which has this code, fits the shape of errors and is one that the method documents.

        A command is waited for, unless it is the wait that must end.
        """
        asked = client or self.client
        waits = self._methods[method].changes and code != STILL_RUNNING
        try:
            result = (asked.command if waits else asked.call)(method, params)
        except CallError as error:
            if error.code != code:
                raise self._failed(method, f"{_shown(params)}: expected {code}, got {error}") from error
            return self._documented(method, error)
        except ClientError as error:
            raise self._failed(method, f"{_shown(params)}: {error}") from error
        raise self._failed(method, f"{_shown(params)}: expected {code}, got the result {json.dumps(result)[:200]}")

    def refusal(self, method: str, command_id: str) -> CallError | None:
        """The error that a command sent before ended with, judged as ``refused`` does; None where it succeeded."""
        try:
            self.fits(method, self.client.wait_for(command_id))
        except CallError as error:
            return self._documented(method, error)
        return None

    def _documented(self, method: str, error: CallError) -> CallError:
        document = {"code": error.code, "message": error.message, "data": error.data}
        if not Draft202012Validator(ERROR).is_valid(document):
            raise self._failed(method, f"an error is not as documented: {document}") from error
        if -2_000 < error.code < -1_000 and error.code not in codes_of(self._methods[method]):
            raise self._failed(method, f"the code {error.code} is not among those it documents") from error
        self.seen[method].codes.add(error.code)
        return error

    def effect(self, method: str, condition: object, text: str) -> None:
        """What the method was to bring about is there."""
        if not condition:
            raise self._failed(method, f"no effect: {text}")

    def until(self, method: str, condition: Callable[[], Any], text: str, timeout_s: float = 90.0) -> Any:
        """Wait for an effect that takes its time."""
        deadline_s = monotonic() + timeout_s
        while not (found := condition()):
            if monotonic() > deadline_s:
                raise self._failed(method, f"no effect within {timeout_s:.0f} s: {text}")
            sleep(POLL_S)
        return found

    def _failed(self, method: str, text: str) -> CheckFailedError:
        self.seen[method].failures.append(text)
        return CheckFailedError(f"{method}: {text}")

    def unseen(self) -> list[str]:
        """Methods that were never answered with a result."""
        return [method.name for method in METHODS if self.seen[method.name].results == 0]


def _schema_file(name: str) -> Resource[Any]:
    return DRAFT202012.create_resource(json.loads((SCHEMAS / name).read_text("utf-8")))


def _shown(params: Mapping[str, Any]) -> str:
    return json.dumps(params)[:200]
