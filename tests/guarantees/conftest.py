"""What all tests of guarantees share."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.guarantees.accounts import Figures, Tell
from tests.guarantees.processes import Nursery, Programs
from tests.guarantees.shop import Shop
from tests.storages import discard, postgres, sqlite


@pytest.fixture
def shop(storage_url: str) -> Shop:
    """A shop on each storage in turn."""
    return Shop(storage_url)


@pytest.fixture(params=[sqlite, postgres], ids=lambda address: str(address.__name__))
def durable_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty storage that outlives its process, of each in turn."""
    url = str(request.param(tmp_path))
    yield url
    discard(url)


@pytest.fixture(params=[sqlite], ids=["sqlite"])
def sqlite_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty storage in a file."""
    return str(request.param(tmp_path))


@pytest.fixture(params=[postgres], ids=["postgres"])
def postgres_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty storage in PostgreSQL."""
    url = str(request.param(tmp_path))
    yield url
    discard(url)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where programs are started."""
    opened = Nursery()
    yield opened
    opened.close()


@pytest.fixture
def programs_on(nursery: Nursery, tmp_path: Path) -> Iterator[Callable[[str], Programs]]:
    """Give programs on the storage at a URL; what still runs at the end is killed."""
    made: list[Programs] = []

    def make(url: str) -> Programs:
        made.append(Programs(nursery, tmp_path, url))
        return made[-1]

    yield make
    for each in made:
        each.end()


@pytest.fixture
def programs(durable_url: str, programs_on: Callable[[str], Programs]) -> Programs:
    """Programs on a durable storage."""
    return programs_on(durable_url)


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Show figures at the end of the run, with a remark."""

    def show(figures: Figures, remark: str = "") -> None:
        record_property("faults", [asdict(figures), remark])

    return show
