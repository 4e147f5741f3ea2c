"""The program's build: reproducible bytes, the miscompile guard, the linker's refusals, the 128-bit arithmetic."""

from __future__ import annotations

import ctypes
import random
import re
import shutil
import struct
from collections import Counter
from pathlib import Path

import pytest

from ops.localnet.program.__main__ import main
from ops.localnet.program.build import (
    PROGRAM_SO,
    SOURCE_DIR,
    BuildError,
    build,
    compile_object,
    compile_program,
    compiler,
    guard,
)
from ops.localnet.program.linker import LinkError, link
from ops.localnet.program.mutants import MUTANTS
from ops.localnet.program.objectfile import ObjectError, parse_object

U64_MAX = 2**64 - 1


def source_copy(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for file in (*SOURCE_DIR.glob("*.c"), *SOURCE_DIR.glob("*.h")):
        shutil.copy(file, folder)
    return folder


def source_of(folder: Path, text: str) -> Path:
    (folder / "frt.c").write_text(
        "typedef unsigned char u8; typedef unsigned u32; typedef unsigned long long u64;\n" + text
    )
    return folder


@pytest.fixture(scope="module")
def small_object(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("small")
    return compile_object(source=source_of(folder, "u64 entrypoint(u64 *in) { return in[0] + in[1]; }"))


# ---- reproducibility ----


def test_the_committed_program_is_the_build_of_its_source_wherever_that_lies(tmp_path):
    near = compile_program(source=source_copy(tmp_path / "a"))
    far = compile_program(source=source_copy(tmp_path / "some" / "deeper, longer" / "place"))
    assert near == far == PROGRAM_SO.read_bytes()


def test_the_program_carries_no_path_of_the_machine():
    assert str(SOURCE_DIR.parents[2]).encode() not in PROGRAM_SO.read_bytes()


def test_check_command_tells_a_stale_program(tmp_path, monkeypatch, capsys):
    assert main(["build", "--check"]) == 0
    stale = tmp_path / "frt.so"
    stale.write_bytes(PROGRAM_SO.read_bytes() + b"\0")
    monkeypatch.setattr("ops.localnet.program.__main__.PROGRAM_SO", stale)
    assert main(["build", "--check"]) == 1
    assert "is not the build of its source" in capsys.readouterr().err


def test_a_mutant_never_lands_in_the_committed_file():
    with pytest.raises(SystemExit):
        main(["build", "--mutant", "1"])


# ---- mutants ----


def test_every_mutant_is_in_the_source_and_every_seeded_bug_is_listed():
    seeded = {int(n) for file in SOURCE_DIR.glob("*.[ch]") for n in re.findall(r"\bBUG\((\d+)\)", file.read_text())}
    assert [mutant.number for mutant in MUTANTS] == sorted(seeded) == list(range(1, len(MUTANTS) + 1))
    assert len({mutant.description for mutant in MUTANTS}) == len(MUTANTS) >= 32


def test_every_class_of_the_design_has_two_mutants():
    groups = Counter(mutant.group for mutant in MUTANTS)
    assert len(groups) == 10
    assert min(groups.values()) >= 2


def test_a_mutant_equal_to_the_original_is_refused(tmp_path):
    with pytest.raises(BuildError, match="mutant 9999 has the bytes of the original"):
        build(tmp_path / "out.so", 9999)
    assert not (tmp_path / "out.so").exists()


# ---- the guard against the silent miscompile ----


@pytest.mark.parametrize(
    "call",
    [
        "call void @llvm.memcpy.p0.p0.i64(ptr align 8 %1, ptr align 8 %2, i64 1025, i1 false)",
        "tail call void @llvm.memset.p0.i64(ptr align 8 %1, i8 0, i64 %n, i1 false), !tbaa !3",
        "call void @llvm.memmove.p0.p0.i64(ptr %1, ptr %2, i64 4096, i1 false)",
        "call void @llvm.memcpy.inline.p0.p0.i64(ptr %1, ptr %2, i64 2048, i1 false)",
        "call void @llvm.memset.element.unordered.atomic.p0.i64(ptr %1, i8 0, i64 4096, i32 1)",
        "call void @llvm.memcpy.some.future.shape(ptr %1)",
    ],
)
def test_guard_refuses_long_and_variable_block_operations(call):
    with pytest.raises(BuildError, match="variable size"):
        guard(f"define void @f() {{\n  {call}\n}}")


def test_guard_passes_short_ones_and_declarations():
    guard(
        "define void @f() {\n"
        "  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %1, ptr align 8 @x, i64 1024, i1 false)\n"
        "  call void @llvm.memset.p0.i64(ptr align 8 %1, i8 0, i64 24, i1 false)\n}\n"
        "declare void @llvm.memcpy.p0.p0.i64(ptr noalias writeonly, ptr noalias readonly, i64, i1 immarg)"
    )


def test_guard_refuses_ir_without_functions():
    with pytest.raises(BuildError, match="no function"):
        guard("")


def test_a_long_copy_in_c_does_not_build(tmp_path):
    text = "struct s { u8 b[2048]; }; u64 entrypoint(struct s *in) { *(struct s *)0x300000000ULL = *in; return 0; }"
    with pytest.raises(BuildError, match="memcpy over 1024"):
        compile_object(source=source_of(tmp_path, text))


def test_a_frame_above_4096_bytes_does_not_build(tmp_path):
    text = "u64 use(u8 *); u64 entrypoint(u64 *in) { u8 b[5000]; b[in[0]] = 1; return b[in[1]]; }"
    with pytest.raises(BuildError, match="stack"):
        compile_object(source=source_of(tmp_path, text))


# ---- the linker ----


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("u64 total; u64 entrypoint(u64 *in) { total += in[0]; return total; }", "writable"),
        ("u64 total = 5; u64 entrypoint(u64 *in) { total += in[0]; return total; }", "writable"),
        ("u64 other(u64); u64 entrypoint(u64 *in) { return other(in[0]); }", "call of 'other'"),
        ("extern u64 far[]; u64 entrypoint(u64 *in) { return far[in[0]]; }", "undefined symbol 'far'"),
        ("u64 start(u64 *in) { return in[0]; }", "no symbol named entrypoint"),
        (
            "typedef u64 (*f)(u64); u64 entrypoint(u64 *in) { return ((f)in[0])(in[1]); }",
            "opcode 0x8d",
        ),
    ],
)
def test_linker_refuses(tmp_path, text, reason):
    with pytest.raises(LinkError, match=re.escape(reason)):
        compile_program(source=source_of(tmp_path, text))


