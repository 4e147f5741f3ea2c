"""Probes that replace one account of a deposit, withdrawal or swap by a plausible foreign one (CONTRACT.md 3.4-3.6)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from domain.ids import Address
from domain.operations import Tampered
from domain.pool import Asset, Side, lp_of, token_of
from domain.probes import Attempt, Probe, Scene, Stage, refused
from domain.probes_trade import Trade, trade

BAD_DATA: Final = "InvalidAccountData"
BAD_ARGUMENT: Final = "InvalidArgument"
BAD_INPUT: Final = "InvalidInstructionData"
BAD_PROGRAM: Final = "IncorrectProgramId"
NO_ACCOUNT: Final = "UninitializedAccount"
NO_SIGNATURE: Final = "MissingRequiredSignature"
NO_PROGRAM: Final = "MissingAccount"
PANIC: Final = "ProgramFailedToComplete"
SHORT: Final = "InsufficientFunds"
BORSH: Final = "BorshIoError"
WRONG_POOL: Final = "Custom(1034)"
NO_LP: Final = "Custom(4001)"

NOWHERE: Final = Address("Nowhere111111111111111111111111111111111111")
"""An address that nobody holds a key of and nothing lives at."""
SYSTEM_PROGRAM: Final = Address("11111111111111111111111111111111")
TOKEN_PROGRAM: Final = Address("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")

_OF_A_SIDE: Final = frozenset({"vault", "vault-other", "lp-mint", "lp-mint-other", "mint", "mint-other"})

_SHARED: Final = [
    ("system-program", "nowhere token-program", NO_PROGRAM, Stage.LATE),
    ("system-state", "nowhere treasury pool stranger", BAD_DATA, Stage.FIRST),
    ("pool", "nowhere vault token mint stranger", BAD_PROGRAM, Stage.POOL),
    ("pool", "other-pool system-state treasury", WRONG_POOL, Stage.POOL),
    ("token-program", "nowhere system-program stranger", BAD_PROGRAM, Stage.LATE),
]
_DEPOSIT: Final = [
    *_SHARED,
    ("vault", "nowhere vault-other other-vault token token-other stranger-token lp-mint", BAD_DATA, Stage.LATE),
    ("source", "nowhere stranger", NO_ACCOUNT, Stage.LATE),
    ("source", "stranger-token vault vault-other stranger-lp", BAD_DATA, Stage.LATE),
    ("source", "token-other lp lp-other", BAD_INPUT, Stage.LATE),
    ("source", "pool treasury", BAD_PROGRAM, Stage.LATE),
    ("source", "mint lp-mint", PANIC, Stage.LATE),
    ("target", "nowhere stranger stranger-lp stranger-token vault pool treasury", NO_LP, Stage.LATE),
    ("target", "lp-other token token-other", BAD_DATA, Stage.LATE),
    ("target", "mint lp-mint", PANIC, Stage.LATE),
    ("lp-mint", "nowhere lp-mint-other other-lp-mint mint lp", BAD_DATA, Stage.LATE),
]
_WITHDRAW: Final = [
    *_SHARED,
    ("vault", "nowhere vault-other other-vault token stranger-token lp-mint", BAD_DATA, Stage.LATE),
    ("source", "nowhere stranger", NO_ACCOUNT, Stage.LATE),
    ("source", "stranger-lp stranger-token lp-other token token-other vault", BAD_DATA, Stage.LATE),
    ("source", "pool treasury", BAD_PROGRAM, Stage.LATE),
    ("source", "mint lp-mint", PANIC, Stage.LATE),
    ("target", "nowhere stranger", NO_ACCOUNT, Stage.LATE),
    ("target", "stranger-token stranger-lp vault vault-other", BAD_DATA, Stage.LATE),
    ("target", "token-other lp lp-other", BAD_INPUT, Stage.LATE),
    ("target", "pool treasury", BAD_PROGRAM, Stage.LATE),
    ("target", "mint lp-mint", PANIC, Stage.LATE),
    ("lp-mint", "nowhere lp-mint-other other-lp-mint mint", BAD_DATA, Stage.LATE),
    ("lp-mint-other", "nowhere lp-mint other-lp-mint mint", BAD_DATA, Stage.LATE),
]
# Here "vault" and "mint" are the input's, "-other" the output's.
_SWAP: Final = [
    *_SHARED,
    ("vault", "nowhere vault-other other-vault token stranger-token lp", BAD_DATA, Stage.LATE),
    ("vault-other", "nowhere vault other-vault token-other stranger-token lp", BAD_DATA, Stage.LATE),
    ("source", "nowhere stranger", NO_ACCOUNT, Stage.LATE),
    ("source", "stranger-token stranger-lp vault vault-other token-other", BAD_DATA, Stage.LATE),
    ("source", "lp lp-other", BAD_ARGUMENT, Stage.LATE),
    ("source", "pool treasury", BAD_PROGRAM, Stage.LATE),
    ("source", "mint lp-mint", PANIC, Stage.LATE),
    ("target", "nowhere stranger", NO_ACCOUNT, Stage.LATE),
    ("target", "stranger-token-other stranger-token vault vault-other token lp lp-other", BAD_DATA, Stage.LATE),
    ("target", "pool treasury", BAD_PROGRAM, Stage.LATE),
    ("target", "mint lp-mint", PANIC, Stage.LATE),
    ("mint", "nowhere mint-other lp-mint vault other-lp-mint", BAD_DATA, Stage.LATE),
    ("mint-other", "nowhere mint lp-mint-other vault-other other-lp-mint", BAD_DATA, Stage.LATE),
]
_TABLES: Final = {Trade.DEPOSIT: _DEPOSIT, Trade.WITHDRAW: _WITHDRAW, Trade.SWAP: _SWAP}


def place_index(kind: Trade, place: str, side: Side) -> int:
    """Where an account stands in the instruction; vaults and LP mints are always A, then B."""
    second = side is Side.B
    match place:
        case "system-program":
            return 1
        case "system-state":
            return 2
        case "pool":
            return 3
        case "token-program":
            return 4
        case "vault" | "vault-other":
            return 6 if second is (place == "vault") else 5
        case "source":
            return 7
        case "target":
            return 8
        case "mint" | "mint-other" if kind is Trade.SWAP:
            return 9 if place == "mint" else 10
        case "lp-mint" | "lp-mint-other":
            return 10 if second is (place == "lp-mint") else 9
        case _:
            raise KeyError(place)


def foreign(scene: Scene, kind: str, side: Side) -> Address | None:
    """The address that a table's word stands for, or None where the scene has none."""
    pool, other = scene.pool, scene.other_pool
    token, lp = token_of(side), lp_of(side)
    fixed: dict[str, Address] = {
        "nowhere": NOWHERE,
        "system-program": SYSTEM_PROGRAM,
        "token-program": TOKEN_PROGRAM,
        "system-state": scene.system_state,
        "treasury": scene.treasury,
        "pool": Address(pool.pool_id),
        "vault": pool.vault(side),
        "vault-other": pool.vault(side.other),
        "mint": pool.mint(token),
        "mint-other": pool.mint(token_of(side.other)),
        "lp-mint": pool.mint(lp),
        "lp-mint-other": pool.mint(lp_of(side.other)),
        "token": scene.own[token],
        "token-other": scene.own[token_of(side.other)],
        "lp": scene.own[lp],
        "lp-other": scene.own[lp_of(side.other)],
    }
    if kind in fixed:
        return fixed[kind]
    if kind.startswith("other-"):
        if other is None:
            return None
        return {
            "other-pool": Address(other.pool_id),
            "other-vault": other.vault(side),
            "other-lp-mint": other.mint(lp),
        }[kind]
    wanted: dict[str, tuple[Asset, ...]] = {
        "stranger": (),
        "stranger-token": (token,),
        "stranger-token-other": (token_of(side.other),),
        "stranger-lp": (lp,),
    }
    stranger = scene.stranger(*wanted[kind])
    if stranger is None:
        return None
    return stranger.accounts[wanted[kind][0]] if wanted[kind] else stranger.wallet


def replaced(
    scene: Scene, *, kind: Trade, side: Side, place: str, other: str, code: str, stage: Stage
) -> Attempt | None:
    made, account = trade(scene, kind, side), foreign(scene, other, side)
    if made is None or account is None:
        return None
    action = Tampered(action=made.action, accounts={place_index(kind, place, side): account})
    relies = () if other in ("nowhere", "stranger", "system-program", "token-program") else (account,)
    return refused(
        scene,
        [*made.before, action],
        code,
        stage,
        relies=relies,
        needs=made.needs,
        holds=made.holds if stage is Stage.LATE and code in (BAD_PROGRAM, NO_PROGRAM) else {},
    )


def account_probes() -> Iterator[Probe]:
    for kind, table in _TABLES.items():
        for side in Side:
            for place, others, code, stage in table:
                for number, other in enumerate(others.split()):
                    # The code does not know sides before it picks vault, mint and LP mint: B repeats only those.
                    if side is Side.B and number and place not in _OF_A_SIDE:
                        continue
                    yield Probe(
                        name=f"{kind}.{side}.{place}-is-{other}",
                        make=partial(replaced, kind=kind, side=side, place=place, other=other, code=code, stage=stage),
                    )
