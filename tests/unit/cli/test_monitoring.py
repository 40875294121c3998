"""What a server answers over HTTP."""

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from happened import Domain, Event
from happened.cli.monitoring import Monitoring
from happened.errors import HappenedError, StorageError
from happened.server import Server


@pytest.fixture
def server(shop: Any) -> Server:
    domain = shop.domain
    return Server(domain.processor, domain.subscriptions, workers=1, context=domain.domain_context)


@pytest.fixture
def monitoring(server: Server) -> Iterator[Monitoring]:
    made = Monitoring(server, "127.0.0.1", 0)
    made.start()
    yield made
    made.close()


def get(monitoring: Monitoring, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{monitoring.address}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def measured(monitoring: Monitoring) -> dict[str, float]:
    status, text = get(monitoring, "/metrics")
    assert status == 200
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_a_server_that_does_not_run_neither_lives_nor_is_ready(monitoring: Monitoring) -> None:
    assert get(monitoring, "/livez") == (503, "a thread of the server has ended\n")


def test_a_server_that_runs_lives_and_is_ready(
    server: Server, monitoring: Monitoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = threading.Event()
    wait = server.storage.wait

    def noted(timeout: float) -> bool:  # called once the storage was reached
        reached.set()
        return wait(timeout)

    monkeypatch.setattr(server.storage, "wait", noted)
    server.start()
    assert reached.wait(30)
    assert get(monitoring, "/livez") == (200, "ok\n")
    assert get(monitoring, "/readyz?verbose") == (200, "ok\n")
    monitoring.stopping = True
    assert get(monitoring, "/readyz") == (503, "the server is stopping\n")
    assert get(monitoring, "/livez") == (200, "ok\n")
    assert server.stop(30)


def test_a_server_is_not_ready_until_the_storage_was_reached(
    server: Server, monitoring: Monitoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "ready", False)
    assert get(monitoring, "/readyz") == (
        503,
        "the storage was not reached in the last 10 seconds\n",
    )


def test_a_server_that_is_not_ready_says_why_but_no_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    domain = Domain("shop", storage="postgresql://reader:s3cret@127.0.0.1:9/shop?connect_timeout=2")

    @domain.on(Event)
    def look(event: Event) -> None: ...

    domain.init(traverse=False)
    failed = threading.Event()
    tried: list[str] = []
    subscribe = domain.storage.subscribe

    def noted(name: str, *, from_now: bool = False) -> None:
        tried.append(name)
        if len(tried) > 1:  # the first failure is known
            failed.set()
        subscribe(name, from_now=from_now)

    monkeypatch.setattr(domain.storage, "subscribe", noted)
    server = Server(domain.processor, domain.subscriptions, workers=1)
    monitoring = Monitoring(server, "127.0.0.1", 0)
    server.start()
    assert failed.wait(30)
    status, _, body = monitoring.answer("/readyz")
    assert server.stop(30)
    monitoring.close()
    domain.close()
    (line,) = body.decode().splitlines()
    assert status == 503
    assert line.startswith(
        "the storage was not reached in the last 10 seconds: postgresql://reader@127.0.0.1:9/shop"
        "?connect_timeout=2: the server cannot be reached (connection failed: "
    )
    assert "s3cret" not in line


def test_a_reason_is_forgotten_once_the_storage_is_reached(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = server.storage.number
    raised = [RuntimeError("of nobody's business"), StorageError("sqlite:///shop.db", "one\ntwo")]
    told: list[str] = []
    reached = threading.Event()

    def broken() -> int:
        told.append(server.failure)
        if raised:
            raise raised.pop()
        return number()

    def waited(timeout: float) -> bool:
        if not raised and not reached.is_set():
            told.append(server.failure)
            reached.set()
        return wait(timeout)

    wait = server.storage.wait
    monkeypatch.setattr("happened.server.BUSY", 0)
    monkeypatch.setattr(server.storage, "number", broken)
    monkeypatch.setattr(server.storage, "wait", waited)
    server.start()
    assert reached.wait(30)
    assert server.stop(30)
    unexpected = "an unexpected RuntimeError; the log has its traceback"
    assert [each for each in told if each][:1] == [unexpected]
    assert told[-1] == ""


def test_other_paths_are_not_found(monitoring: Monitoring) -> None:
    assert get(monitoring, "/") == (404, "there are /livez, /readyz and /metrics\n")


def test_what_waits_is_measured(shop: Any, dead: str, monitoring: Monitoring) -> None:
    shop.place("8")
    found = measured(monitoring)
    assert found["happened_up"] == 1
    assert found['happened_lag_messages{subscription="ship"}'] == 1
    assert 0 < found['happened_lag_seconds{subscription="ship"}'] < 60
    assert found['happened_waiting{state="dead",subscription="ship"}'] == 1
    assert found['happened_waiting{state="held",subscription="AddUp"}'] == 0
    assert found["happened_subscriptions_without_handler"] == 0
    assert found["happened_unnumbered_messages"] >= 0
    assert found["happened_unnumbered_seconds"] >= 0


def test_a_subscription_without_a_handler_is_measured(dead: str, later: Any) -> None:
    domain = later.domain
    monitoring = Monitoring(Server(domain.processor, domain.subscriptions[:1]), "127.0.0.1", 0)
    monitoring.start()
    found = measured(monitoring)
    monitoring.close()
    assert found["happened_subscriptions_without_handler"] == 1
    assert found['happened_waiting{state="dead",subscription="ship"}'] == 1
    assert found['happened_waiting{state="held",subscription="ship"}'] == 0
    assert not any("lag" in name and "ship" in name for name in found)


def test_what_this_process_did_is_measured(server: Server, monitoring: Monitoring) -> None:
    server.handled["ship"] += 3
    server.retries["ship"] += 2
    server.dead["AddUp.add"] += 1
    found = measured(monitoring)
    assert found['happened_handled_total{subscription="ship"}'] == 3
    assert found['happened_retries_total{handler="ship"}'] == 2
    assert found['happened_dead_letters_total{handler="AddUp.add"}'] == 1


def test_a_storage_that_cannot_be_reached_is_not_up(
    server: Server, monitoring: Monitoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(self: object, *_: object) -> None:
        raise StorageError("sqlite:///shop.db", "the disk is gone")

    monkeypatch.setattr(type(server.storage), "backlog", unreachable)
    server.handled["ship"] += 3
    found = measured(monitoring)
    assert found["happened_up"] == 0
    assert found['happened_handled_total{subscription="ship"}'] == 3
    assert not any("lag" in name for name in found)


def test_a_port_that_is_taken_is_refused(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(HappenedError) as refused:
            Monitoring(server, "127.0.0.1", port)
    assert str(refused.value) == (
        f"cannot listen at 127.0.0.1:{port}: Address already in use; give another --port"
    )


def has_version_6() -> bool:
    with socket.socket(socket.AF_INET6) as tried:
        try:
            tried.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.skipif(not has_version_6(), reason="needs IPv6: this machine has no ::1")
def test_it_listens_at_an_address_of_version_6(server: Server) -> None:
    monitoring = Monitoring(server, "::1", 0)
    assert monitoring.address.startswith("http://[::1]:")
    monitoring.close()
