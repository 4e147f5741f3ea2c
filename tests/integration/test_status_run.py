"""Every field of a thread's status, in a seeded run, against an independent reading of the chain and the journal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.chains import ChainKind, pool_chain_id
from domain.state import ThreadState
from tests.support.api_kit import make_api
from tests.support.driver import Driver, driver
from tests.support.mon_paths import MON_PATHS, values_at
from tests.support.status_book import Book, Member
from tests.support.status_chain import Chain
from tests.support.status_expected import expected
from tests.unit.test_status_fields import problems

ERROR_LIMIT = 2
ROUNDS = 3
RESERVE, SIGNATURE_FEE = 890_880, 5_000

# Compared below within the brackets of what the test itself did, not to the unit.
BRACKETED = {
    "thread_identity.created_at",
    "thread_identity.started_at",
    "wallet_data.last_balance_check",
    "statistics.timing_stats.operations_per_minute",
    "statistics.timing_stats.total_active_time_seconds",
    "health_monitoring.performance_indicators.time_since_last_success_seconds",
    "health_monitoring.performance_indicators.operations_behind_schedule",
    "health_monitoring.operational_status",
    "health_monitoring.resource_status.sol_sufficient",
    "health_monitoring.resource_status.tokens_sufficient",
    "health_monitoring.resource_status.lp_tokens_sufficient",
    "health_monitoring.resource_status.next_scheduled_operation",
    "recent_errors.[].error",
    "error_monitoring.recent_errors.[].error_message",
    "error_monitoring.recent_errors.[].recovery_action",
}
# A running pool moves on between a snapshot and the test's own look at it.
OF_A_QUIET_POOL = ("pool_impact.estimated_pool_fee_contribution", "pool_impact.thread_liquidity_share")


class Run(Driver):
    """A pool with threads of all kinds; no probes, whose fees are no thread's."""

    def step(self) -> None:
        for chain_id, _ in self.runtime.store.live_chains():
            if not chain_id.startswith("probe:"):
                self.deliver(chain_id)

    def create(self) -> None:
        pool = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}
        self.pool_id = self.call("create_pool", **pool)["pool_id"]
        self.chain = Chain(self.localnet)
        self.members: list[Member] = []
        self.created: dict[str, tuple[int, int]] = {}
        big, small = {"initial_amount": 10**12}, {"initial_amount": 2, "auto_refill": True}
        self._add("deposit", "A", token_type="A", **big)
        self._add("deposit", "A", token_type="A", initial_amount=10**11)
        self._add("deposit", "B", token_type="B", **small)
        self._add("deposit", "B", token_type="B", **big)
        self._add("withdrawal", "A", token_type="A")
        self._add("withdrawal", "A", token_type="A")
        self._add("swap", "A", direction="a_to_b", **big)
        self._add("swap", "B", direction="b_to_a", **big)

    def _add(self, kind: str, side: str, **params: Any) -> None:
        before = self.runtime.store.now_ms()
        made = self.call(f"create_{kind}_thread", pool_id=self.pool_id, **params)
        self.created[made["thread_id"]] = (before, self.runtime.store.now_ms())
        member = Member(
            thread_id=made["thread_id"],
            kind=kind,
            side=side,
            wallet=made["wallet_address"],
            accounts=self.chain.token_accounts(made["wallet_address"]),
            auto_refill=params.get("auto_refill", False),
        )
        self.members.append(member)

    @property
    def names(self) -> list[str]:
        return [member.thread_id for member in self.members]

    def state(self, name: str) -> ThreadState:
        record = self.runtime.store.get_chain(name)
        assert record is not None
        return ThreadState.from_text(record.state)

    def session(self) -> None:
        """Operations of every thread, refusals in a pause, operations again.

        The threads start in a pause: nobody pays anybody then, so each session begins with no payment under way.
        """
        pause = {"pool_id": self.pool_id, "liquidity": True, "swaps": True}
        self.call("pause_pool", **pause)
        self.journal_from = len(self.journal())
        self.started: dict[str, tuple[int, int]] = {}
        for name in self.names:
            before = self.runtime.store.now_ms()
            self.call("start_thread", thread_id=name)
            self.started[name] = (before, self.runtime.store.now_ms())
        self._until_all(lambda state: state.session_slot, "the beginning of every session")
        self.call("unpause_pool", **pause)
        self._until_all(lambda state: state.session.confirmed >= ROUNDS, "operations of every thread")
        self.call("pause_pool", **pause)
        self._until_all(lambda state: state.session.failed_expected >= ERROR_LIMIT, "refusals for every thread")
        self.call("unpause_pool", **pause)
        counts = {name: self.state(name).session.confirmed for name in self.names}
        self.until(
            lambda: all(self.state(name).session.confirmed > counts[name] for name in self.names),
            "operations after the pause",
        )

    def _until_all(self, condition: Any, description: str) -> None:
        self.until(lambda: all(condition(self.state(name)) for name in self.names), description, 60)

    def stop(self) -> None:
        self.stopped: dict[str, tuple[int, int]] = {}
        for name in self.names:
            before = self.runtime.store.now_ms()
            self.call("stop_thread", thread_id=name)
            self.stopped[name] = (before, self.runtime.store.now_ms())
        for kind in (ChainKind.SHARE, ChainKind.REFILL):
            chain_id = pool_chain_id(kind, self.pool_id)
            self.until(lambda chain_id=chain_id: not self.runtime.store.get_chain(chain_id).live, f"the end of {kind}")

    def journal(self) -> list[str]:
        return [line for _, line in self.runtime.store.read_journal(count=100_000)]

    def book(self, *, running: bool) -> Book:
        names = set(self.names) if running else set()
        more = {"session_from": self.journal_from, "running": names}
        return Book.read(self.chain, self.pool_id, self.members, self.journal(), **more)

    def shown(self) -> dict[str, dict[str, Any]]:
        """Each thread's status as a web server that has just started gives it, which is what it lists too."""
        before = self.runtime.store.now_ms()
        api = make_api(self.runtime.store._edge._client, error_history_limit=ERROR_LIMIT)
        listed = {one["thread_id"]: one for one in api.result("get_all_threads")["threads"]}
        found = {name: api.result("get_thread_status", {"thread_id": name}) for name in self.names}
        self.shown_at = (before, self.runtime.store.now_ms())
        assert set(listed) == set(found)
        for name, status in found.items():
            assert problems("get_thread_status", status) == []
            for section in ("verification_totals", "cost_tracking", "pool_integration", "error_monitoring", "balances"):
                assert listed[name][section] == status[section]
        return found


