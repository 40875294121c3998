"""Layer 3. Queries: which aggregates, in which order, how many; as data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Generic, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

import pydantic
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from happened.declaration import shortened, storable_number
from happened.elements import nearest
from happened.errors import ValidationError
from happened.model import Aggregate

__all__ = [
    "Criteria",
    "Filter",
    "Page",
    "Query",
    "Sort",
    "ValueKind",
    "not_negative",
    "ranked",
    "span",
]

_A = TypeVar("_A", bound=Aggregate)
_T_co = TypeVar("_T_co", covariant=True)

ValueKind = Literal["text", "number", "decimal", "boolean", "moment", "other"]
"""How the values of a field compare: as text, numbers, or moments (UTC, where they do not say)."""

_TOO_LARGE: Final = 10**4300
"""The smallest number that Python does not write."""

_EQUAL: Final = frozenset({"exact", "ne", "in", "isnull"})
_ORDERED: Final = _EQUAL | {"gt", "gte", "lt", "lte"}
_TEXT: Final = _ORDERED | {"contains", "icontains", "startswith", "endswith"}
_LOOKUPS: Final[dict[ValueKind, frozenset[str]]] = {
    "text": _TEXT,
    "number": _ORDERED,
    "decimal": _ORDERED,
    "moment": _ORDERED,
    "boolean": _EQUAL,
    "other": _EQUAL | {"contains"},
}


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on the value of a field.

    Attributes:
        path: the names that lead to the value, ``("address", "city")``.
        lookup: how it is compared: ``"exact"``, ``"gte"``, ``"in"`` and so on.
        value: what it is compared with, as plain data.
        kind: how the values of this field compare.

    Example:
        >>> from happened.query import Filter
        >>> Filter(("total",), "gte", 10, "number").matches({"total": 12})
        True
    """

    path: tuple[str, ...]
    lookup: str
    value: Any
    kind: ValueKind

    def matches(self, data: dict[str, Any]) -> bool:
        """Return whether an aggregate's data fit: the meaning that every storage gives a filter.

        Args:
            data: the aggregate's document as plain data.
        """
        found = _at(data, self.path)
        if self.lookup == "isnull":
            return (found is None) is bool(self.value)
        if self.lookup == "in":
            wanted = [_comparable(value, self.kind) for value in self.value]
            return _comparable(found, self.kind) in wanted
        left, right = _comparable(found, self.kind), _comparable(self.value, self.kind)
        if self.lookup == "exact":
            return bool(left == right)
        if self.lookup == "ne":
            return bool(left != right)
        if left is None or right is None:
            return False
        return bool(_COMPARE[self.lookup](left, right))


_COMPARE: Final[dict[str, Callable[[Any, Any], object]]] = {
    "gt": lambda left, right: left > right,
    "gte": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "lte": lambda left, right: left <= right,
    "contains": lambda left, right: (
        isinstance(left, list | type(right)) and isinstance(left, str | list) and right in left
    ),
    "icontains": lambda left, right: right.lower() in left.lower(),
    "startswith": lambda left, right: left.startswith(right),
    "endswith": lambda left, right: left.endswith(right),
}


@dataclass(frozen=True, slots=True)
class Sort:
    """One field to order by.

    Attributes:
        path: the names that lead to the value.
        descending: whether the largest comes first. ``None`` comes last either way.
        kind: how the values of this field compare.

    Example:
        >>> from happened.query import Sort
        >>> Sort(("placed_at",), True, "moment").descending
        True
    """

    path: tuple[str, ...]
    descending: bool
    kind: ValueKind


