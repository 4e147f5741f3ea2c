"""What the chain tells about our addresses, read once at finalized: histories, transactions, accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from sys import intern
from time import monotonic, sleep
from typing import Any

from domain.audit_effects import ASSOCIATED, COMPUTE_BUDGET
from domain.audit_records import ChainTx, Step, TokenMove
from domain.chain.endpoints import Endpoints
from domain.chain.errors import RpcError, RpcErrorObject, RpcThrottled
from domain.chain.receipts import AccountReader, base58_decode
from domain.chain.rpc import THROTTLE_CODES, Call
from domain.contract_errors import parse_error
from domain.errors import StressError
from domain.facts import Account
from domain.ids import Address, Signature

COMMITMENT = {"commitment": "finalized"}
PAGE = 1_000  # the most that getSignaturesForAddress gives
HISTORIES_PER_REQUEST = 20
TRANSACTIONS_PER_REQUEST = 50
ACCOUNTS_PER_CALL = 100
REQUEST_TIMEOUT_S = 30.0
RETRY_S = 0.5
THROTTLED_REQUEST_SHARE = 10  # a throttled endpoint gets requests a tenth as large

# Programs whose own data decides nothing: what they do is in the instructions that they call.
_UNREAD = frozenset({ASSOCIATED, COMPUTE_BUDGET})

Progress = Callable[[str], None]


class AuditUnansweredError(StressError):
    """The chain did not answer in time: the audit could not be made. That is not a pass."""


class ChainArchive:
    """Reads with retries until ``deadline`` (of ``monotonic``); remembers whether an endpoint throttled us.

    A chain of our own (``private``) throttles only when a scenario asks it to: the audit gets slower, not smaller.
    """

    def __init__(
        self, endpoints: Endpoints, reader: AccountReader, *, deadline: float, progress: Progress, private: bool = False
    ) -> None:
        self._endpoints = endpoints
        self._reader = reader
        self._deadline = deadline
        self._progress = progress
        self._private = private
        self.throttled = False

    def wait_finalized(self) -> int:
        """Wait until finalized has passed what is confirmed now; the finalized slot."""
        target = self._one("getSlot", [{"commitment": "confirmed"}])
        while (slot := self._one("getSlot", [COMMITMENT])) < target:
            self._pause(f"finalized is at slot {slot}, the last confirmed was {target}")
        return int(slot)

    def histories(self, addresses: Iterable[Address]) -> dict[Address, tuple[Signature, ...]]:
        """Signatures per address, oldest first, all pages."""
        found: dict[Address, list[Signature]] = {address: [] for address in addresses}
        before: dict[Address, Signature | None] = dict.fromkeys(found)
        while before:
            batch = list(before)[: self._size(HISTORIES_PER_REQUEST)]
            calls = [Call(address, "getSignaturesForAddress", [address, _page(before[address])]) for address in batch]
            for address, page in zip(batch, self._all(calls), strict=True):
                found[address] += [Signature(intern(entry["signature"])) for entry in page]
                if len(page) == PAGE:
                    before[address] = found[address][-1]
                else:
                    del before[address]
            self._progress(f"reading histories: {len(found) - len(before)} of {len(found)} addresses")
        return {address: tuple(reversed(newest_first)) for address, newest_first in found.items()}

    def since(self, addresses: Iterable[Address], slot: int) -> dict[Signature, int]:
        """Signatures of the addresses from ``slot`` on with their slots, in the order of the slots."""
        found: dict[Signature, int] = {}
        before: dict[Address, Signature | None] = dict.fromkeys(addresses)
        while before:
            batch = list(before)[: self._size(HISTORIES_PER_REQUEST)]
            calls = [Call(address, "getSignaturesForAddress", [address, _page(before[address])]) for address in batch]
            for address, page in zip(batch, self._all(calls), strict=True):
                found |= {Signature(entry["signature"]): entry["slot"] for entry in reversed(page)}
                if len(page) == PAGE and page[-1]["slot"] >= slot:
                    before[address] = page[-1]["signature"]
                else:
                    del before[address]
            self._progress(f"{len(before)} histories are left to read")
        newest = {signature: at for signature, at in found.items() if at >= slot}
        return dict(sorted(newest.items(), key=lambda pair: pair[1]))

    def transactions(self, signatures: Sequence[Signature], *, failed_steps: bool = False) -> Iterator[ChainTx]:
        """Every transaction that landed; one that the chain does not know is left out.

        ``failed_steps``: tell also what a failed transaction tried.

        While one answer is read the next is asked for: node and reader take about as long as each other.
        """
        size = self._size(TRANSACTIONS_PER_REQUEST)
        batches = [signatures[start : start + size] for start in range(0, len(signatures), size)]
        with ThreadPoolExecutor(max_workers=1) as ahead:
            asked = [ahead.submit(self._ask_for, batch) for batch in batches[:1]]
            for number, batch in enumerate(batches):
                answers = asked.pop().result()
                asked = [ahead.submit(self._ask_for, following) for following in batches[number + 1 : number + 2]]
                for signature, answer in zip(batch, answers, strict=True):
                    if answer is not None:
                        yield read_transaction(signature, answer, failed_steps=failed_steps)
                self._progress(
                    f"reading transactions: {min((number + 1) * size, len(signatures))} of {len(signatures)}"
                )

    def _ask_for(self, signatures: Sequence[Signature]) -> list[Any]:
        options = {**COMMITMENT, "encoding": "json", "maxSupportedTransactionVersion": 0}
        return self._all([Call(signature, "getTransaction", [signature, options]) for signature in signatures])

    def accounts(
        self, addresses: Sequence[Address], since_slot: int = 0
    ) -> tuple[int, int, dict[Address, Account | None]]:
        """The oldest and the newest slot of the answers, and the accounts; None: not there.

        A node that has not come to ``since_slot`` is asked again: what it knows would be older than its own history.
        """
        chunks = [list(addresses[n : n + ACCOUNTS_PER_CALL]) for n in range(0, len(addresses), ACCOUNTS_PER_CALL)]
        options = {**COMMITMENT, "encoding": "base64", "minContextSlot": since_slot}
        slots, accounts = [], {}
        for chunk in chunks:
            (value,) = self._all([Call("accounts", "getMultipleAccounts", [chunk, options])])
            slots.append(value["context"]["slot"])
            for address, entry in zip(chunk, value["value"], strict=True):
                accounts[address] = self._reader.read(address, entry)
        return min(slots, default=0), max(slots, default=0), accounts

    def _size(self, usual: int) -> int:
        return max(1, usual // THROTTLED_REQUEST_SHARE) if self.throttled else usual

    def _one(self, method: str, params: list[Any]) -> Any:
        return self._all([Call(method, method, params)])[0]

    def _all(self, calls: list[Call]) -> list[Any]:
        """Every call's answer; the whole batch again while one of them has none. Raises AuditUnansweredError."""
        while True:
            try:
                results = self._endpoints.batch(calls, timeout_seconds=REQUEST_TIMEOUT_S).results
            except RpcError as error:
                self._note_throttling(isinstance(error, RpcThrottled))
                self._pause(str(error))
                continue
            refused = next((result for result in results if isinstance(result, RpcErrorObject)), None)
            if refused is None:
                return results
            self._note_throttling(refused.code in THROTTLE_CODES)
            self._pause(str(refused))

    def _note_throttling(self, seen: bool) -> None:
        self.throttled = self.throttled or (seen and not self._private)

    def _pause(self, why: str) -> None:
        if monotonic() + RETRY_S > self._deadline:
            raise AuditUnansweredError(f"the chain did not answer in time: {why}")
        sleep(RETRY_S)


