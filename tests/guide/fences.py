"""Finds every fence on a page, as the site's Markdown does: at any depth, ``` or ~~~.

Pure functions on a page's text; `tests.guide.census` counts the same fences by another way.
"""

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

OPENING = re.compile(r"^(?P<indent>[ \t]*(?:>[ \t]*)*)(?P<fence>`{3,}|~{3,})(?P<info>.*)$")
DIRECTIVE = re.compile(r"""^[ \t]*-+8<-+[ \t]+(?P<quote>["'])(?P<target>.+?)(?P=quote)[ \t]*$""")
BLOCK_DIRECTIVE = re.compile(r"^[ \t]*-+8<-+[ \t]*$")
SECTION = re.compile(
    r"-+8<-+[ \t]+\[[ \t]*(?P<edge>start|end)[ \t]*:[ \t]*(?P<name>[\w-]+)[ \t]*\]"
)
MARK = re.compile(r"[ \t]*#[ \t]*\((?:!|\d+)\)!?[ \t]*$", re.MULTILINE)
"""A highlight ``# (!)`` or an annotation ``# (1)!`` at the end of a line."""


@dataclass(frozen=True)
class Snippet:
    """What a snippet directive names: a file below docs_src, and one of its sections."""

    path: str
    section: str | None = None


@dataclass(frozen=True)
class Fence:
    """One fence on a page; lines count from 1, `line` is the opening one."""

    line: int
    end: int
    indent: str
    info: str
    body: str
    closed: bool = True
    snippets: list[Snippet] = field(default_factory=list)

    @property
    def language(self) -> str:
        """The language: the first word, or the first ``.class`` between braces."""
        words = split(self.info)
        classes = [word for word in words if word.startswith(".")]
        if self.info.startswith("{"):
            words = classes
        return words[0].lstrip(".") if words else ""

    @property
    def typed(self) -> bool:
        """Whether somebody wrote at least a part of the body on the page."""
        lines = [line for line in self.body.splitlines() if line.strip()]
        return len(lines) != len(self.snippets)


def split(info: str) -> list[str]:
    """Return an info string's words, without its braces."""
    text = info.strip(" {}").replace("{", " ")
    try:
        return shlex.split(text)
    except ValueError:  # a quote that is not closed
        return text.split()


def find_fences(text: str) -> list[Fence]:
    """Return the fences of a page in order; one that is never closed ends with the page."""
    lines = text.splitlines()
    fences: list[Fence] = []
    at = 0
    while at < len(lines):
        opening = OPENING.match(lines[at])
        if opening is None or (opening["fence"][0] == "`" and "`" in opening["info"]):
            at += 1
            continue
        end = closing(lines, at + 1, opening["indent"], opening["fence"])
        closed = end is not None
        end = len(lines) if end is None else end
        body = dedent(lines[at + 1 : end], opening["indent"])
        fences.append(
            Fence(
                line=at + 1,
                end=end + 1,
                indent=opening["indent"],
                info=opening["info"].strip(),
                body=body,
                closed=closed,
                snippets=[snippet for _, snippet in directives(body)],
            )
        )
        at = end + 1
    return fences


def closing(lines: list[str], start: int, indent: str, fence: str) -> int | None:
    """Return the index of the line that closes a fence."""
    close = re.compile(
        rf"^{re.escape(indent.rstrip())}[ \t]*{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$"
    )
    return next((index for index in range(start, len(lines)) if close.match(lines[index])), None)


def dedent(lines: list[str], indent: str) -> str:
    """Return a fence's lines without the indentation that its opening line has."""
    quoted = indent.rstrip()
    stripped = []
    for line in lines:
        if line.startswith(indent):
            stripped.append(line[len(indent) :])
        else:
            stripped.append(
                line[len(quoted) :].lstrip() if line.startswith(quoted) else line.lstrip()
            )
    return "".join(f"{line}\n" for line in stripped)


def replace_body(text: str, fence: Fence, body: str) -> str:
    """Return the page with another body in this fence, indented as the fence is."""
    lines = text.splitlines(keepends=True)
    lines[fence.line : fence.end - 1] = [
        textwrap.indent(line, fence.indent) if line.strip() else fence.indent.rstrip() + line
        for line in body.splitlines(keepends=True)
    ]
    return "".join(lines)


def directives(text: str) -> Iterator[tuple[int, Snippet]]:
    """Yield each snippet directive with its line, counted from 1."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := DIRECTIVE.match(line):
            path, _, section = found["target"].partition(":")
            yield number, Snippet(path, section or None)


def outside(text: str, fences: list[Fence]) -> str:
    """Return a page's text with its fences blanked out, line by line."""
    lines = text.splitlines()
    for fence in fences:
        lines[fence.line - 1 : fence.end] = [""] * (min(fence.end, len(lines)) - fence.line + 1)
    return "\n".join(lines)


def sections(source: str) -> list[str]:
    """Return the names of the sections that a source file marks."""
    found = (SECTION.search(line) for line in source.splitlines())
    return [mark["name"] for mark in found if mark and mark["edge"] == "start"]


def without_section_marks(source: str) -> str:
    """Return what the site shows of a whole file: everything but its section marks."""
    return "".join(line for line in source.splitlines(keepends=True) if not SECTION.search(line))


def as_copied(source: str) -> str:
    """Return what a reader copies: no section marks, highlights or annotations."""
    return MARK.sub("", without_section_marks(source))
