"""Runs programs one after the other, each as ``python name.py`` would run it in a new process.

The worker of the guide's pages calls `run` with Pyodide, the tests with CPython, too. What a
program leaves behind (modules, patches, loggers, variables, files) is undone before the next.
"""

import asyncio
import atexit
import contextvars
import gc
import io
import json
import linecache
import logging
import os
import random
import socket
import sys
import tempfile
import threading
import time
import traceback
import warnings
from asyncio import events
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from happened.recording import Recording

CHARACTERS = 100_000
LINES = 2_000
"""How much a program may print."""

CALLS = 300
"""How deep calls may go: with Pydantic between them, a browser's stack holds 300, but not 400."""

SHOWN = 60
LONGEST = 500
"""How many lines of a traceback are shown, and how much of a line; the middle is left out."""

OURS = {"happened", "pydantic", __name__, *sys.stdlib_module_names}
"""What a program may patch, for itself alone."""

PATCHABLE = 1 << 9
"""The flag of a class whose attributes can be set: Py_TPFLAGS_HEAPTYPE."""

IN_PAGE = sys.platform == "emscripten"

NO_THREADS = "threads cannot start in a web page; download the program and run it with Python"
NO_NETWORK = "a program in a web page has no network"
NO_INPUT = (
    "nobody can be asked for input in a web page; "
    "write the answer into the program, or download it and run it with Python"
)
NO_MODULE = (
    "Here are the standard library, Pydantic, Happened, and the files that belong to this program. "
    "To use other packages, download the program and run it with Python."
)
MISSING = {
    "subprocess": "Other programs cannot be started in a web page.",
    "multiprocessing": "Processes cannot be started in a web page.",
    "getpass": "Nobody can be asked for a password in a web page; write it into the program.",
}
"""What to say of an error that came out of these modules."""

Write = Callable[[str, str], object]
"""Takes ``"out"`` or ``"err"``, and text."""


class TooMuchOutput(BaseException):
    """A program printed more than is shown; no ``except Exception`` of its own stops it."""


class Paper:
    """What a program may print, on both streams together."""

    def __init__(self, write: Write) -> None:
        self.full = False
        self._write = write
        self._characters, self._lines = CHARACTERS, LINES

    def print(self, stream: str, text: str) -> None:
        """Print what there is room for.

        Raises:
            TooMuchOutput: there is no room left.
        """
        kept = "".join(text.splitlines(keepends=True)[: self._lines])[: self._characters]
        self._characters -= len(kept)
        self._lines -= kept.count("\n")
        if kept:
            self._write(stream, kept)
        if kept != text:
            self.full = True
            raise TooMuchOutput


class Printer(io.RawIOBase):
    """The end of a standard stream: prints bytes on paper."""

    def __init__(self, paper: Paper, stream: str) -> None:
        self.name = f"<std{stream}>"
        self._paper = paper
        self._stream = stream

    def writable(self) -> bool:
        """Say that it takes bytes."""
        return True

    def write(self, data: Any) -> int:
        """Print bytes; a stream gives whole characters."""
        self._paper.print(self._stream, bytes(data).decode("utf-8", "replace"))
        return len(data)


class Nobody(io.TextIOBase):
    """Standard input where nobody types."""

    def read(self, size: int | None = -1, /) -> NoReturn:
        """Refuse."""
        raise EOFError(NO_INPUT)

    def readline(self, size: int = -1, /) -> NoReturn:  # type: ignore[override]
        """Refuse, and so does `input`."""
        raise EOFError(NO_INPUT)


class Pause:
    """What an event loop here waits with: nothing comes from outside, only time passes."""

    def select(self, timeout: float | None) -> list[object]:
        """Wait some seconds.

        Raises:
            RuntimeError: there is no time to wait for, and nothing else will ever happen.
        """
        if timeout is None:
            raise RuntimeError("everything here waits for something that nothing will do")
        time.sleep(max(timeout, 0))
        return []

    def close(self) -> None:
        """Do nothing."""


