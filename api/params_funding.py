"""Parameters of the commands that bring money and tokens."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from api.params import U64, CommandParams, Id, TokenType, is_address, wrong

MAX_LAMPORTS: Final = 9 * 10**15  # with its fees still what the store's reservations add up exactly, below 2^53

Units = Annotated[int, Field(ge=1, le=U64)]
Lamports = Annotated[int, Field(ge=1, le=MAX_LAMPORTS)]


class FundThread(CommandParams):
    """``amount``: lamports for "sol", base units for the rest; "lp_tokens" are those of the thread's own side."""

    thread_id: Id
    funding_type: Literal["sol", "token_a", "token_b", "lp_tokens"]
    amount: Units

    @model_validator(mode="after")
    def _lamports_add_up(self) -> Self:
        if self.funding_type == "sol" and self.amount > MAX_LAMPORTS:
            raise wrong("amount", f"at most {MAX_LAMPORTS} lamports")
        return self


class MintAndSendTokens(CommandParams):
    """To a wallet's associated token account, or to a token account of the mint."""

    pool_id: Id
    token_type: TokenType
    recipient_address: str
    amount: Units

    @model_validator(mode="after")
    def _recipient_is_an_address(self) -> Self:
        if not is_address(self.recipient_address):
            raise wrong("recipient_address", "not a Solana address")
        return self


class AirdropSol(CommandParams):
    """To the core wallet, or to the wallet of ``thread_id``."""

    amount: Lamports
    thread_id: Id | None = None


class CreatePoolRandom(CommandParams):
    """Decimals and ratio by chance, such that every amount of a thread stays within u64."""

    exact_exchange: bool = False
