"""What all tests of guarantees share."""

import pytest

from tests.guarantees.shop import Shop


@pytest.fixture
def shop(storage_url: str) -> Shop:
    """A shop on each storage in turn."""
    return Shop(storage_url)
