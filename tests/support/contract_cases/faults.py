"""Single faults of an instruction that can be combined in pairs, to prove the order of the checks.

A fault changes one spot of a case: an account's bytes, a key, a privilege or an argument. Two faults can be
combined when their spots differ; a spot "source.state" lies inside the spot "source".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from tests.support.contract_model.addresses import MAIN_TREASURY, RENT_SYSVAR, SYSTEM_STATE, TOKEN_PROGRAM
from tests.support.contract_model.runtime import Instruction
from tests.support.contract_model.state import U64_MAX, Account, PoolState, SystemState
from tests.support.litesvm_world import World

PANIC = "ProgramFailedToComplete"
STRANGER = bytes([0x99]) * 32
ELSEWHERE = bytes([0x98]) * 32


@dataclass(slots=True)
class Case:
    """An instruction about to be sent on a world; faults change either."""

    world: World
    instruction: Instruction

    def change_meta(self, index: int, **changes: Any) -> None:
        metas = list(self.instruction.metas)
        metas[index] = replace(metas[index], **changes)
        self.instruction = replace(self.instruction, metas=tuple(metas))

    def write_data(self, offset: int, raw: bytes) -> None:
        data = self.instruction.data
        self.instruction = replace(self.instruction, data=data[:offset] + raw + data[offset + len(raw) :])

    def change_account(self, key: bytes, **changes: Any) -> None:
        self.world.put(key, replace(self.world.model.accounts[key], **changes))

    def change_bytes(self, key: bytes, offset: int, raw: bytes) -> None:
        data = self.world.model.accounts[key].data
        self.change_account(key, data=data[:offset] + raw + data[offset + len(raw) :])

    def change_pool(self, key: bytes, **changes: Any) -> None:
        self.change_account(key, data=replace(PoolState.parse(self.world.model.accounts[key].data), **changes).pack())

    def change_system(self, **changes: Any) -> None:
        data = self.world.model.accounts[SYSTEM_STATE].data
        self.change_account(SYSTEM_STATE, data=replace(SystemState.parse(data), **changes).pack())


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: its name, the error it must give alone, the spot it occupies, how it is made."""

    name: str
    error: str
    spot: str
    apply: Callable[[Case], None]

    def fits(self, other: Fault) -> bool:
        mine, theirs = self.spot + ".", other.spot + "."
        return not (mine.startswith(theirs) or theirs.startswith(mine))


def pairs(faults: Sequence[Fault]) -> Iterator[tuple[Fault, Fault]]:
    """Every pair that can be made together; the first of the two must win."""
    return ((first, second) for first, second in combinations(faults, 2) if first.fits(second))


def meta(name: str, error: str, index: int, spot: str, **changes: Any) -> Fault:
    return Fault(name, error, spot, lambda case: case.change_meta(index, **changes))


def key(name: str, error: str, index: int, replacement: bytes) -> Fault:
    """Another account in the place of one."""
    return meta(name, error, index, f"key {index}", key=replacement)


def argument(name: str, error: str, offset: int, raw: bytes) -> Fault:
    return Fault(name, error, f"argument {offset}", lambda case: case.write_data(offset, raw))


def u64(name: str, error: str, offset: int, value: int) -> Fault:
    return argument(name, error, offset, value.to_bytes(8, "little"))


def lamports(name: str, error: str, owner: bytes, amount: int) -> Fault:
    return Fault(name, error, f"lamports {owner.hex()}", lambda case: case.world.put_lamports(owner, amount))


def exact_count(error: str = "InvalidAccountData") -> list[Fault]:
    """One account too many and one too few."""

    def add(case: Case) -> None:
        metas = (*case.instruction.metas, replace(case.instruction.metas[0], key=ELSEWHERE, signer=False))
        case.instruction = replace(case.instruction, metas=metas)

    return [Fault("account too many", error, "count", add), too_few(error)]


def too_few(error: str) -> Fault:
    def drop(case: Case) -> None:
        case.instruction = replace(case.instruction, metas=case.instruction.metas[:-1])

    # The last account's faults cannot be made when it is gone; the driver applies the count last.
    return Fault("account too few", error, "count", drop)


def unsigned() -> Fault:
    return meta("account 0 does not sign", "MissingRequiredSignature", 0, "signer", signer=False)


def system_loads(index: int) -> list[Fault]:
    """CHK_SYSTEM steps 1 to 3."""
    spot = "system data"
    return [
        key("other system_state", "InvalidAccountData", index, MAIN_TREASURY),
        Fault("no system_state", "UninitializedAccount", spot, lambda case: case.world.put(SYSTEM_STATE, Account())),
        Fault(
            "system_state does not parse",
            "InvalidAccountData",
            spot,
            lambda case: case.change_bytes(SYSTEM_STATE, 0, b"\2"),
        ),
        Fault(
            "system_state cut short",
            "InvalidAccountData",
            spot,
            lambda case: case.change_account(SYSTEM_STATE, data=case.world.data(SYSTEM_STATE)[:82]),
        ),
    ]


def system_paused() -> Fault:
    return Fault(
        "system paused",
        "Custom(1023)",
        "system data",
        lambda case: case.change_system(is_paused=True, pause_timestamp=1),
    )


def system_usable(index: int) -> list[Fault]:
    return [*system_loads(index), system_paused()]


def not_admin(spot: str = "key 0") -> Fault:
    return meta("a stranger signs", "InvalidAccountData", 0, spot, key=STRANGER)


