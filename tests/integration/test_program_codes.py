"""Corners of the program that ordinary traffic does not reach: rare codes, rent, text, ratio types, time limits."""

from __future__ import annotations

import random
import struct

import pytest
from solders.account import Account
from solders.pubkey import Pubkey
from solders.rent import Rent

from ops.localnet.program.build import PROGRAM_SO
from tests.support import program_chain as pc
from tests.support import program_script as ps
from tests.support.program_chain import Pool, ProgramChain, key

TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
SCALE = 10**9


@pytest.fixture
def chain() -> ProgramChain:
    chain = ProgramChain(PROGRAM_SO, ps.AUTHORITY)
    ps.setup(chain)
    assert chain.send(pc.initialize_program(ps.AUTHORITY, ps.ADMIN)).code == "ok"
    return chain


@pytest.fixture
def traded(chain) -> ProgramChain:
    for pool in ps.POOLS:
        assert chain.send(pc.initialize_pool(ps.USER, pool)).code == "ok"
    ps.lp_accounts(chain)
    for side in (0, 1):
        assert chain.send(ps.deposit(side, 10**10)).code == "ok"
    return chain


def patch(chain: ProgramChain, account: Pubkey, at: int, data: bytes, lamports: int | None = None) -> None:
    """Write `data` at offset `at` of an account, and its lamports if given."""
    found = chain.svm.get_account(account)
    content = bytearray(found.data)
    content[at : at + len(data)] = data
    chain.svm.set_account(
        account, Account(found.lamports if lamports is None else lamports, bytes(content), found.owner, False, 0)
    )


# ---- pool creation ----


def test_an_address_that_holds_lamports_blocks_its_pool(chain):
    for account in (ps.MAIN.id, *ps.MAIN.vaults, *ps.MAIN.lp_mints):
        chain.fund(account, 890_880)
        assert chain.send(pc.initialize_pool(ps.USER, ps.MAIN)).code == "Custom(0)"
        chain.fund(account, 0)
    assert chain.send(pc.initialize_pool(ps.USER, ps.MAIN)).code == "ok"


def test_a_payer_short_of_rent_gets_the_system_programs_code(chain):
    chain.fund(ps.POOR, 1_160_941_119)
    assert chain.send(pc.initialize_pool(ps.POOR, ps.MAIN)).code == "Custom(1)"
    chain.fund(ps.POOR, 1_160_941_120)
    assert chain.send(pc.initialize_pool(ps.POOR, ps.MAIN)).code == "ok"
    assert chain.lamports(ps.POOR) == 0


def test_bad_mints(chain):
    mint, fresh = key(0x13), pc.initialize_pool(ps.USER, Pool((ps.MINT_A, key(0x13)), (10**9, 10**6)))
    chain.put(mint, bytes(36) + bytes(8) + bytes([6, 0]) + bytes(36))
    assert chain.send(fresh).code == "Custom(2)"
    chain.put(mint, bytes(36) + bytes(8) + bytes([6, 2]) + bytes(36))
    assert chain.send(fresh).code == "InvalidAccountData"
    chain.put(mint, bytes(81))
    assert chain.send(fresh).code == "ProgramFailedToComplete"
    chain.put(mint, bytes(36) + bytes(8) + bytes([6, 1]) + bytes(36), TOKEN_2022)
    assert chain.send(fresh).code == "IncorrectProgramId"


