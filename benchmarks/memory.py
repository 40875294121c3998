"""How much memory Happened's server needs while it handles 100,000 messages on PostgreSQL.

`python -m benchmarks memory` takes about a minute. All messages are there when the server starts;
its handler writes one row for each. Memory is flat if the server needs hardly more at the end than
after a tenth.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from benchmarks.contenders import happened
from benchmarks.latency import Server
from benchmarks.places import POSTGRESQL, absent, place

MESSAGES = 100_000
MOMENTS = (10, 50, 100)  # percent of the messages handled
BOUND = 1.1
PATIENCE = 600.0  # seconds


def report() -> Iterator[str]:
    """What was measured, a line each."""
    yield f"\nmemory of the server, {MESSAGES:,} messages, a row written for each, postgresql"
    if not Path("/proc/self/status").exists():
        yield "  not measured: this system has no /proc to read it from"
        return
    if reason := absent(POSTGRESQL):
        yield f"  not measured: {reason}"
        return
    with place(POSTGRESQL) as url, TemporaryDirectory() as folder:
        domain, rows = happened.fill(url, MESSAGES)
        publisher = happened.open_publisher(url)
        begun = time.perf_counter()
        server = Server(publisher, folder)
        resident: list[int] = []
        try:
            yield f"  {'handled':>10}{'resident':>14}{'peak':>14}"
            with server.file.open("rb") as file:
                handled = 0
                for percent in MOMENTS:
                    handled = wait(server, file, handled, MESSAGES * percent // 100)
                    now, peak = memory(server.process.pid)
                    resident.append(now)
                    yield f"  {percent:8} %{now / 1024:10.1f} MiB{peak / 1024:10.1f} MiB"
            took = time.perf_counter() - begun
        finally:
            server.end()
            publisher.close()
        assert len(server.handled()) == rows() == MESSAGES, f"{rows()} rows"
        domain.storage.close()
    ratio = resident[-1] / resident[0]
    verdict = "met" if ratio <= BOUND else "MISSED"
    yield f"  {took:.0f} s, start included; 100 % / 10 %: {ratio:.3f}, at most {BOUND}: {verdict}"


def wait(server: Server, file: BinaryIO, handled: int, wanted: int) -> int:
    """Until that many are handled, counting on from where the file was read to."""
    until = time.perf_counter() + PATIENCE
    while handled < wanted:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server has ended: {server.said.read_text()[-1000:]}")
        if time.perf_counter() > until:
            raise RuntimeError(f"{handled} of {wanted} handled")
        time.sleep(0.01)
        handled += file.read().count(b"\n")
    return handled


def memory(pid: int) -> tuple[int, int]:
    """Resident memory now, and the most that it was, in KiB, of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return int(found["VmRSS"].split()[0]), int(found["VmHWM"].split()[0])
