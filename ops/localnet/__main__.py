"""`python -m ops.localnet`: the local chain from the command line."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from ops.localnet.server import run
from ops.localnet.settings import LocalnetSettings


def _parser() -> argparse.ArgumentParser:
    usual = LocalnetSettings()
    parser = argparse.ArgumentParser(prog="python -m ops.localnet", description=__doc__)
    parser.add_argument("--host", default=usual.host)
    parser.add_argument("--port", type=int, default=usual.port, help="HTTP port, 0 for any free one")
    parser.add_argument("--ws-port", type=int, default=usual.ws_port, help="WebSocket port, 0 for any free one")
    parser.add_argument("--slot-ms", type=int, default=usual.slot_ms)
    parser.add_argument("--confirmed-lag", type=int, default=usual.confirmed_lag, help="blocks behind processed")
    parser.add_argument("--finalized-lag", type=int, default=usual.finalized_lag, help="blocks behind processed")
    parser.add_argument("--order", choices=("arrival", "random"), default=usual.order)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--program", type=Path, default=usual.program, help="the program's shared object")
    parser.add_argument("--no-program", action="store_true", help="start without the program")
    parser.add_argument("--program-id", default=usual.program_id)
    parser.add_argument("--upgrade-authority", help="public key that may initialise the program")
    parser.add_argument("--ready-file", type=Path, help="where to write the addresses once both ports answer")
    parser.add_argument("--airdrop-cap-sol", type=int, help="largest single airdrop")
    parser.add_argument("--max-transactions", type=int, default=usual.max_transactions, help="history kept")
    parser.add_argument("--state", type=Path, help="file that keeps the chain: read when it is there, then kept up")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal; 2 when it cannot start."""
    options = vars(_parser().parse_args(arguments))
    if options.pop("no_program"):
        options["program"] = None
    logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
    try:
        run(LocalnetSettings(**options))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"localnet: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
