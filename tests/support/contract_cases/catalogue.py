"""The checks of CONTRACT.md 3 per instruction, in their order, each as a fault of the worked example's world."""

from __future__ import annotations

from dataclasses import replace

from tests.support.contract_cases.faults import (
    ELSEWHERE,
    PANIC,
    Case,
    Fault,
    argument,
    exact_count,
    fee_cannot_be_taken,
    fee_counter_full,
    huge_supply,
    key,
    lamports,
    liquidity_counter_full,
    lp_mint_unusable,
    meta,
    not_admin,
    pool_flag,
    pool_parses,
    pool_usable,
    system_loads,
    system_paused,
    system_usable,
    token_mint,
    token_short,
    token_unusable,
    too_few,
    u64,
    unsigned,
)
from tests.support.contract_model import encoding
from tests.support.contract_model import worked_example as example
from tests.support.contract_model.addresses import MAIN_TREASURY, PROGRAM_DATA, RENT_SYSVAR, SYSTEM_STATE, TOKEN_PROGRAM
from tests.support.contract_model.runtime import Instruction
from tests.support.contract_model.state import Account

USER, POOL = example.USER, example.POOL
MINT_A, MINT_B = example.MINT_A, example.MINT_B
BAD = "InvalidAccountData"


def deposit() -> tuple[Instruction, list[Fault]]:
    base = encoding.deposit(USER, POOL, MINT_A, 1_000_000, example.USER_A, example.USER_LP_A)
    return base, [
        *exact_count(),
        unsigned(),
        *system_usable(2),
        u64("zero amount", "InvalidArgument", 33, 0),
        *pool_usable(POOL, 41),
        pool_flag("liquidity paused", "Custom(1035)", POOL, 2),
        argument("mint argument not in the pool", "InvalidInstructionData", 1, ELSEWHERE),
        key("other LP mint A", BAD, 9, example.LP_B),
        *token_unusable("source", example.USER_A, delegate=True),
        token_short("source", example.USER_A),
        token_short("LP target", example.USER_LP_A),
        token_mint("source", "InvalidInstructionData", example.USER_A, MINT_B),
        key("other vault A", BAD, 5, example.VAULT_B),
        *token_unusable("vault", example.VAULT_A, delegate=False),
        token_short("vault", example.VAULT_A),
        token_mint("vault", BAD, example.VAULT_A, MINT_B),
        *lp_mint_unusable("lp mint", example.LP_A),
        *token_unusable("LP target", example.USER_LP_A, delegate=True, error="Custom(4001)"),
        token_mint("LP target", BAD, example.USER_LP_A, example.LP_B),
        u64("more than the balance", "InsufficientFunds", 33, 2**64 - 1),
        *fee_cannot_be_taken(USER, 13_000_000),
        fee_counter_full(POOL, "collected_liquidity"),
        fee_counter_full(POOL, "total_fees"),
        key("other token program", "IncorrectProgramId", 4, ELSEWHERE),
        meta("source not writable", "PrivilegeEscalation", 7, "writable 7", writable=False),
        meta("vault not writable", "PrivilegeEscalation", 5, "writable 5", writable=False),
        liquidity_counter_full(POOL, "a"),
        meta("LP mint not writable", "PrivilegeEscalation", 9, "writable 9", writable=False),
        meta("LP target not writable", "PrivilegeEscalation", 8, "writable 8", writable=False),
        huge_supply(example.LP_A),
    ]


