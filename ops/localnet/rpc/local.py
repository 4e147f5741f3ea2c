"""Methods that only this chain has, prefixed frt_; faults never apply to them."""

from __future__ import annotations

import resource
from base64 import b64encode
from itertools import islice
from pathlib import Path
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey
from solders.signature import Signature

from ops.localnet.errors import invalid_params
from ops.localnet.executions import Execution
from ops.localnet.faults import UnknownFaultError
from ops.localnet.rpc.params import Params, Scope, config, pubkey, required, signature, whole_number
from ops.localnet.state import StateError
from ops.localnet.tokens import read_token_account
from ops.localnet.versions import SYSVAR_OWNER

_MAX_FORK = 32
_MAX_EXECUTIONS = 100
_LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
#: Of ProgramData: the deploy slot and the upgrade authority, without the program behind them.
_PROGRAM_DATA_HEADER_BYTES = 45
_MAX_WARP_S = 100 * 365 * 86_400


def set_faults(scope: Scope, params: Params) -> Any:
    """Switch exactly the given faults on, all others off; `{}` ends them all. -32602 naming an unknown field."""
    try:
        scope.chain.faults.replace(config(params, 0))
    except UnknownFaultError as error:
        raise invalid_params(f"Invalid params: {error}") from None
    return scope.chain.faults.describe()


def get_faults(scope: Scope, _params: Params) -> Any:
    return scope.chain.faults.describe()


def warp_clock(scope: Scope, params: Params) -> Any:
    """Move the on-chain time forward by {seconds}; the next block shows it."""
    options = config(params, 0)
    seconds = whole_number(options.get("seconds"), "seconds", _MAX_WARP_S)
    return {"unixTimestamp": scope.chain.warp_clock(seconds)}


def set_upgrade_authority(scope: Scope, params: Params) -> Any:
    """Let {pubkey} initialise the program."""
    required(params, 0, 1)
    try:
        scope.chain.set_upgrade_authority(pubkey(config(params, 0).get("pubkey")))
    except KeyError as error:
        raise invalid_params(f"Invalid param: no upgradeable program at {error.args[0]}") from None
    return True


def fork(scope: Scope, params: Params) -> Any:
    """Drop the newest {slots} blocks that are not confirmed, before the next one."""
    options = config(params, 0)
    scope.chain.fork(whole_number(options.get("slots"), "slots", _MAX_FORK))
    return True


def get_executions(scope: Scope, params: Params) -> Any:
    """What {signatures} executed on, null where that is forgotten; or, newest first, the {limit} newest successes up to
    {untilSlot} that named {address}. {also}: accounts to show beside, as they were then.
    """
    options = config(params, 0)
    executions = scope.chain.executions
    also = [pubkey(name) for name in _texts(options, "also")]
    found: list[Execution | None]
    if options.get("address") is not None:
        limit = whole_number(options.get("limit"), "limit", _MAX_EXECUTIONS)
        until = whole_number(options.get("untilSlot"), "untilSlot")
        found = list(islice(executions.changing(pubkey(options["address"]), until), limit))
    else:
        found = [executions.get(signature(name)) for name in _texts(options, "signatures")]
    return [None if execution is None else _execution(scope, execution, also) for execution in found]


def _texts(options: dict[str, Any], name: str) -> list[Any]:
    value = options.get(name, [])
    if not isinstance(value, list) or len(value) > _MAX_EXECUTIONS:
        raise invalid_params(f"Invalid params: `{name}` must be a sequence of at most {_MAX_EXECUTIONS}.")
    return value


def _execution(scope: Scope, execution: Execution, also: list[Pubkey]) -> dict[str, Any]:
    # Without the mint of a token account nobody can give its balance, and few instructions name the mint.
    held = [read_token_account(account) for account in execution.accounts.values() if account is not None]
    mints = [token.mint for token in held if token is not None]
    after_slot = {key: scope.chain.accounts.at(key, execution.slot).account for key in (*also, *mints)}
    executions = scope.chain.executions
    beside = {key: executions.beside(execution, key, account) for key, account in after_slot.items()}
    accounts = beside | execution.accounts
    return {
        "signature": str(Signature(execution.raw[1:65])),
        "wire": b64encode(execution.raw).decode(),
        "slot": execution.slot,
        "unix_timestamp": execution.unix_timestamp,
        "accounts": {str(key): _account(account) for key, account in accounts.items() if not _is_built_in(account)},
    }


def _is_built_in(account: Account | None) -> bool:
    """Programs and sysvars: every virtual machine has its own."""
    return account is not None and (account.executable or account.owner == SYSVAR_OWNER)


def _account(account: Account | None) -> dict[str, Any] | None:
    if account is None:
        return None
    data = account.data[:_PROGRAM_DATA_HEADER_BYTES] if account.owner == _LOADER else account.data
    return {"lamports": str(account.lamports), "owner": str(account.owner), "data": b64encode(data).decode()}


def save_state(scope: Scope, params: Params) -> Any:
    """Write the chain, up to its confirmed block, to the file {path}; its slot."""
    path = _path(config(params, 0).get("path"))
    try:
        return {"slot": scope.chain.save(path)}
    except OSError as error:
        raise invalid_params(f"Invalid param: {path} cannot be written: {error.strerror}") from None


def load_state(scope: Scope, params: Params) -> Any:
    """Go on from the chain in the file {path}, which must be of the same program, id and seed; its slot."""
    path = _path(config(params, 0).get("path"))
    try:
        return {"slot": scope.chain.load(path)}
    except OSError as error:
        raise invalid_params(f"Invalid param: {path} cannot be read: {error.strerror}") from None
    except StateError as error:
        raise invalid_params(f"Invalid param: {error}") from None


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise invalid_params("Invalid params: `path` must be the name of a file")
    return Path(value)


def stats_of(scope: Scope, requests: dict[str, int]) -> dict[str, Any]:
    """Requests by method, what became of transactions, and the processor time used, in microseconds."""
    usage, counts, block = resource.getrusage(resource.RUSAGE_SELF), scope.chain.counts, scope.chain.blocks.tip
    return {
        "requests": dict(sorted(requests.items())),
        "transactions": {
            "received": counts.received,
            "landed": counts.landed,
            "failed": counts.failed,
            "dropped": counts.dropped,
            "duplicates": counts.duplicates,
            "forked": counts.forked,
        },
        "slot": block.slot,
        "blockHeight": block.height,
        "cpuUs": int((usage.ru_utime + usage.ru_stime) * 1_000_000),
        "maxRssKb": usage.ru_maxrss,
    }
