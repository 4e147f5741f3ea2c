"""Every probe against the real program, against seeded bugs, and the chain that sends them beside real traffic."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.chains import ChainKind, pool_chain_id
from domain.probes import Verdict
from domain.probes_admin import restrict
from domain.probes_catalogue import BY_NAME, CATALOGUE
from ops.localnet.program.build import PROGRAM_SO, build
from ops.localnet.program.mutants import MUTANTS
from tests.support.driver import Driver, driver
from tests.support.probe_world import ProbeWorld

AMOUNT = 10**12
log = logging.getLogger(__name__)

# What only the booking of counters shows, in accounts that no instruction reads back: nets 1 to 3 must see these.
LEFT_TO_OTHER_NETS = {12, 44, 46, 48}
CATCHES = {
    5: "admin.trades.A.pay-the-pools-fees",
    10: "sandbox.A.swapped-out-is-gone",
    19: "admin.fees.unsigned",
    25: "admin.swap.A.paused-2",
    33: "swap.A.vault-is-token",
    38: "swap.A.delegated-target",
    40: "swap.A.expected-one-less",
    47: "treasury.A.open-pool-keeps-its-fees",
}


def verdicts(program: Path, names: list[str], ratio: tuple[int, int], **options) -> dict[str, str]:
    """Verdict (and code) by probe, over a fresh chain with two pools; "not made" where the scene has no use for it."""
    world = ProbeWorld(program, options.pop("decimals", (9, 6)))
    pool = world.add_pool(*ratio, **options)
    other = world.add_pool(1, 12_345)
    strangers = world.add_strangers(pool)
    world.prepare_accounts(pool, strangers)
    found = {}
    scene = world.scene(pool, strangers, other)
    for name in names:
        if name.startswith("real."):
            scene = world.scene(pool, strangers, other)
        judged = world.run(BY_NAME[name], scene)
        found[name] = "not made" if judged is None else judged.verdict.value
        if judged is not None and judged.verdict is not Verdict.OK:
            found[name] += f" ({judged.code})"
    return found


@pytest.mark.parametrize(
    ("ratio", "options"),
    [
        ((1_000_000_000, 160_000_000), {}),
        ((1_500_000_000, 1_000_000), {"exact": True}),
        ((1, 1), {"decimals": (0, 0)}),
        ((7, 1), {"decimals": (0, 9)}),
        ((1, 10**9), {"decimals": (6, 6)}),
    ],
)
def test_the_program_passes_every_probe(ratio, options):
    found = verdicts(PROGRAM_SO, list(BY_NAME), ratio, **options)
    assert {name: what for name, what in found.items() if what not in ("ok", "not made")} == {}
    assert sum(what == "ok" for what in found.values()) > len(CATALOGUE) - 120


def test_a_read_only_pool_is_refused_also_where_it_has_an_owner_already():
    """The runtime looks at what changed: naming the same owner again is no change."""
    world = ProbeWorld(PROGRAM_SO, (9, 6))
    pool = world.add_pool(1_000_000_000, 160_000_000)
    scene = world.scene(pool, world.add_strangers(pool), None)
    world.must(restrict(scene, scene.core), signers=(scene.core,))
    judged = world.run(BY_NAME["admin.owner-only.pool-readonly"], scene)
    assert judged is not None
    assert (judged.verdict, judged.code) == (Verdict.OK, "ReadonlyDataModified")


@pytest.mark.parametrize("number", CATCHES)
def test_a_seeded_bug_is_caught(number, tmp_path):
    program = build(tmp_path / "mutant.so", number)
    name = CATCHES[number]
    (what,) = verdicts(program, [name], (1_000_000_000, 160_000_000)).values()
    assert what.startswith("wrong"), (name, what)


@pytest.mark.extended
@pytest.mark.timeout(1800)
def test_every_seeded_bug_but_four_is_caught(tmp_path):
    """All of authority, flags, accounts, expected, overflow; a bug may also spoil the chain's own setup."""

    def catches(number: int) -> list[str]:
        try:
            found = verdicts(build(tmp_path / f"{number}.so", number), list(BY_NAME), (1_000_000_000, 160_000_000))
        except AssertionError:
            return ["setup"]
        return [name for name, what in found.items() if what.startswith("wrong")]

    caught = {mutant.number: catches(mutant.number) for mutant in MUTANTS}
    for mutant in MUTANTS:
        names = caught[mutant.number]
        log.info("%d %s: %s -> %d %s", mutant.number, mutant.group, mutant.description, len(names), names[:2])
    assert {number for number, names in caught.items() if not names} == LEFT_TO_OTHER_NETS


@pytest.mark.timeout(240)
def test_the_chain_reports_a_missing_refusal_as_a_fault_with_its_evidence(tmp_path):
    """Bug 18: Deposit does not check that the user signed. Honest traffic is not disturbed by it."""
    program = build(tmp_path / "mutant.so", 18)
    with driver(tmp_path, program=program) as running:
        pool_id, _ = pool_with_threads(running)
        (text, *_) = running.until(running.runtime.store.faults, "a fault", 120)
        fault = json.loads(text)
        assert fault["check"] == "PROBE-deposit.A.unsigned"
        assert "expected MissingRequiredSignature from action 0" in fault["message"]
        assert fault["pool_id"] == pool_id
        assert fault["chain_id"] == f"probe:{pool_id}"
        evidence = fault["evidence"]
        assert evidence["inputs"]["probe"] == "deposit.A.unsigned"
        assert evidence["wire"]
        assert any("invoke" in line for line in evidence["logs"])
        assert document(running, pool_id)["deal"]["wrong"] == {"deposit.A.unsigned": 1}
        assert {json.loads(found)["check"] for found in running.runtime.store.faults()} == {fault["check"]}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[Driver]:
    with driver(tmp_path_factory.mktemp("run")) as running:
        yield running


