"""Where the guide's parts lie below a root folder."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PROGRAM = ".py"
OUTPUT = ".out"
DIAGRAM = ".mmd"
TRACE = ".trace.json"
SESSIONS = (".console", ".pycon")
DATA = (".toml", ".json", ".yaml", ".yml", ".sql", ".html")
FIGURES = "figures.json"
GUARANTEES = "guarantees.json"


@dataclass(frozen=True)
class Guide:
    """A guide: its pages in ``docs`` and ``README.md``, its programs in ``docs_src``."""

    root: Path

    @property
    def sources(self) -> Path:
        """The folder of the programs."""
        return self.root / "docs_src"

    @cached_property
    def pages(self) -> list[Path]:
        """Every page, README.md last."""
        readme = self.root / "README.md"
        return sorted((self.root / "docs").rglob("*.md")) + [readme] * readme.exists()

    @cached_property
    def files(self) -> list[Path]:
        """Every file of a chapter's folder, caches and the packages' markers left out."""
        return sorted(
            path
            for path in self.sources.rglob("*")
            if path.is_file()
            and path.with_suffix(".json") not in (self.figures, self.guarantees)
            and not ignored(path.relative_to(self.sources))
        )

    @property
    def figures(self) -> Path:
        """The file that holds the guide's counts; a table of them lies beside it."""
        return self.sources / FIGURES

    @property
    def guarantees(self) -> Path:
        """The file that holds how many tests each guarantee has; their table lies beside it."""
        return self.sources / GUARANTEES

    @property
    def programs(self) -> list[Path]:
        """Every program."""
        return self.with_suffix(PROGRAM)

    @property
    def sessions(self) -> list[Path]:
        """Every session that has a file of its own."""
        return self.with_suffix(*SESSIONS)

    @property
    def data(self) -> list[Path]:
        """Every file that a program loads."""
        return [path for path in self.with_suffix(*DATA) if path not in self.traces]

    @property
    def traces(self) -> list[Path]:
        """Every recorded run that a page plays."""
        return [path for path in self.with_suffix(".json") if path.name.endswith(TRACE)]

    @property
    def sources_to_run(self) -> list[Path]:
        """Everything below docs_src that is run, or loaded by what is run; programs first."""
        return self.programs + self.sessions + self.data

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """Return the files that end so and lie in a chapter's folder."""
        return [
            path for path in self.files if path.suffix in suffixes and path.parent != self.sources
        ]

    def name(self, path: Path) -> str:
        """Return a file's name as messages and counts use it: its path below the root."""
        return path.relative_to(self.root).as_posix()


def ignored(path: Path) -> bool:
    """Tell whether a file is none of the guide's: a cache, hidden, a marker, ruff's settings."""
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    return hidden or path.name in ("__init__.py", "py.typed") or path == Path("ruff.toml")
