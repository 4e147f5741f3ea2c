"""Probes in a pool that lives inside one transaction: created, traded in and undone, so that every number is known.

The pool starts empty, whatever the others do; what later instructions accept shows what earlier ones wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from domain import operations as ops
from domain.ids import Address
from domain.operations import Action, Tampered
from domain.pool import Asset, Pool, Side, lp_of, token_of
from domain.probes import Attempt, Probe, Sandbox, Scene, Stage, allowed, refused
from domain.probes_accounts import BAD_ARGUMENT, BAD_DATA, BAD_PROGRAM, NO_SIGNATURE, NOWHERE, PANIC, SHORT, WRONG_POOL
from domain.swap import U64_MAX

BIG: Final = 2**40
EVEN, THOUSAND, WIDE, PRODUCT_A, PRODUCT_B = "even", "thousand", "wide", "product-a", "product-b"
ENGINEERING: Final = "engineering"
LIQUIDITY_FEE: Final = 13_000_000
SWAP_FEE: Final = 271_500
CREATION_LAMPORTS: Final = 1_160_941_120 + 2 * 2_039_280 + 100_000_000  # pool, two token accounts, fees
EXISTS: Final = "AccountAlreadyInitialized"
EXACT: Final = 0x40

Step = Callable[[Scene, Sandbox], Action]


def sandbox_ratios(pool: Pool) -> dict[str, tuple[int, int]]:
    """The ratios of the sandboxes; each is accepted whatever the mints' decimals are, or left out (CONTRACT.md 5)."""
    ratios = {EVEN: (1, 1), THOUSAND: (1000, 1), WIDE: (1, BIG)}
    if (pool.ratio_a, pool.ratio_b) == (1, 1) and 1 <= pool.decimals_a <= 18:
        ratios[EVEN] = (10**pool.decimals_a, 10**pool.decimals_a)
    if 1 <= pool.decimals_a <= 18:
        ratios[PRODUCT_A] = (10**pool.decimals_a, BIG)
    if 1 <= pool.decimals_b <= 18:
        ratios[PRODUCT_B] = (BIG, 10**pool.decimals_b)
    if pool.decimals_a <= 18 and pool.decimals_b <= 18:
        ratios[ENGINEERING] = (2 * 10**pool.decimals_a + 1, 2 * 10**pool.decimals_b + 1)
    return {name: ratio for name, ratio in ratios.items() if ratio != (pool.ratio_a, pool.ratio_b)}


def create(flags: int = 0) -> Callable[[Scene, Sandbox], ops.InitializePool]:
    def step(scene: Scene, box: Sandbox) -> ops.InitializePool:
        pool = box.pool
        return ops.InitializePool(
            payer=scene.core,
            mint_a=pool.mint_a,
            mint_b=pool.mint_b,
            ratio_a=pool.ratio_a,
            ratio_b=pool.ratio_b,
            flags=flags,
        )

    return step


def account(side: Side) -> Step:
    return lambda scene, box: ops.CreateTokenAccount(
        payer=scene.core, owner=scene.core, mint=box.pool.mint(lp_of(side))
    )


def minted(side: Side, amount: int) -> Step:
    token = token_of(side)
    return lambda scene, box: ops.MintTo(
        authority=scene.core, mint=box.pool.mint(token), destination=box.accounts[token], amount=amount
    )


def deposit(side: Side, amount: int) -> Step:
    return lambda scene, box: ops.Deposit(
        user=scene.core,
        pool_id=box.pool.pool_id,
        side=side,
        amount=amount,
        user_token=box.accounts[token_of(side)],
        user_lp=box.accounts[lp_of(side)],
    )


def withdraw(side: Side, amount: int) -> Step:
    return lambda scene, box: ops.Withdraw(
        user=scene.core,
        pool_id=box.pool.pool_id,
        side=side,
        amount=amount,
        user_lp=box.accounts[lp_of(side)],
        user_token=box.accounts[token_of(side)],
    )


