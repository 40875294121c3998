"""Layer 4. Replay: stored messages handled once more, and projections rebuilt from them."""

from collections.abc import Callable, Mapping, Sequence

from happened.elements import nearest
from happened.errors import ConfigurationError, HappenedError
from happened.faults import at
from happened.model import Aggregate, Projection
from happened.processing import Processor
from happened.registry import Registry
from happened.storage import Checkpoint, Claim, StoredMessage, Transaction
from happened.subscription import Subscription
from happened.unit_of_work import UnitOfWork

__all__ = ["Progress", "Replay", "categories_of", "feeding", "projection_named", "rebuild"]

Progress = Callable[[int, int], None]
"""Told after each transaction: how many messages were read, and how many are left."""

BATCH = 200


class Replay:
    """Handles stored messages once more, from the first on, in the order of global positions.

    How far it came is stored with what the handlers wrote, so one that was killed goes on where it
    stopped. Messages that were handled before are handled again: that is the purpose.

    Args:
        processor: calls the handlers.
        name: what its checkpoint is called, ``"Stock~replay"``.
        subscriptions: whose handlers are called.
        instead: the categories whose documents are to be written elsewhere, see `UnitOfWork`.
        progress: is told how far it came; nobody by default.

    Example:
        >>> from happened import Domain
        >>> from happened.replay import Replay
        >>> shelf = Domain("shelf")
        >>> Replay(shelf.processor, "Stock~replay", []).run()
        0
    """

    def __init__(
        self,
        processor: Processor,
        name: str,
        subscriptions: Sequence[Subscription],
        *,
        instead: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._processor = processor
        self._storage = processor.storage
        self._name = name
        self._subscriptions = subscriptions
        self._instead = instead
        self._progress = progress
        known = [each.categories for each in subscriptions]
        all_of = {name for categories in known for name in categories or ()}
        self._categories = [*all_of] if len(all_of) == 1 and None not in known else None

    def run(self, start: int = 0) -> int:
        """Handle all messages that are stored, and forget how far it came when that is done.

        Args:
            start: the global position to begin at, from 0; one that was begun goes on instead.

        Returns:
            How many messages were read.

        Raises:
            HappenedError: a handler failed; what it wrote is not stored.
            StorageError: the storage cannot be reached.
        """
        count = self.catch_up(start)
        self._storage.unsubscribe(self._name)
        return count

    def catch_up(self, start: int = 0) -> int:
        """Handle all messages that are stored, and keep how far it came.

        Args:
            start: as for `run`.

        Returns:
            How many messages were read.

        Raises:
            HappenedError: a handler failed; what it wrote is not stored.
            StorageError: the storage cannot be reached.
        """
        self._storage.subscribe(self._name)
        self._storage.number()
        left = self._storage.backlog(self._name, self._categories).messages
        count = 0
        while True:
            transaction = self._storage.begin()
            try:
                checkpoints = transaction.hold(self._name)
                messages, end = self._next(max(checkpoints[0].position, start))
                if not messages:
                    return count
                self.handle(transaction, messages)
                self.move(transaction, checkpoints, end)
                at("delivery: before the commit")
                transaction.commit()
            finally:
                transaction.rollback()
            at("delivery: done")
            count += len(messages)
            if self._progress is not None:
                self._progress(count, max(0, left - count))

    def move(
        self, transaction: Transaction, checkpoints: Sequence[Checkpoint], position: int
    ) -> None:
        """Note how far it came.

        Args:
            transaction: the transaction that holds the checkpoints.
            checkpoints: the checkpoints.
            position: the global position of the next message to read.
        """
        for each in checkpoints:
            if each.position != position:
                transaction.advance(each._replace(position=position))

    def rest(self, transaction: Transaction, checkpoints: Sequence[Checkpoint]) -> int:
        """Handle what is left in one transaction, while nobody can append any.

        It is read through that transaction, as a storage may give global positions in it.

        Args:
            transaction: one that excludes writers.
            checkpoints: the checkpoints of this replay, held by the transaction.

        Returns:
            The global position of the next message to come.
        """
        left: list[tuple[int, StoredMessage]] = []
        for each in checkpoints:
            claim = Claim(each, [], frozenset())
            while found := transaction.read_partition(claim, self._categories, BATCH):
                left += [(stored.metadata.global_position or 0, stored) for stored in found]
                claim = claim._replace(checkpoint=each._replace(position=left[-1][0] + 1))
        left.sort(key=lambda each: each[0])
        self.handle(transaction, [stored for _, stored in left])
        return left[-1][0] + 1 if left else checkpoints[0].position

    def handle(self, transaction: Transaction, messages: Sequence[StoredMessage]) -> None:
        """Call the handlers of some messages, in a transaction.

        Args:
            transaction: what they write into.
            messages: the messages.

        Raises:
            HappenedError: a handler failed.
        """
        registry = self._processor.registry
        for stored in messages:
            metadata = stored.metadata
            kind = registry.messages.get(metadata.type)
            if kind is None:
                continue
            takers = [
                reaction
                for subscription in self._subscriptions
                for reaction in subscription.taking(kind)
                if reaction.follows(metadata.origin_stream)
            ]
            if not takers:
                continue
            message = registry.restore(metadata, stored.data)
            for reaction in takers:
                unit = UnitOfWork(self._storage, transaction=transaction, instead=self._instead)
                try:
                    self._processor.run_in(unit, reaction, message)
                except Exception as error:
                    raise HappenedError(
                        f"{reaction.handler.name} failed on {metadata.type} {metadata.id} at "
                        f"global position {metadata.global_position}: "
                        f"{type(error).__name__}: {error}; mend it, and run this again to go on"
                    ) from error
                unit.committed()

    def _next(self, position: int) -> tuple[Sequence[StoredMessage], int]:
        """The next messages from a position on, and the position behind them."""
        category = self._categories[0] if self._categories else None
        messages = self._storage.read_category(category, position, BATCH)
        if not messages:
            return messages, position
        return messages, (messages[-1].metadata.global_position or 0) + 1


def categories_of(kind: type[Aggregate]) -> tuple[str, ...]:
    """Return the categories of the documents of a class: a projection is rebuilt in a second one.

    Args:
        kind: an aggregate or a projection.

    Example:
        >>> from happened import Projection
        >>> from happened.replay import categories_of
        >>> class Bestseller(Projection): ...
        >>> categories_of(Bestseller)
        ('bestseller', 'bestseller~rebuild')
    """
    category = kind._category
    return (category, f"{category}~rebuild") if issubclass(kind, Projection) else (category,)


def projection_named(registry: Registry, wanted: type | str) -> type[Projection]:
    """Return a projection of a domain.

    Args:
        registry: what the domain has.
        wanted: the class, or its name.

    Raises:
        ConfigurationError: there is no such projection.

    Example:
        >>> from happened import Projection
        >>> from happened.registry import Registry
        >>> from happened.replay import projection_named
        >>> registry = Registry("shelf")
        >>> @lambda cls: registry.add("projection", cls)
        ... class Bestseller(Projection): ...
        >>> projection_named(registry, "Bestseller") is Bestseller
        True
    """
    found: list[type[Projection]] = registry.of_kind("projection")
    for each in found:
        if wanted in (each, each.__name__):
            return each
    names = [each.__name__ for each in found]
    name = wanted if isinstance(wanted, str) else wanted.__name__
    known = nearest(name, names) or f"; it has {', '.join(names) or 'none'}"
    raise ConfigurationError(f"domain {registry.name!r} has no projection {name!r}{known}")


def feeding(
    projection: type[Projection], subscriptions: Sequence[Subscription], domain: str
) -> list[Subscription]:
    """Return the subscriptions all of whose handlers are a part of a projection.

    Args:
        projection: the projection.
        subscriptions: those of the domain.
        domain: the name of the domain, for the error.

    Raises:
        ConfigurationError: there is none.

    Example:
        >>> from happened import ConfigurationError, Projection
        >>> from happened.replay import feeding
        >>> class Bestseller(Projection): ...
        >>> try:
        ...     feeding(Bestseller, [], "shelf")
        ... except ConfigurationError as error:
        ...     print(str(error).partition(";")[0])
        domain 'shelf': no event handler is a part of Bestseller
    """
    found = [
        each
        for each in subscriptions
        if all(reaction.part_of is projection for reaction in each.reactions)
    ]
    if not found:
        raise ConfigurationError(
            f"domain {domain!r}: no event handler is a part of {projection.__name__}; register "
            f"one with @domain.event_handler(part_of={projection.__name__})"
        )
    return found


def rebuild(
    processor: Processor,
    category: str,
    subscriptions: Sequence[Subscription],
    *,
    restart: bool = False,
    progress: Progress | None = None,
) -> int:
    """Make a projection anew from the stored events, beside the one in use, and then switch.

    The one in use stays as it is until the switch, which is one transaction. Handlers wait for
    it; so do writers, as long as it takes to handle what came in last. A rebuild that was killed
    goes on where it stopped.

    Args:
        processor: calls the handlers.
        category: the category of the projection's documents.
        subscriptions: those whose handlers feed the projection.
        restart: whether to begin again instead of going on.
        progress: is told how far it came; nobody by default.

    Returns:
        How many messages were read before the switch.

    Raises:
        HappenedError: a handler failed; the projection in use is as it was.
        StorageError: the storage cannot be reached.
    """
    storage = processor.storage
    beside = name = f"{category}~rebuild"
    if restart:
        transaction = storage.begin()
        transaction.replace(beside, None)
        transaction.commit()
        storage.unsubscribe(name)
    replay = Replay(processor, name, subscriptions, instead={category: beside}, progress=progress)
    count = replay.catch_up()
    for each in subscriptions:
        each.subscribe(storage)
    transaction = storage.begin()
    try:
        live = [held for each in subscriptions for held in transaction.hold(each.name)]
        own = transaction.hold(name)
        transaction.exclude_writers()
        end = replay.rest(transaction, own)
        replay.move(transaction, [held for held in live if held.position < end], end)
        for each in subscriptions:
            for delivery in storage.deliveries(subscription=each.name, limit=1_000_000):
                transaction.settle(delivery.handler, delivery.message_id)
        transaction.replace(category, beside)
        replay.move(transaction, own, 0)
        at("delivery: before the commit")
        transaction.commit()
    finally:
        transaction.rollback()
    storage.unsubscribe(name)
    return count
