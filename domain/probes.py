"""Probes: transactions that must fail, each with its exact code (DESIGN.md 6, net 4); how they are judged.

A probe ends in a transfer that can never succeed, so that nothing sticks where the program accepts what it must refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from itertools import product
from typing import Any, Final

from domain import operations as ops
from domain.evidence import Problem
from domain.facts import POOL_FLAG_LIQUIDITY_PAUSED, POOL_FLAG_OWNER_ONLY, POOL_FLAG_SWAPS_PAUSED, Receipt
from domain.ids import Address
from domain.operations import Action, Outcome, SolTransfer, Tampered
from domain.policy import Policy
from domain.pool import Asset, Pool
from domain.swap import U64_MAX

STOPPED: Final = "Custom(1)"  # the system program's answer to a transfer of more than there is
OK: Final = "ok"
MAX_COMPUTE_UNITS: Final = 1_400_000
# Several trades in one transaction may need more than a transaction gets (CONTRACT.md 8): that proves nothing.
EXHAUSTED: Final = frozenset({"ProgramFailedToComplete", "ComputationalBudgetExceeded"})
FIRST_INSTRUCTION: Final = 1  # the compute-unit limit stands before the actions


class Gate(StrEnum):
    """Which state of its surroundings an instruction answers to, before or after its own checks."""

    NONE = "none"
    SYSTEM = "system"  # 1023
    LIQUIDITY = "liquidity"  # 1023, then 1035
    SWAP = "swap"  # 1023, then 1027, then 1028
    OWNERS_SWAP = "owners_swap"  # the transaction itself made its user the pool's owner: 1023, then 1027
    PAUSE = "pause"  # 1024 when paused already
    UNPAUSE = "unpause"  # succeeds only when paused


class Stage(IntEnum):
    """Where in its instruction a check stands (the orders of CONTRACT.md 3): an earlier one hides a later one."""

    FIRST = 0
    SYSTEM = 1
    POOL = 2
    PAUSE = 3
    OWNER = 4
    LATE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambient:
    """Pauses and owner-only mode as they may be when the probe lands. ``owner`` None: owner-only for somebody else."""

    system_paused: bool = False
    liquidity_paused: bool = False
    swaps_paused: bool = False
    owner_only: bool = False
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """A wallet that is not the core wallet, whose key we hold, and its token accounts of this pool."""

    wallet: Address
    accounts: dict[Asset, Address]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A pool that is created inside the probe's own transaction and vanishes with it; the core wallet's accounts."""

    pool: Pool
    accounts: dict[Asset, Address]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything a probe may name. Amounts and liquidity are those of the last snapshot."""

    pool: Pool
    core: Address
    own: dict[Asset, Address]
    balances: dict[Asset, int]
    supplies: dict[Asset, int]
    core_lamports: int
    liquidity_fee: int
    swap_fee: int
    strangers: tuple[Stranger, ...]
    other_pool: Pool | None
    sandboxes: dict[str, Sandbox]
    system_state: Address
    treasury: Address
    program_data: Address
    is_admin: bool  # the core wallet is the program's admin and probes may touch administration
    is_minter: bool  # the core wallet may mint both tokens
    treasury_open: bool  # all of the treasury's content may be withdrawn at once (CONTRACT.md 3.13)

    def stranger(self, *assets: Asset) -> Stranger | None:
        """The first stranger with accounts of all these assets."""
        return next((s for s in self.strangers if all(asset in s.accounts for asset in assets)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A probe made for one scene: ``actions[at]`` must fail with ``code``, or all must succeed (``code`` OK).

    ``transfers``: lamports that the actions before the end must have moved into ``fees_of``, in order; "liquidity" and
    "swap" stand for the pool's fee in force. ``relies``: accounts that must exist, ``absent`` that must not.
    ``needs``: lamports per wallet, ``holds``: tokens per account, without which another code proves nothing.
    ``moot``: where all of these surroundings hold, the action would change nothing, and is not refused for changing it.
    ``prelude``: actions whose own refusal proves nothing. ``minted``: the tokens (OK only) came from nowhere.
    """

    actions: tuple[Action, ...]
    gates: tuple[Gate, ...]
    at: int
    code: str
    stage: Stage = Stage.LATE
    user: Address
    signers: tuple[Address, ...] = ()
    transfers: tuple[int | str, ...] | None = None
    fees_of: Address | None = None
    relies: tuple[Address, ...] = ()
    absent: tuple[Address, ...] = ()
    needs: dict[Address, int] = field(default_factory=dict)
    holds: dict[Address, int] = field(default_factory=dict)
    tokens: dict[Address, int] = field(default_factory=dict)  # for OK: the only token changes
    minted: bool = False
    fee_kind: str = ""  # for OK: "liquidity" or "swap", the pool fee it pays
    prelude: tuple[int, ...] = ()
    moot: tuple[str, ...] = ()  # names of Ambient

    def expectation(self) -> dict[str, Any]:
        """Plain JSON for the intent, from which the landed transaction is judged."""
        return {
            "at": self.at,
            "code": self.code,
            "stage": int(self.stage),
            "gates": [gate.value for gate in self.gates],
            "user": self.user,
            "transfers": None if self.transfers is None else [str(lamports) for lamports in self.transfers],
            "fees_of": self.fees_of,
            "relies": list(self.relies),
            "absent": list(self.absent),
            "needs": {wallet: str(lamports) for wallet, lamports in self.needs.items()},
            "holds": {account: str(amount) for account, amount in self.holds.items()},
            "tokens": {account: str(amount) for account, amount in self.tokens.items()},
            "fee_kind": self.fee_kind,
            "prelude": list(self.prelude),
            "moot": list(self.moot),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """``make`` gives None where the scene has nothing to make this probe of. ``admin``: needs the admin's rights."""

    name: str
    make: Callable[[Scene], Attempt | None]
    admin: bool = False
    sandbox: bool = False


def stop(scene: Scene) -> SolTransfer:
    return SolTransfer(source=scene.core, destination=scene.core, lamports=U64_MAX)


def gate_of(action: Action, scene: Scene) -> Gate:
    inner = action.action if isinstance(action, Tampered) else action
    match inner:
        case ops.Deposit(pool_id=pool_id) | ops.Withdraw(pool_id=pool_id):
            return Gate.LIQUIDITY if pool_id == scene.pool.pool_id else Gate.SYSTEM
        case ops.Swap(pool_id=pool_id):
            return Gate.SWAP if pool_id == scene.pool.pool_id else Gate.SYSTEM
        case ops.PauseSystem():
            return Gate.PAUSE
        case ops.UnpauseSystem():
            return Gate.UNPAUSE
        case (
            ops.InitializePool()
            | ops.PausePool()
            | ops.UnpausePool()
            | ops.SetSwapOwnerOnly()
            | ops.UpdatePoolFees()
            | ops.DonateSol()
            | ops.WithdrawTreasuryFees()
            | ops.ProcessAdminChange()
        ):
            return Gate.SYSTEM
        case _:
            return Gate.NONE


def gates_of(actions: tuple[Action, ...], scene: Scene) -> tuple[Gate, ...]:
    gates = []
    owned = False
    for action in actions:
        gate = gate_of(action, scene)
        gates.append(Gate.OWNERS_SWAP if gate is Gate.SWAP and owned else gate)
        owned = owned or (isinstance(action, ops.SetSwapOwnerOnly) and action.owner == scene.core)
    return tuple(gates)


def refused(scene: Scene, actions: Iterable[Action], code: str, stage: Stage = Stage.LATE, **rest: Any) -> Attempt:
    """The last of ``actions`` must be refused with ``code``; the stop stands behind it."""
    chosen = (*actions, stop(scene))
    gates = gates_of(chosen, scene)
    rest.setdefault("user", scene.core)
    return Attempt(actions=chosen, gates=gates, at=len(chosen) - 2, code=code, stage=stage, **rest)


def allowed(scene: Scene, actions: Iterable[Action], **rest: Any) -> Attempt:
    """All of ``actions`` must be accepted: the transaction fails at the stop and nowhere else."""
    chosen = (*actions, stop(scene))
    gates = gates_of(chosen, scene)
    rest.setdefault("user", scene.core)
    return Attempt(actions=chosen, gates=gates, at=len(chosen) - 1, code=STOPPED, **rest)


def ambients(policy: Policy | None, slot: int) -> tuple[Ambient, ...]:
    """What a transaction in ``slot`` may have met: our own steps, or anything on a pool that others administer."""
    if policy is None:
        return tuple(
            Ambient(system_paused=system, liquidity_paused=liquidity, swaps_paused=swaps, owner_only=owner)
            for system, liquidity, swaps, owner in product((False, True), repeat=4)
        )
    return tuple(
        Ambient(
            system_paused=step.system_paused,
            liquidity_paused=bool(step.flags & POOL_FLAG_LIQUIDITY_PAUSED),
            swaps_paused=bool(step.flags & POOL_FLAG_SWAPS_PAUSED),
            owner_only=bool(step.flags & POOL_FLAG_OWNER_ONLY),
            owner=step.owner,
        )
        for step in policy.allowed_at(slot)
    )


def predicted(expect: dict[str, Any], ambient: Ambient) -> tuple[str, int | None]:
    """(code, action) the program must answer in these surroundings: ours, or that of an earlier check."""
    paused = ambient.system_paused
    for index, name in enumerate(expect["gates"][: expect["at"] + 1]):
        gate = Gate(name)
        for stage, code in _hindrances(gate, ambient, expect["user"], paused):
            if index < expect["at"] or stage < expect["stage"]:
                return code, index
        if gate is Gate.UNPAUSE and paused:
            paused = False
            if index == expect["at"]:
                return STOPPED, len(expect["gates"]) - 1
    if expect["moot"] and all(getattr(ambient, name) for name in expect["moot"]):
        return STOPPED, len(expect["gates"]) - 1
    return expect["code"], expect["at"] if expect["code"] != OK else None


def _hindrances(gate: Gate, ambient: Ambient, user: str, paused: bool) -> Iterable[tuple[Stage, str]]:
    if gate is Gate.PAUSE and paused:
        yield Stage.PAUSE, "Custom(1024)"
    if gate in (Gate.SYSTEM, Gate.LIQUIDITY, Gate.SWAP, Gate.OWNERS_SWAP) and paused:
        yield Stage.SYSTEM, "Custom(1023)"
    if gate is Gate.LIQUIDITY and ambient.liquidity_paused:
        yield Stage.PAUSE, "Custom(1035)"
    if gate in (Gate.SWAP, Gate.OWNERS_SWAP) and ambient.swaps_paused:
        yield Stage.PAUSE, "Custom(1027)"
    if gate is Gate.SWAP and ambient.owner_only and ambient.owner != user:
        yield Stage.OWNER, "Custom(1028)"


class Verdict(StrEnum):
    OK = "ok"
    WRONG = "wrong"
    AGAIN = "again"  # the surroundings were not as the probe needs them: it proves nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    verdict: Verdict
    outcome: Outcome
    code: str
    problems: tuple[Problem, ...] = ()


def judge(
    inputs: dict[str, Any],
    receipt: Receipt,
    policy: Policy | None,
    payer: Address,
    compute_limit: int = MAX_COMPUTE_UNITS,
) -> Judgement:
    """The verdict over a landed probe, from its own meta. ``policy`` None: the pool's administration is not ours."""
    expect, name = inputs["expect"], inputs["probe"]
    code = OK if receipt.error is None else receipt.error.code
    index = None if receipt.error is None or receipt.error.index is None else receipt.error.index - FIRST_INSTRUCTION
    seen = (code, index)
    wanted = {predicted(expect, ambient) for ambient in ambients(policy, receipt.slot)}
    problems: list[str] = []
    verdict = Verdict.OK
    if seen not in wanted:
        exhausted = code in EXHAUSTED and (receipt.compute_units or 0) >= compute_limit * 99 // 100
        if exhausted or index in expect["prelude"] or _proves_nothing(expect, receipt):
            verdict = Verdict.AGAIN
        else:
            texts = " or ".join(sorted(_text(*pair) for pair in wanted))
            problems.append(f"expected {texts}, got {_text(*seen)}")
    elif seen != (expect["code"], None if expect["code"] == OK else expect["at"]):
        verdict = Verdict.AGAIN  # rightly refused, but by an earlier check than the one under test
    elif code == OK:
        problems += _wrong_effects(expect, receipt, policy, payer)
    elif expect["transfers"] is not None:
        problems += _wrong_fees(expect, receipt, policy)
    if code != OK:
        problems += _not_reverted(receipt, payer)
    found = tuple((f"PROBE-{name}", problem) for problem in problems)
    outcome = Outcome.CONFIRMED
    if code != OK:
        outcome = Outcome.FAILED_UNEXPECTED if found else Outcome.FAILED_EXPECTED
    return Judgement(verdict=Verdict.WRONG if found else verdict, outcome=outcome, code=code, problems=found)


def _text(code: str, index: int | None) -> str:
    return code if index is None else f"{code} from action {index}"


def _proves_nothing(expect: dict[str, Any], receipt: Receipt) -> bool:
    """An account the probe names is gone, one it creates is there, or a wallet or vault ran short meanwhile."""
    held = {address: before for address, (before, _) in receipt.lamports.items()}
    if any(held.get(Address(address), 0) == 0 for address in expect["relies"]):
        return True
    if any(held.get(Address(address), 0) for address in expect["absent"]):
        return True
    if any(held.get(Address(wallet), 0) < int(lamports) for wallet, lamports in expect["needs"].items()):
        return True
    tokens = {address: change.before for address, change in receipt.tokens.items()}
    return any(tokens.get(Address(account), 0) < int(amount) for account, amount in expect["holds"].items())


def _not_reverted(receipt: Receipt, payer: Address) -> list[str]:
    problems = [
        f"a failed transaction moved {after - before} lamports of {address}"
        for address, (before, after) in receipt.lamports.items()
        if after - before != (-receipt.fee if address == payer else 0)
    ]
    problems += [
        f"a failed transaction moved {change.delta} base units of {address}"
        for address, change in receipt.tokens.items()
        if change.delta
    ]
    return problems


def _wrong_fees(expect: dict[str, Any], receipt: Receipt, policy: Policy | None) -> list[str]:
    """The fees that the actions before the stop took, read from the inner transfers, which a failure does not hide."""
    wanted: list[str] = expect["transfers"]
    shown = [move.lamports for move in receipt.inner_transfers if move.destination == expect["fees_of"]]
    if len(shown) == len(wanted) and all(map(_is_fee, wanted, shown, [(policy, receipt.slot)] * len(shown))):
        return []
    return [f"the pool took fees of {shown} lamports, expected {wanted}"]


def _is_fee(wanted: str, shown: int, at: tuple[Policy | None, int]) -> bool:
    if wanted not in ("liquidity", "swap"):
        return shown == int(wanted)
    policy, slot = at
    if policy is None:
        return True
    steps = policy.allowed_at(slot)
    return shown in {step.liquidity_fee if wanted == "liquidity" else step.swap_fee for step in steps}


def _wrong_effects(expect: dict[str, Any], receipt: Receipt, policy: Policy | None, payer: Address) -> list[str]:
    """A small real operation: tokens exactly as the rule says, a fee in force, and every other lamport in its place."""
    problems = []
    wanted = {address: int(amount) for address, amount in expect["tokens"].items()}
    shown = {address: change.delta for address, change in receipt.tokens.items() if change.delta}
    if shown != {address: amount for address, amount in wanted.items() if amount}:
        problems.append(f"tokens moved {shown}, expected {wanted}")
    moved = {address: after - before for address, (before, after) in receipt.lamports.items() if after != before}
    pool = expect["fees_of"]
    fee = sum(move.lamports for move in receipt.inner_transfers if move.destination == pool) if pool else 0
    if expect["fee_kind"] and not _is_fee(expect["fee_kind"], fee, (policy, receipt.slot)):
        problems.append(f"a fee of {fee} lamports is not the {expect['fee_kind']} fee in force")
    if expect["fee_kind"] or not expect["tokens"]:
        lamports = {payer: -fee - receipt.fee} | ({pool: fee} if fee else {})
        if moved != lamports:
            problems.append(f"lamports moved {moved}, expected {lamports}")
    elif sum(moved.values()) != -receipt.fee:
        problems.append(f"lamports appeared or vanished: {moved} with a network fee of {receipt.fee}")
    return problems