def swap(side: Side, amount: int, expected: int) -> Step:
    return lambda scene, box: ops.Swap(
        user=scene.core,
        pool_id=box.pool.pool_id,
        side_in=side,
        amount_in=amount,
        expected_out=expected,
        user_in=box.accounts[token_of(side)],
        user_out=box.accounts[token_of(side.other)],
    )


def gift(side: Side, amount: int) -> Step:
    """Tokens straight into the vault, past the program."""
    return lambda scene, box: ops.Transfer(
        owner=scene.core, source=box.accounts[token_of(side)], destination=box.pool.vault(side), amount=amount
    )


def close(side: Side) -> Step:
    """Only an account without tokens can be closed."""
    return lambda scene, box: ops.CloseTokenAccount(
        owner=scene.core, account=box.accounts[lp_of(side)], destination=scene.core
    )


def pause(flags: int) -> Step:
    return lambda scene, box: ops.PausePool(admin=scene.core, pool_id=box.pool.pool_id, flags=flags)


def unpause(flags: int) -> Step:
    return lambda scene, box: ops.UnpausePool(admin=scene.core, pool_id=box.pool.pool_id, flags=flags)


def restrict(*, enable: bool, to_core: bool) -> Step:
    return lambda scene, box: ops.SetSwapOwnerOnly(
        admin=scene.core, pool_id=box.pool.pool_id, enable=enable, owner=scene.core if to_core else scene.treasury
    )


def consolidate(scene: Scene, box: Sandbox) -> Action:
    return ops.ConsolidatePoolFees(admin=scene.core, pool_ids=(box.pool.pool_id,))


def play(
    scene: Scene,
    *,
    kind: str,
    steps: tuple[Step, ...],
    code: str | None,
    stage: Stage = Stage.LATE,
    transfers: tuple[int, ...] | None = None,
) -> Attempt | None:
    """``code`` None: every step is accepted, and the transaction fails at the stop."""
    box = scene.sandboxes.get(kind)
    if box is None or scene.core_lamports < 2 * CREATION_LAMPORTS or not _can_mint(scene, steps, box):
        return None
    actions = [step(scene, box) for step in steps]
    common: dict[str, Any] = {
        "absent": (Address(box.pool.pool_id),),
        "needs": {scene.core: CREATION_LAMPORTS},
        "transfers": transfers,
        "fees_of": Address(box.pool.pool_id),
    }
    return allowed(scene, actions, **common) if code is None else refused(scene, actions, code, stage, **common)


def _can_mint(scene: Scene, steps: tuple[Step, ...], box: Sandbox) -> bool:
    made = [step(scene, box) for step in steps]
    for asset in (Asset.TOKEN_A, Asset.TOKEN_B):
        wanted = sum(a.amount for a in made if isinstance(a, ops.MintTo) and a.mint == scene.pool.mint(asset))
        if wanted and (not scene.is_minter or scene.supplies[asset] + wanted > U64_MAX):
            return False
    return True


def sandbox_probes() -> Iterator[Probe]:
    for first in Side:
        yield from _counters(first)
        yield from _pauses(first)
    yield from _arithmetic()
    yield from _creation()


def _probe(name: str, kind: str, code: str | None, *steps: Step, admin: bool = False, **rest: Any) -> Probe:
    make = partial(play, kind=kind, steps=steps, code=code, **rest)
    return Probe(name=f"sandbox.{name}", make=make, admin=admin, sandbox=True)


