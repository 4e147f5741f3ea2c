"""The program's initialisation: once, in the journal, also when whoever starts the run dies in between."""

from __future__ import annotations

import json

import pytest
from solders.keypair import Keypair

import tasks.walk
from domain.chain.gateway import Want
from domain.errors import CommandError, StressError
from tasks.bootstrap import prepare_chain
from tasks.runtime import build_runtime
from tests.support.driver import settings_for
from tests.support.localnet import running_localnet
from tests.support.redis_server import redis_server

pytestmark = pytest.mark.timeout(120)


class Killed(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("deaths", [0, 1, 2])
def test_the_program_is_initialised_once_and_the_journal_has_it(tmp_path, monkeypatch, deaths):
    wallet = Keypair()
    (tmp_path / "core-wallet.json").write_text(json.dumps(list(bytes(wallet))))
    with redis_server() as redis_url, running_localnet(slot_ms=25, upgrade_authority=str(wallet.pubkey())) as chain:
        runtime = build_runtime(settings_for(tmp_path, redis_url, chain.rpc_url))
        finish, died = tasks.walk.finish, []

        def dying(cycle, draft):
            outcome = finish(cycle, draft)
            if len(died) < deaths:
                died.append(cycle.begun.seq)
                raise Killed
            return outcome

        monkeypatch.setattr(tasks.walk, "finish", dying)
        for _ in range(deaths):
            with pytest.raises(Killed):
                prepare_chain(runtime)
        prepare_chain(runtime)
        prepare_chain(runtime)
        state = runtime.chain.system_state
        assert runtime.chain.observe(Want(addresses=(state,))).accounts[state] is not None
        lines = [json.loads(line) for _, line in runtime.store.read_journal()]
        runtime.close()
    assert [(doc["event"], doc["kind"]) for doc in lines] == [("submitted", "setup"), ("settled", "setup")]
    assert lines[1]["outcome"] == "confirmed"
    assert lines[0]["op"].startswith("command:initialize-")


def test_a_chain_that_does_not_answer_is_named_and_can_be_interrupted(tmp_path):
    (tmp_path / "core-wallet.json").write_text(json.dumps(list(bytes(Keypair()))))
    runtime = build_runtime(settings_for(tmp_path, "redis://127.0.0.1:1/0", "http://127.0.0.1:1"))
    with pytest.raises(CommandError, match=r"the chain does not answer: http://127\.0\.0\.1:1"):
        prepare_chain(runtime, answer_s=0)
    with pytest.raises(StressError, match="interrupted"):
        prepare_chain(runtime, interrupted=lambda: True)
    runtime.close()
