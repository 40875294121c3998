"""Make a release's section of CHANGELOG.md from the files in changes.

Example:
    python -m tools.changelog          prints what the next release has so far
    python -m tools.changelog 0.2.0    writes it into CHANGELOG.md, and empties changes
"""

import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
KINDS = ("added", "changed", "fixed", "removed")
UNRELEASED = "## Unreleased\n\nEach change is a file in `changes` until the release.\n"


def fragments(folder: Path) -> list[Path]:
    """The files of the changes that no release has yet.

    Raises:
        ValueError: a file is not named after a kind of change, or holds nothing.
    """
    paths = sorted(folder.glob("*.md"))
    for path in paths:
        if path.name.partition("-")[0] not in KINDS:
            raise ValueError(f"{path}: the name must begin with one of {', '.join(KINDS)}, and a -")
        if not path.read_text(encoding="utf-8").strip():
            raise ValueError(f"{path}: holds nothing")
    return paths


def section(title: str, paths: Iterable[Path]) -> str:
    """A section of the changelog: a heading, and a list for each kind of change there is."""
    parts = [f"## {title}\n"]
    for kind in KINDS:
        own = [path for path in paths if path.name.startswith(f"{kind}-")]
        texts = [path.read_text(encoding="utf-8").strip().replace("\n", "\n  ") for path in own]
        if texts:
            parts.append(f"### {kind.capitalize()}\n")
            parts.append("".join(f"- {text}\n" for text in texts))
    return "\n".join(parts)


def release(version: str, root: Path) -> None:
    """Write the section of a release below the unreleased one, and remove its files.

    Raises:
        ValueError: it is no version, or a file is not as it should be.
    """
    if not re.fullmatch(r"\d+(\.\d+)+\w*", version):
        raise ValueError(f"{version!r} is no version; give one, such as 0.2.0")
    changelog = root / "CHANGELOG.md"
    before, mark, after = changelog.read_text(encoding="utf-8").partition(UNRELEASED)
    if not mark:
        raise ValueError(f"{changelog}: the section for what is unreleased is not as expected")
    paths = fragments(root / "changes")
    new = section(f"{version} ({datetime.now(UTC):%Y-%m-%d})", paths)
    changelog.write_text(f"{before}{mark}\n{new}{after}", encoding="utf-8")
    for path in paths:
        path.unlink()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        release(sys.argv[1], ROOT)
    else:
        print(section("Unreleased", fragments(ROOT / "changes")))