@dataclass(frozen=True, slots=True)
class Criteria:
    """A whole query as data: what a storage is given.

    Attributes:
        filters: all of them must match.
        sorts: the order; the first decides, the next ones break ties; after all of them, the
            order in which the aggregates were first stored.
        offset: how many to leave out at the start, from 0.
        limit: how many to return at most; ``None`` for all.

    Example:
        >>> from happened.query import Criteria
        >>> Criteria().limit is None
        True
    """

    filters: tuple[Filter, ...] = ()
    sorts: tuple[Sort, ...] = ()
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[_T_co]):
    """What a query found.

    Attributes:
        items: the aggregates, from ``offset`` on and at most ``limit`` of them.
        total: how many match in all.

    Example:
        >>> from happened.query import Page
        >>> Page(items=["a"], total=3).total
        3
    """

    items: list[_T_co]
    total: int

    def __iter__(self) -> Iterator[_T_co]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def not_negative(name: str, number: int, title: str = "query") -> int:
    """Return a number that says where to begin or how many to return.

    Args:
        name: that of the argument.
        number: what was given for it.
        title: what it was given to.

    Returns:
        The number, or 2 to the power of 62: no database has as many rows, and not all of them take
        a greater number.

    Raises:
        ValidationError: it is no whole number, or less than 0.

    Example:
        >>> from happened.query import not_negative
        >>> not_negative("limit", 10)
        10
    """
    if type(number) is not int or number < 0:
        text = f"it must be a whole number, at least 0 (found {number!r})"
        raise ValidationError({name: [text]}, title)
    return min(number, 2**62)


def span(start: int, limit: int, title: str) -> tuple[int, int]:
    """Return from where on to read, and how many; see `not_negative`.

    Args:
        start: the first position.
        limit: how many to return at most.
        title: what they were given to.

    Raises:
        ValidationError: one is no whole number, or less than 0.

    Example:
        >>> from happened.query import span
        >>> span(0, 1000, "read_stream")
        (0, 1000)
    """
    return not_negative("start", start, title), not_negative("limit", limit, title)


