"""The cast of a random history: mints, users, token accounts and pools of varied ratios and decimals."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from tests.support.contract_model import encoding
from tests.support.contract_model.addresses import pool_address
from tests.support.contract_model.runtime import Instruction
from tests.support.contract_model.state import U64_MAX, Mint, PoolState, TokenAccount
from tests.support.litesvm_world import ADMIN, World


def key_of(kind: int, number: int) -> bytes:
    """A readable label as an address."""
    return bytes([kind]) + number.to_bytes(30, "big") + bytes([kind])


USERS = tuple(key_of(0x30, number) for number in range(3))
MINTS = tuple(key_of(0x20, number) for number in range(6))
MINT_DECIMALS = (9, 6, 6, 0, 9, 19)
# Indices of the ordered mints, rA, rB, flags argument.
POOLS = (
    (0, 1, 1_000_000_000, 160_000_000, 0),
    (0, 1, 1, 160, 0x40),
    (1, 2, 1_000_000, 1_010_000, 0),
    (1, 2, 1, U64_MAX, 0),
    (1, 2, U64_MAX, 1, 0),
    (0, 4, 10**9, 10**18, 0x40),
    (2, 3, 7, 1, 0),
    (3, 5, 1, 1, 0),
    (2, 5, 1_999_999, 3, 0),
)


@dataclass(slots=True)
class Market:
    """Addresses of everything that takes part; accounts[(user, mint)] is the user's token account."""

    world: World
    random: Random
    pools: list[bytes] = field(default_factory=list)
    accounts: dict[tuple[bytes, bytes], bytes] = field(default_factory=dict)
    created: int = 0

    def open(self) -> list[Instruction]:
        """Write mints, users and token accounts; the instructions that create the first pools."""
        for number, mint in enumerate(MINTS):
            share = (10**15, 10**15, U64_MAX // 4, 10**12, 10**18, U64_MAX // 4)[number]
            self.world.put_token(
                mint, Mint(authority=ADMIN, supply=3 * share, decimals=MINT_DECIMALS[number], freeze_authority=ADMIN)
            )
            for user in USERS:
                self._open_account(user, mint, share)
        for user in USERS:
            self.world.put_lamports(user, 10**12)
        creations = []
        for a, b, ratio_a, ratio_b, flags in POOLS:
            creations.append(encoding.initialize_pool(USERS[0], MINTS[a], MINTS[b], ratio_a, ratio_b, flags))
            self.adopt_pool(pool_address(MINTS[a], MINTS[b], ratio_a, ratio_b)[0])
        return creations

    def adopt_pool(self, pool: bytes) -> None:
        """Give every user accounts for the LP mints of a pool."""
        self.pools.append(pool)
        for lp_mint in encoding.pool_parts(pool)[2:]:
            for user in USERS:
                self._open_account(user, lp_mint, 0)

    def _open_account(self, user: bytes, mint: bytes, amount: int) -> None:
        key = key_of(0x60, len(self.accounts))
        self.accounts[user, mint] = key
        self.world.put_token(key, TokenAccount(mint=mint, owner=user, amount=amount))

    def pool(self, key: bytes) -> PoolState:
        return PoolState.parse(self.world.model.accounts[key].data)

    def token(self, key: bytes) -> TokenAccount | None:
        """The token account; None when it is missing."""
        account = self.world.model.accounts.get(key)
        return TokenAccount.parse(account.data) if account and len(account.data) == 165 else None

    def balance(self, key: bytes) -> int:
        token = self.token(key)
        return token.amount if token else 0

    def amount(self, balance: int) -> int:
        """An amount around a balance: boundaries as often as the inside."""
        edges = (0, 1, 2, balance, balance + 1, balance // 2, U64_MAX)
        if self.random.random() < 0.25:
            return min(self.random.choice(edges), U64_MAX)
        digits = self.random.randint(1, max(1, len(str(balance))))
        return min(self.random.randint(1, 10**digits), max(1, balance))
