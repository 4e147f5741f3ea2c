"""What the methods that only read take: filters, pages, cursors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.params import Direction, Id, Params, TokenType

MAX_FAULTS = 100  # one may hold several raw accounts and a transaction's logs
MAX_ENTRIES = 1_000

Offset = Annotated[int, Field(ge=0, le=2**31)]
Order = Literal["newest", "oldest"]
CursorText = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[on](\d+|end)\.\d{1,20}-\d{1,20}$")
]


class GetPool(Params):
    pool_id: Id


class ListThreads(Params):
    """Every filter given must fit; ``offset`` counts among the threads that fit, in the order of creation."""

    pool_id: Id | None = None
    kind: Literal["deposit", "withdrawal", "swap"] | None = None
    status: Literal["created", "running", "stopped", "error"] | None = None
    token_type: TokenType | None = None
    direction: Direction | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    offset: Offset = 0


class GetThreadSessions(Params):
    """The newest sessions; a deleted thread is named, too."""

    thread_id: Id
    limit: Annotated[int, Field(ge=1, le=1_000)] = 10


class GetFaults(Params):
    """``offset`` counts from the newest or from the oldest; ``evidence`` false leaves out what makes them long."""

    limit: Annotated[int, Field(ge=1, le=MAX_FAULTS)] = 20
    offset: Offset = 0
    order: Order = "newest"
    evidence: bool = True


class GetJournal(Params):
    """``cursor`` is the ``next_cursor`` of the page before, asked for with the same order and filters."""

    limit: Annotated[int, Field(ge=1, le=MAX_ENTRIES)] = 100
    cursor: CursorText | None = None
    order: Order = "newest"
    thread_id: Id | None = None
    pool_id: Id | None = None
    kind: (
        Literal["deposit", "withdrawal", "swap", "share", "refill", "probe", "burn", "sweep", "setup", "admin", "fund"]
        | None
    ) = None
    event: Literal["submitted", "settled", "recovered"] | None = None
