"""Sessions with several terminals: what runs in one of them is really started, read and ended."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guide import sessions
from tests.guide.masks import mask
from tests.guide.programs import main
from tests.guide.sessions import SessionError, remake_console
from tests.guide.small import SHOWN, Small
from tests.guide.terminals import Terminal

SERVER = """\
import os, signal, sys, time

def leave(number, frame):
    if "deaf" not in sys.argv:
        print("stopped")
        sys.exit()

signal.signal(signal.SIGTERM, leave)
signal.signal(signal.SIGINT, leave)
os.mkfifo("orders") if not os.path.exists("orders") else None
inbox = os.fdopen(os.open("orders", os.O_RDWR), "r")
print(f"ready pid={os.getpid()}", file=sys.stderr)
for line in inbox:
    print(f"handled {line.strip()} took={time.perf_counter():.3f}")
    if "bad" in line:
        raise KeyError(line.strip())
"""

SESSION = """\
$ echo before
before

(server) $ python server.py
ready pid=1
$ echo o1 > orders
$ echo o2 > orders; echo placed
placed
(server)
handled o1 took=0.1
handled o2 took=0.1
(server) ^C
stopped
"""

KILLED = """\
(server) $ python server.py
ready pid=1
$ kill -9 $server
(server)
(server) $ python server.py
ready pid=2
$ echo o3 > orders
(server)
handled o3 took=0.1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "server.py").write_text(SERVER, encoding="utf-8")
    return tmp_path


