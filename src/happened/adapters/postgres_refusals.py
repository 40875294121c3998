"""Layer 6. What it means that PostgreSQL refuses what a transaction writes."""

# ruff: noqa: S608
# The variable part of its SQL is the schema, whose name was checked and quoted.

import json

import psycopg
from psycopg.pq import TransactionStatus

from happened.adapters.postgres_statements import Connection, statement
from happened.adapters.postgres_tables import Tables
from happened.errors import ConcurrencyError, HappenedError, ValidationError
from happened.streams import stream as stream_name
from happened.writes import Writes

__all__ = ["refusal", "unusable"]


def refusal(
    error: psycopg.Error, writes: Writes, tables: Tables, idle: Connection | None
) -> HappenedError | None:
    """Return what a driver's error means for what was to be written, or ``None``.

    Args:
        error: the driver's error.
        writes: what was to be written.
        tables: the tables.
        idle: a connection to look up with what it was exactly, where there is one.

    Example:
        >>> import psycopg
        >>> from happened.adapters.postgres_refusals import refusal
        >>> from happened.adapters.postgres_tables import Tables
        >>> from happened.writes import Writes
        >>> refusal(psycopg.OperationalError(), Writes(), Tables("shop"), None) is None
        True
    """
    refused = tables.refusal(error)
    if refused is not None:
        return refused
    if error.sqlstate == "23505":
        index = error.diag.constraint_name
        if index == "messages_stream_position":
            return _other_writer(writes, tables, idle)
        return _stale(writes, tables, idle) or _taken(index, writes, tables, idle)
    if error.sqlstate in ("40001", "40P01"):
        for (category, id), (_, expected) in writes.documents.items():
            name = stream_name(category, id)
            return ConcurrencyError(name, expected=expected, found=expected + 1)
    return None


def unusable(connection: Connection | None, *, begun: bool) -> str | None:
    """Return why nothing more can be written in a transaction, or ``None`` if it can.

    Args:
        connection: its connection, if it has one by now.
        begun: whether it was begun there by ourselves, so that it must be open.

    Example:
        >>> from happened.adapters.postgres_refusals import unusable
        >>> unusable(None, begun=True) is None
        True
    """
    status = None if connection is None else connection.pgconn.transaction_status
    if status == TransactionStatus.INERROR:
        return "a statement of this transaction failed, so it can only be rolled back"
    if begun and status == TransactionStatus.IDLE:
        return "somebody ended this transaction through its connection; nothing more is written"
    return None


def _stale(writes: Writes, tables: Tables, idle: Connection | None) -> ConcurrencyError | None:
    """Which document another writer has changed: a value of it may be the one in the way."""
    if idle is None or len(writes.documents) < 2:
        return None
    rows = idle.execute(
        statement(
            f"SELECT d.category, d.id, d.version FROM {tables.schema}.documents d"
            " JOIN unnest(%s::text[], %s::text[]) AS g(c, i) ON d.category = g.c AND d.id = g.i"
            " WHERE d.data IS NOT NULL"
        ),
        tuple(map(list, zip(*writes.documents, strict=True))),
    ).fetchall()
    versions = {(category, id): version for category, id, version in rows}
    for key, (_, expected) in writes.documents.items():
        found = versions.get(key, 0)
        if found != expected:
            return ConcurrencyError(stream_name(*key), expected=expected, found=found)
    return None


def _taken(
    index: str | None, writes: Writes, tables: Tables, idle: Connection | None
) -> HappenedError | None:
    """What it means that an index has a value already."""
    unique = tables.field_of(index)
    if unique is None:
        return None
    category, field = unique
    values = {
        id: value
        for (kind, id), (document, _) in writes.documents.items()
        if kind == category and document is not None
        if (value := json.loads(document.data).get(field)) is not None
    }
    given = [*values.values()]
    taken = [value for value in given if given.count(value) > 1]
    if not taken and len(given) > 1 and idle is not None:
        rows = idle.execute(
            statement(
                f"SELECT (fields -> %s)::text FROM {tables.schema}.documents"
                " WHERE category = %s AND fields -> %s = ANY (%s::jsonb[]) AND id <> ALL (%s)"
            ),
            (field, category, field, [json.dumps(each) for each in given], list(values)),
        ).fetchall()
        taken = [json.loads(row[0]) for row in rows]
    named = [repr(value) for value in taken or given[:1]]
    text = f"it must be unique, and {named[0] if named else 'its value'} is stored already"
    return ValidationError({field: [text]}, tables.title(category))


def _other_writer(writes: Writes, tables: Tables, idle: Connection | None) -> ConcurrencyError:
    firsts: dict[str, int] = {}
    for metadata, *_ in writes.messages:
        firsts.setdefault(metadata.stream or "", metadata.position or 0)
    if idle is not None:
        rows = idle.execute(
            statement(
                f"SELECT stream, max(position) + 1 FROM {tables.schema}.messages"
                " WHERE stream = ANY (%s) GROUP BY stream"
            ),
            (list(firsts),),
        ).fetchall()
        for name, found in rows:
            if found != firsts[name]:
                return ConcurrencyError(name, expected=firsts[name], found=found)
    name, first = next(iter(firsts.items()))
    return ConcurrencyError(name, expected=first, found=first + 1)
