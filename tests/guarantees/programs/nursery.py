"""Starts the other programs, each in a process of its own, forked from this one.

A process that was forked here has imported everything and opened nothing, so it costs hundredths of
a second where a new interpreter takes half a second. It reads a line of JSON for each program to
start, and writes one for each that has started or ended; at the end of its input it kills all.
"""

import contextlib
import importlib
import json
import os
import select
import signal
import sys
import traceback
from typing import Any

import tests.guarantees.programs.trade  # noqa: F401 - so that no program has to load it
from happened import faults


def main() -> None:
    with contextlib.suppress(ImportError):  # its driver is an extra
        importlib.import_module("happened.adapters.postgres")
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Who tells a server to stop need not know how far it has come: the signal waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    running: set[int] = set()
    left = b""
    while True:
        ready, _, _ = select.select([0, reader], [], [])
        if reader in ready:
            os.read(reader, 1000)
        while running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            running.discard(pid)
            tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})
        if 0 in ready:
            text = os.read(0, 100_000)
            if not text:
                break
            *lines, left = (left + text).split(b"\n")
            for line in lines:
                wanted = json.loads(line)
                pid = start(wanted)
                running.add(pid)
                tell({"started": pid, "number": wanted["number"]})
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def start(wanted: dict[str, Any]) -> int:
    """Fork, and run the program in the new process; return its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        errors = os.open(wanted["errors"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        nothing = os.open(os.devnull, os.O_RDWR)
        for target, source in ((0, nothing), (1, errors), (2, errors)):
            os.dup2(source, target)
        os.environ.update(wanted["environment"])
        if "FAULT_POINT" in os.environ:
            faults.arm(faults._dying(os.environ["FAULT_POINT"]))
        module = importlib.import_module(f"tests.guarantees.programs.{wanted['program']}")
        module.main(*wanted["arguments"])
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it is, it must not go on as the nursery
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def tell(what: dict[str, int]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
