"""Ids, addresses and constants against the tables of CONTRACT.md 1, 2, 4.4 and 11."""

from __future__ import annotations

from itertools import pairwise

import pytest
from solders.pubkey import Pubkey
from spl.token.instructions import get_associated_token_address

from domain.chain import program

SINGLETONS = [
    (
        program.LOCALNET_PROGRAM_ID,
        "3531a0347f4a39ded2bff86a4fd2cc200e147f60dfceaf63e1ede64ae22a0f53",
        "7mJQU5YkXBeeYR44TFosU4YhCciRC5ierTN29fa7ia3D",
        "HBffTYMVJHgRYNCQ4opHrAVVeT1QPDtJLLDKki7mUp43",
        "2FXQ9r1d1bdhdUVTh735CeUEBEhQbZvCoTfdoyFVyrqD",
    ),
    (
        program.DEVNET_PROGRAM_ID,
        "81955d274d4ab993e749271bcc157d62c16f3c59a62e31631562f42c928744ee",
        "3oh6Ryf8QerWPyM3C1GEA4jAQKBdSik2iy93NjqtkygG",
        "2Lgqn5GJBeRCveUybftTGt8cJdhqbrV9JUXFrVejzFa6",
        "6Ahzj8CBzfKxtSvmmxnTM4HJZi8mdTNSU2mh5Zm74qjP",
    ),
    (
        program.MAINNET_PROGRAM_ID,
        "0c8744d3cb48c01bb4520e2bb292cabb42315adddb2bea8920680597ca5a99d6",
        "Dkjm34MNnR7z8mZ1hohMu2D9WxePyjnJ58gahG8CthqL",
        "4LwioejiK9ML57kqm6K7b4FHtPAGz88to3b9j1cPiEeN",
        "3ZCrRh4nzEbn2Pww2hcB8W5rj2auCY1L7Sce83tH9QsK",
    ),
]
MINT_A, MINT_B = Pubkey(b"\x11" * 32), Pubkey(b"\x22" * 32)


@pytest.mark.parametrize(("program_id", "raw", "state", "treasury", "data"), SINGLETONS)
def test_singletons_are_the_contract_s(program_id, raw, state, treasury, data):
    assert bytes(program_id).hex() == raw
    assert str(program.system_state(program_id)) == state
    assert str(program.main_treasury(program_id)) == treasury
    assert str(program.program_data(program_id)) == data


def test_the_worked_example_s_pool_addresses():
    pool = program.pool_addresses(program.LOCALNET_PROGRAM_ID, MINT_A, MINT_B, 1_000_000_000, 160_000_000)
    assert [str(key) for key in (pool.pool_state, pool.vault_a, pool.vault_b, pool.lp_mint_a, pool.lp_mint_b)] == [
        "CvGKjVXXAfgTfeqUcy7C6a4J25Vcf4x3gCx83hJdf39q",
        "GK3cCGXzizPDQRgou2atgUVpWxWuyJKsrtu5GrgfvnQJ",
        "4oEAku33Lyo27zrXtjrnsgMZAUN3FMfeV29LxAnbXUfH",
        "9DLkGsV7hb7LUzjvTAxADQXHvP6rQRwMatp7ykTJS2gQ",
        "J7XbXALPbvuwwXV2JfKGvh4Prv4jTvG7tM7hJwcpDE72",
    ]
    assert pool.bumps == (254, 255, 255, 254, 255)


def test_scaled_ratios_are_another_pool():
    one = program.pool_addresses(program.LOCALNET_PROGRAM_ID, MINT_A, MINT_B, 1, 160)
    ten = program.pool_addresses(program.LOCALNET_PROGRAM_ID, MINT_A, MINT_B, 10, 1600)
    assert one.pool_state != ten.pool_state


def test_mints_are_ordered_by_bytes_and_the_ratio_goes_along():
    assert program.order_mints(MINT_A, 3, MINT_B, 5) == (MINT_A, MINT_B, 3, 5)
    assert program.order_mints(MINT_B, 5, MINT_A, 3) == (MINT_A, MINT_B, 3, 5)


def test_pools_that_cannot_exist_are_refused():
    with pytest.raises(ValueError, match="byte order"):
        program.pool_addresses(program.LOCALNET_PROGRAM_ID, MINT_B, MINT_A, 1, 1)
    with pytest.raises(ValueError, match="byte order"):
        program.pool_addresses(program.LOCALNET_PROGRAM_ID, MINT_A, MINT_A, 1, 1)
    for ratio in (0, 2**64):
        with pytest.raises(ValueError, match="ratio"):
            program.pool_addresses(program.LOCALNET_PROGRAM_ID, MINT_A, MINT_B, 1, ratio)


def test_base58_text_does_not_order_mints():
    keys = [Pubkey(bytes([byte]) * 32) for byte in range(256)]
    misleading = [pair for pair in pairwise(keys) if str(pair[0]) > str(pair[1])]
    assert misleading
    for low, high in misleading:
        assert program.order_mints(high, 2, low, 1) == (low, high, 1, 2)


@pytest.mark.parametrize(
    ("size", "lamports"),
    [(0, 890_880), (82, 1_461_600), (83, 1_468_560), (136, 1_837_440), (165, 2_039_280), (438, 3_939_360)],
)
def test_rent_minimum(size, lamports):
    assert program.rent_minimum_lamports(size) == lamports


def test_a_pool_s_whole_price():
    rents = [program.POOL_STATE_BYTES, *[program.TOKEN_ACCOUNT_BYTES] * 2, *[program.MINT_BYTES] * 2]
    total = program.REGISTRATION_FEE_LAMPORTS + sum(program.rent_minimum_lamports(size) for size in rents)
    assert total == 1_160_941_120
    assert program.rent_minimum_lamports(program.CONSOLIDATION_RENT_BYTES) == 3_953_280


def test_associated_token_addresses_are_the_spl_client_s():
    wallet = Pubkey(b"\x33" * 32)
    for mint in (MINT_A, MINT_B):
        assert program.associated_token_address(wallet, mint) == get_associated_token_address(wallet, mint)
