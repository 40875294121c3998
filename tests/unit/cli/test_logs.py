"""How the server's log is written."""

import json
import logging

import pytest

from happened.cli.logs import JsonFormatter, TextFormatter, configure_logs

Captured = pytest.CaptureFixture[str]


def configure(style: str, level: str) -> None:
    """Configure the log as in a process in which nobody has; pytest has, for its reports."""
    logging.getLogger().handlers[:] = []
    configure_logs(style, level)


def fail() -> None:
    raise KeyError("no\naddress")


def test_json_has_what_was_logged_and_the_traceback(capsys: Captured) -> None:
    configure("json", "info")
    try:
        fail()
    except KeyError as error:
        logging.getLogger("happened.server").warning(
            "a handler %s", "failed", extra={"stream": "order-7", "attempts": 2}, exc_info=error
        )
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    told = json.loads(line)
    assert told.pop("time").endswith("+00:00")
    assert told.pop("traceback").endswith("KeyError: 'no\\naddress'")
    assert told == {
        "level": "warning",
        "logger": "happened.server",
        "message": "a handler failed",
        "stream": "order-7",
        "attempts": 2,
    }


def test_text_is_a_line_and_the_traceback(capsys: Captured) -> None:
    configure("text", "debug")
    try:
        fail()
    except KeyError as error:
        logging.getLogger("happened.server").error(
            "dead letter", extra={"reason": "two words", "handler": "ship"}, exc_info=error
        )
    first, *traceback = capsys.readouterr().err.splitlines()
    assert first.split(" ", 2)[2] == 'error    dead letter reason="two words" handler=ship'
    assert traceback[0] == "Traceback (most recent call last):"


def test_the_level_is_that_of_the_library_alone(capsys: Captured) -> None:
    configure("text", "warning")
    logging.getLogger("happened.server").info("ready")
    logging.getLogger("shop").info("no")
    logging.getLogger("shop").warning("low stock")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("warning  shop: low stock")


def test_an_application_that_has_configured_its_log_keeps_it(capsys: Captured) -> None:
    kept: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record.getMessage())

    root = logging.getLogger()
    root.addHandler(Keeping())
    configure_logs("text", "info")
    logging.getLogger("shop").warning("low stock")
    logging.getLogger("happened.server").info("ready")
    assert kept == ["low stock"]
    assert capsys.readouterr().err.endswith("info     ready\n")


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_whatever_a_record_carries_is_one_line(formatter: logging.Formatter) -> None:
    told = {"name": "happened", "msg": "lost", "reason": "two\nlines", "error": ValueError()}
    record = logging.makeLogRecord(told)
    assert len(formatter.format(record).splitlines()) == 1
