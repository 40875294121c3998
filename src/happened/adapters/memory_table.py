"""Layer 6. The documents of one category in memory, and which unique values they have."""

import json
from typing import Any

from happened.errors import ValidationError
from happened.storage import Document

__all__ = ["MemoryTable", "parsed"]


class MemoryTable:
    """The documents of one category. Whoever uses it holds the lock of the storage.

    Attributes:
        title: the name of the class, for errors.
        removed: the identities that were removed, and are not used again.
        reusable: whether an identity that was removed may be used again.
        rows: the documents by identity, in the order in which they were stored first.
        parsed: those that a query looked at, as plain data.
        unique: for each unique field, who has which value.
    """

    __slots__ = ("parsed", "removed", "reusable", "rows", "title", "unique")

    def __init__(self) -> None:
        self.title = ""
        self.removed: set[str] = set()
        self.reusable = False
        self.rows: dict[str, Document] = {}
        self.parsed: dict[str, dict[str, Any]] = {}
        self.unique: dict[str, dict[Any, str]] = {}

    def data(self, document: Document) -> dict[str, Any]:
        """The document as plain data, which nobody changes; what is stored is parsed once."""
        if self.rows.get(document.id) is not document:
            return parsed(document)
        found = self.parsed.get(document.id)
        if found is None:
            found = self.parsed[document.id] = parsed(document)
        return found

    def put(self, id: str, document: Document | None) -> None:
        """Hold a document, or take note that it was removed."""
        if self.parsed:
            self.parsed.pop(id, None)
        if document is None:
            if self.rows.pop(id, None) is not None and not self.reusable:
                self.removed.add(id)
        else:
            self.rows[id] = document

    def release(self, id: str) -> None:
        """Free the unique values of a document."""
        before = self.rows.get(id)
        for field, taken in self.unique.items():
            taken.pop(self.value(before, field), None)

    def value(self, document: Document | None, field: str) -> Any:
        """What must be unique: the value of a field, as a key that is equal where JSON is."""
        value = None if document is None else self.data(document).get(field)
        if isinstance(value, dict | list):
            return type(value), json.dumps(value, sort_keys=True)
        return (bool, value) if isinstance(value, bool) else value

    def shown(self, key: Any) -> str:
        """A value that must be unique as errors show it."""
        return repr(key[1] if isinstance(key, tuple) else key)

    def make_unique(self, field: str) -> None:
        """From now on, no two documents have the same value of a field."""
        taken: dict[Any, str] = {}
        for row in self.rows.values():
            value = self.value(row, field)
            if value is not None and taken.setdefault(value, row.id) != row.id:
                shown = self.shown(value)
                text = f"it is to be unique, and {shown} is stored twice already; change one"
                raise ValidationError({field: [text]}, self.title)
        self.unique[field] = taken

    def take_over(self, rows: dict[str, Document]) -> None:
        """Hold these documents, and no others."""
        self.rows, self.removed, self.parsed = rows, set(), {}
        for field in self.unique:
            taken = {self.value(row, field): row.id for row in rows.values()}
            taken.pop(None, None)
            self.unique[field] = taken


def parsed(document: Document) -> dict[str, Any]:
    """Return a document as plain data.

    Args:
        document: the document.

    Example:
        >>> from happened.adapters.memory_table import parsed
        >>> from happened.storage import Document
        >>> parsed(Document("b1", 1, 0, b'{"id":"b1"}'))
        {'id': 'b1'}
    """
    data: dict[str, Any] = json.loads(document.data)
    return data