def withdraw() -> tuple[Instruction, list[Fault]]:
    base = encoding.withdraw(USER, POOL, MINT_A, 1_000_000, example.USER_LP_A, example.USER_A)
    return base, [
        *exact_count(),
        u64("zero amount", "InvalidArgument", 33, 0),
        unsigned(),
        *system_usable(2),
        *pool_usable(POOL, 41),
        pool_flag("liquidity paused", "Custom(1035)", POOL, 2),
        key("other LP mint A", BAD, 9, example.LP_B),
        key("other LP mint B", BAD, 10, example.LP_A),
        *token_unusable("target", example.USER_A, delegate=True),
        token_short("target", example.USER_A),
        *token_unusable("LP source", example.USER_LP_A, delegate=True),
        token_short("LP source", example.USER_LP_A),
        argument("mint argument of the other side", "InvalidInstructionData", 1, MINT_B),
        Fault("mint not in the pool", "InvalidArgument", "target.mint", _withdraw_strange_mint),
        token_mint("LP source", BAD, example.USER_LP_A, example.LP_B),
        key("other vault A", BAD, 5, example.VAULT_B),
        *token_unusable("vault", example.VAULT_A, delegate=False),
        token_short("vault", example.VAULT_A),
        token_mint("vault", BAD, example.VAULT_A, MINT_B),
        *lp_mint_unusable("lp mint", example.LP_A),
        *fee_cannot_be_taken(USER, 13_000_000),
        fee_counter_full(POOL, "collected_liquidity"),
        fee_counter_full(POOL, "total_fees"),
        key("other token program", "IncorrectProgramId", 4, ELSEWHERE),
        meta("LP source not writable", "PrivilegeEscalation", 7, "writable 7", writable=False),
        meta("LP mint not writable", "PrivilegeEscalation", 9, "writable 9", writable=False),
        u64("more than the LP balance", "Custom(1)", 33, 5_000_000_001),
        meta("vault not writable", "PrivilegeEscalation", 5, "writable 5", writable=False),
        meta("target not writable", "PrivilegeEscalation", 8, "writable 8", writable=False),
        Fault("vault too low", "Custom(1)", "vault.amount", lambda case: _amount(case, example.VAULT_A, 999_999)),
        Fault(
            "counter too low",
            "ArithmeticOverflow",
            "pool data.total",
            lambda case: case.change_pool(POOL, total_a=999_999),
        ),
    ]


def _withdraw_strange_mint(case: Case) -> None:
    """The argument and the target agree on a mint that the pool does not know."""
    case.write_data(1, ELSEWHERE)
    case.change_bytes(example.USER_A, 0, ELSEWHERE)


def _amount(case: Case, address: bytes, amount: int) -> None:
    case.change_bytes(address, 64, amount.to_bytes(8, "little"))


def swap() -> tuple[Instruction, list[Fault]]:
    """1_000_000_000 A for 160_000_000 B."""
    amounts = (1_000_000_000, 160_000_000)
    base = encoding.swap(USER, POOL, (MINT_A, MINT_B), amounts, example.USER_A, example.USER_B)
    return base, [
        *exact_count(),
        u64("zero amount", "InvalidArgument", 33, 0),
        unsigned(),
        *system_usable(2),
        *pool_usable(POOL, 49),
        pool_flag("swaps paused", "Custom(1027)", POOL, 4),
        Fault("owner only", "Custom(1028)", "pool data.owner", _owner_only),
        *token_unusable("source", example.USER_A, delegate=True),
        token_short("source", example.USER_A),
        *token_unusable("target", example.USER_B, delegate=True),
        token_short("target", example.USER_B),
        token_mint("source", "InvalidArgument", example.USER_A, ELSEWHERE),
        key("other vault A", BAD, 5, example.VAULT_B),
        key("other vault B", BAD, 6, example.VAULT_A),
        *token_unusable("vault A", example.VAULT_A, delegate=False),
        token_short("vault A", example.VAULT_A),
        token_mint("vault A", BAD, example.VAULT_A, MINT_B),
        *token_unusable("vault B", example.VAULT_B, delegate=False),
        token_short("vault B", example.VAULT_B),
        token_mint("vault B", BAD, example.VAULT_B, MINT_A),
        Fault("source too low", BAD, "source.amount", lambda case: _amount(case, example.USER_A, 0)),
        token_mint("target", BAD, example.USER_B, MINT_A),
        key("other token program", "IncorrectProgramId", 4, ELSEWHERE),
        key("other input mint", BAD, 9, MINT_B),
        key("other output mint", BAD, 10, MINT_A),
        Fault("inexact in exact mode", "Custom(1047)", "argument 33", _inexact),
        u64("zero output", "InvalidArgument", 33, 6),
        u64("expects one more", "Custom(1047)", 41, 160_000_001),
        u64("expects one less", "Custom(1047)", 41, 159_999_999),
        Fault(
            "output side too low",
            "InsufficientFunds",
            "pool data.total",
            lambda case: case.change_pool(POOL, total_b=159_999_999),
        ),
        *fee_cannot_be_taken(USER, 271_500),
        fee_counter_full(POOL, "collected_swap"),
        fee_counter_full(POOL, "total_fees"),
        meta("source not writable", "PrivilegeEscalation", 7, "writable 7", writable=False),
        meta("vault A not writable", "PrivilegeEscalation", 5, "writable 5", writable=False),
        meta("target not writable", "PrivilegeEscalation", 8, "writable 8", writable=False),
        meta("vault B not writable", "PrivilegeEscalation", 6, "writable 6", writable=False),
        liquidity_counter_full(POOL, "a"),
    ]