def _counters(x: Side) -> Iterator[Probe]:
    """Liquidity counters and LP tokens, at one to one; ``x`` is the side that deposits."""
    y = x.other
    start, filled = (create(), account(x)), (create(), account(x), minted(x, 10), deposit(x, 10))
    yield _probe(f"{x}.deposit-then-withdraw", EVEN, None, *filled, withdraw(x, 10), close(x))
    yield _probe(f"{x}.withdraw-twice", EVEN, "Custom(1)", *filled, withdraw(x, 10), withdraw(x, 1))
    yield _probe(f"{x}.withdraw-one-too-many", EVEN, "Custom(1)", *filled, withdraw(x, 11))
    yield _probe(f"{x}.withdraw-other-side", EVEN, "UninitializedAccount", *filled, withdraw(y, 1))
    yield _probe(f"{x}.withdrawn-is-gone", EVEN, SHORT, *filled, withdraw(x, 10), minted(y, 1), swap(y, 1, 1))
    yield _probe(f"{x}.swapped-out-is-gone", EVEN, SHORT, *filled, minted(y, 11), swap(y, 10, 10), swap(y, 1, 1))
    yield _probe(f"{x}.swapped-in-is-there", EVEN, None, *filled, minted(y, 4), swap(y, 4, 4), swap(x, 4, 4))
    yield _probe(f"{x}.swap-of-all", EVEN, None, *filled, minted(y, 10), swap(y, 10, 10))
    yield _probe(f"{x}.swap-of-one-more", EVEN, SHORT, *filled, minted(y, 11), swap(y, 11, 11))
    yield _probe(f"{x}.swapped-away-lp", EVEN, "Custom(1)", *filled, minted(y, 10), swap(y, 10, 10), withdraw(x, 1))
    yield _probe(
        f"{x}.gift-is-not-liquidity",
        EVEN,
        "ArithmeticOverflow",
        *(*filled, minted(y, 10), swap(y, 10, 10), gift(x, 10), withdraw(x, 10)),
    )
    yield _probe(
        f"{x}.gift-cannot-be-swapped", EVEN, SHORT, *start, minted(x, 5), gift(x, 5), minted(y, 5), swap(y, 5, 5)
    )
    large = 2**33 + 7
    yield _probe(
        f"{x}.above-32-bits",
        EVEN,
        None,
        *(*start, minted(x, large), deposit(x, large), minted(y, large), swap(y, large, large), swap(x, large, large)),
    )
    half = 2**62
    yield _probe(
        f"{x}.lp-supply-overflow",
        EVEN,
        "Custom(14)",
        *(*start, minted(x, 3 * half), deposit(x, 3 * half), minted(y, 3 * half), swap(y, 3 * half, 3 * half)),
        deposit(x, 3 * half),
    )
    fees = (LIQUIDITY_FEE, LIQUIDITY_FEE, SWAP_FEE)
    yield _probe(f"{x}.default-fees", EVEN, None, *filled, withdraw(x, 5), minted(y, 5), swap(y, 5, 5), transfers=fees)
    yield _probe(
        f"{x}.one-unit", EVEN, None, *start, minted(x, 1), deposit(x, 1), minted(y, 1), swap(y, 1, 1), swap(x, 1, 1)
    )


def _pauses(x: Side) -> Iterator[Probe]:
    y = x.other
    filled = (create(), account(x), minted(x, 10), deposit(x, 10), minted(y, 10))
    yes, no = swap(y, 5, 5), swap(y, 4, 4)
    cases: dict[str, tuple[str | None, tuple[Step, ...]]] = {
        "liquidity-paused": (None, (pause(1), yes)),
        "swaps-paused": ("Custom(1027)", (pause(2), yes)),
        "swaps-paused-withdraw": (None, (pause(2), withdraw(x, 10))),
        "liquidity-paused-withdraw": ("Custom(1035)", (pause(1), withdraw(x, 10))),
        "no-bits-paused": (None, (pause(0xFC), yes)),
        "unpaused": (None, (pause(3), unpause(3), yes)),
        "half-unpaused": ("Custom(1027)", (pause(3), unpause(1), yes)),
        "half-unpaused-deposit": ("Custom(1035)", (pause(3), unpause(2), deposit(x, 1))),
        "owner-only": ("Custom(1028)", (yes, restrict(enable=True, to_core=False), no)),
        "owner-only-owner": (None, (restrict(enable=True, to_core=True), yes)),
        "owner-only-lifted": (None, (restrict(enable=True, to_core=False), restrict(enable=False, to_core=False), yes)),
        "fees-consolidated": (None, (pause(3), consolidate, unpause(3), yes)),
        "consolidated-twice": (None, (pause(3), consolidate, consolidate, unpause(3), yes)),
    }
    for name, (code, steps) in cases.items():
        yield _probe(f"{x}.{name}", EVEN, code, *filled, *steps, admin=True)


