"""Layer 0. Fault points: named places where a test makes a process die."""

import os
from collections.abc import Callable

__all__ = ["POINTS", "arm", "at"]

POINTS = (
    "commit: before the writes",
    "commit: after the writes",
    "commit: done",
    "dispatch: before a handler",
    "dispatch: after a handler",
    "delivery: claimed",
    "delivery: before a handler",
    "delivery: after a handler",
    "delivery: before the commit",
    "delivery: done",
    "numbering: done",
)
"""Every place, in the order in which a message passes them."""

_reached: Callable[[str], None] | None = None


def arm(reached: Callable[[str], None] | None) -> None:
    """Have a function called at every fault point, or none any more.

    Args:
        reached: called with the name of the point; it may end the process.

    Example:
        >>> from happened.faults import arm, at
        >>> arm(print)
        >>> at("commit: done")
        commit: done
        >>> arm(None)
    """
    global _reached  # noqa: PLW0603 - one process has one
    _reached = reached


def at(point: str) -> None:
    """Tell that a fault point is reached; nothing happens unless a test armed them.

    Args:
        point: one of `POINTS`.

    Example:
        >>> from happened.faults import at
        >>> at("commit: done")
    """
    if _reached is not None:
        _reached(point)


def _dying(wanted: str) -> Callable[[str], None]:
    """What ends this process at once, as ``kill -9`` does, at the point ``NAME`` or ``NAME#3``."""
    name, _, number = wanted.partition("#")
    left = int(number or 1)

    def reached(point: str) -> None:
        nonlocal left
        if point == name:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), 9)

    return reached


if "FAULT_POINT" in os.environ:
    arm(_dying(os.environ["FAULT_POINT"]))
