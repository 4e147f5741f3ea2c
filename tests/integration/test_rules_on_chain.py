"""The rules against the real program: honest traffic raises no alarm, a seeded bug raises the right one."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from threading import Event

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from domain import operations as ops
from domain.chain import program
from domain.chain.build import token_address
from domain.chain.endpoints import Endpoints
from domain.chain.gateway import SolanaChain, Want
from domain.chain.keyring import Keyring
from domain.chain.keystore import Sealer
from domain.chain.rpc import RpcClient
from domain.cycle import Act, plan
from domain.expiry import Landed, Pending, resolve
from domain.facts import POOL_FLAG_OWNER_ONLY, Receipt
from domain.faults import Fault
from domain.ids import Address, OperationId, PoolId, ThreadId
from domain.invariants import check_snapshot
from domain.operations import Operation, OperationKind, Outcome
from domain.policy import Policy, PolicyStep
from domain.pool import Pool, Side, lp_of, token_of
from domain.randomness import generator
from domain.settle import settle_payment, settle_thread_operation
from domain.state import ThreadState
from domain.thread import ThreadConfig, ThreadKind
from ops.localnet.program.build import build
from tests.support.localnet import running_localnet

KINDS = [(kind, side) for kind in ThreadKind for side in Side]
TOKENS = 10**9


@dataclass
class Bench:
    """One pool, one thread of every kind and side, driven one operation at a time."""

    chain: SolanaChain
    core: Keypair
    pool: Pool | None = None
    policy: Policy | None = None
    threads: list[ThreadConfig] = field(default_factory=list)
    states: dict[str, ThreadState] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    outcomes: Counter = field(default_factory=Counter)
    marks: dict[str, int] = field(default_factory=dict)
    numbers: int = 0

    def run(self, operation: Operation, addresses: tuple[Address, ...] = ()) -> tuple[ops.Intent, Receipt]:
        """Sign, send, resolve; the pause between two looks is far below a slot."""
        self.numbers += 1
        name = OperationId(f"bench/{self.numbers}")
        intent = self.chain.prepare(operation, name, self.numbers, now_ms=0, slot=0)
        self.chain.submit([intent])
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            seen = self.chain.observe(Want(signatures=(intent.signature,)))
            resolution, intent = resolve(intent, seen.lookups[intent.signature], seen)
            if isinstance(resolution, Landed):
                return intent, resolution.receipt
            assert isinstance(resolution, Pending), resolution
            Event().wait(0.01)
        raise AssertionError("the transaction did not land in time")

    def must(self, kind: OperationKind, *actions: ops.PlainAction, signers=(), **inputs) -> Receipt:
        core = self.chain.keyring.core_address
        operation = Operation(kind=kind, actions=actions, payer=core, signers=(core, *signers), inputs=inputs)
        intent, receipt = self.run(operation)
        assert receipt.error is None, receipt
        self.faults += settle_payment(intent, receipt, self.pool).faults
        return receipt

    def create(self, *, exact: bool = False, ratio=(3_000, 7_000)) -> None:
        core = self.chain.keyring.core_address
        self.must(OperationKind.SETUP, ops.InitializeProgram(authority=core, admin=core))
        mints = sorted((Keypair() for _ in range(2)), key=lambda mint: bytes(mint.pubkey()))
        names = [Address(str(mint.pubkey())) for mint in mints]
        for mint, name in zip(mints, names, strict=True):
            self.chain.keyring.add_sealed(name, self.chain.keyring.sealer.seal(mint, name))
        creations = [ops.CreateMint(payer=core, mint=name, decimals=3, authority=core) for name in names]
        start = ops.InitializePool(
            payer=core, mint_a=names[0], mint_b=names[1], ratio_a=ratio[0], ratio_b=ratio[1], flags=0x40 if exact else 0
        )
        receipt = self.must(OperationKind.SETUP, *creations, start, signers=names, deltas={})
        found = program.pool_addresses(self.chain.program_id, *(mint.pubkey() for mint in mints), *ratio)
        self.pool = Pool(
            pool_id=PoolId(str(found.pool_state)),
            owner=core,
            mint_a=names[0],
            mint_b=names[1],
            vault_a=Address(str(found.vault_a)),
            vault_b=Address(str(found.vault_b)),
            lp_mint_a=Address(str(found.lp_mint_a)),
            lp_mint_b=Address(str(found.lp_mint_b)),
            ratio_a=ratio[0],
            ratio_b=ratio[1],
            decimals_a=3,
            decimals_b=3,
            lp_decimals_a=3,
            lp_decimals_b=3,
            simple_ratio=ratio[0] % 1000 == ratio[1] % 1000 == 0,
            exact_exchange=exact,
            bumps=found.bumps,
            created_slot=receipt.slot,
            created_at_ms=0,
        )
        self.policy = Policy(
            steps=(
                PolicyStep(
                    operation_id="creation",
                    flags=0,
                    liquidity_fee=13_000_000,
                    swap_fee=271_500,
                    owner=core,
                    slot=receipt.slot,
                ),
            )
        )
        for index, (kind, side) in enumerate(KINDS):
            self._create_thread(kind, side, index)

    def _create_thread(self, kind: ThreadKind, side: Side, index: int) -> None:
        assert self.pool is not None
        core, pool = self.chain.keyring.core_address, self.pool
        wallet, sealed = self.chain.keyring.create()
        self.chain.keyring.add_sealed(wallet, sealed)
        assets = [token_of(side), token_of(side.other)] if kind is ThreadKind.SWAP else [token_of(side), lp_of(side)]
        accounts = {asset: token_address(wallet, pool.mint(asset)) for asset in assets}
        config = ThreadConfig(
            thread_id=ThreadId(f"{kind.value}_{index}"),
            kind=kind,
            pool_id=pool.pool_id,
            side=side,
            initial_amount=TOKENS,
            auto_refill=False,
            share=True,
            wallet=wallet,
            accounts=accounts,
            index=index,
            created_at_ms=0,
        )
        token = accounts[token_of(side)]
        deltas = {token: str(TOKENS)}
        self.must(
            OperationKind.SETUP,
            ops.SolTransfer(source=core, destination=wallet, lamports=10**10),
            *(ops.CreateTokenAccount(payer=core, owner=wallet, mint=pool.mint(asset)) for asset in assets),
            ops.MintTo(authority=core, mint=pool.mint(token_of(side)), destination=token, amount=TOKENS),
            deltas=deltas,
            lamports={wallet: str(10**10)},
        )
        self.threads.append(config)
        self.states[config.thread_id] = ThreadState()

    def administer(self, action: ops.PlainAction, **changes: object) -> None:
        assert self.policy is not None
        receipt = self.must(OperationKind.ADMIN, action, deltas={})
        newest = self.policy.steps[-1]
        values = {name: getattr(newest, name) for name in newest.__dataclass_fields__}
        values |= {"slot": receipt.slot, "operation_id": f"step{receipt.slot}", **changes}
        self.policy = Policy(steps=(*self.policy.steps, PolicyStep(**values)))

    def cycle(self, config: ThreadConfig, number: int) -> None:
        """Observe, check, plan, operate, settle: one whole cycle with an outcome."""
        assert self.pool is not None
        pool = self.pool
        addresses = (
            config.wallet,
            *config.accounts.values(),
            Address(pool.pool_id),
            pool.vault_a,
            pool.vault_b,
            pool.lp_mint_a,
            pool.lp_mint_b,
        )
        seen = self.chain.observe(Want(addresses=addresses))
        checked = check_snapshot(pool, seen, self.policy)
        self.faults += checked.faults
        self.faults += [Fault(check=item.kind, message="outside") for item in checked.outside]
        for mark in checked.marks:
            assert mark.value >= 0
            if mark.value < self.marks.get(mark.name, 0):
                self.faults.append(Fault(check=mark.name, message=f"fell to {mark.value}"))
            self.marks[mark.name] = mark.value
        state = ThreadState(cycles=number)
        decision = plan(config, state, pool, seen, self.policy, generator(1, config.index, number))
        if not isinstance(decision, Act):
            self.outcomes[config.kind.value, "wait"] += 1
            return
        intent, receipt = self.run(decision.operation)
        settlement = settle_thread_operation(config, pool, intent, receipt, self.policy)
        self.faults += settlement.faults
        self.outcomes[config.kind.value, settlement.error or settlement.outcome.value] += 1

    def rounds(self, count: int) -> None:
        for number in range(count):
            for config in self.threads:
                self.cycle(config, number)

    def share(self) -> None:
        """Half of every deposit thread's LP to the withdrawal thread of its side."""
        assert self.pool is not None
        by_kind = {(config.kind, config.side): config for config in self.threads}
        for side in Side:
            owner, taker = by_kind[ThreadKind.DEPOSIT, side], by_kind[ThreadKind.WITHDRAWAL, side]
            source, destination = owner.accounts[lp_of(side)], taker.accounts[lp_of(side)]
            held = self.chain.observe(Want(addresses=(source,))).tokens(source) // 2
            transfer = ops.Transfer(owner=owner.wallet, source=source, destination=destination, amount=held)
            operation = Operation(
                kind=OperationKind.SHARE,
                actions=(transfer,),
                payer=owner.wallet,
                signers=(owner.wallet,),
                inputs={"deltas": {source: str(-held), destination: str(held)}},
            )
            intent, receipt = self.run(operation)
            settlement = settle_payment(intent, receipt, self.pool)
            assert settlement.outcome is Outcome.CONFIRMED
            self.faults += settlement.faults

    def broken(self) -> set[str]:
        return {fault.check for fault in self.faults}


