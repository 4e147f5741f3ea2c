"""Reading positional parameters, with a cluster's error texts; unknown configuration fields are ignored, as there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from solders.hash import Hash, ParseHashError
from solders.pubkey import Pubkey
from solders.signature import Signature

from ops.localnet.blocks import CONFIRMED, FINALIZED, PROCESSED, Block
from ops.localnet.chain import Chain
from ops.localnet.encode import BINARY, Slice, check_encoding
from ops.localnet.errors import invalid_params, min_context_slot_not_reached
from ops.localnet.tokens import Mint

U64_MAX = 2**64 - 1
Params = list[Any]
Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a method answers from: the chain, as one endpoint sees it."""

    chain: Chain
    #: The endpoint at /lag stands behind by the fault's number of blocks.
    lagging: bool = False

    @property
    def lag_blocks(self) -> int:
        """How many blocks behind the chain this endpoint answers."""
        return self.chain.faults.endpoint_lag_blocks() if self.lagging else 0

    def block(self, commitment: str) -> Block:
        """The block that `commitment` means here."""
        return self.chain.blocks.at(commitment, self.lag_blocks)

    def mint_at(self, key: Pubkey, slot: int) -> Mint | None:
        """The mint at an address, None when there is none."""
        return self.chain.accounts.at(key, slot).mint


@lru_cache(maxsize=65_536)
def _pubkey(text: str) -> Pubkey:
    return Pubkey.from_string(text)


def pubkey(value: Any) -> Pubkey:
    """A public key. -32602."""
    if not isinstance(value, str):
        raise invalid_params("Invalid params: invalid type: expected a string.")
    try:
        return _pubkey(value)
    except ValueError as error:
        text = "WrongSize" if "size" in str(error) else "Invalid"
        raise invalid_params(f"Invalid param: {text}") from None


def signature(value: Any) -> bytes:
    """A signature as its 64 bytes. -32602."""
    if not isinstance(value, str):
        raise invalid_params("Invalid params: invalid type: expected a string.")
    try:
        return bytes(Signature.from_string(value))
    except ValueError:
        raise invalid_params("Invalid param: Invalid") from None


def blockhash(value: Any) -> Hash:
    """A blockhash. -32602."""
    if not isinstance(value, str):
        raise invalid_params("Invalid params: invalid type: expected a string.")
    try:
        return Hash.from_string(value)
    except ParseHashError:
        raise invalid_params("Invalid param: Invalid") from None


def required(params: Params, index: int, count: int) -> Any:
    """The parameter at `index` of a method that needs `count`. -32602 when it is missing."""
    if len(params) <= index:
        raise invalid_params(f"`params` should have at least {count} argument(s)")
    return params[index]


def config(params: Params, index: int) -> Config:
    """The configuration object at `index`, empty when absent or null. -32602."""
    value = params[index] if len(params) > index else None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid_params("Invalid params: invalid type: expected a configuration object.")
    return value


def commitment(options: Config, default: str = FINALIZED, field: str = "commitment") -> str:
    """The commitment in a configuration. -32602 naming the ones that exist."""
    value = options.get(field)
    if value is None:
        return default
    if value not in (PROCESSED, CONFIRMED, FINALIZED):
        known = f"`{PROCESSED}`, `{CONFIRMED}`, `{FINALIZED}`"
        raise invalid_params(f"Invalid params: unknown variant `{value}`, expected one of {known}.")
    return str(value)


def confirmed_commitment(options: Config) -> str:
    """The commitment of a method that reads the ledger, which processed blocks are not yet in. -32602."""
    chosen = commitment(options)
    if chosen == PROCESSED:
        raise invalid_params("Method does not support commitment below `confirmed`")
    return chosen


def whole_number(value: Any, name: str, largest: int = U64_MAX) -> int:
    """An unsigned integer. -32602."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise invalid_params(f"Invalid params: invalid value for `{name}`: expected an unsigned integer.")
    return value


def reached(block: Block, options: Config) -> Block:
    """The block, or -32016 when minContextSlot asks for a newer one."""
    least = options.get("minContextSlot")
    if least is not None and block.slot < whole_number(least, "minContextSlot"):
        raise min_context_slot_not_reached(block.slot)
    return block


def bank(scope: Scope, options: Config) -> Block:
    """The block that a read with this configuration answers from. -32602, -32016."""
    return reached(scope.block(commitment(options)), options)


def account_encoding(options: Config) -> str:
    """The account encoding of a configuration; without one the legacy form. -32602."""
    value = options.get("encoding")
    return BINARY if value is None else check_encoding(value)


def data_slice(options: Config) -> Slice | None:
    """The part of the account data that is asked for. -32602."""
    value = options.get("dataSlice")
    if value is None:
        return None
    if not isinstance(value, dict) or not {"offset", "length"} <= value.keys():
        raise invalid_params("Invalid params: `dataSlice` needs `offset` and `length`.")
    return whole_number(value["offset"], "offset"), whole_number(value["length"], "length")


def with_context(block: Block, value: Any) -> dict[str, Any]:
    """An answer that says which slot it stems from."""
    return {"context": {"apiVersion": API_VERSION, "slot": block.slot}, "value": value}


#: The release whose answers these are modelled on.
API_VERSION = "2.3.13"
