"""What all tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("happened.testing")

from happened.storage import Storage, open_storage  # noqa: E402
from tests.storages import STORAGES, discard  # noqa: E402

settings.register_profile(
    "happened",
    deadline=None,  # timing never decides a test
    derandomize="REQUIRE_SERVICES" in os.environ,  # CI judges a change by the same examples
)
settings.load_profile("happened")

pytest_plugins = ["tests.guarantees.figures", "tests.guide.summary"]


@pytest.fixture(params=STORAGES, ids=lambda address: str(address.__name__))
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty storage, of each adapter in turn."""
    url = str(request.param(tmp_path))
    yield url
    discard(url)


@pytest.fixture(params=STORAGES[1:], ids=lambda address: str(address.__name__))
def durable_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty storage that outlives its process, of each adapter in turn."""
    url = str(request.param(tmp_path))
    yield url
    discard(url)


@pytest.fixture
def storage(storage_url: str) -> Iterator[Storage]:
    """An empty storage, of each adapter in turn."""
    opened = open_storage(storage_url)
    yield opened
    opened.close()
