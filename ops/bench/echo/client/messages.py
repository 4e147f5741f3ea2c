"""What is sent: message id, client id, planned time and payload; JSON for text, packed for binary. Pure."""

from __future__ import annotations

import json
import struct
from random import Random
from typing import Final

HEADER: Final = struct.Struct("<QIq")  # message id, client id, planned time in ns of the monotonic clock
NO_ID: Final = -1
_unpack_id: Final = struct.Struct("<Q").unpack_from
_pack_header: Final = HEADER.pack
_TEXT_ID: Final = '{"messageId":'
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Messages:
    """Makes and reads the messages of one run; the payload is the same in all of them, drawn from the seed."""

    def __init__(self, *, text: bool, payload_bytes: int, seed: int) -> None:
        self.text = text
        random = Random(seed)
        if text:
            self._tail = f',"payload":{json.dumps("".join(random.choices(_LETTERS, k=payload_bytes)))}}}'
            self.make, self.id_of = self._make_text, _id_of_text
        else:
            self._payload = random.randbytes(payload_bytes)
            self.make, self.id_of = self._make_binary, _id_of_binary

    def _make_text(self, message_id: int, client_id: int, planned_ns: int) -> bytes:
        return f'{_TEXT_ID}{message_id},"clientId":{client_id},"timestamp":{planned_ns}{self._tail}'.encode()

    def _make_binary(self, message_id: int, client_id: int, planned_ns: int) -> bytes:
        return _pack_header(message_id, client_id, planned_ns) + self._payload


def _id_of_binary(message: bytes) -> int:
    """The id in an echo, NO_ID where there is none to be read."""
    return int(_unpack_id(message)[0]) if len(message) >= HEADER.size else NO_ID


def _id_of_text(message: bytes) -> int:
    """The same in text. An echo is bytes as we sent them or wrong, so this reads what ``_make_text`` writes alone."""
    try:
        return int(message[len(_TEXT_ID) : message.index(b",", len(_TEXT_ID))])
    except ValueError:
        return NO_ID
