"""Starts a stack of its own, plays the steps against its web server, and prints one line per method."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from api.client import Client
from domain.errors import CommandCode
from domain.runtime.logs import log_file
from domain.store.client import connect
from domain.store.keys import Keys
from ops.api_check.checker import Checker
from ops.api_check.steps import Scene, play
from ops.plan import WorkerPlan
from ops.stack import MakeSettings, Stack, Wanted
from tasks.app import create_app
from tasks.bootstrap import prepare_chain
from tasks.runtime import build_runtime

EXIT_OK: Final = 0
EXIT_FAILED: Final = 99
SLOT_MS: Final = 100
REQUEST_TIMEOUT_S: Final = 5.0  # short, so that a command that takes longer is among what is checked
AIRDROP_CAP_SOL: Final = 2_000_000  # more than the core wallet gets, less than what an airdrop may ask for
NEVER: Final = {int(CommandCode.INTERNAL_ERROR)}  # no step should know how to provoke it
BROKEN_KEY: Final = "v1:unreadable"


def settings_of_check() -> dict[str, Any]:
    """Overrides: two keys of this run only, a short request timeout, no limit on how often is asked."""
    full, read = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    return {
        "api_keys": f"check:full:{full},watch:read:{read}",
        "api_key": full,
        "request_timeout_s": REQUEST_TIMEOUT_S,
        "stop_wait_s": REQUEST_TIMEOUT_S,
        "rate_limit_reads": 0,
        "rate_limit_changes": 0,
    }


def check_api(directory: Path, plan: WorkerPlan, make_settings: MakeSettings, console: Console) -> int:
    """Exit code 0: every method answered as documented; 99: one did not. Raises StressError when it cannot start."""
    fixed = settings_of_check()

    def make(overrides: Any) -> Any:
        return make_settings({**overrides, **fixed})

    wanted = Wanted(directory=directory, plan=plan, seed=1, slot_ms=SLOT_MS, airdrop_cap_sol=AIRDROP_CAP_SOL)
    with Stack(wanted, make) as stack, log_file(stack.settings, stack.log_directory / "api-check.log"):
        settings = stack.open_foundation()
        with closing(create_app(settings)) as app, closing(build_runtime(settings, app)) as runtime:
            runtime.store.set_run({"seed": "1", "started_at_ms": str(runtime.store.now_ms())})
            prepare_chain(runtime)
            stack.open_services(app)
        keys = fixed["api_keys"].split(",")
        full, read = (entry.rpartition(":")[2] for entry in keys)
        url = stack.api_url
        with Client(url, api_key=full) as own, Client(url, api_key=read) as reader, Client(url) as stranger:
            checker = Checker(own)
            scene = Scene(
                check=checker,
                reader=reader,
                stranger=stranger,
                frozen=partial(_frozen, stack),
                locked_out=partial(_locked_out, stack),
            )
            failed = play(scene, lambda text: console.print(f"[dim]{text}[/dim]", highlight=False))
    return report(checker, failed, console.print)


@contextmanager
def _frozen(stack: Stack, role: str) -> Iterator[None]:
    """The processes of the role stand still meanwhile."""
    pids = stack.pids()[role]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def _locked_out(stack: Stack, thread_id: str) -> Iterator[None]:
    """The thread's sealed key is unreadable meanwhile."""
    settings = stack.settings
    wallets = Keys(settings.redis_prefix).named("wallets")
    with closing(connect(settings.redis_url)) as client:
        sealed = client.hget(wallets, thread_id)
        client.hset(wallets, thread_id, BROKEN_KEY)
        try:
            yield
        finally:
            client.hset(wallets, thread_id, str(sealed))


def report(checker: Checker, failed: list[str], tell: Callable[[str], None]) -> int:
    """One line per method; the exit code. Every error code of the service must have been seen somewhere."""
    unseen = set(checker.unseen())
    width = max(map(len, (*checker.seen, *unseen)))
    wrong = False
    for method in dict.fromkeys((*checker.seen, *sorted(unseen))):
        seen = checker.seen[method]
        codes = "".join(f" {code}" for code in sorted(seen.codes, reverse=True))
        counted = f"{seen.results} answers" + (f", errors{codes}" if codes else "")
        why = "; ".join(seen.failures) or ("never answered with a result" if method in unseen else "")
        wrong = wrong or bool(why)
        tell(f"{method:<{width}}  {'FAILED' if why else 'ok':<6}  {counted}{'  ' + why if why else ''}")
    provoked = {code for seen in checker.seen.values() for code in seen.codes}
    missing = [f"{int(code)} ({code.name})" for code in CommandCode if int(code) not in provoked | NEVER]
    for text in (*failed, *([f"never answered with: {', '.join(missing)}"] if missing else [])):
        tell(f"FAILED  {text}")
    return EXIT_FAILED if wrong or failed or missing else EXIT_OK