def _arithmetic() -> Iterator[Probe]:
    a, b = Side.A, Side.B
    pond = (account(b), minted(b, 10), deposit(b, 10), minted(a, 5000))
    for flags, label in ((0, ""), (EXACT, "exact-")):
        filled = (create(flags), *pond)
        exact = flags == EXACT
        rounding = "Custom(1047)" if exact else None
        yield _probe(f"{label}rounds-down", THOUSAND, rounding, *filled, swap(a, 1999, 1))
        yield _probe(f"{label}rounds-down-low", THOUSAND, rounding, *filled, swap(a, 1001, 1))
        yield _probe(f"{label}never-up", THOUSAND, "Custom(1047)", *filled, swap(a, 1999, 2))
        yield _probe(f"{label}one-too-few", THOUSAND, "Custom(1047)", *filled, swap(a, 2000, 1))
        yield _probe(
            f"{label}zero-output", THOUSAND, "Custom(1047)" if exact else BAD_ARGUMENT, *filled, swap(a, 999, 0)
        )
        yield _probe(
            f"{label}zero-output-of-one", THOUSAND, "Custom(1047)" if exact else BAD_ARGUMENT, *filled, swap(a, 1, 0)
        )
        yield _probe(f"{label}whole-step", THOUSAND, None, *filled, swap(a, 1000, 1), swap(b, 1, 1000))
    wide = (create(), account(b), minted(b, BIG), deposit(b, BIG), minted(a, 2**25))
    # What a 64-bit product or a cut-off output would give is stated as the expectation: only the real check refuses it.
    yield _probe("output-over-u64", WIDE, "Custom(1019)", *wide, swap(a, 2**24 + 1, BIG))
    yield _probe("output-of-2-to-the-64", WIDE, "Custom(1019)", *wide, swap(a, 2**24, 0))
    yield _probe("output-just-below-u64", WIDE, SHORT, *wide, swap(a, 2**24 - 1, 2**64 - BIG))
    yield _probe("output-of-one-input", WIDE, None, *wide, swap(a, 1, BIG), swap(b, BIG, 1))
    yield _probe("input-under-one-output", WIDE, BAD_ARGUMENT, *wide, minted(b, BIG), swap(b, BIG - 1, 0))
    for kind, side in ((PRODUCT_A, a), (PRODUCT_B, b)):
        yield Probe(name=f"sandbox.{kind}-over-64-bits", make=partial(_product, kind=kind, side=side), sandbox=True)


def _product(scene: Scene, *, kind: str, side: Side) -> Attempt | None:
    """An input times ratio above 64 bits whose quotient fits: 128-bit arithmetic in the middle."""
    box = scene.sandboxes.get(kind)
    if box is None:
        return None
    amount = 2**26 + 12_345
    output = amount * box.pool.ratio(side.other) // box.pool.ratio(side)
    if not 1 <= output <= U64_MAX // 2:
        return None
    pays = side.other
    steps = (create(), account(pays), minted(pays, output), deposit(pays, output), minted(side, amount))
    return play(scene, kind=kind, steps=(*steps, swap(side, amount, output)), code=None)


