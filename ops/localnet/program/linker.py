"""Link one BPF object file into an SBPFv0 shared object: a pure function of bytes (SBF.md, "What the linker must do").

Everything that can be resolved is resolved here; the loader is left with one relocation per syscall site.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ops.localnet.program.objectfile import ObjectFile, Section, Symbol, parse_object

PROGRAM_BASE = 0x1_0000_0000
"""Virtual address at which the loader maps the file's read-only part."""

SYSCALLS = frozenset(
    {
        "abort",
        "sol_log_",
        "sol_log_64_",
        "sol_memset_",
        "sol_memcpy_",
        "sol_memmove_",
        "sol_memcmp_",
        "sol_try_find_program_address",
        "sol_create_program_address",
        "sol_get_clock_sysvar",
        "sol_get_rent_sysvar",
        "sol_invoke_signed_c",
    }
)
RENAMED = {"__bpf_trap": "abort"}

R_BPF_64_64, R_BPF_64_ABS64, R_BPF_64_32 = 1, 2, 10
EM_SBF, ET_DYN = 247, 3
SHT_PROGBITS, SHT_STRTAB, SHT_DYNAMIC, SHT_REL, SHT_DYNSYM = 1, 3, 6, 9, 11
SHF_WRITE, SHF_ALLOC, SHF_EXEC = 1, 2, 4
HEADER_SIZE = 64 + 3 * 56

# Byte codes of SBPFv0 without ALU32 (v0 sign-extends where the compiler assumes zero-extension) and without callx.
_ALU64 = {base | source for base in range(0x07, 0xD0, 0x10) for source in (0, 8)} - {0x8F}
_BYTE_ORDER = {0xD4, 0xDC}
_JUMPS = {base | source for base in (*range(0x15, 0x80, 0x10), *range(0xA5, 0xE0, 0x10)) for source in (0, 8)} | {0x05}
_MEMORY = {0x18, 0x61, 0x69, 0x71, 0x79, 0x62, 0x6A, 0x72, 0x7A, 0x63, 0x6B, 0x73, 0x7B}
_CALL, _EXIT, _LOAD_WIDE = 0x85, 0x95, 0x18
OPCODES = frozenset(_ALU64 | _BYTE_ORDER | _JUMPS | _MEMORY | {_CALL, _EXIT})


class LinkError(ValueError):
    """The object cannot become a program for the virtual machine; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """File offsets of the object's allocated sections, by section index; offsets are addresses too."""

    offsets: dict[int, int]
    text: Section
    rodata: list[Section]
    end: int


def link(data: bytes) -> bytes:
    """Return the shared object of the relocatable object `data`. Raises LinkError, ObjectError."""
    obj = parse_object(data)
    layout = _place(obj)
    image = bytearray(layout.end)
    for index, offset in layout.offsets.items():
        section = obj.sections[index]
        image[offset : offset + len(section.data)] = section.data
    sites = _relocate(obj, layout, image)
    text_start = layout.offsets[layout.text.index]
    _check_opcodes(bytes(image[text_start : text_start + len(layout.text.data)]), sites, text_start)
    entry = next((s for s in obj.symbols if s.name == "entrypoint" and s.section == layout.text.index), None)
    if entry is None:
        raise LinkError("no symbol named entrypoint in .text")
    return _write(image, layout, sites, text_start + entry.value)


def _align(value: int, to: int = 8) -> int:
    return (value + to - 1) // to * to


def _place(obj: ObjectFile) -> _Layout:
    allocated = [s for s in obj.sections if s.flags & SHF_ALLOC and s.size]
    for section in allocated:
        if section.flags & SHF_WRITE or section.kind != SHT_PROGBITS:
            raise LinkError(f"section {section.name} is writable or has no bytes: the program has no such memory")
    text = [s for s in allocated if s.flags & SHF_EXEC]
    if [s.name for s in text] != [".text"]:
        raise LinkError("exactly one executable section, .text, is expected")
    rodata = [s for s in allocated if not s.flags & SHF_EXEC]
    offsets, cursor = {}, HEADER_SIZE
    for section in (*text, *rodata):
        cursor = _align(cursor, max(8, section.alignment))
        offsets[section.index] = cursor
        cursor += section.size
    return _Layout(offsets=offsets, text=text[0], rodata=rodata, end=_align(cursor))


def _relocate(obj: ObjectFile, layout: _Layout, image: bytearray) -> list[tuple[int, str]]:
    """Apply every relocation in place; return (file offset, syscall) of the calls left to the loader."""
    sites: list[tuple[int, str]] = []
    for relocation in obj.relocations:
        if relocation.section not in layout.offsets:
            continue
        place = layout.offsets[relocation.section] + relocation.offset
        symbol = obj.symbols[relocation.symbol]
        if relocation.kind == R_BPF_64_32:
            name = _relocate_call(symbol, layout, image, place)
            if name is not None:
                sites.append((place, name))
            continue
        if symbol.section not in layout.offsets:
            raise LinkError(f"address of undefined symbol {symbol.name!r}")
        base = PROGRAM_BASE + layout.offsets[symbol.section] + symbol.value
        if relocation.kind == R_BPF_64_64:
            _relocate_load(image, place, base)
        elif relocation.kind == R_BPF_64_ABS64:
            (addend,) = struct.unpack_from("<Q", image, place)
            struct.pack_into("<Q", image, place, base + addend)
        else:
            raise LinkError(f"relocation type {relocation.kind} is unknown")
    return sorted(sites)


def _relocate_load(image: bytearray, place: int, base: int) -> None:
    low, high = struct.unpack_from("<I", image, place + 4)[0], struct.unpack_from("<I", image, place + 12)[0]
    address = base + (high << 32 | low)
    struct.pack_into("<I", image, place + 4, address & 0xFFFFFFFF)
    struct.pack_into("<I", image, place + 12, address >> 32)


