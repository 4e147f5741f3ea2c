"""Instructions of the other programs we call: SPL Token, associated token, system and compute budget.

Thin names over the official builders; amounts are smallest units or lamports.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from solders import compute_budget
from solders import system_program as system
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from spl.token import instructions as token
from spl.token import models

from domain.chain.program import (
    ASSOCIATED_TOKEN_PROGRAM_ID,
    MINT_BYTES,
    SYSTEM_PROGRAM_ID,
    TOKEN_PROGRAM_ID,
    associated_token_address,
)

_CREATE_IDEMPOTENT: Final = b"\x01"
_TRANSFER: Final = 3
_AMOUNT: Final = Struct("<BQ")


def transfer_tokens(*, source: Pubkey, destination: Pubkey, owner: Pubkey, amount: int) -> Instruction:
    """Written out here: the official builder takes thirty times as long, and payments are made of these."""
    return Instruction(
        TOKEN_PROGRAM_ID,
        _AMOUNT.pack(_TRANSFER, amount),
        [
            AccountMeta(source, is_signer=False, is_writable=True),
            AccountMeta(destination, is_signer=False, is_writable=True),
            AccountMeta(owner, is_signer=True, is_writable=False),
        ],
    )


def mint_tokens(*, mint: Pubkey, destination: Pubkey, authority: Pubkey, amount: int) -> Instruction:
    return token.mint_to(
        models.MintToParams(
            program_id=TOKEN_PROGRAM_ID, mint=mint, dest=destination, mint_authority=authority, amount=amount
        )
    )


def burn_tokens(*, account: Pubkey, mint: Pubkey, owner: Pubkey, amount: int) -> Instruction:
    return token.burn(
        models.BurnParams(program_id=TOKEN_PROGRAM_ID, account=account, mint=mint, owner=owner, amount=amount)
    )


def approve_delegate(*, account: Pubkey, delegate: Pubkey, owner: Pubkey, amount: int) -> Instruction:
    """Let `delegate` move up to `amount` out of `account`."""
    return token.approve(
        models.ApproveParams(program_id=TOKEN_PROGRAM_ID, source=account, delegate=delegate, owner=owner, amount=amount)
    )


def close_token_account(*, account: Pubkey, destination: Pubkey, owner: Pubkey) -> Instruction:
    """Give the rent of an empty token account back to `destination`."""
    return token.close_account(
        models.CloseAccountParams(program_id=TOKEN_PROGRAM_ID, account=account, dest=destination, owner=owner)
    )


def create_associated_account(*, payer: Pubkey, owner: Pubkey, mint: Pubkey) -> Instruction:
    """Create the owner's associated token account, or leave it when it exists."""
    return Instruction(
        ASSOCIATED_TOKEN_PROGRAM_ID,
        _CREATE_IDEMPOTENT,
        [
            AccountMeta(payer, is_signer=True, is_writable=True),
            AccountMeta(associated_token_address(owner, mint), is_signer=False, is_writable=True),
            AccountMeta(owner, is_signer=False, is_writable=False),
            AccountMeta(mint, is_signer=False, is_writable=False),
            AccountMeta(SYSTEM_PROGRAM_ID, is_signer=False, is_writable=False),
            AccountMeta(TOKEN_PROGRAM_ID, is_signer=False, is_writable=False),
        ],
    )


def create_mint(
    *,
    payer: Pubkey,
    mint: Pubkey,
    decimals: int,
    authority: Pubkey,
    rent_lamports: int,
    freeze_authority: Pubkey | None = None,
) -> list[Instruction]:
    """Create and initialise a mint; both `payer` and `mint` sign."""
    return [
        create_account(
            payer=payer, account=mint, lamports=rent_lamports, size_bytes=MINT_BYTES, owner=TOKEN_PROGRAM_ID
        ),
        token.initialize_mint2(
            models.InitializeMint2Params(
                program_id=TOKEN_PROGRAM_ID,
                mint=mint,
                decimals=decimals,
                mint_authority=authority,
                freeze_authority=freeze_authority,
            )
        ),
    ]


def create_account(*, payer: Pubkey, account: Pubkey, lamports: int, size_bytes: int, owner: Pubkey) -> Instruction:
    return system.create_account(
        system.CreateAccountParams(
            from_pubkey=payer, to_pubkey=account, lamports=lamports, space=size_bytes, owner=owner
        )
    )


def transfer_lamports(*, source: Pubkey, destination: Pubkey, lamports: int) -> Instruction:
    return system.transfer(system.TransferParams(from_pubkey=source, to_pubkey=destination, lamports=lamports))


def compute_unit_limit_instruction(units: int) -> Instruction:
    return compute_budget.set_compute_unit_limit(units)


def compute_unit_price_instruction(micro_lamports: int) -> Instruction:
    """The priority fee per compute unit, in millionths of a lamport."""
    return compute_budget.set_compute_unit_price(micro_lamports)
