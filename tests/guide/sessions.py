"""Runs interactive and shell sessions again, and writes down what they answer.

A shell session can show several terminals. Its commands run one after another, but
``(server) $ happened server shelf:shelf`` starts a program in a terminal of its own, named server,
and the session goes on when that terminal has printed the last line that the page shows below the
command. A line ``(server)`` looks at the terminal again, and shows what it has printed since, up to
the last line that the page shows below. ``(server) ^C`` interrupts what runs there, and shows the
rest. The other commands find the number of its process in ``$server``, as for ``kill -9 $server``.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.guide.fences import SECTION
from tests.guide.masks import mask
from tests.guide.running import Run, Workplace, environment, short_traceback
from tests.guide.services import VARIABLES, needs
from tests.guide.terminals import STOP_LIMIT, Shell, Terminal

COMMAND_LIMIT = 120
"""Seconds after which a command of a shell session counts as hanging."""

LINE_LIMIT = 30
"""Seconds that a terminal has to print a line that a session shows."""

PYCON = re.compile(r">>>(?: (?P<source>.*))?$")
CONSOLE = re.compile(
    r"(?:\((?P<terminal>[a-z]\w*)\) )?\$(?: (?P<source>.*))?$"
    r"|\((?P<known>[a-z]\w*)\)(?P<keys> \^C)?$"
)
"""What an input looks like: ``$ command``, ``(terminal) $ command``, ``(terminal)`` and with ^C."""

CALLED = re.compile(r"\b(\w+)(?:\.py|:\w+)\b")
TRACEBACK = "Traceback (most recent call last)"


class SessionError(Exception):
    """A session that cannot be run, with its line in the session, from 1."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


@dataclass
class Step:
    """One input of a session: its lines as shown, what they say, what is shown as the answer.

    Attributes:
        line: Where it stands in the session, from 1.
        shown: Its lines.
        source: What they ask to be run.
        terminal: The terminal that it is for; the shell that answers every command by default.
        keys: Whether it is ``^C``, ``look``, or a command, "".
        said: The lines of the answer that is shown now, without the blank ones at its end.
        gap: The blank lines after it.
    """

    line: int
    shown: list[str]
    source: str
    terminal: str = ""
    keys: str = ""
    said: list[str] = field(default_factory=list)
    gap: int = 0


def steps(body: str, prompt: re.Pattern[str], continuation: str) -> Iterator[Step | str]:
    """Yield a session's inputs, and its section marks as they are.

    Raises:
        SessionError: The session does not begin with a prompt.
    """
    step: Step | None = None
    for number, line in enumerate(body.splitlines(), 1):
        text = line.rstrip()
        found = prompt.match(text)
        if found or SECTION.search(line):
            if step:
                yield step
            step = step_of(number, text, found.groupdict()) if found else None
            if step is None:
                yield line
        elif step and len(step.shown) == number - step.line and text.startswith(continuation):
            step.shown.append(text)
            step.source += text[len(continuation) + 1 :] + "\n"
        elif step is None and text:
            expected = prompt.pattern.partition("(?: ")[0] if prompt is PYCON else "$"
            raise SessionError(number, f"expected {expected!r}, found {text!r}")
        elif step and text:
            step.said += [""] * step.gap + [text]
            step.gap = 0
        elif step:
            step.gap += 1
    if step:
        step.gap = 0
        yield step


def step_of(number: int, text: str, found: dict[str, str | None]) -> Step:
    """Return the input that a line begins."""
    terminal = found.get("terminal") or found.get("known") or ""
    keys = ("^C" if found["keys"] else "look") if found.get("known") else ""
    return Step(number, [text], f"{found['source'] or ''}\n", terminal, keys)


def remake(
    body: str,
    prompt: re.Pattern[str],
    continuation: str,
    answer: Callable[[list[Step]], list[str]],
) -> str:
    """Return a session with the answers that it gives now."""
    parts = list(steps(body, prompt, continuation))
    answers = iter(answer([part for part in parts if isinstance(part, Step)]))
    lines: list[str] = []
    for part in parts:
        if isinstance(part, str):
            lines.append(part)
            continue
        lines += part.shown
        lines += [line.rstrip() for line in next(answers).rstrip("\n").splitlines()]
        lines += [""] * part.gap
    return "".join(f"{line}\n" for line in lines)


def remake_pycon(body: str, workplace: Workplace, name: str) -> str:
    """Return an interactive session with the answers that it gives now.

    Args:
        body: The session.
        workplace: Where it runs, with the names that it finds.
        name: What a traceback calls it.

    Raises:
        SessionError: An input is no Python, or not complete.
    """
    return remake(
        body, PYCON, "...", lambda inputs: [answer(step, workplace, name) for step in inputs]
    )


def answer(step: Step, workplace: Workplace, name: str) -> str:
    """Run one input and return what the interpreter answers."""
    try:
        ast.parse(step.source)
        code = compile(step.source, name, "single", dont_inherit=True)
    except SyntaxError as error:
        raise SessionError(step.line, f"is no complete Python input: {error.msg}") from None
    displayed = sys.displayhook
    sys.displayhook = display
    try:
        run: Run = workplace.run(code)
    finally:
        sys.displayhook = displayed
    failure = short_traceback(run.error, "    ") if run.error else ""
    return run.out + run.err + failure


