"""Layer 7. The command line: ``happened``, or ``python -m happened``."""

import importlib
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from happened.errors import ConfigurationError, HappenedError

__all__ = ["main"]

_EXTRA = ("prometheus_client", "rich", "typer")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and say on standard error what was wrong, a line for each mistake.

    Args:
        arguments: what stands after ``happened`` on the command line, by default that of this
            process.

    Returns:
        What the process is to end with: 0 when it is done, 1 when something is wrong, 2 when the
        arguments are, and 130 after Ctrl-C.

    Example:
        >>> from happened.cli import main
        >>> main(["diagram", "no_such_module"])
        1
    """
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        return _wrong(f"the command line needs {', '.join(missing)}; pip install 'happened[cli]'")
    try:
        return int(importlib.import_module("happened.cli.app").run(arguments))
    except ConfigurationError as error:
        return _wrong(*error.problems)
    except HappenedError as error:
        return _wrong(str(error))


def _wrong(*problems: str) -> int:
    for problem in problems:
        sys.stderr.write(f"happened: {' '.join(problem.split())}\n")
    return 1
