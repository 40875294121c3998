"""Terminals in which a shell session runs: one that answers each command, others beside it.

Nothing here sleeps: a terminal is waited for until it has printed what is expected of it, or ended.
"""

import codecs
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

BOUNDARY = "happened-session-boundary"
STOP_LIMIT = 20.0
"""Seconds that a program has to end after it was asked to."""

KILL_LIMIT = 20.0
"""Seconds that the machine has to end what was killed, and to hand over what it printed."""

FRESH = (
    "import os, signal, sys;"
    "signal.signal(signal.SIGINT, signal.SIG_DFL);"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Starts a program that can be interrupted, also where the tests themselves ignore Ctrl-C."""


class Terminal:
    """A shell with what it runs, in a group of processes of its own, and what they have printed."""

    def __init__(
        self, folder: Path, variables: dict[str, str], *arguments: str, read: int | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-ISc", FRESH, "bash", "--norc", *arguments],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=() if read is None else (read,),
            start_new_session=True,
        )
        self.ended = False
        self._text = ""
        self._taken = 0
        self._changed = threading.Condition()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while chunk := os.read(self.process.stdout.fileno(), 65536):
            with self._changed:
                self._text += decoder.decode(chunk)
                self._changed.notify_all()
        self.process.wait()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    @property
    def new(self) -> str:
        """What was printed and not taken yet."""
        return self._text[self._taken :]

    def take(self, enough: Callable[[str], int | None], limit: float) -> str | None:
        """Wait for something, and take what was printed up to it; all, if the terminal has ended.

        Args:
            enough: Says where in the new text to stop, or None as long as more must come.
            limit: Seconds to wait.

        Returns:
            The text; None if it did not come in time.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.ended or enough(self.new) is not None, limit)
            new = self.new
            end = enough(new)
            if end is None and not self.ended:
                return None
            taken = new[:end]
            self._taken += len(taken)
            return taken

    def interrupt(self) -> None:
        """Do what Ctrl-C does: interrupt the whole group."""
        self._signal(signal.SIGINT)

    def stop(self) -> bool:
        """Ask the whole group to end, kill what has not ended in time; tell whether all ended."""
        self._signal(signal.SIGTERM)
        with self._changed:
            ended = self._changed.wait_for(lambda: self.ended, STOP_LIMIT)
        self._signal(signal.SIGKILL)
        self.process.wait()
        self._listener.join(KILL_LIMIT)
        if self.process.stdout and self.ended:
            self.process.stdout.close()
        return ended

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if not self.ended:
                os.killpg(self.process.pid, number)


class Shell(Terminal):
    """A shell that is given one command after another."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        read, self._commands = os.pipe()
        try:
            super().__init__(folder, variables, f"/dev/fd/{read}", read=read)
        finally:
            os.close(read)

    def run(self, command: str, limit: float) -> str | None:
        """Run a command and return what it printed; None if it did not end in time.

        It has ended the shell itself if the shell has ended afterwards.
        """
        script = f"{command}\nended=$?; echo {BOUNDARY}; (exit $ended)\n"
        os.write(self._commands, script.encode())
        printed = self.take(after_boundary, limit)
        return printed and printed.removesuffix(f"{BOUNDARY}\n")

    def stop(self) -> bool:
        """End the shell, and what it left in the background."""
        os.close(self._commands)
        return super().stop()


def after_boundary(text: str) -> int | None:
    """Return where the answer to a command ends, or None."""
    at = text.find(f"{BOUNDARY}\n")
    return None if at < 0 else at + len(BOUNDARY) + 1
