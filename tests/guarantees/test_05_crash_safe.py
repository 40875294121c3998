"""Crash-safe: whenever a process is killed, what it left behind is done once, and nothing twice."""

import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from happened import StorageError, faults
from happened.adapters.sqlite_file import SQLiteFile
from tests.guarantees.accounts import Tell, audit, connected, everything, found_company, is_settled
from tests.guarantees.letters import retry
from tests.guarantees.processes import Programs, eventually
from tests.guarantees.servers import Cluster, terminate

pytestmark = pytest.mark.g5

SYNC = {"HAPPENED_EVENT_PROCESSING": "sync", "HAPPENED_COMMAND_PROCESSING": "sync"}
ASYNC = {"HAPPENED_EVENT_PROCESSING": "async", "HAPPENED_COMMAND_PROCESSING": "async"}
TURNS = (1, 5)
"""How often a process passes a point before it is killed there."""
WAYS = {"sync": SYNC, "async": ASYNC}
POINTS = [
    (way, point)
    for way in WAYS
    for point in faults.POINTS
    if not point.startswith("numbering") and not (way == "async" and point.startswith("dispatch"))
]


@pytest.mark.parametrize("way, point", POINTS)
def test_killed_at_any_point_everything_is_done_once(
    durable_url: str, programs: Programs, way: str, point: str, tell: Tell
) -> None:
    kill_at(durable_url, programs, WAYS[way], point, tell)


@pytest.mark.parametrize("way", WAYS)
def test_killed_once_messages_are_numbered_everything_is_done_once(
    postgres_url: str, programs_on: Callable[[str], Programs], way: str, tell: Tell
) -> None:
    kill_at(postgres_url, programs_on(postgres_url), WAYS[way], "numbering: done", tell)


def kill_at(
    url: str, programs: Programs, processing: dict[str, str], point: str, tell: Tell
) -> None:
    """Kill an application and a delivery at a point, several times, and look what became of all."""
    trade = found_company(url)
    programs.environment |= processing
    of_deliveries = point.startswith(("delivery", "numbering"))
    leaving = "commit: done" if of_deliveries else point
    for turn in TURNS:
        programs.start("sell", "o", 2, 5, FAULT_POINT=f"{leaving}#{turn}").wait()
        programs.start("deliver", FAULT_POINT=f"{point}#{turn}").wait()
    programs.start("sell", "o", 2, 5).wait()
    programs.start("deliver").wait()
    figures = audit(trade)
    figures.kills, figures.starts = programs.kills, programs.starts
    tell(figures)
    assert figures.events == 10
    assert (figures.lost, figures.doubled, figures.disordered) == (0, 0, 0)
    assert trade.domain.storage.deliveries() == []
    assert programs.killed("deliver") if of_deliveries else programs.kills
    trade.domain.close()


def test_connections_that_the_database_ends_cost_nothing(
    postgres_url: str, programs_on: Callable[[str], Programs], tmp_path: Path, tell: Tell
) -> None:
    trade = found_company(postgres_url)
    programs = programs_on(postgres_url)
    programs.environment |= ASYNC
    chance = random.Random(3)
    servers = [programs.start("serve"), programs.start("serve")]
    ended = rounds = turns = told = 0
    while ended <= 20:  # a fast machine sells much between two rounds
        sellers = [programs.start("sell", f"{name}{turns}", 5, 30) for name in ("s", "t")]
        while any(each.running for each in sellers):
            time.sleep(chance.uniform(0.02, 0.15))
            ended += terminate(postgres_url, *servers, *sellers)
            rounds += 1
        assert [each.wait() for each in sellers] == [0, 0]
        told += sum(each.said.count("broke off") for each in sellers)
        turns += 1
    eventually(lambda: is_settled(trade))
    for server in servers:
        server.stop()
    figures = audit(trade)
    figures.kills, figures.starts = programs.kills, programs.starts
    tell(figures, f"{ended} connections ended in {rounds} rounds, {told} errors of applications")
    assert figures.events == 300 * turns
    assert (figures.lost, figures.doubled, figures.disordered) == (0, 0, 0)
    trade.domain.close()


