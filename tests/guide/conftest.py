"""What the guide's tests share."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.guide.browser import browser
from tests.guide.made import Made, failures
from tests.guide.places import Guide
from tests.guide.small import Small
from tools.doctor import Missing, find_chromium

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def guide() -> Guide:
    """Give this project's guide."""
    return Guide(ROOT)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Give a browser; without one, skip the tests that need it unless services are required."""
    try:
        path = find_chromium()
    except Missing as missing:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
    with browser(path) as opened:
        yield opened


@pytest.fixture
def verify(record_property: Callable[[str, object], None]) -> Callable[[Made], None]:
    """Give a function that says what was checked, and fails once with everything that is wrong."""

    def check(made: Made) -> None:
        record_property("checked", dict(made.checked))
        if made.skipped:
            record_property("waiting", made.skipped)
        if found := failures(made, ROOT):
            pytest.fail("\n".join(found), pytrace=False)
        if made.skipped:
            pytest.skip(made.skipped)

    return check


@pytest.fixture
def small(tmp_path: Path) -> Small:
    """Give a small guide that is right, to be made wrong."""
    return Small(tmp_path)