def _owner_only(case: Case) -> None:
    flags = case.world.pool(POOL).flags
    case.change_pool(POOL, flags=flags | 0x20, owner=ELSEWHERE)


def _inexact(case: Case) -> None:
    case.change_pool(POOL, flags=case.world.pool(POOL).flags | 0x40)
    case.write_data(33, (999_999_999).to_bytes(8, "little"))


def initialize_pool() -> tuple[Instruction, list[Fault]]:
    """1_000_000_000 : 80_000_000 of the same mints, a pool that does not exist yet."""
    base = encoding.initialize_pool(USER, MINT_A, MINT_B, 1_000_000_000, 80_000_000)
    pool, vault_a, _, lp_a, _ = (base.metas[index].key for index in (3, 9, 10, 11, 12))
    occupied = Account(lamports=10**9)
    return base, [
        *exact_count(),
        unsigned(),
        *system_usable(2),
        key("other rent sysvar", "InvalidArgument", 6, ELSEWHERE),
        Fault("no mint A", PANIC, "mint A", lambda case: case.world.put(MINT_A, Account())),
        Fault("mint A has bad tags", BAD, "mint A.flag", lambda case: case.change_bytes(MINT_A, 45, b"\2")),
        Fault("no mint B", PANIC, "mint B", lambda case: case.world.put(MINT_B, Account())),
        Fault("mint B has bad tags", BAD, "mint B.flag", lambda case: case.change_bytes(MINT_B, 0, b"\2")),
        u64("zero ratio A", "InvalidArgument", 1, 0),
        u64("zero ratio B", "InvalidArgument", 9, 0),
        meta("one mint twice", "InvalidArgument", 8, "mint B", key=MINT_A),
        Fault(
            "mint A of another program",
            "IncorrectProgramId",
            "mint A.program",
            lambda case: case.change_account(MINT_A, owner=RENT_SYSVAR),
        ),
        Fault(
            "mint B of another program",
            "IncorrectProgramId",
            "mint B.program",
            lambda case: case.change_account(MINT_B, owner=RENT_SYSVAR),
        ),
        key("other token program", "IncorrectProgramId", 4, ELSEWHERE),
        lamports("too few lamports for the fee", "Custom(1031)", USER, 1_149_999_999),
        key("other treasury", "Custom(1034)", 5, ELSEWHERE),
        meta("treasury not writable", "Custom(1033)", 5, "writable 5", writable=False),
        meta("account 0 not writable", "PrivilegeEscalation", 0, "writable 0", writable=False),
        key("no system program", "MissingAccount", 1, ELSEWHERE),
        key("other pool", BAD, 3, POOL),
        Fault(
            "pool exists",
            "AccountAlreadyInitialized",
            "pool",
            lambda case: case.world.put(pool, replace(occupied, data=b"\0")),
        ),
        *(key(f"other part {index}", BAD, index, ELSEWHERE) for index in (9, 10, 11, 12)),
        meta("pool not writable", "PrivilegeEscalation", 3, "writable 3", writable=False),
        Fault("pool address funded", "Custom(0)", "pool", lambda case: case.world.put(pool, occupied)),
        lamports("nothing left after the fee", "Custom(1)", USER, 1_150_000_000),
        lamports("too few lamports for the pool", "Custom(1)", USER, 1_150_000_000 + 3_939_359),
        Fault("vault address funded", "Custom(0)", "vault A", lambda case: case.world.put(vault_a, occupied)),
        Fault("mint A uninitialized", "Custom(2)", "mint A.flag", lambda case: case.change_bytes(MINT_A, 45, b"\0")),
        Fault("mint B uninitialized", "Custom(2)", "mint B.flag", lambda case: case.change_bytes(MINT_B, 45, b"\0")),
        Fault("LP mint address funded", "Custom(0)", "lp A", lambda case: case.world.put(lp_a, occupied)),
        Fault("64 decimals", PANIC, "mint A.decimals", lambda case: case.change_bytes(MINT_A, 44, b"\x40")),
        Fault(
            "engineering ratio", "Custom(1049)", "mint A.decimals", lambda case: case.change_bytes(MINT_A, 44, b"\7")
        ),
    ]


