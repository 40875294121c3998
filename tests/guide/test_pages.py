"""Each page has its parts: chapters, the page of errors, README.md."""

import ast
import tomllib

import pytest

from tests.guide.chapters import CHAPTERS, error_page_problems, missing_parts
from tests.guide.fences import find_fences
from tests.guide.places import Guide
from tests.guide.rules import README_FILES


@pytest.mark.parametrize("page, folder", CHAPTERS.items(), ids=CHAPTERS)
def test_a_chapter_has_its_parts(guide: Guide, page: str, folder: str) -> None:
    problems = missing_parts(guide, page, folder)
    assert not problems, "\n".join(problems)


def test_every_folder_of_programs_has_a_chapter(guide: Guide) -> None:
    folders = {path.relative_to(guide.sources).parts[0] for path in guide.programs}
    assert folders <= {*CHAPTERS.values(), "changing_fields", "playground", "testing"}


def test_the_page_of_errors_has_every_error(guide: Guide) -> None:
    source = (guide.root / "src" / "happened" / "errors.py").read_text(encoding="utf-8")
    classes = [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    page = (guide.root / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    problems = error_page_problems(page, classes)
    assert not problems, "docs/reference/errors.md:1: " + "; ".join(problems)


def test_the_readme_shows_a_program_and_its_output(guide: Guide) -> None:
    fences = find_fences((guide.root / "README.md").read_text(encoding="utf-8"))
    assert [fence.language for fence in fences] == list(README_FILES)


def test_programs_are_linted_and_type_checked(guide: Guide) -> None:
    tools = tomllib.loads((guide.root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert "docs_src" in tools["mypy"]["files"]
    assert tools["mypy"]["strict"]
    assert "docs_src" in tools["pyright"]["include"]
    assert tools["pyright"]["typeCheckingMode"] == "strict"
    left_out = [*tools["ruff"].get("exclude", []), *tools["ruff"].get("extend-exclude", [])]
    assert not [pattern for pattern in left_out if "docs_src" in pattern]