class Query(Generic[_A]):
    """A query that is built step by step; each step returns a new one, and none runs it.

    It runs when its results are asked for: by `all`, `first`, `count` or iteration.

    Example:
        >>> from happened import Aggregate, Domain
        >>> shelf = Domain("shelf")
        >>> @shelf.aggregate
        ... class Book(Aggregate):
        ...     title: str
        ...     pages: int
        >>> shelf.init(traverse=False)
        >>> books = shelf.repository_for(Book)
        >>> books.add(Book(title="Emma", pages=474))
        >>> books.add(Book(title="Persuasion", pages=249))
        >>> [book.title for book in books.query.filter(pages__gte=300)]
        ['Emma']
    """

    def __init__(
        self,
        aggregate: type[_A],
        run: Callable[[Criteria], Page[_A]],
        criteria: Criteria = Criteria(),
    ) -> None:
        self._aggregate = aggregate
        self._run = run
        self._criteria = criteria

    def _with(self, **changes: Any) -> "Query[_A]":
        return Query(self._aggregate, self._run, replace(self._criteria, **changes))

    def filter(self, **conditions: Any) -> "Query[_A]":
        """Keep only aggregates that fit all of these conditions.

        Args:
            **conditions: a field and a value, ``status="SHIPPED"``; or a field, two underscores,
                a lookup and a value, ``total__gte=10``. Lookups: ``exact``, ``ne``, ``gt``,
                ``gte``, ``lt``, ``lte``, ``in``, ``isnull``, ``contains``, ``icontains``,
                ``startswith``, ``endswith``. Two underscores also lead into a value object:
                ``address__city="Rome"``.

        Raises:
            ValidationError: there is no such field, or the lookup or the value does not fit it.
        """
        added = tuple(self._filter(name, value) for name, value in conditions.items())
        return self._with(filters=self._criteria.filters + added)

    def order_by(self, *fields: str) -> "Query[_A]":
        """Order by these fields; a ``-`` before a name puts the largest first.

        Args:
            *fields: the names of fields, the most important first; they replace earlier ones.

        Raises:
            ValidationError: there is no such field, or its values have no order.
        """
        sorts = []
        for name in fields:
            path, annotation = self._leaf(name, name.removeprefix("-").split("__"))
            kind = _kind(annotation)
            if kind == "other":
                raise self._refused(name, "its values have no order; name another field")
            sorts.append(Sort(path, name.startswith("-"), kind))
        return self._with(sorts=tuple(sorts))

    def offset(self, count: int) -> "Query[_A]":
        """Leave out the first ones.

        Args:
            count: how many, from 0.

        Raises:
            ValidationError: it is no whole number, or negative.
        """
        return self._with(offset=not_negative("offset", count))

    def limit(self, count: int) -> "Query[_A]":
        """Return no more than so many.

        Args:
            count: how many, from 0.

        Raises:
            ValidationError: it is no whole number, or negative.
        """
        return self._with(limit=not_negative("limit", count))

    def all(self) -> Page[_A]:
        """Run the query.

        Returns:
            A page with ``.items``, and ``.total``, the number without offset and limit.
        """
        return self._run(self._criteria)

    def first(self) -> _A | None:
        """Run the query and return the first aggregate, or ``None`` if there is none."""
        query = self if self._criteria.limit == 0 else self.limit(1)
        return next(iter(query.all().items), None)

    def count(self) -> int:
        """Run the query and return how many match, without offset and limit."""
        return self._with(limit=0, sorts=()).all().total

    def __iter__(self) -> Iterator[_A]:
        return iter(self.all().items)

    def __bool__(self) -> bool:
        """Run the query and return whether it finds anything, which is asked for one alone.

        Example:
            >>> from happened import Aggregate, Domain
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate):
            ...     title: str
            >>> shelf.init(traverse=False)
            >>> books = shelf.repository_for(Book)
            >>> books.add(Book(title="Emma"))
            >>> if not books.query.filter(title="Persuasion"):
            ...     print("there is none")
            there is none
        """
        return self._with(sorts=()).first() is not None

    def _filter(self, name: str, value: Any) -> Filter:
        parts = name.split("__")
        lookup = parts.pop() if len(parts) > 1 and parts[-1] in _TEXT else "exact"
        path, annotation = self._leaf(name, parts)
        kind = _kind(annotation)
        if lookup not in _LOOKUPS[kind]:
            usable = ", ".join(sorted(_LOOKUPS[kind]))
            raise self._refused(name, f"{lookup!r} does not fit this field; use one of {usable}")
        try:
            wanted = _wanted(to_jsonable_python(value), lookup, kind)
        except (ValueError, ArithmeticError) as error:
            expected = _PLAIN["boolean" if lookup == "isnull" else kind][1]
            expected = f"a list, each {expected}" if lookup == "in" else expected
            reason = f": {error}" if isinstance(error, OverflowError) else ""
            found = shortened(value)
            raise self._refused(name, f"expected {expected}, found {found}{reason}") from error
        return Filter(path, lookup, wanted, kind)

    def _refused(self, name: str, text: str) -> ValidationError:
        return ValidationError({name: [text]}, f"query of {self._aggregate.__name__}")

    def _leaf(self, name: str, parts: list[str]) -> tuple[tuple[str, ...], Any]:
        """The path to a field, and its annotation."""
        annotation: Any = self._aggregate
        for part in parts:
            model = _model(annotation)
            fields = model.model_fields if model else {}
            if part not in fields:
                if model is None:
                    where = f"{self._aggregate.__name__}.{parts[0]}"
                    near = nearest(part, _TEXT) or f"; lookups: {', '.join(sorted(_TEXT))}"
                    raise self._refused(name, f"{where} has no lookup {part!r}{near}")
                known = [*fields, *_TEXT] if len(parts) > 1 else fields
                text = f"{model.__name__} has no field {part!r}{nearest(part, known)}"
                raise self._refused(name, text)
            annotation = fields[part].annotation
        return tuple(parts), annotation


def ranked(documents: list[dict[str, Any]], sorts: tuple[Sort, ...]) -> list[int]:
    """Return the indexes of documents in the order of a query: what every storage must give.

    Args:
        documents: aggregates' documents as plain data, in the order of their first storing.
        sorts: the order; ``None`` comes last in either direction.

    Example:
        >>> from happened.query import Sort, ranked
        >>> ranked([{"n": 2}, {"n": None}, {"n": 3}], (Sort(("n",), True, "number"),))
        [2, 0, 1]
    """
    indexes = list(range(len(documents)))
    for sort in reversed(sorts):
        values = [_comparable(_at(document, sort.path), sort.kind) for document in documents]
        known = [index for index in indexes if values[index] is not None]
        absent = [index for index in indexes if values[index] is None]
        known.sort(key=values.__getitem__, reverse=sort.descending)
        indexes = known + absent
    return indexes


