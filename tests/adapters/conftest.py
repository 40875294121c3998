"""What the tests of adapters share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storages import discard, postgres


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The URL of an empty storage in PostgreSQL."""
    url = postgres(tmp_path)
    yield url
    discard(url)
