"""Scenario files: what a run creates, does and must hold. Strict: an unknown name is an error that names the key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from domain.errors import CommandError, StressError
from domain.pool import Side
from domain.ratio import PoolSpec, pool_spec
from domain.swap import U64_MAX
from domain.thread import ThreadKind
from domain.thresholds import Threshold, ThresholdError, parse_threshold
from ops.figures import FIGURES, LIVE_FIGURES
from ops.scenario_steps import Duration, Name, Step, Strict, expand_pools, read_duration_ms

DEFAULT_TOKENS = 1_000_000  # whole tokens that a deposit or swap thread starts with


class ScenarioError(StressError):
    """The scenario cannot be used; the message names the file and every wrong key."""


class ThreadsOfPool(Strict):
    """How many threads of each kind a pool gets. Amounts in base units; None: a million whole tokens."""

    deposit_a: int = Field(0, ge=0, le=1_000)
    deposit_b: int = Field(0, ge=0, le=1_000)
    withdrawal_a: int = Field(0, ge=0, le=1_000)
    withdrawal_b: int = Field(0, ge=0, le=1_000)
    swap_a_to_b: int = Field(0, ge=0, le=1, description="a pool has one swap thread per direction")
    swap_b_to_a: int = Field(0, ge=0, le=1)
    initial_a: int | None = Field(None, ge=1, le=U64_MAX)
    initial_b: int | None = Field(None, ge=1, le=U64_MAX)
    auto_refill: bool = True
    share: bool = True

    @property
    def total(self) -> int:
        return sum(count for _, _, count in self.groups())

    def groups(self) -> list[tuple[ThreadKind, Side, int]]:
        """(kind, side, count); a swap's side is what it gives."""
        return [
            (ThreadKind.DEPOSIT, Side.A, self.deposit_a),
            (ThreadKind.DEPOSIT, Side.B, self.deposit_b),
            (ThreadKind.WITHDRAWAL, Side.A, self.withdrawal_a),
            (ThreadKind.WITHDRAWAL, Side.B, self.withdrawal_b),
            (ThreadKind.SWAP, Side.A, self.swap_a_to_b),
            (ThreadKind.SWAP, Side.B, self.swap_b_to_a),
        ]


class PoolPlan(Strict):
    """One pool, or ``copies`` equal ones named name-1, name-2 ... The ratio in base units or in whole tokens."""

    name: Name
    copies: int = Field(1, ge=1, le=1_000)
    decimals_a: int = Field(ge=0, le=19)
    decimals_b: int = Field(ge=0, le=19)
    ratio_a: int | None = Field(None, ge=1, le=U64_MAX)
    ratio_b: int | None = Field(None, ge=1, le=U64_MAX)
    ratio_whole_number: int | None = Field(None, ge=1, le=U64_MAX)
    ratio_direction: Literal["a_to_b", "b_to_a"] | None = None
    exact_exchange: bool = False
    threads: ThreadsOfPool

    @model_validator(mode="after")
    def _accepted_by_the_program(self) -> Self:
        if self.ratio_a is None and self.ratio_whole_number is None:
            raise ValueError("give ratio_a and ratio_b, or ratio_whole_number")
        try:
            self.spec()
        except CommandError as error:
            raise ValueError(str(error)) from None
        return self

    def parameters(self) -> dict[str, Any]:
        """create_pool's parameters."""
        named = {
            "token_a_decimals": self.decimals_a,
            "token_b_decimals": self.decimals_b,
            "ratio_a": self.ratio_a,
            "ratio_b": self.ratio_b,
            "ratio_whole_number": self.ratio_whole_number,
            "ratio_direction": None if self.ratio_whole_number is None else self.ratio_direction or "a_to_b",
            "exact_exchange": self.exact_exchange,
        }
        return {name: value for name, value in named.items() if value is not None}

    def spec(self) -> PoolSpec:
        """The pool in base units. Raises CommandError for a ratio that the program refuses."""
        return pool_spec(self.parameters(), Random(0))

    def initial(self, kind: ThreadKind, side: Side) -> int:
        """What a new thread holds of the token it spends; withdrawal threads begin with nothing."""
        if kind is ThreadKind.WITHDRAWAL:
            return 0
        given = self.threads.initial_a if side is Side.A else self.threads.initial_b
        decimals = self.decimals_a if side is Side.A else self.decimals_b
        return DEFAULT_TOKENS * 10**decimals if given is None else given

    def names(self) -> list[str]:
        return [self.name] if self.copies == 1 else [f"{self.name}-{number}" for number in range(1, self.copies + 1)]


