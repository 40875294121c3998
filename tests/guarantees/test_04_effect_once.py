"""Effect once: whatever is killed, paused or cut off, a handler's writes are there exactly once."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.guarantees.accounts import Figures, Tell, audit, found_company, is_settled
from tests.guarantees.logs import Log
from tests.guarantees.processes import Process, Programs, eventually
from tests.guarantees.servers import let_go, terminate

pytestmark = pytest.mark.g4

ONCE = (0, 0, 0)
ASYNC = {"HAPPENED_EVENT_PROCESSING": "async", "HAPPENED_COMMAND_PROCESSING": "async"}
SYNC = {"HAPPENED_EVENT_PROCESSING": "sync", "HAPPENED_COMMAND_PROCESSING": "sync"}
KILLS = 40


def wrong(figures: Figures) -> tuple[int, int, int]:
    return figures.lost, figures.doubled, figures.disordered


def test_servers_and_applications_killed_at_random_moments(
    programs: Programs, durable_url: str, tell: Tell
) -> None:
    trade = found_company(durable_url)
    programs.environment |= ASYNC
    chance = random.Random(4)
    runs: list[tuple[Any, ...]] = [("serve",), ("serve",)]
    runs += [("sell", "s", 5, 24), ("sell", "t", 5, 24)]
    running = [programs.start(*run) for run in runs]
    while programs.kills < KILLS:
        time.sleep(chance.uniform(0.01, 0.2))
        number = chance.randrange(len(runs))
        running[number].kill()
        running[number] = programs.start(*runs[number])
    for process in running[2:]:
        assert process.wait() == 0
    eventually(lambda: is_settled(trade))
    figures = audit(trade)
    figures.kills, figures.starts = programs.kills, programs.starts
    tell(figures)
    assert figures.events == 240
    assert wrong(figures) == ONCE
    trade.domain.close()


def test_a_synchronous_application_killed_at_random_moments(
    programs: Programs, durable_url: str, tell: Tell
) -> None:
    trade = found_company(durable_url)
    programs.environment |= SYNC
    chance = random.Random(5)
    items = 10
    while programs.kills < KILLS / 2:
        items += 2  # so that there is something left to do for it each time
        application = programs.start("sell", "s", 5, items)
        time.sleep(chance.uniform(0.04, 0.14))
        application.kill()
        let_go(durable_url, application)
    assert programs.start("sell", "s", 5, items).wait() == 0
    figures = audit(trade)
    figures.kills, figures.starts = programs.kills, programs.starts
    tell(figures)
    assert figures.events == 5 * items
    assert wrong(figures) == ONCE
    assert trade.domain.storage.deliveries() == []
    trade.domain.close()


def test_when_one_of_two_servers_is_killed_the_other_takes_over_at_once(
    programs: Programs, durable_url: str, tmp_path: Path, tell: Tell
) -> None:
    trade = found_company(durable_url)
    log = Log(tmp_path / "log")
    programs.environment |= ASYNC | {"TRADE_LOG": str(log.path), "TRADE_SLOW": "0.005"}
    servers = [programs.start("serve"), programs.start("serve")]
    waits: list[float] = []
    while len(waits) < 6:
        programs.start("sell", f"t{programs.starts}.", 4, 4)
        seen = len(log.lines)
        eventually(lambda: len(log.lines) > seen + 4)  # noqa: B023 - called at once
        victim = next(each for each in servers if each.pid == log.lines[-1].pid)
        victim.kill()
        killed = time.monotonic()
        if left := log.open_of(victim.pid):  # perhaps it was just between two handlers
            eventually(lambda: log.begun_again(left), every=0.005)
            waits.append(time.monotonic() - killed)
        servers[servers.index(victim)] = programs.start("serve")
    eventually(lambda: is_settled(trade))
    figures = audit(trade)
    figures.kills, figures.starts = programs.kills, programs.starts
    tell(figures, f"taken over within {max(waits):.2f} s")
    assert wrong(figures) == ONCE
    assert max(waits) < 10
    trade.domain.close()


def is_paused_at_work(server: Process, log: Log) -> bool:
    """Pause a server; where it is not in the middle of a handler, let it go on."""
    server.pause()
    if log.open_of(server.pid):
        return True
    server.resume()
    return False


def test_a_paused_server_whose_claim_was_taken_away_cannot_commit_what_it_did(
    postgres_url: str, programs_on: Callable[[str], Programs], tmp_path: Path, tell: Tell
) -> None:
    trade = found_company(postgres_url)
    log = Log(tmp_path / "log")
    programs = programs_on(postgres_url)
    programs.environment |= ASYNC | {"TRADE_LOG": str(log.path), "TRADE_SLOW": "0.02"}
    programs.start("sell", "s", 4, 5).wait()
    taken = 0
    for _ in range(3):
        paused = programs.start("serve", SERVE_WORKERS="1")
        eventually(lambda: is_paused_at_work(paused, log))  # noqa: B023 - called at once
        other = programs.start("serve")
        taken += terminate(postgres_url, paused)
        eventually(lambda: is_settled(trade))
        before = audit(trade)
        assert wrong(before) == ONCE
        paused.resume()
        programs.start("sell", f"more{taken}.", 2, 2).wait()
        eventually(lambda: is_settled(trade))
        paused.stop()
        other.stop()
        programs.start("sell", f"next{taken}.", 4, 5).wait()
    programs.start("deliver").wait()
    figures = audit(trade)
    figures.kills, figures.starts = programs.kills, programs.starts
    tell(figures, f"3 servers paused, {taken} connections taken away, {log.repeated} begun twice")
    assert wrong(figures) == ONCE
    assert log.repeated >= 3
    trade.domain.close()
