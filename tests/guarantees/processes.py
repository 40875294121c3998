"""Processes that tests start, kill, pause and start again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from happened import new_id

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 120.0
"""Seconds after which something that has not happened counts as never; a busy machine is slow."""


class Nursery:
    """The process that starts all others, see `tests.guarantees.programs.nursery`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.guarantees.programs.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._changed = threading.Condition()
        self._asked = 0
        self._started: dict[int, int] = {}
        self.codes: dict[int, int] = {}
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            with self._changed:
                if "started" in told:
                    self._started[told["number"]] = told["started"]
                    self.codes.pop(told["started"], None)  # of another one, long ago
                else:
                    self.codes[told["ended"]] = told["code"]
                self._changed.notify_all()

    def start(self, wanted: dict[str, Any]) -> int:
        """Start a program; return the id of its process."""
        assert self._process.stdin is not None
        self._asked = number = self._asked + 1
        self._process.stdin.write(json.dumps({**wanted, "number": number}) + "\n")
        self._process.stdin.flush()
        with self._changed:
            done = self._changed.wait_for(lambda: number in self._started, LIMIT)
            assert done, "the nursery starts nothing"
            return self._started.pop(number)

    def wait(self, pid: int, timeout: float) -> int | None:
        """Return how a process ended; ``None`` if it runs."""
        with self._changed:
            self._changed.wait_for(lambda: pid in self.codes, timeout)
            return self.codes.get(pid)

    def close(self) -> None:
        """End the nursery and all that it started."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(LIMIT)
        self._thread.join(LIMIT)
        self._process.stdout.close()


class Process:
    """One process that runs a program."""

    def __init__(
        self, nursery: Nursery, program: str, pid: int, application: str, errors: Path
    ) -> None:
        self._nursery = nursery
        self.program = program
        self.pid = pid
        self.application = application  # what PostgreSQL knows it by
        self.was_killed = False
        self.errors = errors

    @property
    def running(self) -> bool:
        return self._nursery.wait(self.pid, 0) is None

    def wait(self, timeout: float = LIMIT) -> int:
        """Return how it ended: 0, or -9 if it was killed."""
        code = self._nursery.wait(self.pid, timeout)
        assert code is not None, f"it still runs after {timeout} s:\n{self.said}"
        assert code in (0, -signal.SIGKILL), self.said
        self.was_killed = code != 0
        return code

    @property
    def said(self) -> str:
        return self.errors.read_text(encoding="utf-8") if self.errors.exists() else ""

    def kill(self) -> bool:
        """Kill it as ``kill -9`` does; return whether it was still running."""
        if not self.running:
            return False
        with suppress(ProcessLookupError):  # it ended just now
            os.kill(self.pid, signal.SIGKILL)
        return self.wait() != 0

    def pause(self) -> None:
        """Stop it where it stands, and return when all of its threads stand still."""
        os.kill(self.pid, signal.SIGSTOP)
        threads = Path(f"/proc/{self.pid}/task")

        def all_stand() -> bool:
            try:
                return all(state(each) == "T" for each in threads.iterdir())
            except (FileNotFoundError, ProcessLookupError):  # a thread ended just now
                return False

        eventually(all_stand, every=0.001)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Let it stop by itself."""
        os.kill(self.pid, signal.SIGTERM)
        assert self.wait() == 0


class Programs:
    """Starts programs on one storage, and counts how they end."""

    def __init__(self, nursery: Nursery, folder: Path, url: str) -> None:
        self._nursery = nursery
        self._folder = folder
        self._all: list[Process] = []
        self.environment = {"HAPPENED_STORAGE": url}
        self.starts = 0

    def start(self, program: str, *arguments: object, **environment: str) -> Process:
        """Start a program of the folder ``programs``."""
        self.starts += 1
        errors = self._folder / f"{self.starts}-{program}.txt"
        application = new_id()
        pid = self._nursery.start(
            {
                "program": program,
                "arguments": [str(each) for each in arguments],
                "environment": {
                    "PGAPPNAME": application,
                    **self.environment,
                    **environment,
                },
                "errors": str(errors),
            }
        )
        process = Process(self._nursery, program, pid, application, errors)
        self._all.append(process)
        return process

    @property
    def kills(self) -> int:
        return self.killed(*{each.program for each in self._all})

    def killed(self, *programs: str) -> int:
        """How many processes that ran these programs were killed, by the test or by themselves."""
        return sum(each.was_killed for each in self._all if each.program in programs)

    def end(self) -> None:
        """Kill what still runs."""
        for each in self._all:
            each.kill()


def state(thread: Path) -> str:
    """What a thread does, as one letter: T where it was stopped."""
    return (thread / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


def eventually(holds: Callable[[], object], every: float = 0.02) -> None:
    """Return once something holds."""
    end = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < end, f"it does not hold after {LIMIT} s"
        time.sleep(every)
