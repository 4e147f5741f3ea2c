"""Before the first command: money for the core wallet where a faucet exists, and the program initialised.

Runs in the process that starts a run; it may wait, which no task may.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep

import structlog

from domain.chain.errors import RpcError
from domain.chain.gateway import ChainUnreachableError, Want
from domain.errors import CommandCode, CommandError
from domain.expiry import Expired, Landed, resolve
from domain.ids import OperationId
from domain.operations import InitializeProgram, Operation, OperationKind
from tasks.runtime import Runtime

log = structlog.get_logger()

CORE_TARGET_LAMPORTS = 1_000_000 * 10**9  # on a chain of our own money is free
POLL_S = 0.05


def prepare_chain(runtime: Runtime, *, timeout_s: float = 60.0) -> None:
    """Wait for the chain, fund the core wallet on a local chain, initialise the program when it is not.

    Raises CommandError: CHAIN_UNREACHABLE, CORE_WALLET_SHORT, CONTRACT_REFUSED.
    """
    deadline = monotonic() + timeout_s
    _until(lambda: _reachable(runtime), deadline, "the chain does not answer")
    runtime.store.set_run({"core_wallet": runtime.chain.keyring.core_address})
    if runtime.settings.local_chain:
        _fund(runtime, deadline)
    _initialise(runtime, deadline)


def _until(condition: Callable[[], bool], deadline: float, message: str) -> None:
    while not condition():
        if monotonic() > deadline:
            raise CommandError(CommandCode.CHAIN_UNREACHABLE, message)
        sleep(POLL_S)


def _reachable(runtime: Runtime) -> bool:
    try:
        runtime.chain.endpoints.call("getHealth")
    except RpcError:
        return False
    return True


def _core_lamports(runtime: Runtime) -> int:
    core = runtime.chain.keyring.core_address
    try:
        return runtime.chain.observe(Want(addresses=(core,))).lamports(core)
    except ChainUnreachableError:
        return 0


def _fund(runtime: Runtime, deadline: float) -> None:
    core = runtime.chain.keyring.core_address
    if _core_lamports(runtime) >= CORE_TARGET_LAMPORTS // 2:
        return
    runtime.chain.endpoints.call("requestAirdrop", [core, CORE_TARGET_LAMPORTS])
    _until(
        lambda: _core_lamports(runtime) >= CORE_TARGET_LAMPORTS // 2,
        deadline,
        "the airdrop for the core wallet is lost",
    )
    runtime.store.set_run_once("core_airdrop_lamports", str(CORE_TARGET_LAMPORTS))


def _initialise(runtime: Runtime, deadline: float) -> None:
    chain = runtime.chain
    seen = chain.observe(Want(addresses=(chain.system_state,)))
    if seen.accounts[chain.system_state] is not None:
        return
    core = chain.keyring.core_address
    operation = Operation(
        kind=OperationKind.SETUP,
        actions=(InitializeProgram(authority=core, admin=core),),
        payer=core,
        signers=(core,),
        inputs={"method": "initialize_program"},
    )
    now_ms = runtime.store.now_ms()
    intent = chain.prepare(operation, OperationId("bootstrap/1"), 1, now_ms=now_ms, slot=seen.slot)
    while monotonic() < deadline:
        chain.submit([intent])
        sleep(POLL_S * 4)
        seen = chain.observe(Want(signatures=(intent.signature,)))
        resolution, intent = resolve(intent, seen.lookups[intent.signature], seen)
        if isinstance(resolution, Landed):
            error = resolution.receipt.error
            if error is not None:
                raise CommandError(
                    CommandCode.CONTRACT_REFUSED,
                    f"the program refused to be initialised: {error.code}; is the core wallet its upgrade authority?",
                )
            log.info("program_initialised", action="program_initialised", slot=resolution.receipt.slot)
            return
        if isinstance(resolution, Expired):
            break
    raise CommandError(CommandCode.CHAIN_UNREACHABLE, "the program's initialisation did not land")
