"""Read a 64-bit little-endian relocatable ELF file into plain records."""

from __future__ import annotations

import struct
from dataclasses import dataclass

SHT_SYMTAB, SHT_RELA, SHT_NOBITS, SHT_REL = 2, 4, 8, 9
ET_REL, EM_BPF = 1, 247


class ObjectError(ValueError):
    """The bytes are not a BPF object file of the expected kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section; `data` is empty for a section without bytes in the file."""

    index: int
    name: str
    kind: int
    flags: int
    size: int
    alignment: int
    link: int
    info: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """One symbol; section 0 means undefined."""

    name: str
    section: int
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocation:
    """A place in a section that depends on a symbol (an index into the symbols)."""

    section: int
    offset: int
    kind: int
    symbol: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFile:
    """Sections in file order (by index), symbols in table order, relocations in file order."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: tuple[Relocation, ...]


def _text(table: bytes, at: int) -> str:
    return table[at : table.index(b"\0", at)].decode()


def parse_object(data: bytes) -> ObjectFile:
    """Parse an ET_REL EM_BPF file. Raises ObjectError."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ObjectError("no 64-bit little-endian ELF file")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if (kind, machine) != (ET_REL, EM_BPF):
        raise ObjectError(f"ELF type {kind} for machine {machine}, not a relocatable BPF object")
    sections = _sections(data)
    tables = [s for s in sections if s.kind == SHT_SYMTAB]
    if len(tables) != 1:
        raise ObjectError(f"{len(tables)} symbol tables")
    names = sections[tables[0].link].data
    symbols = [
        Symbol(name=_text(names, name), section=section, value=value)
        for name, _, _, section, value, _ in struct.iter_unpack("<IBBHQQ", tables[0].data)
    ]
    relocations = []
    for section in sections:
        if section.kind == SHT_RELA:
            raise ObjectError("relocations with addends are not produced for BPF")
        if section.kind == SHT_REL:
            relocations += [
                Relocation(section=section.info, offset=offset, kind=info & 0xFFFFFFFF, symbol=info >> 32)
                for offset, info in struct.iter_unpack("<QQ", section.data)
            ]
    return ObjectFile(sections=sections, symbols=tuple(symbols), relocations=tuple(relocations))


def _sections(data: bytes) -> tuple[Section, ...]:
    (table_at,) = struct.unpack_from("<Q", data, 40)
    count, names_index = struct.unpack_from("<HH", data, 60)
    rows = [struct.unpack_from("<IIQQQQIIQQ", data, table_at + 64 * i) for i in range(count)]
    names = data[rows[names_index][4] : rows[names_index][4] + rows[names_index][5]]
    return tuple(
        Section(
            index=index,
            name=_text(names, name),
            kind=kind,
            flags=flags,
            size=size,
            alignment=alignment,
            link=link,
            info=info,
            data=b"" if kind == SHT_NOBITS else data[at : at + size],
        )
        for index, (name, kind, flags, _, at, size, link, info, alignment, _) in enumerate(rows)
    )
