"""What is called, in an order that makes sense, and what must have come of it. Each step goes on where others fail."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

from api.client import Client
from ops.api_check.checker import Checker, CheckFailedError
from ops.redis_server import ROLE as REDIS
from ops.stack import CONTROL, LOCALNET

AMOUNT = 10**10
SIDE_A, SIDE_B = "A", "B"
NOBODY = "nobody-knows-this"
SHORT = 9 * 10**15  # lamports that no core wallet has
MOST = 2**64 - 1  # units that a mint with any supply cannot give
RACES = 5
QUIET_S = 5.0  # longer than the longest pause between two cycles
RECIPIENT = "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin"


@dataclass(slots=True, kw_only=True)
class Scene:
    """What the steps share. Inside ``frozen`` the processes of a role stand still; inside ``locked_out`` nobody can
    open the wallet of a thread that has not run before.
    """

    check: Checker
    reader: Client  # with a key that may only read
    stranger: Client  # without a key
    frozen: Callable[[str], AbstractContextManager[None]]
    locked_out: Callable[[str], AbstractContextManager[None]]
    pool: str = ""
    other_pool: str = ""
    threads: dict[str, str] = field(default_factory=dict)  # our name -> thread id

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.check.ok("get_thread_status", thread_id=self.threads[name])
        return found

    def confirmed(self, name: str) -> int:
        counts = self.status(name)["statistics"]
        return sum(counts[f"successful_{kind}"] for kind in ("deposits", "withdrawals", "swaps"))


def description(scene: Scene) -> None:
    document = scene.check.ok("rpc.discover")
    named = {method["name"] for method in document["methods"]}
    scene.check.effect("rpc.discover", "get_thread_status" in named, "the document does not name get_thread_status")


def keys(scene: Scene) -> None:
    scene.check.refused("list_pools", -32001, client=scene.stranger)
    scene.check.refused("create_pool", -32002, client=scene.reader)


def create_pools(scene: Scene) -> None:
    check = scene.check
    wanted = {"token_a_decimals": 9, "token_b_decimals": 6, "ratio_whole_number": 160, "ratio_direction": "a_to_b"}
    made = check.ok("create_pool", **wanted, command_id="api-check-pool")
    again = check.ok("create_pool", **wanted, command_id="api-check-pool")
    check.effect("create_pool", made == again, "the same command_id acted twice")
    ratio = (made["ratio_a_numerator"], made["ratio_b_denominator"])
    check.effect("create_pool", ratio == (10**9, 160 * 10**6), f"the ratio is {ratio}")
    scene.pool = made["pool_id"]
    scene.other_pool = check.ok("create_pool_random")["pool_id"]
    listed = [pool["pool_id"] for pool in check.ok("list_pools")["pools"]]
    check.effect("list_pools", listed == [scene.pool, scene.other_pool], f"the registry holds {listed}")
    check.ok("get_pool", pool_id=scene.pool)
    check.refused("get_pool", -1002, pool_id=NOBODY)
    check.refused("create_pool", -32602, token_a_decimals=10)
    check.refused("create_pool", -32602, surprise=1)


def deposit_thread(scene: Scene, side: str) -> str:
    params = {"pool_id": scene.pool, "token_type": side, "initial_amount": AMOUNT, "auto_refill": True}
    return str(scene.check.ok("create_deposit_thread", **params)["thread_id"])


def create_threads(scene: Scene) -> None:
    check, pool = scene.check, scene.pool
    scene.threads |= {"deposit": deposit_thread(scene, "A"), "deposit_b": deposit_thread(scene, "B")}
    made = check.ok("create_withdrawal_thread", pool_id=pool, token_type=SIDE_A)
    scene.threads["withdrawal"] = made["thread_id"]
    for direction in ("a_to_b", "b_to_a"):
        made = check.ok("create_swap_thread", pool_id=pool, direction=direction, initial_amount=AMOUNT)
        scene.threads[direction] = made["thread_id"]
    check.refused("create_swap_thread", -1001, pool_id=pool, direction="a_to_b", initial_amount=1)
    check.refused("create_deposit_thread", -1002, pool_id=NOBODY, token_type=SIDE_A, initial_amount=1)
    check.refused("start_thread", -1004, thread_id=NOBODY)
    listed = check.ok("list_threads", pool_id=pool, kind="swap", direction="b_to_a")
    check.effect("list_threads", [one["thread_id"] for one in listed["threads"]] == [scene.threads["b_to_a"]], "filter")
    page = check.ok("list_threads", limit=2, offset=1)
    check.effect("list_threads", (len(page["threads"]), page["total"]) == (2, 5), f"a page of {page['total']}")


def fund(scene: Scene) -> None:
    check, thread_id = scene.check, scene.threads["deposit"]
    before = scene.status("deposit")["balances"]
    check.ok("fund_thread", thread_id=thread_id, funding_type="sol", amount=10**9)
    check.ok("fund_thread", thread_id=thread_id, funding_type="token_a", amount=12_345)
    after = scene.status("deposit")["balances"]
    gained = {name: after[name] - before[name] for name in ("sol", "token_a")}
    check.effect("fund_thread", gained == {"sol": 10**9, "token_a": 12_345}, f"the balances grew by {gained}")
    check.ok("fund_thread", thread_id=scene.threads["withdrawal"], funding_type="lp_tokens", amount=1_000_000)
    check.refused("fund_thread", -1007, thread_id=thread_id, funding_type="sol", amount=SHORT)
    check.refused("fund_thread", -1004, thread_id=NOBODY, funding_type="sol", amount=1)
    sent = check.ok(
        "mint_and_send_tokens", pool_id=scene.pool, token_type=SIDE_B, recipient_address=RECIPIENT, amount=777
    )
    check.effect("mint_and_send_tokens", sent["amount_minted"] == 777, f"{sent['amount_minted']} were minted")
    check.refused(
        "mint_and_send_tokens", -1002, pool_id=NOBODY, token_type=SIDE_B, recipient_address=RECIPIENT, amount=1
    )
    brought = check.ok("airdrop_sol", amount=10**9)
    check.effect("airdrop_sol", brought["amount"] == 10**9, "another amount came")
    check.refused("airdrop_sol", -1006, amount=SHORT)  # above what the faucet gives
    before = check.ok("list_threads")
    error = check.refused("create_deposit_thread", -32602, pool_id=scene.pool, token_type=SIDE_B, initial_amount=MOST)
    check.effect("create_deposit_thread", "initial_amount: at most" in error.message, error.message)
    check.effect("create_deposit_thread", check.ok("list_threads") == before, "the thread is there all the same")


def contract_refuses(scene: Scene) -> None:
    """Two mints at once, each of which fits alone: for the program the second one overflows the supply."""
    check = scene.check
    for race in range(RACES):
        mint: dict[str, Any] = {"token_type": SIDE_A, "recipient_address": RECIPIENT, "amount": MOST}
        mint["pool_id"] = check.ok("create_pool_random")["pool_id"]
        both = [f"api-check-mint-{race}-{number}" for number in range(2)]
        with scene.frozen(CONTROL):
            for command_id in both:
                check.refused("mint_and_send_tokens", -1009, **mint, command_id=command_id)
        (error, *_) = [*filter(None, (check.refusal("mint_and_send_tokens", each) for each in both)), None]
        if error is not None and error.code == -1008:
            check.effect("mint_and_send_tokens", error.data["code"] == "Custom(14)", str(error.data))
            return
    check.effect("mint_and_send_tokens", condition=False, text=f"none of {RACES} races was one")


def run_all(scene: Scene) -> None:
    check = scene.check
    for thread_id in scene.threads.values():
        check.ok("start_thread", thread_id=thread_id)
    for name in scene.threads:
        check.until("start_thread", partial(scene.confirmed, name), f"{name}: no operation confirmed")
    check.refused("start_thread", -1005, thread_id=scene.threads["deposit"])
    check.refused("delete_thread", -1005, thread_id=scene.threads["deposit"])
    check.refused("run_audit", -1005)
    everyone = check.ok("get_all_threads")
    check.effect("get_all_threads", everyone["summary"]["running_threads"] == 5, str(everyone["summary"]))
    seen = check.until("get_pool", lambda: check.ok("get_pool", pool_id=scene.pool)["observed"], "never observed")
    check.effect("get_pool", seen["reserve_a"] > 0, "the pool holds nothing")


def watch(scene: Scene) -> None:
    check, thread_id = scene.check, scene.threads["deposit"]
    entries = check.ok("get_journal", thread_id=thread_id, event="settled", limit=5)
    own = [entry["op"].startswith(f"{thread_id}/") for entry in entries["entries"]]
    check.effect("get_journal", own and all(own), "no settled operation of a thread that has some")
    check.effect("get_journal", entries["spilled"], "the journal's file is not seen")
    first = check.ok("get_journal", order="oldest", limit=1)
    following = check.ok("get_journal", order="oldest", limit=1, cursor=first["next_cursor"])
    check.effect("get_journal", first["entries"] != following["entries"], "the cursor does not go on")
    check.refused("get_journal", -32602, cursor="x")
    faults = check.ok("get_faults")
    check.effect("get_faults", faults["count"] == 0, f"faults were found: {faults['faults'][:1]}")
    core = check.until(
        "core_wallet_status",
        lambda: next((seen for seen in [check.ok("core_wallet_status")] if seen["lamports"] is not None), None),
        "the supervisor has not seen the balance",
    )
    check.effect("core_wallet_status", core["address"] and core["lamports"] > 0, str(core))


def administer(scene: Scene) -> None:
    check, pool = scene.check, scene.pool

    def flags() -> dict[str, bool]:
        shown: dict[str, bool] = check.ok("get_pool", pool_id=pool)["policy"][-1]
        return shown

    check.ok("pause_pool", pool_id=pool)
    shown = flags()
    check.effect("pause_pool", shown["liquidity_paused"] and shown["swaps_paused"], str(shown))
    check.ok("consolidate_pool_fees", pool_ids=[pool])
    check.ok("unpause_pool", pool_id=pool)
    shown = flags()
    check.effect("unpause_pool", not shown["liquidity_paused"] and not shown["swaps_paused"], str(shown))
    check.ok("set_swap_owner_only", pool_id=pool, enable=True)
    check.effect("set_swap_owner_only", flags()["swap_owner_only"], "the flag is not set")
    check.ok("set_swap_owner_only", pool_id=pool, enable=False)
    changed = check.ok("update_pool_fees", pool_id=pool, liquidity_fee=1_400_000)
    check.effect("update_pool_fees", changed["liquidity_fee"] == 1_400_000, str(changed))
    check.refused("update_pool_fees", -32602, pool_id=pool, liquidity_fee=1)
    check.refused("pause_pool", -1002, pool_id=NOBODY)
    check.refused("set_swap_owner_only", -1002, pool_id=NOBODY, enable=True)
    check.refused("consolidate_pool_fees", -1002, pool_ids=[NOBODY])


def slow_command(scene: Scene) -> None:
    """Past the request's time a command goes on, and get_command tells how it ended."""
    check, thread_id = scene.check, scene.threads["b_to_a"]
    with scene.frozen(CONTROL):
        error = check.refused("stop_thread", -1009, thread_id=thread_id, command_id="api-check-slow")
        command = check.ok("get_command", command_id=error.data["command_id"])
        check.effect("get_command", command["status"] == "running", str(command))
    check.fits("stop_thread", check.client.wait_for("api-check-slow"))
    command = check.ok("get_command", command_id="api-check-slow")
    check.effect("get_command", command["status"] == "done", str(command))
    check.refused("get_command", -32602, command_id=NOBODY)


