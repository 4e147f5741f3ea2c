"""What an echo server must do with right and wrong frames, by section of RFC 6455."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.ws_frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, frame

LIMIT = 1 << 20  # the servers under test take messages up to this size
Frames = tuple[tuple[int, bytes], ...]
ANY_FAILURE = frozenset({1002, 1007})


@dataclass(frozen=True)
class Case:
    """``answers`` come back in this order. Then the server closes with one of ``codes`` (b"" = no code), or is alive.

    ``lenient``: the server may answer what is right before it fails, or fail at once.
    """

    section: str
    name: str
    data: bytes
    answers: Frames = ()
    codes: frozenset[int | None] = frozenset()
    chop: int = 0
    lenient: bool = False

    def __str__(self) -> str:
        return f"{self.section} {self.name}"


def fails(section: str, name: str, data: bytes, *codes: int, answers: Frames = ()) -> Case:
    return Case(section, name, data, answers, frozenset(codes or (1002,)), lenient=True)


def echoes(section: str, name: str, data: bytes, answers: Frames, chop: int = 0) -> Case:
    return Case(section, name, data, answers, chop=chop)


def payload(kind: int, size: int) -> bytes:
    return b"*" * size if kind == TEXT else bytes(n * 7 % 256 for n in range(251)) * (size // 251 + 1) if size else b""


def body(kind: int, size: int) -> bytes:
    return payload(kind, size)[:size]


def in_parts(kind: int, parts: list[bytes], between: bytes = b"") -> bytes:
    """A fragmented message, with ``between`` after each part but the last."""
    last = len(parts) - 1
    return b"".join(
        frame(kind if n == 0 else CONT, part, fin=n == last) + (between if n < last else b"")
        for n, part in enumerate(parts)
    )


NAMES = {TEXT: "text", BINARY: "binary"}
SIZES = (0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 65_535, 65_536, 65_537, 200_000, LIMIT)
VALID = (
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\x00",
    "\x7f",
    "\x80",
    "߿",
    "ࠀ",
    "\ud7ff",
    "\ue000",
    "\ufffd",
    "\uffff",
    "\U00010000",
    "\U0010ffff",
    "日本語テキスト",
    "👩‍👩‍👧‍👦",
    "a" * 125 + "é",
)
INVALID = (
    b"\x80",
    b"\xbf",
    b"\x80\xbf\x80",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80edited",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"ok\xc3",
    b"\xc3\x28",
    b"\xe2\x82",
    b"\xf0\x9f\x92",
)
CLOSE_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
BAD_CLOSE_CODES = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)


def messages() -> list[Case]:
    cases = []
    for kind, name in NAMES.items():
        for size in SIZES:
            sent = body(kind, size)
            cases.append(echoes("5.6", f"{name} of {size} bytes", frame(kind, sent), ((kind, sent),)))
        for size, chop in ((0, 1), (17, 1), (126, 1), (300, 7), (65_536, 997), (200_000, 1_460), (LIMIT, 65_521)):
            sent = body(kind, size)
            case = echoes(
                "5.2", f"{name} of {size} bytes in writes of {chop}", frame(kind, sent), ((kind, sent),), chop
            )
            cases.append(case)
        many = tuple((kind, body(kind, size)) for size in range(40))
        cases.append(echoes("5.6", f"40 {name} messages in one write", b"".join(frame(*each) for each in many), many))
    mixed = ((TEXT, b"one"), (BINARY, b"\x02"), (TEXT, b""), (BINARY, b""), (TEXT, "drei µ".encode()))
    cases.append(echoes("5.6", "both kinds in turn", b"".join(frame(*each) for each in mixed), mixed))
    return cases


def fragments() -> list[Case]:
    cases = []
    for kind, name in NAMES.items():
        for sizes in ((1, 1), (5, 3), (0, 4), (4, 0), (0, 0), (3, 0, 3), (1,) * 50, (125, 126, 127), (65_536, 65_536)):
            parts = [body(kind, size) for size in sizes]
            shown = "+".join(map(str, sizes)) if len(sizes) < 10 else f"{len(sizes)} single bytes"
            whole = ((kind, b"".join(parts)),)
            cases.append(echoes("5.4", f"{name} of {shown}", in_parts(kind, parts), whole))
            cases.append(echoes("5.4", f"{name} of {shown} in writes of 1,000", in_parts(kind, parts), whole, 1_000))
        parts = [b"frag", b"men", b"ted"]
        whole = (kind, b"fragmented")
        ping, pong = frame(PING, b"now"), (PONG, b"now")
        opened = frame(kind, b"a", fin=False)
        after = frame(kind, b"a") + frame(CONT, b"b")
        cases += [
            echoes("5.4", f"{name} with pings between", in_parts(kind, parts, ping), (pong, pong, whole)),
            echoes("5.4", f"{name} with pongs between", in_parts(kind, parts, frame(PONG, b"now")), (whole,)),
            echoes("5.4", f"two fragmented {name} messages", in_parts(kind, parts) * 2, (whole, whole)),
            fails("5.4", f"{name} begun inside {name}", opened + frame(kind, b"b")),
            fails("5.4", f"{name} begun inside {name}, both open", opened * 2),
            fails("5.4", f"continuation after a whole {name}", after, answers=((kind, b"a"),)),
        ]
    for fin in (True, False):
        for size in (0, 1, 126):
            data = frame(CONT, b"c" * size, fin=fin)
            cases.append(fails("5.4", f"continuation of nothing, {size} bytes, fin {fin}", data))
    return cases


def control() -> list[Case]:
    cases = []
    for size in (0, 1, 2, 64, 124, 125):
        sent = body(BINARY, size)
        cases.append(echoes("5.5.2", f"ping of {size} bytes", frame(PING, sent), ((PONG, sent),)))
        cases.append(echoes("5.5.2", f"ping of {size} bytes in writes of 1", frame(PING, sent), ((PONG, sent),), 1))
        cases.append(echoes("5.5.3", f"pong of {size} bytes that nobody asked for", frame(PONG, sent), ()))
    ten = tuple((PONG, b"%d" % n) for n in range(10))
    cases.append(echoes("5.5.2", "ten pings in one write", b"".join(frame(PING, text) for _, text in ten), ten))
    for opcode, name in ((PING, "ping"), (PONG, "pong"), (CLOSE, "close")):
        long = close_payload(1000, b"r" * 124) if opcode == CLOSE else b"p" * 126
        cases.append(fails("5.5", f"{name} of 126 bytes", frame(opcode, long)))
        cases.append(fails("5.5", f"{name} in fragments", frame(opcode, b"\x03\xe8", fin=False)))
    return cases


def headers() -> list[Case]:
    cases = []
    for rsv in range(1, 8):
        for opcode, name in ((TEXT, "text"), (BINARY, "binary"), (PING, "ping"), (CLOSE, "close")):
            data = frame(opcode, close_payload(1000) if opcode == CLOSE else b"x", rsv=rsv)
            cases.append(fails("5.2", f"reserved bits {rsv} on {name}", data))
        data = frame(TEXT, b"a", fin=False) + frame(CONT, b"b", rsv=rsv)
        cases.append(fails("5.2", f"reserved bits {rsv} on a continuation", data))
    for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF):
        cases.append(fails("5.2", f"reserved opcode {opcode:#x}", frame(opcode, b"x")))
        cases.append(fails("5.2", f"reserved opcode {opcode:#x}, empty", frame(opcode)))
        inside = frame(TEXT, b"a", fin=False) + frame(opcode, b"x")
        cases.append(fails("5.2", f"reserved opcode {opcode:#x} inside a message", inside))
    for opcode, name in ((TEXT, "text"), (BINARY, "binary"), (PING, "ping"), (PONG, "pong")):
        for size in (0, 5, 126):
            if opcode in NAMES or size < 126:
                data = frame(opcode, b"u" * size, masked=False)
                cases.append(fails("5.1", f"unmasked {name} of {size} bytes", data))
    return cases


def text() -> list[Case]:
    cases = []
    for number, words in enumerate(VALID):
        sent = words.encode()
        cases.append(echoes("8.1", f"valid text {number}", frame(TEXT, sent), ((TEXT, sent),)))
        single = [sent[n : n + 1] for n in range(len(sent))] or [b""]
        cases.append(echoes("8.1", f"valid text {number}, a byte a fragment", in_parts(TEXT, single), ((TEXT, sent),)))
    for number, sent in enumerate(INVALID):
        cases.append(fails("8.1", f"invalid text {number}", frame(TEXT, sent), 1007))
        single = [sent[n : n + 1] for n in range(len(sent))]
        cases.append(fails("8.1", f"invalid text {number}, a byte a fragment", in_parts(TEXT, single), 1007))
        cases.append(echoes("8.1", f"invalid text {number} as binary", frame(BINARY, sent), ((BINARY, sent),)))
    return cases


def closing() -> list[Case]:
    bad_reason = frame(CLOSE, close_payload(1000, b"\xce\xba\xe1"))
    normal, done = frame(CLOSE, close_payload(1000)), frozenset({1000})
    cases = [
        Case("7.1", "close without a code", frame(CLOSE), codes=frozenset({None, 1000})),
        fails("7.1", "close of one byte", frame(CLOSE, b"\x03")),
        Case("7.1", "data after a close", normal + frame(TEXT, b"x"), codes=done),
        Case("7.1", "ping after a close", normal + frame(PING, b"x"), codes=done),
        Case("7.1", "close twice", normal * 2, codes=done),
        Case("7.1", "close twice without a code", frame(CLOSE) * 2, codes=frozenset({None, 1000})),
        Case("7.1", "close inside a message", frame(TEXT, b"a", fin=False) + normal, codes=done),
        Case("7.1", "close without a code inside a message", frame(TEXT, b"a", fin=False) + frame(CLOSE), codes=done),
        Case(
            "7.1",
            "message, then close",
            frame(TEXT, b"a") + normal,
            ((TEXT, b"a"),),
            done,
            lenient=True,  # whoever answers the close at once may not send the echo any more
        ),
        fails("7.1.6", "close reason that is not UTF-8", bad_reason, *ANY_FAILURE),
    ]
    for code in CLOSE_CODES:
        for reason in (b"", b"why", b"r" * 123):
            data = frame(CLOSE, close_payload(code, reason))
            # RFC 6455 5.5.1: "typically echoes the status code"; 1000 answers it as well
            case = Case("7.4", f"close {code}, reason of {len(reason)} bytes", data, codes=frozenset({code, 1000}))
            cases.append(case)
    cases += [fails("7.4", f"close {code}", frame(CLOSE, close_payload(code))) for code in BAD_CLOSE_CODES]
    return cases


def limits() -> list[Case]:
    cases = []
    for kind, name in NAMES.items():
        cases.append(fails("7.4.1", f"{name} of one byte too much", frame(kind, body(kind, LIMIT + 1)), 1009))
        parts = [body(kind, LIMIT // 2), body(kind, LIMIT // 2), b"1"]
        cases.append(fails("7.4.1", f"fragmented {name} of one byte too much", in_parts(kind, parts), 1009))
        header = frame(kind, b"")[:1] + b"\xff" + (1 << 62).to_bytes(8, "big") + b"mask"
        cases.append(fails("7.4.1", f"{name} that says it has 2^62 bytes", header, 1009))
    return cases


CASES = [*messages(), *fragments(), *control(), *headers(), *text(), *closing(), *limits()]
