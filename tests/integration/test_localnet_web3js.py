"""The local chain judged by @solana/web3.js and @solana/spl-token from npm, confirming over the WebSocket."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.localnet import running_localnet

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(shutil.which("node") is None or shutil.which("npm") is None, reason="needs Node.js and npm"),
]

SOL = 1_000_000_000
SOURCES = Path(__file__).parent / "web3js"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the JavaScript project with its locked packages; the checkout stays clean."""
    folder = tmp_path_factory.mktemp("web3js")
    for name in ("package.json", "package-lock.json", "flow.mjs"):
        shutil.copy(SOURCES / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def seen(installed: Path) -> dict[str, Any]:
    """What flow.mjs saw."""
    with running_localnet(slot_ms=50, no_program=True) as chain:
        command = ["node", "flow.mjs", chain.rpc_url, chain.ws_url]
        done = subprocess.run(command, cwd=installed, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_sol_moves_and_is_confirmed_over_the_websocket(seen: dict[str, Any]) -> None:
    assert seen["airdropErr"] is None
    assert (seen["ownerAfterAirdrop"], seen["friend"], seen["payFee"]) == (10 * SOL, 2 * SOL, 5000)


def test_spl_token_mints_and_moves(seen: dict[str, Any]) -> None:
    assert (seen["supply"], seen["ownerTokens"]) == ("5000001", "3750001")
    assert seen["friendBalance"] == {"uiAmount": 1.25, "decimals": 6, "amount": "1250000", "uiAmountString": "1.25"}
    assert seen["parsedAccounts"] == ["1.25"]
    assert seen["byMint"] == seen["tokenAddresses"]
    owner, friend = seen["transferNames"]["owner"], seen["transferNames"]["friend"]
    assert seen["transfer"]["pre"] == {owner: "5000001", friend: "0"}
    assert seen["transfer"]["post"] == {owner: "3750001", friend: "1250000"}
    assert seen["parsedSigner"] == [seen["owner"]]


def test_a_lookup_table_loads_an_address(seen: dict[str, Any]) -> None:
    assert seen["loaded"] == [seen["friendKey"]]
    # Payer and system program are named, the friend comes behind them from the table.
    assert seen["ownKeys"] == 2
    assert seen["viaTable"] == [-5007, 0, 7]
    assert seen["friendHistory"] is True


def test_failures_carry_their_logs_or_land(seen: dict[str, Any]) -> None:
    assert seen["preflight"]["isSendTransactionError"] is True
    assert any("insufficient lamports" in line for line in seen["preflight"]["logs"])
    assert seen["sunkErr"] == {"InstructionError": [0, {"Custom": 1}]}
    assert seen["simulatedUnits"] == 150
    assert seen["again"] == "AlreadyProcessed"


def test_history_and_subscriptions(seen: dict[str, Any]) -> None:
    assert seen["signatures"][0] == seen["newest"]
    assert len(seen["signatures"]) == 10
    assert seen["nobody"] is None
    assert seen["slotsRise"] is True
    assert seen["balances"][0] == 10 * SOL
    assert seen["balances"] == sorted(seen["balances"], reverse=True)
    assert seen["balances"][-1] == seen["finalBalance"]
