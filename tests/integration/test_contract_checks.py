"""Every check of CONTRACT.md 3 on a chain: alone with its error, and in pairs, where the earlier one must win."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from tests.support.contract_cases.catalogue import CATALOGUE
from tests.support.contract_cases.faults import ELSEWHERE, STRANGER, Case, Fault, delegate_to, pairs
from tests.support.contract_cases.stage import LATER, VIEWER, Stage, stage_for
from tests.support.contract_model import encoding
from tests.support.contract_model import worked_example as example
from tests.support.contract_model.addresses import MAIN_TREASURY, PROGRAM_DATA, SYSTEM_STATE
from tests.support.contract_model.runtime import Instruction, Meta
from tests.support.contract_model.state import Account, Mint, PoolState, TokenAccount


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_check_gives_its_error_and_the_earlier_of_two_wins(name):
    base, faults = CATALOGUE[name]()
    stage = stage_for(name)
    assert stage.result(base) is None
    wrong = []
    for fault in faults:
        got = stage.result(base, fault)
        if got != fault.error:
            wrong.append(f"{fault.name}: {got} instead of {fault.error}")
    assert not wrong, "\n".join(wrong)
    for first, second in pairs(faults):
        got = stage.result(base, second, first)
        if got != first.error:
            wrong.append(f"{first.name} + {second.name}: {got} instead of {first.error}")
    assert not wrong, "\n".join(wrong)


BASES = {
    0: encoding.initialize_program(example.AUTHORITY, example.ADMIN),
    **{make()[0].data[0]: make()[0] for name, make in CATALOGUE.items() if name != "initialize_program"},
    14: encoding.get_version(),
}


@pytest.fixture(scope="module")
def shared_stage() -> Stage:
    return stage_for("deposit")


@pytest.fixture
def stage(shared_stage) -> Iterator[Stage]:
    yield shared_stage
    shared_stage.world.set_time(LATER)
    shared_stage.restore()


def test_data_is_parsed_strictly_and_before_anything_else(stage):
    """Short and long data of every instruction, without any account: nothing but the parse can be met."""
    assert stage.result(Instruction(data=b"", metas=())) == "InvalidInstructionData"
    for data in (b"\x19", b"\xff", b"\xff" * 40):
        assert stage.result(Instruction(data=data, metas=())) == "BorshIoError"
    for kind, base in sorted(BASES.items()):
        for metas in ((), base.metas):
            assert stage.result(Instruction(data=base.data + b"\0", metas=metas)) == "BorshIoError", kind
            for size in range(1, len(base.data)):
                assert stage.result(Instruction(data=base.data[:size], metas=metas)) == "BorshIoError", (kind, size)


def test_booleans_and_texts_are_parsed_strictly(stage):
    enable = encoding.set_owner_only(example.ADMIN, example.POOL, 2, ELSEWHERE)
    assert stage.result(enable) == "BorshIoError"
    for message in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"a\x80"):
        assert stage.result(encoding.donate(example.USER, 10**9, message)) == "BorshIoError", message
    for message in (b"", "žluť €".encode(), "\U0010ffff\ud7ff\ue000".encode(), b"\0" * 300):
        assert stage.result(encoding.donate(example.USER, 10**9, message)) is None, message
    announced = encoding.donate(example.USER, 10**9, b"abc")
    for length in (2, 4, 2**32 - 1):
        data = announced.data[:9] + length.to_bytes(4, "little") + announced.data[13:]
        assert stage.result(replace(announced, data=data)) == "BorshIoError"


def passes(stage: Stage, name: str, *faults: Fault) -> None:
    assert stage.result(CATALOGUE[name]()[0], *faults) is None


def harmless(name: str, apply) -> Fault:
    return Fault(name, "", name, apply)


def test_what_token_accounts_may_carry(stage):
    idle_delegate = harmless("delegate of nothing", lambda case: delegate_to(case, example.USER_A, 0))
    closable = harmless("close authority", lambda case: case.change_bytes(example.USER_A, 129, b"\1\0\0\0" + STRANGER))
    vault_delegate = harmless("vault delegate", lambda case: delegate_to(case, example.VAULT_B, 5))
    for name in ("deposit", "withdraw", "swap"):
        passes(stage, name, idle_delegate)
        passes(stage, name, closable)
        passes(stage, name, vault_delegate)


def test_accounts_that_are_not_looked_at(stage):
    """The unused side of a liquidity operation, and the ignored mint argument of a swap."""
    unused = [
        harmless(f"any {index}", lambda case, index=index: case.change_meta(index, key=ELSEWHERE)) for index in (6, 10)
    ]
    passes(stage, "deposit", *unused)
    passes(stage, "withdraw", unused[0])
    passes(stage, "swap", harmless("ignored mint", lambda case: case.write_data(1, ELSEWHERE)))


def test_what_is_stored_but_never_enforced(stage):
    """Amount limits, withdrawal protection and the single-LP flag of the pool; the owner of system_state."""
    limits = harmless("limits", lambda case: case.change_bytes(example.POOL, 358, (1).to_bytes(8, "little") * 6))
    flags = harmless("flags", lambda case: case.change_pool(example.POOL, flags=0x98))
    foreign = harmless("system", lambda case: case.change_account(SYSTEM_STATE, owner=example.MINT_A))
    for name in ("deposit", "withdraw", "swap"):
        for fault in (limits, flags, foreign):
            passes(stage, name, fault)


def test_more_accounts_than_the_least_are_fine_where_no_count_is_exact(stage):
    for instruction in (
        encoding.pause_system(example.ADMIN, 0),
        encoding.withdraw_treasury(example.ADMIN, 10_000_000, ELSEWHERE),
        encoding.update_fees(example.ADMIN, example.POOL, 3, 100_000, 10_000),
        encoding.get_version(),
    ):
        longer = replace(instruction, metas=(*instruction.metas, Meta(key=example.MINT_A), Meta(key=VIEWER)))
        assert stage.result(longer) is None
    assert stage.world.run(encoding.pause_system(example.ADMIN, 0)) is None
    unpause = encoding.unpause_system(example.ADMIN)
    assert stage.world.run(replace(unpause, metas=(*unpause.metas, Meta(key=VIEWER)))) is None


def test_a_longer_pool_account_is_tolerated_and_its_tail_untouched(stage):
    tail = b"\xaa" * 7
    longer = harmless(
        "tail",
        lambda case: case.change_account(example.POOL, data=case.world.data(example.POOL) + tail, lamports=10**9),
    )
    for name in ("deposit", "withdraw", "swap", "pause_pool", "update_fees"):
        passes(stage, name, longer)
    case = Case(stage.world, CATALOGUE["pause_pool"]()[0])
    longer.apply(case)
    assert stage.world.run(case.instruction) is None
    assert stage.world.data(example.POOL)[438:] == tail


def test_system_state_without_pending_admin_keeps_its_stale_tail(stage):
    case = Case(stage.world, encoding.pause_system(example.ADMIN, 200))
    case.change_system(pending_admin=None)
    case.change_account(SYSTEM_STATE, data=stage.world.data(SYSTEM_STATE) + b"\xbb" * 32)
    assert stage.world.run(case.instruction) is None
    data = stage.world.data(SYSTEM_STATE)
    assert (len(data), data[:10], data[51:]) == (83, b"\1" + LATER.to_bytes(8, "little") + b"\xc8", b"\xbb" * 32)


def test_the_upgrade_authority_is_an_admin_only_with_the_real_program_data(stage):
    pause = encoding.pause_pool(example.AUTHORITY, example.POOL, 1)
    assert stage.result(pause) is None
    for offset, raw in ((0, b"\2"), (4 + 8, b"\0"), (13, STRANGER)):
        broken = harmless("header", lambda case, o=offset, r=raw: case.change_bytes(PROGRAM_DATA, o, r))
        assert stage.result(pause, broken) == "InvalidAccountData"
    data = stage.world.data(PROGRAM_DATA)
    stage.world.put(ELSEWHERE, Account(lamports=10**9, owner=stage.world.on_chain(PROGRAM_DATA).owner, data=data[:45]))
    copied = replace(pause, metas=(*pause.metas[:3], Meta(key=ELSEWHERE)))
    assert stage.result(copied) == "InvalidAccountData"
    assert stage.result(encoding.pause_pool(example.USER, example.POOL, 1)) == "InvalidAccountData"


def test_fee_boundaries(stage):
    """Exactly the fee is enough; a rest below the rent minimum of account 0 fails the transaction."""
    below = "InsufficientFundsForRent"
    for name, fee in (("deposit", 13_000_000), ("withdraw", 13_000_000), ("swap", 271_500)):
        for rest, wanted in ((0, None), (890_879, below), (890_880, None)):
            balance = harmless("lamports", lambda case, n=fee + rest: case.world.put_lamports(example.USER, n))
            assert stage.result(CATALOGUE[name]()[0], balance) == wanted, (name, rest)


def test_pausing_is_idempotent_and_ignores_unknown_bits(stage):
    world = stage.world
    for flags, wanted in ((0, 1), (1, 3), (1, 3), (254, 7), (3, 7)):
        assert world.run(encoding.pause_pool(example.ADMIN, example.POOL, flags)) is None
        assert world.pool(example.POOL).flags == wanted
    for flags, wanted in ((0, 7), (2, 3), (253, 1), (3, 1)):
        assert world.run(encoding.unpause_pool(example.ADMIN, example.POOL, flags)) is None
        assert world.pool(example.POOL).flags == wanted


def test_owner_only_mode(stage):
    world, swap = stage.world, CATALOGUE["swap"]()[0]
    assert world.run(encoding.set_owner_only(example.ADMIN, example.POOL, 1, STRANGER)) is None
    assert world.run(swap) == "Custom(1028)"
    assert world.run(encoding.set_owner_only(example.ADMIN, example.POOL, 0, ELSEWHERE)) is None
    assert world.pool(example.POOL).owner == STRANGER
    assert world.run(swap) is None
    assert world.run(encoding.set_owner_only(example.ADMIN, example.POOL, 1, example.USER)) is None
    assert world.run(swap) is None


def test_admin_change_needs_a_repeated_proposal_after_three_days(stage):
    world, wait = stage.world, 259_200
    change = encoding.process_admin_change(example.ADMIN, STRANGER)
    assert world.run(change) is None
    # Too early: the same proposal starts the wait again.
    world.set_time(LATER + wait - 1)
    assert world.run(change) is None
    assert (world.system().admin, world.system().admin_change_timestamp) == (example.ADMIN, LATER + wait - 1)
    world.set_time(LATER + 2 * wait - 1)
    assert world.run(change) is None
    state = world.system()
    assert (state.admin, state.pending_admin, state.admin_change_timestamp) == (STRANGER, None, 0)
    assert world.run(change) == "InvalidAccountData"
    assert world.run(encoding.pause_pool(STRANGER, example.POOL, 3)) is None
    assert world.run(encoding.pause_pool(example.ADMIN, example.POOL, 3)) == "InvalidAccountData"


def test_proposing_the_present_admin_clears_only_after_the_wait(stage):
    """Right after InitializeProgram the pending admin is the admin."""
    assert stage.world.run(encoding.process_admin_change(example.ADMIN, example.ADMIN)) is None
    assert stage.world.system().pending_admin is None
    assert stage.world.run(encoding.process_admin_change(example.ADMIN, example.ADMIN)) is None
    assert stage.world.system().pending_admin == example.ADMIN


def _view(data: bytes, *keys: bytes) -> Instruction:
    return Instruction(data=data, metas=tuple(Meta(key=key) for key in keys))


@pytest.mark.parametrize(
    ("instruction", "wanted"),
    [
        (_view(b"\5" + example.MINT_A + example.MINT_B + bytes(8)), None),
        (_view(b"\6" + example.POOL), None),
        (_view(b"\7", SYSTEM_STATE, SYSTEM_STATE, example.POOL, SYSTEM_STATE), None),
        (_view(b"\7", *[example.POOL] * 3), "ProgramFailedToComplete"),
        (_view(b"\7", example.POOL, example.POOL, example.MINT_A, example.POOL), "IncorrectProgramId"),
        (_view(b"\x08", example.POOL), None),
        (_view(b"\x08"), "ProgramFailedToComplete"),
        (_view(b"\x08", MAIN_TREASURY), "BorshIoError"),
        (_view(b"\x09", example.POOL), None),
        (_view(b"\x09"), "ProgramFailedToComplete"),
        (_view(b"\x09", example.MINT_A), "IncorrectProgramId"),
        (_view(b"\x0a", example.POOL), None),
        (_view(b"\x0a"), "NotEnoughAccountKeys"),
        (_view(b"\x0a", example.MINT_A), "IncorrectProgramId"),
        (_view(b"\x0b", example.MINT_A), None),
        (_view(b"\x0b"), "NotEnoughAccountKeys"),
        (_view(b"\x10", MAIN_TREASURY), None),
        (_view(b"\x10"), "ProgramFailedToComplete"),
        (_view(b"\x12\1", example.POOL), None),
        (_view(b"\x12\1"), "ProgramFailedToComplete"),
        (_view(b"\x12\2", example.POOL), "ProgramFailedToComplete"),
    ],
)
def test_views_change_nothing_and_refuse_what_they_cannot_read(stage, instruction, wanted):
    """The model has no views: only the chain runs, and its accounts must stay those of the model."""
    assert stage.world.send(instruction, fee_payer=VIEWER) == wanted
    stage.world.model.accounts[VIEWER] = stage.world.on_chain(VIEWER)
    stage.world.assert_equal_accounts()


def test_update_fees_writes_only_the_flagged_fees(stage):
    for flags, wanted in ((1, (100_000, 271_500)), (2, (13_000_000, 10_000_000)), (3, (100_000, 10_000_000))):
        assert stage.world.run(encoding.update_fees(example.ADMIN, example.POOL, flags, 100_000, 10_000_000)) is None
        pool = stage.world.pool(example.POOL)
        assert (pool.liquidity_fee, pool.swap_fee) == wanted
        stage.restore()
    only_swap = encoding.update_fees(example.ADMIN, example.POOL, 2, 0, 10_000)
    assert stage.result(only_swap) is None


def test_consolidation_needs_both_pool_pauses_or_a_system_pause(stage):
    consolidate = encoding.consolidate(example.ADMIN, (example.POOL, example.POOL))
    for flags, moved in ((0, 0), (1, 0), (2, 0), (3, 25_986_080)):
        assert stage.world.run(encoding.pause_pool(example.ADMIN, example.POOL, flags)) is None
        assert stage.world.run(consolidate) is None
        assert stage.world.pool(example.POOL).total_consolidated == moved
        assert stage.world.treasury().total_consolidations_performed == 1
        stage.restore()
    assert stage.world.run(encoding.pause_system(example.ADMIN, 0)) is None
    assert stage.world.run(consolidate) is None
    assert stage.world.pool(example.POOL).total_consolidated == 25_986_080


def test_full_consolidation_empties_the_buckets(stage):
    world = stage.world
    world.put_lamports(example.POOL, world.lamports(example.POOL) + 13_920)
    assert world.run(encoding.pause_pool(example.ADMIN, example.POOL, 3)) is None
    assert world.run(encoding.consolidate(example.ADMIN, (example.POOL,))) is None
    pool, totals = world.pool(example.POOL), world.treasury()
    assert (pool.collected_liquidity, pool.collected_swap) == (0, 0)
    assert pool.total_consolidated == pool.total_fees == 26_000_000
    assert (totals.liquidity_operation_count, totals.regular_swap_count) == (2, 0)


def test_consolidation_splits_any_amounts_as_the_model_does(stage):
    """Forged buckets and lamports: small, even, huge, and everything around the full amount."""
    random, world = Random(5), stage.world
    bounds = (1, 10, 13_000_000, 2**32, 2**53, 2**61)
    partial = 0
    for _ in range(300):
        liquidity, swaps = (random.randint(0, random.choice(bounds)) for _ in "ab")
        pending, past = liquidity + swaps, random.choice((0, 5, 2**60))
        spare = random.choice((-1, 0, 1, pending // 2, pending - 1, pending, pending + 1, random.randint(0, pending)))
        pool = replace(
            world.pool(example.POOL),
            flags=7,
            collected_liquidity=liquidity,
            collected_swap=swaps,
            total_fees=past + pending,
            total_consolidated=past,
        )
        world.put(
            example.POOL,
            replace(world.on_chain(example.POOL), lamports=max(3_939_360, 3_953_280 + spare), data=pool.pack()),
        )
        assert world.run(encoding.consolidate(example.ADMIN, (example.POOL,))) is None
        after = world.pool(example.POOL)
        assert after.collected_liquidity + after.collected_swap == after.total_fees - after.total_consolidated
        partial += 0 < after.total_consolidated - past < pending
        stage.restore()
    assert partial > 80


def test_ratio_types_of_random_pools_are_those_of_the_model(stage):
    random = Random(6)
    results: Counter[str | None] = Counter()
    for _ in range(400):
        decimals = [random.choice((0, 1, 6, 9, 18, 19, 20, 33, 63, 64, 255)) for _ in "ab"]
        ratios = []
        for places in decimals:
            factor = pow(10, places, 2**64)
            near = (
                1,
                2,
                factor - 1,
                factor,
                factor + 1,
                2 * factor - 1,
                2 * factor,
                3 * factor,
                random.getrandbits(64),
            )
            ratios.append(min(max(1, random.choice(near)), 2**64 - 1))
        case = Case(stage.world, encoding.initialize_pool(example.USER, example.MINT_A, example.MINT_B, *ratios))
        for mint, places in zip((example.MINT_A, example.MINT_B), decimals, strict=True):
            case.change_bytes(mint, 44, bytes([places]))
        results[stage.world.run(case.instruction)] += 1
        stage.restore()
    assert results[None] > 100
    assert results["Custom(1049)"] > 30
    assert results["ProgramFailedToComplete"] > 30


def test_treasury_withdrawal_limits(stage):
    """Tiers at 48 x 10 SOL x 10^k of the stored balance, one withdrawal an hour, the penalty after an unpause."""
    cases = (
        (480 * 10**9, 10**10, None),
        (480 * 10**9, 10**10 + 1, "InvalidInstructionData"),
        (480 * 10**9 + 1, 10**11, None),
        (480 * 10**9 + 1, 10**11 + 1, "InvalidInstructionData"),
        (4_800 * 10**9 + 1, 10**12, None),
        (0, 10**10 + 1, "InvalidInstructionData"),
        (0, 0, "InvalidInstructionData"),
    )
    for stored, amount, wanted in cases:
        stage.world.put(
            MAIN_TREASURY,
            replace(
                stage.world.on_chain(MAIN_TREASURY),
                lamports=10**13,
                data=replace(stage.world.treasury(), total_balance=stored).pack(),
            ),
        )
        assert stage.result(encoding.withdraw_treasury(example.ADMIN, amount, ELSEWHERE)) == wanted, (stored, amount)


def test_treasury_withdrawal_times(stage):
    for last, wanted in (
        (0, None),
        (LATER - 3_600, None),
        (LATER - 3_599, "InvalidInstructionData"),
        (LATER, "InvalidInstructionData"),
        (LATER + 1, "InvalidInstructionData"),
    ):
        data = replace(stage.world.treasury(), last_withdrawal_timestamp=last).pack()
        stage.world.put(MAIN_TREASURY, replace(stage.world.on_chain(MAIN_TREASURY), data=data))
        assert stage.result(encoding.withdraw_treasury(example.ADMIN, 0, ELSEWHERE)) == wanted, last


def test_lp_tokens_of_one_side_redeem_only_that_side(stage):
    for mint, lp_source, target in (
        (example.MINT_A, example.USER_LP_B, example.USER_A),
        (example.MINT_B, example.USER_LP_A, example.USER_B),
    ):
        crossed = encoding.withdraw(example.USER, example.POOL, mint, 1, lp_source, target)
        assert stage.result(crossed) == "InvalidAccountData"


def test_a_missing_pool_is_an_account_of_another_program(stage):
    mints = (example.MINT_A, example.MINT_B)
    absent = encoding.initialize_pool(example.USER, *mints, 3, 5).metas[3].key
    for instruction in (
        encoding.deposit(example.USER, absent, example.MINT_A, 1, example.USER_A, example.USER_LP_A),
        encoding.withdraw(example.USER, absent, example.MINT_A, 1, example.USER_LP_A, example.USER_A),
        encoding.swap(example.USER, absent, mints, (1, 1), example.USER_A, example.USER_B),
        encoding.pause_pool(example.ADMIN, absent, 3),
        encoding.consolidate(example.ADMIN, (absent,)),
    ):
        assert stage.result(instruction) == "IncorrectProgramId"


def test_own_accounts_that_are_no_pools_do_not_parse(stage):
    for decoy in (SYSTEM_STATE, MAIN_TREASURY):
        pause = encoding.pause_pool(example.ADMIN, decoy, 3)
        assert stage.result(pause) == "InvalidAccountData"


def test_lp_supply_can_reach_its_limit_honestly(stage):
    """Deposit, drain by swapping the other side in, deposit again: the supply has no other bound than u64."""
    half = 2**63
    mints = (bytes([0x51]) * 32, bytes([0x52]) * 32)
    for mint in mints:
        stage.world.put_token(mint, Mint(authority=example.ADMIN, supply=2**64 - 1))
    source, target, lp = (bytes([kind]) * 32 for kind in (0x71, 0x72, 0x73))
    creation = encoding.initialize_pool(example.USER, *mints, 1, 1)
    assert stage.world.run(creation) is None
    pool, lp_mint = creation.metas[3].key, creation.metas[11].key
    for key, mint, amount in ((source, mints[0], half), (target, mints[1], half), (lp, lp_mint, 0)):
        stage.world.put_token(key, TokenAccount(mint=mint, owner=example.USER, amount=amount))
    put_in = encoding.deposit(example.USER, pool, mints[0], half, source, lp)
    assert stage.world.run(put_in) is None
    drain = encoding.swap(example.USER, pool, (mints[1], mints[0]), (half, half), target, source)
    assert stage.world.run(drain) is None
    assert stage.world.run(put_in) == "Custom(14)"
    less = encoding.deposit(example.USER, pool, mints[0], half - 1, source, lp)
    assert stage.world.run(less) is None
    assert stage.world.mint(lp_mint).supply == 2**64 - 1
    assert PoolState.parse(stage.world.data(pool)).total_a == half - 1


def test_twenty_pools_fit_into_one_consolidation(stage):
    pools = (example.POOL,) * 20
    assert stage.world.run(encoding.pause_pool(example.ADMIN, example.POOL, 3)) is None
    assert stage.world.run(encoding.consolidate(example.ADMIN, pools)) is None
    assert stage.world.pool(example.POOL).consolidations == 1
