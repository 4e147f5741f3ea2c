"""A Redis that can be set back to an earlier moment, as a machine that dies sets it back."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from solders.keypair import Keypair

from tasks.bootstrap import prepare_chain
from tasks.recovery import Recovery
from tasks.runtime import build_runtime
from tasks.spill import Spiller
from tests.support.driver import Driver, settings_for
from tests.support.localnet import running_localnet, wait_for
from tests.support.redis_server import RedisServer

AOF = ("--appendonly", "yes", "--appendfsync", "always")


class RollbackWorld(Driver):
    """A driver whose Redis keeps an append-only file in a folder of its own."""

    server: RedisServer
    folder: Path
    journal: Path

    def remember(self, name: str) -> None:
        """Keep Redis' files as they are now."""
        kept = self.folder / f"kept-{name}"
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir()
        for part in self.folder.glob("redis/appendonly*"):
            (shutil.copytree if part.is_dir() else shutil.copy)(part, kept / part.name)

    def roll_back(self, name: str) -> None:
        """Kill Redis and start it on what was kept: everything since is lost."""
        self.server.stop(signal.SIGKILL)
        for part in self.folder.glob("redis/appendonly*"):
            shutil.rmtree(part) if part.is_dir() else part.unlink()
        for part in (self.folder / f"kept-{name}").iterdir():
            (shutil.copytree if part.is_dir() else shutil.copy)(part, self.folder / "redis" / part.name)
        self.server.start()

    def recover(self, timeout_s: float = 60.0) -> None:
        recovery = Recovery(self.runtime, self.journal)
        wait_for(lambda: not recovery.step(), timeout_s)

    def spill(self) -> int:
        return Spiller(self.runtime.store, self.journal).spill()


@contextlib.contextmanager
def rollback_world(*, seed: int = 7, **localnet: Any) -> Iterator[RollbackWorld]:
    """A real Redis with an append-only file, a real local chain with the program initialised."""
    with tempfile.TemporaryDirectory(prefix="frt-roll-") as name:
        folder = Path(name)
        (folder / "redis").mkdir()
        wallet = Keypair()
        (folder / "core-wallet.json").write_text(json.dumps(list(bytes(wallet))))
        options: dict[str, Any] = {"slot_ms": 20, "finalized_lag": 4, "upgrade_authority": str(wallet.pubkey())}
        server = RedisServer(folder / "redis", *AOF)
        server.start()
        try:
            with running_localnet(**options | localnet) as chain:
                runtime = build_runtime(settings_for(folder, server.url, chain.rpc_url))
                runtime.store.set_run_once("seed", str(seed))
                prepare_chain(runtime)
                world = RollbackWorld(runtime, chain)
                world.server, world.folder, world.journal = server, folder, folder / "journal.jsonl"
                try:
                    yield world
                finally:
                    runtime.close()
        finally:
            server.stop()
