"""`frt prepare`: what must be there before services of their own start (compose, systemd)."""

from __future__ import annotations

import secrets
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from rich.console import Console

from domain.errors import StressError
from ops.commands.options import ConfigOption, settings_maker

if TYPE_CHECKING:
    from tasks.runtime import Runtime

CHAIN_TIMEOUT_S: Final = 60.0
METHOD_NOT_FOUND: Final = -32601


def prepare(config: ConfigOption = None) -> None:
    """Keys, core wallet, restored files, the initialised program. Safe to repeat; ends when all is ready.

    On a chain of our own the core wallet is made, funded, and becomes the program's upgrade authority; on a cluster the
    wallet's file must be there.
    """
    from domain.chain.core_wallet import core_address, create_core_wallet
    from domain.runtime.logs import configure_logging
    from domain.runtime.wiring import build_sealer
    from tasks.app import create_app
    from tasks.bootstrap import prepare_chain
    from tasks.known_pools import check_version, pools_at_start
    from tasks.restore import check_sealing_key, restore
    from tasks.runtime import build_runtime

    settings = settings_maker(config)({})
    configure_logging(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    sealer = build_sealer(settings)
    if not settings.core_wallet.exists():
        if not settings.local_chain:
            raise StressError(f"there is no core wallet at {settings.core_wallet}; put its solana-keygen file there")
        create_core_wallet(settings.core_wallet, sealer, sealed=settings.encrypt_core_wallet)
    runtime = build_runtime(settings, create_app(settings))
    restore(runtime)
    check_sealing_key(runtime)
    runtime.store.set_run_once("seed", str(secrets.randbits(63) if settings.seed is None else settings.seed))
    runtime.store.set_run_once("started_at_ms", str(runtime.store.now_ms()))
    if settings.local_chain:
        _take_authority(runtime, CHAIN_TIMEOUT_S)
    prepare_chain(runtime, timeout_s=CHAIN_TIMEOUT_S)
    pools_at_start(runtime)
    check_version(runtime)
    Console().print(f"ready; core wallet {core_address(settings.core_wallet)}", highlight=False)
    runtime.close()


def _take_authority(runtime: Runtime, timeout_s: float) -> None:
    """Our local chain lets anybody say who may initialise the program; others have their own way, and say no."""
    from domain.chain.errors import RpcError, RpcErrorObject

    deadline = monotonic() + timeout_s
    while True:
        try:
            authority = {"pubkey": runtime.chain.keyring.core_address}
            runtime.chain.endpoints.call("frt_setUpgradeAuthority", [authority])
        except RpcErrorObject as error:
            if error.code != METHOD_NOT_FOUND:
                raise StressError(f"the local chain does not take the core wallet as authority: {error}") from None
        except RpcError as error:
            if monotonic() > deadline:
                raise StressError(f"the chain does not answer: {error}") from None
            sleep(0.2)
            continue
        return
