"""What is sent: message id, client id, planned time and payload; JSON for text, packed for binary. Pure."""

from __future__ import annotations

import json
import struct
from random import Random
from typing import Final

HEADER: Final = struct.Struct("<QIq")  # message id, client id, planned time in ns of the monotonic clock
_ID: Final = struct.Struct("<Q")
_TEXT_ID: Final = '{"messageId":'
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Messages:
    """Makes and reads the messages of one run; the payload is the same in all of them, drawn from the seed."""

    def __init__(self, *, text: bool, payload_bytes: int, seed: int) -> None:
        self.text = text
        random = Random(seed)
        if text:
            self._tail = f',"payload":{json.dumps("".join(random.choices(_LETTERS, k=payload_bytes)))}}}'
        else:
            self._payload = random.randbytes(payload_bytes)

    def make(self, message_id: int, client_id: int, planned_ns: int) -> bytes:
        """The bytes of one message, UTF-8 for text."""
        if not self.text:
            return HEADER.pack(message_id, client_id, planned_ns) + self._payload
        return f'{_TEXT_ID}{message_id},"clientId":{client_id},"timestamp":{planned_ns}{self._tail}'.encode()

    def id_of(self, message: bytes) -> int | None:
        """The id in an echo, None where there is none to be read."""
        if not self.text:
            return int(_ID.unpack_from(message)[0]) if len(message) >= HEADER.size else None
        try:
            found = json.loads(message)["messageId"]
        except (ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, int) else None
