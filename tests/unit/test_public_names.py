"""The public names: few, sorted, and loaded when they are used."""

import subprocess
import sys

import pytest

import happened


def test_there_are_few_public_names_and_they_are_sorted() -> None:
    assert len(happened.__all__) <= 25
    assert list(happened.__all__) == sorted(happened.__all__)


@pytest.mark.parametrize("name", happened.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(happened, name)
    assert getattr(happened, name) is found
    assert name in dir(happened)
    assert found.__doc__


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'happened' has no attribute 'Evnt'"):
        _ = happened.Evnt  # type: ignore[attr-defined]


def test_importing_the_package_loads_nothing_of_it() -> None:
    program = "import sys, happened; print([m for m in sys.modules if m.startswith('happened.')])"
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert printed.stdout == "[]\n"


def test_messages_are_usable_without_domain_and_storage() -> None:
    program = (
        "import sys\nfrom happened import Dispatcher, Event\n"
        "print([m for m in ('domain', 'storage', 'model') if f'happened.{m}' in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert printed.stdout == "[]\n"
