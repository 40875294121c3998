"""What a check and `make examples` share: the texts that files should hold now.

Each part of the guide (a program, a session, a page) is made by one function that returns a `Made`.
The tests compare it with the files, the command writes it.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.guide.masks import difference, stale


@dataclass
class Made:
    """What was made from a part of the guide.

    Attributes:
        files: What each file should hold; None where there should be no file.
        read: What a file held when it was read; one that somebody changed since is not written.
        problems: What is wrong and cannot be made right by writing, each with its place.
        checked: What was checked, by kind.
        skipped: Why something was not checked, where a service is absent.
        waiting: What was not checked for that reason, by kind.
    """

    files: dict[Path, str | None] = field(default_factory=dict)
    read: dict[Path, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    checked: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    skipped: str | None = None
    waiting: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, other: "Made") -> None:
        """Take over what another part made."""
        self.files |= other.files
        self.read |= other.read
        self.problems += other.problems
        for kind, names in other.checked.items():
            self.checked[kind] += names


def failures(made: Made, root: Path) -> list[str]:
    """Return all that is wrong: the problems, and each file that is not what it should be."""
    found = list(made.problems)
    for path, text in made.files.items():
        if not stale(path, text):
            continue
        name = path.relative_to(root).as_posix()
        if text is None:
            found.append(f"{name}: is no longer made; delete it, or run `make examples`")
        elif not path.exists():
            found.append(f"{name}: is missing; run `make examples`")
        else:
            line, lines = difference(path.read_text(encoding="utf-8"), text)
            found.append(f"{name}:{line}: is stale; run `make examples`\n{lines}")
    return found


def write(made: Made) -> list[Path]:
    """Write the files that are not what they should be, and return them."""
    written = []
    for path, text in made.files.items():
        changed = path in made.read and path.read_text(encoding="utf-8") != made.read[path]
        if stale(path, text) and not changed:
            if text is None:
                path.unlink()
            else:
                path.write_text(text, encoding="utf-8")
            written.append(path)
    return written
