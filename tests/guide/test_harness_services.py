"""PostgreSQL is found, or one line says what is wrong with what answers in its place."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.doctor import POSTGRES, Missing, find_postgres

ROOT = Path(__file__).parents[2]
Answering = Callable[[bytes], str]

READY = b"R\0\0\0\x08\0\0\0\0" + b"Z\0\0\0\x05I"
PASSWORD = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"
REFUSED = b"E\0\0\0\x2dSFATAL\0C3D000\0Mthere is no such database\0\0"


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Give a function that starts something that answers the first words so, and its address."""
    opened: list[tuple[socket.socket, threading.Thread]] = []

    def start(answer: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))

        def work() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1024)
                client.sendall(answer)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        opened.append((server, thread))
        return f"127.0.0.1:{server.getsockname()[1]}"

    yield start
    for server, thread in opened:
        thread.join(5)
        server.close()


def test_a_database_that_lets_us_in_is_used(answering: Answering) -> None:
    url = f"postgresql://me@{answering(READY)}/shop?schema=books"
    assert find_postgres({"POSTGRES_URL": url}) == url


def test_a_password_that_the_url_holds_is_left_to_the_driver(answering: Answering) -> None:
    url = f"postgresql://me:secret@{answering(PASSWORD)}/shop"
    assert find_postgres({"POSTGRES_URL": url}) == url


@pytest.mark.parametrize(
    "answer, reason",
    [
        (PASSWORD, "it wants a password of me"),
        (REFUSED, "there is no such database"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers there is no PostgreSQL"),
        (b"", "what answers there is no PostgreSQL"),
    ],
    ids=["a password", "no database", "another server", "nothing said"],
)
def test_what_cannot_be_used_is_said_in_one_line(
    answering: Answering, answer: bytes, reason: str
) -> None:
    place = answering(answer)
    with pytest.raises(Missing) as raised:
        find_postgres({"POSTGRES_URL": f"postgresql://me@{place}/shop"})
    text = str(raised.value)
    assert f"cannot be used at {place} ({reason}): start it" in text
    assert "set POSTGRES_URL" in text
    assert "\n" not in text


@pytest.mark.parametrize("required, status", [("", 0), ("1", 1)])
def test_the_doctor_says_what_is_left_out_and_fails_where_services_are_required(
    required: str, status: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.doctor", "postgres"],
        cwd=ROOT,
        env={
            **os.environ,
            "POSTGRES_URL": "postgresql://127.0.0.1:1",
            "REQUIRE_SERVICES": required,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert len(done.stderr.splitlines()) == 1
    assert "127.0.0.1:1 " in done.stderr
    assert done.stderr.startswith("Without tests on PostgreSQL: ") is (not required)


def test_without_a_variable_the_usual_place_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[object, ...]] = []
    monkeypatch.setattr("tools.doctor.log_in", lambda *place, password: tried.append(place))
    assert find_postgres({}) == POSTGRES
    assert tried == [("127.0.0.1", 5432, "postgres", "test")]