class Loop(asyncio.BaseEventLoop):
    """An event loop without network or threads, so that `asyncio.run` works in any browser."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = Pause()

    def _process_events(self, event_list: list[object]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def run_in_executor(self, *_: Any) -> NoReturn:  # type: ignore[override]
        """Refuse: there are no threads."""
        raise RuntimeError(NO_THREADS)


class Policy:
    """Makes event loops, and knows the current one, as asyncio's own policy does."""

    _loop: asyncio.AbstractEventLoop | None = None

    def get_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return the current loop, if there is one."""
        if self._loop is None:
            raise RuntimeError("There is no current event loop")
        return self._loop

    def set_event_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Set the current loop."""
        self._loop = loop

    def new_event_loop(self) -> Loop:
        """Make a loop."""
        return Loop()


def refuse(*_: object, **__: object) -> NoReturn:
    """Say clearly what Pyodide says with "can't start new thread"."""
    raise RuntimeError(NO_THREADS)


def disconnect(*_: object, **__: object) -> NoReturn:
    """Refuse to look a host up, which Pyodide pretends to do."""
    raise OSError(NO_NETWORK)


def run(request: str, write: Write) -> str:
    """Run a program to its end.

    Args:
        request: a `Program` of protocol.ts, as JSON.
        write: called with what the program prints, line by line.

    Returns:
        What protocol.ts calls `Ended`, as JSON.
    """
    program = json.loads(request)
    paper, recordings = Paper(write), list[Recording]()
    with workplace(program, paper, recordings) as script:
        error, status = contextvars.Context().run(execute, program["text"], script)
        ended: dict[str, Any] = {"ok": error is None and not paper.full and not status}
        if paper.full:
            ended["error"] = too_much(error, script)
        elif error is not None:
            ended["error"] = failure(error, script)
        elif status:
            ended["status"] = status
        if program["record"] and recordings:
            with suppress(Exception):  # a message of the program's own that cannot tell its data
                ended["trace"] = json.loads(json.dumps(recordings[-1].to_dicts()))
        del error, recordings[:]
    return json.dumps(ended)


def execute(text: str, script: Path) -> tuple[BaseException | None, int]:
    """Run a program as ``__main__``, then what it left for its exit.

    Returns:
        What was raised, and the status that the program left with.
    """
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__file__ = str(script)
    leaving: list[Callable[[], object]] = []
    status = 0

    def register(call: Callable[..., Any], *args: Any, **named: Any) -> Callable[..., Any]:
        leaving.append(partial(call, *args, **named))
        return call

    atexit.register = register  # type: ignore[assignment]

    def run_main() -> None:
        nonlocal status
        try:
            exec(  # noqa: S102 - this is what it is for
                compile(text, script, "exec", dont_inherit=True), main.__dict__
            )
        except SystemExit as leave:
            status = status_of(leave)
            raise

    raised = attempt(run_main)
    while leaving:
        raised = attempt(leaving.pop()) or raised
    out = getattr(sys, "stdout", None)  # none, if the program wanted silence
    if out is None or getattr(out, "closed", False):
        return raised, status
    unwritten = attempt(getattr(out, "flush", lambda: None))
    return raised or unwritten, status


def status_of(leave: SystemExit) -> int:
    """Return the exit status that Python gives its process; a text is printed, and means 1."""
    if leave.code is None:
        return 0
    return leave.code & 0xFF if isinstance(leave.code, int) else 1


def attempt(action: Callable[[], object]) -> BaseException | None:
    """Call a function and return what it raised; to leave is no failure."""
    try:
        action()
    except SystemExit as leave:
        if leave.code is not None and not isinstance(leave.code, int):
            return attempt(partial(print, leave.code, file=sys.stderr))  # as Python does
    except BaseException as error:  # noqa: BLE001 - whatever it is, the reader is told
        return error
    return None