def pool_usable(pool: bytes, id_offset: int) -> list[Fault]:
    """CHK_POOL."""
    return [
        Fault(
            "pool of another program",
            "IncorrectProgramId",
            "pool owner",
            lambda case: case.change_account(pool, owner=TOKEN_PROGRAM),
        ),
        argument("pool_id mismatch", "Custom(1034)", id_offset, MAIN_TREASURY),
        *pool_parses(pool),
    ]


def pool_parses(pool: bytes) -> list[Fault]:
    error = "InvalidAccountData"
    return [
        Fault(
            "pool cut short",
            error,
            "pool data",
            lambda case: case.change_account(pool, data=case.world.data(pool)[:437]),
        ),
        Fault("zero mint A", error, "pool data.a", lambda case: case.change_pool(pool, token_a_mint=bytes(32))),
        Fault("zero mint B", error, "pool data.b", lambda case: case.change_pool(pool, token_b_mint=bytes(32))),
        Fault("zero ratio A", error, "pool data.ra", lambda case: case.change_pool(pool, ratio_a=0)),
        Fault("zero ratio B", error, "pool data.rb", lambda case: case.change_pool(pool, ratio_b=0)),
    ]


def pool_flag(name: str, error: str, pool: bytes, flag: int) -> Fault:
    return Fault(
        name,
        error,
        "pool data.flags",
        lambda case: case.change_pool(pool, flags=PoolState.parse(case.world.data(pool)).flags | flag),
    )


def delegate_to(case: Case, address: bytes, amount: int) -> None:
    case.change_bytes(address, 72, b"\1\0\0\0" + STRANGER)
    case.change_bytes(address, 121, amount.to_bytes(8, "little"))


def token_unusable(name: str, address: bytes, *, delegate: bool, error: str | None = None) -> list[Fault]:
    """CHK_TOKEN steps 1 to 6 on one account; `error` stands for all of them (a remembered problem)."""
    rows: list[tuple[str, str, str, Callable[[Case], None]]] = [
        ("is missing", "UninitializedAccount", "", lambda case: case.world.put(address, Account())),
        (
            "of another program",
            "IncorrectProgramId",
            ".program",
            lambda case: case.change_account(address, owner=RENT_SYSVAR),
        ),
        ("has bad tags", "InvalidAccountData", ".state", lambda case: case.change_bytes(address, 108, b"\3")),
        ("is frozen", "InvalidAccountData", ".state", lambda case: case.change_bytes(address, 108, b"\2")),
    ]
    if delegate:
        rows.append(
            (
                "is delegated",
                "InvalidAccountData",
                ".delegate",
                lambda case: delegate_to(case, address, 1),
            )
        )
    rows.append(
        (
            "of another owner",
            "InvalidAccountData",
            ".owner",
            lambda case: case.change_bytes(address, 32, STRANGER),
        )
    )
    return [Fault(f"{name} {what}", error or own, name + spot, apply) for what, own, spot, apply in rows]


def token_short(name: str, address: bytes) -> Fault:
    """The abort of CHK_TOKEN: an account shorter than a token account."""
    return Fault(
        f"{name} is too short",
        PANIC,
        name,
        lambda case: case.change_account(address, data=case.world.data(address)[:164]),
    )


def token_mint(name: str, error: str, address: bytes, mint: bytes) -> Fault:
    return Fault(f"{name} of another mint", error, f"{name}.mint", lambda case: case.change_bytes(address, 0, mint))


def lp_mint_unusable(name: str, address: bytes) -> list[Fault]:
    """CHK_LPMINT."""
    return [
        Fault(
            f"{name} of another program",
            "IncorrectProgramId",
            f"{name}.program",
            lambda case: case.change_account(address, owner=RENT_SYSVAR),
        ),
        Fault(
            f"{name} has no authority",
            "InvalidAccountData",
            f"{name}.authority",
            lambda case: case.change_bytes(address, 0, bytes(36)),
        ),
        Fault(
            f"{name} of another authority",
            "InvalidAccountData",
            f"{name}.authority",
            lambda case: case.change_bytes(address, 4, STRANGER),
        ),
    ]


def fee_cannot_be_taken(user: bytes, fee: int, pool_index: int = 3) -> list[Fault]:
    """TAKE_FEE."""
    return [
        lamports("too few lamports for the fee", "Custom(1031)", user, fee - 1),
        meta("pool not writable", "Custom(1033)", pool_index, "pool writable", writable=False),
        meta("account 0 not writable", "PrivilegeEscalation", 0, "writable 0", writable=False),
        key("no system program", "MissingAccount", 1, ELSEWHERE),
    ]


def fee_counter_full(pool: bytes, field: str) -> Fault:
    """The last step of TAKE_FEE: a counter of fees that cannot grow."""
    return Fault(
        f"{field} at its limit",
        "Custom(1033)",
        f"pool data.{field}",
        lambda case: case.change_pool(pool, **{field: U64_MAX}),
    )


def liquidity_counter_full(pool: bytes, side: str) -> Fault:
    return Fault(
        f"counter {side} at its limit",
        "ArithmeticOverflow",
        "pool data.total",
        lambda case: case.change_pool(pool, **{f"total_{side}": U64_MAX}),
    )


def huge_supply(address: bytes) -> Fault:
    return Fault(
        "LP supply at its limit",
        "Custom(14)",
        "lp mint.supply",
        lambda case: case.change_bytes(address, 36, b"\xff" * 8),
    )
