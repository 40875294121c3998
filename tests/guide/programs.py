"""Makes the guide's outputs, diagrams, sessions and comments again: ``make examples``.

``python -m tests.guide.programs`` writes the files that changed, and only those; the tests call the
same functions and compare. A second run changes no byte.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.guide.census import make_figures
from tests.guide.made import Made, write
from tests.guide.pages import make_page
from tests.guide.places import Guide
from tests.guide.products import make_source


def make_all(guide: Guide) -> Iterator[Made]:
    """Make every part of the guide, programs first: pages hold copies of what they print."""
    for source in guide.sources_to_run:
        yield make_source(guide, source)
    for page in guide.pages:
        yield make_page(guide, page)
    yield make_figures(Guide(guide.root))


def main(root: Path) -> int:
    """Write what changed and name it; what has problems is left as it is, and 1 returned."""
    problems, count = [], 0
    for made in make_all(Guide(root)):
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
    sys.exit(main(Path(__file__).resolve().parents[2]))