class Load(Strict):
    """Starts are spread evenly over ``ramp``."""

    ramp: Duration = 2_000


def _rules(value: object) -> object:
    """Texts become rules here, so that a misspelt figure is an error of the scenario."""
    if not isinstance(value, list):
        raise ValueError("a list of texts like 'violations == 0'")  # noqa: TRY004 - pydantic wants ValueError
    return value


class Scenario(Strict):
    """A whole run. Durations are milliseconds here, "60s" or "500ms" in the file."""

    name: Name
    description: str = ""
    duration: Duration
    seed: int | None = Field(None, ge=0, lt=2**63)
    slot_ms: int = Field(400, ge=1, le=60_000)
    load: Load = Load()
    pools: Annotated[list[PoolPlan], Field(min_length=1)]
    steps: list[Step] = Field(default_factory=list)
    thresholds: Annotated[list[str], BeforeValidator(_rules)] = Field(default_factory=lambda: ["violations == 0"])
    abort: Annotated[list[str], BeforeValidator(_rules)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [name for pool in self.pools for name in pool.names()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"pools: the name {twice[0]} is used twice")
        for index, step in enumerate(self.steps):
            if step.at >= self.duration:
                raise ValueError(f"steps.{index}.at: the run ends after {self.duration} ms")
            expand_pools(step.pools, names, f"steps.{index}.pools")
        try:
            self.rules()
            self.abort_rules()
        except ThresholdError as error:
            raise ValueError(str(error)) from None
        return self

    def rules(self) -> list[Threshold]:
        return [parse_threshold(text, FIGURES) for text in self.thresholds]

    def abort_rules(self) -> list[Threshold]:
        """Held against the live figures each second; the run ends early when one is true."""
        return [parse_threshold(text, LIVE_FIGURES) for text in self.abort]

    @property
    def threads(self) -> int:
        return sum(pool.threads.total * pool.copies for pool in self.pools)

    def pool_names(self) -> list[str]:
        return [name for pool in self.pools for name in pool.names()]

    def changed(self, *, duration: str | None, seed: int | None, slot_ms: int | None) -> Scenario:
        """The scenario with what the command line says instead. Steps past a shorter end are dropped.

        Raises ScenarioError for a duration that cannot be read.
        """
        changes: dict[str, Any] = {}
        if duration is not None:
            try:
                changes["duration"] = read_duration_ms(duration)
            except ValueError as error:
                raise ScenarioError(f"--duration: {error}") from None
            changes["steps"] = [step for step in self.steps if step.at < changes["duration"]]
        if seed is not None:
            changes["seed"] = seed
        if slot_ms is not None:
            changes["slot_ms"] = slot_ms
        return self.model_copy(update=changes)

    def described(self) -> dict[str, Any]:
        """Plain JSON data for the report."""
        return self.model_dump(mode="json", exclude_none=True)


def read_scenario(path: Path) -> Scenario:
    """Read and check a scenario file. Raises ScenarioError that names every wrong key."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ScenarioError(f"the scenario {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"the scenario {path} is not TOML: {error}") from None
    return parse_scenario(document, str(path))


def parse_scenario(document: dict[str, Any], source: str) -> Scenario:
    """Check a scenario given as data. Raises ScenarioError."""
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        wrong = []
        for found in error.errors(include_url=False, include_input=False, include_context=False):
            key = ".".join(str(part) for part in found["loc"])
            text = found["msg"].removeprefix("Value error, ").replace("Extra inputs are not permitted", "unknown key")
            wrong.append(f"{key}: {text}" if key else text)
        raise ScenarioError(f"{source}: " + "; ".join(wrong)) from None
