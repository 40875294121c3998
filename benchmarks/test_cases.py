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
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.cases import PROGRAMS, STARTED, Case, passes
from benchmarks.contenders import STOCK, Run

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
        module = import_module(f"benchmarks.contenders.{contender}")
        WAYS[case.function](measure, module, case)


def measure_events(measure: Measure, module: ModuleType, case: Case) -> None:
    measure(getattr(module, case.function))


def measure_dispatch(measure: Measure, module: ModuleType, case: Case) -> None:
    seen: list[str] = []
    module.dispatch([lambda event, name=name: seen.append(name) for name in "abc"])(2)
    assert sorted(seen) == [*"aabbcc"], f"called: {seen}"

    def reduce(event: Any) -> None: ...
    def notify(event: Any) -> None: ...
    def count(event: Any) -> None: ...

    measure(module.dispatch([reduce, notify, count]))


def measure_dispatch_async(measure: Measure, module: ModuleType, case: Case) -> None:
    seen: list[str] = []

    def recorder(name: str) -> Callable[[Any], Any]:
        async def record(event: Any) -> None:
            seen.append(name)

        return record

    async def reduce(event: Any) -> None: ...
    async def notify(event: Any) -> None: ...
    async def count(event: Any) -> None: ...

    with asyncio.Runner() as loop:  # one loop for all rounds; a round is one call of it
        loop.run(module.dispatch_async([recorder(name) for name in "abc"])(2))
        assert sorted(seen) == [*"aabbcc"], f"awaited: {seen}"
        run = module.dispatch_async([reduce, notify, count])
        measure(lambda operations: loop.run(run(operations)))


def measure_pipeline(measure: Measure, module: ModuleType, case: Case) -> None:
    """A tenth of what is stored are inventories, the other nine are orders placed before."""
    books = [f"book-{number}" for number in range(case.stored // 10)]
    shop = module.open_shop(books)
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


def measure_process(measure: Measure, program: str) -> None:
    compiled = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-c", program]

    def start(processes: int) -> None:
        for _ in range(processes):
            subprocess.run(command, check=True, env=compiled)

    measure(start)


WAYS: dict[str, Callable[[Measure, ModuleType, Case], None]] = {
    "create_events": measure_events,
    "create_and_read_events": measure_events,
    "dispatch": measure_dispatch,
    "dispatch_async": measure_dispatch_async,
    "open_shop": measure_pipeline,
}
