"""Layer 6. The tables in PostgreSQL: names of indexes, and what rows mean."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zlib import crc32

import psycopg

from happened.adapters.postgres_statements import Prepared, Row
from happened.adapters.postgres_writes import ROW_TYPES, Parts
from happened.errors import ConcurrencyError, HappenedError, ValidationError
from happened.immutable import freeze
from happened.metadata import NO_HEADERS, Metadata
from happened.storage import Checkpoint, Claim, Collection, Delivery, StoredMessage
from happened.streams import PARTITIONS
from happened.writes import due_of

__all__ = ["MESSAGE", "Tables", "as_claim", "as_delivery", "as_message", "index_name"]

MESSAGE: Final = (
    "m.id, m.type, m.version,"
    " CASE WHEN m.time >= '0001-01-02Z' AND m.time < '9999-12-31Z' THEN m.time END,"
    " m.stream, m.position, m.global_position, m.correlation_id,"
    " m.causation_id, m.origin_stream, m.headers::text, m.data::text, m.claims"
)
"""The columns that `as_message` takes; no time where it is none that Python has."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def index_name(kind: str, category: str, field: str) -> str:
    """Return the name of the index of a field; one that is too long is cut, and told by a number.

    Args:
        kind: ``"unique"`` or ``"index"``.
        category: the stream category.
        field: the field.

    Example:
        >>> from happened.adapters.postgres_tables import index_name
        >>> index_name("unique", "book", "isbn")
        'unique book isbn'
    """
    name = f"{kind} {category} {field}"
    encoded = name.encode()
    if len(encoded) <= 63:
        return name
    return f"{encoded[:50].decode(errors='ignore')} {crc32(encoded):08x}"


