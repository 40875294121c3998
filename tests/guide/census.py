"""Counts what there is to check, from the files alone: no check runs here, none is believed.

Fences are counted by the site's own Markdown, which knows nothing of `tests.guide.fences`.
"""

import ast
import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import markdown  # type: ignore[import-untyped]
from pymdownx.superfences import highlight_validator  # type: ignore[import-untyped]

from tests.guide.fences import find_fences
from tests.guide.made import Made
from tests.guide.places import DIAGRAM, OUTPUT, Guide
from tests.guide.rules import SESSION_KINDS, rule_for


@dataclass(frozen=True)
class Seen:
    """What the site makes of a page: its fences, by language, and other blocks of code."""

    fences: int
    other: int
    languages: tuple[tuple[str, int], ...]


@cache
def fences_that_the_site_shows(text: str) -> Seen:
    """Return what the site's Markdown finds on a page, front matter left out."""
    languages: Counter[str] = Counter()

    def seen(_source: str, language: str, *_: Any, **__: Any) -> str:
        languages[language or ""] += 1
        return "<p>fence</p>"

    body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    html = markdown.markdown(
        body,
        extensions=[
            "admonition",
            "attr_list",
            "def_list",
            "footnotes",
            "md_in_html",
            "tables",
            "pymdownx.details",
            "pymdownx.superfences",
            "pymdownx.tabbed",
        ],
        extension_configs={
            "pymdownx.superfences": {
                "disable_indented_code_blocks": False,
                "custom_fences": [
                    {"name": "*", "class": "*", "format": seen, "validator": highlight_validator}
                ],
            },
            "pymdownx.tabbed": {"alternate_style": True},
        },
    )
    other = len(re.findall(r"<pre\b", html))
    return Seen(languages.total(), other, tuple(sorted(languages.items())))


def docstrings_with_examples(package: Path) -> list[str]:
    """Return each docstring below a package that holds an example, as ``module:line``."""
    found = []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node, clean=False) or ""
                if re.search(r"^\s*>>> ", text, re.MULTILINE):
                    line = node.body[0].lineno
                    found.append(f"{path.relative_to(package.parent).as_posix()}:{line}")
    return found


def census(guide: Guide) -> dict[str, Counter[str]]:
    """Return what there is, by kind, as counts by name."""
    fences = {
        guide.name(page): fences_that_the_site_shows(page.read_text(encoding="utf-8"))
        for page in guide.pages
    }
    package = guide.root / "src" / "happened"
    return {
        "pages": Counter(guide.name(page) for page in guide.pages),
        "fences": Counter({name: seen.fences + seen.other for name, seen in fences.items()}),
        "programs": Counter(map(guide.name, guide.programs)),
        "session files": Counter(map(guide.name, guide.sessions)),
        "outputs": Counter(map(guide.name, guide.with_suffix(OUTPUT))),
        "diagrams": Counter(map(guide.name, guide.with_suffix(DIAGRAM))),
        "traces": Counter(map(guide.name, guide.traces)),
        "data files": Counter(map(guide.name, guide.data)),
        "docstring examples": Counter(docstrings_with_examples(package)),
    }


def figures(guide: Guide) -> dict[str, int]:
    """Return the guide's counts, for the page that shows them; fences also by their kind."""
    counts = {kind: names.total() for kind, names in census(guide).items()}
    kinds: Counter[str] = Counter()
    for page in guide.pages:
        for fence in find_fences(page.read_text(encoding="utf-8")):
            rule = rule_for(fence)
            kinds[rule.kind if rule else "copy on README.md"] += 1
    counts["sessions"] = sum(kinds[kind] for kind in SESSION_KINDS)
    return counts | {f"fences, {kind}": kinds[kind] for kind in sorted(kinds)}


def make_figures(guide: Guide) -> Made:
    """Return the guide's counts as data and as a table, as their files should hold them."""
    made = Made()
    if guide.sources.is_dir():
        counts = figures(guide)
        made.files[guide.figures] = json.dumps(counts, indent=2) + "\n"
        rows = "".join(f"| {kind} | {count} |\n" for kind, count in counts.items() if count)
        made.files[guide.figures.with_suffix(".md")] = (
            f"| checked | how many |\n| --- | ---: |\n{rows}"
        )
    return made
