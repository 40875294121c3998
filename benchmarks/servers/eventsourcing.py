"""eventsourcing's projection that writes one row for each event, with its position.

Run by `python -m benchmarks.servers.eventsourcing`; variables say where.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL, Identifier


class Order(Aggregate):
    @event("Placed")
    def __init__(self, book_id: str, quantity: int) -> None:
        self.book_id = book_id
        self.quantity = quantity


class Orders(Application[UUID]): ...


class SlipView(PostgresTrackingRecorder):
    """Rows and the position, written in one transaction."""

    def __init__(self, datastore: PostgresDatastore, **settings: Any) -> None:
        super().__init__(datastore, **settings)
        table = Identifier(datastore.schema, "slips")
        self.sql_create_statements.append(
            SQL(
                "CREATE TABLE IF NOT EXISTS {} "
                "(order_id uuid PRIMARY KEY, book_id text NOT NULL, quantity int NOT NULL)"
            ).format(table)
        )
        self.insert = SQL("INSERT INTO {} VALUES (%s, %s, %s)").format(table)

    def add(self, row: tuple[UUID, str, int], tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(self.insert, row, prepare=True)


class Slips(Projection[SlipView]):
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        placed = domain_event
        self.view.add((placed.originator_id, placed.book_id, placed.quantity), tracking)
        note(placed.originator_id)


def note(order: UUID) -> None:
    """Told after the commit; says so to `latency.py`, if that is who asks."""
    if handled:
        handled.write(f"{order} {time.perf_counter()}\n")


def open_runner(settings: dict[str, str] | None = None) -> ProjectionRunner[Orders, SlipView]:
    return ProjectionRunner(
        application_class=Orders, projection_class=Slips, view_class=SlipView, env=settings
    )


place = os.environ.get("BENCH_HANDLED")
handled = Path(place).open("a", buffering=1) if place else None  # noqa: SIM115

if __name__ == "__main__":
    with open_runner() as runner:
        signal.signal(signal.SIGTERM, lambda *_: runner.stop())
        runner.run_forever()
