"""What is measured: the cases, who takes part in each, how often, and the targets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from benchmarks.places import MEMORY, POSTGRESQL, SQLITE_FULL, SQLITE_NORMAL, absent

US = "happened"
PDE = "python_domain_events"
LITE = "floor_sqlite"
PG = "floor_postgres"
SLOWER = {"protean": 20}  # takes part with that many times fewer operations


@dataclass(frozen=True)
class Case:
    """One piece of work that several contenders do."""

    name: str
    function: str
    contenders: tuple[str, ...]
    operations: int
    """How many times the work is done in a round, whose time is divided by it."""
    rounds: int = 5
    passes: int = 15
    stored: int = 0
    """Only for the pipeline: how many aggregates lie in the storage at the start."""
    place: str = MEMORY
    """The kind of storage, see `places.py`."""
    fewer: Mapping[str, int] = field(default_factory=lambda: SLOWER)
    """Who takes part with how many times fewer operations."""
    figures: tuple[str, ...] = ()
    """What is measured instead of the time of one operation; a row of the report for each."""
    unit: str = "µs"

    def operations_of(self, contender: str) -> int:
        return self.operations // self.fewer.get(contender, 1)

    @property
    def rows(self) -> tuple[str, ...]:
        """The names under which the report shows it."""
        return tuple(f"{self.name}, {figure}" for figure in self.figures) or (self.name,)


CREATED = Case("event created", "create_events", (US, PDE, "floor", "protean"), 2_000)
READ = Case("event created, metadata read", "create_and_read_events", (US, PDE, "floor"), 2_000)
SYNC = Case("3 def handlers called", "dispatch", (US, "blinker", "floor"), 5_000)
ASYNC = Case("3 async def handlers called", "dispatch_async", (US, PDE, "blinker", "floor"), 5_000)
FEW = Case("pipeline, 100 stored", "open_shop", (US, "floor", "protean"), 20, passes=25, stored=100)
MANY = replace(FEW, name="pipeline, 10,000 stored", contenders=(US, "floor"), stored=10_000)
FULL = Case(
    *("pipeline, sqlite, full", "open_shop", (US, LITE, f"{LITE}:once"), 40),
    stored=400,  # so that the write-ahead log has its size, and is written over
    place=SQLITE_FULL,
)
NORMAL = replace(FULL, name="pipeline, sqlite, normal", place=SQLITE_NORMAL)
STORED = Case(
    *("pipeline, postgresql", "open_shop", (US, PG, "protean"), 40),
    passes=10,
    stored=20,
    place=POSTGRESQL,
)
HANDLED = Case(
    *("event handled, row written, postgresql", "open_backlog"),
    (US, "eventsourcing", "protean", f"{PG}:statements", f"{PG}:batches"),
    10_000,
    rounds=1,
    passes=4,
    place=POSTGRESQL,
    fewer={"eventsourcing": 4, "protean": 100, f"{PG}:statements": 4},
)
LATENCY = Case(
    *("100/s, handled", "open_publisher", (US, "eventsourcing"), 500),
    rounds=1,
    passes=2,
    place=POSTGRESQL,
    figures=("p50 since commit", "p99 since commit", "p50 since call", "p99 since call"),
    unit="ms",
)
WRITTEN = Case(
    *("8 writers, message written and read", "open_writers"),
    (US, f"{PG}:unnumbered", f"{PG}:locked"),
    800,
    rounds=1,
    passes=4,
    place=POSTGRESQL,
)
IN_MEMORY = (CREATED, READ, SYNC, ASYNC, FEW, MANY)
CASES = (*IN_MEMORY, FULL, NORMAL, STORED, HANDLED, LATENCY, WRITTEN)

BARE = "bare interpreter"
PROGRAMS = {
    BARE: "pass",
    "import pydantic": "import pydantic",
    "import happened": "import happened",
    "pydantic, one model": """
from pydantic import BaseModel
class Book(BaseModel):
    title: str
""",
    "happened, three names": "from happened import Aggregate, Domain, Event",
}
STARTED = Case("process started", "", tuple(PROGRAMS), 1, rounds=1, passes=25, unit="ms")

Row = tuple[str, str]
"""A case's name and a contender: one figure of the report."""


@dataclass(frozen=True)
class Target:
    """A bound for the ratio of two rows, measured in the same run."""

    over: Row
    under: Row
    bound: float
    at_least: bool = False
    """The bound is the least ratio instead of the greatest."""
    above: Row | None = None
    """A row that is taken off both before they are divided."""

    def met(self, ratio: float) -> bool:
        return ratio >= self.bound if self.at_least else ratio <= self.bound


_bare = (STARTED.name, BARE)
TARGETS = (
    Target((CREATED.name, US), (CREATED.name, PDE), 0.8),
    Target((READ.name, US), (READ.name, PDE), 0.8),
    Target((SYNC.name, US), (SYNC.name, "blinker"), 1.0),
    Target((ASYNC.name, US), (ASYNC.name, PDE), 1.0),
    Target((FEW.name, US), (FEW.name, "floor"), 2.5),
    Target((MANY.name, US), (MANY.name, "floor"), 2.5),
    Target((MANY.name, US), (FEW.name, US), 1.1),
    Target((FEW.name, "protean"), (FEW.name, US), 300, at_least=True),
    Target((FULL.name, US), (FULL.name, LITE), 1.4),
    Target((NORMAL.name, US), (NORMAL.name, LITE), 1.4),
    Target((STORED.name, US), (STORED.name, PG), 1.3),
    Target((STORED.name, "protean"), (STORED.name, US), 10, at_least=True),
    Target((HANDLED.name, "eventsourcing"), (HANDLED.name, US), 5, at_least=True),
    Target((HANDLED.name, "protean"), (HANDLED.name, US), 15, at_least=True),
    *(Target((row, US), (row, "eventsourcing"), 1.0) for row in LATENCY.rows[:2]),
    Target((WRITTEN.name, f"{PG}:locked"), (WRITTEN.name, US), 3, at_least=True),
    Target((STARTED.name, "import happened"), (STARTED.name, "import pydantic"), 1.25, above=_bare),
    Target(
        (STARTED.name, "happened, three names"),
        (STARTED.name, "pydantic, one model"),
        1.25,
        above=_bare,
    ),
)


def passes() -> Iterator[tuple[int, Case, str]]:
    """Every case and contender of every pass, in the order in which they run.

    All contenders of a case run right after each other, forwards and backwards in turn: a
    machine that slows down or speeds up between passes changes both sides of a ratio.
    """
    measurable = [case for case in (*CASES, STARTED) if not absent(case.place)]
    for number in range(max(case.passes for case in measurable)):
        for case in measurable:
            if number < case.passes:
                for contender in case.contenders[:: -1 if number % 2 else 1]:
                    yield number, case, contender