class Tables:
    """What a storage knows of its tables: the schema, and the collections that were prepared.

    Args:
        schema: the schema, not quoted.

    Attributes:
        schema: the schema, quoted.
        channel: where commits are told.
        collections: by category.
        merged: the messages of a category from a position on, so many of them at most, three
            parameters for each of its partitions.
        claiming: the statement that claims a partition.
        claiming_news: the one that claims the partition that news came from.
        numbering: the statement that numbers messages after a commit, and tells of it.

    Example:
        >>> from happened.adapters.postgres_tables import Tables
        >>> Tables("shop").schema
        '"shop"'
    """

    def __init__(self, schema: str) -> None:
        self.schema = f'"{schema}"'
        self.channel = f"messages {schema}"[:63]
        self.collections: dict[str, Collection] = {}
        self.merged = _merged(self.schema)
        # Behind some poolers, other storages' statements lie in the same connection.
        self._tag = tag = f"{crc32(schema.encode()):08x}"
        self.claiming = Prepared(
            f"happened_claim_{tag}",
            f"c.partition, c.position, c.unread, c.waiting, {MESSAGE}"
            f" FROM {self.schema}.claim_partition({{}}, {{}}, {{}}, {{}}, {{}}, {{}}) c,"
            " LATERAL (SELECT (c.message).*) m",
            "text, text[], timestamptz, timestamptz, integer, smallint",
        )
        self.claiming_news = Prepared(
            f"happened_claim_news_{tag}",
            f"c.position, {MESSAGE} FROM {self.schema}.claim_news({{}}, {{}}, {{}}, {{}}) c,"
            " LATERAL (SELECT (c.message).*) m",
            "text, text, smallint, integer",
        )
        self._commits: dict[tuple[bool, ...], Prepared] = {}
        self.numbering = Prepared(
            f"happened_number_{tag}",
            f"{self.schema}.number_messages({{}}, false), pg_notify({{}}, {{}})",
            "integer, text, text",
        )

    def commit_of(self, row: Parts) -> tuple[Prepared, list[Any]]:
        """Return the statement that commits a row of each, and its parameters.

        There is one for each set of what there is to write: the rest is neither sent nor read.

        Args:
            row: what `as_row` returned.
        """
        known = tuple(part is not None for part in row)
        prepared = self._commits.get(known)
        if prepared is None:
            parts = list(zip(known, ROW_TYPES, strict=True))
            given = ("{}" if is_there else "NULL" for is_there, types in parts for _ in types)
            prepared = self._commits[known] = Prepared(
                f"happened_commit_{self._tag}_" + "".join("01"[is_there] for is_there in known),
                f"{self.schema}.commit_one({', '.join(given)})",
                ", ".join(each for is_there, types in parts if is_there for each in types),
            )
        return prepared, [each for part in row if part is not None for each in part]

    def title(self, category: str) -> str:
        """Return the name of the class of a category, or the category."""
        known = self.collections.get(category)
        return (known and known.title) or category

    def refusal(self, error: psycopg.Error) -> HappenedError | None:
        """Return what the functions in postgres.sql mean by an error of theirs.

        Args:
            error: the driver's error.
        """
        if error.sqlstate not in ("HP001", "HP002"):
            return None
        detail = json.loads(error.diag.message_detail or "{}")
        if error.sqlstate == "HP001":
            expected, found = detail["expected"], detail["found"]
            return ConcurrencyError(detail["stream"], expected=expected, found=found)
        text = f"{detail['id']!r} was removed, and its stream stays; an identity is used once"
        return ValidationError({"id": [text]}, self.title(detail["category"]))

    def indexes(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield name, kind, category and field of each index that there has to be."""
        for each in self.collections.values():
            for kind, fields in (("unique", each.unique), ("index", each.indexed)):
                for field in fields:
                    yield index_name(kind, each.category, field), kind, each.category, field

    def field_of(self, index: str | None) -> tuple[str, str] | None:
        """Return the category and the field that must be unique by an index."""
        for name, kind, category, field in self.indexes():
            if name == index and kind == "unique":
                return category, field
        kind, *rest = (index or "").split(" ")
        return (rest[0], rest[1]) if kind == "unique" and len(rest) == 2 else None


def _merged(schema: str) -> str:
    each = (
        f"(SELECT m.* FROM {schema}.messages m WHERE m.category = %s AND m.partition = {number}"  # noqa: S608 - the schema was checked
        " AND m.global_position >= %s ORDER BY m.global_position LIMIT %s)"
        for number in range(PARTITIONS)
    )
    return f"({' UNION ALL '.join(each)})"


def as_message(row: Row) -> StoredMessage:
    """Return the message of a row of `MESSAGE`.

    If its row was damaged, it has no data: nobody can make an object of it, and those who handle
    messages put it aside instead of stopping.

    Args:
        row: what the database returned.
    """
    id, type_, version, time, *named, headers, data, claims = row
    stream, position, place, correlation, causation, origin = named
    known = NO_HEADERS if headers is None else freeze(json.loads(headers))
    is_damaged = time is None or not isinstance(known, dict)
    moment = _EPOCH if time is None else time.astimezone(UTC)
    metadata = Metadata(
        *(id, type_, version, moment, stream, position, place, correlation, causation, origin),
        NO_HEADERS if is_damaged else known,
    )
    if is_damaged:
        return StoredMessage(metadata, b"")
    return StoredMessage(metadata, data.encode(), tuple(claims))


def as_delivery(row: Sequence[Any]) -> Delivery:
    """Return the delivery of a row, whose due moment is in UTC.

    Args:
        row: what the database returned, in the order of `Delivery`.
    """
    delivery = Delivery(*row)
    due: Any = delivery.due
    due = datetime.fromisoformat(due) if isinstance(due, str) else due
    return delivery._replace(due=due.replace(tzinfo=UTC) if due.tzinfo is None else due)


def as_claim(
    subscription: str, rows: Sequence[Row], now: datetime, pending_by: datetime
) -> Claim | None:
    """Return what `Tables.claiming` has claimed; ``None`` if others did it before.

    Args:
        subscription: its name.
        rows: what the database returned, the next messages among it.
        now: what retries are due by.
        pending_by: what pending deliveries are due by.
    """
    number, position = rows[0][:2]
    deliveries = [as_delivery(each) for row in rows for each in row[3] or ()]
    claim = due_of(Checkpoint(subscription, number, position), deliveries, now, pending_by)
    if claim.due:
        return claim
    messages = [as_message(row[4:]) for row in rows if row[4] is not None]
    return claim._replace(messages=messages or ()) if any(row[2] for row in rows) else None
