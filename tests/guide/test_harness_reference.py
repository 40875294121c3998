"""The checks of docstrings and of chapters' parts are checked on mistakes made on purpose."""

import ast
from pathlib import Path

import pytest

from tests.guide.chapters import CHAPTERS, error_page_problems, missing_parts
from tests.guide.docstrings import Function, check_class, check_function, run_examples
from tests.guide.places import Guide

FUNCTION = '''\
def lend(copies: int, *, days: int = 7) -> int:
    """Return how many copies are left.

    Args:
        copies: how many there were.
        days: for how long one is lent.

    Returns:
        How many are left.

    Raises:
        ValueError: there were none.

    Example:
        >>> 1 + 1
        2
    """
    if copies < 1:
        raise ValueError("none")
    return copies - 1
'''


def wrong(source: str, *, alone: bool = True) -> list[str]:
    node = ast.parse(source).body[0]
    assert isinstance(node, Function)
    return check_function("lend", node, ">>> shelf.lend(1)", alone=alone)


def test_a_documented_function_passes() -> None:
    assert wrong(FUNCTION) == []


MISTAKES = {
    "no docstring": ('"""Return how many', 'x = """Return how many', "has no docstring"),
    "a parameter left out": (
        "        days: for how long one is lent.\n",
        "",
        "Args does not describe 'days'",
    ),
    "a parameter too many": (
        "        days: for",
        "        price: of one.\n        days: for",
        "Args describes 'price', which it does not take",
    ),
    "no Returns": ("Returns:", "Gives:", "has no Returns"),
    "an error left out": (
        "        ValueError: there were none.",
        "",
        "Raises does not describe ValueError",
    ),
    "an error that nothing raises": (
        "        ValueError: there",
        "        EOFError: never.\n        ValueError: there",
        "Raises describes EOFError, which nothing raises",
    ),
    "no example": (">>> 1", "1", "has no Example that runs"),
}


@pytest.mark.parametrize("old, new, expected", MISTAKES.values(), ids=MISTAKES)
def test_a_wrong_docstring_is_caught(old: str, new: str, expected: str) -> None:
    assert old in FUNCTION
    assert wrong(FUNCTION.replace(old, new)) == [f"lend: {expected}"]


def test_a_method_may_be_shown_by_its_class() -> None:
    assert wrong(FUNCTION.replace(">>> 1", "1"), alone=False) == []


def test_a_class_needs_an_example_and_its_arguments() -> None:
    source = 'class Shelf:\n    """A shelf."""\n    def __init__(self, name: str) -> None: ...\n'
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.ClassDef)
    assert check_class("Shelf", node) == [
        "Shelf: has no Example that runs",
        "Shelf: Args does not describe 'name'",
    ]


@pytest.mark.parametrize("answer, problems", [("2", 0), ("3", 1)])
def test_an_example_is_run_and_compared(tmp_path: Path, answer: str, problems: int) -> None:
    folder = tmp_path / "src" / "happened"
    folder.mkdir(parents=True)
    text = f'"""Adds.\n\nExample:\n    >>> print(1 + 1)\n    {answer}\n"""\n'
    (folder / "sums.py").write_text(text, encoding="utf-8")
    assert len(run_examples(Guide(tmp_path), "happened/sums.py:1").problems) == problems


PAGE = "building-blocks/first-event.md"
FOLDER = CHAPTERS[PAGE]
CHAPTER = f"""\
---
description: Events.
---

# Your first event

At the end of this chapter you can record what happened.

``` text
--8<-- "{FOLDER}/fails.out"
```

## The whole program

``` python
--8<-- "{FOLDER}/shop.py"
```

``` text
--8<-- "{FOLDER}/shop.out"
```

## What you have learnt

- Events.

## Exercise

Add one.

??? success "Solution"

    ``` python
    --8<-- "{FOLDER}/exercise.py"
    ```

    ``` text
    --8<-- "{FOLDER}/exercise.out"
    ```

[Next: fields](fields-and-value-objects.md)
"""


@pytest.fixture
def one_page(tmp_path: Path) -> Guide:
    (tmp_path / "docs" / PAGE).parent.mkdir(parents=True)
    folder = tmp_path / "docs_src" / FOLDER
    folder.mkdir(parents=True)
    (folder / "fails.out").write_text("Traceback:\n  ...\nhappened.NotFoundError: no Book\n")
    return Guide(tmp_path)


def lacks(one_page: Guide, text: str) -> list[str]:
    (one_page.root / "docs" / PAGE).write_text(text, encoding="utf-8")
    found = missing_parts(one_page, PAGE, FOLDER)
    return [problem.removeprefix(f"docs/{PAGE}:1: ") for problem in found]


def test_a_whole_chapter_passes(one_page: Guide) -> None:
    assert lacks(one_page, CHAPTER) == []


PARTS = {
    "a promise": ("you can record", "we record", "does not open with"),
    "an error": (f'--8<-- "{FOLDER}/fails.out"', "", "shows no error as it is printed"),
    "a heading": ("## What you have learnt", "## Summary", "needs the headings"),
    "what was learnt": ("- Events.", "", "says nothing under 'What you have learnt'"),
    "the whole program": (f'--8<-- "{FOLDER}/shop.py"', "", f"shows no whole program of {FOLDER}"),
    "its output": (f'--8<-- "{FOLDER}/shop.out"', "", "shows no output of that program under 'The"),
    "a solution": (f'--8<-- "{FOLDER}/exercise.py"', "", f"shows no whole program of {FOLDER}"),
    "another program": ("exercise.", "shop.", "shows the same program as solution"),
    "the next chapter": ("fields-and-value-objects.md", "index.md", "has no link to fields"),
}


@pytest.mark.parametrize("old, new, expected", PARTS.values(), ids=PARTS)
def test_a_chapter_that_lacks_a_part_is_caught(
    one_page: Guide, old: str, new: str, expected: str
) -> None:
    assert old in CHAPTER
    (problem,) = lacks(one_page, CHAPTER.replace(old, new))
    assert problem.startswith(expected)


def test_a_chapter_without_a_page_is_caught(one_page: Guide) -> None:
    assert missing_parts(one_page, PAGE, FOLDER) == [f"docs/{PAGE}: there is no such page"]


def test_the_page_of_errors_is_compared_with_the_classes() -> None:
    page = "# Errors\n\n## `StorageError`\n\n::: happened.LostError\n"
    assert error_page_problems(page, ["StorageError", "BrokerError"]) == [
        "has no heading for BrokerError",
        "has a heading for LostError, which is no error",
    ]
