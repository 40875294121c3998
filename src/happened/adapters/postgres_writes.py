"""Layer 6. What a transaction writes, as the JSON that ``commit_writes`` in PostgreSQL takes."""

from collections.abc import Container, Iterable, Mapping
from json import dumps
from typing import Any

from happened.errors import ValidationError
from happened.storage import Checkpoint, Collection, Delivery, Document, StoredMessage
from happened.streams import category as category_of
from happened.streams import partition
from happened.writes import Writes, pending_of

__all__ = ["ROW_TYPES", "Parts", "as_json", "as_row"]

ROW_TYPES = (
    ("text", "text", "bigint", "bigint", "bigint", "json"),
    (
        *("text", "text", "integer", "timestamptz", "text", "text", "smallint", "bigint"),
        *("text", "text", "text", "json", "json", "text[]"),
    ),
    ("text", "text"),
    ("text", "smallint", "bigint", "bigint"),
)
"""The types of what `as_row` returns."""

Parts = tuple[tuple[Any, ...] | None, ...]
"""A document, a message, a settled delivery and a checkpoint, ``None`` for what is not there."""

_UNKNOWN = Collection("")


def as_json(
    writes: Writes,
    collections: Mapping[str, Collection],
    claimed: Mapping[tuple[str, int], Checkpoint],
    added: Container[tuple[str, str]],
) -> str:
    """Return what is written as one JSON object, described in postgres.sql.

    Documents and messages stand in it as they were given, to the byte.

    Args:
        writes: what is written.
        collections: what is known of each category.
        claimed: how far the partitions were read that this transaction holds.
        added: the documents that this transaction wrote before, as new ones.

    Raises:
        ConcurrencyError: the messages of a stream do not follow each other.
        ValidationError: what is to be stored is no text.

    Example:
        >>> from happened.adapters.postgres_writes import as_json
        >>> from happened.writes import Writes
        >>> writes = Writes()
        >>> writes.settle("Stock.reduce", "m1")
        >>> as_json(writes, {}, {}, ())
        '{"settled":[{"handler": "Stock.reduce", "message_id": "m1"}]}'
    """
    parts: dict[str, Iterable[str]] = {}
    if writes.documents:
        _documents(writes, collections, added, parts)
    deferred = {(each.handler, each.message_id): each for each in writes.deferred}
    if writes.messages:
        firsts: dict[str, int] = {}
        for metadata, *_ in writes.messages:
            firsts.setdefault(metadata.stream or "", metadata.position or 0)
        writes.check_positions(firsts.__getitem__)
        parts["streams"] = [dumps({"s": name, "p": first}) for name, first in firsts.items()]
        parts["messages"] = map(_message, writes.messages)
        pending = {(each.handler, each.message_id): each for each in pending_of(writes.messages)}
        deferred = pending | deferred
    if writes.settled:
        settled = dict.fromkeys(writes.settled)
        parts["settled"] = [dumps({"handler": name, "message_id": id}) for name, id in settled]
    if writes.checkpoints:
        parts["advanced"] = [
            _advanced(each, claimed.get(key)) for key, each in writes.checkpoints.items()
        ]
    if deferred:
        parts["deferred"] = map(_delivery, deferred.values())
    return "{" + ",".join(f'"{name}":[{",".join(each)}]' for name, each in parts.items()) + "}"


def as_row(writes: Writes, claimed: Mapping[tuple[str, int], Checkpoint]) -> Parts | None:
    """Return what is written for ``commit_one``, or ``None`` if it is more than that takes.

    Args:
        writes: what is written.
        claimed: how far the partitions were read that this transaction holds.

    Raises:
        ValidationError: what is to be stored is no text.

    Example:
        >>> from happened.adapters.postgres_writes import as_row
        >>> from happened.writes import Writes
        >>> writes = Writes()
        >>> writes.settle("Stock.reduce", "m1")
        >>> as_row(writes, {})
        (None, None, ('Stock.reduce', 'm1'), None)
    """
    documents, messages, settled = writes.documents, writes.messages, writes.settled
    several = (documents, messages, settled, writes.checkpoints)
    if writes.deferred or max(map(len, several)) > 1:
        return None
    document = message = read = None
    for key, checkpoint in writes.checkpoints.items():
        before = claimed.get(key)
        if before is None:
            return None
        read = (*key, before.position, checkpoint.position)
    for (category, id), (written, expected) in documents.items():
        if written is None:
            return None
        data = _text(written.data, category)
        document = (category, id, expected, written.version, written.next_position, data)
    for metadata, body, claims in messages:
        stream = metadata.stream or ""
        message = (
            *metadata[:4],
            stream,
            category_of(stream),
            partition(stream),
            metadata.position,
            *metadata[7:10],
            dumps(dict(metadata.headers)) if metadata.headers else None,
            _text(body, metadata.type),
            list(claims),
        )
    return document, message, settled[0] if settled else None, read


def _text(data: bytes, name: str) -> str:
    """JSON as text; what is none cannot be stored."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        found = f"{data[:40]!r} is no text in UTF-8, so it is no JSON; store what can be read"
        raise ValidationError({"_entity": [found]}, name) from error


def _documents(
    writes: Writes,
    collections: Mapping[str, Collection],
    added: Container[tuple[str, str]],
    parts: dict[str, Iterable[str]],
) -> None:
    lists: dict[str, list[str]] = {"removed": [], "absent": [], "changed": [], "added": []}
    released: set[str] = set()
    for key, (document, expected) in writes.documents.items():
        if document is None and expected:
            forget = key in added or collections.get(key[0], _UNKNOWN).reusable
            lists["removed"].append(_removed(key, expected, forget=forget))
        elif document is None:
            lists["absent"].append(dumps({"c": key[0], "i": key[1]}))
        elif expected:
            lists["changed"].append(_document(key[0], document, expected))
            if collections.get(key[0], _UNKNOWN).unique:
                released.add(key[0])
        else:
            lists["added"].append(_document(key[0], document, expected))
    parts |= {name: each for name, each in lists.items() if each}
    if released and len(lists["changed"]) > 1:
        parts["released"] = map(dumps, sorted(released))


def _removed(key: tuple[str, str], expected: int, *, forget: bool) -> str:
    return dumps({"c": key[0], "i": key[1], "expected": expected, "forget": forget})


def _document(category: str, document: Document, expected: int) -> str:
    return (
        f'{{"c":{dumps(category)},"i":{dumps(document.id)},"expected":{expected},'
        f'"v":{document.version},"n":{document.next_position},'
        f'"d":{_text(document.data, category)}}}'
    )


def _message(message: StoredMessage) -> str:
    metadata, data, claims = message
    stream = metadata.stream or ""
    known: dict[str, Any] = {
        "id": metadata.id,
        "type": metadata.type,
        "version": metadata.version,
        "time": metadata.timestamp.isoformat(),
        "stream": stream,
        "category": category_of(stream),
        "partition": partition(stream),
        "position": metadata.position,
        "correlation": metadata.correlation_id,
        "causation": metadata.causation_id,
        "origin": metadata.origin_stream,
        "headers": metadata.headers or None,
        "claims": claims,
    }
    return f'{dumps(known)[:-1]},"data":{_text(data, metadata.type)}}}'


def _advanced(checkpoint: Checkpoint, before: Checkpoint | None) -> str:
    known: dict[str, Any] = checkpoint._asdict()
    if before is not None:
        known["expected"] = before.position
    return dumps(known)


def _delivery(delivery: Delivery) -> str:
    due = delivery.due.isoformat()
    return dumps({**delivery._asdict(), "due": due, "partition": partition(delivery.stream)})
