"""Layer 6. What one transaction writes into a SQLite file; a part of the adapter `sqlite`."""

# ruff: noqa: S608
# Statements are put together from names and parameters, never from values.

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from happened.adapters.sqlite_file import SQLiteFile
from happened.adapters.sqlite_query import unique_terms
from happened.errors import ConcurrencyError, ValidationError
from happened.storage import Checkpoint, Delivery, Document, StoredMessage, no_nul, no_text
from happened.streams import category as category_of
from happened.streams import partition
from happened.streams import stream as stream_name
from happened.writes import Writes, pending_of

__all__ = ["SQLiteWrites", "text_of"]

_INSERT: Final = (
    "INSERT INTO happened_documents (category, id, version, next_position, data) "
    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (category, id) DO NOTHING"
)
_UPDATE: Final = (
    "UPDATE happened_documents SET version = ?, next_position = ?, data = ? "
    "WHERE category = ? AND id = ? AND version = ?"
)
_RELEASE: Final = (
    "UPDATE happened_documents SET data = '{}' WHERE category = ? AND id = ? AND version = ?"
)
_REMOVE: Final = (
    "UPDATE happened_documents SET version = 0, data = NULL "
    "WHERE category = ? AND id = ? AND version = ?"
)
_FORGET: Final = "DELETE FROM happened_documents WHERE category = ? AND id = ? AND version = ?"
_VERSION: Final = "SELECT version FROM happened_documents WHERE category = ? AND id = ?"
_END: Final = "SELECT coalesce(max(position) + 1, 0) FROM happened_messages WHERE stream = ?"
_APPEND: Final = (
    "INSERT INTO happened_messages (global_position, id, type, version, timestamp, stream, "
    "position, category, partition, correlation_id, causation_id, origin_stream, headers, data, "
    "claims) SELECT (SELECT coalesce(max(global_position) + 1, 0) FROM happened_messages), "
    f"?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE ? = ({_END})"
)
_ADVANCE: Final = (
    "UPDATE happened_checkpoints SET position = ? "
    "WHERE subscription = ? AND partition = ? AND position = ?"
)
_CHECKPOINT: Final = "INSERT OR REPLACE INTO happened_checkpoints VALUES (?, ?, ?)"
_SETTLE: Final = (
    "DELETE FROM happened_deliveries WHERE state IN ('pending', 'retrying', 'held', 'dead') "
    "AND handler = ? AND message_id = ?"
)
_SETTLE_PENDING: Final = (
    "DELETE FROM happened_deliveries WHERE state = 'pending' AND handler = ? AND message_id = ?"
)
_DEFER: Final = (
    "INSERT OR REPLACE INTO happened_deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class SQLiteWrites(Writes):
    """What a transaction is to write, and how.

    Args:
        file: where it is written.
    """

    __slots__ = ("_before", "_claimed", "_file", "_replaced", "_run")

    def __init__(self, file: SQLiteFile) -> None:
        self._file = file
        self._run: Any = None  # a connection or a cursor, once there is one of its own
        self._forget()

    def _forget(self) -> None:
        self.clear()
        # What this transaction has handed to the database already, with the version before it.
        self._before: dict[tuple[str, str], int] = {}
        self._claimed: dict[tuple[str, int], int] = {}
        self._replaced: list[tuple[str, str | None]] = []

    def _rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Any]:
        return self._file.rows(sql, parameters, self._run)

    def _execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """How many rows a statement has changed; that a value must be unique is raised as it is."""
        try:
            changed: int = self._run.execute(sql, parameters).rowcount
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise self._file.failed(error) from error
        return changed

    def _apply(self) -> None:
        """Write all that is kept here."""
        try:
            if self.documents:
                self._write_documents()
            if self.messages:
                for message in self.messages:
                    self._write_message(message)
                for each in pending_of(self.messages):
                    self._defer(each)
            if self.checkpoints:
                self._write_checkpoints()
            if self.settled:
                self._settle()
            for each in self.deferred:
                self._execute(_SETTLE, (each.handler, each.message_id))
                self._defer(each)
            for category, by in self._replaced:
                self._replace(category, by)
        except UnicodeEncodeError as error:
            raise no_text(error) from error

    def _write_checkpoints(self) -> None:
        for (subscription, number), checkpoint in self.checkpoints.items():
            before = self._claimed.get((subscription, number))
            if before is None:
                self._execute(_CHECKPOINT, checkpoint)
            elif not self._execute(_ADVANCE, (checkpoint.position, subscription, number, before)):
                raise ConcurrencyError(subscription, expected=before, found=self._place(checkpoint))

    def _settle(self) -> None:
        for key in self.settled:
            # Most of them are pending: one look into the tree instead of four.
            if not self._execute(_SETTLE_PENDING, key) and not self._execute(_SETTLE, key):
                raise ConcurrencyError(key[0], expected=1, found=0)

    def _keep_applied(self) -> None:
        """Take note that what is kept here was handed to the database."""
        for key, (document, expected) in self.documents.items():
            before = self._before.setdefault(key, expected)
            if document is None and not before:
                del self._before[key]
        for place, checkpoint in self.checkpoints.items():
            self._claimed[place] = checkpoint.position
        self.clear()
        self._replaced = []

    def _write_documents(self) -> None:
        documents = self.documents
        if len(documents) > 1:
            self._release()
        for (category, id), (document, expected) in documents.items():
            if document is None:
                if len(documents) == 1:
                    self._remove(category, id, expected)
                continue
            text = self._checked(category, document)
            row = (document.version, document.next_position, text, category, id)
            try:
                if expected or self._before.get((category, id)):
                    changed = self._execute(_UPDATE, (*row, expected))
                else:
                    changed = self._execute(_INSERT, (category, id, *row[:3]))
            except sqlite3.IntegrityError as error:
                self._check_later(category, id)
                raise self._refused(category, document, error) from error
            except UnicodeEncodeError as error:
                raise no_text(error, self._file.title(category)) from error
            if not changed:
                self._conflict(category, id, expected)

    def _check_later(self, category: str, id: str) -> None:
        """Tell of a document that another writer has changed: its value may be the one in the way.

        Those that stand before the one that is written were found as they were expected.
        """
        keys = list(self.documents)
        for key in keys[keys.index((category, id)) + 1 :]:
            document, expected = self.documents[key]
            if document is not None and (self._version(*key) or 0) != expected:
                self._conflict(*key, expected)

    def _release(self) -> None:
        """Free the unique values of what is changed and removed, so that they can be swapped."""
        several = Counter(category for category, _ in self.documents)
        for (category, id), (document, expected) in self.documents.items():
            if document is None:
                self._remove(category, id, expected)
            elif expected and several[category] > 1:
                self._execute(_RELEASE, (category, id, expected))

    def _remove(self, category: str, id: str, expected: int) -> None:
        if not expected:  # it was added by this transaction, and never written
            if self._run is not None and self._version(category, id) is not None:
                self._conflict(category, id, expected)
            return
        forget = self._before.get((category, id)) == 0 or category in self._file.reusable
        if not self._execute(_FORGET if forget else _REMOVE, (category, id, expected)):
            self._conflict(category, id, expected)

    def _version(self, category: str, id: str) -> int | None:
        rows = self._rows(_VERSION, (category, id))
        return rows[0][0] if rows else None

    def _conflict(self, category: str, id: str, expected: int) -> None:
        found = self._version(category, id)
        if found == expected == 0:
            text = f"{id!r} was removed, and its stream stays; an identity is used once"
            raise ValidationError({"id": [text]}, self._file.title(category))
        raise ConcurrencyError(stream_name(category, id), expected=expected, found=found or 0)

    def _checked(self, category: str, document: Document) -> str:
        text = text_of(document.data)
        if text is None:
            raise self._no_json(category)
        no_nul(document.data, self._file.title(category))
        return text

    def _no_json(self, category: str) -> ValidationError:
        return ValidationError(
            {"_entity": ["a document must be JSON in UTF-8"]}, self._file.title(category)
        )

    def _refused(
        self, category: str, document: Document, error: sqlite3.IntegrityError
    ) -> Exception:
        """Which field has a value that another document has already."""
        if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_CHECK:
            return self._no_json(category)
        text = text_of(document.data)
        for field in self._file.unique_fields(category, self._run):
            terms = unique_terms(field)
            taken = self._rows(
                f"SELECT 1 FROM happened_documents WHERE category = ? AND id <> ? "
                f"AND ({terms}) = (SELECT {terms} FROM (SELECT ? AS data))",
                (category, document.id, text),
            )
            if taken:
                found = json.loads(document.data)[field]
                found = json.dumps(found, sort_keys=True) if type(found) in (dict, list) else found
                problem = f"it must be unique, and {found!r} is stored already"
                return ValidationError({field: [problem]}, self._file.title(category))
        return self._file.failed(error)

    def _write_message(self, message: StoredMessage) -> None:
        metadata, data, claims = message
        name = metadata.stream or ""
        text = text_of(data)
        if text is None:
            raise ValidationError({"_entity": ["a message must be text in UTF-8"]}, metadata.type)
        headers = metadata.headers
        try:
            changed = self._execute(
                _APPEND,
                (
                    metadata.id,
                    metadata.type,
                    metadata.version,
                    _moment(metadata.timestamp),
                    name,
                    metadata.position,
                    category_of(name),
                    partition(name),
                    metadata.correlation_id,
                    metadata.causation_id,
                    metadata.origin_stream,
                    json.dumps(headers) if headers else "{}",
                    text,
                    _names(claims) if claims else "[]",
                    metadata.position,
                    name,
                ),
            )
        except UnicodeEncodeError as error:
            raise no_text(error, metadata.type) from error
        if not changed:
            found = self._rows(_END, (name,))[0][0]
            raise ConcurrencyError(name, expected=metadata.position or 0, found=found)

    def _place(self, checkpoint: Checkpoint) -> int:
        sql = "SELECT position FROM happened_checkpoints WHERE subscription = ? AND partition = ?"
        rows = self._rows(sql, checkpoint[:2])
        return rows[0][0] if rows else 0

    def _defer(self, delivery: Delivery) -> None:
        self._execute(_DEFER, (*delivery[:7], _moment(delivery.due), *delivery[8:]))

    def _replace(self, category: str, by: str | None) -> None:
        self._execute("DELETE FROM happened_documents WHERE category = ?", (category,))
        if by is None:
            return
        self._execute("DELETE FROM happened_documents WHERE category = ? AND version = 0", (by,))
        try:
            self._execute(
                "UPDATE happened_documents SET category = ? WHERE category = ?", (category, by)
            )
        except sqlite3.IntegrityError as error:
            fields = self._file.unique_fields(category, self._run)
            problem = f"it must be unique, and {by} has the same value twice"
            raise ValidationError(
                {field: [problem] for field in fields}, self._file.title(category)
            ) from error


@lru_cache(maxsize=1000)
def _names(claims: tuple[str, ...]) -> str:
    return json.dumps(claims)


def _moment(moment: datetime) -> str:
    """What `isoformat` returns, in less than half its time: most moments share their second."""
    at = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    second = _second(at.year, at.month, at.day, at.hour, at.minute, at.second)
    return "%s.%06d+00:00" % (second, at.microsecond)  # noqa: UP031 - the fastest way


@lru_cache(maxsize=100)
def _second(*numbers: int) -> str:
    return "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*numbers)


def text_of(data: bytes) -> str | None:
    """Return bytes as text, or ``None`` if they are no UTF-8.

    Args:
        data: of a document or a message.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
