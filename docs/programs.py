"""The guide's programs as a reader gets them: the text, its sections, and what goes with it.

The site's build writes what these functions make of `docs_src`; `docs/hooks.py` shows the same
lines on the pages.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HIGHLIGHT = re.compile(r"[ \t]*#[ \t]*\(!\)[ \t]*$")
ANNOTATION = re.compile(r"[ \t]*#[ \t]*\(\d+\)!")
FOR_TOOLS = re.compile(
    r"[ \t]*#[ \t]*(?:noqa\b|type:[ \t]*ignore|pyright:|ruff:|mypy:|pragma:|needs:|raises:|fmt:)"
    r"[^#\n]*(?P<next>#?)"
)
SECTION = re.compile(
    r"--8<--[ \t]+\[[ \t]*(?P<edge>start|end)[ \t]*:[ \t]*(?P<name>[\w-]+)[ \t]*\]"
)
MADE = (".out", ".mmd", ".trace.json")  # what a run of a program makes

THREADS = "starts threads, which a page has not"
SERVER = "starts a server, which works in threads"
POSTGRES = "needs PostgreSQL"
PART = "prints nothing by itself: a session beside it, or another program, loads it"
NOT_RUNNABLE = {
    "ch05_commands/retries": THREADS,
    "ch10_tracing/threads": THREADS,
    "ch13_server/bookshop": PART,
    "ch13_server/inside": SERVER,
    "ch13_server/loop": THREADS,
    "ch13_server/packing": PART,
    "ch14_storages/lending": PART,
    "ch14_storages/parcels": SERVER,
    "ch14_storages/with_psycopg": POSTGRES,
    "ch14_storages/with_sqlalchemy": POSTGRES,
    "ch15_failures/conflicts": THREADS,
    "ch15_failures/exercise": SERVER,
    "ch15_failures/idempotent": SERVER,
    "ch15_failures/labels": PART,
    "ch15_failures/new_release": PART,
    "ch15_failures/old_release": PART,
    "ch15_failures/place": PART,
    "ch15_failures/postage": PART,
    "ch15_failures/unknown": SERVER,
    "changing_fields/first_release": PART,
    "changing_fields/no_care": PART,
    "changing_fields/renamed": PART,
    "changing_fields/second_release": PART,
    "testing/bookshop": PART,
    "testing/conftest": PART,
    "testing/test_bookshop": PART,
    "testing/web": THREADS,
}
"""The programs that do not run in a page, by chapter and name, and why; all others do."""


@dataclass(frozen=True)
class Line:
    """A line of a program as a reader sees it.

    Attributes:
        number: Where it stands among the lines it was taken from, from 0.
        text: The line, without what is meant for tools.
        highlighted: Whether the program's writer marked it.
    """

    number: int
    text: str
    highlighted: bool


def lines_shown(program: list[str], *, annotated: bool) -> list[Line]:
    """What a reader sees of some lines of a program.

    Annotations, ``# (1)!``, are left in place where the list that explains them follows.
    """
    lines: list[Line] = []
    for number, line in enumerate(program):
        text = HIGHLIGHT.sub("", line)
        highlighted = text != line
        text = text if annotated else ANNOTATION.sub("", text)
        without = FOR_TOOLS.sub(lambda found: f"  {found['next']}", text).rstrip()
        if without != text and (not without.strip() or without.strip() == "#"):
            continue
        if (
            not without.strip()
            and len(lines) > 1
            and not any(one.text.strip() for one in lines[-2:])
        ):
            continue
        lines.append(Line(number, without, highlighted))
    while lines and not lines[0].text.strip():
        lines.pop(0)
    while lines and not lines[-1].text.strip():
        lines.pop()
    return lines


def reader_copy(source: str) -> tuple[str, dict[str, tuple[int, int]]]:
    """A program without marks of any kind, and the first and last line of each of its sections."""
    written = source.splitlines()
    kept = [number for number, line in enumerate(written) if not SECTION.search(line)]
    lines = lines_shown([written[number] for number in kept], annotated=False)
    sections = {}
    for name, (start, end) in marked(written).items():
        inside = [
            number
            for number, line in enumerate(lines, 1)
            if start < kept[line.number] < end and line.text.strip()
        ]
        if inside:
            sections[name] = (inside[0], inside[-1])
    return "".join(f"{line.text}\n" for line in lines), sections


def marked(written: list[str]) -> dict[str, tuple[int, int]]:
    """Where the marks of each section stand, by its name."""
    edges: dict[str, dict[str, int]] = {}
    for number, line in enumerate(written):
        if found := SECTION.search(line):
            edges.setdefault(found["name"], {}).setdefault(found["edge"], number)
    return {name: (edge["start"], edge.get("end", len(written))) for name, edge in edges.items()}


def runnable(docs_src: Path) -> dict[str, Path]:
    """The programs that run in a page, by chapter and name."""
    found = {
        path.relative_to(docs_src).with_suffix("").as_posix(): path
        for path in sorted(docs_src.glob("*/*.py"))
    }
    return {name: path for name, path in found.items() if name not in NOT_RUNNABLE}


def beside(path: Path) -> dict[str, Path]:
    """The files of its folder that a program imports or names, and those that these do, in turn."""
    found: dict[str, Path] = {}
    waiting = [path]
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop().read_text(encoding="utf-8"))):
            for name in names_in(node):
                file = path.parent / name
                if name in found or file == path or not file.is_file() or name.endswith(MADE):
                    continue
                found[name] = file
                waiting += [file] if file.suffix == ".py" else []
    return dict(sorted(found.items()))


def names_in(node: ast.AST) -> list[str]:
    """The files that a part of a program may mean."""
    if isinstance(node, ast.Import):
        return [f"{alias.name}.py" for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.py"]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value] if re.fullmatch(r"[\w.-]+\.\w+", node.value) else []
    return []


def set_up(text: str, sections: dict[str, tuple[int, int]]) -> tuple[int, int] | None:
    """The lines above a program's first section or class that only prepare it, if they are many."""
    last = 0
    for statement in ast.parse(text).body:
        if not isinstance(statement, ast.Import | ast.ImportFrom | ast.Expr | ast.Assign):
            break
        if isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant):
            break
        end = statement.end_lineno or last
        if any(first <= end for first, _ in sections.values()):
            break
        last = end
    return (1, last) if last > 2 else None


def as_data(path: Path) -> dict[str, Any]:
    """Everything that a page needs to show, edit and run a program."""
    text, sections = reader_copy(path.read_text(encoding="utf-8"))
    output, trace = path.with_suffix(".out"), path.with_suffix(".trace.json")
    return {
        "name": path.name,
        "text": text,
        "sections": sections,
        "files": {
            name: reader_copy(file.read_text(encoding="utf-8"))[0]
            if file.suffix == ".py"
            else file.read_text(encoding="utf-8")
            for name, file in beside(path).items()
        },
        "output": output.read_text(encoding="utf-8") if output.exists() else "",
        "trace": json.loads(trace.read_text(encoding="utf-8")) if trace.exists() else None,
        "foldable": set_up(text, sections),
    }


def write_programs(docs_src: Path, folder: Path) -> None:
    """Write each program that runs in a page into a folder, and its data beside it."""
    for name, path in runnable(docs_src).items():
        data = as_data(path)
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.with_suffix(".py").write_text(data["text"], encoding="utf-8")
        target.with_suffix(".json").write_text(
            json.dumps(data, ensure_ascii=False, separators=(",", ":")), encoding="utf-8"
        )
