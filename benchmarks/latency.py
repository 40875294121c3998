"""From commit to handled: one process publishes at a steady rate, another one handles.

Both read the same clock: `time.perf_counter()` counts from the start of the machine. An event is
committed when the call that publishes it has returned, and handled when its handler's transaction
has committed. What a library still does between its commit and the return is not seen that way, so
the same is also shown from the beginning of the call.
"""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contenders import Publisher

ROOT = Path(__file__).parents[1]
RATE = 100.0  # events a second
WARM_UP = 50  # events that do not count
PATIENCE = 30.0  # seconds


class Server:
    """The process that handles, and what it says of each event."""

    def __init__(self, publisher: Publisher, folder: str) -> None:
        self.file = Path(folder, "handled")
        self.file.touch()
        self.said = Path(folder, "said")
        variables = {"PYTHONPATH": str(ROOT), "BENCH_HANDLED": str(self.file)}
        environment = {**os.environ, **publisher.variables, **variables}
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                publisher.server, cwd=ROOT, env=environment, stdout=said, stderr=said
            )

    def handled(self) -> Mapping[str, float]:
        """Event id to when it was handled; an event that was handled twice is an error."""
        rows = [line.split() for line in self.file.read_text().splitlines()]
        found = {id: float(moment) for id, moment in rows}
        assert len(found) == len(rows), "an event was handled twice"
        return found

    def wait(self, events: int, patience: float = PATIENCE) -> None:
        """Until that many are handled."""
        until = time.perf_counter() + patience
        while self.file.read_bytes().count(b"\n") < events:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server has ended: {self.said.read_text()[-1000:]}")
            if time.perf_counter() > until:
                raise RuntimeError(f"{len(self.handled())} of {events} handled")
            time.sleep(0.05)

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def measure(publisher: Publisher, events: int) -> list[float]:
    """The seconds in which half of the events were handled, and 99 %; since commit, since call."""
    with TemporaryDirectory() as folder:
        server = Server(publisher, folder)
        try:
            publish(publisher, 1)  # handled once the server has started
            server.wait(1)
            publish(publisher, WARM_UP)
            published = publish(publisher, events)
            server.wait(1 + WARM_UP + events)
            handled = server.handled()
        finally:
            server.end()
    figures: list[float] = []
    for since in (1, 0):
        took = sorted(handled[id] - moments[since] for id, moments in published.items())
        figures += took[len(took) // 2], took[len(took) * 99 // 100]
    return figures


def publish(publisher: Publisher, events: int) -> dict[str, tuple[float, float]]:
    """One event each hundredth of a second; event id to when the call began, and returned."""
    published: dict[str, tuple[float, float]] = {}
    begun = time.perf_counter()
    for number in range(events):
        time.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
        called = time.perf_counter()
        id = publisher.publish()
        published[id] = (called, time.perf_counter())
    return published
