"""Layer 6. How the contract of storages lets two things happen at once."""

import itertools
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import FrameType
from typing import Any


def meanwhile(call: Callable[[], object], other: Callable[[], None], at: int | None = None) -> int:
    """At each line that a call runs, or at one, let another thread do something.

    It is waited for a moment only: perhaps it waits for this thread. Returns how often it ran.
    """
    running: list[Future[None]] = []
    lines = itertools.count()

    def step(frame: FrameType, event: str, arg: Any) -> Any:
        if at is None or next(lines) == at:
            running.append(pool.submit(other))
            wait(running[-1:], timeout=0.003)
        return step

    with ThreadPoolExecutor(1) as pool:
        before = sys.gettrace()
        sys.settrace(step)
        try:
            call()
        finally:
            sys.settrace(before)
        for each in running:
            each.result(10)
    return len(running)


class switching_often:  # noqa: N801  reads as a phrase after `with`
    """Let threads take turns so often that they meet everywhere."""

    def __enter__(self) -> None:
        self.before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)

    def __exit__(self, *_: object) -> None:
        sys.setswitchinterval(self.before)