def _at(data: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(data, dict):
            return None
        data = data.get(name)
    return data


def _comparable(value: Any, kind: ValueKind) -> Any:
    if value is None:
        return None
    if kind == "decimal":
        return Decimal(str(value))
    if kind == "moment":
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _as_json(value) if kind == "other" else value


def _as_json(value: Any) -> Any:
    """Plain data that are equal where JSON is: there, true is not 1."""
    if type(value) is bool:
        return (value,)
    if type(value) is list:
        return [_as_json(item) for item in value]
    if type(value) is dict:
        return {name: _as_json(item) for name, item in value.items()}
    return value


def _wanted(value: Any, lookup: str, kind: ValueKind) -> Any:
    """What to compare with, as plain data; if it does not fit, an error without a text."""
    if lookup == "in" and type(value) is list:
        return [_wanted(item, "exact", kind) for item in value]
    if lookup == "in" or (lookup == "isnull" and type(value) is not bool):
        raise ValueError
    if lookup == "isnull" or value is None:
        return value
    if kind == "text" and type(value) is int:
        return str(value)  # as identifiers are stored
    if type(value) not in _PLAIN[kind][0]:
        raise ValueError
    if type(value) is int and abs(value) >= _TOO_LARGE:
        raise OverflowError("a number has at most 4300 digits")
    comparable = _comparable(value, kind)
    if kind == "decimal":
        _check_decimal(comparable)
    return value


def _check_decimal(value: Decimal) -> None:
    if value.is_nan():
        raise ValueError
    try:
        storable_number(value)
    except ValueError as error:
        raise OverflowError(error) from None


def _model(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation names, through ``| None``."""
    for leaf in _leaves(annotation):
        if isinstance(leaf, type) and issubclass(leaf, BaseModel):
            return leaf
    return None


def _kind(annotation: Any) -> ValueKind:
    kinds: set[ValueKind] = {_kind_of(leaf) for leaf in _leaves(annotation)}
    return next(iter(kinds)) if len(kinds) == 1 else "other"


def _kind_of(leaf: Any) -> ValueKind:
    if isinstance(leaf, type):
        for kind, types in _TYPES.items():
            if issubclass(leaf, types):
                return kind
    return "other"


def _leaves(annotation: Any) -> Iterator[Any]:
    """What an annotation allows: the types in unions, literals and enumerations, but ``None``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _leaves(get_args(annotation)[0])
    elif origin is Union or origin is UnionType:
        for option in get_args(annotation):
            yield from _leaves(option)
    elif origin is Literal:
        yield from map(type, get_args(annotation))
    elif isinstance(annotation, type) and origin is None and issubclass(annotation, Enum):
        yield from (type(member.value) for member in annotation)
    elif annotation is not NoneType:
        yield annotation


# Of the types that a value may have, the first that fits decides.
_TYPES: Final[dict[ValueKind, tuple[Any, ...]]] = {
    "boolean": (bool,),
    "number": (int, float),
    "decimal": (Decimal,),
    "moment": (
        datetime,
        *(pydantic.AwareDatetime, pydantic.NaiveDatetime),
        *(pydantic.PastDatetime, pydantic.FutureDatetime),
    ),
    "text": (str, date, time, UUID, pydantic.PastDate, pydantic.FutureDate),
}
# What plain data the values of a kind are, and what errors call them.
_PLAIN: Final[dict[ValueKind, tuple[tuple[type, ...], str]]] = {
    "boolean": ((bool,), "true or false"),
    "number": ((int, float), "a number"),
    "decimal": ((str, int, float), "a decimal number"),
    "moment": ((str,), "a moment"),
    "text": ((str,), "text"),
    "other": ((str, int, float, bool, list, dict), "plain data"),
}
