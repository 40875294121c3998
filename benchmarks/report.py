"""The two tables: medians of all contenders, ratios with their targets."""

import os
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from statistics import median
from typing import Any

from benchmarks.cases import CASES, STARTED, TARGETS, US, Case, Row, Target
from benchmarks.places import absent, described

Passes = Mapping[Row, Mapping[int, float]]
"""For each row and pass, the median of its rounds: seconds for one operation."""


def passes_of(measured: Mapping[str, Any]) -> Passes:
    """Read what pytest-benchmark wrote; a case with a clock of its own has told its figures."""
    found: dict[Row, dict[int, float]] = {}
    for benchmark in measured["benchmarks"]:
        told = benchmark["extra_info"]
        name, median = benchmark["group"], benchmark["stats"]["median"]
        figures = told.get("figures") or {name: median / told["operations"]}
        for row, seconds in figures.items():
            found.setdefault((row, told["contender"]), {})[told["number"]] = seconds
    return found


def ratio(target: Target, passes: Passes) -> float | None:
    """Divide pass by pass and take the median; None if a row was not measured."""
    rows = [passes.get(row, {}) for row in (target.over, target.under)]
    base = passes.get(target.above, {}) if target.above else dict.fromkeys(rows[0], 0.0)
    numbers = rows[0].keys() & rows[1].keys() & base.keys()
    if not numbers:
        return None
    over, under, above = ({number: row[number] for number in numbers} for row in (*rows, base))
    return median((over[n] - above[n]) / (under[n] - above[n]) for n in numbers)


def measured_with() -> str:
    """What took part, and how busy the machine was at the end."""
    packages = (
        *("pydantic", "python-domain-events", "blinker", "protean", "eventsourcing"),
        *("psycopg", "sqlalchemy"),
    )
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    busy = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    return "\n".join([f"\nPython {platform.python_version()}, {versions}; {busy}", *described()])


def medians(passes: Passes) -> Iterator[str]:
    """The first table, one line at a time; without the cases that were not selected."""
    for case in (*CASES, STARTED):
        for name in case.rows:
            if any((name, contender) in passes for contender in case.contenders):
                yield from table(case, name, passes)
            elif reason := absent(case.place):
                yield f"\n{name:38}{'not measured':>14}: {reason}"


def table(case: Case, name: str, passes: Passes) -> Iterator[str]:
    """The rows of one case, one line at a time."""
    scale = {"ms": 1e3, "µs": 1e6}[case.unit]
    yield f"\n{name:38}{case.unit:>10}   {'fastest to slowest':>22}   {'happened = 1':>12}"
    for contender in case.contenders:
        row = passes.get((name, contender))
        if row is None:
            yield f"  {contender:36}{'not measured':>12}"
            continue
        times = [seconds * scale for seconds in row.values()]
        spread = f"{figure(min(times))} to {figure(max(times))}"
        line = f"  {contender:36}{figure(median(times)):>10}   {spread:>22}"
        yield line + f"   {beside_us(case, name, contender, passes):>12}"


def beside_us(case: Case, name: str, contender: str, passes: Passes) -> str:
    if US not in case.contenders:
        return ""
    found = ratio(Target((name, contender), (name, US), 0), passes)
    return "" if found is None else figure(found)


def targets(passes: Passes) -> Iterator[str]:
    """The second table, one line at a time."""
    yield f"\n{'ratio':72}{'measured':>12}{'target':>14}"
    for target in TARGETS:
        if target.over not in passes and target.under not in passes:
            continue
        found = ratio(target, passes)
        bound = f"{'at least' if target.at_least else 'at most'} {target.bound:g}"
        verdict = "" if found is None else "  met" if target.met(found) else "  MISSED"
        shown = "not measured" if found is None else figure(found)
        yield f"{wording(target):72}{shown:>12}{bound:>14}{verdict}"


def wording(target: Target) -> str:
    (over_case, over), (under_case, under) = target.over, target.under
    if over_case == under_case:
        return f"{over_case}: {over} / {under}"
    return f"{over}: {over_case} / {under_case}"


def figure(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
