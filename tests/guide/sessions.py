"""Runs interactive and shell sessions again, and writes down what they answer."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.guide.fences import SECTION
from tests.guide.running import Run, Workplace, environment, short_traceback

COMMAND_LIMIT = 120
"""Seconds after which a shell session counts as hanging."""

BOUNDARY = "happened-session-boundary"
TRACEBACK = "Traceback (most recent call last)"


class SessionError(Exception):
    """A session that cannot be run, with its line in the session, from 1."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


@dataclass
class Step:
    """One input of a session: its lines as shown, what they say, and the blank lines after."""

    line: int
    shown: list[str]
    source: str
    gap: int = 0


def steps(body: str, prompt: str, continuation: str) -> Iterator[Step | str]:
    """Yield a session's inputs, and its section marks as they are; answers are passed over.

    Raises:
        SessionError: The session does not begin with a prompt.
    """
    step: Step | None = None
    for number, line in enumerate(body.splitlines(), 1):
        text = line.rstrip()
        if SECTION.search(line):
            if step:
                yield step
            step = None
            yield line
        elif text.startswith(prompt):
            if step:
                yield step
            step = Step(number, [text], text[len(prompt) + 1 :] + "\n")
        elif step and len(step.shown) == number - step.line and text.startswith(continuation):
            step.shown.append(text)
            step.source += text[len(continuation) + 1 :] + "\n"
        elif step is None and text:
            raise SessionError(number, f"expected {prompt!r}, found {text!r}")
        elif step:
            step.gap = step.gap + 1 if not text else 0
    if step:
        step.gap = 0
        yield step


def remake(
    body: str, prompt: str, continuation: str, answer: Callable[[list[Step]], list[str]]
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
        body, ">>>", "...", lambda inputs: [answer(step, workplace, name) for step in inputs]
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


def remake_console(body: str, folder: Path) -> str:
    """Return a shell session with what its commands print now, run one after another in a folder.

    Raises:
        SessionError: The session hangs, ends its own shell, or fails where it did not before.
    """
    made = remake(body, "$", ">", lambda inputs: shell(inputs, folder))
    if TRACEBACK in made and TRACEBACK not in body:
        line = made[: made.index(TRACEBACK)].count("\n") + 1
        raise SessionError(line, f"a command fails now: {made.rstrip().splitlines()[-1]}")
    return made


def shell(inputs: list[Step], folder: Path) -> list[str]:
    """Run commands in one shell and return what each printed, errors included."""
    script = "".join(
        f"{step.source}\nended=$?; echo {BOUNDARY}; (exit $ended)\n" for step in inputs
    )
    variables = environment()
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables.get('PATH', '')}"
    variables["HOME"] = variables["TMPDIR"] = str(folder)
    try:
        done = subprocess.run(
            ["bash", "--norc", "-c", script],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SessionError(1, f"did not end within {COMMAND_LIMIT} seconds") from None
    printed = re.split(rf"{BOUNDARY}\n", done.stdout)[:-1]
    if len(printed) != len(inputs):
        step = inputs[len(printed)]
        raise SessionError(step.line, f"the shell ended at {step.shown[0]!r}")
    return printed
