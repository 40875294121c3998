"""Shows at the end of a test run what the fault tests have counted.

A pytest plugin, loaded by ``tests/conftest.py``: with xdist it runs where reports come together.
Tests tell it by a property ``faults``: a number for each name, and a remark.
"""

from collections import Counter
from typing import Any

import pytest

SHOWN = 4
"""A test with more cases than these is shown in one line, which adds up their numbers."""


class Counted:
    """Collects the figures of the tests, and shows them."""

    def __init__(self) -> None:
        self.told: dict[str, dict[str, tuple[dict[str, int], str]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what one test has counted."""
        if report.when == "call":
            test, _, case = report.nodeid.rpartition("/")[2].partition("[")
            for name, value in report.user_properties:
                if name == "faults":
                    told: Any = value
                    self.told.setdefault(test, {})[case.rstrip("]")] = tuple(told)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print a line for each test, or for each of its cases."""
        if self.told:
            terminalreporter.section("faults")
        for test, cases in sorted(self.told.items()):
            terminalreporter.write_line(test.replace("_", " ").replace(".py::test", ":"))
            if len(cases) > SHOWN:
                total: Counter[str] = Counter()
                for numbers, _ in cases.values():
                    total.update(numbers)
                cases = {f"{len(cases)} cases": (dict(total), "")}  # noqa: PLW2901
            for case, (numbers, remark) in sorted(cases.items()):
                said = ", ".join(f"{value} {name}" for name, value in numbers.items())
                line = "; ".join(each for each in (said, remark) if each)
                terminalreporter.write_line(f"    {case + ': ' if case else ''}{line}")


def pytest_configure(config: pytest.Config) -> None:
    """Show the figures once: where the reports come together, not in xdist's workers."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Counted(), "fault-figures")
