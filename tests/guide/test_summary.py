"""The summary counts what was checked, and a run in which something was not checked fails."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.guide.conftest import ROOT
from tests.guide.summary import Tally, lines, unchecked

SOURCE = """\
from pathlib import Path

import pytest

from tests.guide.made import failures
from tests.guide.pages import make_page
from tests.guide.places import Guide
from tests.guide.products import make_source

GUIDE = Guide(Path(__file__).parents[2])


@pytest.mark.parametrize("path", [*GUIDE.sources_to_run, *GUIDE.pages], ids=GUIDE.name)
def test_part(path, record_property):
    made = make_page(GUIDE, path) if path.suffix == ".md" else make_source(GUIDE, path)
    if path.name != "forgotten.md":
        record_property("checked", dict(made.checked))
    if made.skipped:
        record_property("waiting", (made.skipped, dict(made.waiting)))
    record_property("guide:diagrams rendered", 2)
    if found := failures(made, GUIDE.root):
        pytest.fail("\\n".join(found), pytrace=False)


def test_another():
    pass
"""

PAGE = "# Page\n\n``` python\nprint(1 + 1)\n#> 2\n```\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tests" / "guide").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "tests" / "guide" / "test_small.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "docs" / "page.md").write_text(PAGE, encoding="utf-8")
    return tmp_path


def run(project: Path, *options: str, **variables: str) -> tuple[int, list[str]]:
    """Run the small project's tests under the summary, and return its status and its last lines."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.guide.summary",
        "--import-mode=importlib",
    ]
    done = subprocess.run(
        [*command, "-p", "no:protean", "-p", "no:cacheprovider", f"--rootdir={project}", *options],
        cwd=project,
        env={"PYTHONPATH": str(ROOT), "PATH": str(Path(sys.executable).parent), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("options", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_run_that_checked_everything_says_so(project: Path, options: tuple[str, ...]) -> None:
    status, said = run(project, "tests", *options)
    assert status == 0, said
    assert "1 pages checked" in said
    assert "1 fences checked: 1 python inline" in said
    assert "2 diagrams rendered" in said
    assert "0 unchecked" in said


@pytest.mark.parametrize("options", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_run_that_forgot_something_fails_and_names_it(
    project: Path, options: tuple[str, ...]
) -> None:
    (project / "docs" / "forgotten.md").write_text(PAGE, encoding="utf-8")
    status, said = run(project, "tests", *options)
    assert status == 1
    assert "unchecked: pages: docs/forgotten.md" in said
    assert "unchecked: docs/forgotten.md: 1 of 1 fences" in said
    assert "2 unchecked" in said


@pytest.mark.parametrize("required, status", [("", 0), ("1", 1)])
def test_what_waits_for_a_service_is_counted_and_fails_where_services_are_required(
    project: Path, required: str, status: int
) -> None:
    text = PAGE + "\n``` console\n$ psql $POSTGRES_URL\n```\n"
    (project / "docs" / "page.md").write_text(text, encoding="utf-8")
    place = "postgresql://127.0.0.1:1/test"
    ended, said = run(project, "tests", POSTGRES_URL=place, REQUIRE_SERVICES=required)
    assert ended == status, said
    assert any(line.startswith("not run: docs/page.md needs postgres: ") for line in said)
    assert "unchecked: docs/page.md: 1 of 2 fences" in said
    assert "1 unchecked" in said


@pytest.mark.parametrize(
    "options", [("tests", "-k", "page"), ("tests/guide/test_small.py",)], ids=["by name", "by file"]
)
def test_a_run_of_some_tests_makes_no_claim(project: Path, options: tuple[str, ...]) -> None:
    status, said = run(project, *options)
    assert status == 0
    assert "not all guide tests were selected" in said
    assert not [line for line in said if "unchecked" in line]


RAISES = """\
def deep(level: int) -> int:
    if level < 1:
        raise ValueError("too deep")
    return deep(level - 1)


deep(
    level=3,
)
"""


def test_a_raising_example_is_one_failing_test_that_names_its_line(project: Path) -> None:
    folder = project / "docs_src" / "ch01_shop"
    folder.mkdir(parents=True)
    (folder / "raises.py").write_text(RAISES, encoding="utf-8")
    block = PAGE.replace("print(1 + 1)\n#> 2\n", RAISES)
    (project / "docs" / "raises.md").write_text(block, encoding="utf-8")
    status, said = run(project, "tests")
    assert status == 1
    error = "raised ValueError: too deep"
    assert f"docs_src/ch01_shop/raises.py:3: {error}" in said
    assert f"docs/raises.md:6: {error}" in said
    assert any("2 failed, 2 passed" in line for line in said)


def test_what_is_missing_is_named() -> None:
    found = {
        "fences": Counter({"docs/a.md": 2, "docs/b.md": 1}),
        "programs": Counter({"docs_src/x.py": 1}),
    }
    checked = {"fences": Counter(["docs/a.md:3", "docs/b.md:9"])}
    missing = unchecked(found, checked)
    assert missing == ["docs/a.md: 1 of 2 fences", "programs: docs_src/x.py"]
    assert lines(Tally(checked), missing)[-1] == "2 unchecked"
    assert unchecked(found, checked | {"fences": Counter(["docs/a.md:3", "docs/a.md:9"])}) == [
        "docs/b.md: 1 of 1 fences",
        "programs: docs_src/x.py",
    ]
