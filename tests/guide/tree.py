"""Checks that nothing in docs_src is left over: each file has its program and its page."""

from collections import defaultdict
from pathlib import Path

from tests.guide.fences import SECTION, find_fences, sections
from tests.guide.places import DATA, DIAGRAM, OUTPUT, PROGRAM, SESSIONS, TRACE, Guide
from tests.guide.rules import README_FILES


def shown_on_pages(guide: Guide) -> dict[str, set[str | None]]:
    """Return the files that pages show, each with its sections; None stands for the whole file."""
    shown: dict[str, set[str | None]] = defaultdict(set)
    for page in guide.pages:
        for fence in find_fences(page.read_text(encoding="utf-8")):
            for snippet in fence.snippets:
                shown[snippet.path].add(snippet.section)
    if (guide.root / "README.md").exists():
        for name in README_FILES.values():
            shown[name].add(None)
    return shown


def leftovers(guide: Guide) -> list[str]:
    """Return what is wrong with the files of docs_src, each with its place."""
    shown = shown_on_pages(guide)
    found = []
    for path in guide.files:
        name, inner = guide.name(path), path.relative_to(guide.sources).as_posix()
        made = path.name.endswith((OUTPUT, DIAGRAM, TRACE))
        if path.name.endswith(TRACE):  # it is played where the drawing of the same run is shown
            inner = inner.removesuffix(TRACE) + DIAGRAM
        if len(path.relative_to(guide.sources).parts) == 1:
            found.append(f"{name}: lies in no chapter's folder")
        elif path.suffix not in (PROGRAM, OUTPUT, DIAGRAM, *SESSIONS, *DATA):
            found.append(f"{name}: no rule covers such a file")
        elif made and not program_of(path).exists():
            found.append(f"{name}: there is no program {program_of(path).name} that makes it")
        elif inner not in shown:
            found.append(f"{name}: no page shows it")
        if path.suffix in (PROGRAM, *SESSIONS):
            found += section_problems(path, name, shown[inner])
    return found


def program_of(product: Path) -> Path:
    """Return the program that makes a product: ``shop.flow.mmd`` is made by ``shop.py``."""
    return product.with_name(product.name.split(".")[0] + PROGRAM)


def section_problems(path: Path, name: str, shown: set[str | None]) -> list[str]:
    """Return what is wrong with a file's sections: unshown, twice, or not ended."""
    source = path.read_text(encoding="utf-8")
    found = []
    opened: dict[str, int] = {}
    for number, line in enumerate(source.splitlines(), 1):
        if not (mark := SECTION.search(line)):
            continue
        section = mark["name"]
        if mark["edge"] == "start":
            if sections(source).count(section) > 1:
                found.append(f"{name}:{number}: section {section!r} is marked twice")
            elif section not in shown:
                found.append(f"{name}:{number}: no page shows section {section!r}")
            opened[section] = number
        elif opened.pop(section, None) is None:
            found.append(f"{name}:{number}: section {section!r} ends, but did not start")
    found += [
        f"{name}:{number}: section {section!r} does not end" for section, number in opened.items()
    ]
    return found
