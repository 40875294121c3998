"""Layer 7. Monitoring: whether a server lives and is ready, and what it measures, over HTTP."""

import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from socket import AF_INET, AF_INET6
from socketserver import ThreadingTCPServer
from typing import cast

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from happened.cli.display import seconds_since
from happened.cli.status import STATES, standing, without_handler
from happened.errors import HappenedError, StorageError
from happened.server import Server

__all__ = ["Measurements", "Monitoring"]

TEXT = "text/plain; charset=utf-8"


class Measurements(Collector):
    """What a server measures, for Prometheus; the storage is asked each time.

    Args:
        server: the server.

    Example:
        >>> from happened import Domain
        >>> from happened.cli.monitoring import Measurements
        >>> from happened.server import Server
        >>> shelf = Domain("shelf")
        >>> measured = {each.name for each in Measurements(Server(shelf.processor, [])).collect()}
        >>> "happened_unnumbered_messages" in measured
        True
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def collect(self) -> Iterator[Metric]:
        """Yield what is measured; of a storage that cannot be reached, that it is not up."""
        server = self._server
        by_subscription = (
            ("handled", "Messages that this process handled or put aside.", server.handled),
        )
        by_handler = (
            ("retries", "Failures of handlers in this process that are retried.", server.retries),
            ("dead_letters", "Messages that became dead letters in this process.", server.dead),
        )
        for name, text, counts in by_subscription:
            yield _counter(name, text, "subscription", counts)
        for name, text, counts in by_handler:
            yield _counter(name, text, "handler", counts)
        try:
            measured = [*self._stored()]
        except StorageError:
            measured = []
        yield GaugeMetricFamily(
            "happened_up", "Whether the storage answers.", value=float(bool(measured))
        )
        yield from measured

    def _stored(self) -> Iterator[Metric]:
        storage = self._server.storage
        messages = _gauge("lag_messages", "Messages that are not read yet.", "subscription")
        seconds = _gauge("lag_seconds", "Age of the oldest of them.", "subscription")
        waiting = _gauge("waiting", "Messages that wait for handlers.", "subscription", "state")
        for subscription in self._server.subscriptions:
            name = subscription.name
            found = standing(storage, subscription)
            messages.add_metric([name], found.backlog.messages)
            seconds.add_metric([name], seconds_since(found.backlog.since))
            for state in STATES:
                waiting.add_metric([name, state], found.waiting[state])
        left_over = without_handler(storage, self._server.processor.registry)
        for found in left_over:
            for state in STATES:
                waiting.add_metric([found.subscription.name, state], found.waiting[state])
        yield from (messages, seconds, waiting)
        yield GaugeMetricFamily(
            "happened_subscriptions_without_handler",
            "Subscriptions in the storage whose handlers this process does not have.",
            value=len(left_over),
        )
        left = storage.unnumbered()
        yield GaugeMetricFamily(
            "happened_unnumbered_messages",
            "Committed messages without a global position.",
            value=left.messages,
        )
        yield GaugeMetricFamily(
            "happened_unnumbered_seconds", "Age of the oldest.", value=seconds_since(left.since)
        )


def _counter(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    made = CounterMetricFamily(f"happened_{name}", text, labels=[label])
    for key, count in dict(counts).items():
        made.add_metric([key], count)
    return made


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"happened_{name}", text, labels=labels)


class Monitoring:
    """Answers over HTTP, in threads of its own, until it is closed.

    ``/livez`` says whether all threads of the server run, ``/readyz`` whether its storage is
    reached and it is not stopping, or why not, and ``/metrics`` what it measures.

    Args:
        server: the server.
        host: the address to listen at.
        port: the port; 0 for any that is free.

    Attributes:
        stopping: whether the server was told to stop.

    Raises:
        HappenedError: the port is taken, or the address is none of this machine.
    """

    def __init__(self, server: Server, host: str, port: int) -> None:
        self.server = server
        self.stopping = False
        self.registry = CollectorRegistry()
        self.registry.register(Measurements(server))
        try:
            self._listener = _Listener(self, host, port)
        except OSError as error:
            raise HappenedError(
                f"cannot listen at {host}:{port}: {error.strerror}; give another --port"
            ) from error
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )

    @property
    def address(self) -> str:
        """Where it answers, ``"http://127.0.0.1:9100"``."""
        host, port = self._listener.server_address[:2]
        name = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{name}:{port}"

    def start(self) -> None:
        """Begin to answer, and return at once."""
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        if self._thread.is_alive():
            self._listener.shutdown()
        self._listener.server_close()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Return the status, the type and the text of an answer.

        Args:
            path: what was asked for, ``"/livez"``.
        """
        if path == "/livez":
            return _health("" if self.server.alive else "a thread of the server has ended")
        if path == "/readyz":
            return _health(self._hindrance())
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(self.registry)
        return 404, TEXT, b"there are /livez, /readyz and /metrics\n"

    def _hindrance(self) -> str:
        if self.stopping:
            return "the server is stopping"
        if self.server.ready:
            return ""
        reason = self.server.failure
        late = "the storage was not reached in the last 10 seconds"
        return f"{late}: {reason}" if reason else late


def _health(problem: str) -> tuple[int, str, bytes]:
    return 503 if problem else 200, TEXT, f"{problem or 'ok'}\n".encode()


class _Listener(ThreadingTCPServer):
    """Listens; unlike `http.server.HTTPServer` it asks no name server for its own name."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, monitoring: Monitoring, host: str, port: int) -> None:
        self.monitoring = monitoring
        self.address_family = AF_INET6 if ":" in host else AF_INET
        super().__init__((host, port), _Request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Leave it to a client to go away before it has its answer."""


class _Request(BaseHTTPRequestHandler):
    timeout = 10.0

    def do_GET(self) -> None:
        listener = cast("_Listener", self.server)
        status, kind, body = listener.monitoring.answer(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Requests are not logged: a probe comes every few seconds."""
