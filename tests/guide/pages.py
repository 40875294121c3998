"""Checks a page's fences by the table of rules, and makes what stands in them again."""

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pytest_examples import CodeExample

from tests.guide import sessions
from tests.guide.census import fences_that_the_site_shows
from tests.guide.comments import unclaimed, with_comments
from tests.guide.fences import (
    Fence,
    Snippet,
    as_copied,
    directives,
    find_fences,
    outside,
    replace_body,
    sections,
)
from tests.guide.made import Made
from tests.guide.places import PROGRAM, SESSIONS, Guide
from tests.guide.products import chapter_of, wait
from tests.guide.rules import README_FILES, Rule, rule_for
from tests.guide.running import Workplace, line_of, said, scratch
from tests.guide.services import absent, flags, places


class Page:
    """One page while it is made: its fences in order, and the namespace that they share."""

    def __init__(self, guide: Guide, path: Path) -> None:
        self.guide = guide
        self.path = path
        self.name = guide.name(path)
        self.text = path.read_text(encoding="utf-8")
        self.fences = find_fences(self.text)
        self.made = Made(read={path: self.text})
        self.bodies: dict[int, str] = {}
        self.shown: list[Path] = []
        self.environment = dict(os.environ)
        self.rooms: dict[str, dict[str, str]] = {}
        self.leaving = ExitStack()

    def variables(self, services: list[str]) -> dict[str, str]:
        """Return the variables of services; the page's sessions share one place in each."""
        for name in services:
            if name not in self.rooms:
                room = places([name], self.path.stem, self.environment)
                self.rooms[name] = self.leaving.enter_context(room)
        return {key: value for name in services for key, value in self.rooms[name].items()}

    def problem(self, line: int, text: str) -> None:
        """Note what is wrong at a line of the page."""
        self.made.problems.append(f"{self.name}:{line}: {text}")

    def chapters(self) -> list[Path]:
        """Return the folders whose programs and sessions the page shows, in order."""
        files = [
            self.guide.sources / snippet.path
            for fence in self.fences
            for snippet in fence.snippets
            if snippet.path.endswith((PROGRAM, *SESSIONS))
        ]
        return list(dict.fromkeys(chapter_of(self.guide, file) for file in files if file.is_file()))


def make_page(guide: Guide, path: Path) -> Made:
    """Check every fence of a page and return the page as it should be."""
    page = Page(guide, path)
    check_census(page)
    check_outside(page)
    with (
        page.leaving,
        scratch(*page.chapters()) as folder,
        scratch(*page.chapters()) as shell,
        Workplace(folder) as place,
    ):
        for fence in page.fences:
            check_fence(page, fence, place, shell)
    text = page.text
    for fence in reversed(page.fences):
        if fence.line in page.bodies and page.bodies[fence.line] != fence.body:
            text = replace_body(text, fence, page.bodies[fence.line])
    page.made.files[path] = text
    page.made.checked["pages"].append(page.name)
    return page.made


def check_census(page: Page) -> None:
    """See that the site's Markdown finds the same fences as we do, and no other code."""
    seen = fences_that_the_site_shows(page.text)
    ours = len([fence for fence in page.fences if fence.closed])
    if seen.fences != ours:
        page.problem(1, f"the site shows {seen.fences} fences here, the page seems to have {ours}")
    if seen.other:
        page.problem(
            1, f"{seen.other} code blocks without a fence (indented, or in HTML): write a fence"
        )


def check_outside(page: Page) -> None:
    """See that what is included outside the fences is Markdown that brings no fence."""
    for line, snippet in directives(outside(page.text, page.fences)):
        found = [base / snippet.path for base in (page.guide.sources, page.guide.root)]
        file = next((file for file in found if file.is_file()), None)
        if file is None:
            page.problem(line, f"{snippet.path}: there is no such file")
        elif file.suffix != ".md" or find_fences(file.read_text(encoding="utf-8")):
            page.problem(
                line, f"{snippet.path}: outside a fence, only Markdown without fences is included"
            )


def check_fence(page: Page, fence: Fence, place: Workplace, shell: Path) -> None:
    """Check one fence by its rule, and note it as checked."""
    if page.path == page.guide.root / "README.md" and fence.language in README_FILES:
        check_copy(page, fence)
        return
    rule = rule_for(fence)
    if rule is None:
        page.problem(fence.line, f"no rule covers this fence: {why_not(fence)}")
        return
    there = [check_snippet(page, fence, snippet) for snippet in fence.snippets]
    if rule.endings == (PROGRAM,) and all(there):
        page.shown += [page.guide.sources / snippet.path for snippet in fence.snippets]
    if not rule.endings and rule.kind in TYPED_CHECKS:
        waiting = len(page.made.waiting["fences"])
        TYPED_CHECKS[rule.kind](page, fence, place, shell)
        if len(page.made.waiting["fences"]) > waiting:
            return
    note(page, fence, rule)


