"""Methods that understand SPL Token accounts and mints."""

from __future__ import annotations

from typing import Any

from ops.localnet.errors import invalid_params
from ops.localnet.rpc.accounts import encoder, keyed
from ops.localnet.rpc.params import Params, Scope, bank, config, pubkey, required, with_context
from ops.localnet.tokens import TOKEN_PROGRAMS, ui_amount


def get_token_account_balance(scope: Scope, params: Params) -> Any:
    key = pubkey(required(params, 0, 1))
    block = bank(scope, config(params, 1))
    state = scope.chain.accounts.at(key, block.slot)
    if state.account is None:
        raise invalid_params("Invalid param: could not find account")
    if state.token is None:
        raise invalid_params("Invalid param: not a Token account")
    mint = scope.mint_at(state.token.mint, block.slot)
    if mint is None:
        raise invalid_params("Invalid param: could not find mint")
    return with_context(block, ui_amount(state.token.amount, mint.decimals))


def get_token_supply(scope: Scope, params: Params) -> Any:
    key = pubkey(required(params, 0, 1))
    block = bank(scope, config(params, 1))
    state = scope.chain.accounts.at(key, block.slot)
    if state.account is None:
        raise invalid_params("Invalid param: could not find account")
    if state.mint is None:
        raise invalid_params("Invalid param: not a Token mint")
    return with_context(block, ui_amount(state.mint.supply, state.mint.decimals))


def get_token_accounts_by_owner(scope: Scope, params: Params) -> Any:
    """Token accounts of a wallet, narrowed by `mint` or `programId`, one of which is required."""
    wallet, wanted, options = pubkey(required(params, 0, 2)), required(params, 1, 2), config(params, 2)
    if not isinstance(wanted, dict) or not wanted.keys() & {"mint", "programId"}:
        raise invalid_params("Invalid params: expected `mint` or `programId`.")
    block = bank(scope, options)
    found = scope.chain.accounts.token_accounts_of(wallet, block.slot)
    if "mint" in wanted:
        mint = pubkey(wanted["mint"])
        if scope.mint_at(mint, block.slot) is None:
            raise invalid_params("Invalid param: could not find mint")
        matching = [(key, state) for key, state in found if state.token is not None and state.token.mint == mint]
    else:
        program = pubkey(wanted["programId"])
        if program not in TOKEN_PROGRAMS:
            raise invalid_params("Invalid param: unrecognized Token program id")
        matching = [
            (key, state) for key, state in found if state.account is not None and state.account.owner == program
        ]
    return with_context(block, keyed(matching, encoder(scope, block, options)))