def _creation() -> Iterator[Probe]:
    """InitializePool itself (CONTRACT.md 3.3); nothing of it stays."""
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "system-state-is-nowhere": (BAD_DATA, {"accounts": {2: NOWHERE}}),
        "pool-is-nowhere": (BAD_DATA, {"accounts": {3: NOWHERE}}),
        "token-program-is-nowhere": (BAD_PROGRAM, {"accounts": {4: NOWHERE}}),
        "treasury-is-nowhere": (WRONG_POOL, {"accounts": {5: NOWHERE}}),
        "treasury-readonly": ("Custom(1033)", {"writable": {5: False}}),
        "rent-is-nowhere": (BAD_ARGUMENT, {"accounts": {6: NOWHERE}}),
        "mint-is-nowhere": (PANIC, {"accounts": {7: NOWHERE}}),
        "vault-a-is-nowhere": (BAD_DATA, {"accounts": {9: NOWHERE}}),
        "vault-b-is-nowhere": (BAD_DATA, {"accounts": {10: NOWHERE}}),
        "lp-mint-a-is-nowhere": (BAD_DATA, {"accounts": {11: NOWHERE}}),
        "lp-mint-b-is-nowhere": (BAD_DATA, {"accounts": {12: NOWHERE}}),
        "ratio-a-zero": (BAD_ARGUMENT, {"data_at": {1: bytes(8)}}),
        "ratio-b-zero": (BAD_ARGUMENT, {"data_at": {9: bytes(8)}}),
        "other-ratio": (BAD_DATA, {"data_at": {1: (77).to_bytes(8, "little")}}),
        "account-too-few": (BAD_DATA, {"drop": 1}),
        "account-too-many": (BAD_DATA, {"extra": (NOWHERE,)}),
        "data-short": ("BorshIoError", {"data_cut": 1}),
    }
    first = {"system-state-is-nowhere", "account-too-few", "account-too-many", "data-short"}
    for name, (code, change) in cases.items():
        stage = Stage.FIRST if name in first else Stage.LATE
        make = partial(_spoilt_creation, code=code, change=change, stage=stage)
        yield Probe(name=f"create.{name}", make=make, sandbox=True)
    yield Probe(name="create.equal-mints", make=_equal_mints, sandbox=True)
    yield Probe(name="create.unsigned", make=_unsigned_creation, sandbox=True)
    yield Probe(name="create.existing", make=_existing, sandbox=True)
    yield Probe(name="create.engineering-ratio", make=_engineering, sandbox=True)
    yield _probe("created-twice", EVEN, EXISTS, create(), create())
    yield Probe(
        name="create.system-paused",
        make=partial(
            play,
            kind=EVEN,
            code="Custom(1023)",
            steps=(lambda scene, _: ops.PauseSystem(admin=scene.core, reason_code=1), create()),
        ),
        admin=True,
        sandbox=True,
    )


def _spoilt_creation(scene: Scene, *, code: str, change: dict[str, Any], stage: Stage = Stage.LATE) -> Attempt | None:
    def spoilt(scene: Scene, box: Sandbox) -> Action:
        made = create()(scene, box)
        return Tampered(action=made, **change)

    return play(scene, kind=EVEN, steps=(spoilt,), code=code, stage=stage)


def _equal_mints(scene: Scene) -> Attempt | None:
    return _spoilt_creation(scene, code=BAD_ARGUMENT, change={"accounts": {8: scene.pool.mint_a}})


def _unsigned_creation(scene: Scene) -> Attempt | None:
    stranger, box = scene.stranger(), scene.sandboxes.get(EVEN)
    if stranger is None or box is None:
        return None
    change = {"accounts": {0: stranger.wallet}, "signer": {0: False}}
    made = create()(scene, box)
    return refused(scene, [Tampered(action=made, **change)], NO_SIGNATURE, Stage.FIRST, user=stranger.wallet)  # type: ignore[arg-type]


def _existing(scene: Scene) -> Attempt | None:
    if scene.core_lamports < 2 * CREATION_LAMPORTS:
        return None
    made = create()(scene, Sandbox(pool=scene.pool, accounts={}))
    return refused(scene, [made], EXISTS, needs={scene.core: CREATION_LAMPORTS})


def _engineering(scene: Scene) -> Attempt | None:
    """Neither side is one whole token: refused after everything was created."""
    return play(scene, kind=ENGINEERING, steps=(create(),), code="Custom(1049)")
