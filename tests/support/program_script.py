"""One scripted history that exercises the program: ordinary traffic, administration and hostile transactions.

Every step states the result code that CONTRACT.md demands, so the script is a conformance test of the program
and, played on a mutant, the place where the mutant must show itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from tests.support import program_chain as pc
from tests.support.program_chain import Pool, ProgramChain, key

AUTHORITY, ADMIN, USER, OTHER, POOR = (key(b) for b in (0x45, 0x44, 0x33, 0x34, 0x35))
MINT_A, MINT_B, MINT_C = (key(b) for b in (0x11, 0x22, 0x2C))
# USER's accounts: underlying A and B, LP A and B of the main pool, LP A and B of the exact pool.
USER_TOKENS = (key(0x61), key(0x62))
USER_LP = (key(0x63), key(0x64))
EXACT_LP = (key(0x65), key(0x66))
BIG_LP = (key(0x67), key(0x68))
OTHER_TOKENS = (key(0x71), key(0x72))
OTHER_LP = (key(0x73), key(0x74))
DELEGATED = (key(0x75), key(0x76), key(0x77))  # token A, token B, LP A of the main pool
FROZEN, FOREIGN, NOWHERE = key(0x78), key(0x79), key(0x7A)

MAIN = Pool((MINT_A, MINT_B), (1_000_000_000, 160_000_000))
EXACT = Pool((MINT_A, MINT_B), (1_500_000_000, 1_000_000))
BIG = Pool((MINT_A, MINT_B), (1, 2**40))
POOLS = (MAIN, EXACT, BIG)

OK = "ok"
BAD_DATA, BAD_ARGUMENT, BAD_INPUT = "InvalidAccountData", "InvalidArgument", "InvalidInstructionData"
BAD_PROGRAM, NO_SIGNATURE, NO_ACCOUNT = "IncorrectProgramId", "MissingRequiredSignature", "UninitializedAccount"
PANIC, SHORT, BORSH = "ProgramFailedToComplete", "InsufficientFunds", "BorshIoError"


def custom(code: int) -> str:
    return f"Custom({code})"


@dataclass(frozen=True)
class Step:
    """A transaction with the code it must give, or (without an instruction) an outside change of the chain."""

    name: str
    instruction: Instruction | None = None
    code: str = OK
    change: Callable[[ProgramChain], None] | None = None


@dataclass(frozen=True)
class Trace:
    """What a watcher sees after one step: the code and a digest of every account of the scene."""

    name: str
    code: str
    expected: str
    digest: str


WATCHED: tuple[Pubkey, ...] = (
    *(account for pool in POOLS for account in (pool.id, *pool.vaults, *pool.lp_mints)),
    *(*USER_TOKENS, *USER_LP, *EXACT_LP, *BIG_LP, *OTHER_TOKENS, *OTHER_LP, *DELEGATED, FROZEN, FOREIGN),
    *(USER, OTHER, ADMIN, pc.SYSTEM_STATE, pc.TREASURY),
)


def play(program: Path, steps: list[Step]) -> Iterator[Trace]:
    """Run the script on a fresh chain, yielding what is visible after each transaction."""
    chain = ProgramChain(program, AUTHORITY)
    for step in steps:
        if step.instruction is None:
            assert step.change is not None
            step.change(chain)
            continue
        result = chain.send(step.instruction)
        digest = hashlib.blake2b(digest_size=8)
        for account in WATCHED:
            found = chain.svm.get_account(account)
            digest.update(b"-" if found is None else found.lamports.to_bytes(8, "little") + bytes(found.data))
        yield Trace(name=step.name, code=result.code, expected=step.code, digest=digest.hexdigest())


def deposit(side: int, amount: int, pool: Pool = MAIN, lp: tuple[Pubkey, Pubkey] = USER_LP) -> Instruction:
    return pc.deposit(USER, pool, side, amount, USER_TOKENS[side], lp[side])


def withdraw(side: int, amount: int, pool: Pool = MAIN, lp: tuple[Pubkey, Pubkey] = USER_LP) -> Instruction:
    return pc.withdraw(USER, pool, side, amount, lp[side], USER_TOKENS[side])


def output(side: int, amount: int, pool: Pool = MAIN) -> int:
    return amount * pool.ratios[1 - side] // pool.ratios[side]


def swap(side: int, amount: int, pool: Pool = MAIN, *, off: int = 0, user: Pubkey = USER) -> Instruction:
    tokens = USER_TOKENS if user == USER else OTHER_TOKENS
    return pc.swap(user, pool, side, amount, output(side, amount, pool) + off, tokens[side], tokens[1 - side])


def setup(chain: ProgramChain) -> None:
    """Mints, wallets and token accounts that exist before the program does."""
    for account in (AUTHORITY, ADMIN, USER, OTHER):
        chain.fund(account, 10**11)
    chain.fund(POOR, 1_000_000)
    chain.put_mint(MINT_A, 9)
    chain.put_mint(MINT_B, 6)
    chain.put_mint(MINT_C, 6)
    for owner, accounts in ((USER, USER_TOKENS), (OTHER, OTHER_TOKENS)):
        for mint, account in zip((MINT_A, MINT_B), accounts, strict=True):
            chain.put_token(account, mint, owner, 10**15)
    chain.put_token(DELEGATED[0], MINT_A, USER, 10**12, delegated=5)
    chain.put_token(DELEGATED[1], MINT_B, USER, 10**12, delegated=5)
    chain.put_token(FROZEN, MINT_A, USER, 10**12, state=2)
    chain.put_token(FOREIGN, MINT_C, USER, 10**12)


def lp_accounts(chain: ProgramChain) -> None:
    for pool, owner, accounts in (
        (MAIN, USER, USER_LP),
        (EXACT, USER, EXACT_LP),
        (BIG, USER, BIG_LP),
        (MAIN, OTHER, OTHER_LP),
    ):
        for mint, account in zip(pool.lp_mints, accounts, strict=True):
            chain.put_token(account, mint, owner, 0)
    chain.put_token(DELEGATED[2], MAIN.lp_mints[0], USER, 0, delegated=5)


def later(seconds: int) -> Step:
    return Step("time passes", change=lambda chain: chain.set_time(chain.time() + seconds))


def creation() -> list[Step]:
    init, create = pc.initialize_program(AUTHORITY, ADMIN), pc.initialize_pool(USER, MAIN)
    same_mint = pc.replaced(create, 8, MINT_A)
    return [
        Step("setup", change=setup),
        Step("pause before the program exists", pc.pause_system(ADMIN), NO_ACCOUNT),
        Step("pool before the program exists", create, NO_ACCOUNT),
        Step("init by a stranger", pc.initialize_program(OTHER, ADMIN), BAD_DATA),
        Step("init unsigned", pc.unsigned(init), NO_SIGNATURE),
        Step("init with a wrong sysvar", pc.replaced(init, 2, NOWHERE), BAD_ARGUMENT),
        Step("init with a wrong state", pc.replaced(init, 3, NOWHERE), BAD_DATA),
        Step("init with a wrong treasury", pc.replaced(init, 4, NOWHERE), BAD_DATA),
        Step("init", init),
        Step("init again", init, "AccountAlreadyInitialized"),
        Step("pool unsigned", pc.unsigned(create), NO_SIGNATURE),
        Step("pool with a wrong sysvar", pc.replaced(create, 6, NOWHERE), BAD_ARGUMENT),
        Step("pool with a missing mint", pc.replaced(create, 7, NOWHERE), PANIC),
        Step("pool with a zero ratio", pc.initialize_pool(USER, Pool(MAIN.mints, (0, 1))), BAD_ARGUMENT),
        Step("pool of one mint", same_mint, BAD_ARGUMENT),
        Step("pool with a wrong token program", pc.replaced(create, 4, NOWHERE), BAD_PROGRAM),
        Step("pool of a poor user", pc.replaced(create, 0, POOR), custom(1031)),
        Step("pool with a wrong treasury", pc.replaced(create, 5, NOWHERE), custom(1034)),
        Step("pool with a readonly treasury", pc.readonly(create, 5), custom(1033)),
        Step("pool at another address", pc.replaced(create, 3, NOWHERE), BAD_DATA),
        *(Step(f"pool with a wrong account {i}", pc.replaced(create, i, NOWHERE), BAD_DATA) for i in range(9, 13)),
        Step("engineering ratio", pc.initialize_pool(USER, Pool(MAIN.mints, (2_500_000_000, 3_700_000))), custom(1049)),
        Step("pool", create),
        Step("pool again", create, "AccountAlreadyInitialized"),
        Step("exact pool, mints reversed", pc.initialize_pool(USER, EXACT, 0xDF, reverse=True)),
        Step("big pool", pc.initialize_pool(OTHER, BIG)),
        Step("LP accounts", change=lp_accounts),
    ]


def deposits() -> list[Step]:
    good = deposit(0, 777)
    foreign = {
        "system state": (2, NOWHERE, BAD_DATA),
        "pool": (3, EXACT.id, custom(1034)),
        "no pool": (3, NOWHERE, BAD_PROGRAM),
        "token program": (4, NOWHERE, BAD_PROGRAM),
        "vault": (5, EXACT.vaults[0], BAD_DATA),
        "source of another owner": (7, OTHER_TOKENS[0], BAD_DATA),
        "source of another mint": (7, USER_TOKENS[1], BAD_INPUT),
        "missing source": (7, NOWHERE, NO_ACCOUNT),
        "mint as source": (7, MINT_A, PANIC),
        "delegated source": (7, DELEGATED[0], BAD_DATA),
        "frozen source": (7, FROZEN, BAD_DATA),
        "LP account of another owner": (8, OTHER_LP[0], custom(4001)),
        "missing LP account": (8, NOWHERE, custom(4001)),
        "LP account of another mint": (8, USER_LP[1], BAD_DATA),
        "mint as LP account": (8, MINT_A, PANIC),
        "LP mint": (9, MAIN.lp_mints[1], BAD_DATA),
        "system program": (1, NOWHERE, "MissingAccount"),
    }
    foreign_mint = pc.with_data(good, b"\2" + bytes(MINT_C) + bytes(good.data)[33:])
    return [
        Step("deposit A", deposit(0, 5_000_000_000)),
        Step("deposit B", deposit(1, 1_000_000_000)),
        Step("deposit above 32 bits", deposit(0, 20_000_000_000)),
        Step("deposit one unit", deposit(1, 1)),
        Step("deposit by another user", pc.deposit(OTHER, MAIN, 0, 10**6, OTHER_TOKENS[0], OTHER_LP[0])),
        Step("deposit in the exact pool", deposit(0, 3 * 10**13, EXACT, EXACT_LP)),
        Step("deposit in the exact pool, other side", deposit(1, 10**10, EXACT, EXACT_LP)),
        Step("deposit in the big pool", deposit(0, 10**6, BIG, BIG_LP)),
        Step("deposit in the big pool, other side", deposit(1, 10**14, BIG, BIG_LP)),
        *(Step(f"deposit: {n}", pc.replaced(good, i, k), code) for n, (i, k, code) in foreign.items()),
        Step("deposit: any account as unused vault", pc.replaced(good, 6, NOWHERE)),
        Step("deposit unsigned", pc.unsigned(good), NO_SIGNATURE),
        Step("deposit of nothing", deposit(0, 0), BAD_ARGUMENT),
        Step("deposit above the balance", deposit(0, 10**16), SHORT),
        Step("deposit in a readonly pool", pc.readonly(good, 3), custom(1033)),
        Step("deposit by a readonly user", pc.readonly(good, 0), "PrivilegeEscalation"),
        Step("deposit of a foreign mint", foreign_mint, BAD_INPUT),
        Step("deposit data too long", pc.with_data(good, bytes(good.data) + b"\0"), BORSH),
        Step("deposit, an account too many", pc.instruction(good.data, [*good.accounts, pc.meta(NOWHERE)]), BAD_DATA),
        Step("empty data", pc.with_data(good, b""), BAD_INPUT),
        Step("unknown instruction", pc.with_data(good, b"\x19"), BORSH),
    ]


def swaps() -> list[Step]:
    good = swap(0, 1_000_000_001)
    foreign = {
        "system state": (2, NOWHERE, BAD_DATA),
        "pool": (3, EXACT.id, custom(1034)),
        "no pool": (3, NOWHERE, BAD_PROGRAM),
        "token program": (4, NOWHERE, BAD_PROGRAM),
        "input vault of another pool": (5, EXACT.vaults[0], BAD_DATA),
        "input vault of a user": (5, OTHER_TOKENS[0], BAD_DATA),
        "output vault": (6, EXACT.vaults[1], BAD_DATA),
        "source of another owner": (7, OTHER_TOKENS[0], BAD_DATA),
        "source of a foreign mint": (7, FOREIGN, BAD_ARGUMENT),
        "missing source": (7, NOWHERE, NO_ACCOUNT),
        "delegated source": (7, DELEGATED[0], BAD_DATA),
        "target of another owner": (8, OTHER_TOKENS[1], BAD_DATA),
        "target of the same mint": (8, USER_TOKENS[0], BAD_DATA),
        "delegated target": (8, DELEGATED[1], BAD_DATA),
        "input mint": (9, MINT_B, BAD_DATA),
        "output mint": (10, MINT_C, BAD_DATA),
    }
    ignored_mint = pc.with_data(good, b"\4" + bytes(MINT_C) + bytes(good.data)[33:])
    return [
        Step("swap A, remainder below half", good),
        Step("swap A, remainder above half", swap(0, 999_999_999)),
        Step("swap B", swap(1, 123_456_789)),
        Step("swap A, without remainder", swap(0, 1_000_000_000)),
        Step("swap A, large", swap(0, 1_500_000_000)),
        Step("swap A, too small", swap(0, 6), BAD_ARGUMENT),
        Step("swap A, smallest", swap(0, 7)),
        Step("swap by another user", swap(1, 10**6, user=OTHER)),
        Step("exact swap", swap(0, 1_500_000, EXACT)),
        Step("exact swap with a remainder", swap(0, 1_500_001, EXACT), custom(1047)),
        Step("exact swap, product above 64 bits", swap(1, 13_000_000_000, EXACT)),
        Step("big swap", swap(1, 2**41, BIG)),
        Step("big swap back", swap(0, 64, BIG)),
        Step("output above 64 bits", pc.swap(USER, BIG, 0, 2**24, 0, *USER_TOKENS), custom(1019)),
        Step("output above the pool", swap(0, 1000, BIG), SHORT),
        *(Step(f"swap: {n}", pc.replaced(good, i, k), code) for n, (i, k, code) in foreign.items()),
        Step("swap expecting one more", swap(0, 10**9, off=1), custom(1047)),
        Step("swap expecting one less", swap(0, 10**9, off=-1), custom(1047)),
        Step("swap unsigned", pc.unsigned(good), NO_SIGNATURE),
        Step("swap of nothing", swap(0, 0), BAD_ARGUMENT),
        Step("swap above the balance", swap(0, 10**16), BAD_DATA),
        Step("swap in a readonly pool", pc.readonly(good, 3), custom(1033)),
        Step("swap with a mint argument nobody reads", ignored_mint),
    ]


def withdrawals() -> list[Step]:
    good = withdraw(0, 555)
    wrong_side = pc.withdraw(USER, MAIN, 0, 5, USER_LP[1], USER_TOKENS[0])
    foreign_mint = pc.with_data(pc.replaced(good, 8, FOREIGN), b"\3" + bytes(MINT_C) + bytes(good.data)[33:])
    foreign = {
        "system state": (2, NOWHERE, BAD_DATA),
        "pool": (3, EXACT.id, custom(1034)),
        "no pool": (3, NOWHERE, BAD_PROGRAM),
        "token program": (4, NOWHERE, BAD_PROGRAM),
        "vault": (5, EXACT.vaults[0], BAD_DATA),
        "LP account of another owner": (7, OTHER_LP[0], BAD_DATA),
        "LP account of another pool": (7, EXACT_LP[0], BAD_DATA),
        "delegated LP account": (7, DELEGATED[2], BAD_DATA),
        "missing LP account": (7, NOWHERE, NO_ACCOUNT),
        "target of another owner": (8, OTHER_TOKENS[0], BAD_DATA),
        "target of another mint": (8, USER_TOKENS[1], BAD_INPUT),
        "missing target": (8, NOWHERE, NO_ACCOUNT),
        "LP mint": (9, MAIN.lp_mints[1], BAD_DATA),
        "unused LP mint": (10, MAIN.lp_mints[0], BAD_DATA),
    }
    return [
        Step("withdraw A", withdraw(0, 1_000_000_000)),
        Step("withdraw B", withdraw(1, 50_000_000)),
        Step("withdraw one unit", withdraw(0, 1)),
        *(Step(f"withdraw: {n}", pc.replaced(good, i, k), code) for n, (i, k, code) in foreign.items()),
        Step("withdraw A with LP B", wrong_side, BAD_DATA),
        Step("withdraw of a foreign mint", foreign_mint, BAD_ARGUMENT),
        Step("withdraw unsigned", pc.unsigned(good), NO_SIGNATURE),
        Step("withdraw nothing", withdraw(0, 0), BAD_ARGUMENT),
        Step("withdraw above the LP balance", withdraw(0, 10**15), custom(1)),
        Step("withdraw swapped-away liquidity", withdraw(1, 900_000_000), custom(1)),
        Step("withdraw from a readonly pool", pc.readonly(good, 3), custom(1033)),
    ]


def pool_administration() -> list[Step]:
    fees = pc.update_fees(ADMIN, MAIN.id, 3, 20_000_000, 400_000)
    pause = pc.pause_pool(ADMIN, MAIN.id, 3)
    restrict = pc.owner_only(ADMIN, MAIN.id, OTHER, 1)
    attacks = {"fees": fees, "pause": pause, "unpause": pc.unpause_pool(ADMIN, MAIN.id, 3), "owner-only": restrict}
    return [
        *(Step(f"{n} by a stranger", pc.replaced(i, 0, OTHER), BAD_DATA) for n, i in attacks.items()),
        *(Step(f"{n} unsigned", pc.unsigned(i), NO_SIGNATURE) for n, i in attacks.items()),
        *(Step(f"{n} of another pool", pc.replaced(i, 2, EXACT.id), custom(1034)) for n, i in attacks.items()),
        *(Step(f"{n} of no pool", pc.replaced(i, 2, NOWHERE), BAD_PROGRAM) for n, i in attacks.items()),
        *(
            Step(f"{n}, readonly pool", pc.readonly(i, 2), "ReadonlyDataModified")
            for n, i in attacks.items()
            if n != "unpause"
        ),
        Step("fees, no flag", pc.update_fees(ADMIN, MAIN.id, 0, 10**6, 10**5), custom(1043)),
        Step("fees, flag 4", pc.update_fees(ADMIN, MAIN.id, 4, 10**6, 10**5), custom(1043)),
        Step("liquidity fee too low", pc.update_fees(ADMIN, MAIN.id, 1, 99_999, 10**5), custom(1044)),
        Step("liquidity fee too high", pc.update_fees(ADMIN, MAIN.id, 1, 100_000_001, 10**5), custom(1044)),
        Step("swap fee too low", pc.update_fees(ADMIN, MAIN.id, 2, 10**6, 9_999), custom(1045)),
        Step("swap fee too high", pc.update_fees(ADMIN, MAIN.id, 2, 10**6, 10_000_001), custom(1045)),
        Step("fees", fees),
        Step("liquidity fee only", pc.update_fees(ADMIN, MAIN.id, 1, 15_000_000, 0)),
        Step("swap fee only", pc.update_fees(ADMIN, MAIN.id, 2, 0, 300_000)),
        Step("fees by the upgrade authority", pc.update_fees(AUTHORITY, MAIN.id, 2, 0, 350_000)),
        Step("deposit at the new fee", deposit(0, 1000)),
        Step("withdraw at the new fee", withdraw(0, 1000)),
        Step("swap at the new fee", swap(0, 10**6)),
        Step("pause swaps", pc.pause_pool(ADMIN, MAIN.id, 2)),
        Step("swap in a paused pool", swap(0, 10**6), custom(1027)),
        Step("deposit while swaps are paused", deposit(0, 1000)),
        Step("unpause swaps", pc.unpause_pool(ADMIN, MAIN.id, 2)),
        Step("pause liquidity", pc.pause_pool(ADMIN, MAIN.id, 1)),
        Step("deposit in a paused pool", deposit(0, 1000), custom(1035)),
        Step("withdraw from a paused pool", withdraw(0, 1000), custom(1035)),
        Step("swap while liquidity is paused", swap(0, 10**6)),
        Step("pause with no bits", pc.pause_pool(ADMIN, MAIN.id, 0xFC)),
        Step("unpause both", pc.unpause_pool(ADMIN, MAIN.id, 3)),
        Step("owner-only", restrict),
        Step("swap by the former owner", swap(0, 10**6), custom(1028)),
        Step("swap by the owner", swap(0, 10**6, user=OTHER)),
        Step("owner-only off", pc.owner_only(ADMIN, MAIN.id, USER, 0)),
        Step("swap by anyone again", swap(0, 10**6)),
        Step("owner-only with a bad bool", pc.owner_only(ADMIN, MAIN.id, USER, 2), BORSH),
    ]


def treasury() -> list[Step]:
    both = pc.consolidate(ADMIN, [MAIN.id, EXACT.id])
    out = pc.withdraw_treasury(ADMIN, OTHER, 20_000_000)
    gift = pc.donate(USER, 100_000_000, "für alle".encode())
    return [
        later(60),
        Step("consolidate by a stranger", pc.replaced(both, 0, OTHER), BAD_DATA),
        Step("consolidate unsigned", pc.unsigned(both), NO_SIGNATURE),
        Step("consolidate nothing", pc.consolidate(ADMIN, []), BAD_ARGUMENT),
        Step("consolidate 21 pools", pc.consolidate(ADMIN, [MAIN.id] * 21), BAD_ARGUMENT),
        Step("consolidate with too few accounts", pc.consolidate(ADMIN, [MAIN.id], 2), PANIC),
        Step("consolidate with too many accounts", pc.consolidate(ADMIN, [MAIN.id] * 3, 2), "NotEnoughAccountKeys"),
        Step("consolidate into another account", pc.replaced(both, 2, OTHER), BAD_DATA),
        Step("consolidate something else", pc.replaced(both, 4, USER), BAD_PROGRAM),
        Step("consolidate open pools", both),
        Step("pause one pool", pc.pause_pool(ADMIN, MAIN.id, 3)),
        Step("consolidate a paused and an open pool", both),
        Step("consolidate the rest", pc.consolidate(ADMIN, [MAIN.id, MAIN.id])),
        Step("unpause it", pc.unpause_pool(ADMIN, MAIN.id, 3)),
        Step("donate too little", pc.donate(USER, 99_999_999), BAD_ARGUMENT),
        Step("donate more than there is", pc.donate(USER, 10**13), SHORT),
        Step("donate with a broken text", pc.donate(USER, 10**8, b"\xc3("), BORSH),
        Step("donate unsigned", pc.unsigned(gift), NO_SIGNATURE),
        Step("donate without the system program", pc.replaced(gift, 3, NOWHERE), BAD_PROGRAM),
        Step("donate", gift),
        Step("treasury withdrawal by a stranger", pc.replaced(out, 0, OTHER), BAD_DATA),
        Step("treasury withdrawal below the minimum", pc.withdraw_treasury(ADMIN, OTHER, 9_999_999), BAD_INPUT),
        Step("treasury withdrawal above the content", pc.withdraw_treasury(ADMIN, OTHER, 10**12), SHORT),
        Step("treasury withdrawal with a wrong sysvar", pc.replaced(out, 2, NOWHERE), BAD_ARGUMENT),
        Step("treasury withdrawal", out),
        later(3599),
        Step("treasury withdrawal within the hour", out, BAD_INPUT),
        later(1),
        Step("treasury withdrawal after an hour", out),
    ]


def system_administration() -> list[Step]:
    while_paused = {
        "deposit": deposit(0, 1000),
        "withdraw": withdraw(0, 1000),
        "swap": swap(0, 10**6),
        "fees": pc.update_fees(ADMIN, MAIN.id, 3, 10**6, 10**5),
        "pool pause": pc.unsigned(pc.pause_pool(ADMIN, MAIN.id, 3)),
        "owner-only": pc.owner_only(ADMIN, MAIN.id, USER, 1),
        "pool": pc.initialize_pool(USER, Pool(MAIN.mints, (1, 7))),
        "donation": pc.donate(USER, 10**8),
        "treasury withdrawal": pc.withdraw_treasury(ADMIN, OTHER, 0),
        "admin change": pc.admin_change(ADMIN, OTHER),
    }
    out = pc.withdraw_treasury(ADMIN, OTHER, 20_000_000)
    return [
        Step("system pause by a stranger", pc.pause_system(OTHER), BAD_DATA),
        Step("system pause unsigned", pc.unsigned(pc.pause_system(ADMIN)), NO_SIGNATURE),
        Step("system pause, readonly", pc.readonly(pc.pause_system(ADMIN), 1), BAD_DATA),
        Step("system unpause too early", pc.unpause_system(ADMIN), custom(1025)),
        Step("system pause", pc.pause_system(ADMIN)),
        Step("system pause again", pc.pause_system(ADMIN), custom(1024)),
        *(Step(f"{name} in a system pause", i, custom(1023)) for name, i in while_paused.items()),
        Step("consolidate in a system pause", pc.consolidate(ADMIN, [pool.id for pool in POOLS])),
        Step("system unpause", pc.unpause_system(ADMIN)),
        later(255_600 + 3_599),
        Step("treasury withdrawal in the restart penalty", out, BAD_INPUT),
        later(1),
        Step("treasury withdrawal after the penalty", out),
        Step("propose an admin", pc.admin_change(ADMIN, OTHER)),
        later(259_199),
        Step("repeat the proposal early", pc.admin_change(ADMIN, OTHER)),
        later(259_200),
        Step("proposal by a stranger", pc.admin_change(USER, USER), BAD_DATA),
        Step("complete the change", pc.admin_change(ADMIN, OTHER)),
        Step("the former admin pauses", pc.pause_pool(ADMIN, MAIN.id, 3), BAD_DATA),
        Step("the new admin pauses", pc.pause_pool(OTHER, MAIN.id, 3)),
        Step("propose again", pc.admin_change(OTHER, ADMIN)),
        Step("version", pc.instruction(b"\x0e", [])),
    ]


def whole_script() -> list[Step]:
    parts = (creation, deposits, swaps, withdrawals, pool_administration, treasury, system_administration)
    return [step for part in parts for step in part()]
