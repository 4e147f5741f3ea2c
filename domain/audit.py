"""The closing audit's rules: books and chain in, differences out (DESIGN.md 6, net 3). Pure."""

from __future__ import annotations

from collections import Counter

from domain.audit_effects import effects_of
from domain.audit_findings import AuditResult, Findings
from domain.audit_money import check_lamports, check_tokens, check_transactions
from domain.audit_operations import check_operations
from domain.audit_pools import check_pools
from domain.audit_records import Books
from domain.audit_totals import check_totals
from domain.audit_treasury import check_system_state, check_treasury

__all__ = ["AuditResult", "audit"]


def audit(books: Books, found: Findings | None = None) -> AuditResult:
    """Every check on everything; ``found`` brings what gathering already noticed."""
    found = Findings() if found is None else found
    effects = {signature: effects_of(tx, books.program) for signature, tx in books.transactions.items()}
    check_operations(books, effects, found)
    check_totals(books, found)
    replays = check_pools(books, effects, found)
    check_treasury(books, effects, replays, found)
    check_system_state(books, found)
    check_transactions(books, effects, found)
    if books.throttled:
        found.note("throttled endpoint: only wallets, vaults, pool states and mints were read; no token conservation")
    else:
        check_tokens(books, effects, found)
    check_lamports(books, effects, found)
    _check_nothing_unexplained(found)
    outcomes = Counter(
        f"{op.kind.value} {op.settled.outcome.value if op.settled else 'open'}" for op in books.journal.operations
    )
    found.note(
        f"{len(books.journal.operations)} operations and {len(books.transactions)} transactions compared: "
        + ", ".join(f"{name} {times}" for name, times in sorted(outcomes.items()))
    )
    return found.result()


def _check_nothing_unexplained(found: Findings) -> None:
    found.equal("unexplained", 0, found.units, "base units that nothing explains")
    found.equal("unexplained", 0, found.lamports, "lamports that nothing explains")
