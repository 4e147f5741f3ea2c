"""From a request body to the answer's bytes: single calls, batches, error objects, counts by method."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson

from ops.localnet.chain import Chain
from ops.localnet.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RpcError,
)
from ops.localnet.rpc import accounts, cluster, local, signatures, tokens, transactions
from ops.localnet.rpc.params import Params, Scope

Method = Callable[[Scope, Params], Any]
LOCAL_PREFIX = "frt_"

METHODS: dict[str, Method] = {
    "getHealth": cluster.get_health,
    "getVersion": cluster.get_version,
    "getSlot": cluster.get_slot,
    "getBlockHeight": cluster.get_block_height,
    "getEpochInfo": cluster.get_epoch_info,
    "getLatestBlockhash": cluster.get_latest_blockhash,
    "isBlockhashValid": cluster.is_blockhash_valid,
    "getFirstAvailableBlock": cluster.get_first_available_block,
    "getGenesisHash": cluster.get_genesis_hash,
    "getMinimumBalanceForRentExemption": cluster.get_minimum_balance_for_rent_exemption,
    "getRecentPrioritizationFees": cluster.get_recent_prioritization_fees,
    "getFeeForMessage": cluster.get_fee_for_message,
    "getBalance": accounts.get_balance,
    "getAccountInfo": accounts.get_account_info,
    "getMultipleAccounts": accounts.get_multiple_accounts,
    "getProgramAccounts": accounts.get_program_accounts,
    "getTokenAccountBalance": tokens.get_token_account_balance,
    "getTokenAccountsByOwner": tokens.get_token_accounts_by_owner,
    "getTokenSupply": tokens.get_token_supply,
    "requestAirdrop": transactions.request_airdrop,
    "sendTransaction": transactions.send_transaction,
    "simulateTransaction": transactions.simulate_transaction,
    "getSignatureStatuses": signatures.get_signature_statuses,
    "getSignaturesForAddress": signatures.get_signatures_for_address,
    "getTransaction": signatures.get_transaction,
    "frt_setFaults": local.set_faults,
    "frt_getFaults": local.get_faults,
    "frt_warpClock": local.warp_clock,
    "frt_setUpgradeAuthority": local.set_upgrade_authority,
    "frt_fork": local.fork,
    "frt_getExecutions": local.get_executions,
    "frt_saveState": local.save_state,
    "frt_loadState": local.load_state,
}

_log = logging.getLogger(__name__)


def error_answer(request_id: Any, code: int, message: str) -> dict[str, Any]:
    """A whole answer that is an error."""
    return {"jsonrpc": "2.0", "error": {"code": code, "message": message}, "id": request_id}


def parse(body: bytes) -> Any:
    """The request document. RpcError -32700."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RpcError(PARSE_ERROR, "Parse error") from None


def is_local(document: Any) -> bool:
    """Whether every call in a request is one of ours, which faults spare."""
    calls = document if isinstance(document, list) else [document]
    return all(isinstance(call, dict) and str(call.get("method")).startswith(LOCAL_PREFIX) for call in calls)


class Dispatcher:
    """Calls methods and counts them."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._scopes = (Scope(chain), Scope(chain, lagging=True))
        self.requests: Counter[str] = Counter()
        self._methods: dict[str, Method] = METHODS | {"frt_stats": self._stats}

    def _stats(self, scope: Scope, _params: Params) -> Any:
        return local.stats_of(scope, self.requests)

    def answer(self, document: Any, *, lagging: bool = False, reordered: bool = False) -> bytes:
        """The answer to a parsed request, empty when it consists of notifications."""
        scope = self._scopes[lagging]
        if not isinstance(document, list):
            single = self._call(scope, document)
            return b"" if single is None else orjson.dumps(single)
        if not document:
            return orjson.dumps(error_answer(None, INVALID_REQUEST, "Invalid request"))
        answers = [answer for call in document if (answer := self._call(scope, call)) is not None]
        if reordered:
            self._chain.faults.shuffle(answers)
        return orjson.dumps(answers) if answers else b""

    def _call(self, scope: Scope, call: Any) -> dict[str, Any] | None:
        if not isinstance(call, dict) or call.get("jsonrpc") != "2.0" or not isinstance(call.get("method"), str):
            request_id = call.get("id") if isinstance(call, dict) else None
            return error_answer(request_id, INVALID_REQUEST, "Invalid request")
        answer = self._result(scope, call["method"], call.get("params"))
        if "id" not in call:
            return None
        answer["id"] = call["id"]
        return answer

    def _result(self, scope: Scope, name: str, params: Any) -> dict[str, Any]:
        method = self._methods.get(name)
        if method is None:
            return {"jsonrpc": "2.0", "error": {"code": METHOD_NOT_FOUND, "message": "Method not found"}}
        self.requests[name] += 1
        if params is None:
            params = []
        if isinstance(params, dict) and name.startswith(LOCAL_PREFIX):
            params = [params]
        if not isinstance(params, list):
            message = "Invalid params: invalid type: map, expected a sequence."
            return {"jsonrpc": "2.0", "error": {"code": INVALID_PARAMS, "message": message}}
        try:
            return {"jsonrpc": "2.0", "result": method(scope, params)}
        except RpcError as error:
            return {"jsonrpc": "2.0", "error": error.document()}
        except Exception:  # noqa: BLE001 -- the edge: a defect of ours must not take the chain down
            _log.exception("method %s failed", name)
            return {"jsonrpc": "2.0", "error": {"code": INTERNAL_ERROR, "message": "Internal error"}}
