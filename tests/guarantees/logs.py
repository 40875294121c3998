"""What handlers wrote outside of their transactions, when they began and when they ended."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """What a handler wrote at one moment."""

    moment: str
    handler: str
    stream: str
    position: int
    pid: int

    @property
    def place(self) -> tuple[str, str]:
        """What one message at a time may pass."""
        return self.handler, self.stream


class Log:
    """The file that ``TRADE_LOG`` names, see `tests.guarantees.programs.trade`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    @property
    def lines(self) -> list[Line]:
        text, _, _ = self.path.read_text(encoding="utf-8").rpartition("\n")  # the last may be half
        rows = [each.split() for each in text.splitlines()]
        return [
            Line(moment, handler, stream, int(position), int(pid))
            for moment, handler, stream, position, pid in rows
        ]

    def open_of(self, pid: int) -> list[Line]:
        """What one process has begun and not ended."""
        found: dict[tuple[str, str], Line] = {}
        for line in self.lines:
            if line.pid == pid and line.moment == "begin":
                found[line.place] = line
            elif line.pid == pid:
                found.pop(line.place, None)
        return list(found.values())

    def begun_again(self, left: list[Line]) -> bool:
        """Whether other processes have begun with all that one of them has left behind."""
        begun = {(line[1:4], line.pid) for line in self.lines if line.moment == "begin"}
        return all(
            any(what == each[1:4] and pid != each.pid for what, pid in begun) for each in left
        )

    @property
    def repeated(self) -> int:
        """How many messages a handler began with more than once."""
        begun = Counter(line[1:4] for line in self.lines if line.moment == "begin")
        return sum(count > 1 for count in begun.values())

    def at_once(self, gone: set[int]) -> int:
        """How often a handler began with a message of a stream while it was at another one.

        Args:
            gone: processes that were killed: what they had begun ended with them.
        """
        busy: dict[tuple[str, str], Line] = {}
        found = 0
        for line in self.lines:
            if line.moment == "end":
                busy.pop(line.place, None)
                continue
            other = busy.get(line.place)
            found += other is not None and other.pid not in gone
            busy[line.place] = line
        return found
