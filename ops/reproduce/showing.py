"""A reproduced fault for the terminal: what happened, what changed, and which check says what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from domain.evidence import Problem
from domain.facts import Account, Receipt
from domain.ids import Address
from ops.reproduce.recorded import Recorded
from ops.reproduce.replay import Replay, read_account

#: What is compared only to say that a check saw a difference.
_DIFFERENCES = (("expected", "actual"), ("wanted", "shown"), ("stored", "seen"))


def show_fault(recorded: Recorded, count: int, history: Sequence[str], console: Console) -> None:
    """The fault as it was recorded, and what the pool's journal says of the time before it."""
    place = "" if recorded.slot is None else f" at slot {recorded.slot}"
    _line(console, f"fault {recorded.number} of {count}: {recorded.check}{place}")
    _line(console, f"  {recorded.message}")
    if history:
        _line(console, "the pool's last operations before it")
    for entry in history:
        _line(console, f"  {entry}")


def show_difference(recorded: Recorded, console: Console) -> None:
    """What a check that is not about one transaction compared."""
    for expected, actual in _DIFFERENCES:
        if expected in recorded.evidence:
            _line(console, f"  {expected}: {recorded.evidence[expected]}")
            _line(console, f"  {actual}: {recorded.evidence.get(actual)}")
    program_id = (recorded.evidence.get("context") or {}).get("program_id", "")
    for address, account in (recorded.evidence.get("accounts") or {}).items():
        if account is None:
            _line(console, f"  {address} is not there")
            continue
        _line(console, f"  {address}")
        for name, value in _fields(read_account(Address(address), account, program_id)).items():
            _line(console, f"    {name}: {value}")


def show_replay(replayed: Replay, names: Mapping[str, str], console: Console) -> None:
    """Result, compute units, logs and every account that changed; ``names``: what an address is."""
    receipt = replayed.receipt
    _line(console, f"result {result_of(receipt)}, {receipt.compute_units} compute units, fee {receipt.fee} lamports")
    _line(console, "logs")
    for line in receipt.logs:
        _line(console, f"  {line}")
    _line(console, "accounts that changed")
    for address, after in replayed.after.items():
        changes = list(changes_of(replayed.before[address], after))
        if changes:
            _line(console, f"  {address} {names.get(address, '')}".rstrip())
            for name, old, new in changes:
                step = f" ({new - old:+})" if isinstance(old, int) and isinstance(new, int) else ""
                _line(console, f"    {name}: {old} -> {new}{step}")


def show_as_recorded(receipt: Receipt, evidence: Mapping[str, Any], console: Console) -> None:
    """Does the transaction do again what the chain said of it?"""
    if "logs" not in evidence:
        return
    error = evidence["error"]
    was = "success" if error is None else f"{error['code']} in instruction {error['index']}"
    if (was, evidence["compute_units"]) == (result_of(receipt), receipt.compute_units):
        _line(console, "the same result and compute units as recorded")
    else:
        _line(console, f"recorded was: {was}, {evidence['compute_units']} compute units")


def show_problems(problems: Sequence[Problem], before: Sequence[Problem], console: Console) -> None:
    """Every check that does not hold; ``before``: what was broken already when the transaction came."""
    for check, message in before:
        _line(console, f"already broken before this transaction, so look at an earlier fault: {check}: {message}")
    for check, message in problems:
        _line(console, f"BROKEN {check}: {message}")
    if not problems:
        _line(console, "every check holds")


def result_of(receipt: Receipt) -> str:
    """The result code, with the instruction that gave it."""
    if receipt.error is None:
        return "success"
    return (
        receipt.error.code
        if receipt.error.index is None
        else f"{receipt.error.code} in instruction {receipt.error.index}"
    )


def changes_of(before: Account | None, after: Account | None) -> Iterator[tuple[str, Any, Any]]:
    """Name, before and after of everything that differs, by field where the content is known."""
    old, new = _fields(before), _fields(after)
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield name, old.get(name), new.get(name)


def _fields(account: Account | None) -> dict[str, Any]:
    if account is None:
        return {}
    found: dict[str, Any] = {"lamports": account.lamports, "owner": account.owner}
    if account.decoded is None:
        return found | {"data": account.raw.hex()}
    for name, value in asdict(account.decoded).items():
        shown = value.hex() if isinstance(value, bytes) else value
        found["authority" if name == "owner" else name] = shown
    return found


def _line(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, markup=False, highlight=False)
