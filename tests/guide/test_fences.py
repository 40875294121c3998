"""Each fence on each page is covered by the table of rules, and says the truth."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guide.conftest import ROOT
from tests.guide.made import Made
from tests.guide.pages import make_page
from tests.guide.places import Guide

GUIDE = Guide(ROOT)


@pytest.mark.parametrize("path", GUIDE.pages, ids=GUIDE.name)
def test_every_fence_of_a_page_is_checked(
    guide: Guide, path: Path, verify: Callable[[Made], None]
) -> None:
    verify(make_page(guide, path))
