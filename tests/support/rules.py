"""A pool, threads, snapshots and receipts as plain values, and the arithmetic of one operation on them.

``World`` is a small independent bookkeeping of one pool: it applies operations the way CONTRACT.md says and shows them
as snapshots and receipts, so that the rules can be asked about honest and about falsified histories.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from domain.facts import (
    Account,
    ChainError,
    InnerTransfer,
    Mint,
    Observation,
    PoolState,
    Receipt,
    TokenAccount,
    TokenChange,
)
from domain.ids import Address, OperationId, PoolId, Signature, ThreadId
from domain.operations import Intent, Operation
from domain.policy import Policy, PolicyStep
from domain.pool import Asset, Pool, Side, lp_of, token_of
from domain.thread import ThreadConfig, ThreadKind

NETWORK_FEE = 5_000
RENT = 3_939_360
OWNER = Address("core")


def make_pool(ratio_a: int = 10**9, ratio_b: int = 160_000_000, *, exact: bool = False, managed: bool = True) -> Pool:
    return Pool(
        pool_id=PoolId("pool"),
        owner=OWNER,
        mint_a=Address("mint_a"),
        mint_b=Address("mint_b"),
        vault_a=Address("vault_a"),
        vault_b=Address("vault_b"),
        lp_mint_a=Address("lp_mint_a"),
        lp_mint_b=Address("lp_mint_b"),
        ratio_a=ratio_a,
        ratio_b=ratio_b,
        decimals_a=9,
        decimals_b=6,
        lp_decimals_a=9,
        lp_decimals_b=6,
        simple_ratio=True,
        exact_exchange=exact,
        bumps=(255, 254, 253, 252, 251),
        created_slot=1,
        created_at_ms=0,
        managed=managed,
    )


def make_config(
    kind: ThreadKind = ThreadKind.DEPOSIT,
    side: Side = Side.A,
    *,
    number: int = 1,
    initial_amount: int = 0,
    auto_refill: bool = False,
) -> ThreadConfig:
    name = f"{kind.value}_{number}"
    assets = [token_of(side), token_of(side.other)] if kind is ThreadKind.SWAP else [token_of(side), lp_of(side)]
    return ThreadConfig(
        thread_id=ThreadId(name),
        kind=kind,
        pool_id=PoolId("pool"),
        side=side,
        initial_amount=initial_amount,
        auto_refill=auto_refill,
        share=True,
        wallet=Address(f"{name}.wallet"),
        accounts={asset: Address(f"{name}.{asset.value}") for asset in assets},
        index=number,
        created_at_ms=0,
    )


def make_step(
    *,
    flags: int = 0,
    slot: int | None = 1,
    liquidity_fee: int = 13_000_000,
    swap_fee: int = 271_500,
    owner: str = OWNER,
    name: str = "creation",
    system_paused: bool = False,
) -> PolicyStep:
    return PolicyStep(
        operation_id=name,
        flags=flags,
        liquidity_fee=liquidity_fee,
        swap_fee=swap_fee,
        owner=owner,
        slot=slot,
        system_paused=system_paused,
    )


def make_policy(*steps: PolicyStep) -> Policy:
    return Policy(steps=steps or (make_step(),))


def make_intent(operation: Operation, *, number: int = 1, **changes: object) -> Intent:
    intent = Intent(
        operation_id=OperationId(f"{operation.payer.split('.')[0]}/{number}"),
        number=number,
        kind=operation.kind,
        pool_id=operation.pool_id,
        signature=Signature(f"signature_{number}"),
        wire="AAAA",
        last_valid_height=150,
        compute_limit=operation.compute_units + number,
        inputs=operation.inputs,
        prepared_at_ms=1_000,
        prepared_slot=5,
    )
    return replace(intent, **changes)


def make_receipt(
    tokens: dict[str, tuple[int, int]],
    lamports: dict[str, tuple[int, int]],
    *,
    transfers: tuple[tuple[str, str, int], ...] = (),
    error: str | None = None,
    slot: int = 20,
    compute_units: int | None = 90_000,
) -> Receipt:
    return Receipt(
        signature=Signature("signature_1"),
        slot=slot,
        block_time=None,
        error=None if error is None else ChainError(code=error, index=1),
        fee=NETWORK_FEE,
        compute_units=compute_units,
        lamports={Address(name): pair for name, pair in lamports.items()},
        tokens={
            Address(name): TokenChange(
                account=Address(name), mint=Address("?"), owner=Address("?"), before=before, after=after
            )
            for name, (before, after) in tokens.items()
        },
        inner_transfers=tuple(
            InnerTransfer(source=Address(source), destination=Address(destination), lamports=amount)
            for source, destination, amount in transfers
        ),
        logs=("Program log: something",),
    )


@dataclass(slots=True, kw_only=True)
class World:
    """One pool and one thread's wallet. Amounts in base units, ``sol`` and fees in lamports."""

    pool: Pool
    config: ThreadConfig
    held: dict[Asset, int] = field(default_factory=dict)
    sol: int = 10**9
    liquidity: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    supply: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    excess: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    extra_lamports: int = 0
    flags: int = 0
    owner: str = OWNER
    liquidity_fee: int = 13_000_000
    swap_fee: int = 271_500
    collected_liquidity: int = 0
    collected_swap: int = 0
    consolidated: int = 0
    consolidations: int = 0
    slot: int = 10

    @property
    def total_fees(self) -> int:
        return self.collected_liquidity + self.collected_swap + self.consolidated

    def state(self) -> PoolState:
        pool = self.pool
        fixed = (1 if pool.simple_ratio else 0) | (0x40 if pool.exact_exchange else 0)
        return PoolState(
            owner=Address(self.owner),
            mint_a=pool.mint_a,
            mint_b=pool.mint_b,
            vault_a=pool.vault_a,
            vault_b=pool.vault_b,
            lp_mint_a=pool.lp_mint_a,
            lp_mint_b=pool.lp_mint_b,
            ratio_a=pool.ratio_a,
            ratio_b=pool.ratio_b,
            liquidity_a=self.liquidity[Side.A],
            liquidity_b=self.liquidity[Side.B],
            bumps=pool.bumps,
            flags=self.flags | fixed,
            liquidity_fee=self.liquidity_fee,
            swap_fee=self.swap_fee,
            collected_liquidity_fees=self.collected_liquidity,
            collected_swap_fees=self.collected_swap,
            total_fees_collected=self.total_fees,
            last_consolidation_at=0,
            consolidations=self.consolidations,
            total_fees_consolidated=self.consolidated,
            zero_token_fees=bytes(32),
            zero_tail=bytes(80),
        )

    def vault(self, side: Side) -> TokenAccount:
        mint = self.pool.mint(token_of(side))
        amount = self.liquidity[side] + self.excess[side]
        return TokenAccount(mint=mint, owner=Address("pool"), amount=amount, state=1)

    def lp_mint(self, side: Side) -> Mint:
        decimals = self.pool.lp_decimals_a if side is Side.A else self.pool.lp_decimals_b
        return Mint(
            mint_authority=Address("pool"),
            supply=self.supply[side],
            decimals=decimals,
            initialized=True,
            freeze_authority=None,
        )

    def seen(self, **changes: object) -> Observation:
        """A snapshot; ``changes`` replace decoded accounts by address, None makes one absent."""
        pool, config = self.pool, self.config
        lamports = RENT + self.total_fees - self.consolidated + self.extra_lamports
        decoded: dict[str, object] = {"pool": self.state(), config.wallet: None}
        for side in Side:
            decoded[pool.vault(side)] = self.vault(side)
            decoded[pool.mint(lp_of(side))] = self.lp_mint(side)
        for asset, address in config.accounts.items():
            decoded[address] = TokenAccount(
                mint=pool.mint(asset), owner=config.wallet, amount=self.held.get(asset, 0), state=1
            )
        held = {"pool": lamports, config.wallet: self.sol}
        accounts: dict[Address, Account | None] = {
            Address(name): Account(
                address=Address(name),
                lamports=held.get(name, 2_039_280),
                owner=Address("x"),
                raw=b"raw",
                decoded=content,
            )
            for name, content in decoded.items()
        }
        for name, content in changes.items():
            account = accounts[Address(name)]
            assert account is not None
            accounts[Address(name)] = None if content is None else replace(account, decoded=content)
        return Observation(endpoint="e1", slot=self.slot, block_height=100, height_slot=self.slot, accounts=accounts)

    def token_amounts(self) -> dict[str, int]:
        amounts = {self.pool.vault(side): self.liquidity[side] + self.excess[side] for side in Side}
        return amounts | {address: self.held.get(asset, 0) for asset, address in self.config.accounts.items()}

    def execute(self, intent: Intent) -> Receipt:
        """What the program does with a thread's operation (CONTRACT.md 3.4-3.6); it must be one that succeeds."""
        config, inputs = self.config, intent.inputs
        amount, tokens, side = int(inputs["amount"]), self.token_amounts(), config.side
        pool_lamports = RENT + self.total_fees - self.consolidated + self.extra_lamports
        sol = self.sol
        sign = -1 if config.kind is ThreadKind.WITHDRAWAL else 1
        self.held[config.spends] = self.held.get(config.spends, 0) - amount
        self.liquidity[side] += sign * amount
        if config.kind is ThreadKind.SWAP:
            out = amount * self.pool.ratio(side.other) // self.pool.ratio(side)
            self.liquidity[side.other] -= out
            fee = self.swap_fee
            self.collected_swap += fee
        else:
            out, fee = amount, self.liquidity_fee
            self.supply[side] += sign * amount
            self.collected_liquidity += fee
        self.held[config.receives] = self.held.get(config.receives, 0) + out
        self.sol -= fee + NETWORK_FEE
        self.slot += 1
        after = self.token_amounts()
        return make_receipt(
            {name: (before, after[name]) for name, before in tokens.items()},
            {config.wallet: (sol, self.sol), "pool": (pool_lamports, pool_lamports + fee), "system": (1, 1)},
            transfers=((config.wallet, "pool", fee),),
            slot=self.slot,
        )

    def refuse(self, error: str) -> Receipt:
        """The same operation refused: only the network fee is gone."""
        tokens = {name: (amount, amount) for name, amount in self.token_amounts().items()}
        lamports = {self.config.wallet: (self.sol, self.sol - NETWORK_FEE), "pool": (RENT, RENT)}
        return make_receipt(tokens, lamports, error=error, slot=self.slot + 1)


def make_world(kind: ThreadKind, side: Side = Side.A, pool: Pool | None = None, **changes: object) -> World:
    """A thread with plenty of everything, in a pool with plenty of liquidity."""
    config = make_config(kind, side)
    world = World(
        pool=pool or make_pool(),
        config=config,
        held=dict.fromkeys(config.accounts, 10**12),
        liquidity=dict.fromkeys(Side, 10**14),
        supply=dict.fromkeys(Side, 10**14),
    )
    for name, value in changes.items():
        setattr(world, name, value)
    return world