def ratio_type(ratios: tuple[int, int], decimals: tuple[int, int]) -> str:
    """Section 5's classification; "panic" for factors that wrap to 0."""
    sides = []
    for ratio, digits in zip(ratios, decimals, strict=True):
        factor = pow(10, digits, 2**64)
        if factor == 0:
            return "panic"
        small = factor > 1 and ratio < factor and ratio % factor != 0
        sides.append((min(ratio * factor, 2**64 - 1) if small else ratio, factor))
    if all(value // factor != 1 for value, factor in sides):
        return "engineering"
    return "simple" if all(value % factor == 0 for value, factor in sides) else "decimal"


def test_ratio_types(chain):
    """Random pairs around the factors, decimals up to 90, with the flags byte of what was created."""
    rng, seen = random.Random(5), {"simple": 0, "decimal": 0, "engineering": 0, "panic": 0}
    codes = {"engineering": "Custom(1049)", "panic": "ProgramFailedToComplete"}
    for _ in range(1200):
        decimals = tuple(
            rng.choice((0, 0, 2, 6, 9, 18, 19, 20, rng.randint(0, 63), rng.randint(64, 90))) for _ in range(2)
        )
        ratios = []
        for digits in decimals:
            factor = pow(10, digits, 2**64)
            choice = (1, rng.randint(1, 9), factor, factor * rng.randint(1, 3), factor + rng.randint(-2, 2))
            ratios.append(min(max(rng.choice((*choice, rng.getrandbits(64))), 1), 2**64 - 1))
        for mint, digits in zip(ps.MAIN.mints, decimals, strict=True):
            chain.put_mint(mint, digits)
        chain.fund(ps.USER, 10**11)
        pool = Pool(ps.MAIN.mints, (ratios[0], ratios[1]))
        kind = ratio_type(pool.ratios, decimals)
        if chain.data(pool.id):
            continue
        assert chain.send(pc.initialize_pool(ps.USER, pool, 0xFF)).code == codes.get(kind, "ok"), (ratios, decimals)
        if kind in ("simple", "decimal"):
            assert chain.data(pool.id)[261] == (0x61 if kind == "simple" else 0x60), (ratios, decimals)
        seen[kind] += 1
    assert min(seen.values()) > 40, seen


@pytest.mark.parametrize(("reverse", "decimals"), [(False, (9, 6)), (True, (6, 9))])
def test_lp_decimals_follow_the_order_of_the_accounts(chain, reverse, decimals):
    assert chain.send(pc.initialize_pool(ps.USER, ps.MAIN, reverse=reverse)).code == "ok"
    assert tuple(chain.data(mint)[44] for mint in ps.MAIN.lp_mints) == decimals


@pytest.mark.parametrize(("per_byte_year", "threshold"), [(3480, 2.0), (6960, 1.0), (3333, 1.75), (777, 0.5)])
def test_rent_comes_from_the_chain(chain, per_byte_year, threshold):
    chain.svm.set_rent(Rent(per_byte_year, threshold, 50))
    assert chain.send(pc.initialize_pool(ps.USER, ps.MAIN)).code == "ok"
    sizes = ((ps.MAIN.id, 438), (ps.MAIN.vaults[0], 165), (ps.MAIN.lp_mints[1], 82))
    for account, size in sizes:
        assert chain.lamports(account) == int((128 + size) * per_byte_year * threshold)


# ---- liquidity ----


def test_lp_supply_cannot_pass_64_bits(traded):
    patch(traded, ps.MAIN.lp_mints[0], 36, pc.u64(2**64 - 10))
    assert traded.send(ps.deposit(0, 9)).code == "ok"
    assert traded.send(ps.deposit(0, 1)).code == "Custom(14)"


def test_counters_keep_their_bounds(traded):
    patch(traded, ps.MAIN.id, 240, pc.u64(100))
    assert traded.send(ps.withdraw(0, 101)).code == "ArithmeticOverflow"
    assert traded.send(ps.withdraw(0, 100)).code == "ok"
    patch(traded, ps.MAIN.id, 240, pc.u64(2**64 - 5))
    assert traded.send(ps.deposit(0, 5)).code == "ArithmeticOverflow"
    assert traded.send(ps.deposit(0, 4)).code == "ok"


def test_a_delegate_without_an_amount_is_no_delegate(traded):
    traded.put_token(ps.DELEGATED[0], ps.MINT_A, ps.USER, 10**6, delegated=0)
    source = pc.replaced(ps.deposit(0, 5), 7, ps.DELEGATED[0])
    assert traded.send(source).code == "ok"


def test_the_fee_payer_of_the_program_may_be_drained_but_not_overdrawn(traded):
    traded.fund(ps.USER, 13_000_000 - 1)
    assert traded.send(ps.deposit(0, 5)).code == "Custom(1031)"
    traded.fund(ps.USER, 13_000_000)
    assert traded.send(ps.deposit(0, 5)).code == "ok"
    assert traded.lamports(ps.USER) == 0
    assert traded.send(ps.swap(0, 10**6)).code == "Custom(1031)"


# ---- administration, treasury ----


def test_consolidation_needs_writable_accounts(traded):
    assert traded.send(pc.pause_pool(ps.ADMIN, ps.MAIN.id, 3)).code == "ok"
    good = pc.consolidate(ps.ADMIN, [ps.MAIN.id])
    for at in (2, 4):
        assert traded.send(pc.readonly(good, at)).code in {"ReadonlyLamportChange", "ReadonlyDataModified"}
    assert traded.send(good).code == "ok"


def test_treasury_withdrawals_are_limited_by_the_balance(traded):
    patch(traded, pc.TREASURY, 0, pc.u64(480 * SCALE), lamports=1000 * SCALE)
    above, limit = (pc.withdraw_treasury(ps.ADMIN, ps.OTHER, 10 * SCALE + extra) for extra in (1, 0))
    assert traded.send(above).code == "InvalidInstructionData"
    before = traded.lamports(ps.OTHER)
    assert traded.send(limit).code == "ok"
    assert traded.lamports(ps.OTHER) - before == 10 * SCALE
    # The stored balance is now above 480 SOL: the next tier allows ten times as much.
    traded.set_time(traded.time() + 3600)
    assert traded.send(pc.withdraw_treasury(ps.ADMIN, ps.OTHER, 100 * SCALE + 1)).code == "InvalidInstructionData"
    assert traded.send(pc.withdraw_treasury(ps.ADMIN, ps.OTHER, 100 * SCALE)).code == "ok"


def test_amount_zero_withdraws_everything(traded):
    patch(traded, pc.TREASURY, 0, b"", lamports=1_837_440)
    assert traded.send(pc.withdraw_treasury(ps.ADMIN, ps.OTHER, 0)).code == "InsufficientFunds"
    patch(traded, pc.TREASURY, 0, b"", lamports=1_837_440 + 7)
    assert traded.send(pc.withdraw_treasury(ps.ADMIN, ps.OTHER, 0)).code == "ok"
    assert traded.lamports(pc.TREASURY) == 1_837_440


def test_a_completed_admin_change_leaves_the_tail_untouched(traded):
    assert traded.send(pc.admin_change(ps.ADMIN, ps.OTHER)).code == "ok"
    traded.set_time(traded.time() + 259_200)
    before = traded.data(pc.SYSTEM_STATE)
    assert traded.send(pc.admin_change(ps.ADMIN, ps.OTHER)).code == "ok"
    after = traded.data(pc.SYSTEM_STATE)
    assert after[:51] == bytes(10) + bytes(ps.OTHER) + b"\0" + bytes(8)
    assert after[51:] == before[51:]
    assert len(after) == 83
    assert traded.send(pc.admin_change(ps.OTHER, ps.ADMIN)).code == "ok"
    assert traded.data(pc.SYSTEM_STATE)[42:] == b"\1" + bytes(ps.ADMIN) + struct.pack("<q", traded.time())


def test_texts_of_donations_must_be_utf8(chain):
    """An amount of 0 separates a text that parses (InvalidArgument) from one that does not (BorshIoError)."""
    rng, accepted = random.Random(8), 0
    alphabet = (0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF)
    alphabet += (0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF)
    for _ in range(4000):
        text = bytes(rng.choices(alphabet, k=rng.randint(0, 6)))
        if rng.random() < 0.4:
            text = "".join(rng.choices("aß\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff", k=3)).encode()
            text = text if rng.random() < 0.5 else text[: rng.randint(0, len(text))]
        try:
            text.decode()
            expected = "InvalidArgument"
        except UnicodeDecodeError:
            expected = "BorshIoError"
        assert chain.send(pc.donate(ps.USER, 0, text)).code == expected, text
        accepted += expected == "InvalidArgument"
    assert 1000 < accepted < 3000
    short = pc.with_data(pc.donate(ps.USER, 0), b"\x17" + pc.u64(0) + struct.pack("<I", 1))
    assert chain.send(short).code == "BorshIoError"


# ---- views ----


def view(disc: int, *accounts: Pubkey, args: bytes = b"") -> object:
    return pc.instruction(bytes([disc]) + args, [pc.meta(account) for account in accounts])


def test_views_and_their_limits(traded):
    pool, stranger = ps.MAIN.id, ps.NOWHERE
    cases = [
        (view(5, args=bytes(ps.MINT_A) + bytes(ps.MINT_B) + pc.u64(160)), "ok"),
        (view(6, args=bytes(pool)), "ok"),
        (view(7, stranger, stranger, pool, stranger), "ok"),
        (view(7, stranger, pool, stranger, stranger), "IncorrectProgramId"),
        (view(7, pool, pool, pool), "ProgramFailedToComplete"),
        (view(8, pool), "ok"),
        (view(8, pc.TREASURY), "BorshIoError"),
        (view(8), "ProgramFailedToComplete"),
        (view(9, pool), "ok"),
        (view(9, stranger), "IncorrectProgramId"),
        (view(9), "ProgramFailedToComplete"),
        (view(10, pool), "ok"),
        (view(10), "NotEnoughAccountKeys"),
        (view(11, stranger), "ok"),
        (view(11), "NotEnoughAccountKeys"),
        (view(16, pc.TREASURY), "ok"),
        (view(16), "ProgramFailedToComplete"),
        (view(18, pool, ps.EXACT.id, args=b"\2"), "ok"),
        (view(18, stranger, args=b"\1"), "IncorrectProgramId"),
        (view(18, args=b"\1"), "ProgramFailedToComplete"),
    ]
    for number, (instruction, code) in enumerate(cases):
        assert traded.send(instruction).code == code, number


def test_version_is_logged(chain):
    assert any("Contract Version: 0.17.1070" in line for line in chain.send(view(14)).logs)


def test_too_few_accounts(traded):
    def cut(instruction, count):
        return pc.instruction(bytes(instruction.data), list(instruction.accounts)[:count])

    assert traded.send(cut(pc.pause_system(ps.ADMIN), 2)).code == "ProgramFailedToComplete"
    assert traded.send(cut(pc.unpause_system(ps.ADMIN), 3)).code == "NotEnoughAccountKeys"
    assert traded.send(cut(pc.update_fees(ps.ADMIN, ps.MAIN.id, 3, 10**6, 10**5), 3)).code == "NotEnoughAccountKeys"
    assert traded.send(cut(pc.withdraw_treasury(ps.ADMIN, ps.OTHER, 0), 5)).code == "ProgramFailedToComplete"
    exact = (pc.pause_pool(ps.ADMIN, ps.MAIN.id, 3), pc.donate(ps.USER, 10**8), pc.admin_change(ps.ADMIN, ps.OTHER))
    for instruction in exact:
        assert traded.send(cut(instruction, len(instruction.accounts) - 1)).code == "InvalidAccountData"