def initialize_program() -> tuple[Instruction, list[Fault]]:
    base = encoding.initialize_program(example.AUTHORITY, example.ADMIN)
    owner = example.AUTHORITY
    return base, [
        *exact_count(),
        key("other rent sysvar", "InvalidArgument", 2, ELSEWHERE),
        unsigned(),
        not_admin(),
        key("other ProgramData", BAD, 5, ELSEWHERE),
        Fault("immutable program", BAD, "program data", lambda case: case.change_bytes(PROGRAM_DATA, 12, b"\0")),
        key("other system_state", BAD, 3, ELSEWHERE),
        Fault(
            "initialized already",
            "AccountAlreadyInitialized",
            "system",
            lambda case: case.world.put(SYSTEM_STATE, Account(lamports=10**9, data=b"\0")),
        ),
        key("other treasury", BAD, 4, ELSEWHERE),
        meta("account 0 not writable", "PrivilegeEscalation", 0, "writable 0", writable=False),
        meta("system_state not writable", "PrivilegeEscalation", 3, "writable 3", writable=False),
        key("no system program", "MissingAccount", 1, ELSEWHERE),
        Fault(
            "system_state funded",
            "Custom(0)",
            "system",
            lambda case: case.world.put(SYSTEM_STATE, Account(lamports=10**9)),
        ),
        lamports("too few lamports for system_state", "Custom(1)", owner, 1_468_559),
        meta("treasury not writable", "PrivilegeEscalation", 4, "writable 4", writable=False),
        Fault(
            "treasury funded",
            "Custom(0)",
            "treasury",
            lambda case: case.world.put(MAIN_TREASURY, Account(lamports=10**9)),
        ),
        lamports("too few lamports for the treasury", "Custom(1)", owner, 3_305_999),
    ]


def pause_system() -> tuple[Instruction, list[Fault]]:
    return encoding.pause_system(example.ADMIN, 7), [
        too_few(PANIC),
        meta("system_state not writable", BAD, 1, "writable 1", writable=False),
        unsigned(),
        *system_loads(1),
        not_admin(),
        replace(system_paused(), error="Custom(1024)"),
    ]


def unpause_system() -> tuple[Instruction, list[Fault]]:
    """The world is not paused, so the base fails with the last check."""
    return encoding.unpause_system(example.ADMIN), [
        too_few("NotEnoughAccountKeys"),
        meta("system_state not writable", BAD, 1, "writable 1", writable=False),
        meta("treasury not writable", BAD, 2, "writable 2", writable=False),
        unsigned(),
        *system_loads(1),
        not_admin(),
        key("other treasury", BAD, 2, ELSEWHERE),
        Fault("not paused", "Custom(1025)", "system data", lambda case: case.change_system(is_paused=False)),
    ]


def _pool_administration(base: Instruction, id_offset: int) -> tuple[Instruction, list[Fault]]:
    return base, [
        *exact_count(),
        *system_usable(1),
        unsigned(),
        not_admin(),
        *pool_usable(POOL, id_offset),
        meta("pool not writable", "ReadonlyDataModified", 2, "writable 2", writable=False),
    ]


def pause_pool() -> tuple[Instruction, list[Fault]]:
    return _pool_administration(encoding.pause_pool(example.ADMIN, POOL, 3), 2)


def unpause_pool() -> tuple[Instruction, list[Fault]]:
    base, faults = _pool_administration(encoding.unpause_pool(example.ADMIN, POOL, 3), 2)
    return base, faults[:-1]


def set_owner_only() -> tuple[Instruction, list[Fault]]:
    return _pool_administration(encoding.set_owner_only(example.ADMIN, POOL, 1, ELSEWHERE), 34)