def display(value: object) -> None:
    """Show a value as the interpreter does, without binding it to ``_``."""
    if value is not None:
        sys.stdout.write(f"{value!r}\n")


def services(body: str, folder: Path) -> list[str]:
    """Return the services that a shell session needs.

    It names their variables, as in ``$POSTGRES_URL``, or programs of its folder that need them.
    """
    commands = "\n".join(
        step.source for step in steps(body, CONSOLE, ">") if isinstance(step, Step)
    )
    found = [name for variable, name in VARIABLES.items() if variable in commands]
    for word in CALLED.findall(commands):
        if (path := folder / f"{word}.py").is_file():
            found += needs(path)
    return list(dict.fromkeys(found))


def remake_console(body: str, folder: Path, variables: dict[str, str] | None = None) -> str:
    """Return a shell session with what its commands print now, run one after another in a folder.

    Args:
        body: The session.
        folder: Where it runs.
        variables: What its environment holds besides, such as the addresses of services.

    Raises:
        SessionError: The session hangs, ends its own shell, or fails where it did not before.
    """
    made = remake(body, CONSOLE, ">", lambda inputs: Console(folder, variables or {}).run(inputs))
    if TRACEBACK in made and TRACEBACK not in body:
        line = made[: made.index(TRACEBACK)].count("\n") + 1
        raise SessionError(line, f"a command fails now: {made.rstrip().splitlines()[-1]}")
    return made


class Console:
    """What a shell session runs in: a shell that answers each command, and terminals by name."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        self.variables = environment() | {"PYTHONUNBUFFERED": "1"} | variables
        self.variables["PATH"] = f"{Path(sys.executable).parent}:{self.variables.get('PATH', '')}"
        self.variables["HOME"] = self.variables["TMPDIR"] = str(folder)
        self.terminals: dict[str, tuple[Terminal, Step]] = {}

    def run(self, inputs: list[Step]) -> list[str]:
        """Run a session's inputs and return what each shows; nothing runs on afterwards.

        Raises:
            SessionError: One cannot be run, or what it started does not end when it is asked to.
        """
        shell = Shell(self.folder, self.variables)
        try:
            answers = [
                self.beside(step, shell) if step.terminal else self.ask(step, shell)
                for step in inputs
            ]
            for name in list(self.terminals):
                self.close(name)
        finally:
            shell.stop()
            for terminal, _ in self.terminals.values():
                terminal.stop()
        return answers

    def close(self, name: str) -> None:
        """Stop what runs in a terminal, and see that it ends and has not failed unseen."""
        terminal, step = self.terminals.pop(name)
        if not terminal.stop():
            raise SessionError(step.line, f"{step.shown[0]!r} does not end by SIGTERM")
        if TRACEBACK in terminal.new:
            said = terminal.new.rstrip().splitlines()[-1]
            raise SessionError(step.line, f"fails where the session does not show it: {said}")

    def ask(self, step: Step, shell: Shell) -> str:
        """Run a command in the shell and return what it printed."""
        printed = shell.run(step.source, COMMAND_LIMIT)
        if printed is None:
            raise SessionError(step.line, f"did not end within {COMMAND_LIMIT} seconds")
        if shell.ended:
            raise SessionError(step.line, f"the shell ended at {step.shown[0]!r}")
        return printed

    def beside(self, step: Step, shell: Shell) -> str:
        """Start something in a terminal, interrupt it, or look at it again."""
        if not step.keys:
            if step.terminal in self.terminals:
                earlier, before = self.terminals[step.terminal]
                if not earlier.ended and earlier.take(never, STOP_LIMIT) is None:
                    raise SessionError(step.line, f"{before.shown[0]!r} still runs there")
                self.close(step.terminal)
            terminal = Terminal(self.folder, self.variables, "-c", step.source)
            self.terminals[step.terminal] = terminal, step
            shell.run(f"{step.terminal}={terminal.process.pid}", COMMAND_LIMIT)
            return self.printed(step, terminal) if step.said else ""
        if step.terminal not in self.terminals:
            raise SessionError(step.line, f"nothing was started in a terminal {step.terminal!r}")
        terminal, _ = self.terminals[step.terminal]
        if step.keys == "^C":
            terminal.interrupt()
            step.said = []
        return self.printed(step, terminal)

    def printed(self, step: Step, terminal: Terminal) -> str:
        """Wait until a terminal has printed the last line that is shown, and return all up to it.

        Where that line is shown several times, each of them must come.
        """
        wanted = [mask(line) for line in step.said]

        def enough(text: str) -> int | None:
            end = 0
            left = wanted.count(wanted[-1]) if wanted else 0
            for line in text.splitlines(keepends=True):
                end += len(line)
                left -= bool(wanted) and line.endswith("\n") and mask(line.rstrip()) == wanted[-1]
                if wanted and not left:
                    return end
            return None

        text = terminal.take(enough, LINE_LIMIT)
        if text is None:
            missing = f"the line {step.said[-1]!r}" if wanted else "its end"
            raise SessionError(
                step.line + len(step.shown) - 1 + len(step.said),
                f"terminal {step.terminal!r} did not reach {missing} within {LINE_LIMIT} seconds; "
                f"it printed:\n{terminal.new.rstrip()}",
            )
        return text


def never(_: str) -> None:
    """Wait for the end alone."""
