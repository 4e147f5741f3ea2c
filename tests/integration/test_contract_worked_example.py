"""The worked example of CONTRACT.md 11 and the tables of 5 and 6, on a LiteSVM chain with the program."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from tests.support.contract_model import encoding
from tests.support.contract_model import worked_example as example
from tests.support.contract_model.addresses import MAIN_TREASURY, SYSTEM_STATE, pool_address
from tests.support.contract_model.encoding import pool_parts
from tests.support.contract_model.state import Account, Mint, TokenAccount, Treasury
from tests.support.litesvm_world import World


@pytest.fixture
def world() -> World:
    world = World()
    for key, account in example.start().items():
        world.put(key, account)
    return world


def play(world: World, last: str = "update_fees") -> None:
    """Send the example's printed bytes up to the named step."""
    for name, instruction in example.steps():
        printed = replace(instruction, data=bytes.fromhex("".join(example.DATA[name].split())))
        assert world.run(printed, fee_payer=example.FEE_PAYER) is None, name
        if name == last:
            return


def test_worked_example_ends_in_the_golden_state(world):
    play(world)
    assert world.data(example.POOL) == example.GOLDEN_POOL
    assert world.data(example.LP_A) == example.GOLDEN_LP_MINT_A
    assert world.data(example.VAULT_A) == example.GOLDEN_VAULT_A
    assert world.data(SYSTEM_STATE) == example.GOLDEN_SYSTEM_STATE
    assert world.data(MAIN_TREASURY) == replace(Treasury(), **example.GOLDEN_TREASURY_FIELDS).pack()
    assert {key: world.lamports(key) for key in example.GOLDEN_LAMPORTS} == example.GOLDEN_LAMPORTS
    assert {key: world.tokens(key) for key in example.GOLDEN_TOKENS} == example.GOLDEN_TOKENS
    assert {key: world.mint(key).supply for key in example.GOLDEN_SUPPLIES} == example.GOLDEN_SUPPLIES
    pool = world.pool(example.POOL)
    surplus = (pool.total_a - 5_000_000_000) * pool.ratio_b + (pool.total_b - 900_000_000) * pool.ratio_a
    assert surplus == example.GOLDEN_SURPLUS


def test_initialize_program_creates_the_documented_accounts(world):
    before = world.lamports(example.AUTHORITY)
    play(world, "initialize_program")
    assert before - world.lamports(example.AUTHORITY) == 3_306_000
    assert world.data(MAIN_TREASURY) == bytes(136)
    assert world.data(SYSTEM_STATE) == example.GOLDEN_SYSTEM_STATE


def test_initialize_pool_costs_the_documented_sum(world):
    play(world, "initialize_pool")
    assert world.lamports(example.USER) == 10_000_000_000 - 1_160_941_120
    assert world.lamports(example.POOL) == 3_939_360


def test_consolidation_vector_of_section_3_12(world):
    play(world, "deposit_a")
    swap = encoding.swap(
        example.USER, example.POOL, (example.MINT_B, example.MINT_A), (160, 1000), example.USER_B, example.USER_A
    )
    assert world.run(swap) is None
    assert world.lamports(example.POOL) == 17_210_860
    assert world.run(encoding.pause_pool(example.ADMIN, example.POOL, 3)) is None
    assert world.run(encoding.consolidate(example.ADMIN, (example.POOL,))) is None
    pool = world.pool(example.POOL)
    assert (pool.collected_liquidity, pool.collected_swap, pool.total_consolidated) == (13_635, 285, 13_257_580)
    assert world.lamports(example.POOL) == 3_953_280
    totals = world.treasury()
    assert (totals.total_liquidity_fees, totals.total_regular_swap_fees) == (12_986_365, 271_215)
    assert (totals.liquidity_operation_count, totals.total_consolidations_performed) == (0, 1)


def _new_pool(world: World, number: int, ratios: tuple[int, int], decimals: tuple[int, int], flags: int = 0):
    """InitializePool over two fresh mints; the error, pool address and the two mints."""
    mints = [bytes([kind]) + number.to_bytes(31, "big") for kind in (0x21, 0x22)]
    for mint, places in zip(mints, decimals, strict=True):
        world.put_token(mint, Mint(authority=example.ADMIN, supply=2**64 - 1, decimals=places))
    user = example.USER
    world.put_lamports(user, 10**10)
    error = world.run(encoding.initialize_pool(user, *mints, *ratios, flags))
    return error, pool_address(*mints, *ratios)[0], mints


def test_classification_table_on_chain(world):
    play(world, "initialize_program")
    expected_errors = {"PANIC": "ProgramFailedToComplete", "Engineering": "Custom(1049)"}
    for number, (ratio_a, ratio_b, decimals_a, decimals_b, kind) in enumerate(example.CLASSIFICATION):
        error, pool, _ = _new_pool(world, number, (ratio_a, ratio_b), (decimals_a, decimals_b))
        assert error == expected_errors.get(kind), (ratio_a, ratio_b, decimals_a, decimals_b)
        if error is None:
            assert world.pool(pool).flags == (1 if kind == "Simple" else 0)