def _relocate_call(symbol: Symbol, layout: _Layout, image: bytearray, place: int) -> str | None:
    name = RENAMED.get(symbol.name, symbol.name)
    if symbol.section == layout.text.index:
        (addend,) = struct.unpack_from("<i", image, place + 4)
        # A call through the section symbol carries its target in the immediate; one through a function does not.
        target = layout.offsets[symbol.section] + symbol.value + (addend + 1) * 8
        struct.pack_into("<i", image, place + 4, (target - place) // 8 - 1)
        return None
    if name not in SYSCALLS or symbol.section != 0:
        raise LinkError(f"call of {symbol.name!r}, which is neither ours nor a syscall")
    image[place + 1] &= 0x0F  # the source register marks a local call and must be 0 here
    struct.pack_into("<i", image, place + 4, -1)
    return name


def _check_opcodes(text: bytes, sites: list[tuple[int, str]], start: int) -> None:
    external = {place - start for place, _ in sites}
    at = 0
    while at < len(text):
        code, offset = text[at], struct.unpack_from("<h", text, at + 2)[0]
        if code not in OPCODES:
            raise LinkError(f"instruction {at // 8}: opcode {code:#04x} does not exist in SBPFv0 as compiled here")
        if code & 7 == 7 and offset:
            raise LinkError(f"instruction {at // 8}: a signed or sign-extending form of {code:#04x}")
        if code == _CALL and at not in external:
            target = at + 8 * (1 + struct.unpack_from("<i", text, at + 4)[0])
            if not 0 <= target < len(text) or text[at + 1] >> 4 != 1:
                raise LinkError(f"instruction {at // 8}: a call that leads nowhere")
        at += 16 if code == _LOAD_WIDE else 8


class _Strings:
    """A string table under construction; the empty string is at 0."""

    def __init__(self) -> None:
        self.data = bytearray(1)

    def add(self, name: str) -> int:
        position = len(self.data)
        self.data += name.encode() + b"\0"
        return position


def _write(image: bytearray, layout: _Layout, sites: list[tuple[int, str]], entry: int) -> bytes:
    names = sorted({name for _, name in sites})
    dynstr, shstrtab = _Strings(), _Strings()
    dynsym = bytes(24) + b"".join(struct.pack("<IBBHQQ", dynstr.add(name), 0x10, 0, 0, 0, 0) for name in names)
    rel = b"".join(struct.pack("<QQ", place, names.index(name) + 1 << 32 | R_BPF_64_32) for place, name in sites)
    dynamic_at = layout.end
    dynsym_at = dynamic_at + 7 * 16
    dynstr_at = dynsym_at + len(dynsym)
    rel_at = _align(dynstr_at + len(dynstr.data))
    tags = ((17, rel_at), (18, len(rel)), (19, 16), (6, dynsym_at), (11, 24), (5, dynstr_at), (0, 0))
    dynamic = b"".join(struct.pack("<QQ", *tag) for tag in tags)
    loaded_end = rel_at + len(rel)

    text_at = layout.offsets[layout.text.index]
    text_end = text_at + layout.text.size
    sections = [
        (".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXEC, text_at, layout.text.size, 0, 0, 0),
        *(
            [(".rodata", SHT_PROGBITS, SHF_ALLOC, _align(text_end), layout.end - _align(text_end), 0, 0, 0)]
            if layout.rodata
            else []
        ),
    ]
    first_dynamic = len(sections) + 1
    sections += [
        (".dynamic", SHT_DYNAMIC, SHF_ALLOC, dynamic_at, len(dynamic), first_dynamic + 2, 0, 16),
        (".dynsym", SHT_DYNSYM, SHF_ALLOC, dynsym_at, len(dynsym), first_dynamic + 2, 1, 24),
        (".dynstr", SHT_STRTAB, SHF_ALLOC, dynstr_at, len(dynstr.data), 0, 0, 0),
        (".rel.dyn", SHT_REL, SHF_ALLOC, rel_at, len(rel), first_dynamic + 1, 0, 16),
    ]
    named = [(shstrtab.add(section[0]), section) for section in sections]
    last_name = shstrtab.add(".shstrtab")
    table_at = _align(loaded_end + len(shstrtab.data))
    headers = bytes(64) + b"".join(
        struct.pack("<IIQQQQIIQQ", name, kind, flags, at, at, size, link_to, info, 8, entry_size)
        for name, (_, kind, flags, at, size, link_to, info, entry_size) in named
    )
    headers += struct.pack("<IIQQQQIIQQ", last_name, SHT_STRTAB, 0, 0, loaded_end, len(shstrtab.data), 0, 0, 1, 0)

    elf = _elf_header(entry, table_at, len(named))
    elf += _program_header(1, 5, text_at, layout.end - text_at)
    elf += _program_header(1, 4, dynamic_at, loaded_end - dynamic_at)
    elf += _program_header(2, 4, dynamic_at, len(dynamic))
    image[:HEADER_SIZE] = elf
    body = bytes(image) + dynamic + dynsym + bytes(dynstr.data)
    body = body.ljust(rel_at, b"\0") + rel + bytes(shstrtab.data)
    return body.ljust(table_at, b"\0") + headers


def _elf_header(entry: int, table_at: int, named_sections: int) -> bytes:
    """A null section stands before the named ones and the name table behind them."""
    return struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        ET_DYN,
        EM_SBF,
        1,
        entry,
        64,
        table_at,
        0,
        64,
        56,
        3,
        64,
        named_sections + 2,
        named_sections + 1,
    )


def _program_header(kind: int, flags: int, at: int, size: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, flags, at, at, at, size, size, 8)
