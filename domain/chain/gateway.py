"""The chain as the tasks see it: one batched read, signed bytes for an operation, and sending them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from solders.hash import Hash
from solders.pubkey import Pubkey

from domain.chain import program
from domain.chain.build import Builder, PoolOf, key
from domain.chain.endpoints import BatchAnswer, Endpoints
from domain.chain.errors import RpcError, RpcErrorObject
from domain.chain.keyring import Keyring
from domain.chain.receipts import AccountReader, read_receipt
from domain.chain.rpc import Call
from domain.chain.transaction import build_transaction, compute_unit_limit, fits
from domain.contract_errors import parse_error
from domain.errors import StressError
from domain.facts import Account, Lookup, Observation, SignatureStatus
from domain.ids import Address, OperationId, Signature
from domain.operations import Intent, Operation

COMMITMENT = "confirmed"
BLOCKHASH_AGE_MS = 2_000
ACCOUNTS_PER_CALL = 100
SENDS_PER_REQUEST = 24  # of up to 1,644 bytes: nodes take bodies of 50 KiB


class ChainUnreachableError(StressError):
    """No endpoint gave a usable answer. Nothing may be concluded from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What one cycle reads. ``since_slot`` is minContextSlot; ``history_from`` the slot of the oldest intent."""

    addresses: tuple[Address, ...] = ()
    signatures: tuple[Signature, ...] = ()
    since_slot: int = 0
    history_from: int | None = None  # set when an expiry may be concluded: asks how far back the node's history goes
    endpoint: str | None = None  # the one to ask, as long as it takes requests

    @classmethod
    def outcomes(cls, intents: Sequence[Intent], addresses: tuple[Address, ...] = (), since_slot: int = 0) -> Want:
        """What became of the intents, beside the accounts.

        One that may be expired names the endpoint: the proof needs two answers of the same one, with history back to
        the oldest intent (DESIGN.md 5).
        """
        past = [intent for intent in intents if intent.past_expiry_slot is not None]
        return cls(
            addresses=addresses,
            signatures=tuple(intent.signature for intent in intents),
            since_slot=since_slot,
            history_from=min((intent.prepared_slot for intent in past), default=None),
            endpoint=past[0].past_expiry_endpoint if past else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Blockhash:
    value: Hash
    last_valid_height: int
    read_at_ms: int


class SolanaChain:
    """Thread-safe; one per process."""

    def __init__(
        self,
        endpoints: Endpoints,
        program_id: Pubkey,
        keyring: Keyring,
        pool_of: PoolOf,
        monotonic_ms: Callable[[], int],
        *,
        preflight: bool = False,
    ) -> None:
        self.endpoints = endpoints
        self.program_id = program_id
        self.keyring = keyring
        self.builder = Builder(program_id, pool_of)
        self.system_state = Address(str(program.system_state(program_id)))
        self.treasury = Address(str(program.main_treasury(program_id)))
        self._reader = AccountReader(str(program_id), self.system_state, self.treasury)
        self._monotonic_ms = monotonic_ms
        self._preflight = preflight
        self._blockhash: Blockhash | None = None
        self._lock = Lock()

    def observe(self, want: Want) -> Observation:
        """ONE batched request. Raises ChainUnreachableError, also for an answer of an unheard-of shape.

        An endpoint that an expiry proof began with may be gone, or down for long: then any other is asked, and the
        proof begins anew with that one.
        """
        calls = self._calls(want)
        asked = want.endpoint if want.endpoint and self.endpoints.takes_requests(want.endpoint) else None
        answer = self._batch(calls, asked)
        try:
            return self._observation(want, calls, answer)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ChainUnreachableError(f"{answer.endpoint} answered in an unheard-of shape: {error!r}") from error

    def _observation(self, want: Want, calls: Sequence[Call], answer: BatchAnswer) -> Observation:
        results = dict(zip((call.id for call in calls), answer.results, strict=True))
        epoch = self._must(results["epoch"])
        slot = epoch["absoluteSlot"]
        accounts: dict[Address, Account | None] = {}
        for start in range(0, len(want.addresses), ACCOUNTS_PER_CALL):
            value = self._must(results[f"accounts{start}"])
            slot = value["context"]["slot"]
            chunk = want.addresses[start : start + ACCOUNTS_PER_CALL]
            accounts.update(
                (address, self._reader.read(address, entry))
                for address, entry in zip(chunk, value["value"], strict=True)
            )
        if "blockhash" in results and not isinstance(results["blockhash"], RpcErrorObject):
            self._keep_blockhash(results["blockhash"])
        return Observation(
            endpoint=answer.endpoint,
            slot=slot,
            block_height=epoch["blockHeight"],
            height_slot=epoch["absoluteSlot"],
            accounts=accounts,
            lookups=self._lookups(want, results),
        )

    def _batch(self, calls: list[Call], endpoint: str | None = None) -> BatchAnswer:
        try:
            return self.endpoints.batch(calls, endpoint=endpoint)
        except RpcError as error:
            raise ChainUnreachableError(str(error)) from error

    def _calls(self, want: Want) -> list[Call]:
        config: dict[str, Any] = {"commitment": COMMITMENT}
        if want.since_slot:
            config["minContextSlot"] = want.since_slot
        calls = [Call("epoch", "getEpochInfo", [config])]
        if want.signatures:
            calls.append(
                Call("statuses", "getSignatureStatuses", [list(want.signatures), {"searchTransactionHistory": True}])
            )
            calls += [
                Call(
                    f"tx:{signature}",
                    "getTransaction",
                    [
                        signature,
                        {"commitment": COMMITMENT, "encoding": "json", "maxSupportedTransactionVersion": 0},
                    ],
                )
                for signature in want.signatures
            ]
        if want.history_from is not None:
            calls.append(Call("first", "getFirstAvailableBlock", []))
        for start in range(0, len(want.addresses), ACCOUNTS_PER_CALL):
            chunk = list(want.addresses[start : start + ACCOUNTS_PER_CALL])
            calls.append(Call(f"accounts{start}", "getMultipleAccounts", [chunk, {**config, "encoding": "base64"}]))
        if self._blockhash_is_old():
            calls.append(Call("blockhash", "getLatestBlockhash", [{"commitment": COMMITMENT}]))
        return calls

    def _must(self, result: Any) -> Any:
        if isinstance(result, RpcErrorObject):
            raise ChainUnreachableError(f"the node answered {result.code}: {result.message}")
        return result

    def _lookups(self, want: Want, results: dict[str, Any]) -> dict[Signature, Lookup]:
        if not want.signatures:
            return {}
        statuses = results["statuses"]
        history = results.get("first")
        if isinstance(statuses, RpcErrorObject) or isinstance(history, RpcErrorObject):
            return {signature: Lookup(asked=False) for signature in want.signatures}
        reaches_back = history is None or want.history_from is None or history <= want.history_from
        status_slot = statuses["context"]["slot"]
        return {
            signature: self._lookup(signature, status, results[f"tx:{signature}"], status_slot, reaches_back)
            for signature, status in zip(want.signatures, statuses["value"], strict=True)
        }

    def _lookup(
        self, signature: Signature, status: Any, transaction: Any, status_slot: int, reaches_back: bool
    ) -> Lookup:
        if isinstance(transaction, RpcErrorObject):
            return Lookup(asked=False)
        receipt = read_receipt(signature, transaction) if transaction is not None else None
        null_meta = transaction is not None and receipt is None
        known = None
        if status is not None:
            known = SignatureStatus(
                slot=status["slot"],
                confirmation=status.get("confirmationStatus") or "processed",
                error=parse_error(status.get("err")),
            )
        asked = not null_meta and (reaches_back or known is not None or receipt is not None)
        return Lookup(asked=asked, status=known, receipt=receipt, status_slot=status_slot)

    def _blockhash_is_old(self) -> bool:
        held = self._blockhash
        return held is None or self._monotonic_ms() - held.read_at_ms > BLOCKHASH_AGE_MS

    def _keep_blockhash(self, result: dict[str, Any]) -> Blockhash:
        value = result["value"]
        held = Blockhash(
            value=Hash.from_string(value["blockhash"]),
            last_valid_height=value["lastValidBlockHeight"],
            read_at_ms=self._monotonic_ms(),
        )
        with self._lock:
            self._blockhash = held
        return held

    def blockhash(self) -> Blockhash:
        """A blockhash at most 2 s old; reads one when the process has none. Raises ChainUnreachableError."""
        held = self._blockhash
        if held is not None and not self._blockhash_is_old():
            return held
        answer = self._batch([Call("blockhash", "getLatestBlockhash", [{"commitment": COMMITMENT}])])
        return self._keep_blockhash(self._must(answer.results[0]))

    def prepare(
        self, operation: Operation, operation_id: OperationId, number: int, *, now_ms: int, slot: int, apart: int = 0
    ) -> Intent:
        """Build and sign; nothing is sent. The compute-unit limit carries ``number`` so that no two are alike.

        ``apart``: added to it, for chains that pay from the same wallet and count for themselves.
        Raises TransactionTooLarge, KeyMissingError, ChainUnreachableError (no blockhash to be had).
        """
        blockhash = self.blockhash()
        limit = compute_unit_limit(operation.compute_units, number + apart)
        others = [self.keyring.get(signer) for signer in operation.signers if signer != operation.payer]
        signed = build_transaction(
            payer=self.keyring.get(operation.payer),
            instructions=self.builder.instructions(operation),
            blockhash=blockhash.value,
            compute_units=limit,
            signers=others,
        )
        return Intent(
            operation_id=operation_id,
            number=number,
            kind=operation.kind,
            pool_id=operation.pool_id,
            signature=signed.signature,
            wire=b64encode(signed.wire).decode(),
            last_valid_height=blockhash.last_valid_height,
            compute_limit=limit,
            inputs=operation.inputs,
            prepared_at_ms=now_ms,
            prepared_slot=slot,
        )

    def fits(self, operation: Operation) -> bool:
        """Would this operation go into one transaction of 1232 bytes?"""
        return fits(key(operation.payer), self.builder.instructions(operation))

    def submit(self, intents: Sequence[Intent]) -> None:
        """Send the signed bytes. A refusal or a lost answer changes nothing: the next cycle asks for the outcome.

        So what preflight refuses never lands, and ends as expired.
        Raises ChainUnreachableError when a request as a whole got no answer.
        """
        if not intents:
            return
        config = {"encoding": "base64", "skipPreflight": not self._preflight, "preflightCommitment": COMMITMENT}
        calls = [Call(str(n), "sendTransaction", [intent.wire, config]) for n, intent in enumerate(intents)]
        for start in range(0, len(calls), SENDS_PER_REQUEST):
            self._batch(calls[start : start + SENDS_PER_REQUEST])