@pytest.fixture(scope="module", name="run")
def run_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    # An answer that a busy machine delays is no error of the threads'.
    settings = {"error_history_limit": ERROR_LIMIT, "rpc_timeout_ms": 4_000}
    with driver(tmp_path_factory.mktemp("status"), seed=11, settings=settings) as world:
        run = Run(world.runtime, world.localnet)
        run.create()
        yield run


def differences(run: Run, shown: dict[str, dict[str, Any]], *, running: bool) -> list[str]:
    book = run.book(running=running)
    found = []
    for member in run.members:
        status = shown[member.thread_id]
        wanted = expected(book, member, slot=status["wallet_data"]["balance_slot"], error_limit=ERROR_LIMIT)
        if running:
            wanted = {path: value for path, value in wanted.items() if not path.endswith(OF_A_QUIET_POOL)}
        for path, value in wanted.items():
            values = values_at(status, path)
            actual = values if "[]" in path else values[0]
            if actual != value:
                found.append(f"{member.thread_id} {path}: {actual!r}, by the chain {value!r}")
        if not running:
            assert uncompared(member.kind, set(wanted)) == []
        found += brackets(run, member, status, running=running)
    return found


def uncompared(kind: str, compared: set[str]) -> list[str]:
    """Listed fields that no comparison covers; one of a whole object covers what is in it."""
    known = compared | BRACKETED
    paths = [path for kinds, paths in MON_PATHS.values() if kind in kinds for path in paths]
    return [path for path in paths if not any(path == one or path.startswith(f"{one}.") for one in known)]


def brackets(run: Run, member: Member, status: dict[str, Any], *, running: bool) -> list[str]:
    name, identity, health = member.thread_id, status["thread_identity"], status["health_monitoring"]
    begun, ended = run.started[name], run.shown_at if running else run.stopped[name]
    active = (max(0, ended[0] - begun[1]), ended[1] - begun[0])
    timing = status["statistics"]["timing_stats"]
    attempts = status["statistics"]["operation_counts"]["total_attempts"]
    moments = {
        "created_at": (identity["created_at"], run.created[name]),
        "started_at": (identity["started_at"], begun),
        "last_balance_check": (status["wallet_data"]["last_balance_check"], (begun[0], ended[1])),
    }
    wrong = [f"{name} {what}: {text}" for what, (text, limits) in moments.items() if not within(text, limits)]
    if not active[0] // 1000 <= timing["total_active_time_seconds"] <= active[1] // 1000:
        wrong.append(f"{name} total_active_time_seconds {timing}, {active}")
    rates = [attempts * 60_000 / each if each else float("inf") for each in reversed(active)]
    if not rates[0] - 0.01 <= timing["operations_per_minute"] <= rates[1] + 0.01:
        wrong.append(f"{name} operations_per_minute {timing}, {rates}")
    success = health["performance_indicators"]
    passed = [(at_ms - parsed(success["last_successful_operation"])) / 1000 for at_ms in run.shown_at]
    if not passed[0] - 2 <= success["time_since_last_success_seconds"] <= passed[1]:
        wrong.append(f"{name} time_since_last_success_seconds {success}, {passed}")
    wrong += resources(run, member, status, running=running)
    for one in status["error_monitoring"]["recent_errors"]:
        if f"{one['error_name']} in {name}/" not in one["error_message"] or "waits until" not in one["recovery_action"]:
            wrong.append(f"{name} {one}")
    return wrong


