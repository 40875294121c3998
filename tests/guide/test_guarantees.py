"""The page of guarantees names the tests that there are, how many, and how many of them passed."""

import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from tests.guide.guarantees import RESULTS, as_data, make_guarantees, names, table
from tests.guide.made import failures
from tests.guide.places import Guide

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| G(\d+) \| (\*\*)?([^|.]+?)[.|]", re.MULTILINE)


def test_the_page_has_each_guarantee_by_the_name_of_its_marker_and_the_table_of_its_tests() -> None:
    page = (ROOT / "docs/reference/guarantees.md").read_text(encoding="utf-8")
    promised = {f"G{number}": name.lower() for number, _, name in ROW.findall(page)}
    assert promised == names(ROOT)
    assert list(promised) == [f"G{number}" for number in range(1, 11)]
    assert '--8<-- "guarantees.md"' in page


def test_the_table_says_how_many_tests_there_are(guide: Guide, tmp_path: Path) -> None:
    found = failures(make_guarantees(guide, tmp_path / "counted.json"), guide.root)
    assert not found, "\n".join(found)


def test_the_tests_of_a_guarantee_are_marked_with_its_number() -> None:
    for path in sorted((ROOT / "tests/guarantees").glob("test_*.py")):
        number = int(path.stem.split("_")[1])
        marked = re.findall(r"pytest\.mark\.g(\d+)\b", path.read_text(encoding="utf-8"))
        assert marked
        assert set(marked) == {str(number)}, path.name


TESTS = """\
import pytest

pytestmark = pytest.mark.g1


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def storage_url(request):
    if request.param == "postgres":
        pytest.skip("no server")
    return request.param


@pytest.mark.parametrize("turn", [1, 2])
def test_kept(storage_url, turn):
    assert (storage_url, turn) != ("sqlite", 2)


def test_something_else():
    pass
"""
COUNTED = {"G1": {"memory": 2, "other": 1, "postgres": 2, "sqlite": 2}}
PASSED = {"G1": {"memory": 2, "other": 1, "postgres": 0, "sqlite": 1}}


@pytest.fixture
def project(tmp_path: Path) -> Guide:
    folder = tmp_path / "tests" / "guarantees"
    folder.mkdir(parents=True)
    (folder / "test_01_atomic.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "docs_src").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest]\npythonpath = ["."]\nmarkers = [\n    "g1: atomic",\n    "g2: other",\n]\n',
        encoding="utf-8",
    )
    return Guide(tmp_path)


def run(project: Guide, *options: str) -> list[str]:
    """Run the small project's tests under the summary, and return what is said at the end."""
    plain = ("-p", "no:cacheprovider", "-p", "no:protean", "-p", "tests.guide.summary")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--import-mode=importlib", *plain, *options],
        cwd=project.root,
        env={"PYTHONPATH": str(ROOT), "PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.splitlines()


@pytest.fixture
def counted(project: Guide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guide:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for path, text in make_guarantees(project, tmp_path / "counted.json").files.items():
        path.write_text(str(text), encoding="utf-8")
    return project


def test_the_tests_are_counted_by_guarantee_and_storage(counted: Guide) -> None:
    assert json.loads(counted.guarantees.read_text(encoding="utf-8")) == COUNTED
    lines = counted.guarantees.with_suffix(".md").read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith("| memory | SQLite | PostgreSQL | on no storage | tests |")
    cells = "{G1 memory: 2} | {G1 sqlite: 2} | {G1 postgres: 2} | {G1 other: 1}"
    assert lines[2:] == [
        f"| G1 | atomic | {cells} | `test_01_atomic.py` |",
        "| G2 | other | none | none | none | none | none |",
    ]


@pytest.mark.parametrize("options", [(), ("-n2",)], ids=["alone", "xdist"])
def test_a_run_of_all_of_them_writes_down_how_many_passed(
    counted: Guide, options: tuple[str, ...]
) -> None:
    said = run(counted, "tests", *options)
    assert "guarantees: 4 of 7 tests passed" in said
    results = json.loads((counted.root / RESULTS).read_text(encoding="utf-8"))
    assert results == {"counted": COUNTED, "passed": PASSED}


def test_a_run_of_some_of_them_writes_nothing(counted: Guide) -> None:
    said = run(counted, "tests", "-k", "kept")
    assert not [line for line in said if line.startswith("guarantees:")]
    assert not (counted.root / RESULTS).exists()


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "docs")  # as MkDocs does
    spec = importlib.util.spec_from_file_location("guide_hooks", ROOT / "docs/hooks.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_site_shows_the_results_of_the_tests_that_the_page_counts(
    hooks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results.json"
    monkeypatch.setattr(hooks, "RESULTS", results)
    (row,) = table(COUNTED, {"G1": "atomic"}, []).splitlines()[2:]
    assert hooks.filled([row]) == ["| G1 | atomic | 2 tests | 2 tests | 2 tests | 1 test | none |"]
    results.write_text(json.dumps({"counted": COUNTED, "passed": PASSED}), encoding="utf-8")
    assert hooks.filled([row, "text"]) == [
        "| G1 | atomic | 2 of 2 passed | 1 of 2 passed | 0 of 2 passed | 1 of 1 passed | none |",
        "text",
    ]
    assert hooks.filled([row.replace("memory: 2", "memory: 3")])[0].count("3 tests") == 1


def test_counts_stand_in_the_order_of_the_guarantees() -> None:
    counts = Counter({("G10", "memory"): 1, ("G2", "sqlite"): 2, ("G2", "memory"): 3})
    assert list(as_data(counts)) == ["G2", "G10"]
