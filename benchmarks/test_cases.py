"""One test for each pass, case and contender; pytest-benchmark times it.

Before anything is timed, each contender shows that it does the work: handlers are seen to be
called, and stocks are counted again after the orders.
"""

import asyncio
import gc
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import latency, writers
from benchmarks.cases import PROGRAMS, STARTED, Case, passes
from benchmarks.contenders import STOCK, Backlog, Publisher, Run, Writers
from benchmarks.places import place

Measure = Callable[[Run], None]
"""Times a function that does the work as often as it is told, in rounds."""

PASSES = list(passes())


@pytest.mark.parametrize(
    "number,case,contender",
    PASSES,
    ids=[f"{number + 1}: {case.name}: {contender}" for number, case, contender in PASSES],
)
def test_case(benchmark: BenchmarkFixture, number: int, case: Case, contender: str) -> None:
    operations = case.operations_of(contender)
    benchmark.group = case.name
    benchmark.extra_info.update(contender=contender, number=number, operations=operations)

    def measure(run: Run) -> None:
        gc.collect()
        benchmark.pedantic(run, args=(operations,), rounds=case.rounds)

    if case is STARTED:
        measure_process(measure, PROGRAMS[contender])
    else:
        name, _, way = contender.partition(":")
        module = import_module(f"benchmarks.contenders.{name}")
        with place(case.place) as url:
            function = getattr(module, f"{case.function}_{way}" if way else case.function)
            if case.function in OWN_CLOCK:
                told = benchmark.pedantic(
                    OWN_CLOCK[case.function],
                    args=(function, url, operations),
                    rounds=case.rounds,
                )
                benchmark.extra_info["figures"] = dict(zip(case.rows, told, strict=True))
            else:
                WAYS[case.function](measure, function, case, url)


def measure_events(measure: Measure, create: Callable[..., Any], case: Case, url: str) -> None:
    measure(create)


def measure_dispatch(measure: Measure, dispatch: Callable[..., Any], case: Case, url: str) -> None:
    seen: list[str] = []
    dispatch([lambda event, name=name: seen.append(name) for name in "abc"])(2)
    assert sorted(seen) == [*"aabbcc"], f"called: {seen}"

    def reduce(event: Any) -> None: ...
    def notify(event: Any) -> None: ...
    def count(event: Any) -> None: ...

    measure(dispatch([reduce, notify, count]))


def measure_dispatch_async(
    measure: Measure, dispatch: Callable[..., Any], case: Case, url: str
) -> None:
    seen: list[str] = []

    def recorder(name: str) -> Callable[[Any], Any]:
        async def record(event: Any) -> None:
            seen.append(name)

        return record

    async def reduce(event: Any) -> None: ...
    async def notify(event: Any) -> None: ...
    async def count(event: Any) -> None: ...

    with asyncio.Runner() as loop:  # one loop for all rounds; a round is one call of it
        loop.run(dispatch([recorder(name) for name in "abc"])(2))
        assert sorted(seen) == [*"aabbcc"], f"awaited: {seen}"
        run = dispatch([reduce, notify, count])
        measure(lambda operations: loop.run(run(operations)))


def measure_pipeline(measure: Measure, open_shop: Callable[..., Any], case: Case, url: str) -> None:
    """A tenth of what is stored are inventories, the other nine are orders placed before."""
    books = [f"book-{number}" for number in range(case.stored // 10)]
    shop = open_shop(books, url)
    turns = itertools.cycle(books)
    placed = 0

    def place(orders: int) -> None:
        nonlocal placed
        for _ in range(orders):
            shop.place_order(str(uuid4()), next(turns))
        placed += orders

    place(case.stored - len(books))
    measure(place)
    assert sum(STOCK - shop.stock(book) for book in books) == placed
    shop.close()


def measure_backlog(open_backlog: Callable[..., Backlog], url: str, events: int) -> list[float]:
    """Seconds an event, from the start of the first handler to the commit of the last."""
    backlog = open_backlog(url, events)
    gc.collect()
    took = backlog.handle()
    assert backlog.rows() == events, f"{backlog.rows()} rows for {events} events"
    backlog.close()
    return [took / events]


def measure_latency(open_publisher: Callable[..., Publisher], url: str, events: int) -> list[float]:
    publisher = open_publisher(url)
    figures = latency.measure(publisher, events)
    publisher.close()
    return figures


def measure_writers(open_writers: Callable[..., Writers], url: str, messages: int) -> list[float]:
    return [writers.measure(open_writers(url), messages) / messages]


def measure_process(measure: Measure, program: str) -> None:
    compiled = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-c", program]

    def start(processes: int) -> None:
        for _ in range(processes):
            subprocess.run(command, check=True, env=compiled)

    measure(start)


WAYS: dict[str, Callable[[Measure, Callable[..., Any], Case, str], None]] = {
    "create_events": measure_events,
    "create_and_read_events": measure_events,
    "dispatch": measure_dispatch,
    "dispatch_async": measure_dispatch_async,
    "open_shop": measure_pipeline,
}
OWN_CLOCK: dict[str, Callable[[Callable[..., Any], str, int], list[float]]] = {
    "open_backlog": measure_backlog,
    "open_publisher": measure_latency,
    "open_writers": measure_writers,
}
