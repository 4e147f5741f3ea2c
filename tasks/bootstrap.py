"""Before the first command: money for the core wallet where a faucet exists, and the program initialised.

Runs in the process that starts a run; it may wait, which no task may.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from time import monotonic, sleep

import structlog

from domain.chain.errors import RpcError
from domain.chain.gateway import ChainUnreachableError, Want
from domain.chains import command_chain_id
from domain.errors import CommandCode, CommandError, StressError
from domain.ids import CommandId
from tasks.control.commands import command_cycle
from tasks.runtime import Runtime
from tasks.walk import walk

log = structlog.get_logger()

CORE_TARGET_LAMPORTS = 1_000_000 * 10**9  # on a chain of our own money is free
POLL_S = 0.05
GENESIS_SHOWN = 12


def prepare_chain(
    runtime: Runtime,
    *,
    timeout_s: float = 60.0,
    answer_s: float = 60.0,
    interrupted: Callable[[], bool] = lambda: False,
) -> None:
    """Wait for the chain, fund the core wallet on a local chain, initialise the program when it is not.

    ``answer_s`` is how long a chain may be silent. Raises CommandError: CHAIN_UNREACHABLE, CORE_WALLET_SHORT,
    CONTRACT_REFUSED; StressError when interrupted.
    """
    _await_chain(runtime, monotonic() + answer_s, interrupted)
    deadline = monotonic() + timeout_s
    runtime.store.set_run({"core_wallet": runtime.chain.keyring.core_address})
    if runtime.settings.local_chain:
        _fund(runtime, deadline)
    _initialise(runtime, deadline)


def _until(condition: Callable[[], bool], deadline: float, message: str) -> None:
    while not condition():
        if monotonic() > deadline:
            raise CommandError(CommandCode.CHAIN_UNREACHABLE, message)
        sleep(POLL_S)


def _await_chain(runtime: Runtime, deadline: float, interrupted: Callable[[], bool]) -> None:
    while True:
        try:
            runtime.chain.endpoints.call("getHealth")
        except RpcError as error:
            if monotonic() > deadline:
                raise CommandError(CommandCode.CHAIN_UNREACHABLE, f"the chain does not answer: {error}") from None
        else:
            return
        if interrupted():
            raise StressError("interrupted while waiting for the chain")
        sleep(POLL_S)


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


def _initialise(runtime: Runtime, deadline: float) -> None:
    """A command like any other, so it is in the journal; carried out here, because nobody else may run yet."""
    chain, store = runtime.chain, runtime.store
    if chain.observe(Want(addresses=(chain.system_state,))).accounts[chain.system_state] is not None:
        return
    genesis = str(chain.endpoints.call("getGenesisHash"))[:GENESIS_SHOWN]
    for attempt in count(1):
        command_id = CommandId(f"initialize-{genesis}-{attempt}")  # whoever dies here and starts again goes on with it
        answer = store.command_answer(command_id)
        if answer is None or "error" not in json.loads(answer):
            break
    runtime.commands.send("initialize_program", {}, command_id)
    chain_id = command_chain_id(command_id)
    while (answer := store.command_answer(command_id)) is None:
        if monotonic() > deadline:
            raise CommandError(CommandCode.CHAIN_UNREACHABLE, "the program's initialisation did not land")
        record = store.get_chain(chain_id)
        if record is not None and record.live:
            walk(runtime, command_cycle, chain_id, record.generation, record.seq)
        sleep(POLL_S)
    document = json.loads(answer)
    if "error" in document:
        error = document["error"]
        text = f"the program refused to be initialised: {error['message']}; is the core wallet its upgrade authority?"
        raise CommandError(CommandCode(error["code"]), text, error["data"])
    log.info("program_initialised", action="program_initialised", slot=document["ok"]["slot"])
