"""Is a failure explained? By the failed transaction's own balances, or by an administrative step (DESIGN.md 6, net 1).

A program that refuses everything must not pass, so an error that nothing explains is a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from domain.facts import POOL_FLAG_LIQUIDITY_PAUSED, POOL_FLAG_OWNER_ONLY, POOL_FLAG_SWAPS_PAUSED, Receipt
from domain.ids import Address
from domain.operations import Intent, OperationKind
from domain.policy import PolicyStep
from domain.pool import Asset, Pool
from domain.refill import RESERVE_LAMPORTS
from domain.swap import U64_MAX
from domain.thread import ThreadConfig
from domain.verdicts import Reason

# I9: what an administrator may set a fee to.
LIQUIDITY_FEE_LIMITS: Final = (100_000, 100_000_000)
SWAP_FEE_LIMITS: Final = (10_000, 10_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One landed operation of a thread with everything that may explain it.

    ``steps``: those possible at its slot; none where the pool is not administered by us.
    """

    config: ThreadConfig
    pool: Pool
    intent: Intent
    receipt: Receipt
    steps: tuple[PolicyStep, ...]

    @property
    def is_swap(self) -> bool:
        return self.intent.kind is OperationKind.SWAP

    @property
    def amount(self) -> int:
        return int(self.intent.inputs["amount"])

    @property
    def pool_fee(self) -> int:
        """Lamports that went from the user to the pool inside the instruction."""
        return sum(
            transfer.lamports
            for transfer in self.receipt.inner_transfers
            if transfer.source == self.config.wallet and transfer.destination == Address(self.pool.pool_id)
        )

    def fees_in_force(self) -> tuple[tuple[int, int], ...]:
        """Ranges, both ends included, that the charged fee may lie in; points where we know the steps."""
        if not self.steps:
            return (SWAP_FEE_LIMITS if self.is_swap else LIQUIDITY_FEE_LIMITS,)
        fees = {step.swap_fee if self.is_swap else step.liquidity_fee for step in self.steps}
        return tuple((fee, fee) for fee in sorted(fees))

    def fee_allowed(self, fee: int) -> bool:
        return any(low <= fee <= high for low, high in self.fees_in_force())

    def certainly_forbidden(self) -> str:
        """Why every step possible at the slot forbids it: "paused", "owner-only", "system-paused"; else ""."""
        reasons = [self._forbids(step) for step in self.steps]
        return reasons[0] if reasons and all(reasons) else ""

    def _forbids(self, step: PolicyStep) -> str:
        if step.system_paused:
            return "system-paused"
        if step.flags & (POOL_FLAG_SWAPS_PAUSED if self.is_swap else POOL_FLAG_LIQUIDITY_PAUSED):
            return "paused"
        if self.is_swap and step.flags & POOL_FLAG_OWNER_ONLY and step.owner != self.config.wallet:
            return "owner-only"
        return ""

    def held(self, asset: Asset) -> int | None:
        """The user's balance before the transaction; None where the meta does not know the account."""
        return self._before(self.config.accounts[asset])

    def paying_vault(self) -> int | None:
        side = self.config.side.other if self.is_swap else self.config.side
        return self._before(self.pool.vault(side))

    def _before(self, account: Address) -> int | None:
        change = self.receipt.tokens.get(account)
        return None if change is None else change.before

    def lamports_for_fee(self) -> int:
        """The payer's lamports as the instruction saw them: after the network fee."""
        return self.receipt.lamports[self.config.wallet][0] - self.receipt.fee


def is_justified(case: Case, reason: Reason) -> bool:
    """Do the balances before the transaction, or the steps at its slot, explain this failure?

    The program checks pauses before any balance (CONTRACT.md 3.4-3.6): inside a certain pause only a pause explains.
    """
    if reason not in _PAUSES and case.certainly_forbidden():
        return False
    return _RULES[reason](case)