@pytest.mark.parametrize(
    ("code", "offset", "what"),
    [
        (0x04, 0, "32-bit addition"),
        (0xBC, 0, "32-bit move"),
        (0x16, 0, "32-bit jump"),
        (0xDB, 0, "atomic"),
        (0x91, 0, "sign-extending load"),
        (0x8F, 0, "no such operation"),
        (0xD7, 0, "byte swap of a later version"),
        (0x3F, 1, "signed division"),
        (0xBF, 8, "sign-extending move"),
    ],
)
def test_linker_refuses_instructions_outside_v0(small_object, code, offset, what):
    section = next(s for s in parse_object(small_object).sections if s.name == ".text")
    at = small_object.index(section.data)
    patched = small_object[:at] + struct.pack("<BBh", code, 0, offset) + small_object[at + 4 :]
    assert link(small_object)
    with pytest.raises(LinkError, match="instruction 0"):
        link(patched)


def test_linker_refuses_other_files():
    with pytest.raises(ObjectError):
        link(b"\x7fELF\x01\x01" + bytes(100))
    with pytest.raises(ObjectError):
        link(PROGRAM_SO.read_bytes())


def test_linked_file_has_the_shape_the_loader_wants():
    data = PROGRAM_SO.read_bytes()
    kind, machine, _, entry, _, table_at = struct.unpack_from("<HHIQQQ", data, 16)
    count = struct.unpack_from("<H", data, 60)[0]
    rows = [struct.unpack_from("<IIQQQQ", data, table_at + 64 * i) for i in range(count)]
    assert (kind, machine) == (3, 247)
    assert all(address == offset for _, _, flags, address, offset, _ in rows if flags & 2)
    text = next(row for row in rows if row[2] & 4)
    assert text[4] <= entry < text[4] + text[5]
    assert entry % 8 == 0


# ---- 128-bit arithmetic ----


def edge_number(rng: random.Random) -> int:
    """Numbers of every length, and those beside a power of two, where carries and digit corrections happen."""
    shape = rng.randrange(3)
    if shape == 0:
        return rng.getrandbits(rng.randint(1, 64))
    if shape == 1:
        return min(max((1 << rng.randint(0, 64)) + rng.randint(-2, 2), 0), U64_MAX)
    return (rng.getrandbits(32) | 0xFFFFFFFF_00000000) if rng.random() < 0.5 else rng.getrandbits(32) << 32


def test_wide_arithmetic_equals_python_integers(tmp_path):
    library = tmp_path / "wide.so"
    flags = ("-O2", "-fno-sanitize=all", "-shared", "-fPIC", "-nostdlib")
    compiler(*flags, "wide_native.c", "-o", str(library), source=SOURCE_DIR, cache=tmp_path / "cache")
    batch = ctypes.CDLL(str(library)).wide_batch
    rng, count = random.Random(20), 150_000
    cases = [(edge_number(rng), edge_number(rng), edge_number(rng) or 1) for _ in range(count)]
    inputs = (ctypes.c_uint64 * (3 * count))(*(n for case in cases for n in case))
    outputs = (ctypes.c_uint64 * (6 * count))()
    batch(inputs, outputs, ctypes.c_uint64(count))
    results = list(outputs)
    for i, (a, b, divisor) in enumerate(cases):
        low, high, quotient_low, quotient_high, remainder, narrow = results[6 * i : 6 * i + 6]
        quotient, rest = divmod(a * b, divisor)
        assert (high << 64 | low) == a * b, (a, b)
        assert ((quotient_high << 64 | quotient_low), remainder) == (quotient, rest), (a, b, divisor)
        assert narrow == quotient & U64_MAX, (a, b, divisor)