def chain_away(scene: Scene) -> None:
    """A command that cannot ask the chain says so, and goes on by itself once it can."""
    check = scene.check
    mint: dict[str, Any] = {"pool_id": scene.pool, "token_type": SIDE_B, "recipient_address": RECIPIENT, "amount": 1}

    def unreachable() -> Any:
        return check.ok("get_command", command_id="api-check-away")["unreachable"]

    with scene.frozen(LOCALNET):
        check.refused("mint_and_send_tokens", -1009, **mint, command_id="api-check-away")
        check.until("get_command", unreachable, "it does not say that the chain is unreachable")
    check.fits("mint_and_send_tokens", check.client.wait_for("api-check-away"))
    check.effect("get_command", unreachable() is None, "it says so although it has ended")


def in_error(scene: Scene) -> None:
    """A wallet that cannot be opened stops its thread; it comes back once it can."""
    check = scene.check
    thread_id = deposit_thread(scene, "B")
    scene.threads["broken"] = thread_id
    with scene.locked_out(thread_id):
        check.ok("start_thread", thread_id=thread_id)
        check.until("get_thread_status", lambda: scene.status("broken")["status"] == "error", "not in error")
        check.refused("empty_thread", -1003, thread_id=thread_id)
    check.ok("start_thread", thread_id=thread_id)


