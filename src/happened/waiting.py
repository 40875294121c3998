"""Layer 4. Waiting: until subscriptions have handled a message."""

import time
from collections.abc import Sequence

from happened.elements import nearest
from happened.errors import ConfigurationError, MessageError
from happened.messages import Message
from happened.registry import Registry
from happened.storage import Delivery, Storage, StoredMessage
from happened.streams import partition
from happened.subscription import Subscription

__all__ = ["wait_for"]


def wait_for(
    storage: Storage,
    subscriptions: Sequence[Subscription],
    registry: Registry,
    message: Message | str,
    *,
    handler: str | None,
    timeout: float,
) -> None:
    """Return once subscriptions have handled a message.

    Args:
        storage: where the message is.
        subscriptions: all of the domain.
        registry: says what the message is.
        message: the message, or its id.
        handler: the name of the subscription to wait for; ``None`` for all that take the message.
        timeout: how long to wait at most, in seconds.

    Raises:
        ConfigurationError: there is no such subscription, or it does not take the message.
        MessageError: it is a dead letter.
        TimeoutError: it was not stored in time, or not handled.
        StorageError: the storage cannot be reached.
    """
    id = message if isinstance(message, str) else message._metadata.id
    end = time.monotonic() + timeout
    pause = 0.001
    while True:
        stored = _stored(storage, message)
        late = f"the message {id} is not stored" if stored is None else ""
        if stored is not None:
            message = registry.restore(stored.metadata, stored.data)
            kind = type(message)
            takers = _takers(subscriptions, kind, stored, handler)
            late = _unhandled(storage, takers, kind, stored)
        if not late:
            return
        if time.monotonic() >= end:
            raise TimeoutError(f"{late}, after {timeout:g} s; is a server running?")
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def _stored(storage: Storage, message: Message | str) -> StoredMessage | None:
    """A message as it is stored; at its place there may be another one, or none."""
    if isinstance(message, str):
        return storage.find_message_by_id(message)
    metadata = message._metadata
    if metadata.position is None:
        return None
    stored = storage.find_message(metadata.stream or "", metadata.position)
    return stored if stored is not None and stored.metadata.id == metadata.id else None


def _takers(
    subscriptions: Sequence[Subscription],
    kind: type[Message],
    stored: StoredMessage,
    handler: str | None,
) -> list[Subscription]:
    """The subscriptions that are to handle a message."""
    origin = stored.metadata.origin_stream
    found = [
        each
        for each in subscriptions
        if handler in (None, each.name) and any(r.follows(origin) for r in each.taking(kind))
    ]
    if handler is not None and not found:
        known = [each.name for each in subscriptions if each.taking(kind)]
        if handler in known:
            raise ConfigurationError(
                f"{handler} handles no {kind.__name__} whose chain began in {origin!r}; see its "
                "source_stream="
            )
        near = nearest(handler, known)
        raise ConfigurationError(f"no handler {handler!r} handles {kind.__name__}{near}")
    return found


def _unhandled(
    storage: Storage, takers: Sequence[Subscription], kind: type[Message], stored: StoredMessage
) -> str:
    """Who has not handled a message yet; nothing if all have."""
    metadata, _, claims = stored
    place, own = metadata.global_position, partition(metadata.stream or "")
    # In this order: what fails while we look is put aside when the checkpoint goes on.
    read_by = {
        each.name: any(
            checkpoint.partition == own and place is not None and checkpoint.position > place
            for checkpoint in storage.checkpoints(each.name)
        )
        for each in takers
    }
    left = {each.subscription: each for each in storage.deliveries(message_id=metadata.id)}
    for each in takers:
        delivery = left.get(each.name)
        if delivery is not None and delivery.state == "dead":
            reason = f"it is a dead letter of {delivery.handler}: {delivery.error}"
            raise MessageError(reason, message_id=metadata.id, type=metadata.type)
        wanted = (r for r in each.taking(kind) if r.follows(metadata.origin_stream))
        claimed = all(r.handler.name in claims for r in wanted)
        if delivery is not None or not (claimed or read_by[each.name]):
            late = f"{each.name} has not handled {metadata.type} {metadata.id}"
            return f"{late}, which is {_waiting(delivery)}" if delivery is not None else late
    return ""


def _waiting(delivery: Delivery) -> str:
    return f"{delivery.state} ({delivery.error})" if delivery.error else delivery.state
