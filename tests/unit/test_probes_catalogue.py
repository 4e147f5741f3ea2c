"""The catalogue of probes: names, dealing, and that every probe can be stored and sent."""

from __future__ import annotations

import json
from collections import Counter

from domain.chain.build import Builder, key, token_address
from domain.chain.program import LOCALNET_PROGRAM_ID, main_treasury, pool_addresses, program_data, system_state
from domain.chain.transaction import fits
from domain.ids import Address, PoolId
from domain.pool import Asset, Pool
from domain.probes import OK, Scene, Stranger
from domain.probes_catalogue import BY_NAME, CATALOGUE, dealt, first_position
from tasks.cycles.probe import compute_units
from tasks.cycles.probe_scene import own_accounts, sandboxes_of

MINTS = ("So11111111111111111111111111111111111111112", "SysvarRent111111111111111111111111111111111")


def text(address: object) -> Address:
    return Address(str(address))


CORE = text(key("Vote111111111111111111111111111111111111111"))
WALLET = text(key("Stake11111111111111111111111111111111111111"))


def pool_of(ratio_a: int, ratio_b: int, *, exact: bool = False) -> Pool:
    found = pool_addresses(LOCALNET_PROGRAM_ID, key(MINTS[0]), key(MINTS[1]), ratio_a, ratio_b)
    return Pool(
        pool_id=PoolId(str(found.pool_state)),
        owner=CORE,
        mint_a=Address(MINTS[0]),
        mint_b=Address(MINTS[1]),
        vault_a=text(found.vault_a),
        vault_b=text(found.vault_b),
        lp_mint_a=text(found.lp_mint_a),
        lp_mint_b=text(found.lp_mint_b),
        ratio_a=ratio_a,
        ratio_b=ratio_b,
        decimals_a=9,
        decimals_b=6,
        lp_decimals_a=9,
        lp_decimals_b=6,
        simple_ratio=True,
        exact_exchange=exact,
        bumps=found.bumps,
        created_slot=0,
        created_at_ms=0,
    )


def scene_of(pool: Pool, builder: Builder, **changes) -> Scene:
    accounts = {asset: token_address(WALLET, pool.mint(asset)) for asset in Asset}
    given = {
        "pool": pool,
        "core": CORE,
        "own": own_accounts(CORE, pool),
        "balances": dict.fromkeys(Asset, 10**15),
        "supplies": dict.fromkeys(Asset, 10**16),
        "core_lamports": 10**15,
        "liquidity_fee": 13_000_000,
        "swap_fee": 271_500,
        "strangers": (Stranger(wallet=WALLET, accounts=accounts),),
        "other_pool": pool_of(7_000_000_000, 1_000_000),
        "sandboxes": sandboxes_of(builder, CORE, pool),
        "system_state": text(system_state(LOCALNET_PROGRAM_ID)),
        "treasury": text(main_treasury(LOCALNET_PROGRAM_ID)),
        "program_data": text(program_data(LOCALNET_PROGRAM_ID)),
        "is_admin": True,
        "is_minter": True,
        "treasury_open": True,
    }
    return Scene(**given | changes)


def world(ratio_a: int = 10**9, ratio_b: int = 160 * 10**6, *, exact: bool = False, **changes) -> tuple[Scene, Builder]:
    pool = pool_of(ratio_a, ratio_b, exact=exact)
    builder = Builder(LOCALNET_PROGRAM_ID, lambda _: pool)
    return scene_of(pool, builder, **changes), builder


def test_names_are_unique_and_many():
    assert len(BY_NAME) == len(CATALOGUE) > 600
    kinds = Counter(name.split(".")[0] for name in BY_NAME)
    assert min(kinds[kind] for kind in ("deposit", "withdraw", "swap", "admin", "sandbox")) > 50


def test_every_pool_deals_every_probe_and_four_share_the_work():
    for pools in (1, 4, 7):
        starts = [first_position(index, pools) for index in range(pools)]
        share = -(-len(CATALOGUE) // pools)
        together = {dealt(start + n).name for start in starts for n in range(share)}
        assert together == set(BY_NAME)
    assert {dealt(5 + n).name for n in range(len(CATALOGUE))} == set(BY_NAME)


def test_every_probe_fits_into_a_transaction_and_into_json():
    for exact in (False, True):
        scene, builder = world(exact=exact)
        unmade = []
        for probe in CATALOGUE:
            attempt = probe.make(scene)
            if attempt is None:
                unmade.append(probe.name)
                continue
            instructions = [i for action in attempt.actions for i in builder.build(action)]
            assert len(instructions) == len(attempt.actions) == len(attempt.gates) - (attempt.code == OK), probe.name
            assert fits(key(CORE), instructions), probe.name
            assert json.loads(json.dumps(attempt.expectation())) == attempt.expectation(), probe.name
            assert compute_units(attempt) <= 1_380_000
        assert all(name.endswith((".inexact", ".output-zero")) for name in unmade), unmade


def test_only_the_named_small_operations_can_stay():
    scene, _ = world()
    stays = {probe.name for probe in CATALOGUE if (made := probe.make(scene)) and made.code == OK}
    assert stays == {name for name in BY_NAME if name.startswith("real.")}
    for probe in CATALOGUE:
        made = probe.make(scene)
        if made is not None and made.code != OK:
            last = made.actions[-1]
            assert (getattr(last, "source", ""), getattr(last, "lamports", 0)) == (CORE, 2**64 - 1), probe.name


def test_administration_is_marked_as_such():
    """What needs the admin's signature must not be sent by a core wallet that is no admin."""
    scene, builder = world()
    for probe in CATALOGUE:
        made = probe.make(scene)
        if made is None or probe.admin:
            continue
        for action in made.actions:
            for instruction in builder.build(action):
                own = instruction.program_id == LOCALNET_PROGRAM_ID and bytes(instruction.data[:1])
                assert not own or own[0] < 5 or own[0] >= 25, (probe.name, own)


def test_a_wallet_that_cannot_mint_has_fewer_probes_but_no_errors():
    poor, _ = world(is_minter=False, balances=dict.fromkeys(Asset, 0), strangers=(), other_pool=None, sandboxes={})
    assert sum(probe.make(poor) is not None for probe in CATALOGUE) > 100


def test_extreme_ratios_make_no_impossible_amount():
    for ratio in ((1, 2**64 - 1), (2**64 - 1, 1), (2**63 - 25, 2**63 - 1), (1, 1)):
        scene, builder = world(*ratio)
        for probe in CATALOGUE:
            made = probe.make(scene)
            for action in made.actions if made else ():
                builder.build(action)
