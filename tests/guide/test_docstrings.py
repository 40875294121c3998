"""Each public name is documented: types, errors, and an example that runs."""

from collections.abc import Callable

import pytest

from tests.guide.census import docstrings_with_examples
from tests.guide.conftest import ROOT
from tests.guide.docstrings import check_public, public_names, run_examples
from tests.guide.made import Made
from tests.guide.places import Guide

EXAMPLES = docstrings_with_examples(ROOT / "src" / "happened")


@pytest.mark.parametrize("place", EXAMPLES)
def test_an_example_in_a_docstring_is_true(
    guide: Guide, place: str, verify: Callable[[Made], None]
) -> None:
    verify(run_examples(guide, place))


def test_every_public_name_is_documented(
    guide: Guide, record_property: Callable[[str, object], None]
) -> None:
    names = public_names(guide)
    problems = [problem for name, value in names.items() for problem in check_public(name, value)]
    record_property("guide:public names documented", len(names))
    assert not problems, "\n".join(problems)
