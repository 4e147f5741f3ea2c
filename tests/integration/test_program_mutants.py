"""The program against its contract's codes, and every seeded bug against the program, on LiteSVM."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from solders.account import Account

from ops.localnet.program.build import PROGRAM_SO, build
from ops.localnet.program.mutants import MUTANTS
from tests.support import program_chain as pc
from tests.support import program_script as ps
from tests.support.program_chain import ProgramChain

SCRIPT = ps.whole_script()


@pytest.fixture(scope="module")
def original() -> list[ps.Trace]:
    return list(ps.play(PROGRAM_SO, SCRIPT))


@pytest.fixture(scope="module")
def mutant_files(tmp_path_factory) -> dict[int, Path]:
    """Every mutant's program, two builds at a time."""
    folder = tmp_path_factory.mktemp("mutants")
    with ThreadPoolExecutor(2) as pool:
        files = pool.map(lambda m: build(folder / f"{m.number}.so", m.number), MUTANTS)
        return dict(zip((m.number for m in MUTANTS), files, strict=True))


def traded_chain() -> ProgramChain:
    """A chain after pool creation and the first deposits."""
    chain = ProgramChain(PROGRAM_SO, ps.AUTHORITY)
    for step in [*ps.creation(), *ps.deposits()[:9]]:
        if step.instruction is None:
            step.change(chain)
        else:
            assert chain.send(step.instruction).code == step.code, step.name
    return chain


def test_every_step_of_the_script_gives_the_contracts_code(original):
    wrong = [(trace.name, trace.code, trace.expected) for trace in original if trace.code != trace.expected]
    assert wrong == []
    assert len(original) > 200


def test_a_refused_transaction_changes_nothing(original):
    before = original[0].digest
    for trace in original:
        assert trace.code == "ok" or trace.digest == before, trace.name
        before = trace.digest


def test_two_runs_are_identical(original):
    assert list(ps.play(PROGRAM_SO, SCRIPT)) == original


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_every_mutant_behaves_differently(original, mutant_files):
    alike = []
    for mutant in MUTANTS:
        played = ps.play(mutant_files[mutant.number], SCRIPT)
        if all(trace == seen for trace, seen in zip(original, played, strict=True)):
            alike.append(mutant)
    assert alike == []


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_mutants_differ_from_one_another(original, mutant_files):
    """Two numbers with one behaviour would count one find twice."""
    seen: dict[tuple[object, ...], int] = {}
    for number, file in mutant_files.items():
        trace = tuple((step.code, step.digest) for step in ps.play(file, SCRIPT))
        assert trace not in seen, (number, seen.get(trace))
        seen[trace] = number


def test_swap_arithmetic_on_chain_equals_python_integers():
    """Thousands of ratios and amounts: with empty counters a right expectation ends in InsufficientFunds.

    The order of section 6 makes the code tell whether the program computed our number: 1019, InvalidArgument
    and 1047 come before the liquidity check.
    """
    chain, rng = traded_chain(), random.Random(6)
    template = chain.svm.get_account(ps.MAIN.id)
    chain.put_token(ps.USER_TOKENS[0], ps.MINT_A, ps.USER, 2**64 - 1)
    verdicts = {"Custom(1019)": 0, "InvalidArgument": 0, "InsufficientFunds": 0, "Custom(1047)": 0}
    for _ in range(4000):
        ratios = [rng.getrandbits(rng.randint(1, 64)) or 1 for _ in range(2)]
        amount = rng.getrandbits(rng.randint(1, 64)) or 1
        data = bytes(template.data)
        data = data[:224] + pc.u64(ratios[0]) + pc.u64(ratios[1]) + bytes(16) + data[256:]
        chain.svm.set_account(ps.MAIN.id, Account(template.lamports, data, template.owner, False, 0))
        out = amount * ratios[1] // ratios[0]
        off = rng.choice((0, 0, 0, 1, -1))
        if out >= 2**64:
            expected_code = "Custom(1019)"
        elif out == 0:
            expected_code = "InvalidArgument"
        else:
            expected_code = "Custom(1047)" if off and 0 <= out + off < 2**64 else "InsufficientFunds"
        stated = min(max(out + off, 0), 2**64 - 1) if out < 2**64 else rng.getrandbits(64)
        if out < 2**64 and not 0 <= out + off < 2**64:
            stated = out
        swap = pc.swap(ps.USER, ps.MAIN, 0, amount, stated, *ps.USER_TOKENS)
        assert chain.send(swap).code == expected_code, (ratios, amount, stated)
        verdicts[expected_code] += 1
    assert min(verdicts.values()) > 300, verdicts


@pytest.mark.parametrize(
    ("rest", "reserve", "liquidity", "swap", "booked"),
    [
        # CONTRACT.md 3.12's vector, then an odd lamport for the swap bucket, for the liquidity bucket and at a tie.
        (13_271_500, 17_210_860, 13_000_000, 271_500, (12_986_365, 271_215)),
        (1001, 3_953_280 + 500, 501, 500, (250, 250)),
        (999, 3_953_280 + 500, 399, 600, (200, 300)),
        (1000, 3_953_280 + 501, 500, 500, (251, 250)),
    ],
)
def test_consolidation_splits_as_the_contract_says(rest, reserve, liquidity, swap, booked):
    chain = traded_chain()
    pool = chain.svm.get_account(ps.MAIN.id)
    data = bytearray(pool.data)
    data[261] |= 6
    data[310:334] = pc.u64(liquidity) + pc.u64(swap) + pc.u64(rest)
    chain.svm.set_account(ps.MAIN.id, Account(reserve, bytes(data), pool.owner, False, 0))
    assert chain.send(pc.consolidate(ps.ADMIN, [ps.MAIN.id])).code == "ok"
    after, treasury = chain.data(ps.MAIN.id), chain.data(pc.TREASURY)
    left = tuple(int.from_bytes(after[at : at + 8], "little") for at in (310, 318, 350))
    assert left == (liquidity - booked[0], swap - booked[1], sum(booked))
    assert tuple(int.from_bytes(treasury[at : at + 8], "little") for at in (72, 80, 88)) == (*booked, booked[1])
    assert chain.lamports(ps.MAIN.id) == 3_953_280


def test_twenty_pools_consolidate_in_one_transaction():
    chain = traded_chain()
    pool = chain.svm.get_account(ps.MAIN.id)
    data = bytearray(pool.data)
    data[261] |= 6
    copies = [pc.key(0x90 + i) for i in range(20)]
    for copy in copies:
        chain.svm.set_account(copy, Account(pool.lamports, bytes(data), pool.owner, False, 0))
    result = chain.send(pc.consolidate(ps.ADMIN, copies))
    assert result.code == "ok"
    assert {chain.lamports(copy) for copy in copies} == {3_953_280}
    assert result.units < 50_000


def test_compute_units_stay_far_below_a_requested_limit():
    """A regression bound: the hot instructions take about 6,000 units, creation about 28,000."""
    chain = traded_chain()
    hot = (ps.deposit(0, 10**6), ps.swap(0, 10**6 + 1), ps.withdraw(0, 10**6))
    assert max(chain.send(instruction).units for instruction in hot) < 10_000
    fresh = pc.initialize_pool(ps.USER, pc.Pool(ps.MAIN.mints, (1, 99)))
    result = chain.send(fresh)
    assert result.code == "ok"
    assert result.units < 60_000