def _page(before: Signature | None) -> dict[str, Any]:
    options: dict[str, Any] = {**COMMITMENT, "limit": PAGE}
    return options if before is None else {**options, "before": before}


def read_transaction(signature: Signature, answer: dict[str, Any], *, failed_steps: bool = False) -> ChainTx:
    """A ChainTx from getTransaction with encoding "json". Raises AuditUnansweredError for one without its meta."""
    meta = answer.get("meta")
    if meta is None:
        raise AuditUnansweredError(f"the node keeps transaction {signature} without its meta")
    message = answer["transaction"]["message"]
    loaded = meta.get("loadedAddresses") or {}
    named = (*message["accountKeys"], *loaded.get("writable", ()), *loaded.get("readonly", ()))
    keys = [Address(intern(key)) for key in named]
    error = parse_error(meta["err"])
    return ChainTx(
        signature=signature,
        slot=answer["slot"],
        fee=meta["fee"],
        error=None if error is None else error.code,
        signers=tuple(keys[: message["header"]["numRequiredSignatures"]]),
        lamports={
            key: (before, after)
            for key, before, after in zip(keys, meta["preBalances"], meta["postBalances"], strict=True)
            if before != after
        },
        tokens=_tokens(keys, meta),
        steps=tuple(_steps(keys, message, meta)) if error is None or failed_steps else (),
        compute_units=meta.get("computeUnitsConsumed"),
    )


def _tokens(keys: list[Address], meta: dict[str, Any]) -> dict[Address, TokenMove]:
    before = {entry["accountIndex"]: entry for entry in meta.get("preTokenBalances") or ()}
    after = {entry["accountIndex"]: entry for entry in meta.get("postTokenBalances") or ()}
    moves = {}
    for index in sorted(before.keys() | after.keys()):
        entry = after.get(index) or before[index]
        moves[keys[index]] = TokenMove(
            mint=Address(intern(entry["mint"])),
            owner=Address(intern(entry.get("owner") or "")),
            before=int(before[index]["uiTokenAmount"]["amount"]) if index in before else 0,
            after=int(after[index]["uiTokenAmount"]["amount"]) if index in after else 0,
        )
    return moves


def _steps(keys: list[Address], message: dict[str, Any], meta: dict[str, Any]) -> Iterator[Step]:
    """Outer instructions in order, each followed by what it called, and what that called in turn."""
    inner = {group["index"]: group["instructions"] for group in meta.get("innerInstructions") or ()}
    for index, outer in enumerate(message["instructions"]):
        yield _step(keys, outer, None)
        callers = [keys[outer["programIdIndex"]]]
        for called in inner.get(index, ()):
            # Height 1 is the outer instruction; nodes of old do not tell heights, and nothing was nested deeper then.
            depth = (called.get("stackHeight") or 2) - 1
            del callers[depth:]
            yield _step(keys, called, callers[-1])
            callers.append(keys[called["programIdIndex"]])


def _step(keys: list[Address], compiled: dict[str, Any], within: Address | None) -> Step:
    program = keys[compiled["programIdIndex"]]
    return Step(
        program=program,
        accounts=tuple(keys[index] for index in compiled["accounts"]),
        data=b"" if program in _UNREAD else base58_decode(compiled["data"]),
        within=within,
    )