def pool_with_threads(world: Driver, **params) -> tuple[str, list[str]]:
    given = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}
    pool_id = world.call("create_pool", **given | params)["pool_id"]
    threads = []
    for side in "AB":
        params = {"pool_id": pool_id, "token_type": side}
        threads.append(world.call("create_deposit_thread", initial_amount=AMOUNT, **params)["thread_id"])
    for direction in ("a_to_b", "b_to_a"):
        params = {"pool_id": pool_id, "direction": direction, "initial_amount": AMOUNT}
        threads.append(world.call("create_swap_thread", **params)["thread_id"])
    for thread in threads:
        world.call("start_thread", thread_id=thread)
    return pool_id, threads


def document(world: Driver, pool_id: str) -> dict:
    record = world.runtime.store.get_chain(pool_chain_id(ChainKind.PROBE, pool_id))
    return json.loads(record.state or "{}") if record else {}


def stopped(world: Driver, pool_ids: list[str], threads: list[str]) -> None:
    for thread in threads:
        world.call("stop_thread", thread_id=thread)
    store = world.runtime.store
    chains = [pool_chain_id(ChainKind.PROBE, pool_id) for pool_id in pool_ids]
    world.until(lambda: not any(store.get_chain(chain).live for chain in chains), "the probe chains ending")


def counter(world: Driver, name: str) -> dict[str, int]:
    return {what: int(times) for what, times in world.runtime.store.counts(name).items()}


def faults(world: Driver) -> list[str]:
    return [text[:600] for text in world.runtime.store.faults()]


@pytest.mark.timeout(240)
def test_two_pools_get_through_the_catalogue_while_their_pools_are_paused_and_priced_anew(world):
    first, second = pool_with_threads(world), pool_with_threads(world, exact_exchange=True)
    pools, threads = [first[0], second[0]], [*first[1], *second[1]]
    quarter = len(CATALOGUE) // 8
    for round_number in range(1, 4):
        world.until(lambda n=round_number: document(world, pools[0])["deal"]["ran"] > n * quarter, "probes", 60)
        world.call("pause_pool", pool_id=pools[0], liquidity=round_number != 2, swaps=round_number != 1)
        world.call("set_swap_owner_only", pool_id=pools[1], enable=True, owner=str(world.runtime.chain.treasury))
        world.until(lambda n=round_number: document(world, pools[1])["deal"]["ran"] > n * quarter + 20, "probes", 60)
        world.call("unpause_pool", pool_id=pools[0], liquidity=True, swaps=True)
        world.call("set_swap_owner_only", pool_id=pools[1], enable=False)
        world.call("update_pool_fees", pool_id=pools[0], liquidity_fee=1_000_000 * round_number, swap_fee=100_000)
    world.until(lambda: len(counter(world, "probes")) >= len(CATALOGUE) - 10, "nearly all probes", 120)
    stopped(world, pools, threads)
    assert faults(world) == []
    known = {name for name in counter(world, "probes") if not name.startswith("setup.")}
    assert known <= set(BY_NAME)
    for pool_id in pools:
        totals = document(world, pool_id)["totals"]
        ended = sum(totals.get(name, 0) for name in ("confirmed", "failed_expected", "failed_unexpected", "expired"))
        assert totals["submitted"] == ended > len(CATALOGUE) // 4
        assert document(world, pool_id)["deal"]["wrong"] == {}


@pytest.mark.timeout(240)
def test_probes_that_expire_or_land_late_are_run_again_and_accounted_for(tmp_path):
    faults_on = {
        "early_expiry": {"probability": 0.1, "blocks": 3},
        "late_landing": {"probability": 0.2, "max_blocks": 20},
        "get_transaction_lag": {"probability": 0.2, "slots": 4},
        "lost_reply": {"probability": 0.03},
        "http_500": {"probability": 0.03},
        "reordered_batches": {"probability": 0.5},
    }
    with driver(tmp_path) as running:
        pool_id, threads = pool_with_threads(running)
        running.localnet.call("frt_setFaults", faults_on)
        running.until(lambda: document(running, pool_id).get("deal", {}).get("ran", 0) > 200, "probes", 120)
        expired = running.until(lambda: document(running, pool_id)["totals"].get("expired"), "an expiry", 60)
        running.localnet.call("frt_setFaults", {})
        stopped(running, [pool_id], threads)
        totals = document(running, pool_id)["totals"]
        assert faults(running) == []
        assert expired
        assert totals["submitted"] == sum(totals.get(end, 0) for end in ("confirmed", "failed_expected", "expired"))
        submitted = [json.loads(line) for _, line in running.runtime.store.read_journal("0-0", 100_000)]
        mine = [doc for doc in submitted if doc["op"].startswith("probe:")]
        assert len([doc for doc in mine if doc["event"] == "submitted"]) == totals["submitted"]
        assert len([doc for doc in mine if doc["event"] == "settled"]) == totals["submitted"]
