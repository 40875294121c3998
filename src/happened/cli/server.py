"""Layer 7. ``happened server``: delivers messages until it is told to stop."""

import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Annotated, Any, Literal

import typer

from happened.cli.arguments import DomainArgument, example
from happened.cli.display import counted
from happened.cli.domains import find_stored_domain
from happened.cli.logs import configure_logs
from happened.domain import Domain
from happened.errors import HappenedError
from happened.server import LOOK, Server

__all__ = ["commands"]

_log = logging.getLogger("happened.server")

commands = typer.Typer()


@commands.command(
    epilog=example("happened server shop:domain --workers 8 --port 9100 --log-format json"),
    short_help="Deliver messages to handlers until SIGTERM or Ctrl-C.",
)
def server(
    domain: DomainArgument,
    *,
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many threads call handlers.")
    ] = 4,
    once: Annotated[bool, typer.Option("--once", help="Deliver what is there, and end.")] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="Answer /livez, /readyz and /metrics here; 0 for any port that is free.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address for --port.")
    ] = "127.0.0.1",
    stop_within: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="How long handlers may go on when it stops."),
    ] = 30,
    log_format: Annotated[
        Literal["text", "json"], typer.Option(help="How to log on standard error.")
    ] = "text",
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option(help="From which level on.")
    ] = "info",
) -> None:
    """Deliver messages to the handlers of a domain, until SIGTERM or Ctrl-C.

    Any number of servers may run for one domain; they share the work. At a signal, a server takes
    on nothing new and ends with 0 when what it is at is committed; with 1 if that takes longer than
    --stop-within. A second signal ends it at once. Nothing is lost either way.
    """
    found = find_stored_domain(domain)
    configure_logs(log_format, log_level)
    _tell_what_is_left(found)
    if once:
        count = found.catch_up()
        left = found.storage.waiting()
        told = "".join(
            f"; {left[state]} {state}" for state in ("retrying", "held", "dead") if left[state]
        )
        typer.echo(f"{counted(count, 'message')} handled or put aside{told}")
        return
    runner = Server(
        found.processor, found.subscriptions, workers=workers, context=found.domain_context
    )
    with _monitored(runner, host, port) as monitoring, _signals() as signals:
        runner.start()
        failed = _wait(runner, signals)
        if monitoring is not None:
            monitoring.stopping = True
        ended = runner.stop(stop_within)
    if not ended:
        sys.stderr.write(
            f"happened: handlers were still running after {stop_within:g} s; what they had not "
            "committed is delivered again\n"
        )
        sys.stderr.flush()
        os._exit(1)  # nobody waits for their threads
    found.close()
    if failed:
        raise HappenedError("a thread of the server has ended; see the log")


def _tell_what_is_left(domain: Domain) -> None:
    keys = ("command_processing", "event_processing")
    if all(domain.config[key] == "sync" for key in keys):
        _log.info(
            "processing is synchronous: this server delivers what other processes left behind"
        )
    if not domain.subscriptions:
        _log.warning("the domain has no handlers; there is nothing to deliver")


@contextmanager
def _monitored(runner: Server, host: str, port: int | None) -> Generator[Any]:
    """Answer over HTTP while a block runs, if a port was given."""
    if port is None:
        yield None
        return
    # What a server without a port does not need is not imported: it takes a tenth of a second.
    monitoring = importlib.import_module("happened.cli.monitoring").Monitoring(runner, host, port)
    monitoring.start()
    _log.info("monitoring", extra={"address": monitoring.address})
    try:
        yield monitoring
    finally:
        monitoring.close()


@contextmanager
def _signals() -> Generator["SimpleQueue[int]"]:
    """Note the first signal to stop while a block runs; the second one ends the process."""
    noted: SimpleQueue[int] = SimpleQueue()

    def note(number: int, _: FrameType | None) -> None:
        if stopping:
            os._exit(128 + number)
        stopping.append(number)
        noted.put(number)

    stopping: list[int] = []
    before = {each: signal.signal(each, note) for each in (signal.SIGTERM, signal.SIGINT)}
    threads = threading.excepthook
    threading.excepthook = _tell_of_thread
    try:
        yield noted
    finally:
        threading.excepthook = threads
        for each, handler in before.items():
            signal.signal(each, handler)


def _tell_of_thread(told: threading.ExceptHookArgs) -> None:
    name = told.thread.name if told.thread else "a thread"
    error = told.exc_value
    _log.critical("a thread ended", extra={"ended": name}, exc_info=error)


def _wait(runner: Server, signals: "SimpleQueue[int]") -> bool:
    """Return when the server is to stop; whether that is because one of its threads has ended."""
    while True:
        try:
            number = signals.get(timeout=LOOK)
        except Empty:
            if not runner.alive:
                return True
        else:
            _log.info("stopping", extra={"signal": signal.Signals(number).name})
            return False
