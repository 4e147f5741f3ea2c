"""Which version of the program is on the chain: what GetVersion logs, by simulation (CONTRACT.md 1, 3.9)."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Final

from solders.hash import Hash
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from domain.chain.endpoints import Endpoints
from domain.chain.instructions_admin import GetVersion, encode_get_version

SUPPORTED: Final = ((0, 17, 0), (0, 18, 0))  # from the first on, below the second
_LOGGED: Final = re.compile(r"Contract Version: (\S+)")


def contract_version(endpoints: Endpoints, program_id: Pubkey, payer: Pubkey) -> str | None:
    """None when the program logs none. Nothing is signed or sent. Raises RpcError."""
    message = Message.new_with_blockhash([encode_get_version(GetVersion(), program_id)], payer, Hash.default())
    unsigned = VersionedTransaction.populate(message, [Signature.default()])
    options = {"encoding": "base64", "sigVerify": False, "replaceRecentBlockhash": True, "commitment": "confirmed"}
    answer = endpoints.call("simulateTransaction", [b64encode(bytes(unsigned)).decode(), options])
    found = _LOGGED.search("\n".join(answer["value"].get("logs") or ()))
    return found.group(1) if found else None


def is_supported(version: str) -> bool:
    """Three numbers within the range; what follows them does not count."""
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if numbers is None:
        return False
    low, high = SUPPORTED
    return low <= tuple(map(int, numbers.groups())) < high
