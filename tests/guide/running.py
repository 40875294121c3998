"""Runs code as a reader would: in a folder of its own, with nothing left over before or after.

Code runs in this process, so that a small program takes milliseconds, but in a thread of its own:
there no event loop runs, no context variable is set, and a program that hangs is noticed.
"""

import builtins
import contextvars
import importlib
import io
import linecache
import logging
import os
import shutil
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from pytest_examples.run_code import Arg, PrintStatement

from tests.guide.places import ignored
from tests.guide.services import VARIABLES

LIMIT = 60.0
"""Seconds after which running code counts as hanging."""

LEFT_OUT = (".out", ".mmd", ".trace.json", ".db", ".db-shm", ".db-wal")
"""Endings of what is made by running: products, and databases that somebody's own run left."""

importlib.import_module("happened.server")
"""It silences its log when it is imported, which happens once: before any place saves the log."""

LOGGERS = (logging.getLogger(), logging.getLogger("happened"))


@dataclass
class Run:
    """What became of a piece of code.

    Attributes:
        out: What it wrote to standard output.
        err: What it wrote to standard error.
        prints: Its own calls of `print`, by line, as pytest-examples wants them.
        error: What it raised.
    """

    out: str = ""
    err: str = ""
    prints: list[PrintStatement] = field(default_factory=list)
    error: BaseException | None = None


@contextmanager
def scratch(*folders: Path) -> Iterator[Path]:
    """Give a new folder that holds copies of these folders' files, but of nothing that was made."""
    with tempfile.TemporaryDirectory(prefix="happened-", ignore_cleanup_errors=True) as name:
        target = Path(name).resolve()
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                inner = path.relative_to(folder)
                if path.is_file() and not ignored(inner) and not path.name.endswith(LEFT_OUT):
                    (target / inner).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, target / inner)
        yield target


QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}


def environment() -> dict[str, str]:
    """Return the environment that programs and sessions see: no settings of ours, no service."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("HAPPENED_", "PYTEST_", "COV_")) and k not in VARIABLES
    }
    return (
        kept
        | {"NO_COLOR": "1", "COLUMNS": "80", "TERM": "dumb", "PYTHONDONTWRITEBYTECODE": "1"}
        | QUIET
    )


class Workplace:
    """A state of this process in which code runs as if it were alone; leaving it restores all."""

    def __init__(
        self,
        folder: Path,
        argv: list[str] | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.main = ModuleType("__main__")
        self.context = contextvars.Context()
        self.opened: set[Path] = set()
        self._argv = argv or [""]
        self._variables = variables or {}

    def run(self, code: CodeType) -> Run:
        """Run code in ``__main__`` and say what became of it."""
        return self.call(lambda: exec(code, self.main.__dict__), code.co_filename)

    def call(self, action: Callable[[], object], file: str) -> Run:
        """Call a function and say what became of it; this file's prints are noted by line."""
        out, err, result = io.StringIO(), io.StringIO(), Run()
        streams = sys.stdout, sys.stderr, sys.stdin
        printed = builtins.print

        def note(*args: Any, **options: Any) -> None:
            frame = sys._getframe(1)
            if frame.f_code.co_filename == file and options.get("file") in (None, out):
                separator = options.get("sep")
                result.prints.append(
                    PrintStatement(
                        frame.f_lineno,
                        " " if separator is None else separator,
                        [Arg(arg) for arg in args],
                    )
                )
            printed(*args, **options)

        def work() -> None:
            try:
                self.context.run(action)
            except SystemExit as leaving:
                result.error = None if leaving.code in (None, 0) else leaving
            except BaseException as error:  # noqa: BLE001 - whatever it is, the caller says it
                result.error = error

        sys.stdout, sys.stderr, sys.stdin = out, err, io.StringIO()
        builtins.print = note
        try:
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            thread.join(LIMIT)
            if thread.is_alive():
                result.error = TimeoutError(f"did not end within {LIMIT:.0f} seconds")
        finally:
            builtins.print = printed
            sys.stdout, sys.stderr, sys.stdin = streams
        result.out, result.err = out.getvalue(), err.getvalue()
        return result

    def __enter__(self) -> "Workplace":
        self._saved = (
            Path.cwd(),
            sys.argv,
            sys.path[:],
            sys.modules["__main__"],
            dict(os.environ),
            tempfile.tempdir,
            [(logger, logger.handlers[:], logger.level) for logger in LOGGERS],
            sys.dont_write_bytecode,
        )
        self._known = set(sys.modules)
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("error")
        os.chdir(self.folder)
        sys.argv = self._argv
        sys.path.insert(0, str(self.folder))
        sys.modules["__main__"] = self.main
        sys.dont_write_bytecode = True
        variables = environment() | self._variables
        os.environ.clear()
        os.environ.update(variables)
        tempfile.tempdir = str(self.folder)
        logging.getLogger().handlers[:] = []
        logging.getLogger().setLevel(logging.WARNING)
        watch_opening()
        WATCHED.append(self.opened)
        return self

    def __exit__(self, *_: object) -> None:
        WATCHED.remove(self.opened)
        cwd, sys.argv, sys.path[:], main, variables, tempfile.tempdir, loggers, cache = self._saved
        os.chdir(cwd)
        sys.modules["__main__"] = main
        sys.dont_write_bytecode = cache
        os.environ.clear()
        os.environ.update(variables)
        for logger, handlers, level in loggers:
            logger.handlers[:] = handlers
            logger.setLevel(level)
        self._warnings.__exit__(None, None, None)
        inside = f"{self.folder}{os.sep}"
        for name in [each for each in sys.modules if each not in self._known]:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(inside):
                del sys.modules[name]
        for file in [each for each in linecache.cache if each.startswith(inside)]:
            del linecache.cache[file]


WATCHED: list[set[Path]] = []
"""Sets that take note of each file that is opened."""


@cache
def watch_opening() -> None:
    """Begin to note opened files; an audit hook stays for as long as the process lives."""

    def note(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and WATCHED and isinstance(args[0], str):
            WATCHED[-1].add(Path(args[0]).absolute())

    sys.addaudithook(note)


def line_of(error: BaseException, file: str) -> int | None:
    """Return the last line of this file that an error went through."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == file
    ]
    return lines[-1] if lines else None


def said(error: BaseException) -> str:
    """Return a traceback's last lines, as Python prints them."""
    return "".join(traceback.format_exception_only(error))


def short_traceback(error: BaseException, indent: str) -> str:
    """Return a traceback as it is shown in the guide, the frames left out, as doctest does."""
    return f"Traceback (most recent call last):\n{indent}...\n{said(error)}"