def test_creation_keeps_only_the_two_known_flags(world):
    play(world, "initialize_program")
    _, simple, _ = _new_pool(world, 1, (1, 1), (0, 0), flags=0xFF)
    assert world.pool(simple).flags == 97
    _, decimal, _ = _new_pool(world, 2, (1_500_000, 2_000_000), (6, 6), flags=0x9F)
    assert world.pool(decimal).flags == 0


def test_reversed_mints_exchange_the_lp_decimals(world):
    play(world, "initialize_program")
    first, second = example.MINT_B, example.MINT_A
    assert world.run(encoding.initialize_pool(example.USER, first, second, 1_000_000_000, 160_000_000)) is None
    assert world.pool(example.POOL).token_a_mint == example.MINT_A
    assert (world.mint(example.LP_A).decimals, world.mint(example.LP_B).decimals) == (6, 9)


HOSTILE_HALVES = (0, 1, 2, 3, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFD, 0xFFFF_FFFE, 0xFFFF_FFFF)


def _hostile(random: Random) -> int:
    """A u64 other than 0 whose halves sit where a division by digits goes wrong."""
    halves = [random.choice(HOSTILE_HALVES) if random.random() < 0.8 else random.getrandbits(32) for _ in "ab"]
    return max(1, (halves[0] << 32 | halves[1]) >> random.choice((0, 0, 0, 1, 7, 31, 32, 33)))


def test_swap_arithmetic_on_hostile_numbers(world):
    """The output side holds one unit less than the output, so InsufficientFunds says: computed as expected."""
    play(world, "deposit_b")
    random = Random(20)
    pool, source = world.pool(example.POOL), TokenAccount(mint=example.MINT_A, owner=example.USER, amount=2**64 - 1)
    world.put_token(example.USER_A, source)
    account = world.on_chain(example.POOL)
    seen = Counter()
    for _ in range(6_000):
        ratio_in, ratio_out, output = _hostile(random), _hostile(random), _hostile(random)
        around = (output * ratio_in // ratio_out, ((output + 1) * ratio_in - 1) // ratio_out, _hostile(random))
        amount = min(max(1, random.choice(around) + random.choice((-1, 0, 0, 1))), 2**64 - 1)
        exact = random.random() < 0.3
        output, remainder = divmod(amount * ratio_out, ratio_in)
        if exact and remainder:
            wanted = "Custom(1047)"
        elif output >= 2**64:
            wanted = "Custom(1019)"
        else:
            wanted = "InsufficientFunds" if output else "InvalidArgument"
        changed = replace(
            pool, ratio_a=ratio_in, ratio_b=ratio_out, total_b=max(0, min(output, 2**64) - 1), flags=0x40 * exact
        )
        world.put(example.POOL, replace(account, data=changed.pack()))
        accounts = (example.USER_A, example.USER_B)
        swap = encoding.swap_of(changed, example.USER, example.POOL, (amount, output % 2**64), True, accounts)
        assert world.send(swap) == wanted, (amount, ratio_in, ratio_out, exact)
        seen[wanted, exact] += 1
    assert all(seen[wanted, False] > 150 for wanted in ("InsufficientFunds", "Custom(1019)", "InvalidArgument")), seen
    assert seen["InsufficientFunds", True] > 100, seen


def test_swap_table_on_chain(world):
    play(world, "initialize_program")
    for number, (amount, ratio_in, ratio_out, result, remainder) in enumerate(example.SWAPS):
        decimals = (0, 0) if ratio_in == 1 else (9, 6) if ratio_in == 10**9 else (6, 9)
        for exact in (False, True):
            error, pool, mints = _new_pool(
                world, 2 * number + exact + 100, (ratio_in, ratio_out), decimals, 0x40 if exact else 0
            )
            assert error is None
            source, target, lp = (bytes([kind]) * 31 + bytes([number]) for kind in (0x71, 0x72, 0x73))
            world.put_token(source, TokenAccount(mint=mints[0], owner=example.USER, amount=amount))
            world.put_token(target, TokenAccount(mint=mints[1], owner=example.USER, amount=2**63))
            world.put_token(lp, TokenAccount(mint=pool_parts(pool)[3], owner=example.USER))
            world.put(example.USER, Account(lamports=10**10))
            assert world.run(encoding.deposit(example.USER, pool, mints[1], 2**63, target, lp)) is None
            output = amount * ratio_out // ratio_in
            expected = min(output, 2**64 - 1)
            wanted = "Custom(1047)" if exact and output * ratio_in != amount * ratio_out else result
            swap = encoding.swap(example.USER, pool, (mints[0], mints[1]), (amount, expected), source, target)
            assert world.run(swap) == (wanted if isinstance(wanted, str) else None)
            if not isinstance(wanted, str):
                assert world.tokens(target) == wanted
            assert remainder in {None, amount * ratio_out - output * ratio_in}
