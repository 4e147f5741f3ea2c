"""The setting ``preflight`` reaches the node with every transaction that is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.ids import OperationId, Signature
from domain.operations import Intent, OperationKind
from domain.runtime.wiring import build_chain
from tests.support.driver import settings_for
from tests.support.rpc_server import scripted_server


@pytest.mark.parametrize("preflight", [True, False])
def test_each_transaction_is_simulated_first_only_when_it_is_set(tmp_path: Path, *, preflight: bool) -> None:
    intent = Intent(
        operation_id=OperationId("deposit_1/1"),
        number=1,
        kind=OperationKind.DEPOSIT,
        pool_id=None,
        signature=Signature("sig"),
        wire="AAAA",
        last_valid_height=1,
        compute_limit=1,
        inputs={},
        prepared_at_ms=0,
        prepared_slot=0,
    )
    sent = []

    def handler(exchange):
        sent.extend(call["params"][1] for call in exchange.request)
        exchange.reply([{"jsonrpc": "2.0", "id": call["id"], "result": "sig"} for call in exchange.request])

    with scripted_server(handler) as server:
        settings = settings_for(tmp_path, "redis://127.0.0.1:1/0", server.url, preflight=preflight)
        chain = build_chain(settings, lambda _: None, lambda _: None, lambda: 0)
        chain.submit([intent, intent])
        chain.endpoints.close()
    assert [config["skipPreflight"] for config in sent] == [not preflight] * 2
