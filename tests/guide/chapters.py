"""The parts that each chapter's page has, in this order.

1. A title, and below it what the reader will be able to do: a paragraph that says "you can" or
   "you will".
2. Sections, somewhere among them an error as it is printed.
3. ``## The whole program``: a program of the chapter, whole, and its output.
4. ``## What you have learnt``.
5. ``## Exercise``: the task, and as its solution another program of the chapter, whole, and its
   output (in a ``??? success "Solution"`` block).
6. A link to the next chapter; the last links to the reference.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.guide.fences import Fence, Snippet, find_fences, outside
from tests.guide.places import OUTPUT, PROGRAM, Guide

CHAPTERS = {
    "building-blocks/first-event.md": "ch01_first_event",
    "building-blocks/fields-and-value-objects.md": "ch02_fields",
    "building-blocks/entities-and-associations.md": "ch03_entities",
    "building-blocks/invariants.md": "ch04_invariants",
    "building-blocks/commands.md": "ch05_commands",
    "building-blocks/repositories.md": "ch06_repositories",
    "building-blocks/domain-events.md": "ch07_domain_events",
    "building-blocks/event-handlers.md": "ch08_event_handlers",
    "following-events/dispatcher.md": "ch09_dispatcher",
    "following-events/tracing.md": "ch10_tracing",
    "following-events/streams.md": "ch11_streams",
    "following-events/projections.md": "ch12_projections",
    "in-production/server.md": "ch13_server",
    "in-production/storages.md": "ch14_storages",
    "in-production/failures.md": "ch15_failures",
}
"""Each chapter's page below docs, with its folder below docs_src, in the order of reading."""

WHOLE = "The whole program"
LEARNT = "What you have learnt"
EXERCISE = "Exercise"
PROMISE = re.compile(r"\byou (?:can|will|know|write)\b", re.IGNORECASE)
ERROR = re.compile(r"^\s*(?:#> )?[\w.]*(?:Error|ExceptionGroup)\b", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@dataclass
class Part:
    """A part of a page below one heading of the second level."""

    title: str
    text: str = ""
    fences: list[Fence] = field(default_factory=list)

    def whole(self, folder: str, ending: str) -> list[str]:
        """Return the files of a chapter that are shown here whole."""
        snippets = [snippet for fence in self.fences for snippet in fence.snippets]
        return [
            snippet.path
            for snippet in snippets
            if snippet.section is None
            and snippet.path.startswith(f"{folder}/")
            and snippet.path.endswith(ending)
        ]


def parts(text: str) -> list[Part]:
    """Return a page's parts; the first is what stands above the first heading of level two."""
    fences = find_fences(text)
    found = [Part("")]
    starts = [0]
    for number, line in enumerate(outside(text, fences).splitlines(), 1):
        if line.startswith("## "):
            found.append(Part(re.sub(r"\s*\{[^}]*\}\s*$", "", line[3:]).strip()))
            starts.append(number)
        else:
            found[-1].text += f"{line}\n"
    for fence in fences:
        owner = max(index for index, start in enumerate(starts) if start < fence.line)
        found[owner].fences.append(fence)
    return found


def opening(text: str) -> str:
    """Return the paragraph below a page's title."""
    after = re.split(r"^# .+$", text, maxsplit=1, flags=re.MULTILINE)
    blocks = [block.strip() for block in after[-1].split("\n\n")] if len(after) > 1 else []
    return next((block for block in blocks if block), "")


def missing_parts(guide: Guide, page: str, folder: str) -> list[str]:
    """Return what a chapter's page lacks, each with the page's name."""
    path = guide.root / "docs" / page
    if not path.exists():
        return [f"docs/{page}: there is no such page"]
    text = path.read_text(encoding="utf-8")
    found = parts(text)
    by_title = {part.title: part for part in found}
    problems = []
    if not PROMISE.search(opening(found[0].text)):
        problems.append('does not open with what "you can" or "you will" be able to do')
    if not any(ERROR.search(shown(guide, fence)) for part in found for fence in part.fences):
        problems.append("shows no error as it is printed")
    titles = [part.title for part in found if part.title in (WHOLE, LEARNT, EXERCISE)]
    if titles != [WHOLE, LEARNT, EXERCISE]:
        problems.append(f"needs the headings {WHOLE!r}, {LEARNT!r}, {EXERCISE!r}, found {titles}")
    for title in (WHOLE, EXERCISE):
        problems += whole_problems(by_title.get(title, Part(title)), folder)
    programs = [by_title[t].whole(folder, PROGRAM) for t in (WHOLE, EXERCISE) if t in by_title]
    if len(programs) == 2 and programs[0] and programs[0] == programs[1]:
        problems.append("shows the same program as solution of its exercise")
    if LEARNT in by_title and not by_title[LEARNT].text.strip():
        problems.append(f"says nothing under {LEARNT!r}")
    problems += link_problems(page, found)
    return [f"docs/{page}:1: {problem}" for problem in problems]


def whole_problems(part: Part, folder: str) -> list[str]:
    """Return what is missing where a whole program and its output should stand."""
    programs = {Path(name).stem for name in part.whole(folder, PROGRAM)}
    outputs = {Path(name).stem for name in part.whole(folder, OUTPUT)}
    if not programs:
        return [f"shows no whole program of {folder} under {part.title!r}"]
    if not programs & outputs:
        return [f"shows no output of that program under {part.title!r}"]
    return []


def link_problems(page: str, found: list[Part]) -> list[str]:
    """See that the end of a page leads on to the next chapter, the last one to the reference."""
    pages = list(CHAPTERS)
    at = pages.index(page) + 1
    titles = [part.title for part in found]
    last = found[titles.index(EXERCISE) :] if EXERCISE in titles else found[-1:]
    links = [link for part in last for link in LINK.findall(part.text)]
    if at < len(pages):
        target = Path(pages[at]).name
        return (
            [] if any(Path(link).name == target for link in links) else [f"has no link to {target}"]
        )
    return [] if any("reference/" in link for link in links) else ["has no link to the reference"]


def shown(guide: Guide, fence: Fence) -> str:
    """Return what a reader sees in a fence of outputs and answers: files in place of directives."""
    if fence.language not in ("text", "pycon", "python", "console"):
        return ""
    return "\n".join([fence.body, *(text_of(guide, each) for each in fence.snippets)])


def text_of(guide: Guide, snippet: Snippet) -> str:
    """Return a snippet's file; of a program, its comments on what was printed."""
    path = guide.sources / snippet.path
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if path.suffix == PROGRAM:
        return "\n".join(line for line in text.splitlines() if line.lstrip().startswith("#>"))
    return text


def error_page_problems(page: str, classes: list[str]) -> list[str]:
    """Compare the page of errors with the classes of errors.py: a heading or ``:::`` for each."""
    heads = re.findall(r"^(?:#{2,6}|:::) .*?(\w+Error)\b", page, re.MULTILINE)
    missing = [f"has no heading for {name}" for name in classes if name not in heads]
    return missing + [
        f"has a heading for {name}, which is no error" for name in heads if name not in classes
    ]