def test_connections_that_end_under_a_synchronous_application_cost_nothing(
    postgres_url: str, programs_on: Callable[[str], Programs], tmp_path: Path, tell: Tell
) -> None:
    trade = found_company(postgres_url)
    programs = programs_on(postgres_url)
    programs.environment |= SYNC
    chance = random.Random(3)
    seller = programs.start("sell", "s", 5, 16)
    ended = 0
    while seller.running:
        time.sleep(chance.uniform(0.03, 0.12))
        ended += terminate(postgres_url, seller)
    assert seller.wait() == 0
    # Where a handler's own statement broke off, nobody but the handler can know what that means.
    dead = trade.domain.storage.deliveries(state="dead")
    assert {each.error.partition(":")[0] for each in dead} <= {"OperationalError", "AdminShutdown"}
    for each in dead:
        retry(trade.domain.storage, each)
    programs.start("deliver").wait()
    figures = audit(trade)
    figures.kills, figures.starts = programs.kills, programs.starts
    errors = seller.said.count("\n")
    tell(
        figures,
        f"{ended} connections ended, {errors} errors of the application, "
        f"{len(dead)} dead letters retried",
    )
    assert ended
    assert figures.events == 80
    assert (figures.lost, figures.doubled) == (0, 0)
    assert trade.domain.storage.deliveries() == []
    trade.domain.close()


@pytest.mark.parametrize("moment", ["commit: before the writes", "commit: done"])
def test_a_handler_whose_commit_broke_off_is_called_again_if_and_only_if_it_was_not_made(
    durable_url: str, moment: str
) -> None:
    trade = found_company(durable_url)
    commits = 0

    def break_off(point: str) -> None:
        nonlocal commits
        commits += point == moment
        if point == moment and commits == 2:  # the first is that of the command
            raise StorageError(trade.domain.storage.url, "the connection broke off")

    faults.arm(break_off)
    try:
        with pytest.raises(StorageError, match="broke off"):
            trade.domain.process(trade.AddItem(order_id="o0", number=0))
    finally:
        faults.arm(None)
    trade.domain.catch_up()
    figures = audit(trade)
    assert (figures.events, figures.lost, figures.doubled) == (1, 0, 0)
    assert trade.domain.storage.deliveries() == []
    trade.domain.close()


