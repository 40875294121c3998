"""Layer 7. How commands show things: tables for readers, JSON for programs."""

import json
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from happened.errors import HappenedError
from happened.replay import Progress as Told

__all__ = [
    "agree",
    "as_json",
    "console",
    "counted",
    "moment",
    "parsed",
    "progress_bar",
    "seconds_since",
    "table",
]


def console(*, stderr: bool = False) -> Console:
    """Return where tables are printed: in colours on a terminal, else as plain text.

    Args:
        stderr: whether to print on standard error.

    Example:
        >>> from happened.cli.display import console
        >>> console().print("ready")
        ready
    """
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def table(*columns: str, numbers: Iterable[str] = ()) -> Table:
    """Return an empty table; long texts go on in the next line, and nothing is cut.

    Args:
        columns: the titles.
        numbers: those of columns that hold numbers.

    Example:
        >>> from happened.cli.display import console, table
        >>> rows = table("stream", "messages", numbers=["messages"])
        >>> rows.add_row("order-7", "2")
        >>> console().print(rows)
        stream   messages
        order-7         2
    """
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in columns:
        right = title in numbers
        made.add_column(title, justify="right" if right else "left", overflow="fold")
    return made


def as_json(value: object) -> None:
    """Print something as JSON in one line, moments in ISO 8601.

    Args:
        value: plain data.

    Example:
        >>> from happened.cli.display import as_json
        >>> as_json({"stream": "order-7"})
        {"stream": "order-7"}
    """
    typer.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def parsed(data: bytes) -> Any:
    """Return stored data as plain data; what is no JSON, as text.

    Args:
        data: what a storage holds of a message.

    Example:
        >>> from happened.cli.display import parsed
        >>> parsed(b'{"copies": 2}'), parsed(b"no JSON")
        ({'copies': 2}, 'no JSON')
    """
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")


def moment(value: datetime) -> str:
    """Return a moment as tables show it, in UTC.

    Args:
        value: an aware moment.

    Example:
        >>> from datetime import UTC, datetime
        >>> from happened.cli.display import moment
        >>> moment(datetime(2026, 12, 24, 18, 30, tzinfo=UTC)).replace(" ", "T")
        '2026-12-24T18:30:00Z'
    """
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one.

    Args:
        number: how many there are.
        noun: what was counted, in the singular.

    Example:
        >>> from happened.cli.display import counted
        >>> counted(1, "message"), counted(2, "message")
        ('1 message', '2 messages')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def seconds_since(value: datetime | None) -> float:
    """Return how long ago a moment was, in seconds; 0 where there is none.

    Args:
        value: an aware moment.

    Example:
        >>> from happened.cli.display import seconds_since
        >>> seconds_since(None)
        0.0
    """
    if value is None:
        return 0.0
    return max(0.0, (datetime.now(UTC) - value).total_seconds())


def agree(question: str, *, yes: bool) -> None:
    """Return once the user has agreed.

    Args:
        question: what is about to be done.
        yes: whether that was said on the command line.

    Raises:
        HappenedError: there is nobody to ask.
        Abort: the user does not agree.

    Example:
        >>> from happened.cli.display import agree
        >>> agree("Discard 3 dead letters?", yes=True)
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise HappenedError(f"{question} There is no terminal to ask on; give --yes to agree")
    typer.confirm(question, abort=True, err=True)


@contextmanager
def progress_bar(title: str) -> Generator[Told]:
    """Show on standard error how far a replay has come; where that is no terminal, nothing.

    Args:
        title: what is done.

    Yields:
        What is to be told how many messages were read, and how many are left.

    Example:
        >>> from happened.cli.display import progress_bar
        >>> with progress_bar("Stock") as told:
        ...     told(200, 50)
    """
    to = console(stderr=True)
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=to, disable=not to.is_terminal) as bar:
        task = bar.add_task(title, total=None)

        def told(done: int, left: int) -> None:
            bar.update(task, completed=done, total=done + left)

        yield told
