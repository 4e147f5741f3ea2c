"""Runs chains in this process, without Celery: every live chain gets its next message at once, due or not.

For tests of what cycles do; the real workers have tests of their own.
"""

from __future__ import annotations

import contextlib
import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from solders.hash import Hash
from solders.keypair import Keypair

from domain.chain.gateway import Want
from domain.chain.transaction import build_transaction
from domain.ids import Address, ChainId, CommandId
from domain.operations import Operation, OperationKind
from domain.runtime.settings import Settings, load
from tasks.behaviours import behaviour_of
from tasks.bootstrap import prepare_chain
from tasks.runtime import Runtime, build_runtime
from tasks.walk import walk
from tests.support.localnet import Localnet, running_localnet
from tests.support.redis_server import redis_server


class Driver:
    """``until(condition)`` keeps the chains running; ``call`` is a command from sending to answer."""

    def __init__(self, runtime: Runtime, localnet: Localnet) -> None:
        self.runtime = runtime
        self.localnet = localnet

    def step(self) -> None:
        for chain_id, _ in self.runtime.store.live_chains():
            self.deliver(chain_id)

    def deliver(self, chain_id: ChainId) -> None:
        record = self.runtime.store.get_chain(chain_id)
        if record is not None and record.live:
            walk(self.runtime, behaviour_of(record.kind), chain_id, record.generation, record.seq)

    def until(self, condition: Callable[[], Any], description: str, timeout_s: float = 30.0) -> Any:
        deadline = time.monotonic() + timeout_s
        while True:
            found = condition()
            if found:
                return found
            assert time.monotonic() < deadline, f"timed out waiting for {description}"
            self.step()

    def send(self, method: str, **params: Any) -> CommandId:
        return self.runtime.commands.send(method, params)

    def answer(self, command_id: CommandId) -> dict[str, Any]:
        store = self.runtime.store
        text = self.until(lambda: store.command_answer(command_id), f"command {command_id}")
        return json.loads(text)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        answer = self.answer(self.send(method, **params))
        assert "ok" in answer, answer
        return answer["ok"]

    def as_guest(self, guest: Keypair, *actions: Any) -> None:
        """A transaction of somebody who has no part in the service, confirmed."""
        chain, address = self.runtime.chain, Address(str(guest.pubkey()))
        operation = Operation(kind=OperationKind.FUND, actions=actions, payer=address, signers=(address,), inputs={})
        latest = self.localnet.call("getLatestBlockhash")["value"]["blockhash"]
        signed = build_transaction(
            payer=guest,
            instructions=chain.builder.instructions(operation),
            blockhash=Hash.from_string(latest),
            compute_units=400_000,
        )
        options = {"encoding": "base64", "preflightCommitment": "processed"}
        signature = self.localnet.call("sendTransaction", b64encode(signed.wire).decode(), options)
        want, deadline = Want(signatures=(signature,)), time.monotonic() + 30.0
        while (receipt := chain.observe(want).lookups[signature].receipt) is None:
            assert time.monotonic() < deadline, "a guest's transaction did not land"
        assert receipt.error is None


def settings_for(folder: Path, redis_url: str, rpc_url: str, **more: Any) -> Settings:
    wallet = folder / "core-wallet.json"
    if not wallet.exists():
        wallet.write_text(json.dumps(list(bytes(Keypair()))))
    overrides = {"redis_url": redis_url, "rpc_urls": (rpc_url,), "data_dir": folder, "core_wallet": wallet, **more}
    return load({}, None, overrides)


@contextlib.contextmanager
def driver(folder: Path, *, seed: int = 7, settings: dict[str, Any] | None = None, **localnet: Any) -> Iterator[Driver]:
    """A real Redis and a real local chain with the program initialised."""
    wallet = Keypair()
    (folder / "core-wallet.json").write_text(json.dumps(list(bytes(wallet))))
    options: dict[str, Any] = {"slot_ms": 25, "upgrade_authority": str(wallet.pubkey())} | localnet
    with redis_server() as redis_url, running_localnet(**options) as chain:
        runtime = build_runtime(settings_for(folder, redis_url, chain.rpc_url, **settings or {}))
        runtime.store.set_run_once("seed", str(seed))
        prepare_chain(runtime)
        try:
            yield Driver(runtime, chain)
        finally:
            runtime.close()
