import os
from collections.abc import Iterator

import pytest

os.environ["HAPPENED_STORAGE"] = "memory://"  # (1)!

from bookshop import shop  # type: ignore[import-not-found]


@pytest.fixture(autouse=True)
def empty_storage() -> Iterator[None]:
    shop.init()
    yield
    shop.close()  # (2)!
