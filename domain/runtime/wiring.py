"""Builds store and chain from the settings: the only place that knows which class stands behind them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from solders.pubkey import Pubkey

from domain.chain.build import PoolOf
from domain.chain.core_wallet import read_core_wallet, seal_core_wallet
from domain.chain.endpoints import Endpoints
from domain.chain.gateway import SolanaChain
from domain.chain.keyring import Keyring
from domain.chain.keystore import Sealer, load_sealing_key, sealing_key_from_text
from domain.chain.passphrase import key_of_passphrase, read_passphrase
from domain.chain.rpc import RpcClient
from domain.ids import Address
from domain.ports import NULL_METRICS, Metrics
from domain.runtime.settings import Settings
from domain.store.client import connect
from domain.store.gateway import RedisStore

SealedOf = Callable[[Address], str | None]


def build_store(settings: Settings, metrics: Metrics = NULL_METRICS) -> RedisStore:
    return RedisStore(
        connect(settings.redis_url, prefix=settings.redis_prefix), prefix=settings.redis_prefix, metrics=metrics
    )


def build_keyring(settings: Settings, sealed_of: SealedOf) -> Keyring:
    """Raises StressError when the core wallet or the sealing key cannot be read."""
    sealer = build_sealer(settings)
    if settings.encrypt_core_wallet:
        seal_core_wallet(settings.core_wallet, sealer)
    return Keyring(read_core_wallet(settings.core_wallet, sealer), sealer, sealed_of)


def build_sealer(settings: Settings) -> Sealer:
    """The sealing key, else the passphrase's, else the key file's, which is made when missing. Raises KeystoreError."""
    if settings.sealing_key is not None:
        return Sealer(sealing_key_from_text(settings.sealing_key.get_secret_value()))
    passphrase = None
    if settings.sealing_passphrase is not None:
        passphrase = settings.sealing_passphrase.get_secret_value()
    elif settings.sealing_passphrase_file is not None:
        passphrase = read_passphrase(settings.sealing_passphrase_file)
    if passphrase is not None:
        return Sealer(key_of_passphrase(passphrase, passphrase_parameters(settings), create=True))
    return Sealer(load_sealing_key(settings.sealing_key_file, create=True))


def passphrase_parameters(settings: Settings) -> Path:
    """Salt and cost of the passphrase; every machine that runs the service needs the same file."""
    return settings.data_dir / "sealing.scrypt.json"


def build_chain(
    settings: Settings,
    sealed_of: SealedOf,
    pool_of: PoolOf,
    monotonic_ms: Callable[[], int],
    metrics: Metrics = NULL_METRICS,
) -> SolanaChain:
    clients = [
        RpcClient(url, timeout_seconds=settings.rpc_timeout_ms / 1000, observer=metrics.rpc_request)
        for url in settings.rpc_urls
    ]
    endpoints = Endpoints(clients, rng=random.Random())
    return SolanaChain(
        endpoints,
        Pubkey.from_string(settings.program_id),
        build_keyring(settings, sealed_of),
        pool_of,
        monotonic_ms,
        preflight=settings.preflight,
    )
