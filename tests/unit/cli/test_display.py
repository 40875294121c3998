"""How commands show things."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from happened.cli import display

Captured = pytest.CaptureFixture[str]


def test_there_are_no_colours_where_there_is_no_terminal(capsys: Captured) -> None:
    rows = display.table("stream", "messages", numbers=["messages"])
    rows.add_row("[bold]order-7[/bold] :smile:", "2")
    display.console().print(rows)
    assert capsys.readouterr().out == (
        "stream                        messages\n[bold]order-7[/bold] :smile:         2\n"
    )


def test_long_texts_go_on_in_the_next_line(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    rows = display.table("stream")
    rows.add_row("x" * 30)
    display.console().print(rows)
    assert capsys.readouterr().out.split() == ["stream", "x" * 20, "x" * 10]


def test_how_long_ago_a_moment_was() -> None:
    now = datetime.now(UTC)
    assert 60 <= display.seconds_since(now - timedelta(minutes=1)) < 120
    assert display.seconds_since(now + timedelta(minutes=1)) == 0


def test_how_far_a_replay_has_come_is_shown_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, width=80)
    monkeypatch.setattr(display, "console", lambda *, stderr: terminal)
    with display.progress_bar("Totals") as told:
        told(200, 50)
    assert "200/250" in written.getvalue()
