"""Account bytes: golden states of CONTRACT.md 11 and 3.12, strict lengths, and round trips of random records."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from domain.chain import layouts, program
from domain.facts import Mint, PoolState, SystemState, TokenAccount, Treasury

MINT_A, MINT_B, USER, ADMIN = (str(Pubkey(bytes([byte]) * 32)) for byte in (0x11, 0x22, 0x33, 0x44))
POOL = program.pool_addresses(
    program.LOCALNET_PROGRAM_ID,
    Pubkey.from_string(MINT_A),
    Pubkey.from_string(MINT_B),
    1_000_000_000,
    160_000_000,
)
GOLDEN_POOL = bytes.fromhex(
    "33" * 32
    + "11" * 32
    + "22" * 32
    + "e37eb4babb9d9f321c5ec23105b26c3d54090b0b0161a94dff6200d8e5808a63"
    + "386aaad79549eb43f0e33f19f48a59cd2405fe1433bb3de3558bc4b948daf628"
    + "7a06cac7400d9fada22e336bac2ea57a3dc6483661d70930d92eafa0f0a6ad09"
    + "fe42c1b56b61f4819a78769222f43cc4e228dacbbf1815371f4bb198e090b0e1"
    + "00ca9a3b00000000 0068890900000000 01bca06501000000 00811b2c00000000 feffff feff 01"
    + "405dc60000000000 8c24040000000000"
    + "00" * 32
    + "c017530200000000 8c24040000000000 4c3c570200000000"
    + "00" * 24
    + "00" * 80
)


def test_the_golden_pool_decodes_to_the_contract_s_numbers():
    pool = layouts.decode_pool_state(GOLDEN_POOL)
    assert pool == PoolState(
        owner=USER,
        mint_a=MINT_A,
        mint_b=MINT_B,
        vault_a="GK3cCGXzizPDQRgou2atgUVpWxWuyJKsrtu5GrgfvnQJ",
        vault_b="4oEAku33Lyo27zrXtjrnsgMZAUN3FMfeV29LxAnbXUfH",
        lp_mint_a="9DLkGsV7hb7LUzjvTAxADQXHvP6rQRwMatp7ykTJS2gQ",
        lp_mint_b="J7XbXALPbvuwwXV2JfKGvh4Prv4jTvG7tM7hJwcpDE72",
        ratio_a=1_000_000_000,
        ratio_b=160_000_000,
        liquidity_a=6_000_000_001,
        liquidity_b=740_000_000,
        bumps=(254, 255, 255, 254, 255),
        flags=program.FLAG_SIMPLE_RATIO,
        liquidity_fee=13_000_000,
        swap_fee=271_500,
        collected_liquidity_fees=39_000_000,
        collected_swap_fees=271_500,
        total_fees_collected=39_271_500,
        last_consolidation_at=0,
        consolidations=0,
        total_fees_consolidated=0,
        zero_token_fees=bytes(32),
        zero_tail=bytes(80),
    )
    assert layouts.encode_pool_state(pool) == GOLDEN_POOL
    assert pool.bumps == POOL.bumps


@pytest.mark.parametrize(
    ("field", "offset"),
    [
        ("ratio_a", 224),
        ("ratio_b", 232),
        ("liquidity_a", 240),
        ("liquidity_b", 248),
        ("liquidity_fee", 262),
        ("swap_fee", 270),
        ("collected_liquidity_fees", 310),
        ("collected_swap_fees", 318),
        ("total_fees_collected", 326),
        ("last_consolidation_at", 334),
        ("consolidations", 342),
        ("total_fees_consolidated", 350),
    ],
)
def test_each_pool_number_sits_at_its_documented_offset(field, offset):
    value = 0x0123456789ABCDEF
    patched = GOLDEN_POOL[:offset] + value.to_bytes(8, "little") + GOLDEN_POOL[offset + 8 :]
    assert layouts.decode_pool_state(patched) == replace(layouts.decode_pool_state(GOLDEN_POOL), **{field: value})


def test_the_pool_s_timestamp_is_signed():
    patched = GOLDEN_POOL[:334] + b"\xff" * 8 + GOLDEN_POOL[342:]
    assert layouts.decode_pool_state(patched).last_consolidation_at == -1


@pytest.mark.parametrize(("field", "first", "last"), [("zero_token_fees", 278, 309), ("zero_tail", 358, 437)])
def test_bytes_that_must_stay_zero_are_kept_for_the_check(field, first, last):
    for offset in (first, last):
        patched = bytearray(GOLDEN_POOL)
        patched[offset] = 7
        assert any(getattr(layouts.decode_pool_state(bytes(patched)), field))


def test_golden_mint_vault_and_system_state():
    mint_bytes = (
        bytes.fromhex("01000000") + bytes(POOL.pool_state) + bytes.fromhex("00f2052a01000000 09 01") + bytes(36)
    )
    mint = layouts.decode_mint(mint_bytes)
    assert mint == Mint(
        mint_authority=str(POOL.pool_state),
        supply=5_000_000_000,
        decimals=9,
        initialized=True,
        freeze_authority=None,
    )
    assert layouts.encode_mint(mint) == mint_bytes
    vault_bytes = (
        b"\x11" * 32 + bytes(POOL.pool_state) + bytes.fromhex("01bca06501000000") + bytes(36) + b"\x01" + bytes(56)
    )
    vault = layouts.decode_token_account(vault_bytes)
    assert vault == TokenAccount(mint=MINT_A, owner=str(POOL.pool_state), amount=6_000_000_001, state=1)
    assert layouts.encode_token_account(vault) == vault_bytes
    system_bytes = bytes(10) + b"\x44" * 32 + b"\x01" + b"\x44" * 32 + bytes.fromhex("00f1536500000000")
    system = layouts.decode_system_state(system_bytes)
    assert system == SystemState(
        is_paused=False,
        pause_timestamp=0,
        pause_reason_code=0,
        admin=ADMIN,
        pending_admin=ADMIN,
        admin_change_timestamp=1_700_000_000,
    )
    assert layouts.encode_system_state(system) == system_bytes


def test_without_a_pending_admin_the_timestamp_moves_and_the_tail_stays():
    before = bytes(10) + b"\x44" * 32 + b"\x01" + b"\x55" * 32 + (1_700_000_000).to_bytes(8, "little")
    state = replace(layouts.decode_system_state(before), pending_admin=None, admin_change_timestamp=-5)
    after = layouts.encode_system_state(state, previous=before)
    assert len(after) == program.SYSTEM_STATE_BYTES
    assert after[43:51] == (-5).to_bytes(8, "little", signed=True)
    assert after[51:] == before[51:]
    assert layouts.decode_system_state(after) == state


def test_treasury_numbers_sit_at_their_documented_offsets():
    offsets = {
        "total_balance": 0,
        "rent_exempt_minimum": 8,
        "total_withdrawn": 16,
        "pool_creation_count": 24,
        "liquidity_operation_count": 32,
        "regular_swap_count": 40,
        "treasury_withdrawal_count": 48,
        "failed_operation_count": 56,
        "total_pool_creation_fees": 64,
        "total_liquidity_fees": 72,
        "total_regular_swap_fees": 80,
        "total_swap_contract_fees": 88,
        "last_update_timestamp": 96,
        "total_consolidations_performed": 104,
        "last_withdrawal_timestamp": 112,
        "donation_count": 120,
        "total_donations": 128,
    }
    data = b"".join((offset + 1).to_bytes(8, "little") for offset in range(0, 136, 8))
    treasury = layouts.decode_treasury(data)
    assert treasury == Treasury(**{name: offset + 1 for name, offset in offsets.items()})
    assert layouts.encode_treasury(treasury) == data


DECODERS = {
    layouts.decode_pool_state: program.POOL_STATE_BYTES,
    layouts.decode_system_state: program.SYSTEM_STATE_BYTES,
    layouts.decode_treasury: program.TREASURY_BYTES,
    layouts.decode_token_account: program.TOKEN_ACCOUNT_BYTES,
    layouts.decode_mint: program.MINT_BYTES,
    layouts.is_native_account: program.TOKEN_ACCOUNT_BYTES,
}


@pytest.mark.parametrize(("decode", "size"), DECODERS.items(), ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("change", [-1, 1])
def test_lengths_are_strict(decode, size, change):
    with pytest.raises(layouts.LayoutError, match=f"expected {size} bytes, got {size + change}"):
        decode(bytes(size + change))


@pytest.mark.parametrize(
    ("decode", "size", "offset"),
    [
        (layouts.decode_system_state, 83, 0),
        (layouts.decode_system_state, 83, 42),
        (layouts.decode_token_account, 165, 72),
        (layouts.decode_token_account, 165, 129),
        (layouts.decode_mint, 82, 0),
        (layouts.decode_mint, 82, 45),
        (layouts.decode_mint, 82, 46),
    ],
)
def test_tags_that_do_not_exist_are_refused(decode, size, offset):
    data = bytearray(size)
    data[offset] = 3
    with pytest.raises(layouts.LayoutError):
        decode(bytes(data))


def test_the_loader_s_header_is_read_and_written():
    header = bytes.fromhex("03000000 0500000000000000 01") + b"\x44" * 32
    record = layouts.decode_program_data(header + b"\x7fELF")
    assert record == layouts.ProgramData(slot=5, upgrade_authority=ADMIN)
    assert layouts.encode_program_data_header(record) == header
    final = layouts.ProgramData(slot=5, upgrade_authority=None)
    assert layouts.decode_program_data(layouts.encode_program_data_header(final)) == final
    with pytest.raises(layouts.LayoutError, match="loader state 2"):
        layouts.decode_program_data(b"\x02" + header[1:])
    with pytest.raises(layouts.LayoutError, match="at least 45"):
        layouts.decode_program_data(header[:-1])


ADDRESSES = st.binary(min_size=32, max_size=32).map(lambda raw: str(Pubkey(raw)))
U64 = st.integers(0, 2**64 - 1)


@given(
    account=st.builds(
        TokenAccount,
        mint=ADDRESSES,
        owner=ADDRESSES,
        amount=U64,
        state=st.integers(0, 2),
        delegate=st.none() | ADDRESSES,
        delegated_amount=U64,
        close_authority=st.none() | ADDRESSES,
    ),
    reserve=st.none() | U64,
)
@settings(deadline=None)
def test_token_accounts_survive_the_round_trip(account, reserve):
    data = layouts.encode_token_account(account, native_reserve_lamports=reserve)
    assert layouts.decode_token_account(data) == account
    assert layouts.is_native_account(data) == (reserve is not None)


@given(
    st.builds(
        Mint,
        mint_authority=st.none() | ADDRESSES,
        supply=U64,
        decimals=st.integers(0, 255),
        initialized=st.booleans(),
        freeze_authority=st.none() | ADDRESSES,
    )
)
@settings(deadline=None)
def test_mints_survive_the_round_trip(mint):
    assert layouts.decode_mint(layouts.encode_mint(mint)) == mint


@given(st.binary(min_size=438, max_size=438))
@settings(deadline=None)
def test_no_byte_of_a_pool_is_lost(data):
    assert layouts.encode_pool_state(layouts.decode_pool_state(data)) == data