def _output_short(case: Case) -> bool:
    """The program compares with its counter, which is below the vault by what was sent straight to the vault."""
    vault = case.paying_vault()
    return vault is not None and vault - int(case.intent.inputs["excess"]) < int(case.intent.inputs["expected_out"])


def _lp_or_vault_short(case: Case) -> bool:
    held, vault = case.held(case.config.spends), case.paying_vault()
    return (held is not None and held < case.amount) or (vault is not None and vault < case.amount)


def _counter_short(case: Case) -> bool:
    vault = case.paying_vault()
    return vault is not None and vault - int(case.intent.inputs["excess"]) < case.amount <= vault


def _own_tokens_short(case: Case) -> bool:
    held = case.held(case.config.spends)
    return held is not None and held < case.amount


def _fee_short(case: Case) -> bool:
    return any(case.lamports_for_fee() < high for _, high in case.fees_in_force())


def _rent_short(case: Case) -> bool:
    """Some fee in force would have left 1..890_879 lamports."""
    held = case.lamports_for_fee()
    return any(held - high < RESERVE_LAMPORTS and held - low > 0 for low, high in case.fees_in_force())


def _lp_supply_near_limit(case: Case) -> bool:
    """The meta does not show the supply, so the snapshot's must at least have come near u64."""
    return int(case.intent.inputs["lp_supply"]) + case.amount > U64_MAX // 2


def _any_step(holds: Callable[[Case, PolicyStep], bool]) -> Callable[[Case], bool]:
    """Some step possible at the slot explains it; without steps of ours somebody else's may."""

    def rule(case: Case) -> bool:
        return not case.steps or any(holds(case, step) for step in case.steps)

    return rule


_RULES: Final[dict[Reason, Callable[[Case], bool]]] = {
    Reason.LIQUIDITY: _output_short,
    Reason.LP_OR_VAULT: _lp_or_vault_short,
    Reason.COUNTER: _counter_short,
    Reason.OWN_TOKENS: _own_tokens_short,
    Reason.FEE: _fee_short,
    Reason.RENT: _rent_short,
    Reason.LP_SUPPLY: _lp_supply_near_limit,
    Reason.LIQUIDITY_PAUSED: _any_step(lambda _, step: bool(step.flags & POOL_FLAG_LIQUIDITY_PAUSED)),
    Reason.SWAPS_PAUSED: _any_step(lambda _, step: bool(step.flags & POOL_FLAG_SWAPS_PAUSED)),
    Reason.OWNER_ONLY: _any_step(
        lambda case, step: bool(step.flags & POOL_FLAG_OWNER_ONLY) and step.owner != case.config.wallet
    ),
    Reason.SYSTEM_PAUSED: _any_step(lambda _, step: step.system_paused),
}
_PAUSES: Final = frozenset({Reason.LIQUIDITY_PAUSED, Reason.SWAPS_PAUSED, Reason.OWNER_ONLY, Reason.SYSTEM_PAUSED})


def is_payment_justified(
    reason: Reason, deltas: Mapping[Address, int], lamports: Mapping[Address, int], receipt: Receipt
) -> bool:
    """The same for a payment: its balances before, against the net changes of tokens and lamports it intended."""
    before = {account: change.before for account, change in receipt.tokens.items()}
    payer, (held, _) = next(iter(receipt.lamports.items()))
    left = held - receipt.fee - sum(change for account, change in lamports.items() if account != payer)
    match reason:
        case Reason.ACCOUNT_GONE:
            return any(account not in before for account in deltas)
        case Reason.OWN_TOKENS:
            short = any(account in before and before[account] + change < 0 for account, change in deltas.items())
            return short or left < 0
        case Reason.RENT:
            return 0 < left < RESERVE_LAMPORTS or any(
                account != payer and 0 < other < RESERVE_LAMPORTS for account, (other, _) in receipt.lamports.items()
            )
        case _:
            return False
