"""The newest transactions with the accounts that they executed on, so that each can be executed again elsewhere.

A cluster keeps no such thing: there only the balances before a transaction are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile, takewhile

from solders.account import Account
from solders.pubkey import Pubkey

#: What a load of 200 transactions a second brings in 20 s; about 2 KB each, most of it shared with what reads need.
KEPT = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A landed transaction and its accounts just before it, None for those that did not exist."""

    slot: int
    unix_timestamp: int
    raw: bytes
    failed: bool
    accounts: dict[Pubkey, Account | None]


class Executions:
    """By signature, oldest forgotten first."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Execution] = {}

    def add(self, signature: bytes, execution: Execution) -> None:
        """One that a fork dropped and that landed again is the new one."""
        self._kept.pop(signature, None)
        self._kept[signature] = execution
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]

    def drop(self, signature: bytes) -> None:
        """A fork took it back."""
        self._kept.pop(signature, None)

    def get(self, signature: bytes) -> Execution | None:
        """One by its first signature."""
        return self._kept.get(signature)

    def beside(self, execution: Execution, address: Pubkey, after_slot: Account | None) -> Account | None:
        """An account that the execution did not name, as it was then.

        What a later execution of the same slot found is what this one left; else it is as the slot left it.
        """
        later = dropwhile(lambda each: each is not execution, self._kept.values())
        same_slot = takewhile(lambda each: each.slot == execution.slot, later)
        return next((each.accounts[address] for each in same_slot if address in each.accounts), after_slot)

    def changing(self, address: Pubkey, until_slot: int) -> Iterator[Execution]:
        """Those up to a slot that named an address and succeeded, newest first."""
        for execution in reversed(self._kept.values()):
            if execution.slot <= until_slot and not execution.failed and address in execution.accounts:
                yield execution
