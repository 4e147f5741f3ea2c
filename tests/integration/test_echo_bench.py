"""The benchmark client tells the truth: stalls, losses, wrong echoes, a dead server; and wrong options in one line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace

import jsonschema
import psutil
import pytest
from websockets.asyncio.server import serve

from ops.bench.echo import report
from ops.bench.echo.client.tally import latency_ms
from ops.bench.echo.options import Impl, Load, Pattern, ServerOptions
from ops.bench.echo.run import EchoBenchError, measure, own_server

SHORT = Load(clients=4, rate=50, duration_s=1.0, warm_up_s=0.2)


@contextlib.contextmanager
def wrong_server(answer):
    """A server that sends ``answer(n, message)``, a list, for the n-th message of a connection."""
    ready, loop, port = threading.Event(), asyncio.new_event_loop(), 0

    async def handle(connection) -> None:
        number = 0
        async for message in connection:
            for one in [message] if message == b"echo?" else answer(number, message):
                await connection.send(one)
            number += message != b"echo?"

    async def main() -> None:
        nonlocal port
        async with serve(handle, "127.0.0.1", 0, compression=None) as server:
            port = server.sockets[0].getsockname()[1]
            ready.set()
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert ready.wait(10)
    try:
        yield f"ws://127.0.0.1:{port}/"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module", params=list(Impl), ids=str)
def server(request):
    with own_server(ServerOptions(impl=request.param, port=0)) as (pid, url):
        yield pid, url


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("pattern", list(Pattern))
def test_every_echo_of_every_server_is_counted_once(server, pattern, text):
    outcome = measure(replace(SHORT, pattern=pattern, text=text, burst=5, processes=2), server[1], pid=server[0])
    tally = outcome.tally
    assert tally.errors == tally.out_of_order == 0
    assert tally.sent == tally.received == outcome.histogram.get_total_count() > 0
    if pattern in (Pattern.FIXED_RATE, Pattern.BURST):
        assert tally.planned == tally.sent == 4 * 50
    jsonschema.validate(
        report.build(outcome, report.server_facts("x", "python", None, {})), json.loads(report.SCHEMA.read_text())
    )


@pytest.mark.parametrize("size", [0, 16 * 1024 * 1024 - 20])
def test_empty_and_large_payloads_come_back(server, size):
    load = Load(clients=1, pattern=Pattern.CLOSED, payload_bytes=size, duration_s=0.5, warm_up_s=0)
    tally = measure(load, server[1]).tally
    assert tally.errors == 0
    assert tally.received >= 1
    assert tally.bytes_received == tally.received * (size + 20)


def test_a_stall_shows_in_the_latencies_of_all_that_were_due_in_it():
    """Coordinated omission: who waits for the answer before sending the next sees one slow message in 500."""
    command = [sys.executable, "-m", "tests.support.stalling_server", "2", "0.5"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = json.loads(child.stdout.readline())["url"]
        load = Load(clients=2, rate=100, duration_s=5.0, warm_up_s=0.2)
        latency = latency_ms(measure(load, url).histogram)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert latency["max"] >= 450
    assert latency["p99"] >= 300  # a fifth of the time was a stall, so its last per cent is deep in it
    assert latency["p50"] < latency["p99"] / 4


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (lambda n, message: [] if n % 10 == 3 else [message], "lost"),
        (lambda n, message: [message[:-1] + b"\0"] if n % 10 == 3 else [message], "mismatched"),
        (lambda n, message: [message, message] if n % 10 == 3 else [message], "duplicated"),
        (lambda n, message: ["text"] if n % 10 == 3 else [message], "mismatched"),
        (lambda n, message: [["te", "xt"]] if n % 10 == 3 else [message], "mismatched"),
    ],
)
def test_what_is_wrong_with_an_echo_is_counted_as_such(answer, wrong):
    with wrong_server(answer) as url:
        tally = measure(SHORT, url).tally
    count = getattr(tally, wrong)
    assert tally.sent / 20 <= count <= tally.sent / 5
    assert tally.errors >= count


def test_what_comes_after_the_measured_time_is_in_no_rate():
    """A server that cannot keep up answers all in the end; 50 in a second is what it can do."""

    def slow(n, message):
        threading.Event().wait(0.02)
        return [message]

    with wrong_server(slow) as url:
        outcome = measure(Load(clients=1, rate=150, duration_s=1.0, warm_up_s=0.0), url)
    assert outcome.tally.received == outcome.tally.planned == 150
    assert outcome.tally.lost == 0
    throughput = report.build(outcome, report.server_facts("x", "python", None, {}))["throughput"]
    assert 5 <= throughput["messagesPerSecond"] <= 51
    assert throughput["bytesPerSecond"] == pytest.approx(276 * throughput["messagesPerSecond"], rel=0.01)


def test_an_echo_in_fragments_is_an_echo():
    """RFC 6455 5.4: a server may cut messages as it likes."""
    with wrong_server(lambda n, message: [[message[:1], message[1:99], message[99:]]]) as url:
        tally = measure(SHORT, url).tally
    assert tally.errors == tally.out_of_order == 0
    assert tally.received == tally.sent > 100


def test_a_lost_message_does_not_put_the_later_ones_out_of_order():
    with wrong_server(lambda n, message: [] if n == 20 else [message]) as url:
        tally = measure(SHORT, url).tally
    assert (tally.lost, tally.out_of_order) == (SHORT.clients, 0)


def test_echoes_out_of_order_are_matched_and_counted():
    held = []

    def swapped(n, message):
        held.append(message)
        return [] if n % 2 == 0 else [held.pop(), held.pop()]

    with wrong_server(swapped) as url:
        tally = measure(replace(SHORT, clients=1), url).tally
    assert tally.mismatched == tally.duplicated == 0
    assert tally.out_of_order >= tally.received // 3


@contextlib.contextmanager
def running(folder, pid, *options):
    """`frt bench echo run` against the server ``pid``, in a process group of its own as a terminal would have it."""
    command = [sys.executable, "-m", "ops.cli", "bench", "echo", "run", "--out", str(folder), *options]
    run = subprocess.Popen(command, process_group=0, stderr=subprocess.PIPE, text=True)
    try:
        yield run
    finally:
        if run.poll() is None:
            run.kill()
        run.wait()
        run.stderr.close()


def until(run, happened):
    """Wait for it; the run must not end before."""
    pause = threading.Event()
    while not happened():
        assert run.poll() is None
        pause.wait(0.05)


def connections_of(pid: int) -> int:
    return sum(each.status == psutil.CONN_ESTABLISHED for each in psutil.Process(pid).net_connections("tcp"))


def cpu_s_of(pid: int) -> float:
    return sum(psutil.Process(pid).cpu_times()[:2])


@pytest.fixture
def echo():
    """A server for one test: its pid and URL."""
    with own_server(ServerOptions(impl=Impl.WEBSOCKETS, port=0)) as found:
        yield found


def the_report(folder):
    (path,) = folder.glob("*.json")
    return report.read(path)  # checks the schema


def test_killing_the_server_leaves_a_report_with_the_errors(tmp_path, echo):
    pid, url = echo
    load = ["--clients", "5", "--rate", "50", "--duration", "4", "--warm-up", "0"]
    with running(tmp_path, pid, "--url", url, "--pid", str(pid), *load) as run:
        until(run, lambda: connections_of(pid) == 5)
        busy_s = cpu_s_of(pid)
        until(run, lambda: cpu_s_of(pid) > busy_s + 0.03)  # in the midst of the load
        os.kill(pid, signal.SIGKILL)
        assert run.wait(30) == 99
    errors = the_report(tmp_path)["errors"]
    assert errors["connectionsLost"] == 5
    assert errors["messagesNotSent"] > 100
    assert errors["errorRate"] > 0.2


def test_killing_a_client_process_leaves_a_partial_report(tmp_path, echo):
    pid, url = echo
    load = ["--clients", "4", "--rate", "50", "--duration", "3", "--warm-up", "0", "--processes", "2"]
    with running(tmp_path, pid, "--url", url, *load) as run:
        until(run, lambda: connections_of(pid) == 4)
        first = next(
            each for each in psutil.Process(run.pid).children() if any("spawn_main" in word for word in each.cmdline())
        )
        first.kill()
        assert run.wait(30) == 99
    document = the_report(tmp_path)
    assert document["errors"]["clientProcessesDied"] == 1
    assert document["metadata"]["partial"]
    assert "a client process died" in document["errors"]["first"][0]
    assert document["throughput"]["messagesReceived"] == document["throughput"]["messagesSent"] > 100  # the other one's


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_in_the_middle_leaves_a_partial_report(tmp_path, echo, number):
    pid, url = echo
    load = ["--clients", "4", "--rate", "50", "--duration", "600", "--warm-up", "0", "--processes", "2"]
    with running(tmp_path, pid, "--url", url, *load) as run:
        until(run, lambda: connections_of(pid) == 4)
        busy_s = cpu_s_of(pid)
        until(run, lambda: cpu_s_of(pid) > busy_s + 0.05)
        os.killpg(run.pid, number) if number == signal.SIGINT else run.send_signal(number)  # Ctrl-C goes to all
        assert run.wait(30) == 99
        assert run.stderr.read() == ""
    document = the_report(tmp_path)
    assert document["metadata"]["partial"]
    assert 0 < document["metadata"]["measuredSeconds"] < 60
    assert document["throughput"]["messagesReceived"] > 0
    assert sum(document["errors"][name] for name in ("mismatches", "connectionsLost", "clientProcessesDied")) == 0


@pytest.mark.parametrize(
    ("options", "connected"),
    [
        (["--clients", "50", "--ramp", "600"], 1),  # while they connect
        (["--clients", "3", "--warm-up", "600"], 3),
    ],
)
def test_ctrl_c_before_the_measurement_leaves_a_partial_report(tmp_path, echo, options, connected):
    pid, url = echo
    with running(tmp_path, pid, "--url", url, *options) as run:
        until(run, lambda: connections_of(pid) >= connected)
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(30) == 99
        assert run.stderr.read() == ""
    document = the_report(tmp_path)
    assert document["metadata"]["partial"]
    assert document["client"]["connected"] >= 1
    assert document["throughput"]["messagesSent"] == 0
    assert document["latency"]["p99"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--impl", "picows", "--rate", "-1"], "rate: -1 is not within"),
        (["--impl", "picows", "--clients", "0"], "clients: 0 is not within"),
        (["--impl", "picows", "--duration", "nan"], "duration: nan is not within"),
        (["--impl", "picows", "--scenario", "soak"], "there is no 'soak'; known are single, burst, steady"),
        (["--url", "http://127.0.0.1:1/"], "is not a ws:// or wss:// URL"),
        (["--url", "ws://127.0.0.1:9/"], "nothing answers"),
        ([], "give --url, or --impl"),
        (["--url", "ws://127.0.0.1:1/", "--command", "/no/such/server"], "'/no/such/server' could not be started"),
        (["--impl", "picows", "--pid", "1"], "not together with"),
        (["--impl", "picows", "--server-cores", "a"], "server-cores: 'a' is not a list of core numbers"),
        (["--impl", "picows", "--client-cores", "4711"], "client-cores: 4711 is not within 0"),
        (["--impl", "picows", "--server-cores", "4711"], "server-cores: 4711 is not within 0"),
        (["--url", "ws://127.0.0.1:1/", "--server-cores", "0"], "server-cores: only of a server that is started here"),
        (["--url", "ws://127.0.0.1:1/", "--command", "false"], "it ended with code 1 before anything listened"),
        (["--url", "ws://127.0.0.1:1/", "--command", ""], "command: it is empty"),
        (["--impl", "picows", "--pattern", "Closed", "--rate", "7"], "rate: a closed loop has none"),
    ],
)
def test_wrong_options_are_one_clear_line(options, words, tmp_path):
    command = [sys.executable, "-m", "ops.cli", "bench", "echo", "run", "--out", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("frt: ")
    assert words in line
    assert not list(tmp_path.iterdir())


def test_a_url_that_is_no_websocket_is_named():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()  # the look whether anything listens
            connection.close()
            connection, _ = listener.accept()
            connection.recv(1_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(EchoBenchError, match="is no WebSocket server"):
            measure(SHORT, f"ws://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()
