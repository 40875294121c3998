"""Makes the guide's outputs, diagrams, sessions and comments again: ``make examples``.

``python -m tests.guide.programs`` writes the files that changed, and only those; the tests call the
same functions and compare. A second run changes no byte. With words, as in
``python -m tests.guide.programs ch08 event-handlers``, only the sources and pages are made whose
names contain one of them, and the counts.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.guide.census import make_figures
from tests.guide.guarantees import make_guarantees
from tests.guide.made import Made, write
from tests.guide.pages import make_page
from tests.guide.places import Guide
from tests.guide.products import make_source


def make_all(guide: Guide, *words: str) -> Iterator[Made]:
    """Make every part of the guide, programs first: pages hold copies of what they print."""

    def wanted(paths: list[Path]) -> list[Path]:
        names = {path: guide.name(path) for path in paths}
        return [path for path in paths if not words or any(word in names[path] for word in words)]

    for source in wanted(guide.sources_to_run):
        yield make_source(guide, source)
    for page in wanted(guide.pages):
        yield make_page(guide, page)
    yield make_figures(Guide(guide.root))
    with tempfile.TemporaryDirectory() as folder:
        yield make_guarantees(guide, Path(folder) / "counted.json")


def main(root: Path, *words: str) -> int:
    """Write what changed and name it; what has problems is left as it is, and 1 returned."""
    problems, count = [], 0
    for made in make_all(Guide(root), *words):
        problems += made.problems
        if made.skipped:
            print(f"left as it was: {made.skipped}")
        for path in write(made) if not made.problems else []:
            print(f"wrote {path.relative_to(root).as_posix()}")
            count += 1
    print(f"{count} files changed")
    for problem in problems:
        print(problem, file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[2], *sys.argv[1:]))
