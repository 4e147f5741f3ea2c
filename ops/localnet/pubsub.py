"""WebSocket subscriptions: signatures, slots and accounts, told after every block."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import orjson
from solders.pubkey import Pubkey
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed

from ops.localnet.blocks import FINALIZED, PROCESSED
from ops.localnet.chain import Chain
from ops.localnet.encode_transaction import err_value
from ops.localnet.errors import INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, RpcError, invalid_params
from ops.localnet.rpc.accounts import encoder
from ops.localnet.rpc.dispatch import error_answer, parse
from ops.localnet.rpc.params import Params, Scope, commitment, config, pubkey, required, signature, with_context
from ops.localnet.versions import AccountState

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Subscription:
    """One subscription; `poll` gives the results due now and whether it has ended."""

    connection: ServerConnection
    kind: str
    poll: Callable[[], tuple[list[Any], bool]]


def _signature_results(scope: Scope, wanted: bytes, level: str) -> tuple[list[Any], bool]:
    block = scope.block(level)
    seq = scope.chain.history.seq_of(wanted)
    if seq is None or seq >= block.end_seq:
        return [], False
    return [with_context(block, {"err": err_value(scope.chain.history.record(seq).err)})], True


class _SlotFeed:
    """Tells every slot once."""

    def __init__(self, scope: Scope) -> None:
        self._scope, self._told = scope, scope.block(PROCESSED).slot

    def __call__(self) -> tuple[list[Any], bool]:
        block = self._scope.block(PROCESSED)
        if block.slot == self._told:
            return [], False
        self._told = block.slot
        root = self._scope.block(FINALIZED).slot
        return [{"parent": block.parent_slot, "root": root, "slot": block.slot}], False


class _AccountFeed:
    """Tells an account's new states at a commitment."""

    def __init__(self, scope: Scope, key: Pubkey, options: dict[str, Any]) -> None:
        self._scope, self._key, self._options = scope, key, options
        self._level = commitment(options)
        # Encoding once now refuses a bad configuration at the subscription, not at the first change.
        encoder(scope, scope.block(self._level), options)
        self._told = self._state()

    def _state(self) -> AccountState:
        return self._scope.chain.accounts.at(self._key, self._scope.block(self._level).slot)

    def __call__(self) -> tuple[list[Any], bool]:
        state = self._state()
        if state is self._told or state.account == self._told.account:
            return [], False
        self._told = state
        block = self._scope.block(self._level)
        # A closed account is told as an empty one of the system program, as on a cluster.
        value = encoder(self._scope, block, self._options)(state) or _CLOSED
        return [with_context(block, value)], False


_CLOSED = {
    "data": ["", "base64"],
    "executable": False,
    "lamports": 0,
    "owner": "11111111111111111111111111111111",
    "rentEpoch": 0,
    "space": 0,
}


def _method_and_params(call: Any) -> tuple[str, Params]:
    if not isinstance(call, dict) or not isinstance(call.get("method"), str):
        raise RpcError(INVALID_REQUEST, "Invalid request")
    params = call.get("params") or []
    if not isinstance(params, list):
        raise invalid_params("Invalid params: invalid type: map, expected a sequence.")
    return call["method"], params


class PubSub:
    """All subscriptions of all connections."""

    def __init__(self, chain: Chain) -> None:
        self._scope = Scope(chain)
        self._ids = count(1)
        self._subscriptions: dict[int, Subscription] = {}
        chain.on_block(self.tell)

    async def serve(self, connection: ServerConnection) -> None:
        """Answer one connection until it closes."""
        try:
            async for message in connection:
                body = message.encode() if isinstance(message, str) else message
                answer, new_id = self._answer(connection, body)
                if answer:
                    await connection.send(answer)
                # Only now: a signature that already has its commitment is told after the subscription's number.
                if new_id is not None:
                    self._tell_one(new_id)
        except ConnectionClosed:
            pass
        finally:
            gone = [number for number, sub in self._subscriptions.items() if sub.connection is connection]
            for number in gone:
                del self._subscriptions[number]

    def _answer(self, connection: ServerConnection, body: bytes) -> tuple[str, int | None]:
        """The answer, "" to a notification, and the number of a new subscription."""
        request_id, new_id = None, None
        try:
            call = parse(body)
            if isinstance(call, dict) and isinstance(call.get("method"), str) and "id" not in call:
                return "", None  # like web3.js' ping every five seconds; JSON-RPC forbids an answer, an error's too
            request_id = call.get("id") if isinstance(call, dict) else None
            result, new_id = self._handle(connection, *_method_and_params(call))
            document = {"jsonrpc": "2.0", "result": result, "id": request_id}
        except RpcError as error:
            document = {"jsonrpc": "2.0", "error": error.document(), "id": request_id}
        except Exception:  # noqa: BLE001 -- the edge, as in rpc.dispatch
            _log.exception("subscription failed")
            document = error_answer(request_id, INTERNAL_ERROR, "Internal error")
        return orjson.dumps(document).decode(), new_id

    def _handle(self, connection: ServerConnection, method: str, params: Params) -> tuple[Any, int | None]:
        if method in ("signatureUnsubscribe", "slotUnsubscribe", "accountUnsubscribe"):
            number = required(params, 0, 1)
            found = self._subscriptions.get(number) if isinstance(number, int) else None
            if found is None or found.connection is not connection:
                raise invalid_params("Invalid subscription id.")
            del self._subscriptions[number]
            return True, None
        poll: Callable[[], tuple[list[Any], bool]]
        if method == "signatureSubscribe":
            wanted, level = signature(required(params, 0, 1)), commitment(config(params, 1))
            poll = partial(_signature_results, self._scope, wanted, level)
        elif method == "slotSubscribe":
            poll = _SlotFeed(self._scope)
        elif method == "accountSubscribe":
            poll = _AccountFeed(self._scope, pubkey(required(params, 0, 1)), config(params, 1))
        else:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        number = next(self._ids)
        kind = method.removesuffix("Subscribe")
        self._subscriptions[number] = Subscription(connection=connection, kind=kind, poll=poll)
        return number, number

    def tell(self) -> None:
        """Send what the newest block made due."""
        for number in list(self._subscriptions):
            self._tell_one(number)

    def _tell_one(self, number: int) -> None:
        subscription = self._subscriptions[number]
        results, ended = subscription.poll()
        for result in results:
            document = {
                "jsonrpc": "2.0",
                "method": f"{subscription.kind}Notification",
                "params": {"result": result, "subscription": number},
            }
            # broadcast never waits: a slow reader must not hold up the chain.
            broadcast([subscription.connection], orjson.dumps(document).decode())
        if ended:
            del self._subscriptions[number]