@pytest.fixture
def start():
    """A bench on a local chain of its own, with the committed program or another build."""
    chains, clients = [], []

    def begin(program_file=None) -> Bench:
        core = Keypair()
        context = running_localnet(slot_ms=20, upgrade_authority=core.pubkey(), program=program_file)
        local = context.__enter__()
        chains.append(context)
        local.call("requestAirdrop", str(core.pubkey()), 10**12)
        bench: Bench
        client = RpcClient(local.rpc_url, timeout_seconds=5)
        clients.append(client)
        chain = SolanaChain(
            Endpoints([client], rng=random.Random(1)),
            Pubkey.from_string(str(program.LOCALNET_PROGRAM_ID)),
            Keyring(core, Sealer(bytes(32)), lambda _: None),
            lambda _: bench.pool,
            lambda: int(time.monotonic() * 1000),
        )
        bench = Bench(chain=chain, core=core)
        core_address = chain.keyring.core_address
        deadline = time.monotonic() + 10
        while chain.observe(Want(addresses=(core_address,))).lamports(core_address) == 0:
            assert time.monotonic() < deadline
            Event().wait(0.02)
        return bench

    yield begin
    for client in clients:
        client.close()
    for context in chains:
        context.__exit__(None, None, None)


@pytest.mark.parametrize(("exact", "ratio"), [(False, (1_000, 7_003)), (True, (1_500, 1_000))])
def test_honest_traffic_with_administration_breaks_no_rule(start, exact, ratio):
    bench = start()
    bench.create(exact=exact, ratio=ratio)
    pool, core = bench.pool, bench.chain.keyring.core_address
    bench.rounds(2)
    bench.share()
    bench.rounds(2)
    fees = ops.UpdatePoolFees(admin=core, pool_id=pool.pool_id, update_flags=3, liquidity_fee=200_000, swap_fee=20_000)
    bench.administer(fees, liquidity_fee=200_000, swap_fee=20_000)
    bench.rounds(1)
    bench.administer(ops.PausePool(admin=core, pool_id=pool.pool_id, flags=3), flags=0x06)
    bench.administer(ops.ConsolidatePoolFees(admin=core, pool_ids=(pool.pool_id,)))
    bench.rounds(2)
    bench.administer(ops.UnpausePool(admin=core, pool_id=pool.pool_id, flags=3), flags=0)
    closed = ops.SetSwapOwnerOnly(admin=core, pool_id=pool.pool_id, enable=True, owner=core)
    bench.administer(closed, flags=POOL_FLAG_OWNER_ONLY)
    bench.rounds(1)
    bench.administer(ops.PauseSystem(admin=core, reason_code=3), system_paused=True)
    bench.rounds(1)
    bench.administer(ops.UnpauseSystem(admin=core), system_paused=False)
    assert [fault.to_text()[:400] for fault in bench.faults] == []
    seen = bench.outcomes
    assert min(seen[kind.value, "confirmed"] for kind in ThreadKind) >= 4
    for kind, name in (
        ("deposit", "PoolLiquidityPaused"),
        ("withdrawal", "PoolLiquidityPaused"),
        ("swap", "PoolSwapsPaused"),
        ("swap", "SwapAccessRestricted"),
        ("deposit", "SystemPaused"),
    ):
        assert seen[kind, name] >= 1, (kind, name, seen)


