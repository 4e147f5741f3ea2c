"""What every method takes: one strict model each, and the binding of positional and named parameters to it.

Nothing is converted: ``true`` is no number, ``1.0`` no integer, ``null`` no way to leave something out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from api.errors import InvalidParams

U64: Final = 2**64 - 1
MAX_CONSOLIDATED: Final = 20  # CONTRACT.md 1
MAX_REPORTED_ERRORS: Final = 10
MAX_SHOWN_NAME: Final = 64
MAX_SHOWN_REASON: Final = 240

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

# Ids are only looked up, so any short text is well-formed: one that nobody knows is "not found".
Id = Annotated[str, StringConstraints(min_length=1, max_length=128)]
CommandIdText = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:\-]+$")]
Amount = Annotated[int, Field(ge=0, le=U64)]
Ratio = Annotated[int, Field(ge=1, le=U64)]
Decimals = Annotated[int, Field(ge=0, le=9)]
Direction = Literal["a_to_b", "b_to_a"]
TokenType = Literal["A", "B"]


class Params(BaseModel):
    """No unknown names, no conversions. The order of the fields is the order of positional parameters."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


P = TypeVar("P", bound=Params)


class NoParams(Params):
    pass


class CommandParams(Params):
    """A command. The same ``command_id`` again does not act again, it waits for the first one's answer."""

    command_id: CommandIdText | None = None

    def arguments(self) -> dict[str, Any]:
        """What the command's task gets: parameters that were given or have a default, without the id."""
        return self.model_dump(exclude={"command_id"}, exclude_none=True)


class CreatePool(CommandParams):
    """Ratio as a whole number of whole tokens with a direction, or as two amounts of base units, or random."""

    token_a_decimals: Decimals | None = None
    token_b_decimals: Decimals | None = None
    ratio_whole_number: Ratio | None = None
    ratio_direction: Direction | None = None
    ratio_a: Ratio | None = None
    ratio_b: Ratio | None = None
    exact_exchange: bool = False

    @model_validator(mode="after")
    def _one_kind_of_ratio(self) -> Self:
        if (self.ratio_a is None) != (self.ratio_b is None):
            missing = "ratio_a" if self.ratio_a is None else "ratio_b"
            raise wrong(missing, "ratio_a and ratio_b are given together or not at all")
        if self.ratio_a is not None:
            for name in ("ratio_whole_number", "ratio_direction"):
                if getattr(self, name) is not None:
                    raise wrong(name, "not beside ratio_a and ratio_b")
        return self


class DepositThread(Params):
    pool_id: Id
    token_type: TokenType
    initial_amount: Amount
    auto_refill: bool = False
    share_lp_tokens: bool = True

    @model_validator(mode="after")
    def _refill_needs_an_amount(self) -> Self:
        if self.auto_refill and self.initial_amount == 0:
            raise wrong("auto_refill", "only possible with an initial_amount above 0")
        return self


class WithdrawalThread(Params):
    pool_id: Id
    token_type: TokenType
    share_tokens: bool = True


class SwapThread(Params):
    pool_id: Id
    direction: Direction
    initial_amount: Amount


class CreateDepositThread(DepositThread, CommandParams):
    pass


class CreateWithdrawalThread(WithdrawalThread, CommandParams):
    pass


class CreateSwapThread(SwapThread, CommandParams):
    pass


class RunAudit(CommandParams):
    """Only while no thread runs."""


class ThreadCommand(CommandParams):
    thread_id: Id


class PausePool(CommandParams):
    """Also for unpause: which of the two is meant, by default both."""

    pool_id: Id
    liquidity: bool = True
    swaps: bool = True

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.liquidity and not self.swaps:
            raise wrong("liquidity", "liquidity or swaps must be true")
        return self


class SetSwapOwnerOnly(CommandParams):
    pool_id: Id
    enable: bool
    owner: str | None = None

    @model_validator(mode="after")
    def _owner_is_an_address(self) -> Self:
        if self.owner is not None and not is_address(self.owner):
            raise wrong("owner", "not a Solana address")
        return self


class UpdatePoolFees(CommandParams):
    """Lamports per operation, within the contract's limits (CONTRACT.md 1)."""

    pool_id: Id
    liquidity_fee: Annotated[int, Field(ge=100_000, le=100_000_000)] | None = None
    swap_fee: Annotated[int, Field(ge=10_000, le=10_000_000)] | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.liquidity_fee is None and self.swap_fee is None:
            raise wrong("liquidity_fee", "liquidity_fee or swap_fee is required")
        return self


class ConsolidatePoolFees(CommandParams):
    pool_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_CONSOLIDATED)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.pool_ids)) != len(self.pool_ids):
            raise wrong("pool_ids", "a pool is named twice")
        return self


class GetThread(Params):
    thread_id: Id


class GetCommand(Params):
    command_id: Id


def names_of(model: type[Params]) -> list[str]:
    """Positional order: the method's own parameters as declared, ``command_id`` last."""
    names = [name for name in model.model_fields if name != "command_id"]
    return names + (["command_id"] if "command_id" in model.model_fields else [])


def bind(model: type[P], params: object) -> P:
    """Named (object) or positional (array) parameters as the method's model. Raises InvalidParams naming each field."""
    match params:
        case dict():
            named: Mapping[str, Any] = params
        case list():
            names = names_of(model)
            if len(params) > len(names):
                raise InvalidParams([("params", f"at most {len(names)} positional parameters, got {len(params)}")])
            named = dict(zip(names, params, strict=False))
        case _:
            raise InvalidParams([("params", "must be an object or an array")])
    wrong = [(_shown(name), "unknown parameter") for name in named if name not in model.model_fields]
    wrong += [(_shown(name), "must not be null") for name, value in named.items() if value is None]
    if wrong:
        raise InvalidParams(wrong[:MAX_REPORTED_ERRORS])
    try:
        return model.model_validate(named)
    except ValidationError as error:
        raise InvalidParams(_reasons(error)) from None


def is_address(text: str) -> bool:
    """Base58 of exactly 32 bytes."""
    if not 32 <= len(text) <= 44 or not re.fullmatch(f"[{_BASE58}]+", text):
        return False
    number = 0
    for letter in text:
        number = number * 58 + _BASE58.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    return zeros + (number.bit_length() + 7) // 8 == 32


def wrong(field: str, text: str) -> PydanticCustomError:
    return PydanticCustomError("combination", "{text}", {"field": field, "text": text})


def _reasons(error: ValidationError) -> list[tuple[str, str]]:
    reasons = []
    for found in error.errors(include_url=False, include_input=False)[:MAX_REPORTED_ERRORS]:
        context = found.get("ctx", {})
        field = context["field"] if found["type"] == "combination" else ".".join(map(str, found["loc"]))
        text = "required" if found["type"] == "missing" else found["msg"]
        reasons.append((_shown(field), _shown(text, MAX_SHOWN_REASON)))
    return reasons


def _shown(text: str, longest: int = MAX_SHOWN_NAME) -> str:
    """What the caller made up, fit to be shown and logged: short, without line ends or halves of characters."""
    short = text if len(text) <= longest else text[:longest] + "…"
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in short)
