"""Says at the end of a test run what of the guide was checked, and fails the run for what was not.

A pytest plugin, loaded by ``tests/conftest.py``: with xdist it runs where reports come together.
Tests tell it what they checked by properties: ``checked`` maps kinds to names, and
``guide:<name>`` is a number to be added up and shown.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.guide import guarantees
from tests.guide.census import census
from tests.guide.guarantees import Counts, record
from tests.guide.places import Guide
from tests.guide.rules import SESSION_KINDS
from tests.guide.services import required

FOLDER = Path("tests") / "guide"
KINDS = (
    "programs",
    "sessions",
    "outputs",
    "diagrams",
    "traces",
    "data files",
    "docstring examples",
)
SESSIONS = tuple(f"fences, {kind}" for kind in SESSION_KINDS)
BY_HAND = "fences, diagram, by hand"
RENDERED = "browser, diagrams rendered"
"""What the browser tests say; without them no diagram by hand was checked."""
SELECTING = (
    "keyword",
    "markexpr",
    "lf",
    "stepwise",
    "maxfail",
    "deselect",
    "ignore",
    "ignore_glob",
    "collectonly",
)
"""Options of pytest that leave tests out."""


@dataclass
class Tally:
    """What the reports of a run said: checked names by kind, numbers, what was skipped and why."""

    checked: dict[str, Counter[str]] = field(default_factory=dict)
    numbers: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    waiting: dict[str, Counter[str]] = field(default_factory=dict)
    guarantees: Counts = field(default_factory=Counter)
    kept: Counts = field(default_factory=Counter)

    def take(self, properties: list[tuple[str, Any]]) -> None:
        """Add what one test said."""
        for name, value in properties:
            if name == "checked":
                add(self.checked, value)
            elif name == "waiting":
                self.skipped.append(value[0])
                add(self.waiting, value[1])
            elif name.startswith("guide:"):
                self.numbers[name.removeprefix("guide:")] += value

    def note(self, report: pytest.TestReport) -> None:
        """Count a test of a guarantee: once when it is set up, and once more when it has passed."""
        for name, value in report.user_properties:
            if name == "guarantee" and isinstance(value, list | tuple):
                guarantee, storage = value
                self.guarantees[guarantee, storage] += report.when == "setup"
                self.kept[guarantee, storage] += report.when == "call" and report.passed

    def forgotten(self, found: dict[str, Counter[str]]) -> list[str]:
        """Return what was found in the files and neither checked nor left out for a service."""
        known: dict[str, Counter[str]] = {}
        for names in (self.checked, self.waiting):
            add(known, names)
        return unchecked(found, known)

    def count(self, kind: str) -> int:
        """Return how many of a kind were checked, each counted once."""
        kinds = SESSIONS if kind == "sessions" else (kind,)
        return sum(len(self.checked.get(each, ())) for each in kinds)


def add(known: dict[str, Counter[str]], more: Mapping[str, Iterable[str]]) -> None:
    """Add names by kind to others."""
    for kind, names in more.items():
        known.setdefault(kind, Counter()).update(names)


def unchecked(found: dict[str, Counter[str]], checked: dict[str, Counter[str]]) -> list[str]:
    """Return what was found in the files and not checked by any test, by kind and name.

    Fences are known to the census by page and number only: a page with fewer checked ones than it
    has is named with the number that is missing.
    """
    missing = []
    for kind, names in found.items():
        seen = set(checked.get(kind, ()))
        if kind == "fences":
            by_page = Counter(name.rpartition(":")[0] for name in seen)
            missing += [
                f"{page}: {count - by_page[page]} of {count} fences"
                for page, count in names.items()
                for _ in range(count - by_page[page])
            ]
        else:
            missing += [f"{kind}: {name}" for name in names if name not in seen]
    return missing


def lines(tally: Tally, missing: list[str] | None) -> list[str]:
    """Return the summary; without a list of what is missing, only a part of the tests ran."""
    prefix = "fences, "
    fences = [
        f"{len(names)} {kind.removeprefix(prefix)}"
        for kind, names in sorted(tally.checked.items())
        if kind.startswith(prefix)
    ]
    said = [
        f"{tally.count('pages')} pages checked",
        f"{tally.count('fences')} fences checked: {', '.join(fences)}",
    ]
    said += [", ".join(f"{tally.count(kind)} {kind}" for kind in KINDS) + " checked"]
    said += [f"{number} {name}" for name, number in sorted(tally.numbers.items())]
    said += [f"not run: {reason}" for reason in tally.skipped]
    if missing is None:
        return [*said, "not all guide tests were selected"]
    counts = Counter(missing)
    return [*said, *(f"unchecked: {name}" for name in counts), f"{len(missing)} unchecked"]


def everything_selected(config: pytest.Config) -> bool:
    """Tell whether no option and no argument leaves a test of the guide out."""
    if any(config.getoption(option, None) for option in SELECTING):
        return False
    folder = config.rootpath / FOLDER
    places = [config.invocation_params.dir / argument for argument in config.args]
    return any(
        "::" not in str(place) and folder.is_relative_to(place.resolve()) for place in places
    )


class Summary:
    """Collects what the tests say, and shows it at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.tally = Tally()
        self.ran = False
        self.recorded: list[str] = []
        self.missing: list[str] | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what one phase of one test said."""
        self.ran = self.ran or report.nodeid.startswith(FOLDER.as_posix())
        self.tally.note(report)
        if report.when == "call":
            self.tally.take(report.user_properties)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Compare what was checked with what there is, and fail the run for a difference.

        What waits for a service counts as unchecked, but fails the run only where services are
        required.
        """
        self.recorded = record(self.config.rootpath, self.tally.guarantees, self.tally.kept)
        self.ran = self.ran or bool(self.recorded)
        if not everything_selected(self.config):
            return
        self.ran = True
        found = census(Guide(self.config.rootpath))
        self.missing = unchecked(found, self.tally.checked)
        wrong = self.missing if required() else self.tally.forgotten(found)
        if BY_HAND in self.tally.checked and RENDERED not in self.tally.numbers:
            self.missing += [f"diagram by hand: {name}" for name in self.tally.checked[BY_HAND]]
        if wrong and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the summary."""
        if self.ran:
            terminalreporter.section("the guide")
            for line in [*self.recorded, *lines(self.tally, self.missing)]:
                terminalreporter.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    """Show the summary once: where the reports come together, not in xdist's workers."""
    if not config.pluginmanager.is_registered(guarantees):
        config.pluginmanager.register(guarantees)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary(config), "guide-summary")
