"""Methods that only this chain has, prefixed frt_; faults never apply to them."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

from ops.localnet.errors import invalid_params
from ops.localnet.faults import UnknownFaultError
from ops.localnet.rpc.params import Params, Scope, config, pubkey, required, whole_number
from ops.localnet.state import StateError

_MAX_FORK = 32
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
