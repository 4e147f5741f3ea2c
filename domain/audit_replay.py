"""A pool's counters as the contract's rules move them, written a second time: the audit trusts no other module.

Every method carries one instruction out and returns the text of a rule that the chain broke by accepting it, or "".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from domain.audit_effects import Flow, TokenFlow
from domain.audit_records import Rents
from domain.ids import Address
from domain.pool import Pool, Side

_LIQUIDITY_PAUSED: Final = 0x02
_SWAPS_PAUSED: Final = 0x04
_OWNER_ONLY: Final = 0x20
_EXACT: Final = 0x40
_ADMINISTERED: Final = _LIQUIDITY_PAUSED | _SWAPS_PAUSED | _OWNER_ONLY
_DEFAULT_FEES: Final = (13_000_000, 271_500)
NO_SIDE: Final = "its token account is of no token of the pool"


def _zero() -> dict[Side, int]:
    return {Side.A: 0, Side.B: 0}


@dataclass(slots=True, kw_only=True)
class Replay:
    """T, S, CL, CS, CT, CC, flags and fees of one pool; lamports and vaults follow from them."""

    pool: Pool
    rents: Rents
    created: bool = False
    liquidity: dict[Side, int] = field(default_factory=_zero)
    supply: dict[Side, int] = field(default_factory=_zero)
    outside_vault: dict[Side, int] = field(default_factory=_zero)
    outside_lamports_sum: int = 0
    value: int = 0  # G of I4
    burned_value: int = 0  # the part of G that direct LP burns left
    liquidity_fees: int = 0  # CL
    swap_fees: int = 0  # CS
    collected: int = 0  # CT
    consolidated: int = 0  # CC
    consolidations: int = 0
    moved: list[tuple[int, int]] = field(default_factory=list)  # each consolidation: liquidity part, swap part
    flags: int = 0
    liquidity_fee: int = _DEFAULT_FEES[0]
    swap_fee: int = _DEFAULT_FEES[1]
    owner: Address | None = None
    admin_slot: int = -1  # the slot of the newest administrative step

    def watched(self) -> dict[str, int]:
        """What the chain's accounts must show after each transaction; all 0 before the pool exists."""
        return {
            "lamports": self.lamports if self.created else 0,
            "vault_a": self.liquidity[Side.A] + self.outside_vault[Side.A],
            "vault_b": self.liquidity[Side.B] + self.outside_vault[Side.B],
            "supply_a": self.supply[Side.A],
            "supply_b": self.supply[Side.B],
        }

    @property
    def lamports(self) -> int:
        """J3."""
        return self.rents.pool_state + self.collected - self.consolidated + self.outside_lamports_sum

    def fee_books(self) -> dict[str, int]:
        return {
            "CL": self.liquidity_fees,
            "CS": self.swap_fees,
            "CT": self.collected,
            "CC": self.consolidated,
            "consolidations": self.consolidations,
        }

    def administered(self, shown_flags: int) -> dict[str, int]:
        """Flags and fees; the simple-ratio bit is the program's own finding and is taken as shown."""
        flags = (self.flags & (_ADMINISTERED | _EXACT)) | (shown_flags & 0x01)
        return {"flags": flags, "liquidity_fee": self.liquidity_fee, "swap_fee": self.swap_fee}

    def create(self, *, owner: Address, flags: int, slot: int) -> str:
        if self.created:
            return "the pool was created twice"
        self.created = True
        self.owner = owner
        self.flags = flags & _EXACT
        self.admin_slot = slot
        return ""

    def deposit(self, side: Side | None, amount: int, slot: int) -> str:
        if side is None:
            return NO_SIDE
        self.liquidity[side] += amount
        self.supply[side] += amount
        self._collect_liquidity_fee()
        return self._paused(_LIQUIDITY_PAUSED, slot)

    def withdraw(self, side: Side | None, amount: int, slot: int) -> str:
        if side is None:
            return NO_SIDE
        self.liquidity[side] -= amount
        self.supply[side] -= amount
        self._collect_liquidity_fee()
        return self._paused(_LIQUIDITY_PAUSED, slot)

    def swap(self, side: Side | None, amount: int, output: int, *, user: Address, slot: int) -> str:
        if side is None:
            return NO_SIDE
        ratio_in, ratio_out = self.pool.ratio(side), self.pool.ratio(side.other)
        wanted, remainder = divmod(amount * ratio_out, ratio_in)
        self.liquidity[side] += amount
        self.liquidity[side.other] -= output
        # I3: what the floor leaves stays in the pool; counted from the output that was really given.
        self.value += amount * ratio_out - output * ratio_in
        self.swap_fees += self.swap_fee
        self.collected += self.swap_fee
        if output != wanted or output < 1:
            return f"a swap of {amount} gave {output} instead of {wanted}"
        if self.flags & _EXACT and remainder:
            return f"an exact-exchange pool swapped {amount} with remainder {remainder}"
        if self.flags & _OWNER_ONLY and user != self.owner and slot != self.admin_slot:
            return "somebody else swapped while only the owner may"
        return self._paused(_SWAPS_PAUSED, slot)

    def pause(self, bits: int, *, on: bool, slot: int) -> str:
        flags = (_LIQUIDITY_PAUSED if bits & 1 else 0) | (_SWAPS_PAUSED if bits & 2 else 0)
        self.flags = self.flags | flags if on else self.flags & ~flags
        self.admin_slot = slot
        return ""

    def owner_only(self, *, enable: bool, owner: Address, slot: int) -> str:
        """Off leaves the owner as it is; the creator does not come back (CONTRACT.md 3.10)."""
        self.admin_slot = slot
        if enable:
            self.flags |= _OWNER_ONLY
            self.owner = owner
        else:
            self.flags &= ~_OWNER_ONLY
        return ""

    def update_fees(self, which: int, liquidity: int, swap: int, slot: int) -> str:
        self.admin_slot = slot
        if which & 1:
            self.liquidity_fee = liquidity
        if which & 2:
            self.swap_fee = swap
        return "" if which in (1, 2, 3) else f"update flags {which} were accepted"

    def consolidate(self, shown: int, *, slot: int, system_paused: bool | None) -> str:
        """CONTRACT.md 3.12; ``shown`` is what left the pool's account. ``system_paused`` None: nobody can say."""
        paused = bool(self.flags & _LIQUIDITY_PAUSED and self.flags & _SWAPS_PAUSED)
        certain = slot != self.admin_slot
        eligible = certain and (paused or system_paused is True)
        pending = max(0, self.collected - self.consolidated)
        amount = min(max(0, self.lamports - self.rents.protected), pending)
        if shown == 0 and not eligible:
            return ""  # skipped, as it should be or as it may be
        if amount == 0:
            return "" if shown == 0 else f"{shown} lamports were consolidated, nothing was there to move"
        both = self.liquidity_fees + self.swap_fees
        liquidity, liquidity_rest = divmod(amount * self.liquidity_fees, both)
        swap, swap_rest = divmod(amount * self.swap_fees, both)
        if liquidity_rest >= swap_rest:
            liquidity += amount - liquidity - swap
        else:
            swap += amount - liquidity - swap
        self.liquidity_fees -= liquidity
        self.swap_fees -= swap
        self.consolidated += amount
        self.consolidations += 1
        self.moved.append((liquidity, swap))
        if certain and not paused and system_paused is False:
            return f"{shown} lamports were consolidated although neither the pool nor the system was paused"
        return "" if shown == amount else f"{shown} lamports were consolidated instead of {amount}"

    def outside_tokens(self, flow: TokenFlow) -> None:
        """A plain token instruction that touches the pool: tokens sent into a vault, LP burned by its holder."""
        for side, vault, lp_mint in (
            (Side.A, self.pool.vault_a, self.pool.lp_mint_a),
            (Side.B, self.pool.vault_b, self.pool.lp_mint_b),
        ):
            if flow.destination == vault:
                self.outside_vault[side] += flow.amount
            if flow.source == vault:
                self.outside_vault[side] -= flow.amount
            if flow.mint == lp_mint and flow.destination is None:
                self.supply[side] -= flow.amount
                self.value += flow.amount * self.pool.ratio(side.other)
                self.burned_value += flow.amount * self.pool.ratio(side.other)

    def outside_lamports(self, flow: Flow) -> None:
        if flow.destination == Address(self.pool.pool_id):
            self.outside_lamports_sum += flow.lamports

    def _collect_liquidity_fee(self) -> None:
        self.liquidity_fees += self.liquidity_fee
        self.collected += self.liquidity_fee

    def _paused(self, flag: int, slot: int) -> str:
        """Within the slot of an administrative step the order is the node's word alone: no conclusion."""
        if self.flags & flag and slot != self.admin_slot:
            return "an operation succeeded although it was paused"
        return ""
