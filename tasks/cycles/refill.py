"""The refill chain of a pool: serves the wallets that commits have flagged as low (FND-02..08, SOL-01..06).

Tokens: the full initial amount again, minted by the core wallet. SOL: up to the target. Balances are read again before
anything is sent, and the core wallet's lamports are reserved in the store before signing.
"""

from __future__ import annotations

import json
from typing import Any

from domain.flows import refill_field
from domain.ids import Address, ThreadId
from domain.operations import Intent, MintTo, Operation, OperationKind, Outcome, SolTransfer
from domain.refill import NETWORK_FEES_LAMPORTS, RESERVE_LAMPORTS, Refill, refill_for
from domain.thread import ThreadConfig
from tasks.cycles.payments import PaymentCycle
from tasks.draft import Draft
from tasks.walk import Cycle

WALLETS_PER_CYCLE = 33  # two accounts each, and what they share, stay within one getMultipleAccounts


def refill_cycle(cycle: Cycle) -> Draft:
    return RefillCycle(cycle).run()


class RefillCycle(PaymentCycle):
    def run(self) -> Draft:
        intents = self.open_intents()
        store = self.runtime.store
        low = sorted(store.low(self.pool.pool_id))
        if not intents and not low:
            # The store lets a pool's chains end only when nothing is owed either.
            if not store.running(self.pool.pool_id) and not store.outbox_length(self.pool.pool_id):
                self.draft.next_ms = None
                self.draft.end_only_if_pool_idle = True
            return self.written()
        busy = {entry["thread"] for intent in intents for entry in intent.inputs["entries"]}
        eligible = store.eligible(self.pool.pool_id)
        # A thread that stopped, or is being emptied, is served when it runs again and flags itself again.
        self.draft.low_served |= {member for member in low if member.split("|", 1)[0] not in eligible}
        flagged = sorted({member.split("|", 1)[0] for member in low} & eligible - busy)[:WALLETS_PER_CYCLE]
        configs = [self.runtime.thread(ThreadId(name)) for name in flagged]
        core = self.runtime.chain.keyring.core_address
        addresses = [core, Address(self.pool.pool_id)]
        for config in configs:
            addresses += [config.wallet, config.accounts[config.spends], self.pool.mint(config.spends)]
        ledger, mark = store.ledger(self.pool.pool_id), refill_field("")
        self.ledger = {name: json.loads(text) for name, text in ledger.items() if name.startswith(mark)}
        seen = self.observe(intents, tuple(dict.fromkeys(addresses)))
        if seen is None:
            self.draft.intents = intents
            return self.written()
        self.settle(intents, seen, self._settled)
        if seen.slot >= self.state.last_slot and not self.begun.service_paused and self.can_prepare():
            needed = [refill_for(config, self.pool, seen, self.runtime.settings.sol_threshold) for config in configs]
            self._serve(configs, needed, low, seen.lamports(core), seen.slot)
        return self.written()

    def _settled(self, intent: Intent, outcome: Outcome, _fee: int) -> None:
        self.runtime.store.release_core(intent.operation_id)
        if outcome is not Outcome.CONFIRMED:
            return  # the thread's next cycle flags it again
        for entry in intent.inputs["entries"]:
            name = refill_field(entry["thread"])
            record = self.ledger.setdefault(name, {"times": 0, "tokens": "0", "sol": "0"})
            tokens, lamports = int(entry["tokens"]), int(entry["lamports"])
            record["times"] += 1 if tokens else 0
            record["tokens"] = str(int(record["tokens"]) + tokens)
            record["sol"] = str(int(record["sol"]) + lamports)
            self.draft.records[name] = json.dumps(record, separators=(",", ":"))
            self.state.add_volume("tokens", tokens)
            self.state.add_volume("lamports", lamports)

    def _serve(
        self, configs: list[ThreadConfig], needed: list[Refill], low: list[str], core_lamports: int, slot: int
    ) -> None:
        """Pack as many refills into a transaction as fit; a wallet that needs nothing is simply unflagged."""
        batch: list[tuple[ThreadConfig, Refill]] = []
        for config, refill in zip(configs, needed, strict=True):
            members = [member for member in low if member.split("|", 1)[0] == config.thread_id]
            self.draft.low_served |= set(members)
            if not refill.tokens and not refill.lamports:
                continue
            if batch and not self.runtime.chain.fits(self._operation([*batch, (config, refill)])):
                self._send(batch, core_lamports, slot)
                batch = []
            batch.append((config, refill))
        if batch:
            self._send(batch, core_lamports, slot)

    def _send(self, batch: list[tuple[ThreadConfig, Refill]], core_lamports: int, slot: int) -> None:
        lamports = sum(refill.lamports for _, refill in batch)
        reserved_as = f"{self.begun.chain_id}/{self.state.operation_number + 1}"
        spendable = max(0, core_lamports - RESERVE_LAMPORTS - NETWORK_FEES_LAMPORTS)
        if lamports and not self.runtime.store.reserve_core(reserved_as, lamports, spendable):
            self.draft.count("waits", "refill.core_wallet_short")
            return
        self.draft.require_eligible |= {config.thread_id for config, _ in batch}
        self.act(self._operation(batch), slot)

    def _operation(self, batch: list[tuple[ThreadConfig, Refill]]) -> Operation:
        core = self.runtime.chain.keyring.core_address
        actions: list[MintTo | SolTransfer] = []
        deltas: dict[Address, str] = {}
        lamports: dict[Address, str] = {}
        entries: list[dict[str, Any]] = []
        for config, refill in batch:
            account = config.accounts[config.spends]
            if refill.tokens:
                mint = self.pool.mint(config.spends)
                actions.append(MintTo(authority=core, mint=mint, destination=account, amount=refill.tokens))
                deltas[account] = str(refill.tokens)
            if refill.lamports:
                actions.append(SolTransfer(source=core, destination=config.wallet, lamports=refill.lamports))
                lamports[config.wallet] = str(refill.lamports)
            entries.append(
                {
                    "thread": config.thread_id,
                    "tokens": str(refill.tokens),
                    "asset": config.spends.value,
                    "lamports": str(refill.lamports),
                }
            )
        return Operation(
            kind=OperationKind.REFILL,
            actions=tuple(actions),
            payer=core,
            signers=(core,),
            inputs={
                "entries": entries,
                "deltas": deltas,
                "lamports": lamports,
                "wallets": [config.wallet for config, _ in batch],
            },
            compute_units=200_000,
            pool_id=self.pool.pool_id,
        )
