"""attack_pool: one fresh wallet does to a pool what an attacker would, and every operation is judged like all others.

``whale`` deposits much and withdraws it at once (STR-13), ``burst`` sends many operations back to back (STR-15),
``drain`` takes a side's liquidity as far as it goes, asks for more, and swaps it back (STR-16). The wallet is named,
funded, used and swept; its key is stored, sealed, before anything is sent.
"""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any, Final

from domain.chain.build import token_address
from domain.errors import CommandCode, CommandError
from domain.facts import Observation, PoolState
from domain.ids import Address, PoolId
from domain.operations import (
    Burn,
    CloseTokenAccount,
    CreateTokenAccount,
    MintTo,
    Operation,
    OperationKind,
    SolTransfer,
)
from domain.pool import Asset, Pool, Side, lp_of, token_of
from domain.refill import RESERVE_LAMPORTS
from domain.swap import U64_MAX, exact_step, quote, ratio_of, smallest_useful_input
from domain.thread import ThreadKind
from tasks.control.commands import Command
from tasks.control.funding import TOKEN_ACCOUNT_RENT
from tasks.control.trades import trade, trader

DRAINS: Final = 6  # others may bring liquidity between two swaps
SMALL: Final = 1_000  # base units, where any amount does
SPARE_OPERATIONS: Final = 8
NETWORK_FEE: Final = 10_000

Trade = tuple[ThreadKind, Side, int]


def attack_pool(command: Command) -> None:
    """Params: ``pool_id``, ``kind``, ``side``, ``amount`` (whale), ``count`` (burst)."""
    pool = command.runtime.pool(PoolId(command.params["pool_id"]))
    if "wallet" not in command.data:
        wallet, sealed = command.runtime.chain.keyring.create()
        command.data.update(wallet=wallet, sealed=sealed, stage=0, trades=[])
        command.draft.next_ms = 0
        return
    attack = Attack(command, pool)
    command.runtime.chain.keyring.add_sealed(attack.wallet, command.data["sealed"])
    attack.note_landed()  # before anything is asked: an outcome is there in one step only
    seen = command.observe(attack.watched())
    if seen is None or seen.slot < command.progress.last_slot:
        return
    shown = seen.pool(Address(pool.pool_id))
    if shown is None or not pool.managed:
        text = f"Pool {pool.pool_id} cannot be read, or its tokens are not ours to mint"
        raise CommandError(CommandCode.WRONG_STATE, text, {"pool_id": pool.pool_id})
    attack.go_on(seen, shown)


