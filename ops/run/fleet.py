"""The run's pools and threads: created and started by commands, many side by side, as a client would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from domain.errors import StressError
from domain.ids import CommandId, PoolId, ThreadId
from domain.pool import Side
from domain.thread import ThreadKind
from ops.scenario import PoolPlan, Scenario
from tasks.client import Commands

ANSWER_TIMEOUT_S: Final = 90.0
WINDOW: Final = 64  # commands under way at once


class CommandFailed(StressError):  # noqa: N818  # says what happened
    """A command was answered with an error, or not at all."""

    def __init__(self, method: str, params: dict[str, Any], error: dict[str, Any] | None) -> None:
        text = "no answer" if error is None else f"{error.get('message')} ({error.get('code')})"
        super().__init__(f"{method} {params}: {text}")
        self.error = error or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One command to send."""

    method: str
    params: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A created thread. ``pool`` is the name in the scenario."""

    thread_id: ThreadId
    kind: ThreadKind
    side: Side
    pool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What the run works with: pool name -> id, and the threads."""

    pools: dict[str, PoolId]
    actors: tuple[Actor, ...]


def call_all(
    commands: Commands,
    calls: Sequence[Call],
    *,
    timeout_s: float = ANSWER_TIMEOUT_S,
    interrupted: Callable[[], bool] = lambda: False,
) -> list[dict[str, Any] | None]:
    """Send the commands, WINDOW at a time; answers in order ({"ok"|"error": ...}, None: no answer yet)."""
    answers: list[dict[str, Any] | None] = []
    sent: list[CommandId] = []
    for index in range(len(calls)):
        while len(sent) < min(len(calls), index + WINDOW) and not interrupted():
            sent.append(commands.send(calls[len(sent)].method, calls[len(sent)].params))
        if index >= len(sent):
            raise StressError("interrupted")
        answers.append(_wait(commands, sent[index], timeout_s, interrupted))
    return answers


def _wait(
    commands: Commands, command_id: CommandId, timeout_s: float, interrupted: Callable[[], bool]
) -> dict[str, Any] | None:
    """In slices, so that Ctrl-C does not wait for a command."""
    slice_s = 1.0
    for _ in range(max(1, int(timeout_s / slice_s))):
        answer = commands.wait(command_id, slice_s)
        if answer is not None:
            return answer
        if interrupted():
            raise StressError("interrupted")
    return None


def results(commands: Commands, calls: Sequence[Call], **options: Any) -> list[dict[str, Any]]:
    """As ``call_all``, the "ok" parts only. Raises CommandFailed for the first that failed."""
    found = []
    for call, answer in zip(calls, call_all(commands, calls, **options), strict=True):
        if answer is None or "ok" not in answer:
            raise CommandFailed(call.method, call.params, None if answer is None else answer["error"])
        found.append(answer["ok"])
    return found


def create_pools(commands: Commands, scenario: Scenario, interrupted: Callable[[], bool]) -> dict[str, PoolId]:
    """Every pool of the scenario; name -> id. Raises CommandFailed."""
    named = [(name, plan) for plan in scenario.pools for name in plan.names()]
    calls = [Call(method="create_pool", params=plan.parameters()) for _, plan in named]
    answers = results(commands, calls, interrupted=interrupted)
    return {name: PoolId(answer["pool_id"]) for (name, _), answer in zip(named, answers, strict=True)}


def create_threads(
    commands: Commands, scenario: Scenario, pools: dict[str, PoolId], interrupted: Callable[[], bool]
) -> tuple[Actor, ...]:
    """Every thread of the scenario, funded but not started. Raises CommandFailed."""
    calls: list[Call] = []
    planned: list[tuple[ThreadKind, Side, str]] = []
    for plan in scenario.pools:
        for name in plan.names():
            for kind, side, count in plan.threads.groups():
                planned += [(kind, side, name)] * count
                calls += [creation(plan, kind, side, pools[name])] * count
    answers = results(commands, calls, interrupted=interrupted)
    return tuple(
        Actor(thread_id=ThreadId(answer["thread_id"]), kind=kind, side=side, pool=pool)
        for (kind, side, pool), answer in zip(planned, answers, strict=True)
    )


def creation(plan: PoolPlan, kind: ThreadKind, side: Side, pool_id: PoolId) -> Call:
    """The command that creates one thread."""
    params: dict[str, Any] = {"pool_id": pool_id}
    match kind:
        case ThreadKind.DEPOSIT:
            params |= {"token_type": side.value, "share_lp_tokens": plan.threads.share}
        case ThreadKind.WITHDRAWAL:
            params |= {"token_type": side.value, "share_tokens": plan.threads.share}
        case ThreadKind.SWAP:
            direction = "a_to_b" if side is Side.A else "b_to_a"
            params |= {"direction": direction, "share_tokens": plan.threads.share}
    if kind is not ThreadKind.WITHDRAWAL:
        params |= {"initial_amount": plan.initial(kind, side), "auto_refill": plan.threads.auto_refill}
    return Call(method=f"create_{kind.value}_thread", params=params)


def shuffled(actors: Sequence[Actor], seed: int) -> list[Actor]:
    """The order of starts: every pool and kind from the beginning, the same for the same seed."""
    ordered = list(actors)
    Random(seed).shuffle(ordered)
    return ordered
