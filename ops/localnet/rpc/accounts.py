"""Methods that read accounts at a commitment."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from solders.pubkey import Pubkey

from ops.localnet import base58
from ops.localnet.blocks import Block
from ops.localnet.encode import encode_account
from ops.localnet.errors import invalid_params
from ops.localnet.rpc.params import (
    Config,
    Params,
    Scope,
    account_encoding,
    bank,
    config,
    data_slice,
    pubkey,
    required,
    whole_number,
    with_context,
)
from ops.localnet.versions import AccountState

MAX_MULTIPLE_ACCOUNTS = 100
_MAX_FILTERS = 4
_MAX_MEMCMP_BYTES = 128

Filter = Callable[[AccountState], bool]


def get_balance(scope: Scope, params: Params) -> Any:
    key = pubkey(required(params, 0, 1))
    block = bank(scope, config(params, 1))
    return with_context(block, scope.chain.accounts.at(key, block.slot).lamports)


def encoder(scope: Scope, block: Block, options: Config) -> Callable[[AccountState], Any]:
    """A function that encodes accounts of `block` as the configuration asks."""
    encoding, part = account_encoding(options), data_slice(options)
    mint_of = partial(_mint_at, scope, block.slot)
    return lambda state: encode_account(state, encoding, part, mint_of)


def _mint_at(scope: Scope, slot: int, key: Pubkey) -> Any:
    return scope.mint_at(key, slot)


def get_account_info(scope: Scope, params: Params) -> Any:
    key, options = pubkey(required(params, 0, 1)), config(params, 1)
    block = bank(scope, options)
    return with_context(block, encoder(scope, block, options)(scope.chain.accounts.at(key, block.slot)))


def get_multiple_accounts(scope: Scope, params: Params) -> Any:
    """All accounts as of one slot, null for those that do not exist."""
    names = required(params, 0, 1)
    if not isinstance(names, list):
        raise invalid_params("Invalid params: invalid type: expected a sequence.")
    if len(names) > MAX_MULTIPLE_ACCOUNTS:
        raise invalid_params(f"Too many inputs provided; max {MAX_MULTIPLE_ACCOUNTS}")
    options = config(params, 1)
    # The default differs from getAccountInfo's, as on a cluster.
    options = options if options.get("encoding") is not None else options | {"encoding": "base64"}
    block = bank(scope, options)
    encode, at, slot = encoder(scope, block, options), scope.chain.accounts.at, block.slot
    return with_context(block, [encode(at(pubkey(name), slot)) for name in names])


def _memcmp(given: Any) -> Filter:
    if not isinstance(given, dict) or not isinstance(given.get("bytes"), str):
        raise invalid_params("Invalid params: `memcmp` needs `offset` and `bytes`.")
    offset = whole_number(given.get("offset"), "offset")
    encoding = given.get("encoding", "base58")
    if encoding not in ("base58", "base64"):
        raise invalid_params(f"Invalid params: unknown variant `{encoding}`, expected `base58` or `base64`.")
    try:
        wanted = b64decode(given["bytes"], validate=True) if encoding == "base64" else base58.decode(given["bytes"])
    except ValueError:
        raise invalid_params(f"Invalid param: unable to decode {encoding}") from None
    if len(wanted) > _MAX_MEMCMP_BYTES:
        raise invalid_params("Invalid param: encoded binary data should be less than 129 bytes")
    end = offset + len(wanted)
    return lambda state: state.account is not None and state.account.data[offset:end] == wanted


def _filter(given: Any) -> Filter:
    if given == "tokenAccountState" or (isinstance(given, dict) and "tokenAccountState" in given):
        return lambda state: state.token is not None
    if isinstance(given, dict) and "dataSize" in given:
        size = whole_number(given["dataSize"], "dataSize")
        return lambda state: state.account is not None and len(state.account.data) == size
    if isinstance(given, dict) and "memcmp" in given:
        return _memcmp(given["memcmp"])
    raise invalid_params("Invalid params: unknown filter, expected `dataSize`, `memcmp` or `tokenAccountState`.")


def _filters(options: Config) -> list[Filter]:
    given = options.get("filters") or []
    if not isinstance(given, list):
        raise invalid_params("Invalid params: `filters` must be a sequence.")
    if len(given) > _MAX_FILTERS:
        raise invalid_params(f"Too many filters provided; max {_MAX_FILTERS}")
    return [_filter(one) for one in given]


def keyed(found: Iterable[tuple[Pubkey, AccountState]], encode: Callable[[AccountState], Any]) -> list[Any]:
    """Accounts with their addresses."""
    return [{"account": encode(state), "pubkey": str(key)} for key, state in found]


def get_program_accounts(scope: Scope, params: Params) -> Any:
    program, options = pubkey(required(params, 0, 1)), config(params, 1)
    filters = _filters(options)
    block = bank(scope, options)
    found = (
        (key, state)
        for key, state in scope.chain.accounts.owned_by(program, block.slot)
        if all(matches(state) for matches in filters)
    )
    accounts = keyed(found, encoder(scope, block, options))
    return with_context(block, accounts) if options.get("withContext") else accounts
