"""The contract model against the figures printed in CONTRACT.md."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace

import pytest
from solders.pubkey import Pubkey

from tests.support.contract_model import ContractModel, encoding
from tests.support.contract_model import worked_example as example
from tests.support.contract_model.addresses import (
    MAIN_TREASURY,
    PROGRAM_DATA,
    PROGRAM_ID,
    SYSTEM_STATE,
    find_program_address,
    from_base58,
    is_on_curve,
    pool_address,
    pool_part,
    to_base58,
)
from tests.support.contract_model.creation import classify
from tests.support.contract_model.runtime import ProgramError
from tests.support.contract_model.state import Mint, PoolState, SystemState, TokenAccount, Treasury
from tests.support.contract_model.trading import swap_output


@pytest.fixture
def model() -> ContractModel:
    accounts = dict([*example.start().items(), example.program_data()])
    return ContractModel(now=1_700_000_000, accounts=accounts)


def play(model: ContractModel, last: str = "update_fees") -> None:
    for name, instruction in example.steps():
        assert model.run(instruction, fee_payer=example.FEE_PAYER) is None, name
        if name == last:
            return


def test_the_model_needs_nothing_of_the_service_or_of_a_chain():
    """Its agreement with the program is evidence only while it shares no code with either."""
    script = (
        "import sys, tests.support.contract_model.invariants, tests.support.contract_model.encoding\n"
        "print({'solders', 'domain', 'ops'} & {name.split('.')[0] for name in sys.modules})"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"


def test_singletons_are_those_of_the_fact_sheet():
    assert to_base58(SYSTEM_STATE) == "7mJQU5YkXBeeYR44TFosU4YhCciRC5ierTN29fa7ia3D"
    assert to_base58(MAIN_TREASURY) == "HBffTYMVJHgRYNCQ4opHrAVVeT1QPDtJLLDKki7mUp43"
    assert to_base58(PROGRAM_DATA) == "2FXQ9r1d1bdhdUVTh735CeUEBEhQbZvCoTfdoyFVyrqD"
    assert PROGRAM_ID.hex() == "3531a0347f4a39ded2bff86a4fd2cc200e147f60dfceaf63e1ede64ae22a0f53"


def test_pool_addresses_and_bumps_are_those_of_the_worked_example():
    assert pool_address(example.MINT_A, example.MINT_B, 10**9, 160_000_000) == (example.POOL, 254)
    assert pool_part("token_a_vault", example.POOL) == (example.VAULT_A, 255)
    assert pool_part("token_b_vault", example.POOL) == (example.VAULT_B, 255)
    assert pool_part("lp_token_a_mint", example.POOL) == (example.LP_A, 254)
    assert pool_part("lp_token_b_mint", example.POOL) == (example.LP_B, 255)


def test_derivation_and_curve_test_agree_with_the_library():
    generator = random.Random(7)
    for _ in range(100):
        raw = generator.randbytes(32)
        assert is_on_curve(raw) == Pubkey(raw).is_on_curve()
        assert from_base58(str(Pubkey(raw))) == raw
        address, bump = Pubkey.find_program_address([b"seed", raw], Pubkey(PROGRAM_ID))
        assert find_program_address((b"seed", raw), PROGRAM_ID) == (bytes(address), bump)


@pytest.mark.parametrize(("name", "instruction"), example.steps())
def test_instruction_bytes_are_those_of_the_worked_example(name, instruction):
    assert instruction.data == bytes.fromhex("".join(example.DATA[name].split()))


def test_short_instruction_bytes_are_those_of_the_worked_example():
    assert encoding.get_version().data == bytes.fromhex(example.DATA["get_version"])
    assert encoding.consolidate(example.ADMIN, (example.POOL,)).data == bytes.fromhex("1101")


def test_worked_example_ends_in_the_golden_state(model):
    play(model)
    data = {key: account.data for key, account in model.accounts.items()}
    assert data[example.POOL] == example.GOLDEN_POOL
    assert data[example.LP_A] == example.GOLDEN_LP_MINT_A
    assert data[example.VAULT_A] == example.GOLDEN_VAULT_A
    assert data[SYSTEM_STATE] == example.GOLDEN_SYSTEM_STATE
    assert data[MAIN_TREASURY] == replace(Treasury(), **example.GOLDEN_TREASURY_FIELDS).pack()
    for key, lamports in example.GOLDEN_LAMPORTS.items():
        assert model.accounts[key].lamports == lamports
    for key, amount in example.GOLDEN_TOKENS.items():
        assert TokenAccount.parse(data[key]).amount == amount
    for key, supply in example.GOLDEN_SUPPLIES.items():
        assert Mint.parse(data[key]).supply == supply


def test_consolidation_vector_of_section_3_12(model):
    play(model, "deposit_a")
    mints = (example.MINT_B, example.MINT_A)
    swap = encoding.swap(example.USER, example.POOL, mints, (160, 1000), example.USER_B, example.USER_A)
    assert model.run(swap, fee_payer=example.FEE_PAYER) is None
    assert model.accounts[example.POOL].lamports == 17_210_860
    for instruction in (
        encoding.pause_pool(example.ADMIN, example.POOL, 3),
        encoding.consolidate(example.ADMIN, (example.POOL,)),
    ):
        assert model.run(instruction, fee_payer=example.FEE_PAYER) is None
    pool = PoolState.parse(model.accounts[example.POOL].data)
    assert (pool.collected_liquidity, pool.collected_swap) == (13_635, 285)
    assert pool.total_consolidated == 13_257_580
    assert model.accounts[example.POOL].lamports == 3_953_280
    totals = Treasury.parse(model.accounts[MAIN_TREASURY].data)
    assert (totals.total_liquidity_fees, totals.total_regular_swap_fees) == (12_986_365, 271_215)
    assert (totals.liquidity_operation_count, totals.regular_swap_count) == (0, 0)


@pytest.mark.parametrize(("ratio_a", "ratio_b", "decimals_a", "decimals_b", "kind"), example.CLASSIFICATION)
def test_classification_table(ratio_a, ratio_b, decimals_a, decimals_b, kind):
    if kind == "PANIC":
        with pytest.raises(ProgramError, match="ProgramFailedToComplete"):
            classify(ratio_a, ratio_b, decimals_a, decimals_b)
    else:
        assert classify(ratio_a, ratio_b, decimals_a, decimals_b) == kind


@pytest.mark.parametrize(("amount", "ratio_in", "ratio_out", "result", "remainder"), example.SWAPS)
def test_swap_table(amount, ratio_in, ratio_out, result, remainder):
    if isinstance(result, str):
        with pytest.raises(ProgramError) as caught:
            swap_output(amount, ratio_in, ratio_out, exact=False)
        assert str(caught.value) == result
    else:
        assert swap_output(amount, ratio_in, ratio_out, exact=False) == result
    assert remainder in {None, amount * ratio_out % ratio_in}


def test_exact_mode_reports_the_remainder_before_the_zero_output():
    with pytest.raises(ProgramError) as caught:
        swap_output(6, 10**9, 160_000_000, exact=True)
    assert str(caught.value) == "Custom(1047)"


def test_layouts_survive_a_round_trip():
    generator = random.Random(11)
    pool_bytes = generator.randbytes(438)
    assert PoolState.parse(pool_bytes).pack() == pool_bytes
    treasury_bytes = generator.randbytes(136)
    assert Treasury.parse(treasury_bytes).pack() == treasury_bytes
    short = SystemState.parse(bytes(51))
    assert short.pending_admin is None
    assert len(short.pack()) == 51
    assert len(replace(short, pending_admin=bytes(32)).pack()) == 83


def test_a_failure_changes_nothing_but_the_network_fee(model):
    play(model, "deposit_a")
    before = dict(model.accounts)
    too_much = encoding.withdraw(
        example.USER, example.POOL, example.MINT_A, 5_000_000_001, example.USER_LP_A, example.USER_A
    )
    assert model.run(too_much, fee_payer=example.FEE_PAYER) == "Custom(1)"
    payer = before.pop(example.FEE_PAYER)
    after = dict(model.accounts)
    assert after.pop(example.FEE_PAYER).lamports == payer.lamports - 2 * 5000
    assert after == before
