"""The share cycle packs by arithmetic; here the arithmetic is held against transactions that are really built."""

from __future__ import annotations

import random

import pytest
from solders.pubkey import Pubkey

from domain.chain.spl import compute_unit_limit_instruction, transfer_tokens
from domain.chain.transaction import transaction_size_bytes
from domain.ids import ThreadId
from domain.pool import Asset
from domain.sharing import Payment
from tasks.cycles.share import fits, transaction_bytes


def key(*parts: object) -> Pubkey:
    return Pubkey.from_bytes(random.Random("/".join(map(str, parts))).randbytes(32))


def built_bytes(batch: list[Payment]) -> int:
    transfers = [
        transfer_tokens(
            source=key(payment.owner, payment.asset.value),
            destination=key(payment.taker, payment.asset.value),
            owner=key(payment.owner),
            amount=payment.amount,
        )
        for payment in batch
    ]
    return transaction_size_bytes(key(batch[0].owner), [compute_unit_limit_instruction(200_000), *transfers])


@pytest.mark.parametrize("seed", range(60))
def test_size_is_exact(seed: int) -> None:
    rng = random.Random(seed)
    threads = [ThreadId(f"deposit_{n}") for n in range(rng.randint(2, 9))]
    batch = []
    for _ in range(rng.randint(1, 9)):
        owner, taker = rng.sample(threads, 2)
        batch.append(Payment(owner=owner, taker=taker, asset=rng.choice(list(Asset)), amount=rng.randint(1, 2**64 - 1)))
    assert transaction_bytes(batch) == built_bytes(batch)
    assert fits(batch) == (built_bytes(batch) <= 1232)
