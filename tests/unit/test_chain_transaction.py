"""Transactions: signatures that verify, unique limits, the size limit; and the other programs' instructions."""

from __future__ import annotations

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import TransactionMetadata

from domain.chain import layouts, program, spl
from domain.chain.transaction import (
    MAX_TRANSACTION_BYTES,
    TransactionError,
    TransactionTooLarge,
    build_transaction,
    compute_unit_limit,
    fits,
    public_key,
    transaction_size_bytes,
    with_compute_budget,
)

PAYER, OTHER = Keypair.from_seed(b"\x01" * 32), Keypair.from_seed(b"\x02" * 32)
BLOCKHASH = Hash(b"\x07" * 32)


def transfer(lamports=1, source=PAYER):
    return spl.transfer_lamports(source=source.pubkey(), destination=Pubkey(b"\x09" * 32), lamports=lamports)


def test_the_wire_is_a_valid_transaction_whose_first_signature_is_returned():
    signed = build_transaction(
        payer=PAYER, instructions=[transfer()], blockhash=BLOCKHASH, compute_units=400_001, price_micro_lamports=7
    )
    parsed = Transaction.from_bytes(signed.wire)
    parsed.verify()
    assert str(parsed.signatures[0]) == signed.signature
    assert parsed.message.recent_blockhash == BLOCKHASH
    budget_limit, budget_price, moved = parsed.message.instructions
    assert bytes(budget_limit.data) == b"\x02" + (400_001).to_bytes(4, "little")
    assert bytes(budget_price.data) == b"\x03" + (7).to_bytes(8, "little")
    assert bytes(moved.data)[4:] == (1).to_bytes(8, "little")
    assert bytes(parsed) == signed.wire


def test_equal_operations_differ_by_their_number():
    def signature(number):
        units = compute_unit_limit(400_000, number)
        return build_transaction(
            payer=PAYER, instructions=[transfer()], blockhash=BLOCKHASH, compute_units=units
        ).signature

    assert signature(5) != signature(6)
    assert signature(5) == signature(5)
    assert [compute_unit_limit(400_000, number) for number in (0, 19_999, 20_000)] == [400_000, 419_999, 400_000]


@pytest.mark.parametrize(("base", "number"), [(1_400_000, 1), (-1, 0), (0, -1)])
def test_limits_the_runtime_would_alter_are_refused(base, number):
    with pytest.raises(TransactionError, match=r"1,400,000"):
        compute_unit_limit(base, number)


def test_several_signers_sign_in_the_message_s_order():
    third = Keypair.from_seed(b"\x04" * 32)
    instructions = [transfer(source=each) for each in (third, OTHER, PAYER)]
    for signers in ([OTHER, third], [third, OTHER], [PAYER, third, OTHER]):
        signed = build_transaction(
            payer=PAYER, instructions=instructions, blockhash=BLOCKHASH, compute_units=None, signers=signers
        )
        parsed = Transaction.from_bytes(signed.wire)
        parsed.verify()
        assert len(parsed.signatures) == 3
        assert str(parsed.signatures[0]) == signed.signature


def test_a_missing_and_a_superfluous_signer_are_named():
    with pytest.raises(TransactionError, match=f"missing {OTHER.pubkey()}"):
        build_transaction(payer=PAYER, instructions=[transfer(source=OTHER)], blockhash=BLOCKHASH, compute_units=1)
    with pytest.raises(TransactionError, match=f"not asked for {OTHER.pubkey()}"):
        build_transaction(payer=PAYER, instructions=[transfer()], blockhash=BLOCKHASH, compute_units=1, signers=[OTHER])


def test_the_size_limit_is_exact_and_fits_agrees_with_it():
    owner = PAYER.pubkey()
    packed = []
    while fits(owner, [*packed, transfer(lamports=len(packed))]):
        packed.append(transfer(lamports=len(packed)))
    one_more = [*packed, transfer()]
    signed = build_transaction(payer=PAYER, instructions=packed, blockhash=BLOCKHASH, compute_units=1)
    assert len(signed.wire) == transaction_size_bytes(owner, with_compute_budget(packed, compute_units=1))
    assert len(signed.wire) <= MAX_TRANSACTION_BYTES
    with pytest.raises(TransactionTooLarge, match="over the limit of 1232"):
        build_transaction(payer=PAYER, instructions=one_more, blockhash=BLOCKHASH, compute_units=1)


def test_the_public_key_is_the_keypair_s():
    assert public_key(PAYER) == PAYER.pubkey()


def test_the_other_programs_accept_our_instructions():
    """One mint's life in the real system, token and associated-token programs."""
    svm = LiteSVM()
    mint, owner = Keypair.from_seed(b"\x03" * 32), PAYER.pubkey()
    svm.airdrop(owner, 10_000_000_000)

    def run(instructions, *signers):
        svm.expire_blockhash()
        signed = build_transaction(
            payer=PAYER,
            instructions=instructions,
            blockhash=svm.latest_blockhash(),
            compute_units=200_000,
            price_micro_lamports=1,
            signers=signers,
        )
        outcome = svm.send_transaction(Transaction.from_bytes(signed.wire))
        assert isinstance(outcome, TransactionMetadata), outcome

    def held(account):
        return layouts.decode_token_account(svm.get_account(account).data).amount

    rent = program.rent_minimum_lamports(program.MINT_BYTES)
    run(spl.create_mint(payer=owner, mint=mint.pubkey(), decimals=6, authority=owner, rent_lamports=rent), mint)
    mine = program.associated_token_address(owner, mint.pubkey())
    theirs = program.associated_token_address(OTHER.pubkey(), mint.pubkey())
    create = [
        spl.create_associated_account(payer=owner, owner=key, mint=mint.pubkey()) for key in (owner, OTHER.pubkey())
    ]
    run(create)
    run([*create, spl.mint_tokens(mint=mint.pubkey(), destination=mine, authority=owner, amount=100)])
    run([spl.transfer_tokens(source=mine, destination=theirs, owner=owner, amount=30)])
    run([spl.burn_tokens(account=mine, mint=mint.pubkey(), owner=owner, amount=20)])
    assert (held(mine), held(theirs)) == (50, 30)
    state = layouts.decode_mint(svm.get_account(mint.pubkey()).data)
    assert (state.supply, state.decimals, state.mint_authority) == (80, 6, str(owner))
    run([spl.burn_tokens(account=mine, mint=mint.pubkey(), owner=owner, amount=50)])
    run([spl.close_token_account(account=mine, destination=OTHER.pubkey(), owner=owner)])
    assert svm.get_balance(OTHER.pubkey()) == program.rent_minimum_lamports(program.TOKEN_ACCOUNT_BYTES)
    run([spl.transfer_lamports(source=owner, destination=mine, lamports=890_880)])
    assert svm.get_balance(mine) == 890_880
