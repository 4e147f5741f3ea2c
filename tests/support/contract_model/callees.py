"""The system and SPL Token instructions that FRT calls, or that outsiders use around it."""

from __future__ import annotations

from dataclasses import replace

from tests.support.contract_model.addresses import RENT_SYSVAR, SYSTEM_PROGRAM, TOKEN_PROGRAM
from tests.support.contract_model.runtime import Frame, Meta, ProgramError, custom
from tests.support.contract_model.state import (
    STATE_FROZEN,
    STATE_INITIALIZED,
    STATE_UNINITIALIZED,
    U64_MAX,
    LayoutError,
    Mint,
    TokenAccount,
    rent_minimum,
)

Signed = frozenset[bytes]
NOBODY: Signed = frozenset()


def system_transfer(frame: Frame, source: bytes, target: bytes, lamports: int) -> None:
    """Call the system program's Transfer."""
    frame.require_call(SYSTEM_PROGRAM, (Meta(key=source, signer=True, writable=True), Meta(key=target, writable=True)))
    move_lamports(frame, source, target, lamports)


def move_lamports(frame: Frame, source: bytes, target: bytes, lamports: int) -> None:
    """What Transfer does once the privileges are granted."""
    payer = frame[source]
    if payer.data:
        raise ProgramError("InvalidArgument")
    if payer.lamports < lamports:
        raise custom(1)
    if payer.owner != SYSTEM_PROGRAM and lamports:
        raise ProgramError("ExternalAccountLamportSpend")
    frame.apply(source, replace(payer, lamports=payer.lamports - lamports))
    receiver = frame[target]
    frame.apply(target, replace(receiver, lamports=receiver.lamports + lamports))


def create_account(frame: Frame, payer: bytes, new: bytes, size: int, owner: bytes) -> None:
    """Call CreateAccount for an address that FRT signs for, with the rent-exempt minimum."""
    frame.require_call(
        SYSTEM_PROGRAM,
        (Meta(key=payer, signer=True, writable=True), Meta(key=new, signer=True, writable=True)),
        frozenset({new}),
    )
    existing = frame[new]
    if existing.lamports or existing.data or existing.owner != SYSTEM_PROGRAM:
        raise custom(0)
    frame.apply(new, replace(existing, data=bytes(size), owner=owner))
    move_lamports(frame, payer, new, rent_minimum(size))


def _token_account(frame: Frame, key: bytes) -> TokenAccount:
    account = frame[key]
    if account.owner != TOKEN_PROGRAM:
        raise ProgramError("IncorrectProgramId")
    if len(account.data) != 165:
        raise ProgramError("InvalidAccountData")
    try:
        token = TokenAccount.parse(account.data)
    except LayoutError:
        raise ProgramError("InvalidAccountData") from None
    if token.state == STATE_UNINITIALIZED:
        raise ProgramError("UninitializedAccount")
    return token


def _mint(frame: Frame, key: bytes) -> Mint:
    account = frame[key]
    if account.owner != TOKEN_PROGRAM:
        raise ProgramError("IncorrectProgramId")
    if len(account.data) != 82:
        raise ProgramError("InvalidAccountData")
    try:
        mint = Mint.parse(account.data)
    except LayoutError:
        raise ProgramError("InvalidAccountData") from None
    if not mint.initialized:
        raise ProgramError("UninitializedAccount")
    return mint


def _put(frame: Frame, key: bytes, record: TokenAccount | Mint) -> None:
    frame.apply(key, replace(frame[key], data=record.pack()))


def initialize_token_account(frame: Frame, account: bytes, mint: bytes, owner: bytes) -> None:
    """Call InitializeAccount on a fresh 165-byte account."""
    metas = (Meta(key=account, writable=True), Meta(key=mint), Meta(key=owner), Meta(key=RENT_SYSVAR))
    frame.require_call(TOKEN_PROGRAM, metas)
    try:
        _mint(frame, mint)
    except ProgramError:
        raise custom(2) from None
    _put(frame, account, TokenAccount(mint=mint, owner=owner, state=STATE_INITIALIZED))


