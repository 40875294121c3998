"""Layer 4. The server: runs subscriptions in threads until it is told to stop.

One of its threads waits for news, and goes to deliver it itself, while the next one takes its
place: a message is not handed from thread to thread on its way to its handler.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from happened.errors import HappenedError, StorageError
from happened.processing import Processor
from happened.storage import Delivery
from happened.subscription import Deliverer, Subscription

__all__ = ["LOOK", "Server"]

POLL: Final = 1.0
GRACE: Final = 60.0
LONGEST_PAUSE: Final = 5.0
QUIET: Final = 0.005
BUSY: Final = 0.1
"""Messages are numbered once no news came for so long, and at least so often, in seconds."""
TURN: Final = 1.0
LOOK: Final = 0.5
"""How long the main thread waits in one go at most, in seconds: signals are handled in between,
and it looks whether all threads run."""
SUBSCRIBE: Final = 60.0
"""How often checkpoints are made that are not there, in seconds: the tables may be new ones."""

_log = logging.getLogger("happened.server")
logging.getLogger("happened").addHandler(logging.NullHandler())  # silent unless configured


class Server:
    """Delivers what is stored to the subscriptions of a domain, until it is stopped.

    Any number of servers may run on one storage. They share the partitions of the subscriptions;
    those of one that dies are free at once. If the storage cannot be reached, the server waits and
    tries again. It runs once: to begin again after `stop`, make another one.

    Args:
        processor: calls the handlers.
        subscriptions: those to deliver to.
        workers: how many threads deliver; 4 by default. Each holds a connection at times.
        poll: how often to look for messages that nobody announced, in seconds.
        grace: how long a message is left to the process that committed it and was to call its
            handlers at once, in seconds.
        context: makes what each thread runs in.

    Attributes:
        handled: how many messages were handled or put aside, by subscription.
        retries: how many times handlers failed and will be called again, by handler.
        dead: how many messages became dead letters, by handler.
        failure: why the storage was not reached the last time, in a line, without a password; empty
            once it is reached.

    Example:
        >>> from happened import Domain
        >>> from happened.server import Server
        >>> shelf = Domain("shelf", event_processing="async")
        >>> shelf.init(traverse=False)
        >>> server = Server(shelf.processor, shelf.subscriptions)
        >>> server.start()
        >>> server.stop(timeout=5)
        True
    """

    def __init__(
        self,
        processor: Processor,
        subscriptions: Sequence[Subscription],
        *,
        workers: int = 4,
        poll: float = POLL,
        grace: float = GRACE,
        context: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.processor = processor
        self.storage = processor.storage
        self.subscriptions = list(subscriptions)
        self.handled: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()
        self.dead: Counter[str] = Counter()
        self.failure = ""
        self._workers = workers
        self._poll = poll
        self._grace = grace
        self._context = context
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._post = threading.Lock()  # of the thread that waits for news
        self._changing = threading.Lock()  # what follows is changed with it
        self._news = 0
        self._at_work = 0
        self._is_started = self._is_known = self._is_unsettled = False
        self._reached = self._numbered = self._subscribe_at = 0.0

    def start(self) -> None:
        """Begin to deliver, in threads of its own, and return at once.

        Raises:
            HappenedError: it was started before, or stopped.
        """
        with self._changing:
            if self._stopping.is_set():
                raise HappenedError("this server was stopped; to begin again, make another Server")
            if self._is_started:
                raise HappenedError(
                    "this server was started already; for more threads, make it "
                    "with workers=, or start another Server"
                )
            self._is_started = True
        _log.info(
            "starting",
            extra={"workers": self._workers, "subscriptions": len(self.subscriptions)},
        )
        for number in range(self._workers + 1):  # when all workers are at work, one still waits
            name = f"{self.processor.registry.name}-{number + 1}"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, timeout: float) -> bool:
        """Stop: take on nothing new, and wait until what is being handled is committed.

        It may be called again, to go on waiting.

        Args:
            timeout: how long to wait at most, in seconds.

        Returns:
            Whether all has ended in time. What has not is rolled back when the process ends.
        """
        self._stopping.set()
        self.storage.wake()
        end = time.monotonic() + timeout
        for thread in self._threads:
            while thread.is_alive() and (left := end - time.monotonic()) > 0:
                thread.join(min(left, LOOK))
        ended = not any(thread.is_alive() for thread in self._threads)
        if ended:
            _log.info("stopped")
        else:
            _log.warning("stopped while handlers were running")
        return ended

    @property
    def alive(self) -> bool:
        """Whether all of its threads run."""
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    @property
    def ready(self) -> bool:
        """Whether the storage was reached in the last 10 seconds, and it is not stopping."""
        reached = self._reached > 0 and time.monotonic() - self._reached < 10.0
        return reached and not self._stopping.is_set()

    # ------------------------------------------------------------------- threads

    def _run(self) -> None:
        deliverer = Deliverer(
            self.processor,
            grace=self._grace,
            stopping=self._stopping.is_set,
            failed=self._failed,
        )
        turns = deque(self.subscriptions)
        with self._context():
            while not self._stopping.is_set():
                with self._post:
                    self._wait()
                self._work(deliverer, turns)

    def _wait(self) -> None:
        """Return once there may be something to deliver, and not all workers are at work."""
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                self._look()
                pause = 0.0
            except Exception as error:  # noqa: BLE001 - a server goes on, whatever happens
                pause = self._lost(error, pause)
                continue
            with self._changing:
                self._news += 1
                if self._at_work < self._workers:
                    self._at_work += 1
                    return

    def _look(self) -> None:
        """Wait for news, or until it is time to look anyway; see that messages are numbered."""
        if time.monotonic() >= self._subscribe_at:
            for each in self.subscriptions:
                each.subscribe(self.storage)
            self._note_reached()
            self._subscribe_at = self._reached + SUBSCRIBE
            self._is_unsettled = True
            if not self._is_known:
                self._is_known = True
                _log.info("ready", extra={"storage": self.storage.url})
            return
        if self._is_unsettled:
            # Who committed has numbered already, most of the time: there is no hurry.
            if time.monotonic() - self._numbered < BUSY and self.storage.wait(QUIET):
                return
            found = False
            while self.storage.number():
                found = True
            self._note_reached()
            self._numbered = self._reached
            self._is_unsettled = False
            if found:
                return
        self.storage.wait(self._poll)
        self._is_unsettled = True

    def _note_reached(self) -> None:
        self._reached = time.monotonic()
        self.failure = ""

    def _work(self, deliverer: Deliverer, turns: deque[Subscription]) -> None:
        """Deliver until there is nothing left."""
        pause = 0.0
        while not self._stopping.wait(pause):
            news = self._news
            try:
                more = self._deliver(deliverer, turns)
                pause = 0.0
            except Exception as error:  # noqa: BLE001 - a server goes on, whatever happens
                pause = self._lost(error, pause)
                continue
            with self._changing:
                if not more and self._news == news:
                    self._at_work -= 1
                    return

    def _deliver(self, deliverer: Deliverer, turns: deque[Subscription]) -> bool:
        """Go once through all subscriptions; whether there was more to do than that.

        One with much to do keeps a worker for a while only; after a failure, it is the next one's
        turn. What handlers commit here is news to the thread that waits.
        """
        batches, more = 0, False
        for _ in range(len(turns)):
            subscription = turns[0]
            turns.rotate(-1)
            end = time.monotonic() + TURN
            while not self._stopping.is_set():
                count = deliverer.deliver(subscription)
                if count is None:
                    break
                batches += 1
                if batches == 2:
                    self.storage.wake()  # there is more, perhaps enough for another worker
                with self._changing:
                    self.handled[subscription.name] += count
                if time.monotonic() >= end:
                    more = True
                    break
        return more

    def _lost(self, error: Exception, pause: float) -> float:
        """Tell what went wrong outside of handlers; return how long to wait before the next try."""
        pause = min(LONGEST_PAUSE, pause * 2 or 0.05)
        if isinstance(error, StorageError):
            self._subscribe_at = 0.0  # it may come back empty
            self.failure = " ".join(str(error).split())
            told = {"reason": str(error), "next_try": pause}
            _log.warning("the storage cannot be reached", extra=told)
        else:
            self.failure = f"an unexpected {type(error).__name__}; the log has its traceback"
            _log.error("something unexpected went wrong", extra={"next_try": pause}, exc_info=error)
        return pause

    def _failed(self, delivery: Delivery, error: Exception) -> None:
        dead = delivery.state == "dead"
        with self._changing:
            (self.dead if dead else self.retries)[delivery.handler] += 1
        told = {
            "handler": delivery.handler,
            "message_id": delivery.message_id,
            "stream": delivery.stream,
            "attempts": delivery.attempts,
            "reason": delivery.error,
        }
        if dead:
            _log.error("a handler failed too often: dead letter", extra=told, exc_info=error)
        else:
            due = delivery.due.isoformat(timespec="milliseconds")
            told |= {"next_try": due}
            _log.warning("a handler failed", extra=told, exc_info=error)
