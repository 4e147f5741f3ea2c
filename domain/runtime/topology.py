"""The machine's cores: which share a physical core or a memory (NUMA) node, and how lists of them are written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SYSTEM: Final = Path("/sys/devices/system")
HIGHEST_CORE: Final = 8_191  # the most that Linux knows
QUEUES: Final = ("cycles", "control")


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """One core as the system counts them. Hyper-threads of one physical core have the same ``physical``."""

    number: int
    physical: int  # the lowest number among its hyper-threads
    node: int = 0  # memory node


def plain_cores(numbers: Iterable[int]) -> tuple[Core, ...]:
    """Every core a physical one, all on one memory node."""
    return tuple(Core(number=number, physical=number) for number in sorted(numbers))


def read_cores(numbers: Iterable[int], system: Path = SYSTEM) -> tuple[Core, ...]:
    """What /sys says of these cores; one that it says nothing of counts as a physical core on node 0."""
    nodes = {
        core: int(path.parent.name.removeprefix("node"))
        for path in system.glob("node/node[0-9]*/cpulist")
        for core in _list_in(path)
    }
    return tuple(
        Core(
            number=number,
            physical=min(_list_in(system / f"cpu/cpu{number}/topology/thread_siblings_list"), default=number),
            node=nodes.get(number, 0),
        )
        for number in sorted(numbers)
    )


def _list_in(path: Path) -> tuple[int, ...]:
    try:
        return parse_core_list(path.read_text().strip())
    except (OSError, ValueError):  # a container or an old kernel; a memory node without cores has an empty list
        return ()


def parse_core_list(text: str) -> tuple[int, ...]:
    """(0, 1, 2, 3, 8) of "0-3,8", as Linux writes it. Raises ValueError."""
    found: set[int] = set()
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        first, last = _core(low), _core(high if dash else low)
        if first > last:
            raise ValueError(f"{part.strip()} in a list of cores runs backwards")
        found |= set(range(first, last + 1))
    return tuple(sorted(found))


def _core(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > HIGHEST_CORE:
        raise ValueError(f"a list of cores is written like 0-3,8, with numbers up to {HIGHEST_CORE:,}")
    return int(text)


def parse_queue_cores(text: str) -> dict[str, tuple[int, ...]]:
    """{"cycles": (4, 5, 6), "control": (2,)} of "cycles=4-6 control=2". Raises ValueError."""
    found: dict[str, tuple[int, ...]] = {}
    for part in text.split():
        queue, _, cores = part.partition("=")
        if queue not in QUEUES:
            raise ValueError(f"cores are given to {' or '.join(QUEUES)}, like cycles=4-7 control=2,3")
        if queue in found:
            raise ValueError(f"{queue} is given cores twice")
        found[queue] = parse_core_list(cores)
    return found


def spans(cores: Iterable[int]) -> str:
    """The text "0-3, 6" for 0, 1, 2, 3, 6."""
    found: list[list[int]] = []
    for core in sorted(cores):
        if found and core == found[-1][1] + 1:
            found[-1][1] = core
        else:
            found.append([core, core])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in found) or "none"