def resources(run: Run, member: Member, status: dict[str, Any], *, running: bool) -> list[str]:
    pool, held = run.chain.pool(run.pool_id), status["balances"]
    fee = pool.swap_fee if member.kind == "swap" else pool.liquidity_fee
    side = member.side.lower()
    into, out = (pool.ratio_a, pool.ratio_b) if side == "a" else (pool.ratio_b, pool.ratio_a)
    tokens = {"deposit": held[f"token_{side}"], "withdrawal": 1, "swap": held[f"token_{side}"] * out // into}
    wanted = {
        "sol_sufficient": held["sol"] - fee - SIGNATURE_FEE >= RESERVE,
        "tokens_sufficient": tokens[member.kind] >= 1,
        "lp_tokens_sufficient": member.kind != "withdrawal" or held["lp_tokens"] >= 1,
        "next_scheduled_operation": None,
    }
    failures = status["health_monitoring"]["performance_indicators"]["consecutive_failures"]
    overall = "warning" if False in wanted.values() or failures >= 3 else "healthy"
    if running:
        due = dict(run.runtime.store.live_chains())[member.thread_id]
        wanted["next_scheduled_operation"] = datetime.fromtimestamp(due // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    shown = status["health_monitoring"]
    actual = {**shown["resource_status"], "overall": shown["operational_status"]}
    wanted |= {"overall": overall if running else "stopped"}
    behind = shown["performance_indicators"]["operations_behind_schedule"]
    return [f"{member.thread_id}: {actual}, by the chain {wanted}"] * (actual != wanted) + [f"behind {behind}"] * behind


def parsed(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()) * 1000


def within(text: str, limits: tuple[int, int]) -> bool:
    """Shown to the second, rounded down."""
    return limits[0] - 1000 < parsed(text) <= limits[1]


def test_a_new_thread_shows_what_its_wallet_holds(run: Run) -> None:
    shown = run.shown()
    for member in run.members:
        balances = shown[member.thread_id]["balances"]
        account = run.chain.call("getBalance", member.wallet, {"commitment": "confirmed"})
        assert balances["sol"] == account["value"]
        tokens = {one["mint"]: one for one in token_amounts(run, member)}
        pool = run.chain.pool(run.pool_id)
        for name, mint in (("token_a", pool.mint_a), ("token_b", pool.mint_b), ("lp_token_a", pool.lp_mint_a)):
            assert balances[name] == (int(tokens[mint]["amount"]) if mint in tokens else 0)
        assert shown[member.thread_id]["health_monitoring"]["operational_status"] == "stopped"
        assert shown[member.thread_id]["thread_identity"]["started_at"] is None


def token_amounts(run: Run, member: Member) -> list[dict[str, Any]]:
    found = []
    for mint, account in member.accounts.items():
        value = run.chain.call("getTokenAccountBalance", account, {"commitment": "confirmed"})["value"]
        found.append({"mint": mint, "amount": value["amount"]})
    return found


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_field_is_what_the_chain_and_the_journal_say(run: Run) -> None:
    run.session()
    first = run.shown()
    assert differences(run, first, running=True) == []
    run.stop()
    stopped = run.shown()
    assert differences(run, stopped, running=False) == []
    assert stopped["deposit_3"]["deposit_specific"]["funding_info"]["times_refilled"] >= 1
    assert len(stopped["withdrawal_1"]["withdrawal_specific"]["lp_token_sources"]["lp_sharing_sources"]) == 2
    run.session()
    again = run.shown()
    assert differences(run, again, running=True) == []
    run.stop()
    last = run.shown()
    assert differences(run, last, running=False) == []
    for name in run.names:
        moments = [each[name]["lifetime"]["statistics"]["operation_counts"] for each in (first, again)]
        assert moments[0]["total_attempts"] < moments[1]["total_attempts"], "MON-97: the answer follows the run"
        lifetime = last[name]["lifetime"]["statistics"]["operation_counts"]["total_attempts"]
        sessions = [each[name]["statistics"]["operation_counts"]["total_attempts"] for each in (stopped, last)]
        assert lifetime == sum(sessions)
        assert len(last[name]["recent_errors"]) == ERROR_LIMIT
    assert run.runtime.store.faults() == []
