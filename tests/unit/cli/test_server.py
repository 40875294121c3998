"""How ``happened server`` starts, delivers and ends: in processes of its own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from happened.cli import server as command
from happened.server import Server
from tests.unit.cli.conftest import SHOP, Run

LIMIT = 30.0

SLOW = """

import time


@domain.on(OrderPlaced)
def doze(event: OrderPlaced) -> None:
    print("dozing", flush=True)
    time.sleep(60)
"""

CALLED = """

import signal
import threading
import time


@domain.on(OrderPlaced)
def doze(event: OrderPlaced) -> None:
    print("dozing", flush=True)
    time.sleep(2)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(60)
"""

DYING = """

def number():
    raise GeneratorExit("lost")


domain.storage.number = number
"""


class Process:
    """A server in a process of its own, and what it logs."""

    def __init__(self, folder: Path, *options: str, **variables: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "happened", "server", "shop", *options],
            cwd=folder,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        assert self._process.stderr
        self.kill = self._process.kill
        self.signal = self._process.send_signal

    def until(self, text: str) -> str:
        """Read its log until a line has a text, and return the line."""
        assert self._process.stderr
        for line in self._process.stderr:
            self.log.append(line)
            if text in line:
                return line
        raise AssertionError(f"it ended without {text!r}: {''.join(self.log)}")

    def printed(self) -> str:
        """A line of what it prints."""
        assert self._process.stdout
        return self._process.stdout.readline()

    def end(self) -> int:
        """Read the rest of its log, and return what it ended with."""
        _, rest = self._process.communicate(timeout=LIMIT)
        self.log += rest.splitlines(keepends=True)
        return self._process.returncode


@pytest.fixture
def process(folder: Path) -> Iterator[Any]:
    """Starts servers, and kills those that are left."""
    started: list[Process] = []

    def start(*options: str, **variables: str) -> Process:
        started.append(Process(folder, *options, **variables))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.end()


def write(folder: Path, more: str) -> None:
    (folder / "shop.py").write_text(SHOP + more)


def test_it_delivers_until_it_is_told_to_stop(shop: Any, process: Any) -> None:
    shop.place("1")
    server = process("--port", "0", "--log-format", "json")
    address = json.loads(server.until('"monitoring"'))["address"]
    server.until('"ready"')
    server.until("dead letter")
    shop.domain.wait_for(
        shop.domain.storage.read("order-1")[0].metadata.id, handler="AddUp", timeout=LIMIT
    )
    with urllib.request.urlopen(f"{address}/readyz", timeout=LIMIT) as answer:
        assert answer.status == 200
    server.signal(signal.SIGTERM)
    assert server.end() == 0
    told = [json.loads(line) for line in server.log]
    assert [each["message"] for each in told].count("ready") == 1
    assert told[-1]["message"] == "stopped"
    (failure,) = [each for each in told if each["level"] == "error"]
    assert failure["handler"] == "ship"
    assert failure["traceback"].endswith("KeyError: 'no address'")


def test_ctrl_c_stops_it_as_well(shop: Any, process: Any) -> None:
    server = process()
    assert re.search(r"info     ready storage=sqlite:///shop\.db$", server.until("ready"))
    server.signal(signal.SIGINT)
    assert server.end() == 0
    assert "stopping signal=SIGINT" in "".join(server.log)


def test_handlers_that_take_too_long_are_left(shop: Any, folder: Path, process: Any) -> None:
    write(folder, SLOW)
    shop.place("1")
    server = process("--stop-within", "0.2")
    assert server.printed() == "dozing\n"
    server.signal(signal.SIGTERM)
    assert server.end() == 1
    assert server.log[-1] == (
        "happened: handlers were still running after 0.2 s; what they had not committed is "
        "delivered again\n"
    )
    again = process("--stop-within", "0")
    assert again.printed() == "dozing\n"


def test_a_second_signal_ends_it_at_once(shop: Any, folder: Path, process: Any) -> None:
    write(folder, SLOW)
    shop.place("1")
    server = process()
    assert server.printed() == "dozing\n"
    server.signal(signal.SIGTERM)
    server.until("stopping")
    server.signal(signal.SIGTERM)
    assert server.end() == 128 + signal.SIGTERM


def test_a_second_signal_ends_it_whichever_thread_it_meets(
    shop: Any, folder: Path, process: Any
) -> None:
    write(folder, CALLED)
    shop.place("1")
    server = process("--stop-within", "1000")
    assert server.printed() == "dozing\n"
    server.signal(signal.SIGTERM)
    assert server.end() == 128 + signal.SIGTERM
    assert "stopping signal=SIGTERM" in "".join(server.log)


def test_a_thread_that_ends_ends_the_server(folder: Path, process: Any) -> None:
    write(folder, DYING)
    server = process("--log-format", "json")
    assert server.end() == 1
    assert server.log[-1] == "happened: a thread of the server has ended; see the log\n"
    logged = map(json.loads, server.log[:-1])
    told = next(each for each in logged if each["level"] == "critical")
    assert told["ended"].startswith("shop-")
    assert told["traceback"].endswith("GeneratorExit: lost")


# --------------------------------------------------------------- in this process


def test_what_is_there_is_delivered_once(shop: Any, run: Run) -> None:
    shop.broken = False
    shop.place("1")
    assert run("server", "shop", "--once") == (0, "2 messages handled or put aside\n", "")
    assert shop.shipped == ["1"]
    assert run("server", "shop", "--once").out == "0 messages handled or put aside\n"


def test_one_message_is_told_in_the_singular(shop: Any, dead: str, run: Run) -> None:
    shop.broken = False
    assert run("dead-letters", "retry", "shop", dead).code == 0
    assert run("server", "shop", "--once").out == "1 message handled or put aside\n"


def test_a_port_that_is_taken_is_refused_before_anything_is_started(
    shop: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "start", None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = run("server", "shop", "--port", str(port))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        f"happened: cannot listen at 127.0.0.1:{port}: Address already in use; "
        "give another --port\n"
    )


def test_it_stops_at_a_signal(shop: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    start = Server.start

    def stopped(self: Server) -> None:
        start(self)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Server, "start", stopped)
    before = signal.getsignal(signal.SIGTERM), threading.excepthook
    ran = run("server", "shop", "--port", "0", "--log-level", "info")
    assert (ran.code, ran.out) == (0, "")
    assert (signal.getsignal(signal.SIGTERM), threading.excepthook) == before
    assert "stopping signal=SIGTERM" in ran.err


def test_it_says_what_is_to_be_expected(shop: Any, folder: Path, run: Run) -> None:
    (folder / "quiet.py").write_text(
        'from happened import Domain\nquiet = Domain("quiet", storage="sqlite:///quiet.db")\n'
    )
    said = run("server", "quiet", "--once").err
    assert "processing is synchronous: this server delivers what other processes left" in said
    assert "the domain has no handlers; there is nothing to deliver" in said
    sys.modules["quiet"].quiet.close()


def test_it_looks_after_its_threads(shop: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LOOK", 0.01)
    monkeypatch.setattr(Server, "start", lambda self: None)
    began = time.monotonic()
    ran = run("server", "shop")
    assert ran.code == 1
    assert ran.err.endswith("happened: a thread of the server has ended; see the log\n")
    assert time.monotonic() - began < LIMIT
