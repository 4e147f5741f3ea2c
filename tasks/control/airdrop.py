"""airdrop_sol: lamports of a faucet, asked for at most once per command, on chains that have one (API-29).

A faucet signs its own transaction, so its signature is unknown before it answers. Whoever is about to ask claims the
right in Redis first; when the answer is lost, the chain's own history tells whether the money came.
"""

from __future__ import annotations

from typing import Any, Final

from domain.chain.errors import RpcError, RpcErrorObject
from domain.chain.gateway import ChainUnreachableError, Want
from domain.errors import CommandCode, CommandError
from domain.facts import Receipt
from domain.ids import Address, Signature, ThreadId
from tasks.control.commands import Command
from tasks.control.funding import book_funding, hold, release

FAUCET_CLUSTERS: Final = {
    "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxkZkBG": "devnet",
    "4uhcVJyU9pJkvQyUS88uRDiswHXSGkY3zQawwnbzf5Ku": "testnet",
}
PATIENCE_MS: Final = 120_000
LISTED: Final = 25


def airdrop_sol(command: Command) -> None:
    """To the core wallet, or to the thread that is named; answers when the transfer is confirmed."""
    thread_id = ThreadId(command.params.get("thread_id", ""))
    if not thread_id or hold(command, thread_id):
        _airdrop(command, thread_id)


def _airdrop(command: Command, thread_id: ThreadId) -> None:
    if "result" in command.data:
        if thread_id:
            release(command, thread_id)
        command.answer(command.data["result"])
        return
    wallet = command.runtime.thread(thread_id).wallet if thread_id else command.core
    amount = int(command.params["amount"])
    if "since_ms" not in command.data:
        _check_faucet(command)
        command.data["newest"] = [entry["signature"] for entry in _listed(command, wallet, 1)]
        command.data["since_ms"] = command.cycle.now_ms
        command.draft.next_ms = 0
        return
    if "signature" not in command.data:
        _ask(command, wallet, amount)
        return
    receipt = _receipt(command, Signature(command.data["signature"]))
    if receipt is None:
        if command.cycle.now_ms - command.data["since_ms"] > PATIENCE_MS:
            raise CommandError(CommandCode.CHAIN_UNREACHABLE, f"the airdrop {command.data['signature']} did not land")
        return
    _finish(command, thread_id, wallet, amount, receipt)


def _finish(command: Command, thread_id: ThreadId, wallet: Address, amount: int, receipt: Receipt) -> None:
    before, after = receipt.lamports.get(wallet, (0, 0))
    if receipt.error is not None or after - before != amount:
        text = f"the faucet's transaction brought {after - before} lamports instead of {amount}"
        raise CommandError(CommandCode.CHAIN_UNREACHABLE, text, {"signature": receipt.signature})
    if thread_id:
        book_funding(command, command.runtime.thread(thread_id), None, amount, receipt)
    command.data["result"] = {
        "wallet_address": wallet,
        "thread_id": thread_id or None,
        "amount": amount,
        "balance_after": after,
        "transaction_signature": receipt.signature,
        "slot": receipt.slot,
    }
    command.draft.next_ms = 0


def _check_faucet(command: Command) -> None:
    if command.runtime.settings.local_chain:
        return
    genesis = _call(command, "getGenesisHash")
    if genesis not in FAUCET_CLUSTERS:
        text = "There is no faucet here: airdrops exist on the local chain and on devnet"
        raise CommandError(CommandCode.WRONG_STATE, text, {"genesis_hash": genesis})


def _call(command: Command, method: str, params: list[Any] | None = None, endpoint: str | None = None) -> Any:
    try:
        return command.runtime.chain.endpoints.call(method, params or [], endpoint=endpoint)
    except RpcErrorObject as error:
        raise CommandError(CommandCode.CHAIN_UNREACHABLE, f"the node refused {method}: {error}") from error
    except RpcError as error:
        raise ChainUnreachableError(str(error)) from error


def _ask(command: Command, wallet: Address, amount: int) -> None:
    """Once per command, whoever is delivered it again; who finds it asked looks for what came of it."""
    if command.runtime.store.claim_once(command.command_id, "airdrop"):
        try:
            signature = _request(command, wallet, amount)
        except ChainUnreachableError:
            return  # it may have been asked all the same: the next step looks for it
        command.runtime.store.claim_signature(signature, command.command_id)
        command.data["signature"] = signature
        return
    for entry in _listed(command, wallet, LISTED):
        receipt = _receipt(command, Signature(entry["signature"]))
        if receipt is not None and _is_airdrop(command, receipt, wallet, amount):
            command.data["signature"] = receipt.signature
            return
    if command.cycle.now_ms - command.data["since_ms"] > PATIENCE_MS:
        text = f"the faucet's answer was lost and no airdrop of {amount} lamports came to {wallet}"
        raise CommandError(CommandCode.CHAIN_UNREACHABLE, text)


def _request(command: Command, wallet: Address, amount: int) -> Signature:
    """One endpoint, once: failing over after a lost answer would ask again."""
    endpoint = command.runtime.chain.endpoints.labels[0]
    return Signature(_call(command, "requestAirdrop", [wallet, amount], endpoint))


def _is_airdrop(command: Command, receipt: Receipt, wallet: Address, amount: int) -> bool:
    """Exactly this amount, from nobody of ours, and not the one that another command already answers with."""
    before, after = receipt.lamports.get(wallet, (0, 0))
    ours = command.core in receipt.lamports and wallet != command.core
    if receipt.error is not None or after - before != amount or ours:
        return False
    return command.runtime.store.claim_signature(receipt.signature, command.command_id)


def _listed(command: Command, wallet: Address, limit: int) -> list[dict[str, Any]]:
    """The wallet's signatures since the command began, newest first."""
    options: dict[str, Any] = {"limit": limit, "commitment": "confirmed"}
    if command.data.get("newest"):
        options["until"] = command.data["newest"][0]
    found: list[dict[str, Any]] = _call(command, "getSignaturesForAddress", [wallet, options])
    return found


def _receipt(command: Command, signature: Signature) -> Receipt | None:
    seen = command.runtime.chain.observe(Want(signatures=(signature,)))
    return seen.lookups[signature].receipt
