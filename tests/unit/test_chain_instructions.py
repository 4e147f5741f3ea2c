"""The program's instructions: golden bytes of CONTRACT.md 11, account lists of 3, and round trips of random records."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from domain.chain import instructions, program
from domain.chain import instructions_admin as admin
from domain.chain import instructions_trading as trading
from domain.chain import instructions_treasury as treasury
from domain.chain.instructions_format import InstructionFormatError

ID = program.LOCALNET_PROGRAM_ID
MINT_A, MINT_B, USER, ADMIN = (Pubkey(bytes([byte]) * 32) for byte in (0x11, 0x22, 0x33, 0x44))
TOKEN_A, TOKEN_B, LP_A, LP_B = (Pubkey(bytes([byte]) * 32) for byte in (0x61, 0x62, 0x63, 0x64))
POOL = program.pool_addresses(ID, MINT_A, MINT_B, 1_000_000_000, 160_000_000)
POOL_HEX = "b115aa3154ec874408fe25309dd82dfdf4759baec7a937fc6fb8b1f4bb137418"

DEPOSIT_A = trading.Deposit.of(
    POOL, user=USER, mint=MINT_A, amount=5_000_000_000, user_token_account=TOKEN_A, user_lp_account=LP_A
)
DEPOSIT_B = trading.Deposit.of(
    POOL, user=USER, mint=MINT_B, amount=1_000_000_000, user_token_account=TOKEN_B, user_lp_account=LP_B
)
SWAP = trading.Swap.of(
    POOL,
    user=USER,
    input_mint=MINT_A,
    amount_in=1_000_000_001,
    expected_amount_out=160_000_000,
    user_input_account=TOKEN_A,
    user_output_account=TOKEN_B,
)
WITHDRAW_B = trading.Withdraw.of(
    POOL, user=USER, mint=MINT_B, lp_amount=100_000_000, user_lp_account=LP_B, user_token_account=TOKEN_B
)
CREATE = trading.InitializePool.of(POOL, user=USER)
FEES = admin.UpdatePoolFees.of(
    ID,
    POOL.pool_state,
    admin=ADMIN,
    update_flags=3,
    liquidity_fee_lamports=13_000_000,
    swap_fee_lamports=271_500,
)
OWNER_ONLY = admin.SetSwapOwnerOnly.of(ID, POOL.pool_state, admin=ADMIN, enable=True, designated_owner=USER)
DONATION = treasury.DonateSol.of(ID, donor=USER, amount_lamports=100_000_000, message="für alle")

GOLDEN = [
    (trading.encode_initialize_pool(CREATE, ID), "01 00ca9a3b00000000 0068890900000000 00"),
    (trading.encode_deposit(DEPOSIT_A, ID), "02" + "11" * 32 + "00f2052a01000000" + POOL_HEX),
    (trading.encode_deposit(DEPOSIT_B, ID), "02" + "22" * 32 + "00ca9a3b00000000" + POOL_HEX),
    (trading.encode_swap(SWAP, ID), "04" + "11" * 32 + "01ca9a3b00000000 0068890900000000" + POOL_HEX),
    (trading.encode_withdraw(WITHDRAW_B, ID), "03" + "22" * 32 + "00e1f50500000000" + POOL_HEX),
    (
        admin.encode_initialize_program(admin.InitializeProgram.of(ID, payer=USER, admin=ADMIN), ID),
        "00" + "44" * 32,
    ),
    (admin.encode_pause_system(admin.PauseSystem.of(ID, admin=ADMIN, reason_code=7), ID), "0c07"),
    (admin.encode_unpause_system(admin.UnpauseSystem.of(ID, admin=ADMIN), ID), "0d"),
    (admin.encode_get_version(admin.GetVersion(), ID), "0e"),
    (
        treasury.encode_consolidate_pool_fees(
            treasury.ConsolidatePoolFees.of(ID, admin=ADMIN, pools=[POOL.pool_state]), ID
        ),
        "1101",
    ),
    (
        admin.encode_pause_pool(admin.PausePool.of(ID, POOL.pool_state, admin=ADMIN, pause_flags=3), ID),
        "1303" + POOL_HEX,
    ),
    (
        admin.encode_unpause_pool(admin.UnpausePool.of(ID, POOL.pool_state, admin=ADMIN, unpause_flags=3), ID),
        "1403" + POOL_HEX,
    ),
    (admin.encode_set_swap_owner_only(OWNER_ONLY, ID), "1501" + "33" * 32 + POOL_HEX),
    (admin.encode_update_pool_fees(FEES, ID), "16 03 405dc60000000000 8c24040000000000" + POOL_HEX),
    (treasury.encode_donate_sol(DONATION, ID), "17 00e1f50500000000 09000000 66c3bc7220616c6c65"),
    (
        admin.encode_process_admin_change(admin.ProcessAdminChange.of(ID, admin=ADMIN, new_admin=USER), ID),
        "18" + "33" * 32,
    ),
    (
        treasury.encode_withdraw_treasury_fees(
            treasury.WithdrawTreasuryFees.of(ID, admin=ADMIN, destination=USER, amount_lamports=10_000_000), ID
        ),
        "0f 8096980000000000",
    ),
]


@pytest.mark.parametrize(("instruction", "expected"), GOLDEN, ids=lambda value: str(value)[:2])
def test_data_bytes_are_those_of_the_contract(instruction, expected):
    assert bytes(instruction.data).hex() == bytes.fromhex(expected).hex()
    assert instruction.program_id == ID


S, W = "S", "W"
SYSTEM, TOKEN, RENT = program.SYSTEM_PROGRAM_ID, program.TOKEN_PROGRAM_ID, program.RENT_SYSVAR_ID
STATE, TREASURY, DATA = program.system_state(ID), program.main_treasury(ID), program.program_data(ID)
VAULTS = [(POOL.vault_a, W), (POOL.vault_b, W)]
HOT_HEAD = [(USER, S + W), (SYSTEM, ""), (STATE, ""), (POOL.pool_state, W), (TOKEN, ""), *VAULTS]
LP_MINTS = [(POOL.lp_mint_a, W), (POOL.lp_mint_b, W)]
POOL_ADMIN = [(ADMIN, S), (STATE, ""), (POOL.pool_state, W), (DATA, "")]

# Transcribed from the account tables of CONTRACT.md 3, by discriminator.
ACCOUNTS = {
    0: [(USER, S + W), (SYSTEM, ""), (RENT, ""), (STATE, W), (TREASURY, W), (DATA, "")],
    1: [
        *[(USER, S + W), (SYSTEM, ""), (STATE, ""), (POOL.pool_state, W), (TOKEN, ""), (TREASURY, W), (RENT, "")],
        *[(MINT_A, ""), (MINT_B, ""), *VAULTS, *LP_MINTS],
    ],
    3: [*HOT_HEAD, (LP_B, W), (TOKEN_B, W), *LP_MINTS],
    4: [*HOT_HEAD, (TOKEN_A, W), (TOKEN_B, W), (MINT_A, ""), (MINT_B, "")],
    12: [(ADMIN, S), (STATE, W), (DATA, "")],
    13: [(ADMIN, S), (STATE, W), (TREASURY, W), (DATA, "")],
    14: [],
    15: [(ADMIN, S), (TREASURY, W), (RENT, ""), (USER, W), (STATE, ""), (DATA, "")],
    17: [(ADMIN, S), (STATE, ""), (TREASURY, W), (DATA, ""), (POOL.pool_state, W)],
    19: POOL_ADMIN,
    20: POOL_ADMIN,
    21: POOL_ADMIN,
    22: POOL_ADMIN,
    23: [(USER, S + W), (TREASURY, W), (STATE, ""), (SYSTEM, "")],
    24: [(ADMIN, S), (STATE, W), (DATA, "")],
}


@pytest.mark.parametrize("instruction", [golden[0] for golden in GOLDEN], ids=lambda value: str(value.data[0]))
def test_account_lists_are_those_of_the_contract(instruction):
    if instruction.data[0] == 2:
        own = [(TOKEN_A, W), (LP_A, W)] if instruction.data[1] == 0x11 else [(TOKEN_B, W), (LP_B, W)]
        expected = [*HOT_HEAD, *own, *LP_MINTS]
    else:
        expected = ACCOUNTS[instruction.data[0]]
    assert instruction.accounts == [AccountMeta(key, S in flags, W in flags) for key, flags in expected]


def test_a_swap_of_the_other_direction_exchanges_the_mints_but_not_the_vaults():
    back = trading.Swap.of(
        POOL,
        user=USER,
        input_mint=MINT_B,
        amount_in=1,
        expected_amount_out=6,
        user_input_account=TOKEN_B,
        user_output_account=TOKEN_A,
    )
    keys = [meta.pubkey for meta in trading.encode_swap(back, ID).accounts]
    assert keys[5:] == [POOL.vault_a, POOL.vault_b, TOKEN_B, TOKEN_A, MINT_B, MINT_A]


RECORDS = {
    trading.InitializePool: trading.encode_initialize_pool,
    trading.Deposit: trading.encode_deposit,
    trading.Withdraw: trading.encode_withdraw,
    trading.Swap: trading.encode_swap,
    admin.InitializeProgram: admin.encode_initialize_program,
    admin.PauseSystem: admin.encode_pause_system,
    admin.UnpauseSystem: admin.encode_unpause_system,
    admin.GetVersion: admin.encode_get_version,
    admin.PausePool: admin.encode_pause_pool,
    admin.UnpausePool: admin.encode_unpause_pool,
    admin.SetSwapOwnerOnly: admin.encode_set_swap_owner_only,
    admin.UpdatePoolFees: admin.encode_update_pool_fees,
    admin.ProcessAdminChange: admin.encode_process_admin_change,
    treasury.WithdrawTreasuryFees: treasury.encode_withdraw_treasury_fees,
    treasury.ConsolidatePoolFees: treasury.encode_consolidate_pool_fees,
    treasury.DonateSol: treasury.encode_donate_sol,
}
KEYS = st.binary(min_size=32, max_size=32).map(Pubkey)
U64 = st.integers(0, 2**64 - 1)
BYTES = {"flags", "reason_code", "pause_flags", "unpause_flags", "update_flags", "pool_count"}


def records() -> st.SearchStrategy[Any]:
    """Random records of every type, each field independent of the others."""

    def of(record_type):
        hints = get_type_hints(record_type)
        by_type = {Pubkey: KEYS, int: U64, bool: st.booleans(), str: st.text(max_size=40)}
        keys = st.lists(KEYS, max_size=20).map(tuple)
        parts = {
            f.name: st.integers(0, 255) if f.name in BYTES else by_type.get(hints[f.name], keys)
            for f in fields(record_type)
        }
        return st.builds(record_type, **parts)

    return st.sampled_from(list(RECORDS)).flatmap(of)


@given(record=records(), program_id=KEYS)
@settings(deadline=None, max_examples=300)
def test_every_record_survives_the_round_trip(record, program_id):
    instruction = RECORDS[type(record)](record, program_id)
    assert instructions.decode(Instruction.from_bytes(bytes(instruction))) == record


@pytest.mark.parametrize("instruction", [golden[0] for golden in GOLDEN], ids=lambda value: str(value.data[0]))
def test_a_byte_too_many_or_too_few_is_refused(instruction):
    for data in (instruction.data + b"\0", instruction.data[:-1]):
        with pytest.raises(InstructionFormatError):
            instructions.decode(instructions.with_data(instruction, data))


# GetVersion takes none and a consolidation any number behind its fixed four.
COUNTED = [golden[0] for golden in GOLDEN if golden[0].data[0] not in {14, 17}]


@pytest.mark.parametrize("instruction", COUNTED, ids=lambda value: str(value.data[0]))
def test_an_account_too_few_is_refused(instruction):
    short = Instruction(ID, instruction.data, instruction.accounts[:-1])
    with pytest.raises(InstructionFormatError, match="accounts"):
        instructions.decode(short)


def test_wrong_fixed_account_bool_discriminator_and_oversized_amount_are_refused():
    deposit = trading.encode_deposit(DEPOSIT_A, ID)
    with pytest.raises(InstructionFormatError, match="account 4"):
        instructions.decode(instructions.with_account(deposit, 4, pubkey=USER))
    owner_only = admin.encode_set_swap_owner_only(OWNER_ONLY, ID)
    with pytest.raises(InstructionFormatError, match="bool"):
        instructions.decode(instructions.with_data(owner_only, b"\x15\x02" + owner_only.data[2:]))
    with pytest.raises(InstructionFormatError, match="25"):
        instructions.decode(instructions.with_data(deposit, b"\x19"))
    with pytest.raises(InstructionFormatError, match="at least one byte"):
        instructions.decode(instructions.with_data(deposit, b""))
    with pytest.raises(InstructionFormatError, match="DEPOSIT"):
        trading.encode_deposit(replace(DEPOSIT_A, amount=2**64), ID)
    with pytest.raises(InstructionFormatError, match="WITHDRAW"):
        trading.decode_withdraw(deposit)


def test_an_altered_account_keeps_everything_else():
    deposit = trading.encode_deposit(DEPOSIT_A, ID)
    unsigned = instructions.with_account(deposit, 0, signer=False)
    assert unsigned.accounts[0] == AccountMeta(USER, is_signer=False, is_writable=True)
    assert unsigned.accounts[1:] == deposit.accounts[1:]
    assert unsigned.data == deposit.data
