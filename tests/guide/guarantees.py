"""Counts the tests of each guarantee on each storage, and what became of them.

How many there are is collected by pytest, which runs none, and written by ``make examples`` to
``docs_src/guarantees.json``, and beside it to ``guarantees.md``, as a table.
How many passed is written to `RESULTS`, which git ignores, by a run of all of them; the site's
build puts it into the table, see ``docs/hooks.py``.

A pytest plugin: it is loaded by `tests.guide.summary` to say of each test what it holds, and alone,
by `collected`, to count them.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.guide.made import Made
from tests.guide.places import Guide

STORAGES = {"memory": "memory", "sqlite": "SQLite", "postgres": "PostgreSQL"}
"""Each storage as the ids of tests name it, and as the table does."""

NO_STORAGE = "other"

TESTS = Path("tests") / "guarantees"
RESULTS = Path(".cache") / "guarantees.json"
COUNT_INTO = "GUARANTEES_COUNTED_INTO"
MARK = re.compile(r"g(\d+)")
MARKER = re.compile(r"^g(\d+): (.+)$")

Counts = Counter[tuple[str, str]]
"""How many tests there are of a guarantee, "G1", on a storage, "memory"."""


def held(item: pytest.Item) -> tuple[str, str] | None:
    """Return the guarantee that a test holds the library to, and the storage on which it does."""
    marks = [found[1] for mark in item.iter_markers() if (found := MARK.fullmatch(mark.name))]
    if not marks:
        return None
    words = re.split(r"[\[\]-]", item.name)
    return f"G{marks[0]}", next((word for word in words if word in STORAGES), NO_STORAGE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have each test of a guarantee say of which one it is."""
    counts: Counts = Counter()
    for item in items:
        if found := held(item):
            counts[found] += 1
            item.user_properties.append(("guarantee", found))
    if into := os.environ.get(COUNT_INTO):
        Path(into).write_text(json.dumps(as_data(counts)), encoding="utf-8")


def as_data(counts: Counts) -> dict[str, dict[str, int]]:
    """Return counts as JSON has them: by guarantee, then by storage."""
    data: dict[str, dict[str, int]] = {}
    for (guarantee, storage), count in sorted(counts.items(), key=in_order):
        data.setdefault(guarantee, {})[storage] = count
    return data


def in_order(count: tuple[tuple[str, str], int]) -> tuple[int, str]:
    """Put the counts of a guarantee after those of the one before it."""
    (guarantee, storage), _ = count
    return int(guarantee[1:]), storage


def collected(root: Path, into: Path) -> dict[str, dict[str, int]]:
    """Return how many tests each guarantee has on each storage; none of them is run.

    Raises:
        RuntimeError: pytest cannot collect them; the text is what it says.
    """
    plain = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "tests.guide.guarantees")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-qq", *plain, str(root / TESTS)],
        cwd=root,
        env={**os.environ, COUNT_INTO: str(into), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return dict(json.loads(into.read_text(encoding="utf-8")))


def names(root: Path) -> dict[str, str]:
    """Return the guarantees with their names, as pytest's markers have them."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    lines = re.findall(r'^ *"(g\d+: .+)",?$', text, re.MULTILINE)
    return {f"G{found[1]}": found[2] for line in lines if (found := MARKER.match(line))}


def table(counts: dict[str, dict[str, int]], names: dict[str, str], files: list[str]) -> str:
    """Return the page's table.

    What is in braces there is filled in when the site is built, by ``docs/hooks.py``.
    """
    other = (
        {NO_STORAGE: "on no storage"} if any(NO_STORAGE in one for one in counts.values()) else {}
    )
    storages = STORAGES | other
    rows = [
        f"| | guarantee | {' | '.join(storages.values())} | tests |",
        f"| --- | --- | {' | '.join('---' for _ in storages)} | --- |",
    ]
    for guarantee, name in names.items():
        own = [f"`{file}`" for file in files if file.startswith(f"test_{int(guarantee[1:]):02}_")]
        found = counts.get(guarantee, {})
        cells = [
            f"{{{guarantee} {storage}: {found[storage]}}}" if storage in found else "none"
            for storage in storages
        ]
        rows.append(f"| {guarantee} | {name} | {' | '.join(cells)} | {', '.join(own) or 'none'} |")
    return "".join(f"{row}\n" for row in rows)


def make_guarantees(guide: Guide, into: Path) -> Made:
    """Return the counts as data and as a table, as their files should hold them."""
    made, tests = Made(), guide.root / TESTS
    if tests.is_dir():
        counts = collected(guide.root, into)
        files = sorted(path.name for path in tests.glob("test_*.py"))
        made.files[guide.guarantees] = json.dumps(counts, indent=2) + "\n"
        made.files[guide.guarantees.with_suffix(".md")] = table(counts, names(guide.root), files)
    return made


def record(root: Path, ran: Counts, passed: Counts) -> list[str]:
    """Write down how many tests passed if all of them ran, and return the lines that say so."""
    counted = root / "docs_src" / "guarantees.json"
    if not ran or not counted.exists():
        return []
    if as_data(ran) != json.loads(counted.read_text(encoding="utf-8")):
        return []
    (root / RESULTS).parent.mkdir(exist_ok=True)
    results = {"counted": as_data(ran), "passed": as_data(passed)}
    (root / RESULTS).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return [f"guarantees: {passed.total()} of {ran.total()} tests passed"]