@pytest.fixture(params=[Cluster], ids=["postgres"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A PostgreSQL that a test may stop."""
    made = request.param()
    yield made
    made.remove()


def test_a_database_that_fails_and_is_started_again_costs_nothing(
    cluster: Cluster, programs_on: Callable[[str], Programs], tell: Tell
) -> None:
    programs = programs_on(cluster.url + "?schema=trade")
    trade = found_company(cluster.url + "?schema=trade")
    programs.environment |= ASYNC
    servers = [programs.start("serve"), programs.start("serve")]
    turns = told = 0
    while turns < 2 or not told:  # a fast machine may have sold all before the database is gone
        sellers = [programs.start("sell", f"{name}{turns}", 5, 20) for name in ("s", "t")]
        count = len(everything(trade, "order"))
        eventually(lambda: len(everything(trade, "order")) > count + 10)  # noqa: B023
        cluster.stop("fast" if turns % 2 else "immediate")
        time.sleep(0.3)
        with pytest.raises(StorageError):
            trade.domain.storage.read_category(None)
        cluster.start()
        assert [each.wait() for each in sellers] == [0, 0]
        told += sum(each.said.count("\n") for each in sellers)
        turns += 1
    eventually(lambda: is_settled(trade))
    for server in servers:
        server.stop()
    figures = audit(trade)
    figures.kills, figures.starts = programs.kills, programs.starts
    tell(figures, f"the database failed or was stopped {turns} times, {told} errors")
    assert figures.events == 200 * turns
    assert (figures.lost, figures.doubled, figures.disordered) == (0, 0, 0)
    trade.domain.close()


def test_a_rebuild_killed_at_random_moments_goes_on_and_hides_nothing(
    programs: Programs, durable_url: str, tell: Tell
) -> None:
    trade = found_company(durable_url)
    programs.environment |= ASYNC
    programs.start("sell", "s", 10, 40).wait()
    programs.start("deliver").wait()
    view = trade.domain.repository_for(trade.Sales)
    chance = random.Random(9)
    programs.start("serve")
    seller = programs.start("sell", "t", 5, 60)
    seen, looks, done = 400, 0, 0
    for fault in (
        "delivery: before the commit#2",
        "delivery: done",
        "commit: after the writes",
    ):
        programs.start("rebuild", FAULT_POINT=fault).wait()
        assert sum(sales.items for sales in view.query.all().items) >= seen
    assert programs.kills == 3
    for _ in range(10):
        rebuild = programs.start("rebuild")
        end = time.monotonic() + chance.uniform(0.05, 0.3)
        while rebuild.running and time.monotonic() < end:
            count = sum(sales.items for sales in view.query.all().items)
            assert count >= seen
            seen, looks = count, looks + 1
        done += not rebuild.kill()
    seller.wait()
    programs.start("rebuild").wait()
    eventually(lambda: is_settled(trade))
    figures = audit(trade)
    figures.kills, figures.starts = programs.kills, programs.starts
    tell(figures, f"{done} rebuilt, {looks} looks at a whole view meanwhile")
    assert figures.events == 700
    assert (figures.lost, figures.doubled, figures.disordered) == (0, 0, 0)
    trade.domain.close()


def test_a_writer_that_waits_for_another_process_too_long_gets_a_clear_error(
    sqlite_url: str, tell: Tell
) -> None:
    url = f"{sqlite_url}&timeout=0.5"
    trade = found_company(url)
    add = trade.AddItem
    with connected(url) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(StorageError, match=r"another process has been writing for 0.5 seconds"):
            trade.domain.process(add(order_id="o0", number=0))
        waited = time.monotonic() - began
        assert 0.4 < waited < 10
        assert everything(trade, "order") == []
        other.rollback()
    trade.domain.process(add(order_id="o0", number=0))
    figures = audit(trade)
    tell(figures, f"refused after {waited:.2f} s")
    assert (figures.events, figures.lost, figures.doubled) == (1, 0, 0)
    trade.domain.close()


@pytest.mark.parametrize("processing", [SYNC, ASYNC], ids=["sync", "async"])
def test_a_file_that_cannot_grow_is_a_clear_error_and_leaves_nothing_half_written(
    sqlite_url: str,
    programs_on: Callable[[str], Programs],
    processing: dict[str, str],
    tell: Tell,
) -> None:
    trade = found_company(sqlite_url)
    programs = programs_on(sqlite_url)
    programs.environment |= processing
    flood = programs.start("flood", 300_000, 60)
    assert flood.wait() == 0
    refused = json.loads(flood.said)
    programs.start("deliver").wait()
    figures = audit(trade)
    tell(figures, f"{len(refused)} refused: {refused[0].rpartition(': ')[2]}")
    assert len(refused) >= 3
    assert all("check the disk" in each for each in refused)
    assert figures.events == 60
    assert (figures.lost, figures.doubled, figures.disordered) == (0, 0, 0)
    trade.domain.close()


def test_a_full_disk_is_a_clear_error_and_the_same_process_goes_on_when_there_is_room(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    room = 60
    opened = []
    open_anew = SQLiteFile._open

    def open_small(self: SQLiteFile) -> sqlite3.Connection:
        connection = open_anew(self)
        connection.execute(f"PRAGMA max_page_count = {room}")
        opened.append(connection)
        return connection

    monkeypatch.setattr(SQLiteFile, "_open", open_small)
    trade = found_company(sqlite_url, event_processing="async")
    number = 0

    def fill() -> None:
        nonlocal number
        while True:
            trade.domain.process(trade.AddItem(order_id="o0", number=number))
            number += 1

    with pytest.raises(StorageError, match="the disk is full; make room") as caught:
        fill()
    assert len(everything(trade, "order")) == number
    room = 100_000
    for connection in opened:
        with suppress(sqlite3.ProgrammingError):  # it was closed
            connection.execute(f"PRAGMA max_page_count = {room}")
    trade.domain.process(trade.AddItem(order_id="o0", number=number))
    trade.domain.catch_up()
    figures = audit(trade)
    tell(figures, str(caught.value).rpartition(": ")[2])
    assert figures.events == number + 1
    assert (figures.lost, figures.doubled, figures.disordered) == (0, 0, 0)
    trade.domain.close()