def update_fees() -> tuple[Instruction, list[Fault]]:
    base = encoding.update_fees(example.ADMIN, POOL, 3, 14_000_000, 300_000)
    return base, [
        too_few("NotEnoughAccountKeys"),
        *system_usable(1),
        unsigned(),
        not_admin(),
        argument("no flags", "Custom(1043)", 1, b"\0"),
        argument("unknown flags", "Custom(1043)", 1, b"\4"),
        argument("all flags", "Custom(1043)", 1, b"\xff"),
        u64("liquidity fee too low", "Custom(1044)", 2, 99_999),
        u64("liquidity fee too high", "Custom(1044)", 2, 100_000_001),
        u64("swap fee too low", "Custom(1045)", 10, 9_999),
        u64("swap fee too high", "Custom(1045)", 10, 10_000_001),
        *pool_usable(POOL, 18),
        meta("pool not writable", "ReadonlyDataModified", 2, "writable 2", writable=False),
    ]


def consolidate() -> tuple[Instruction, list[Fault]]:
    """The pool is paused for both kinds, so that its fees may be moved."""
    base = encoding.consolidate(example.ADMIN, (POOL,))
    return base, [
        argument("no pools", "InvalidArgument", 1, b"\0"),
        argument("21 pools", "InvalidArgument", 1, b"\x15"),
        too_few(PANIC),
        argument("three pools announced", PANIC, 1, b"\3"),
        exact_count("NotEnoughAccountKeys")[0],
        key("other treasury", BAD, 2, ELSEWHERE),
        unsigned(),
        *system_loads(1),
        not_admin(),
        Fault(
            "system_state of another program",
            "IncorrectProgramId",
            "system owner",
            lambda case: case.change_account(SYSTEM_STATE, owner=TOKEN_PROGRAM),
        ),
        pool_usable(POOL, 0)[0],
        *pool_parses(POOL),
        Fault("treasury too long", "BorshIoError", "treasury", lambda case: _treasury_length(case, 137)),
        Fault("treasury too short", "BorshIoError", "treasury", lambda case: _treasury_length(case, 135)),
    ]


def _treasury_length(case: Case, length: int) -> None:
    case.change_account(MAIN_TREASURY, data=case.world.data(MAIN_TREASURY).ljust(length, b"\0")[:length])


def withdraw_treasury() -> tuple[Instruction, list[Fault]]:
    base = encoding.withdraw_treasury(example.ADMIN, 100_000_000, ELSEWHERE)
    return base, [
        too_few(PANIC),
        meta("treasury not writable", BAD, 1, "writable 1", writable=False),
        meta("target not writable", BAD, 3, "writable 3", writable=False),
        key("other treasury", BAD, 1, POOL),
        *system_usable(4),
        unsigned(),
        not_admin(),
        key("other rent sysvar", "InvalidArgument", 2, ELSEWHERE),
        u64("below the least amount", "InvalidInstructionData", 1, 9_999_999),
        u64("more than there is", "InsufficientFunds", 1, 1_150_000_001),
        Fault("within the hour", "InvalidInstructionData", "last withdrawal", _recent_withdrawal),
    ]


def _recent_withdrawal(case: Case) -> None:
    totals = replace(case.world.treasury(), last_withdrawal_timestamp=case.world.model.now - 3_599)
    case.change_account(MAIN_TREASURY, data=totals.pack())


def donate() -> tuple[Instruction, list[Fault]]:
    base = encoding.donate(USER, 100_000_000, b"thanks")
    return base, [
        *exact_count(),
        unsigned(),
        meta("donor not writable", BAD, 0, "writable 0", writable=False),
        meta("treasury not writable", BAD, 1, "writable 1", writable=False),
        key("other system program", "IncorrectProgramId", 3, TOKEN_PROGRAM),
        u64("zero amount", "InvalidArgument", 1, 0),
        u64("below the least amount", "InvalidArgument", 1, 99_999_999),
        lamports("too few lamports", "InsufficientFunds", USER, 99_999_999),
        key("other treasury", BAD, 1, ELSEWHERE),
        *system_usable(2),
    ]


def process_admin_change() -> tuple[Instruction, list[Fault]]:
    base = encoding.process_admin_change(example.ADMIN, ELSEWHERE)
    return base, [
        *exact_count(),
        *system_usable(1),
        not_admin(),
        unsigned(),
        meta("system_state not writable", "ReadonlyDataModified", 1, "writable 1", writable=False),
    ]


CATALOGUE = {
    make.__name__: make
    for make in (
        deposit,
        withdraw,
        swap,
        initialize_pool,
        initialize_program,
        pause_system,
        unpause_system,
        pause_pool,
        unpause_pool,
        set_owner_only,
        update_fees,
        consolidate,
        withdraw_treasury,
        donate,
        process_admin_change,
    )
}