def wind_down(scene: Scene) -> None:
    check, thread_id = scene.check, scene.threads["deposit"]
    check.ok("stop_thread", thread_id=thread_id)
    check.refused("stop_thread", -1005, thread_id=thread_id)
    emptied = check.ok("empty_thread", thread_id=thread_id)
    check.effect("empty_thread", emptied["post_empty_balances"]["token_a_balance"] == 0, str(emptied))
    check.until("get_thread_sessions", lambda: sessions(scene, thread_id), "no session is on record")
    check.ok("delete_thread", thread_id=thread_id)
    check.refused("get_thread_status", -1004, thread_id=thread_id)
    check.refused("get_thread_sessions", -1004, thread_id=NOBODY)


def sessions(scene: Scene, thread_id: str) -> Any:
    return scene.check.ok("get_thread_sessions", thread_id=thread_id, limit=3)["sessions"]


def pause(scene: Scene) -> None:
    """What is open settles, nothing new is submitted for longer than any cycle waits, until the service is resumed."""
    check, quiet = scene.check, Quiet(newest_submission(scene), monotonic())
    check.ok("pause")
    check.until("pause", lambda: quiet.lasts(newest_submission(scene)), "something is submitted all the time")
    check.ok("resume")
    check.until("resume", lambda: newest_submission(scene) != quiet.newest, "nothing is submitted any more")


