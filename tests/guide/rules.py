"""The table of fences: what may stand on a page, and what checks it."""

from dataclasses import dataclass

from tests.guide.fences import BLOCK_DIRECTIVE, Fence
from tests.guide.places import DIAGRAM, OUTPUT, PROGRAM

PYTHON = ("python", "py")
TYPED = ()


@dataclass(frozen=True)
class Rule:
    """One row: fences of these languages, whose body comes from files with these endings."""

    kind: str
    languages: tuple[str, ...]
    endings: tuple[str, ...]
    check: str


LOADED = "a program of its folder opens the file while it runs"

RULES = (
    Rule("python from a program", PYTHON, (PROGRAM,), "the program is run, its output compared"),
    Rule("python inline", PYTHON, TYPED, "run after what stands above it, its prints compared"),
    Rule("pycon", ("pycon",), TYPED, "each input run, each answer compared"),
    Rule("pycon", ("pycon",), (".pycon",), "each input run, each answer compared"),
    Rule("console", ("console",), TYPED, "each command run, what it printed compared"),
    Rule("console", ("console",), (".console",), "each command run, what it printed compared"),
    Rule("output", ("text",), (OUTPUT,), "made again by its program and compared"),
    Rule("diagram, drawn", ("mermaid",), (DIAGRAM,), "drawn again by its program and compared"),
    Rule("diagram, by hand", ("mermaid",), TYPED, "a concept; the browser tests render it"),
    Rule("toml", ("toml",), (".toml",), LOADED),
    Rule("json", ("json",), (".json",), LOADED),
    Rule("yaml", ("yaml", "yml"), (".yaml", ".yml"), LOADED),
    Rule("sql", ("sql",), (".sql",), LOADED),
    Rule("html", ("html",), (".html",), LOADED),
)
"""Every kind of fence there is. A fence that no row covers fails."""

SESSION_KINDS = ("pycon", "console")
"""The kinds of fences that are sessions."""

README_FILES = {
    "python": "ch01_first_event/first_event.py",
    "text": "ch01_first_event/first_event.out",
}
"""README.md is read where snippets do not work: its fences are copies, compared with these."""


def rule_for(fence: Fence) -> Rule | None:
    """Return the row that covers a fence, or None."""
    if not fence.closed or any(BLOCK_DIRECTIVE.match(line) for line in fence.body.splitlines()):
        return None
    for rule in RULES:
        if fence.language in rule.languages and covers(rule, fence):
            return rule
    return None


def covers(rule: Rule, fence: Fence) -> bool:
    """Tell whether a fence's body comes from where the rule says."""
    if rule.endings == TYPED:
        return not fence.snippets and bool(fence.body.strip())
    return (
        not fence.typed
        and bool(fence.snippets)
        and all(snippet.path.endswith(rule.endings) for snippet in fence.snippets)
    )
