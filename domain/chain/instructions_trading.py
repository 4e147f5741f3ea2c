"""What users send: create a pool, deposit, withdraw, swap (CONTRACT.md 3.3 to 3.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from domain.chain import program
from domain.chain.instructions_format import PUBKEY, U8, U64, Account, InstructionFormat
from domain.chain.program import PoolAddresses
from domain.contract_errors import InstructionKind

_USER: Final = Account("user", signer=True, writable=True)
_SYSTEM_PROGRAM: Final = Account(program.SYSTEM_PROGRAM_ID)
_SYSTEM_STATE: Final = Account("system_state")
_POOL_STATE: Final = Account("pool_state", writable=True)
_TOKEN_PROGRAM: Final = Account(program.TOKEN_PROGRAM_ID)
_RENT_SYSVAR: Final = Account(program.RENT_SYSVAR_ID)


def _written(name: str) -> Account:
    return Account(name, writable=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class InitializePool:
    """Create a pool; `user` pays the registration fee and five rents. Mints must be in order, or LP decimals swap."""

    user: Pubkey
    system_state: Pubkey
    pool_state: Pubkey
    main_treasury: Pubkey
    mint_a: Pubkey
    mint_b: Pubkey
    vault_a: Pubkey
    vault_b: Pubkey
    lp_mint_a: Pubkey
    lp_mint_b: Pubkey
    ratio_a: int
    ratio_b: int
    flags: int = 0
    """Only FLAG_OWNER_ONLY_SWAPS and FLAG_EXACT_EXCHANGE are kept by the program."""

    @classmethod
    def of(cls, pool: PoolAddresses, *, user: Pubkey, flags: int = 0) -> Self:
        return cls(
            user=user,
            system_state=program.system_state(pool.program_id),
            pool_state=pool.pool_state,
            main_treasury=program.main_treasury(pool.program_id),
            mint_a=pool.mint_a,
            mint_b=pool.mint_b,
            vault_a=pool.vault_a,
            vault_b=pool.vault_b,
            lp_mint_a=pool.lp_mint_a,
            lp_mint_b=pool.lp_mint_b,
            ratio_a=pool.ratio_a,
            ratio_b=pool.ratio_b,
            flags=flags,
        )


INITIALIZE_POOL_FORMAT: Final = InstructionFormat(
    InstructionKind.INITIALIZE_POOL,
    (
        _USER,
        _SYSTEM_PROGRAM,
        _SYSTEM_STATE,
        _POOL_STATE,
        _TOKEN_PROGRAM,
        _written("main_treasury"),
        _RENT_SYSVAR,
        Account("mint_a"),
        Account("mint_b"),
        _written("vault_a"),
        _written("vault_b"),
        _written("lp_mint_a"),
        _written("lp_mint_b"),
    ),
    (("ratio_a", U64), ("ratio_b", U64), ("flags", U8)),
)


def encode_initialize_pool(record: InitializePool, program_id: Pubkey) -> Instruction:
    return INITIALIZE_POOL_FORMAT.encode(record, program_id)


def decode_initialize_pool(instruction: Instruction) -> InitializePool:
    return InitializePool(**INITIALIZE_POOL_FORMAT.decode(instruction))


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """Give `amount` smallest units of `mint`, get as many LP tokens of that side. `user_lp_account` must exist."""

    user: Pubkey
    system_state: Pubkey
    pool_state: Pubkey
    vault_a: Pubkey
    vault_b: Pubkey
    user_token_account: Pubkey
    user_lp_account: Pubkey
    lp_mint_a: Pubkey
    lp_mint_b: Pubkey
    mint: Pubkey
    amount: int
    pool_id: Pubkey

    @classmethod
    def of(
        cls,
        pool: PoolAddresses,
        *,
        user: Pubkey,
        mint: Pubkey,
        amount: int,
        user_token_account: Pubkey,
        user_lp_account: Pubkey,
    ) -> Self:
        return cls(
            user=user,
            system_state=program.system_state(pool.program_id),
            pool_state=pool.pool_state,
            vault_a=pool.vault_a,
            vault_b=pool.vault_b,
            user_token_account=user_token_account,
            user_lp_account=user_lp_account,
            lp_mint_a=pool.lp_mint_a,
            lp_mint_b=pool.lp_mint_b,
            mint=mint,
            amount=amount,
            pool_id=pool.pool_state,
        )


DEPOSIT_FORMAT: Final = InstructionFormat(
    InstructionKind.DEPOSIT,
    (
        _USER,
        _SYSTEM_PROGRAM,
        _SYSTEM_STATE,
        _POOL_STATE,
        _TOKEN_PROGRAM,
        _written("vault_a"),
        _written("vault_b"),
        _written("user_token_account"),
        _written("user_lp_account"),
        _written("lp_mint_a"),
        _written("lp_mint_b"),
    ),
    (("mint", PUBKEY), ("amount", U64), ("pool_id", PUBKEY)),
)


def encode_deposit(record: Deposit, program_id: Pubkey) -> Instruction:
    return DEPOSIT_FORMAT.encode(record, program_id)


def decode_deposit(instruction: Instruction) -> Deposit:
    return Deposit(**DEPOSIT_FORMAT.decode(instruction))


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """Burn `lp_amount` LP tokens of one side, get as many units of `mint`. `user_token_account` must exist.

    The account list is Deposit's with the user's two accounts exchanged: the burned one comes first.
    """

    user: Pubkey
    system_state: Pubkey
    pool_state: Pubkey
    vault_a: Pubkey
    vault_b: Pubkey
    user_lp_account: Pubkey
    user_token_account: Pubkey
    lp_mint_a: Pubkey
    lp_mint_b: Pubkey
    mint: Pubkey
    lp_amount: int
    pool_id: Pubkey

    @classmethod
    def of(
        cls,
        pool: PoolAddresses,
        *,
        user: Pubkey,
        mint: Pubkey,
        lp_amount: int,
        user_lp_account: Pubkey,
        user_token_account: Pubkey,
    ) -> Self:
        return cls(
            user=user,
            system_state=program.system_state(pool.program_id),
            pool_state=pool.pool_state,
            vault_a=pool.vault_a,
            vault_b=pool.vault_b,
            user_lp_account=user_lp_account,
            user_token_account=user_token_account,
            lp_mint_a=pool.lp_mint_a,
            lp_mint_b=pool.lp_mint_b,
            mint=mint,
            lp_amount=lp_amount,
            pool_id=pool.pool_state,
        )


WITHDRAW_FORMAT: Final = InstructionFormat(
    InstructionKind.WITHDRAW,
    (
        _USER,
        _SYSTEM_PROGRAM,
        _SYSTEM_STATE,
        _POOL_STATE,
        _TOKEN_PROGRAM,
        _written("vault_a"),
        _written("vault_b"),
        _written("user_lp_account"),
        _written("user_token_account"),
        _written("lp_mint_a"),
        _written("lp_mint_b"),
    ),
    (("mint", PUBKEY), ("lp_amount", U64), ("pool_id", PUBKEY)),
)


def encode_withdraw(record: Withdraw, program_id: Pubkey) -> Instruction:
    return WITHDRAW_FORMAT.encode(record, program_id)


def decode_withdraw(instruction: Instruction) -> Withdraw:
    return Withdraw(**WITHDRAW_FORMAT.decode(instruction))


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """Exchange `amount_in` of the input mint for exactly `expected_amount_out` of the other: an equality, no slippage.

    Vaults are always A then B; the two mints follow the direction.
    """

    user: Pubkey
    system_state: Pubkey
    pool_state: Pubkey
    vault_a: Pubkey
    vault_b: Pubkey
    user_input_account: Pubkey
    user_output_account: Pubkey
    input_mint: Pubkey
    output_mint: Pubkey
    input_mint_argument: Pubkey
    """Parsed but ignored by the program, which looks at the input account's mint."""
    amount_in: int
    expected_amount_out: int
    pool_id: Pubkey

    @classmethod
    def of(
        cls,
        pool: PoolAddresses,
        *,
        user: Pubkey,
        input_mint: Pubkey,
        amount_in: int,
        expected_amount_out: int,
        user_input_account: Pubkey,
        user_output_account: Pubkey,
    ) -> Self:
        return cls(
            user=user,
            system_state=program.system_state(pool.program_id),
            pool_state=pool.pool_state,
            vault_a=pool.vault_a,
            vault_b=pool.vault_b,
            user_input_account=user_input_account,
            user_output_account=user_output_account,
            input_mint=input_mint,
            output_mint=pool.mint_b if input_mint == pool.mint_a else pool.mint_a,
            input_mint_argument=input_mint,
            amount_in=amount_in,
            expected_amount_out=expected_amount_out,
            pool_id=pool.pool_state,
        )


SWAP_FORMAT: Final = InstructionFormat(
    InstructionKind.SWAP,
    (
        _USER,
        _SYSTEM_PROGRAM,
        _SYSTEM_STATE,
        _POOL_STATE,
        _TOKEN_PROGRAM,
        _written("vault_a"),
        _written("vault_b"),
        _written("user_input_account"),
        _written("user_output_account"),
        Account("input_mint"),
        Account("output_mint"),
    ),
    (("input_mint_argument", PUBKEY), ("amount_in", U64), ("expected_amount_out", U64), ("pool_id", PUBKEY)),
)


def encode_swap(record: Swap, program_id: Pubkey) -> Instruction:
    return SWAP_FORMAT.encode(record, program_id)


def decode_swap(instruction: Instruction) -> Swap:
    return Swap(**SWAP_FORMAT.decode(instruction))