def failure(error: BaseException, script: Path) -> dict[str, object]:
    """Describe what a program raised as Python does, without the frames of this file."""
    described = traceback.TracebackException.from_exception(error)
    hide_frames(described)
    text = "".join(described.format()).replace(f"{script.parent}{os.sep}", "")
    lines = [line[:LONGEST] for line in text.splitlines()]
    if len(lines) > SHOWN:
        left_out = f"  ... {len(lines) - SHOWN} lines are left out here ..."
        lines[SHOWN // 2 : -SHOWN // 2] = [left_out]
    if said := advice(error):
        lines += ["", said]
    return {"name": type(error).__name__, "text": "\n".join(lines), "line": line_of(error, script)}


def hide_frames(described: traceback.TracebackException) -> None:
    """Leave out the frames of this file, here and in everything that led to it."""
    described.stack[:] = [frame for frame in described.stack if frame.filename != __file__]
    others = [described.__cause__, described.__context__, *(described.exceptions or ())]
    for other in others:
        if other is not None:
            hide_frames(other)
    if not described.stack and issubclass(described.exc_type or object, SyntaxError):
        described.stack = None  # type: ignore[assignment] # no heading for what has no frames


def line_of(error: BaseException, script: Path) -> int | None:
    """Return the last line of the program that an error went through."""
    if isinstance(error, SyntaxError) and error.filename == str(script):
        return error.lineno
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == str(script)]
    return lines[-1] if lines else None


def advice(error: BaseException) -> str | None:
    """Say what a page lacks, if that is why an error was raised."""
    cause: BaseException | None = error
    seen: set[int] = set()  # causes may form a circle
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, RecursionError):
            return f"In a web page, calls may go {CALLS} deep; elsewhere usually 1,000."
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            package = cause.name.partition(".")[0]
            if package in sys.stdlib_module_names:
                return f"{package} needs what a web page does not have."
            return NO_MODULE if package not in sys.modules else None
        if isinstance(cause, OSError | EOFError):
            for frame, _ in traceback.walk_tb(cause.__traceback__):
                module = frame.f_globals.get("__name__", "").partition(".")[0]
                if module in MISSING:
                    return MISSING[module]
        cause = cause.__cause__ or cause.__context__
    return None


def too_much(error: BaseException | None, script: Path) -> dict[str, object]:
    """Describe that a program printed more than is shown."""
    return {
        "name": TooMuchOutput.__name__,
        "text": f"Stopped: a program may print {LINES:,} lines and {CHARACTERS:,} characters here.",
        "line": line_of(error, script) if error is not None else None,
    }


@contextmanager
def workplace(program: dict[str, Any], paper: Paper, recordings: list[Recording]) -> Iterator[Path]:
    """Give a program's file, in a new folder and in a state that is undone afterwards."""
    with ExitStack() as undo:
        made = tempfile.TemporaryDirectory(prefix="run-", ignore_cleanup_errors=True)
        folder = Path(undo.enter_context(made)).resolve()
        for name, text in {**program["files"], program["name"]: program["text"]}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="replace", newline="")
        undo.callback(linecache.clearcache)
        for kept in (patches(), modules(folder), variables(), loggers(), noted(recordings)):
            undo.enter_context(kept)
        undo.enter_context(warnings.catch_warnings())
        undo.callback(os.chdir, Path.cwd())
        undo.callback(sys.setrecursionlimit, sys.getrecursionlimit())
        undo.callback(events._set_running_loop, events._get_running_loop())
        undo.callback(sys.settrace, sys.gettrace())
        undo.callback(sys.setprofile, sys.getprofile())
        undo.callback(gc.enable)

        os.chdir(folder)
        sys.argv = [program["name"]]
        sys.path[:0] = [str(folder)]
        sys.dont_write_bytecode = True
        sys.setrecursionlimit(CALLS)
        sys.stdin = Nobody()
        sys.stdout = out = printing(paper, "out", "strict")
        sys.stderr = err = printing(paper, "err", "backslashreplace")
        tempfile.tempdir = str(folder)
        random.seed()
        events._event_loop_policy = Policy()  # type: ignore[attr-defined]
        events._set_running_loop(None)
        if IN_PAGE:
            threading._start_joinable_thread = refuse  # type: ignore[attr-defined]
            socket.getaddrinfo = disconnect
            asyncio.run = asyncio.runners.run  # Pyodide's own goes through its own loop
        yield folder / program["name"]

        if main := sys.modules.get("__main__"):
            vars(main).clear()
        gc.collect()  # what a dying object says still belongs to this run
        with suppress(TooMuchOutput, ValueError):  # or it is closed
            out.flush()
            err.flush()


