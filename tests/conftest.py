"""What all tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from happened.storage import Storage, open_storage
from tests.storages import STORAGES

settings.register_profile("happened", deadline=None)  # timing never decides a test
settings.load_profile("happened")

pytest_plugins = ["tests.guide.summary"]


@pytest.fixture(params=STORAGES, ids=lambda address: str(address.__name__))
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty storage, of each adapter in turn."""
    return str(request.param(tmp_path))


@pytest.fixture
def storage(storage_url: str) -> Iterator[Storage]:
    """An empty storage, of each adapter in turn."""
    opened = open_storage(storage_url)
    yield opened
    opened.close()
