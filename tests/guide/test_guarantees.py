"""The table of guarantees names the tests that there are, and no others."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(
    r"^\| G(?P<number>\d+) \| .* \| (?P<holds>[^|]+) \| (?P<tests>[^|]*)\|$", re.MULTILINE
)


def test_each_guarantee_names_its_tests_or_says_that_it_does_not_hold_yet() -> None:
    page = (ROOT / "docs/reference/guarantees.md").read_text(encoding="utf-8")
    rows = {int(row["number"]): row for row in ROW.finditer(page)}
    assert sorted(rows) == list(range(1, 11))
    for number, row in rows.items():
        found = [path.name for path in (ROOT / "tests/guarantees").glob(f"test_{number:02}_*.py")]
        named = re.findall(r"`([^`]+)`", row["tests"])
        assert named == found, f"G{number}"
        assert (row["holds"].strip() == "not yet") is (not found), f"G{number}"


def test_the_tests_of_a_guarantee_are_marked_with_its_number() -> None:
    for path in sorted((ROOT / "tests/guarantees").glob("test_*.py")):
        number = int(path.stem.split("_")[1])
        marked = re.findall(r"pytest\.mark\.g(\d+)\b", path.read_text(encoding="utf-8"))
        assert marked
        assert set(marked) == {str(number)}, path.name
