"""What an attacker's wallet does to a pool, judged like everything else, killed at every step, and in the books."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from domain.chain.gateway import ChainUnreachableError, Want
from domain.ids import PoolId
from domain.pool import Side
from tasks.audit import run_audit
from tests.support.driver import Driver, driver

pytestmark = pytest.mark.timeout(300)

AMOUNT = 10**12
POOLS: list[dict[str, Any]] = [
    {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"},
    {"token_a_decimals": 6, "token_b_decimals": 6, "ratio_a": 1_000_000, "ratio_b": 1_010_000, "exact_exchange": True},
    {"token_a_decimals": 9, "token_b_decimals": 0, "ratio_a": 1_500_000_000, "ratio_b": 1},
]


class Killed(BaseException):
    """The worker dies here."""


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[Driver]:
    with driver(tmp_path_factory.mktemp("run"), finalized_lag=4) as running:
        yield running


@pytest.fixture(scope="module")
def pools(world: Driver) -> list[str]:
    """Pools with liquidity on both sides that nobody else trades in."""
    made = [world.call("create_pool", **pool)["pool_id"] for pool in POOLS]
    for pool_id in made:
        for side in "AB":
            thread = world.call("create_withdrawal_thread", pool_id=pool_id, token_type=side)["thread_id"]
            world.call(
                "fund_thread", thread_id=thread, funding_type="lp_tokens", amount=10**6 if side == "B" else AMOUNT
            )
    return made


def vaults(world: Driver, pool_id: str) -> dict[Side, int]:
    pool = world.runtime.pool(PoolId(pool_id))
    seen = world.runtime.chain.observe(Want(addresses=(pool.vault_a, pool.vault_b)))
    return {side: seen.tokens(pool.vault(side)) for side in Side}


@pytest.mark.parametrize("number", range(3))
def test_a_whale_gets_back_exactly_what_it_brought(world, pools, number):
    before = vaults(world, pools[number])
    answer = world.call("attack_pool", pool_id=pools[number], kind="whale", side="B", amount=10**15)
    assert answer["outcomes"] == {"confirmed": 2}
    assert [made["amount"] for made in answer["trades"]] == [10**15] * 2
    assert answer["left"] == {"token_a": 0, "token_b": 10**15, "lp_a": 0, "lp_b": 0}
    assert vaults(world, pools[number]) == before


@pytest.mark.parametrize("number", range(3))
def test_a_burst_is_carried_out_in_any_order(world, pools, number):
    answer = world.call("attack_pool", pool_id=pools[number], kind="burst", count=12)
    assert answer["outcomes"] == {"confirmed": 14}
    assert {made["kind"] for made in answer["trades"][2:]} == {"deposit", "withdrawal", "swap"}


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("side", ["A", "B"])
def test_a_drained_side_gives_nothing_more_and_comes_back(world, pools, number, side):
    before = vaults(world, pools[number])
    answer = world.call("attack_pool", pool_id=pools[number], kind="drain", side=side)
    assert answer["outcomes"].get("confirmed", 0) >= 3
    assert set(answer["outcomes"]) <= {"confirmed", "failed_expected"}
    swaps = [made for made in answer["trades"] if made["kind"] == "swap"]
    assert len(swaps) >= 2
    pool = world.runtime.pool(PoolId(pools[number]))
    after = vaults(world, pools[number])
    worth = lambda held: held[Side.A] * pool.ratio_b + held[Side.B] * pool.ratio_a  # noqa: E731
    assert worth(after) >= worth(before)


@pytest.mark.parametrize("kind", ["whale", "burst", "drain"])
def test_an_outcome_that_comes_just_before_an_outage_is_not_forgotten(world, pools, monkeypatch, kind):
    """The chain falls silent between the answer that tells of a landed transaction and the next request."""
    honest, silent, outages = world.runtime.chain.observe, [False], []

    def observe(want):
        if silent[0] and want.addresses:
            silent[0] = False
            outages.append(want)
            raise ChainUnreachableError("nobody answers")
        seen = honest(want)
        silent[0] = silent[0] or any(lookup.receipt for lookup in seen.lookups.values())
        return seen

    monkeypatch.setattr(world.runtime.chain, "observe", observe)
    minted = world.runtime.store.counts("operations")["fund.submitted"]
    more = {"whale": {"amount": 1_234_567}, "burst": {"count": 4}, "drain": {}}[kind]
    answer = world.call("attack_pool", pool_id=pools[0], kind=kind, side="A", **more)
    assert len(outages) >= 3
    assert set(answer["outcomes"]) <= {"confirmed", "failed_expected"}
    submitted = world.runtime.store.counts("operations")["fund.submitted"] - minted
    assert submitted == answer["submitted"] + 1  # funded once
    if kind == "whale":
        assert answer["left"]["token_a"] == 1_234_567


def test_a_stage_that_cannot_be_signed_is_not_left_out(world, pools, monkeypatch):
    honest, failures = world.runtime.chain.blockhash, []

    def blockhash():
        if len(failures) < 3 and world.runtime.store.get_chain(f"command:{command}").seq > 3:
            failures.append(True)
            raise ChainUnreachableError("no blockhash")
        return honest()

    monkeypatch.setattr(world.runtime.chain, "blockhash", blockhash)
    command = world.send("attack_pool", pool_id=pools[0], kind="whale", side="A", amount=99)
    answer = world.answer(command)["ok"]
    assert failures
    assert answer["outcomes"] == {"confirmed": 2}


def test_killed_at_every_step_it_attacks_once(world, pools, monkeypatch):
    killed: set[int] = set()
    store, step = world.runtime.store, world.step
    commit = store.commit

    def dying_commit(_, written):
        begun = written.begun
        mine = begun.chain_id == f"command:{command_id}" and begun.seq not in killed
        if mine and begun.seq % 2:
            killed.add(begun.seq)
            raise Killed
        found = commit(written)
        if mine and len(killed) < 8:
            killed.add(begun.seq)
            raise Killed
        return found

    def surviving():
        try:
            step()
        except Killed:  # the lease of the dead step has passed when it is delivered again
            store._edge.call("HSET", f"frt:chain:command:{command_id}", "lease_until_ms", "0")

    monkeypatch.setattr(type(store), "commit", dying_commit)
    command_id = world.send("attack_pool", pool_id=pools[0], kind="whale", side="A", amount=77_777)
    monkeypatch.setattr(world, "step", surviving)
    answer = world.answer(command_id)["ok"]
    assert answer["outcomes"] == {"confirmed": 2}
    assert answer["left"]["token_a"] == 77_777
    assert len(killed) >= 4


def test_the_books_close_over_all_of_it(world, tmp_path):
    world.until(lambda: not world.runtime.store.live_chains(), "every chain ending", timeout_s=90)
    assert world.runtime.store.faults() == []
    result = run_audit(world.runtime, journal_path=tmp_path / "journal.jsonl", settle_timeout_s=5)
    assert result.violations == []
    assert (result.unexplained_units, result.unexplained_lamports) == (0, 0)
