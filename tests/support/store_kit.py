"""What the store's tests share: both backends, sample records, a dump of everything in Redis, the key-leak check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import fakeredis
import pytest
import redis

from domain.chains import Begun, Commit, Committed, Next, Refused
from domain.ids import Address, ChainId, CommandId, PoolId, ThreadId
from domain.pool import Asset, Pool, Side
from domain.state import Order
from domain.store.client import connect
from domain.store.gateway import RedisStore
from domain.store.keys import Keys, Life
from domain.thread import OrderKind, ThreadConfig, ThreadKind
from tests.support.redis_server import redis_server

QUEUE = "queue"
POOL = PoolId("PoolOne")
THREAD = ThreadId("deposit_1")
LEASE_MS = 60_000
BIG = 123_456_789_012_345_678_901_234_567  # beyond doubles, 64 bits and cjson's 14 digits


@pytest.fixture(scope="session", name="real_url")
def real_url_fixture() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(params=["fakeredis", "redis-server"], name="client")
def client_fixture(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    if request.param == "fakeredis":
        client: redis.Redis = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer(version=(6, 2)))
    else:
        client = connect(request.getfixturevalue("real_url"))
    client.flushall()
    yield client
    leaks = leaked_keys(client)
    client.close()
    assert leaks == []


@pytest.fixture(name="store")
def store_fixture(client: redis.Redis) -> RedisStore:
    return RedisStore(client)


def leaked_keys(client: Any, prefix: str = "frt:") -> list[str]:
    """Keys of no family, of the wrong type, or without the TTL that their family promises."""
    keys = Keys(prefix)
    leaks = []
    for key in sorted(client.scan_iter()):
        if key == QUEUE:
            continue
        family = keys.family(key)
        if family is None:
            leaks.append(f"{key}: no family")
        elif client.type(key) != family.type:
            leaks.append(f"{key}: is a {client.type(key)}")
        elif family.life is not Life.PERMANENT and client.pttl(key) < 0:
            command_id = key.rpartition("command:")[2]
            open_now = client.zscore(keys.named("open-commands"), command_id) is not None
            live = client.hget(key, "live") == "1" if family.type == "hash" else False
            if family.life is Life.TTL or not (open_now or live):
                leaks.append(f"{key}: no TTL")
    return leaks


def dump(client: Any, *, counters: bool = True) -> dict[str, Any]:
    """Every key with its whole value; without counters where refusals may count themselves."""
    reader = {
        "hash": client.hgetall,
        "set": client.smembers,
        "string": client.get,
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        "list": lambda key: client.lrange(key, 0, -1),
        "stream": client.xrange,
    }
    names = (key for key in client.scan_iter() if counters or ":counters:" not in key)
    return {key: reader[client.type(key)](key) for key in names}


def thread_config(thread_id: str = THREAD, **changes: Any) -> ThreadConfig:
    kind = ThreadKind(thread_id.partition("_")[0])
    config = ThreadConfig(
        thread_id=ThreadId(thread_id),
        kind=kind,
        pool_id=POOL,
        side=Side.A,
        initial_amount=BIG,
        auto_refill=True,
        share=False,
        wallet=Address(f"Wallet-{thread_id}"),
        accounts={Asset.TOKEN_A: Address("TokenAccount"), Asset.LP_A: Address("LpAccount")},
        index=7,
        created_at_ms=1_700_000_000_000,
    )
    return replace(config, **changes)


def sample_pool(name: str = "PoolOne", **changes: Any) -> Pool:
    texts = ("owner", "mint_a", "mint_b", "vault_a", "vault_b", "lp_mint_a", "lp_mint_b")
    pool = Pool(
        pool_id=PoolId(name),
        ratio_a=2**64 - 1,
        ratio_b=1,
        decimals_a=9,
        decimals_b=0,
        lp_decimals_a=9,
        lp_decimals_b=9,
        simple_ratio=True,
        exact_exchange=False,
        bumps=(255, 254, 253, 252, 251),
        created_slot=5,
        created_at_ms=1_700_000_000_000,
        **{text: Address(f"{name}-{text}") for text in texts},
    )
    return replace(pool, **changes)


def next_message(generation: int, seq: int, countdown_ms: int = 0) -> Next:
    return Next(queue=QUEUE, message=f"{generation}:{seq}".encode(), countdown_ms=countdown_ms)


def order(kind: OrderKind, command_id: str = "cmd-1") -> Order:
    return Order(kind=kind, command_id=CommandId(command_id))


def started_thread(store: RedisStore, thread_id: str = THREAD, **changes: Any) -> Begun:
    """A running thread whose start order is carried out; its next cycle has begun."""
    config = thread_config(thread_id, **changes)
    store.create_thread(config, "v1:sealed", ready=True)
    store.place_order(config.thread_id, order(OrderKind.START, f"start-{thread_id}"), next_message)
    begun = begin(store, thread_id)
    committed(store, Commit(begun=begun, state="{}", intents="[]", next=next_message(1, 1)))
    return begin(store, thread_id)


def begin(store: RedisStore, chain_id: str, lease_ms: int = LEASE_MS) -> Begun:
    """Begin the cycle that the record says is next; it must not be refused."""
    record = store.get_chain(chain_id)
    assert record is not None
    begun = store.begin(ChainId(chain_id), record.generation, record.seq, lease_ms)
    assert isinstance(begun, Begun), begun
    return begun


def committed(store: RedisStore, commit: Commit) -> Committed:
    answer = store.commit(commit)
    assert isinstance(answer, Committed), answer
    return answer


def going_on(begun: Begun, **changes: Any) -> Commit:
    """A commit of ``begun`` that goes on, with some fields set."""
    generation = begun.generation + (1 if changes.get("status") is not None else 0)
    commit = Commit(begun=begun, state='{"n":1}', intents="[]", next=next_message(generation, begun.seq + 1))
    return replace(commit, **changes)


def refused(answer: object) -> str:
    assert isinstance(answer, Refused), answer
    return answer.reason.value
