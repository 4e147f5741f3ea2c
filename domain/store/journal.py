"""The journal's stream and the list of faults. Entries are written by commits; here they are read and spilled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from domain.store.edge import Argument, Part

START = "0-0"


class JournalStore(Part):
    """Read, trim, count."""

    def read_journal(self, after_id: str = START, count: int = 1000) -> list[tuple[str, str]]:
        """(entry id, JSON line), oldest first, of the entries after ``after_id``."""
        found = self._edge.call("XRANGE", self._keys.named("journal"), f"({after_id}", "+", "COUNT", count)
        return [(entry_id, fields["e"]) for entry_id, fields in found]

    def last_journal(self, count: int) -> list[tuple[str, str]]:
        """The newest ``count`` entries that are not yet spilled, oldest first."""
        found = self._edge.call("XREVRANGE", self._keys.named("journal"), "+", "-", "COUNT", count)
        return [(entry_id, fields["e"]) for entry_id, fields in reversed(found)]

    def journal_before(self, before_id: str, count: int) -> list[tuple[str, str]]:
        """(entry id, JSON line), newest first, of the unspilled entries before ``before_id``."""
        found = self._edge.call("XREVRANGE", self._keys.named("journal"), f"({before_id}", "-", "COUNT", count)
        return [(entry_id, fields["e"]) for entry_id, fields in found]

    def append_journal(self, lines: Sequence[str], operations: Mapping[str, int] | None = None) -> None:
        """Entries that no cycle writes, in one step with the operations they count for: what a recovery books."""
        journal, counters = self._keys.named("journal"), self._keys.counters("operations")
        writes: list[tuple[Argument, ...]] = [("XADD", journal, "*", "e", line) for line in lines]
        writes += [("HINCRBY", counters, name, by) for name, by in (operations or {}).items()]
        if writes:
            self._edge.batch(writes, atomic=True)

    def trim_journal(self, up_to_id: str) -> int:
        """Drop the entries up to and including ``up_to_id``; how many there were."""
        milliseconds, number = up_to_id.split("-")
        first_kept = f"{milliseconds}-{int(number) + 1}"
        return int(self._edge.call("XTRIM", self._keys.named("journal"), "MINID", first_kept))

    def journal_length(self) -> int:
        return int(self._edge.call("XLEN", self._keys.named("journal")))

    def add_faults(self, faults: Sequence[str]) -> None:
        """Faults found outside of a cycle (supervisor, audit)."""
        if faults:
            self._edge.call("RPUSH", self._keys.named("faults"), *faults)

    def faults(self, start: int = 0, count: int = 1000) -> list[str]:
        """JSON of the faults from number ``start`` on, oldest first."""
        found: list[str] = self._edge.call("LRANGE", self._keys.named("faults"), start, start + count - 1)
        return found

    def fault_count(self) -> int:
        return int(self._edge.call("LLEN", self._keys.named("faults")))
