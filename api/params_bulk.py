"""Parameters of the commands for many threads at once, and of those for the whole service."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from api.params import CommandParams, DepositThread, Id, SwapThread, WithdrawalThread, wrong

MAX_MEMBERS: Final = 1_000


class NewDepositThread(DepositThread):
    kind: Literal["deposit"]


class NewWithdrawalThread(WithdrawalThread):
    kind: Literal["withdrawal"]


class NewSwapThread(SwapThread):
    kind: Literal["swap"]


NewThread = Annotated[NewDepositThread | NewWithdrawalThread | NewSwapThread, Field(discriminator="kind")]


class CreateThreads(CommandParams):
    """``threads``, or ``count`` equal ones like ``template``; a pool has one swap thread per direction."""

    threads: Annotated[list[NewThread], Field(min_length=1, max_length=MAX_MEMBERS)] | None = None
    count: Annotated[int, Field(ge=1, le=MAX_MEMBERS)] | None = None
    template: NewThread | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.threads is not None:
            for name in ("count", "template"):
                if getattr(self, name) is not None:
                    raise wrong(name, "not beside threads")
        elif self.count is None or self.template is None:
            missing = "template" if self.count is not None else "count" if self.template is not None else "threads"
            raise wrong(missing, "threads are required, or count and template")
        return self


class ThreadsCommand(CommandParams):
    """Threads by id, or all of a pool, or all: exactly one of them."""

    thread_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_MEMBERS)] | None = None
    pool_id: Id | None = None
    all: bool | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if self.thread_ids is not None and len(set(self.thread_ids)) != len(self.thread_ids):
            raise wrong("thread_ids", "a thread is named twice")
        if self.all is False:
            raise wrong("all", "true or not given")
        given = [name for name in ("thread_ids", "pool_id", "all") if getattr(self, name) is not None]
        if not given:
            raise wrong("thread_ids", "thread_ids, pool_id or all is required")
        if len(given) > 1:
            raise wrong(given[-1], f"not beside {given[0]}")
        return self


class StopAllPoolThreads(CommandParams):
    pool_id: Id


class WholeService(CommandParams):
    """Nothing to choose."""