def printing(paper: Paper, stream: str, errors: str) -> io.TextIOWrapper:
    """Make a standard stream that prints on paper, line by line as in a terminal."""
    return io.TextIOWrapper(Printer(paper, stream), "utf-8", errors, line_buffering=True)


@contextmanager
def patches() -> Iterator[None]:
    """Undo what is patched in the modules of `OURS`, and in the classes that they name."""
    found = [module for name, module in sys.modules.items() if name.partition(".")[0] in OURS]
    before = [(vars(module), vars(module).copy()) for module in found if type(module) is ModuleType]
    named = {id(each): each for _, then in before for each in then.values() if can_be_patched(each)}
    classes = [(each, dict(vars(each))) for each in named.values()]
    try:
        yield
    finally:
        for now, then in before:
            now.update(then)
        for patched, attributes in classes:
            undo_patches(patched, attributes)


def can_be_patched(each: object) -> bool:
    """Tell whether something is a class that was written in Python."""
    return isinstance(each, type) and bool(each.__flags__ & PATCHABLE)


def undo_patches(patched: type, attributes: dict[str, Any]) -> None:
    """Give a class the attributes that it had, and no others that a program may have added."""
    for name in [each for each in vars(patched) if each not in attributes]:
        if not name.startswith("__"):
            type.__delattr__(patched, name)
    for name, value in attributes.items():
        if vars(patched).get(name, patches) is not value:
            type.__setattr__(patched, name, value)


@contextmanager
def modules(folder: Path) -> Iterator[None]:
    """Undo what is changed in where modules are found, and forget those of the program."""
    before, lists = sys.modules.copy(), (sys.path, sys.meta_path, sys.path_hooks)
    contents = [each[:] for each in lists]
    try:
        yield
    finally:
        for each, content in zip(lists, contents, strict=True):
            each[:] = content  # type: ignore[index]
        for name in sys.modules.keys() - before.keys():
            if came_from(folder, sys.modules[name]):
                del sys.modules[name]
        sys.modules.update(before)
        for place in [each for each in sys.path_importer_cache if each.startswith(str(folder))]:
            del sys.path_importer_cache[place]


def came_from(folder: Path, module: ModuleType) -> bool:
    """Tell whether a module is the program's own: from its folder, or made by hand."""
    spec = getattr(module, "__spec__", None)
    if spec is None:
        return True
    places = [spec.origin, *(spec.submodule_search_locations or ())]
    return any(str(place).startswith(str(folder)) for place in places)


@contextmanager
def variables() -> Iterator[None]:
    """Undo what is changed in the environment's variables."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def loggers() -> Iterator[None]:
    """Undo what is set up for logging; a logger that is new keeps its name and nothing else."""
    plain = settings(logging.Logger("new"))  # noqa: LOG001 - of nobody
    before = {each: settings(each) for each in all_loggers()}
    disabled = logging.root.manager.disable
    try:
        yield
    finally:
        logging.disable(disabled)
        for each in all_loggers():
            level, each.propagate, each.disabled, handlers, filters = before.get(each, plain)
            each.setLevel(level)
            each.handlers[:], each.filters[:] = handlers, filters


def all_loggers() -> list[logging.Logger]:
    """Return the root logger and every one that has a name."""
    found = logging.root.manager.loggerDict.values()
    return [logging.root, *(each for each in found if isinstance(each, logging.Logger))]


def settings(each: logging.Logger) -> tuple[int, bool, bool, list[Any], list[Any]]:
    """Return what is set up for a logger."""
    return each.level, each.propagate, each.disabled, each.handlers[:], each.filters[:]


@contextmanager
def noted(recordings: list[Recording]) -> Iterator[None]:
    """Collect the recordings that are made."""
    make = Recording.__init__

    def note(self: Recording, *args: Any, **named: Any) -> None:
        make(self, *args, **named)
        recordings.append(self)

    Recording.__init__ = note  # type: ignore[method-assign]
    try:
        yield
    finally:
        Recording.__init__ = make  # type: ignore[method-assign]
