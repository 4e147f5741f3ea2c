"""What a local chain can be told at its start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Order = Literal["arrival", "random"]

#: The program built from ops/localnet/program.
DEFAULT_PROGRAM = Path(__file__).parent / "program" / "frt.so"
#: CONTRACT.md 1.
DEFAULT_PROGRAM_ID = "4aeVqtWhrUh6wpX8acNj2hpWXKEQwxjA3PYb2sHhNyCn"

_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalnetSettings:
    """Ports of 0 mean any free port; `program=None` starts a chain without the FRT program."""

    host: str = "127.0.0.1"
    port: int = 8899
    ws_port: int = 8900
    slot_ms: int = 400
    #: How many blocks confirmed and finalized follow processed.
    confirmed_lag: int = 1
    finalized_lag: int = 32
    #: In which order a slot executes its queue; random is seeded.
    order: Order = "arrival"
    seed: int = 0
    program: Path | None = DEFAULT_PROGRAM
    program_id: str = DEFAULT_PROGRAM_ID
    #: Who may call InitializeProgram; None leaves it to frt_setUpgradeAuthority.
    upgrade_authority: str | None = None
    #: Gets {"rpc_url","ws_url","pid"} once both ports answer; without it the line goes to standard output.
    ready_file: Path | None = None
    #: The largest single airdrop, None for no limit.
    airdrop_cap_sol: int | None = None
    #: Older transactions are forgotten past this many.
    max_transactions: int = 2_000_000
    #: Where the chain is kept: read at the start when it is there, written as slots are confirmed.
    state: Path | None = None
    #: As on a validator (--rpc-max-request-body-size): larger bodies get 413.
    max_body_bytes: int = 50 * 1024

    def __post_init__(self) -> None:
        """Refuse values that would make a chain no client could use."""
        # The event loop would take a port modulo 65536 without a word.
        if not (0 <= self.port <= _MAX_PORT and 0 <= self.ws_port <= _MAX_PORT):
            raise ValueError(f"ports must be from 0 to {_MAX_PORT}")
        if self.slot_ms < 1:
            raise ValueError("slot_ms must be at least 1")
        if not 0 <= self.confirmed_lag <= self.finalized_lag:
            raise ValueError("the lags must satisfy 0 <= confirmed_lag <= finalized_lag")
        if self.max_transactions < 1:
            raise ValueError("max_transactions must be at least 1")
