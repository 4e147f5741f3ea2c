"""The probe chain of a pool: sends transactions that must fail, and judges what became of them (DESIGN.md 6, net 4).

Started with the pool's first running thread; ends by itself, with every probe settled, when none runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from domain import operations as ops
from domain.chain.keyring import KeyMissingError
from domain.chain.keystore import KeystoreError
from domain.chain.transaction import TransactionTooLarge
from domain.evidence import faults_of
from domain.facts import Observation, Receipt
from domain.ids import PoolId
from domain.operations import Intent, Operation, OperationKind, Outcome
from domain.policy import Policy
from domain.pool import Side
from domain.probes import OK, Attempt, Judgement, Probe, Scene, Verdict, judge
from domain.probes_catalogue import BY_NAME, CATALOGUE, dealt, first_position
from domain.probes_real import SETUP, flow_of, setup, stocked
from domain.store.histogram import bucket_of
from tasks.cycles.payments import PaymentCycle
from tasks.cycles.probe_scene import addresses_of, scene_of
from tasks.draft import Draft
from tasks.walk import Cycle

IN_FLIGHT: Final = 6  # probes of one pool that may be open at once
LOCAL_IN_FLIGHT: Final = 24
CYCLES_FOR_ALL: Final = 14  # on a chain of our own the pools get through the catalogue together in so many cycles
KEPT_FOR_AGAIN: Final = 100
TRIES: Final = 4
COMPUTE_UNITS: Final = 400_000
MAX_COMPUTE_UNITS: Final = 1_380_000


def probe_cycle(cycle: Cycle) -> Draft:
    return ProbeCycle(cycle).run()


@dataclass(slots=True, kw_only=True)
class Deal:
    """What the chain remembers beside its totals: its place in the catalogue, and which probes to run again."""

    position: int = -1
    turn: int = 0
    ran: int = 0
    ok: int = 0
    wrong: dict[str, int] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)
    tries: dict[str, int] = field(default_factory=dict)  # of this round, so that what cannot be proved here ends
    other: str = ""  # another pool, whose accounts serve as foreign ones
    pools: int = 1

    @classmethod
    def from_text(cls, text: str) -> Deal:
        return cls(**json.loads(text or "{}").get("deal", {}))

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def repeat(self, name: str) -> None:
        tries = self.tries.get(name, 0)
        if name in BY_NAME and name not in self.again and tries < TRIES and len(self.again) < KEPT_FOR_AGAIN:
            self.again.append(name)
            self.tries[name] = tries + 1


class ProbeCycle(PaymentCycle):
    def __init__(self, cycle: Cycle) -> None:
        super().__init__(cycle)
        self.deal = Deal.from_text(self.begun.state)
        self.core = self.runtime.chain.keyring.core_address

    def run(self) -> Draft:
        intents, store = self.open_intents(), self.runtime.store
        running = sorted(store.running(self.pool.pool_id))
        acting = bool(running) and not self.begun.service_paused
        if not intents and not running and not store.outbox_length(self.pool.pool_id):
            self.draft.next_ms = None
            self.draft.end_only_if_pool_idle = True
        if intents or acting:
            seen = self.observe(intents, addresses_of(self.runtime, self.pool) if acting else ())
            if seen is None:
                self.draft.intents = intents
                return self.written()
            self.settle(intents, seen, self._settled)
            if acting and seen.slot >= self.state.last_slot and self.can_prepare():
                self._look_around()
                scene = scene_of(self.runtime, self.pool, seen, running, PoolId(self.deal.other))
                if scene is not None:
                    self._act(scene, seen)
        return self.written()

    def written(self) -> Draft:
        doc = json.loads(self.state.to_text()) | {"deal": self.deal.to_json()}
        self.draft.state = json.dumps(doc, separators=(",", ":"))
        return self.draft

    def _look_around(self) -> None:
        """How many pools there are decides the pace and the place to start at; seldom, because it reads them all."""
        if self.deal.position >= 0 and self.deal.ran % 50:
            return
        pools = [pool.pool_id for pool in self.runtime.store.list_pools()]
        index = pools.index(self.pool.pool_id) if self.pool.pool_id in pools else 0
        self.deal.pools = len(pools)
        self.deal.other = pools[(index + 1) % len(pools)] if len(pools) > 1 else ""
        if self.deal.position < 0:
            self.deal.position = first_position(index, len(pools))

    def _act(self, scene: Scene, seen: Observation) -> None:
        missing = {asset for asset, address in scene.own.items() if seen.accounts.get(address) is None}
        preparing = any(intent.inputs["probe"].startswith(SETUP) for intent in self.draft.intents)
        if not preparing:
            self._prepare_accounts(scene, seen, missing)
        if missing:
            return
        free = self._in_flight() - len(self.draft.intents)
        for _ in range(4 * LOCAL_IN_FLIGHT):
            if free <= 0:
                return
            probe = self._next()
            if self._send(probe.name, self._attempt(probe, scene), scene, seen):
                free -= 1

    def _in_flight(self) -> int:
        wanted = -(-len(CATALOGUE) // (self.deal.pools * CYCLES_FOR_ALL))
        # Many pools share the catalogue: each then sends few, so that probes stay a small part of the load.
        return min(wanted, LOCAL_IN_FLIGHT if self.runtime.settings.local_chain else IN_FLIGHT)

    def _prepare_accounts(self, scene: Scene, seen: Observation, missing: set[Any]) -> None:
        self._send(f"{SETUP}.accounts", setup(scene, missing), scene, seen)
        if not missing:
            for side in Side:
                self._send(f"{SETUP}.{side}.deposit", stocked(scene, side), scene, seen)

    def _next(self) -> Probe:
        # A turn is not a place: a probe that runs again must not take the place of one that has not run yet.
        self.deal.turn += 1
        if self.deal.again and self.deal.turn % 2:
            return BY_NAME[self.deal.again.pop(0)]
        self.deal.position += 1
        if self.deal.position % len(CATALOGUE) == 0:
            self.deal.tries.clear()
        return dealt(self.deal.position - 1)

    def _attempt(self, probe: Probe, scene: Scene) -> Attempt | None:
        if probe.admin and not scene.is_admin:
            return None
        return probe.make(scene)

    def _send(self, name: str, attempt: Attempt | None, scene: Scene, seen: Observation) -> bool:
        """Sign and note one probe; False where it cannot be made here and now."""
        if attempt is None:
            if name in BY_NAME:
                self.draft.count("probes_skipped", name)
            return False
        flow = flow_of(attempt, scene) if attempt.code == OK else {}
        operation = Operation(
            kind=OperationKind.PROBE,
            actions=attempt.actions,
            payer=self.core,
            signers=tuple(dict.fromkeys((self.core, *attempt.signers))),
            inputs={"probe": name, "expect": attempt.expectation(), "flow": flow},
            compute_units=compute_units(attempt),
            pool_id=self.pool.pool_id,
        )
        try:
            self.act(operation, seen.slot)
        except (KeyMissingError, KeystoreError, TransactionTooLarge) as error:
            # A deleted thread took its key along, a wallet cannot be opened, or one transaction is too small.
            self.draft.count("probes_skipped", f"{name}:{type(error).__name__}")
            return False
        return True

    def _book(self, intent: Intent, receipt: Receipt) -> Outcome:
        judgement = self._judge(intent, receipt)
        name, kind = intent.inputs["probe"], intent.kind.value
        booked = Outcome.RECOVERED if intent.recovered else judgement.outcome
        self.state.last_slot = max(self.state.last_slot, receipt.slot)
        self.state.count(booked.value)
        self._remember(name, judgement)
        faults = faults_of(judgement.problems, intent, receipt, self.pool)
        self.draft.add_faults(faults)
        flow = intent.inputs["flow"] if judgement.outcome is Outcome.CONFIRMED else {}
        for asset, amount in flow.items():
            self.state.add_volume(asset, int(amount))
        self.draft.note(
            "settled",
            intent,
            at_ms=self.cycle.now_ms,
            slot=receipt.slot,
            outcome=booked.value,
            error="" if judgement.code == OK else judgement.code,
            fee=str(receipt.fee),
            cu=receipt.compute_units,
            probe=name,
            verdict=judgement.verdict.value,
            flow=flow,
        )
        self.draft.count("operations", f"{kind}.{booked.value}")
        self.draft.count("checks", "probe")
        if judgement.code != OK:
            self.draft.count("errors", f"{kind}.{judgement.code}")
        if receipt.compute_units is not None:
            self.draft.count("cu", f"{kind}:{bucket_of(receipt.compute_units)}")
        self.draft.count("confirm", f"{kind}:{bucket_of(self.cycle.now_ms - intent.prepared_at_ms)}")
        return judgement.outcome

    def _judge(self, intent: Intent, receipt: Receipt) -> Judgement:
        """By the policy of this cycle's begin; what that cannot explain, by the policy as it stands now."""
        known = Policy.from_text(self.begun.policy) if self.pool.managed else None
        judgement = judge(intent.inputs, receipt, known, self.core, intent.compute_limit)
        if judgement.problems and self.pool.managed:
            now = self.runtime.store.policy(self.pool.pool_id)
            judgement = judge(intent.inputs, receipt, now, self.core, intent.compute_limit)
        return judgement

    def _remember(self, name: str, judgement: Judgement) -> None:
        self.deal.ran += 1
        match judgement.verdict:
            case Verdict.OK:
                self.deal.ok += 1
                self.draft.count("probes", name)
            case Verdict.WRONG:
                self.deal.wrong[name] = self.deal.wrong.get(name, 0) + 1
            case Verdict.AGAIN:
                self.deal.repeat(name)
                self.draft.count("probes_again", name)

    def _settled(self, intent: Intent, outcome: Outcome, _fee: int) -> None:
        if outcome is Outcome.EXPIRED:
            self.deal.repeat(intent.inputs["probe"])


def compute_units(attempt: Attempt) -> int:
    """A limit for every instruction of the program in it (CONTRACT.md 8)."""
    instructions = sum(
        isinstance(action, (ops.Deposit, ops.Withdraw, ops.Swap, ops.InitializePool, ops.ConsolidatePoolFees))
        for action in attempt.actions
    )
    return min(MAX_COMPUTE_UNITS, COMPUTE_UNITS * max(1, instructions))
