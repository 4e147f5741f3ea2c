"""Build the program from C: compile with the pinned compiler, guard against its known miscompile, link (SBF.md)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from ops.localnet.program.linker import link

SOURCE_DIR = Path(__file__).resolve().parent
PROGRAM_SO = SOURCE_DIR / "frt.so"
"""The committed build of the unmutated source."""

COMPILER_VERSION = "0.17.0"
"""The bytes of frt.so are a function of the source and of this compiler."""

MAX_INLINE_BYTES = 1024
"""Longer inline copies and fills can vanish silently from the compiled code (SBF.md, trap 1)."""

_FLAGS = (
    *("-target", "bpfel-freestanding", "-fno-sanitize=all", "-mllvm", "-bpf-stack-size=4096"),
    *("-mcpu=v2+allows_misaligned_mem_access", "-O2", "-ffreestanding", "-fno-builtin", "-fno-jump-tables"),
    *("-fno-strict-aliasing", "-fno-stack-protector", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"),
    *("-Wall", "-Wextra", "-Werror", "-Wno-unused-command-line-argument"),
)
_BLOCK_CALL = re.compile(r"@llvm\.(memcpy|memmove|memset)\.[^(]*\((.*)")
_LENGTH = re.compile(r", i(?:32|64) ([^\s,]+), (?:i1|i32) \S+\)")


class BuildError(RuntimeError):
    """The compiler refused the source, or its output must not be trusted; the message says which."""


def compiler(*arguments: str, source: Path, cache: Path) -> None:
    """Run `zig cc` inside `source`, so that no path of the checkout enters its output. Raises BuildError."""
    found = metadata.version("ziglang")
    if found != COMPILER_VERSION:
        raise BuildError(f"ziglang {found} is installed; the committed program was built with {COMPILER_VERSION}")
    environment = dict(os.environ) | {"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "ziglang", "cc", *arguments]
    result = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise BuildError(f"the compiler failed:\n{result.stderr.strip()}")


def guard(ir: str) -> None:
    """Refuse LLVM IR with a block copy or fill that is long or of variable size. Raises BuildError."""
    if "define" not in ir:
        raise BuildError("no function in the IR: the miscompile guard would see nothing")
    for line in ir.splitlines():
        call = _BLOCK_CALL.search(line)
        if call is None or line.startswith("declare"):
            continue
        length = _LENGTH.search(call.group(2))
        if length is None or not length.group(1).isdigit() or int(length.group(1)) > MAX_INLINE_BYTES:
            raise BuildError(f"{call.group(1)} over {MAX_INLINE_BYTES} bytes or of variable size: {line.strip()}")


def compile_object(mutant: int | None = None, source: Path = SOURCE_DIR) -> bytes:
    """The guarded object file of `source`/frt.c, with seeded bug `mutant` if given. Raises BuildError."""
    seeded = () if mutant is None else (f"-DMUTANT={mutant}",)
    with tempfile.TemporaryDirectory(prefix="frt-build-") as folder:
        work = Path(folder)
        ir, obj, cache = work / "frt.ll", work / "frt.o", work / "cache"
        compiler(*_FLAGS, *seeded, "-S", "-emit-llvm", "frt.c", "-o", str(ir), source=source, cache=cache)
        guard(ir.read_text())
        # Code generation alone, from the very IR that the guard has read.
        no_passes = ("-Xclang", "-disable-llvm-passes")
        compiler(*_FLAGS, *no_passes, "-c", str(ir), "-o", str(obj), source=source, cache=cache)
        return obj.read_bytes()


def compile_program(mutant: int | None = None, source: Path = SOURCE_DIR) -> bytes:
    """The linked program. Raises BuildError, LinkError."""
    return link(compile_object(mutant, source))


def build(out: Path, mutant: int | None = None) -> Path:
    """Write the program (or mutant `mutant`) to `out` and return it. Raises BuildError, LinkError.

    A mutant whose bytes equal the committed program's is refused: it would measure nothing.
    """
    program = compile_program(mutant)
    if mutant is not None and program == PROGRAM_SO.read_bytes():
        raise BuildError(f"mutant {mutant} has the bytes of the original program")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(program)
    return out
