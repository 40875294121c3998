"""Keeps ``#>`` comments true: pytest-examples finds where each print's comment belongs.

Only its collecting of prints is replaced: it takes a snapshot of the whole stack for each print,
which costs more than most programs. Its rewriting of tracebacks is not used either: it builds code
objects by hand, on Python 3.11 with a line table in the old format, and pytest, reading that, ends
the whole run with an internal error.
"""

import re
from pathlib import Path

from pytest_examples import CodeExample
from pytest_examples.config import ExamplesConfig
from pytest_examples.run_code import (
    InsertPrintStatements,
    MockPrintFunction,
    PrintStatement,
    find_print_location,
)

COMMENT = re.compile(r"^ *#>(?: |$)")
BARE = re.compile(r"^( *#>)$", re.MULTILINE)
PADDED = re.compile(r"^( *#>) +$", re.MULTILINE)
ANY_LENGTH = 10_000
PAGE_LENGTH = 88


def with_comments(example: CodeExample, prints: list[PrintStatement], *, every: bool) -> str:
    """Return an example's source with a true comment below each print that asks for one.

    Args:
        example: The code that ran.
        prints: What it printed, by line.
        every: Whether each print asks for a comment, as on a page; else those that have one do.
    """
    original, source = example.source, BARE.sub(r"\1 ", example.source)
    example = CodeExample.create(source, path=example.path, start_line=example.start_line)
    if not every:
        marked = {statement.line_no for statement in prints if has_comment(example, statement)}
        prints = [statement for statement in prints if statement.line_no in marked]
    if not prints:
        return original
    config = ExamplesConfig(line_length=PAGE_LENGTH if every else ANY_LENGTH)
    inserting = InsertPrintStatements(example.path, config, False, None, None)
    inserting.print_func = MockPrintFunction(Path(example.path), None)
    # It inserts from the last print to the first: in the order of lines, not of the run.
    inserting.print_func.statements = sorted(prints, key=lambda statement: statement.line_no)
    new = inserting.updated_print_statements(example)
    return PADDED.sub(r"\1", source if new is None else new)


def has_comment(example: CodeExample, statement: PrintStatement) -> bool:
    """Tell whether a ``#>`` comment stands below a print."""
    line, _ = find_print_location(example, statement.line_no)
    below = example.source.splitlines()[line : line + 1]
    return bool(below and COMMENT.match(below[0]))


def unclaimed(example: CodeExample, prints: list[PrintStatement]) -> list[int]:
    """Return the lines, from 1, of ``#>`` comments that follow no print that ran."""
    lines = example.source.splitlines()
    claimed: set[int] = set()
    for statement in prints:
        line, _ = find_print_location(example, statement.line_no)
        while line < len(lines) and COMMENT.match(lines[line]):
            line += 1
            claimed.add(line)
    return [
        number
        for number, line in enumerate(lines, 1)
        if COMMENT.match(line) and number not in claimed
    ]


def several_lines(example: CodeExample, prints: list[PrintStatement]) -> list[int]:
    """Return the lines of commented prints that printed more than one line."""
    return [
        statement.line_no
        for statement in prints
        if "\n" in str(statement) and has_comment(example, statement)
    ]
