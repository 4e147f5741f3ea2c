"""Every echo server against every case of tests/support/ws_cases.py, frame by frame (RFC 6455)."""

from __future__ import annotations

import contextlib
import json
import signal
import struct
import subprocess
import sys

import pytest

from ops.bench.echo.options import Impl
from tests.support.ws_cases import CASES, LIMIT, Case
from tests.support.ws_frames import CLOSE, PING, PONG, Peer, frame

ALIVE = b"still there?"
#: What a library does by itself and lets nobody change. Autobahn's case 7.1.2 says the same of picows.
KNOWN = {
    Impl.PICOWS: {
        "7.1 close twice": "closed with 1002, not [1000]",
        "7.1 close twice without a code": "closed with 1002, not [1000, None]",
    }
}


@contextlib.contextmanager
def echo_server(impl: Impl, *options: str):
    command = [sys.executable, "-m", "ops.bench.echo.serve", "--impl", impl.value, "--port", "0", *options]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield child, int(json.loads(child.stdout.readline())["url"].rstrip("/").rpartition(":")[2])
    finally:
        if child.poll() is None:
            child.terminate()
        assert child.wait(10) == 0
        child.stdout.close()


@pytest.fixture(scope="module", params=list(Impl), ids=str)
def server(request):
    with echo_server(request.param, "--max-message-bytes", str(LIMIT)) as (_, number):
        yield request.param, number


def problem_of(case: Case, port: int) -> str | None:
    """What the server did wrong, None when nothing."""
    peer = Peer.connect(port)
    try:
        peer.send(case.data, case.chop)
        if not case.codes:
            peer.send(frame(PING, ALIVE))
            wanted = [*case.answers, (PONG, ALIVE)]
            found = [peer.next_frame() for _ in wanted]
            # a pong may overtake an echo (RFC 6455 5.4); each kind keeps its order
            return None if in_order(found) == in_order(wanted) else f"answered {shown(found)}"
        *answers, last = peer.frames_to_end() or [(None, b"")]
        if last[0] != CLOSE:
            return f"ended with {shown([last])}"
        if tuple(answers) != case.answers[: len(answers) if case.lenient else None]:
            return f"answered {shown(answers)}"
        code = struct.unpack(">H", last[1][:2])[0] if last[1] else None
        return None if code in case.codes else f"closed with {code}, not {sorted(case.codes, key=str)}"
    except (EOFError, TimeoutError, AssertionError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        peer.close()


def in_order(frames: list) -> tuple[list, list]:
    return [each for each in frames if each[0] < CLOSE], [each for each in frames if each[0] >= CLOSE]


def shown(frames: list) -> str:
    return str([(opcode, payload[:20], len(payload)) for opcode, payload in frames])


def test_there_is_a_case_for_everything():
    assert len({str(case) for case in CASES}) == len(CASES) >= 200


def test_frames_are_answered_by_the_letter(server):
    impl, port = server
    problems = {str(case): problem for case in CASES if (problem := problem_of(case, port)) is not None}
    assert problems == KNOWN.get(impl, {})


@pytest.mark.parametrize("impl", list(Impl), ids=str)
def test_sigterm_closes_with_going_away(impl):
    with echo_server(impl) as (child, number):
        peers = [Peer.connect(number) for _ in range(20)]
        for peer in peers:
            peer.send(frame(PING, ALIVE))
            assert peer.next_frame() == (PONG, ALIVE)
        child.send_signal(signal.SIGTERM)
        assert {peer.next_frame() for peer in peers} == {(CLOSE, struct.pack(">H", 1001))}
        for peer in peers:
            peer.close()
        assert child.wait(10) == 0


@pytest.mark.parametrize("impl", list(Impl), ids=str)
def test_a_silent_peer_is_pinged_and_dropped(impl):
    with echo_server(impl, "--idle-timeout", "0.2") as (_, number):
        peer = Peer.connect(number)
        opcodes = [opcode for opcode, _ in peer.frames_to_end()]  # we never answer
        assert opcodes[0] == PING
        peer.close()