def initialize_mint(frame: Frame, mint: bytes, decimals: int, authority: bytes) -> None:
    """Call InitializeMint on a fresh 82-byte account, without freeze authority."""
    frame.require_call(TOKEN_PROGRAM, (Meta(key=mint, writable=True), Meta(key=RENT_SYSVAR)))
    _put(frame, mint, Mint(authority=authority, decimals=decimals))


def _spend(token: TokenAccount, authority: bytes, amount: int, signers: Signed | set[bytes]) -> None:
    """Owner or delegate rule; a delegate's allowance shrinks."""
    if authority == token.delegate:
        if authority not in signers:
            raise ProgramError("MissingRequiredSignature")
        if token.delegated_amount < amount:
            raise custom(1)
        token.delegated_amount -= amount
        if not token.delegated_amount:
            token.delegate = None
    elif authority != token.owner:
        raise custom(4)
    elif authority not in signers:
        raise ProgramError("MissingRequiredSignature")


def token_transfer(
    frame: Frame, source: bytes, target: bytes, authority: bytes, amount: int, signed: Signed = NOBODY
) -> None:
    """Call SPL Transfer; frozen is tested before the balance, then mint, then owner (CONTRACT.md 12)."""
    frame.require_call(
        TOKEN_PROGRAM,
        (Meta(key=source, writable=True), Meta(key=target, writable=True), Meta(key=authority, signer=True)),
        signed,
    )
    move_tokens(frame, source, target, authority, amount, signed)


def move_tokens(
    frame: Frame, source: bytes, target: bytes, authority: bytes, amount: int, signed: Signed = NOBODY
) -> None:
    payer, receiver = _token_account(frame, source), _token_account(frame, target)
    if STATE_FROZEN in {payer.state, receiver.state}:
        raise custom(17)
    if payer.amount < amount:
        raise custom(1)
    if payer.mint != receiver.mint:
        raise custom(3)
    _spend(payer, authority, amount, frame.signers | signed)
    if source == target:
        return
    if receiver.amount + amount > U64_MAX:
        raise custom(14)
    payer.amount -= amount
    receiver.amount += amount
    _put(frame, source, payer)
    _put(frame, target, receiver)


def mint_to(frame: Frame, mint: bytes, target: bytes, authority: bytes, amount: int, signed: Signed) -> None:
    """Call SPL MintTo."""
    frame.require_call(
        TOKEN_PROGRAM,
        (Meta(key=mint, writable=True), Meta(key=target, writable=True), Meta(key=authority, signer=True)),
        signed,
    )
    receiver = _token_account(frame, target)
    if receiver.state == STATE_FROZEN:
        raise custom(17)
    if receiver.mint != mint:
        raise custom(3)
    record = _mint(frame, mint)
    if record.authority != authority:
        raise custom(5 if record.authority is None else 4)
    if record.supply + amount > U64_MAX or receiver.amount + amount > U64_MAX:
        raise custom(14)
    record.supply += amount
    receiver.amount += amount
    _put(frame, mint, record)
    _put(frame, target, receiver)


def burn(frame: Frame, source: bytes, mint: bytes, authority: bytes, amount: int) -> None:
    """Call SPL Burn."""
    frame.require_call(
        TOKEN_PROGRAM,
        (Meta(key=source, writable=True), Meta(key=mint, writable=True), Meta(key=authority, signer=True)),
    )
    burn_tokens(frame, source, mint, authority, amount)


def burn_tokens(frame: Frame, source: bytes, mint: bytes, authority: bytes, amount: int) -> None:
    payer = _token_account(frame, source)
    record = _mint(frame, mint)
    if payer.state == STATE_FROZEN:
        raise custom(17)
    if payer.amount < amount:
        raise custom(1)
    if payer.mint != mint:
        raise custom(3)
    _spend(payer, authority, amount, frame.signers)
    payer.amount -= amount
    record.supply -= amount
    _put(frame, source, payer)
    _put(frame, mint, record)