def alive(folder: Path) -> list[str]:
    """The processes that run in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.parametrize("session", [SESSION, KILLED], ids=["interrupted", "killed"])
def test_a_session_with_two_terminals_says_what_each_printed(folder: Path, session: str) -> None:
    made = remake_console(session, folder)
    assert mask(made) == mask(session)
    assert "pid=1\n" not in made
    assert alive(folder) == []


def test_a_line_that_is_shown_several_times_must_come_as_often(folder: Path) -> None:
    session = SESSION.replace("o2", "o1")
    assert mask(remake_console(session, folder)) == mask(session)
    once = session.replace("; echo placed\nplaced", "").replace("$ echo o1 > orders\n", "", 1)
    with pytest.raises(SessionError, match=r"did not reach the line 'handled o1 took=0\.1'"):
        limited(once, folder, "handled o1")


def limited(session: str, folder: Path, last: str) -> str:
    """Run a session; once a terminal has printed the last that it prints, more is soon given up."""
    take = Terminal.take

    def soon(self: Terminal, enough: Callable[[str], int | None], limit: float) -> str | None:
        with self._changed:
            self._changed.wait_for(
                lambda: self.ended or last in self._text or enough(self.new) is not None, limit
            )
        return take(self, enough, 0.5)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Terminal, "take", soon)
        return remake_console(session, folder)


WRONG = {
    "a line that never comes": (
        SESSION.replace("handled o2 took=0.1", "handled o3"),
        "handled o2",
        11,
        "did not reach the line 'handled o3'.*handled o2",
    ),
    "a look at nothing": ("(server)\nready\n", "", 1, "nothing was started in a terminal 'server'"),
    "a look that waits for no line": (
        "(server) $ python server.py\nready pid=1\n(server)\n",
        "ready",
        3,
        "did not reach its end",
    ),
    "a terminal that is busy": (
        "(server) $ python server.py\nready pid=1\n(server) $ python server.py\n",
        "ready",
        3,
        "'.server. . python server.py' still runs there",
    ),
    "a failure that is not shown": (
        SESSION[: SESSION.index("$ echo o1")].partition("\n\n")[2]
        + "$ echo bad > orders; tail --pid=$server -f /dev/null\n(server)\nhandled bad took=0.1\n",
        "KeyError",
        1,
        "fails where the session does not show it: KeyError: 'bad'",
    ),
}


@pytest.mark.parametrize("session, last, line, text", WRONG.values(), ids=WRONG)
def test_a_wrong_session_is_caught_by_its_line_and_leaves_nothing_running(
    folder: Path, session: str, last: str, line: int, text: str
) -> None:
    with pytest.raises(SessionError, match=f"(?s){text}") as raised:
        limited(session, folder, last)
    assert raised.value.line == line
    assert alive(folder) == []


def test_what_does_not_end_when_asked_is_caught_and_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.guide.terminals.STOP_LIMIT", 0.5)
    with pytest.raises(SessionError, match="does not end by SIGTERM"):
        remake_console("(server) $ python server.py deaf\nready pid=1\n", folder)
    assert alive(folder) == []


def test_a_program_that_ended_shows_all_that_it_printed(folder: Path) -> None:
    made = remake_console('(server) $ python -c "print(1); print(2)"\nready\n', folder)
    assert made == '(server) $ python -c "print(1); print(2)"\n1\n2\n'


def test_what_the_terminals_print_is_made_by_make_examples_and_compared(small: Small) -> None:
    small.write(
        "docs_src/ch01_shop/server.py",
        SERVER.replace("\ndef leave", "\nif not sys.argv[1:]:\n    sys.exit()\n\ndef leave"),
    )
    text = SESSION.replace("server.py", "server.py go").replace("\nbefore\n", "\n", 1)
    marked = text.replace("\n(server)\n", "\n# --8<-- [start:later]\n(server)\n")
    small.write("docs_src/ch01_shop/session.console", f"{marked}# --8<-- [end:later]\n")
    small.page(
        *SHOWN.values(),
        '``` python\n--8<-- "ch01_shop/server.py"\n```\n',
        '``` console\n--8<-- "ch01_shop/session.console"\n```\n',
        '``` console\n--8<-- "ch01_shop/session.console:later"\n```\n',
        f"``` console\n{text}```\n",
    )
    assert main(small.root) == 0
    assert small.problems() == []
    assert "$ echo before\nbefore\n" in small.read("docs/shop.md")
    small.write(
        "docs_src/ch01_shop/session.console",
        small.read("docs_src/ch01_shop/session.console").replace("\nplaced\n", "\npaid\n"),
    )
    assert "docs_src/ch01_shop/session.console" in small.problem()


def test_a_database_in_a_file_does_not_outlive_its_run(small: Small) -> None:
    program = (
        "import sqlite3\nfrom contextlib import closing\n\n"
        'with closing(sqlite3.connect("shelf.db")) as shelf, shelf:\n'
        '    shelf.execute("CREATE TABLE IF NOT EXISTS book (title)")\n'
        "    shelf.execute(\"INSERT INTO book VALUES ('x')\")\n"
        '    print(shelf.execute("SELECT count(*) FROM book").fetchone()[0])\n'
    )
    small.write("docs_src/ch01_shop/stores.py", program)
    small.page(
        *SHOWN.values(),
        '``` python\n--8<-- "ch01_shop/stores.py"\n```\n',
        '``` text\n--8<-- "ch01_shop/stores.out"\n```\n',
        "``` console\n$ python stores.py\n$ python stores.py\n```\n",
    )
    assert main(small.root) == 0
    assert main(small.root) == 0
    assert small.read("docs_src/ch01_shop/stores.out") == "1\n"
    assert "$ python stores.py\n1\n$ python stores.py\n2\n" in small.read("docs/shop.md")
    assert not list(small.root.rglob("*.db"))
    left = small.write("docs_src/ch01_shop/shelf.db", "what a run by hand left")
    assert small.problem() == "docs_src/ch01_shop/shelf.db: no rule covers such a file"
    left.unlink()


def test_sessions_see_no_service_that_they_did_not_ask_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATS_URL", "nats://127.0.0.1:1")
    assert remake_console("$ env | grep -c _URL=\n", folder).endswith("\n0\n")
    (folder / "stores.py").write_text("# needs: postgres\n", encoding="utf-8")
    assert sessions.services("$ python stores.py\n", folder) == ["postgres"]
    assert sessions.services("$ happened server stores:shelf\n", folder) == ["postgres"]
    assert sessions.services("$ psql $POSTGRES_URL\n$ echo $NATS_URL\n", folder) == [
        "postgres",
        "nats",
    ]
    assert sessions.services("$ python server.py\n", folder) == []
    assert os.environ["NATS_URL"]
