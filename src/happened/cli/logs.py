"""Layer 7. Structured logs: what the server tells, as text for readers or JSON for programs."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["JsonFormatter", "TextFormatter", "configure_logs"]

_USUAL: Final = frozenset(
    [*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime", "taskName"]
)


def configure_logs(style: str, level: str) -> None:
    """Have the library's log written to standard error, and what other libraries warn of.

    An application that has configured its own log keeps it.

    Args:
        style: ``"text"`` or ``"json"``.
        level: from which level on, ``"info"``.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    own, root = logging.getLogger("happened"), logging.getLogger()
    own.setLevel(level.upper())
    if root.handlers:
        own.addHandler(handler)
        own.propagate = False
    else:
        root.addHandler(handler)


class JsonFormatter(logging.Formatter):
    """A line of JSON for each record: time, level, logger, message, and what else it carries.

    Example:
        >>> import json, logging
        >>> from happened.cli.logs import JsonFormatter
        >>> record = logging.makeLogRecord({"msg": "ready", "storage": "sqlite:///shop.db"})
        >>> json.loads(JsonFormatter().format(record))["storage"]
        'sqlite:///shop.db'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line.

        Args:
            record: what was logged.
        """
        told: dict[str, Any] = {
            "time": _moment(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_more(record),
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """A line of text for each record, and below it the traceback of what failed.

    Example:
        >>> import logging
        >>> from happened.cli.logs import TextFormatter
        >>> record = logging.makeLogRecord(
        ...     {"name": "happened", "levelname": "INFO", "msg": "ready", "workers": 4}
        ... )
        >>> TextFormatter().format(record).split(" ", 2)[2]
        'info     ready workers=4'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line.

        Args:
            record: what was logged.
        """
        moment = f"{_moment(record):%Y-%m-%d %H:%M:%S.%f}"[:-3]
        source = "" if record.name.partition(".")[0] in ("happened", "root") else f"{record.name}: "
        more = "".join(f" {name}={_quoted(value)}" for name, value in _more(record).items())
        line = f"{moment}Z {record.levelname.lower():8} {source}{record.getMessage()}{more}"
        if record.exc_info:
            line += f"\n{self.formatException(record.exc_info)}"
        return line


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _more(record: logging.LogRecord) -> dict[str, Any]:
    """What a record carries beside its text."""
    return {name: value for name, value in vars(record).items() if name not in _USUAL}


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or " " in text or "\n" in text else text
