"""Each program of the guide runs, and its output, its drawings and its comments are true."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guide.census import make_figures
from tests.guide.conftest import ROOT
from tests.guide.made import Made, failures
from tests.guide.places import Guide
from tests.guide.products import make_source
from tests.guide.tree import leftovers

GUIDE = Guide(ROOT)


@pytest.mark.parametrize("path", GUIDE.sources_to_run, ids=GUIDE.name)
def test_what_a_source_prints_draws_and_answers_is_what_its_files_say(
    guide: Guide, path: Path, verify: Callable[[Made], None]
) -> None:
    verify(make_source(guide, path))


def test_nothing_in_the_sources_is_left_over(guide: Guide) -> None:
    assert not leftovers(guide), "\n".join(leftovers(guide))


def test_the_counts_that_the_guide_shows_are_current(guide: Guide) -> None:
    found = failures(make_figures(guide), guide.root)
    assert not found, "\n".join(found)