@dataclass(slots=True)
class Quiet:
    """Since when the newest submission has been the newest."""

    newest: Any
    since_s: float

    def lasts(self, newest: Any) -> bool:
        if newest != self.newest:
            self.newest, self.since_s = newest, monotonic()
        return monotonic() > self.since_s + QUIET_S


def newest_submission(scene: Scene) -> Any:
    return scene.check.ok("get_journal", thread_id=scene.threads["deposit_b"], event="submitted", limit=1)["entries"]


def many(scene: Scene) -> None:
    check = scene.check
    template = {"kind": "deposit", "pool_id": scene.other_pool, "token_type": SIDE_A, "initial_amount": AMOUNT}
    made = check.ok("create_threads", count=3, template=template)
    ids = [entry["thread_id"] for entry in made["results"]]
    check.effect("create_threads", len(set(ids)) == 3 and made["succeeded"] == 3, str(made)[:300])
    check.refused("create_threads", -1002, count=1, template=template | {"pool_id": NOBODY})
    check.refused("stop_threads", -32602, thread_ids=ids, all=True)
    started = check.ok("start_threads", thread_ids=[*ids, NOBODY])
    check.effect("start_threads", (started["succeeded"], started["failed"]) == (3, 1), str(started)[:300])
    stopped = check.ok("stop_threads", thread_ids=ids[:1])
    check.effect("stop_threads", stopped["succeeded"] == 1, str(stopped)[:300])
    stopped = check.ok("stop_all_pool_threads", pool_id=scene.other_pool)
    check.effect("stop_all_pool_threads", stopped["succeeded"] == 2, str(stopped)[:300])
    deleted = check.ok("delete_threads", thread_ids=ids)
    check.effect("delete_threads", deleted["succeeded"] == 3, str(deleted)[:300])
    check.effect("delete_threads", not check.ok("list_threads", pool_id=scene.other_pool)["total"], "they are listed")


def stop_everything(scene: Scene) -> None:
    check = scene.check
    stopped = check.ok("stop_all")
    check.effect("stop_all", stopped["succeeded"] > 0 and not stopped["failed"], str(stopped)[:300])
    check.effect("stop_all", not check.ok("list_threads", status="running")["total"], "threads are running")
    check.ok("stop_service")
    check.ok("resume")


def audit(scene: Scene) -> None:
    check = scene.check
    result = check.ok("run_audit")
    check.effect("run_audit", result["verdict"] == "pass", f"violations: {result['violations'][:2]}")


def store_away(scene: Scene) -> None:
    """Reads say that the store does not answer, and are right again once it does."""
    check = scene.check
    with scene.frozen(REDIS):
        check.refused("list_pools", -32000)
    check.until("list_pools", lambda: isinstance(check.client.batch([("list_pools", {})])[0], dict), "no answer again")


STEPS: tuple[Callable[[Scene], None], ...] = (
    description,
    keys,
    create_pools,
    create_threads,
    fund,
    contract_refuses,
    run_all,
    watch,
    administer,
    slow_command,
    chain_away,
    in_error,
    wind_down,
    pause,
    many,
    stop_everything,
    audit,
    store_away,
)


def play(scene: Scene, tell: Callable[[str], None]) -> list[str]:
    """Every step; the texts of those that failed. A step whose ground is missing fails on its own."""
    failed = []
    for step in STEPS:
        tell(step.__name__.replace("_", " "))
        try:
            step(scene)
        except CheckFailedError as error:
            failed.append(f"{step.__name__}: {error}")
        except KeyError as error:
            failed.append(f"{step.__name__}: could not be made, {error} is missing")
    return failed