def note(page: Page, fence: Fence, rule: Rule) -> None:
    """Note a fence as checked."""
    page.made.checked["fences"].append(f"{page.name}:{fence.line}")
    page.made.checked[f"fences, {rule.kind}"].append(f"{page.name}:{fence.line}")


def why_not(fence: Fence) -> str:
    """Say what a reader of the rules needs to know of a fence that none covers."""
    if not fence.closed:
        return f"```{fence.info} is never closed"
    if fence.snippets and fence.typed:
        return f"```{fence.info} mixes snippets with lines typed on the page"
    if fence.snippets:
        return f"```{fence.info} with {', '.join(snippet.path for snippet in fence.snippets)}"
    return f"```{fence.info} typed on the page"


def check_snippet(page: Page, fence: Fence, snippet: Snippet) -> bool:
    """See that a snippet's file and section exist."""
    file = page.guide.sources / snippet.path
    if not file.is_file():
        page.problem(fence.line, f"{snippet.path}: there is no such file in docs_src")
        return False
    known = sections(file.read_text(encoding="utf-8"))
    if snippet.section is not None and snippet.section not in known:
        page.problem(fence.line, f"{snippet.path}: there is no section {snippet.section!r}")
        return False
    return True


def check_copy(page: Page, fence: Fence) -> None:
    """Compare a fence of README.md with the file that it is a copy of."""
    file = page.guide.sources / README_FILES[fence.language]
    if not file.is_file():
        page.problem(
            fence.line, f"{README_FILES[fence.language]}: there is no such file in docs_src"
        )
        return
    page.bodies[fence.line] = as_copied(file.read_text(encoding="utf-8"))
    kind = "python from a program" if fence.language == "python" else "output"
    note(page, fence, Rule(kind, (fence.language,), (file.suffix,), "a copy, compared"))


def bring_in(page: Page, place: Workplace) -> None:
    """Give the page's namespace the names of the programs shown so far, as an import gives them."""
    for path in page.shown:
        if "needs" in flags(path.read_text(encoding="utf-8")):
            continue
        folder = path.relative_to(chapter_of(page.guide, path)).parent
        module = ".".join([*folder.parts, path.stem])
        run = place.run(compile(f"from {module} import *", page.name, "exec"))
        file = getattr(sys.modules.get(module), "__file__", None)
        if run.error is not None and "raises" not in flags(path.read_text(encoding="utf-8")):
            page.problem(1, f"cannot import {path.name}: {said(run.error).strip()}")
        elif file and not file.startswith(str(place.folder)):
            page.problem(1, f"another module is called {module}: give {path.name} another name")
    page.shown.clear()


def check_python(page: Page, fence: Fence, place: Workplace, _: Path) -> None:
    """Run a block after what stands above it, and compare its prints."""
    bring_in(page, place)
    try:
        code = compile("\n" * fence.line + fence.body, page.name, "exec", dont_inherit=True)
    except SyntaxError as error:
        page.problem(error.lineno or fence.line, f"is no Python: {error.msg}")
        return
    run = place.run(code)
    if run.error is not None:
        line = line_of(run.error, page.name) or fence.line
        page.problem(line, f"raised {said(run.error).strip()}")
        return
    if run.err:
        page.problem(fence.line, f"wrote to standard error: {run.err.strip()}")
    for statement in run.prints:
        statement.line_no -= fence.line
    example = CodeExample.create(fence.body, path=page.path, start_line=fence.line)
    for line in unclaimed(example, run.prints):
        page.problem(fence.line + line, "this #> comment follows no print that ran")
    page.bodies[fence.line] = with_comments(example, run.prints, every=True)


def check_pycon(page: Page, fence: Fence, place: Workplace, _: Path) -> None:
    """Run an interactive session after what stands above it, and compare its answers."""
    bring_in(page, place)
    try:
        page.bodies[fence.line] = sessions.remake_pycon(fence.body, place, page.name)
    except sessions.SessionError as error:
        page.problem(fence.line + error.line, str(error))


def check_console(page: Page, fence: Fence, _: Workplace, shell: Path) -> None:
    """Run a shell session in the page's scratch folder, and compare what it printed."""
    try:
        wanted = sessions.services(fence.body, shell)
        if why := absent(wanted, page.environment):
            wait(page.made, page.name, fence.line, why)
            page.made.waiting["fences"].append(f"{page.name}:{fence.line}")
            return
        variables = page.variables(wanted)
        page.bodies[fence.line] = sessions.remake_console(fence.body, shell, variables)
    except sessions.SessionError as error:
        page.problem(fence.line + error.line, str(error))


TYPED_CHECKS: dict[str, Callable[[Page, Fence, Workplace, Path], None]] = {
    "python inline": check_python,
    "pycon": check_pycon,
    "console": check_console,
}
"""How the body of a fence that is typed on the page is checked, by kind of rule."""
