"""eventsourcing: event-sourced applications, whose events projections handle, on PostgreSQL."""

import os
import sys
import time
from urllib.parse import urlsplit

from benchmarks.contenders import Backlog, Publisher
from benchmarks.places import SERVER, connect, options
from benchmarks.servers.eventsourcing import Order, Orders, open_runner

PATIENCE = 120.0  # seconds


def environment(url: str) -> dict[str, str]:
    """What it reads its settings from; with more connections at hand than it uses."""
    parts = urlsplit(SERVER)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path[1:],
        "POSTGRES_HOST": parts.hostname or "127.0.0.1",
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": parts.username or os.environ.get("USER", "postgres"),
        "POSTGRES_PASSWORD": parts.password or "",
        "POSTGRES_SCHEMA": options(url)["schema"],
        "POSTGRES_POOL_SIZE": "4",
    }


def open_backlog(url: str, events: int) -> Backlog:
    settings = environment(url)
    app = Orders(env=settings)
    for first in range(0, events, 500):
        app.save(*(Order("book-1", 1) for _ in range(min(500, events - first))))
    last = app.recorder.max_notification_id()
    app.close()

    def handle() -> float:
        begun = time.perf_counter()
        with open_runner(settings) as runner:
            runner.wait(last, timeout=PATIENCE)
            return time.perf_counter() - begun

    return Backlog(handle, lambda: count(url))


def count(url: str) -> int:
    with connect(url) as connection:
        row = connection.execute("SELECT count(DISTINCT order_id) FROM slips").fetchone()
    assert row is not None
    return int(str(row[0]))


def open_publisher(url: str) -> Publisher:
    settings = environment(url)
    app = Orders(env=settings)

    def publish() -> str:
        order = Order("book-1", 1)
        app.save(order)
        return str(order.id)

    server = [sys.executable, "-m", "benchmarks.servers.eventsourcing"]
    return Publisher(publish, server, settings, app.close)