class Attack:
    """The wallet, and one step: fund, trade stage by stage, sweep, answer."""

    def __init__(self, command: Command, pool: Pool) -> None:
        self.command, self.pool = command, pool
        self.kind: str = command.params["kind"]
        self.side = Side(command.params.get("side", "A"))
        self.wallet = Address(command.data["wallet"])
        self.accounts = {asset: token_address(self.wallet, pool.mint(asset)) for asset in Asset}

    def watched(self) -> tuple[Address, ...]:
        pool = self.pool
        mints = (pool.mint(asset) for asset in Asset)
        own = (self.command.core, self.wallet, *self.accounts.values())
        return (*own, Address(pool.pool_id), pool.vault_a, pool.vault_b, *mints)

    def note_landed(self) -> None:
        """The funding's and the sweep's outcomes; each trade's stands in ``outcomes``."""
        data = self.command.data
        for sent, landed in (("funding", "funded"), ("sweep", "swept")):
            if sent in data and landed not in data and self.command.landed() is not None:
                data[landed] = True

    def go_on(self, seen: Observation, shown: PoolState) -> None:
        data = self.command.data
        if "funded" not in data:
            self._fund(seen, shown)
            return
        if "swept" in data:
            self.command.answer(self._answer())
            return
        if "sweep" not in data:
            self.command.runtime.chain.blockhash()  # whatever of a stage cannot be signed is not made up for
            trades = self._next_stage(seen, shown)
            if trades:
                self._send(trades, seen, shown)
                return
            data["left"] = {asset.value: str(seen.tokens(account)) for asset, account in self.accounts.items()}
            data["liquidity"] = [str(shown.liquidity_a), str(shown.liquidity_b)]
        self._sweep(seen)

    def _fund(self, seen: Observation, shown: PoolState) -> None:
        """SOL, the four token accounts, and both tokens, by the core wallet in one transaction."""
        core, minted = self.command.core, self._minted(shown)
        fee = max(shown.liquidity_fee, shown.swap_fee) + NETWORK_FEE
        lamports = RESERVE_LAMPORTS + (int(self.command.params.get("count", 0)) + SPARE_OPERATIONS) * fee
        for asset, amount in minted.items():
            if (seen.supply(self.pool.mint(asset)) or 0) + amount > U64_MAX:
                raise CommandError(CommandCode.WRONG_STATE, f"{amount} more base units would end the mint's u64")
        self.command.reserve(lamports + 4 * TOKEN_ACCOUNT_RENT + NETWORK_FEE, seen)
        actions: list[Any] = [SolTransfer(source=core, destination=self.wallet, lamports=lamports)]
        actions += [CreateTokenAccount(payer=core, owner=self.wallet, mint=self.pool.mint(asset)) for asset in Asset]
        actions += [
            MintTo(authority=core, mint=self.pool.mint(asset), destination=self.accounts[asset], amount=amount)
            for asset, amount in minted.items()
        ]
        operation = Operation(
            kind=OperationKind.FUND,
            actions=tuple(actions),
            payer=core,
            signers=(core,),
            inputs={
                "attack": self.kind,
                "deltas": {self.accounts[asset]: str(amount) for asset, amount in minted.items()},
                "lamports": {self.wallet: str(lamports)},
                "wallets": [self.wallet],
                "accounts": list(self.accounts.values()),
            },
            pool_id=self.pool.pool_id,
        )
        self.command.send(operation, slot=seen.slot)
        self.command.data["funding"] = True

    def _minted(self, shown: PoolState) -> dict[Asset, int]:
        match self.kind:
            case "whale":
                return {token_of(self.side): int(self.command.params["amount"])}
            case "burst":
                count = int(self.command.params["count"])
                units = {side: self._unit(side) for side in Side}
                out = {side.other: quote(units[side], *ratio_of(self.pool, side))[0] for side in Side}
                return {token_of(side): count * (units[side] + out[side] + 4 * SMALL) for side in Side}
            case _:
                held = shown.liquidity_a if self.side is Side.A else shown.liquidity_b
                paying = self.side.other
                ratio_in, ratio_out = ratio_of(self.pool, paying)
                needed = 2 * (held * ratio_in // ratio_out) + self._unit(paying)
                return {token_of(self.side): SMALL, token_of(paying): needed}

    def _unit(self, side: Side) -> int:
        """The smallest input of a swap from this side that the pool takes."""
        ratio_in, ratio_out = ratio_of(self.pool, side)
        if self.pool.exact_exchange:
            return exact_step(ratio_in, ratio_out)
        return smallest_useful_input(ratio_in, ratio_out)

    def _next_stage(self, seen: Observation, shown: PoolState) -> list[Trade]:
        """What is sent at once, now that all before it has an outcome; nothing: the attack is over."""
        stage = self.command.data["stage"]
        self.command.data["stage"] = stage + 1
        match self.kind:
            case "whale":
                return self._whale(stage, seen)
            case "burst":
                return self._burst(stage)
            case _:
                return self._drain(stage, seen, shown)

    def _whale(self, stage: int, seen: Observation) -> list[Trade]:
        if stage == 0:
            return [(ThreadKind.DEPOSIT, self.side, int(self.command.params["amount"]))]
        held = seen.tokens(self.accounts[lp_of(self.side)])
        return [(ThreadKind.WITHDRAWAL, self.side, held)] if stage == 1 and held else []

    def _burst(self, stage: int) -> list[Trade]:
        """First what makes every order of the burst possible, then the burst."""
        count, units = int(self.command.params["count"]), {side: self._unit(side) for side in Side}
        if stage == 0:
            out = {side.other: quote(units[side], *ratio_of(self.pool, side))[0] for side in Side}
            return [(ThreadKind.DEPOSIT, side, count * (out[side] + SMALL)) for side in Side]
        each = [(ThreadKind.SWAP, side, units[side]) for side in Side]
        each += [(kind, side, SMALL) for kind in (ThreadKind.DEPOSIT, ThreadKind.WITHDRAWAL) for side in Side]
        return list(islice(cycle(each), count)) if stage == 1 else []

    def _drain(self, stage: int, seen: Observation, shown: PoolState) -> list[Trade]:
        """A little of the side's LP; its liquidity swapped out; that LP withdrawn, refused or not; all swapped back."""
        if stage == 0:
            return [(ThreadKind.DEPOSIT, self.side, SMALL)]
        data, paying = self.command.data, self.side.other
        if stage <= DRAINS and "dry" not in data:
            available = shown.liquidity_a if self.side is Side.A else shown.liquidity_b
            ratio_in, ratio_out = ratio_of(self.pool, paying)
            amount = min(available * ratio_in // ratio_out, seen.tokens(self.accounts[token_of(paying)]))
            amount = self._swappable(paying, amount)
            if amount:
                return [(ThreadKind.SWAP, paying, amount)]
        data["dry"] = True
        held = seen.tokens(self.accounts[lp_of(self.side)])
        if "asked" not in data:
            data["asked"] = True
            if held:
                return [(ThreadKind.WITHDRAWAL, self.side, held)]
        if "returned" not in data:
            data["returned"] = True
            amount = self._swappable(self.side, seen.tokens(self.accounts[token_of(self.side)]))
            if amount:
                return [(ThreadKind.SWAP, self.side, amount)]
        return []

    def _swappable(self, side: Side, amount: int) -> int:
        """As much of the amount as the pool swaps; 0 when that gives nothing."""
        ratio_in, ratio_out = ratio_of(self.pool, side)
        if self.pool.exact_exchange:
            amount -= amount % exact_step(ratio_in, ratio_out)
        return amount if quote(amount, ratio_in, ratio_out)[0] else 0

    def _send(self, trades: list[Trade], seen: Observation, shown: PoolState) -> None:
        for kind, side, amount in trades:
            config = trader(self.pool, kind, side, self.wallet, self.accounts)
            self.command.send(trade(config, self.pool, seen, shown, amount), slot=seen.slot)
            number = self.command.progress.operation_number
            self.command.data["trades"].append([kind.value, side.value, str(amount), str(number)])

    def _sweep(self, seen: Observation) -> None:
        """Burn what is left, close the accounts, give the SOL back: in one transaction, which the core wallet pays."""
        core, lamports = self.command.core, seen.lamports(self.wallet)
        held = {asset: seen.tokens(account) for asset, account in self.accounts.items()}
        actions: list[Any] = [
            Burn(owner=self.wallet, account=self.accounts[asset], mint=self.pool.mint(asset), amount=amount)
            for asset, amount in held.items()
            if amount
        ]
        actions += [
            CloseTokenAccount(owner=self.wallet, account=account, destination=core)
            for account in self.accounts.values()
        ]
        actions.append(SolTransfer(source=self.wallet, destination=core, lamports=lamports))
        operation = Operation(
            kind=OperationKind.SWEEP,
            actions=tuple(actions),
            payer=core,
            signers=(core, self.wallet),
            inputs={
                "attack": self.kind,
                "deltas": {self.accounts[asset]: str(-amount) for asset, amount in held.items() if amount},
                "lamports": {self.wallet: str(-lamports)},
                "wallets": [self.wallet],
            },
            pool_id=self.pool.pool_id,
        )
        self.command.send(operation, slot=seen.slot)
        self.command.data["sweep"] = True

    def _answer(self) -> dict[str, Any]:
        data = self.command.data
        trades = [
            {"kind": kind, "side": side, "amount": int(amount), "outcome": data["outcomes"][number]}
            for kind, side, amount, number in data["trades"]
        ]
        outcomes = [made["outcome"] for made in trades]
        return {
            "pool_id": self.pool.pool_id,
            "kind": self.kind,
            "wallet_address": self.wallet,
            "submitted": len(trades),
            "outcomes": {name: outcomes.count(name) for name in sorted(set(outcomes))},
            "trades": trades,
            "left": {name: int(amount) for name, amount in data["left"].items()},
            "liquidity": [int(amount) for amount in data["liquidity"]],
        }