MUTANTS = [
    (1, "SWP-failure"),  # rounds its output up
    (4, "DEP-fee"),
    (5, "WDR-fee"),
    (6, "SWP-fee"),
    (9, "I4"),  # the input is missing in the counter
    (10, "J1"),  # the output stays in the counter
    (11, "J1"),
    (13, "I1"),
    (14, "DEP-tokens"),
    (15, "WDR-tokens"),
    (24, "WDR-paused"),
    (25, "SWP-paused"),
    (26, "SWP-owner-only"),
    (28, "DEP-system-paused"),
]


@pytest.mark.extended
@pytest.mark.parametrize(("number", "check"), MUTANTS)
def test_a_seeded_bug_breaks_the_rule_that_names_it(start, tmp_path, number, check):
    bench = start(build(tmp_path / "mutant.so", number))
    bench.create(ratio=(1_000, 7_003))
    pool, core = bench.pool, bench.chain.keyring.core_address
    fees = ops.UpdatePoolFees(admin=core, pool_id=pool.pool_id, update_flags=3, liquidity_fee=200_000, swap_fee=20_000)
    bench.administer(fees, liquidity_fee=200_000, swap_fee=20_000)
    bench.rounds(1)
    bench.share()
    bench.rounds(1)
    bench.administer(ops.PausePool(admin=core, pool_id=pool.pool_id, flags=3), flags=0x06)
    bench.rounds(1)
    bench.administer(ops.UnpausePool(admin=core, pool_id=pool.pool_id, flags=3), flags=0)
    closed = ops.SetSwapOwnerOnly(admin=core, pool_id=pool.pool_id, enable=True, owner=core)
    bench.administer(closed, flags=POOL_FLAG_OWNER_ONLY)
    bench.rounds(1)
    bench.administer(ops.PauseSystem(admin=core, reason_code=3), system_paused=True)
    bench.rounds(1)
    assert check in bench.broken(), bench.outcomes
