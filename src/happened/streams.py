"""Layer 1. The names of streams: ``order-7`` is a stream, ``order`` is its stream category."""

import re
from zlib import crc32

from happened.errors import ConfigurationError

__all__ = [
    "PARTITIONS",
    "belongs_to",
    "category",
    "checked_category",
    "partition",
    "snake_case",
    "stream",
]

_CATEGORY = re.compile(r"[^\s-]+")
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


PARTITIONS = 16
"""How many partitions every subscription has: so many workers can share one."""


def snake_case(name: str) -> str:
    """Return a class name in small letters, its words joined by underscores.

    Args:
        name: the name of a class, ``"PurchaseOrder"``.

    Example:
        >>> from happened.streams import snake_case
        >>> snake_case("PurchaseOrder")
        'purchase_order'
    """
    return _WORD_START.sub("_", name).lower()


def stream(category: str, id: str) -> str:
    """Return the name of the stream of one aggregate.

    Args:
        category: the stream category, ``"order"``.
        id: the aggregate's identifier.

    Example:
        >>> from happened.streams import stream
        >>> stream("order", "7")
        'order-7'

    Source:
        The names of Message DB and Eventide: all before the first ``-`` is the category.
    """
    return f"{category}-{id}"


def category(stream: str) -> str:
    """Return the category of a stream: the part before the first ``-``.

    Args:
        stream: the name of a stream, ``"order-7"``.

    Example:
        >>> from happened.streams import category
        >>> category("order-4c1d-9f")
        'order'
    """
    return stream.partition("-")[0]


def partition(stream: str) -> int:
    """Return the partition of a stream: its messages are handled in order, one at a time.

    Args:
        stream: the name of a stream, ``"order-7"``.

    Example:
        >>> from happened.streams import partition
        >>> partition("order-7")
        10

    Source:
        CRC-32 as in RFC 1952, over the name in UTF-8, modulo `PARTITIONS`.
    """
    return crc32(stream.encode()) % PARTITIONS


def belongs_to(stream: str | None, source: str) -> bool:
    """Return whether a chain that began in a stream began in this category.

    The commands for a category's aggregates belong to it, too: ``order:command-7`` began in
    ``order`` and in ``order:command``.

    Args:
        stream: the origin stream of a message, or ``None``.
        source: a stream category.

    Example:
        >>> from happened.streams import belongs_to
        >>> belongs_to("order:command-7", "order"), belongs_to("order-7", "order:command")
        (True, False)
    """
    if stream is None:
        return False
    found = category(stream)
    return found == source or found.partition(":")[0] == source


def checked_category(name: str, place: str) -> str:
    """Return the name of a stream category if it is a good one.

    Args:
        name: the category.
        place: where it was given, for the error.

    Raises:
        ConfigurationError: it is empty, or has a ``-`` or a space.

    Example:
        >>> from happened.streams import checked_category
        >>> checked_category("purchase_order", "Order")
        'purchase_order'
    """
    if not isinstance(name, str) or not _CATEGORY.fullmatch(name):
        raise ConfigurationError(
            f"{place}: {name!r} cannot be a stream category; it takes text without '-' and spaces"
        )
    return name
