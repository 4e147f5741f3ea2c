"""Carries out a scenario's steps, and checks that each had its effect."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from solders.keypair import Keypair

from domain.chain.errors import RpcError
from domain.errors import CommandCode, StressError
from domain.facts import POOL_FLAG_LIQUIDITY_PAUSED, POOL_FLAG_OWNER_ONLY, POOL_FLAG_SWAPS_PAUSED
from domain.ids import PoolId
from domain.store.gateway import RedisStore
from domain.thread import ThreadStatus
from ops.run.fleet import Call, Fleet, call_all
from ops.scenario_steps import (
    Burst,
    Consolidate,
    Drain,
    Mint,
    OwnerOnly,
    Pause,
    PoolStep,
    SetFaults,
    Threads,
    Unpause,
    UpdateFees,
    Whale,
    expand_pools,
    step_title,
)
from tasks.client import Commands

NO_AUTHORITY: Final = ("Unauthorized", "InvalidAccountData", "UnauthorizedAccess")
SetChainFaults = Callable[[dict[str, Any]], Any]
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """``ok`` False fails the run. ``skipped``: the core wallet has no authority there, nothing was checked."""

    at_s: float
    title: str
    ok: bool
    skipped: bool
    detail: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Steps:
    """Bound to one run. ``local_chain``: a refusal for want of authority is an error there, elsewhere it is normal."""

    def __init__(
        self,
        commands: Commands,
        store: RedisStore,
        fleet: Fleet,
        set_faults: SetChainFaults,
        *,
        local_chain: bool,
        interrupted: Callable[[], bool],
    ) -> None:
        self._commands = commands
        self._store = store
        self._fleet = fleet
        self._set_faults = set_faults
        self._local_chain = local_chain
        self._interrupted = interrupted
        self._paused: dict[str, int] = {}  # pool name -> pause flags that our own steps have set

    def carry_out(self, step: PoolStep, at_s: float) -> StepResult:
        """Do it and look whether it worked. Never raises for a step that failed: the result says so."""
        names = expand_pools(step.pools, list(self._fleet.pools), "pools")
        try:
            ok, skipped, detail = self._act(step, names)
        except (StressError, RpcError) as error:
            ok, skipped, detail = False, False, str(error)
        return StepResult(at_s=round(at_s, 3), title=step_title(step), ok=ok, skipped=skipped, detail=detail)

    def _act(self, step: PoolStep, names: list[str]) -> tuple[bool, bool, str]:
        match step:
            case UpdateFees():
                wanted = {"liquidity_fee": step.liquidity_fee, "swap_fee": step.swap_fee}
                fees = {name: fee for name, fee in wanted.items() if fee is not None}
                return self._each(names, "update_pool_fees", fees, lambda answer: _shows(answer, fees))
            case Pause():
                flags = _pause_flags(step)
                outcome = self._pauses(names, "pause_pool", step, lambda shown: shown & flags == flags)
                self._note_pauses(names, lambda before: before | flags)
                return outcome
            case Unpause():
                flags = _pause_flags(step)
                outcome = self._pauses(names, "unpause_pool", step, lambda shown: shown & flags == 0)
                self._note_pauses(names, lambda before: before & ~flags)
                return outcome
            case OwnerOnly():
                wanted_flag = POOL_FLAG_OWNER_ONLY if step.enable else 0

                def owner_only(answer: Answer) -> str:
                    shown = answer.get("flags", -1) & POOL_FLAG_OWNER_ONLY
                    return "" if shown == wanted_flag else f"flags are {answer.get('flags')}"

                return self._each(names, "set_swap_owner_only", {"enable": step.enable}, owner_only)
            case Consolidate():
                return self._consolidate(names)
            case Threads():
                return self._threads(step, names)
            case Mint():
                recipient = step.recipient or str(Keypair().pubkey())
                params = {"token_type": step.side, "recipient_address": recipient, "amount": step.amount}
                minted = {"recipient_address": recipient, "amount_minted": step.amount}
                return self._each(names, "mint_and_send_tokens", params, lambda answer: _shows(answer, minted))
            case Whale():
                params = {"kind": "whale", "side": step.side, "amount": step.amount}
                return self._each(names, "attack_pool", params, lambda answer: _whale_returned(answer, step))
            case Burst():
                params = {"kind": "burst", "count": step.count}
                return self._each(names, "attack_pool", params, _attack_problem)
            case Drain():
                params = {"kind": "drain", "side": step.side}
                return self._each(names, "attack_pool", params, _drain_problem)
            case SetFaults():
                shown = self._set_faults(step.set)
                missing = sorted(set(step.set) - set(shown))
                return not missing, False, f"the chain did not take {missing}" if missing else json.dumps(shown)
        raise AssertionError(f"no such step: {step}")

    def _pauses(
        self, names: list[str], method: str, step: Pause | Unpause, right: Callable[[int], bool]
    ) -> tuple[bool, bool, str]:
        params = {"liquidity": step.liquidity, "swaps": step.swaps}

        def check(answer: Answer) -> str:
            return "" if right(answer.get("flags", 0)) else f"flags are {answer.get('flags')}"

        return self._each(names, method, params, check)

    def _note_pauses(self, names: list[str], change: Callable[[int], int]) -> None:
        for name in names:
            self._paused[name] = change(self._paused.get(name, 0))

    def _each(
        self, names: list[str], method: str, params: dict[str, Any], check: Callable[[Answer], str]
    ) -> tuple[bool, bool, str]:
        """The same command for several pools at once; ``check`` says what is wrong with an answer, "" when nothing."""
        calls = [Call(method=method, params={"pool_id": self._fleet.pools[name], **params}) for name in names]
        answers = call_all(self._commands, calls, interrupted=self._interrupted)
        wrong: list[str] = []
        refused: list[str] = []
        for name, answer in zip(names, answers, strict=True):
            if answer is None:
                wrong.append(f"{name}: no answer")
            elif "error" in answer:
                target = refused if self._lacks_authority(answer["error"]) else wrong
                target.append(f"{name}: {answer['error']['message']}")
            elif problem := check(answer["ok"]):
                wrong.append(f"{name}: {problem}")
        if wrong:
            return False, False, "; ".join(wrong)
        return True, bool(refused), "; ".join(refused) or f"done and seen on {', '.join(names)}"

    def _lacks_authority(self, error: dict[str, Any]) -> bool:
        refused = error.get("code") == CommandCode.CONTRACT_REFUSED
        return not self._local_chain and refused and (error.get("data") or {}).get("name") in NO_AUTHORITY

    def _consolidate(self, names: list[str]) -> tuple[bool, bool, str]:
        """Exactly the pools whose two pause flags are set must give their fees to the treasury."""
        ids = {self._fleet.pools[name]: name for name in names}
        call = Call(method="consolidate_pool_fees", params={"pool_ids": list(ids)})
        answer = call_all(self._commands, [call], interrupted=self._interrupted)[0]
        if answer is None or "error" in answer:
            error = {} if answer is None else answer["error"]
            return self._lacks_authority(error), self._lacks_authority(error), str(error.get("message", "no answer"))
        return self._judge_consolidation(answer["ok"], ids)

    def _judge_consolidation(self, answer: Answer, ids: dict[PoolId, str]) -> tuple[bool, bool, str]:
        both = POOL_FLAG_LIQUIDITY_PAUSED | POOL_FLAG_SWAPS_PAUSED
        wrong = []
        for pool in answer["pools"]:
            name, moved = ids[pool["pool_id"]], int(pool["lamports_moved"])
            eligible = self._paused.get(name, 0) & both == both
            if eligible != (moved > 0):
                wrong.append(f"{name}: {moved} lamports moved though it is {'' if eligible else 'not '}paused")
        moved, gained = int(answer["lamports_moved"]), int(answer["treasury_gained"])
        # On a shared chain others may pay the treasury in between.
        if gained < moved or (self._local_chain and gained != moved):
            wrong.append(f"{moved} lamports left the pools, the treasury gained {gained}")
        return not wrong, False, "; ".join(wrong) or f"{moved} lamports moved to the treasury"

    def _threads(self, step: Threads, names: list[str]) -> tuple[bool, bool, str]:
        """Orders to threads; afterwards each has the status that the order sets."""
        chosen = []
        for name in names:
            fitting = [a for a in self._fleet.actors if a.pool == name and (not step.kinds or a.kind in step.kinds)]
            chosen += fitting[: step.count]
        calls = [Call(method=f"{step.action}_thread", params={"thread_id": actor.thread_id}) for actor in chosen]
        answers = call_all(self._commands, calls, interrupted=self._interrupted)
        wrong = []
        for actor, answer in zip(chosen, answers, strict=True):
            if answer is None or "error" in answer:
                wrong.append(f"{actor.thread_id}: {'no answer' if answer is None else answer['error']['message']}")
        wanted = {"stop": ThreadStatus.STOPPED, "start": ThreadStatus.RUNNING}.get(step.action)
        if wanted is not None and not wrong:
            records = self._store.get_chains([actor.thread_id for actor in chosen])
            wrong = [f"{r.chain_id} is {r.status}" for r in records if r is not None and r.status is not wanted]
        return not wrong, False, "; ".join(wrong) or f"{step.action}: {len(chosen)} threads"


def _pause_flags(step: Pause | Unpause) -> int:
    liquidity = POOL_FLAG_LIQUIDITY_PAUSED if step.liquidity else 0
    return liquidity | (POOL_FLAG_SWAPS_PAUSED if step.swaps else 0)


def _attack_problem(answer: Answer) -> str:
    """Something of it went through, and every refusal is justified by the balances or a pause."""
    outcomes: dict[str, int] = answer["outcomes"]
    wrong = {name: times for name, times in outcomes.items() if name not in ("confirmed", "failed_expected")}
    if wrong or not outcomes.get("confirmed"):
        return f"the operations ended as {outcomes}"
    return ""


def _drain_problem(answer: Answer) -> str:
    swaps = sum(1 for made in answer["trades"] if made["kind"] == "swap")
    return _attack_problem(answer) or ("" if swaps else "nothing was swapped out")


def _whale_returned(answer: Answer, step: Whale) -> str:
    """What it withdrew is what it deposited, to the last unit."""
    problem = _attack_problem(answer)
    if problem:
        return problem
    left = answer["left"]
    token, lp = left[f"token_{step.side.lower()}"], left[f"lp_{step.side.lower()}"]
    return "" if (token, lp) in ((step.amount, 0), (0, step.amount)) else f"it is left with {left}"


def _shows(answer: Answer, wanted: dict[str, Any]) -> str:
    different = [f"{name} is {answer.get(name)}" for name, value in wanted.items() if answer.get(name) != value]
    return ", ".join(different)
