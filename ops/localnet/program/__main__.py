"""Command line of the build: `python -m ops.localnet.program build [--mutant N] [--out FILE] [--check]`."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from ops.localnet.program.build import PROGRAM_SO, BuildError, build, compile_program
from ops.localnet.program.linker import LinkError


def main(arguments: list[str] | None = None) -> int:
    """Build the program or one mutant; --check only compares with the committed file (exit code 1 on a difference)."""
    parser = argparse.ArgumentParser(prog="python -m ops.localnet.program")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build", help="compile and link the on-chain program")
    command.add_argument("--mutant", type=int, help="seed bug number N")
    command.add_argument("--out", type=Path, help=f"target file (default: {PROGRAM_SO.name} beside the source)")
    command.add_argument("--check", action="store_true", help="rebuild and compare with the committed file")
    options = parser.parse_args(arguments)
    if options.mutant is not None and (options.out is None or options.check):
        parser.error("a mutant needs --out and cannot be the committed file")
    try:
        if options.check:
            return _check()
        written = build(options.out or PROGRAM_SO, options.mutant)
    except (BuildError, LinkError) as error:
        print(f"build failed: {error}", file=sys.stderr)
        return 1
    print(f"{written}: {written.stat().st_size} bytes, sha256 {hashlib.sha256(written.read_bytes()).hexdigest()}")
    return 0


def _check() -> int:
    built, committed = compile_program(), PROGRAM_SO.read_bytes()
    if built == committed:
        print(f"{PROGRAM_SO.name} is the build of its source ({len(built)} bytes)")
        return 0
    print(
        f"{PROGRAM_SO.name} ({len(committed)} bytes) is not the build of its source ({len(built)} bytes)",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
