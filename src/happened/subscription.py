"""Layer 4. Subscriptions: what a handler has still to handle, in order, once, and what if it fails.

A subscription reads its categories in 16 partitions, each message in the partition of its stream.
Whoever works on a partition claims it, so the messages of one stream are handled one at a time and
in order; the checkpoint is committed together with what the handlers wrote.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from happened.elements import Reaction
from happened.errors import (
    ConcurrencyError,
    HappenedError,
    MessageError,
    StorageError,
)
from happened.faults import at
from happened.messages import Command, Event, Message
from happened.processing import Processor, failed, in_a_line, is_interrupt
from happened.registry import Registry
from happened.storage import Claim, Delivery, Storage, StoredMessage, Transaction
from happened.unit_of_work import UnitOfWork
from happened.writes import delivery_of

__all__ = ["Deliverer", "Subscription", "subscriptions_of", "wait_before"]

RETRIES: Final = 5
LONGEST_WAIT: Final = 300.0
BATCH: Final = 100
BATCH_TIME: Final = 1.0  # after how long a batch takes on no more messages, in seconds
CONFLICTS: Final = 10
BREAKS: Final = 3  # how often the storage may break off, or refuse what a handler did


@dataclass(slots=True)
class Subscription:
    """One handler class or function, with all that it reads.

    Attributes:
        name: that of the class or function, ``"Stock"``.
        reactions: its handlers; of a function, one.
        categories: the stream categories that it reads; ``None`` for all.
        start_from: where it begins when it is new, ``"beginning"`` or ``"now"``.
        asks: whether any of its handlers asks where a chain began.

    Example:
        >>> from happened.subscription import Subscription
        >>> Subscription("Stock", (), ("order",)).start_from
        'beginning'
    """

    name: str
    reactions: tuple[Reaction, ...]
    categories: tuple[str, ...] | None
    start_from: str = "beginning"
    asks: bool = False
    _taking: dict[type[Message], tuple[Reaction, ...]] = field(default_factory=dict, repr=False)

    def subscribe(self, storage: Storage) -> None:
        """Make its checkpoints where it is new.

        Args:
            storage: where they are.

        Raises:
            StorageError: the storage cannot be reached.
        """
        storage.subscribe(self.name, from_now=self.start_from == "now")

    def taking(self, kind: type[Message]) -> tuple[Reaction, ...]:
        """Return the handlers of a class of messages, in the order in which they are written.

        Args:
            kind: the class.
        """
        found = self._taking.get(kind)
        if found is None:
            found = self._taking[kind] = tuple(
                each
                for each in self.reactions
                if (issubclass(kind, Event) and each.takes(kind))
                or (issubclass(kind, Command) and kind in each.accepts)
            )
        return found


def subscriptions_of(registry: Registry) -> list[Subscription]:
    """Return the subscriptions of a domain: command handlers first, then event handlers.

    Args:
        registry: what the domain has.

    Example:
        >>> from happened.registry import Registry
        >>> from happened.subscription import subscriptions_of
        >>> subscriptions_of(Registry("shelf"))
        []
    """
    grouped: dict[str, list[Reaction]] = {}
    for reaction in [*registry.commands.values(), *registry.reactions]:
        known = grouped.setdefault(reaction.subscription, [])
        if reaction not in known:
            known.append(reaction)
    return [
        Subscription(
            name,
            tuple(found),
            _categories(registry, found),
            found[0].start_from,
            asks=any(each.source_stream for each in found),
        )
        for name, found in grouped.items()
    ]


def _categories(registry: Registry, reactions: Iterable[Reaction]) -> tuple[str, ...] | None:
    found: dict[str, None] = {}
    for reaction in reactions:
        if Event in reaction.accepts and reaction.stream_category is None:
            return None
        if reaction.stream_category is not None:
            found[reaction.stream_category] = None
            continue
        for kind in registry.messages.values():
            part_of = kind._part_of
            category: str | None = getattr(part_of, "_category", None)
            if category is None:
                continue
            if issubclass(kind, Event) and reaction.takes(kind):
                found[category] = None
            elif kind in reaction.accepts:
                found[f"{category}:command"] = None
    return tuple(found)


def wait_before(attempt: int, backoff: float) -> float:
    """Return how long to wait before a message is tried again, in seconds.

    The wait doubles from attempt to attempt, up to 5 minutes; a random half of it is left out, so
    that what failed together is not tried again together.

    Args:
        attempt: how often it was tried, from 1.
        backoff: the longest first wait, in seconds.

    Example:
        >>> from happened.subscription import wait_before
        >>> 2.0 <= wait_before(3, backoff=1.0) <= 4.0
        True
    """
    longest: float = min(LONGEST_WAIT, backoff * 2.0 ** min(attempt - 1, 30))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


class _Undone(Exception):  # noqa: N818 - not an error
    """What was done in a transaction cannot be kept; try again with one message at a time."""


class _InTheWay(Exception):  # noqa: N818 - not an error
    """What was done before in a transaction is in the way of a handler; call it in another one."""


class _Done(NamedTuple):
    """A handler that was called, and waits for the commit."""

    unit: UnitOfWork
    reaction: Reaction
    message: Message


class Deliverer:
    """Delivers what subscriptions have still to handle, in this thread.

    Args:
        processor: calls the handlers.
        batch: how many messages are handled in one transaction at most. If the transaction cannot
            be committed, they are handled one by one.
        grace: how long a pending delivery is left to whoever committed its message, in seconds.
        stopping: says whether to end as soon as possible; by default never.
        failed: is told of each message that was put aside and why, after that is committed;
            nobody by default.

    Example:
        >>> from happened import Domain
        >>> from happened.subscription import Deliverer, subscriptions_of
        >>> shelf = Domain("shelf")
        >>> Deliverer(shelf.processor).deliver_all(subscriptions_of(shelf.registry))
        0
    """

    def __init__(
        self,
        processor: Processor,
        *,
        batch: int = BATCH,
        grace: float = 0.0,
        stopping: Callable[[], bool] = lambda: False,
        failed: Callable[[Delivery, Exception], None] | None = None,
    ) -> None:
        self.processor = processor
        self.storage = processor.storage
        self.registry = processor.registry
        self.stopping = stopping
        self.careful: dict[tuple[str, int], int] = {}
        self.apart: dict[tuple[str, int], str] = {}  # whose handlers get a transaction each
        self.breaks: dict[tuple[str, str], list[str]] = {}  # why, by handler and message id
        self._batch = batch
        self._grace = grace
        self._failed = failed

    def deliver_all(self, subscriptions: Sequence[Subscription]) -> int:
        """Deliver until nothing is left that can be delivered now.

        What failed waits for its retry, and dead letters wait for somebody.

        Args:
            subscriptions: those to deliver to.

        Returns:
            How many messages were handled or put aside, counted for each subscription.

        Raises:
            StorageError: the storage cannot be reached.
        """
        for each in subscriptions:
            each.subscribe(self.storage)
        delivered, more = 0, True
        while more:
            self.storage.number()
            more = False
            for each in subscriptions:
                while not self.stopping() and (count := self.deliver(each)) is not None:
                    delivered += count
                    more = True
        return delivered

    def deliver(self, subscription: Subscription) -> int | None:
        """Claim a partition, and deliver what is next in it.

        Args:
            subscription: the subscription.

        Returns:
            How many messages were handled or put aside; ``None`` where there was nothing to do, or
            others are at it.

        Raises:
            StorageError: the storage cannot be reached.
        """
        transaction = self.storage.begin()
        work = None
        try:
            limit = 1 if any(name == subscription.name for name, _ in self.careful) else self._batch
            claim = transaction.claim(
                subscription.name, subscription.categories, datetime.now(UTC), self._grace, limit
            )
            if claim is None:
                return None
            at("delivery: claimed")
            work = _Work(self, subscription, transaction, claim)
            if claim.due:
                work.retry_all(1 if work.key in self.careful else self._batch)
            else:
                work.read()
            self._commit(work)
        except _Undone:
            return 0
        except StorageError as error:
            if work is not None:
                self._broken(work, error)
            raise
        finally:
            transaction.rollback()
        self.breaks.pop(work.called, None)
        at("delivery: done")
        self._tell(work)
        return work.count

    def _tell(self, work: "_Work") -> None:
        """Tell what is committed, and have what handlers raised handled, where that is at once."""
        if self._failed is not None:
            for delivery, error in work.aside:
                self._failed(delivery, error)
        for unit, reaction, message in work.done:
            try:
                self.processor.committed(unit, reaction, message)
            except BaseException as error:  # of handlers called at once; kept as dead letters
                if is_interrupt(error):
                    raise

    def be_careful(self, key: tuple[str, int], messages: int) -> None:
        """Handle the next messages of a partition one by one.

        Args:
            key: the subscription and the partition.
            messages: how many.
        """
        self.careful[key] = max(messages, self.careful.get(key, 1))

    def _broken(self, work: "_Work", error: Exception) -> None:
        """Hold it against the handler, if it was called with care; else be careful from now on."""
        if work.is_careful:
            self.breaks.setdefault(work.called, []).append(in_a_line(error))
        else:
            self.be_careful(work.key, work.size)

    def _commit(self, work: "_Work") -> None:
        """Commit; what is refused is done again in smaller parts, to find out whose fault it is."""
        at("delivery: before the commit")
        try:
            work.transaction.commit()
        except ConcurrencyError as error:
            self.be_careful(work.key, work.size)
            raise _Undone from error
        except Exception as error:
            if work.is_careful and len(work.done) > 1:
                self.be_careful(work.key, len(work.done))
                self.apart[work.key] = work.called[1]
            elif work.is_careful and isinstance(error, StorageError):
                raise
            else:
                self._broken(work, error)
            raise _Undone from error
        if work.key in self.careful:
            self.careful[work.key] -= 1
            if not self.careful[work.key]:
                del self.careful[work.key]


class _Work:
    """What is done with one claim, in its transaction."""

    def __init__(
        self,
        deliverer: Deliverer,
        subscription: Subscription,
        transaction: Transaction,
        claim: Claim,
    ) -> None:
        self.deliverer = deliverer
        self.subscription = subscription
        self.transaction = transaction
        self.claim = claim
        self.end = time.monotonic() + BATCH_TIME
        self.key = (subscription.name, claim.checkpoint.partition)
        self.called = ("", "")  # the last handler, and the id of its message
        self.is_careful = self.key in deliverer.careful
        self.apart = deliverer.apart.pop(self.key, "")
        self.aside: list[tuple[Delivery, Exception]] = []
        self.messages: Sequence[StoredMessage] = ()
        self.blocked = set(claim.blocked)
        self.done: list[_Done] = []
        self.count = 0

    @property
    def size(self) -> int:
        """How many messages it is about."""
        return len(self.messages) or min(len(self.claim.due), BATCH)

    # ------------------------------------------------------------------- new messages

    def read(self) -> None:
        """Handle the next messages of the partition, or put them aside."""
        claim = self.claim
        self.messages = claim.messages
        position = claim.checkpoint.position
        for stored in self.messages:
            if self.count and self._is_over():
                break
            self._one(stored)
            position = (stored.metadata.global_position or 0) + 1
        self.transaction.advance(claim.checkpoint._replace(position=position))

    def _is_over(self) -> bool:
        """Whether to take on nothing more, so that what is done gets committed."""
        return self.deliverer.stopping() or time.monotonic() >= self.end

    def _one(self, stored: StoredMessage) -> None:
        """Handle one message with all handlers that take it, or put it aside."""
        metadata, _, claims = stored
        kind = self.deliverer.registry.messages.get(metadata.type)
        reactions = () if kind is None else self.subscription.taking(kind)
        if claims or self.subscription.asks:
            reactions = tuple(
                each
                for each in reactions
                if each.handler.name not in claims and each.follows(metadata.origin_stream)
            )
        if (kind is not None and not reactions) or self.subscription.name in claims:
            return
        self.count += 1
        if metadata.stream in self.blocked or metadata.id == self.apart:
            self._hold(stored, reactions)
            return
        try:
            message = self.deliverer.registry.restore(metadata, stored.data)
        except MessageError as error:
            self._put_aside(self._delivery(stored, None), None, error)
            return
        for reaction in reactions:
            if self.is_careful and self.transaction.locking:  # two may wait for each other
                self._hold(stored, [reaction])
                continue
            mark = self.transaction.savepoint(sure=self.is_careful)
            try:
                self._call(reaction, message, mark)
            except _InTheWay as error:
                self._undo(mark, error)
                self._hold(stored, [reaction])
            except Exception as error:  # noqa: BLE001 - whatever a handler raises is its failure
                self._undo(mark, error)
                self._put_aside(self._delivery(stored, reaction), reaction, error)

    def _call(self, reaction: Reaction, message: Message, mark: object) -> None:
        """Call a handler; if it was to be careful, or waited, again after a conflict."""
        conflicts = CONFLICTS if self.is_careful or self.claim.due else 0
        self.called = (reaction.handler.name, message._metadata.id)
        breaks = self.deliverer.breaks
        if breaks and len(breaks.get(self.called, ())) >= BREAKS:
            raise HappenedError(
                f"{BREAKS} times {reaction.handler.name} was called, and the storage broke off "
                "(does it take longer than the storage waits?) or refused to commit what it did; "
                f"the last time: {breaks.pop(self.called)[-1]}"
            )
        while True:
            unit = self.deliverer.processor.unit_in(self.transaction)
            try:
                at("delivery: before a handler")
                self.deliverer.processor.run_in(unit, reaction, message)
                at("delivery: after a handler")
                if self.is_careful:
                    self.transaction.flush()
                if unit.refused and self._has_company:
                    raise _InTheWay
            except Exception as error:
                if unit.refused and self._has_company:
                    raise _InTheWay from error
                if conflicts <= 0 or not isinstance(error, ConcurrencyError):
                    raise
                conflicts -= 1
                self._undo(mark, error)
            else:
                self.done.append(_Done(unit, reaction, message))
                return

    @property
    def _has_company(self) -> bool:
        """Whether this transaction did anything before the handler that was called last."""
        return self.count > 1 or bool(self.done or self.aside)

    def _undo(self, mark: object, error: Exception) -> None:
        """Forget what a handler wrote before it failed.

        The storage may have refused what one handler did, or be gone. If so, the next claim fails,
        or going back to a mark that is sure.
        """
        is_in_doubt = isinstance(error, StorageError) and not self.is_careful
        if is_in_doubt or not self.transaction.restore(mark):
            self.deliverer.be_careful(self.key, self.size)
            raise _Undone from error

    # ------------------------------------------------------------------- what waits

    def retry_all(self, limit: int) -> None:
        """Handle what was put aside and is due; behind what fails again, its stream waits."""
        stuck: set[str] = set()
        for delivery in self.claim.due[:limit]:
            if self.count and self._is_over():
                break
            is_behind = delivery.blocks and delivery.stream in stuck
            if not is_behind and not self.retry(delivery):
                stuck.add(delivery.stream)

    def retry(self, delivery: Delivery) -> bool:
        """Handle a message that was put aside; whether nothing of it waits any longer."""
        self.count += 1
        place = delivery.stream, delivery.position
        stored = self.transaction.find_message(*place)
        if stored is not None and stored.metadata.global_position is None:
            stored = self.deliverer.storage.find_message(*place)
        if stored is None or stored.metadata.id != delivery.message_id:  # somebody deleted it
            self.transaction.settle(delivery.handler, delivery.message_id)
            return True
        is_done = True
        reaction = next(
            (each for each in self.subscription.reactions if each.handler.name == delivery.handler),
            None,
        )
        mark = self.transaction.savepoint(sure=self.is_careful)
        try:
            message = self.deliverer.registry.restore(stored.metadata, stored.data)
            takers = [
                each
                for each in self.subscription.taking(type(message))
                if each.follows(stored.metadata.origin_stream)
            ]
            if reaction in takers:
                self._call(reaction, message, mark)
            elif delivery.handler == self.subscription.name:  # nobody could read it before
                for each in takers:
                    if each.handler.name not in stored.claims:
                        self.transaction.defer(self._delivery(stored, each))
                        is_done = False
            elif reaction is None:  # that of a newer release, perhaps
                method = delivery.handler.rpartition(".")[2]
                raise HappenedError(
                    f"{self.subscription.name} has no handler {delivery.handler}; if its method "
                    f"has another name now, give it @handle(..., name={method!r}), and retry"
                )
        except _InTheWay as error:  # it stays due
            self._undo(mark, error)
            self.count -= 1
            return False
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is its failure
            self._undo(mark, error)
            self._put_aside(delivery, reaction, error)
            is_done = False
        self.transaction.settle(delivery.handler, delivery.message_id)  # if it still waits
        return is_done

    def _hold(self, stored: StoredMessage, reactions: Sequence[Reaction]) -> None:
        self.blocked.add(stored.metadata.stream or "")
        for reaction in reactions or (None,):
            self.transaction.defer(self._delivery(stored, reaction))

    def _delivery(self, stored: StoredMessage, reaction: Reaction | None) -> Delivery:
        name = reaction.handler.name if reaction else self.subscription.name
        return delivery_of(name, stored.metadata, "held")

    def _put_aside(self, delivery: Delivery, reaction: Reaction | None, error: Exception) -> None:
        """Have a message tried again later; or keep it as a dead letter, tried often enough."""
        attempts = delivery.attempts + 1
        asked = reaction or self.subscription.reactions[0]
        retries = RETRIES if asked.retries is None else asked.retries
        dead = attempts > retries
        wait = timedelta(seconds=0 if dead else wait_before(attempts, asked.backoff))
        blocks = delivery.blocks and not (dead and asked.on_dead_letter == "go_on")
        aside = failed(delivery, error)._replace(
            state="dead" if dead else "retrying",
            attempts=attempts,
            due=datetime.now(UTC) + wait,
            blocks=blocks,
        )
        self.transaction.defer(aside)
        if blocks:
            self.blocked.add(delivery.stream)
        self.aside.append((aside, error))
