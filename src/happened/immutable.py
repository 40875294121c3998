"""Layer 1. Lists, mappings and sets that cannot change, for the fields of what is immutable."""

import datetime as dt
import decimal
import uuid
from collections import Counter, OrderedDict, deque
from collections.abc import Generator, Iterable, Iterator, Mapping, MutableSet, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NoReturn,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from pydantic import BaseModel

from happened.errors import ConfigurationError, ImmutableError

__all__ = [
    "ImmutableDeque",
    "ImmutableDict",
    "ImmutableList",
    "ImmutableSet",
    "check_frozen",
    "freeze",
    "is_scalar",
]

_SCALARS = (
    *(str, int, float, bool, bytes, NoneType, Enum, decimal.Decimal, uuid.UUID),
    *(dt.date, dt.time, dt.timedelta),
)


def _refuse(self: Any, *_args: Any, **_options: Any) -> NoReturn:
    content = repr(self)
    content = content if len(content) <= 40 else f"{content[:37]}..."
    raise ImmutableError(
        type(self), "items", f"{content} belongs to something immutable; make a new one of that"
    )


class ImmutableList(list[Any]):
    """A list that refuses every change; it equals a list with the same items.

    Raises:
        ImmutableError: at any attempt to change it.

    Example:
        >>> from happened import Event
        >>> class ParcelPacked(Event):
        ...     book_ids: list[str]
        >>> ParcelPacked(book_ids=["b1"]).book_ids == ["b1"]
        True
    """

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = pop = remove = clear = sort = reverse = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (list(self),))

    def __copy__(self) -> "ImmutableList":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "ImmutableList":
        return self


class ImmutableDict(dict[Any, Any]):
    """A mapping that refuses every change; it equals a dict with the same items.

    Raises:
        ImmutableError: at any attempt to change it.

    Example:
        >>> from happened import Event
        >>> class BookTagged(Event):
        ...     tags: dict[str, str]
        >>> BookTagged(tags={"genre": "novel"}).tags["genre"]
        'novel'
    """

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (dict(self),))

    def __copy__(self) -> "ImmutableDict":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "ImmutableDict":
        return self


class ImmutableSet(set[Any]):
    """A set that refuses every change; it equals a set with the same items.

    Raises:
        ImmutableError: at any attempt to change it.

    Example:
        >>> from happened import Event
        >>> class BookTagged(Event):
        ...     tags: set[str]
        >>> BookTagged(tags={"novel"}).tags == {"novel"}
        True
    """

    __slots__ = ()
    __ior__ = __iand__ = __isub__ = __ixor__ = _refuse
    add = discard = remove = pop = clear = update = _refuse
    difference_update = intersection_update = symmetric_difference_update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self))

    def copy(self) -> set[Any]:
        """Return a set that can change."""
        return set(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (list(self),))

    def __copy__(self) -> "ImmutableSet":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "ImmutableSet":
        return self


class ImmutableDeque(deque[Any]):
    """A deque that refuses every change; it equals a deque with the same items.

    Raises:
        ImmutableError: at any attempt to change it.

    Example:
        >>> from collections import deque
        >>> from happened import Event
        >>> class BookReturned(Event):
        ...     readers: deque[str]
        >>> BookReturned(readers=["Ann"]).readers == deque(["Ann"])
        True
    """

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = appendleft = extend = extendleft = insert = _refuse
    pop = popleft = remove = clear = reverse = rotate = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))

    def copy(self) -> deque[Any]:  # type: ignore[override]
        """Return a deque that can change."""
        return deque(self, self.maxlen)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (list(self), self.maxlen))

    def __copy__(self) -> "ImmutableDeque":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "ImmutableDeque":
        return self


def freeze(value: Any) -> Any:
    """Return the value with every list, mapping, set and deque in it made immutable.

    Args:
        value: plain data; what is neither a list, a mapping, a set, a deque nor a tuple is
            returned as it is.

    Example:
        >>> from happened.immutable import freeze
        >>> freeze({"tags": ["a", "b"]})
        {'tags': ['a', 'b']}
    """
    kind = type(value)
    frozen: Any = value
    if kind in _IMMUTABLE:
        return value
    if isinstance(value, dict):
        frozen = ImmutableDict({key: freeze(item) for key, item in value.items()})
    elif isinstance(value, list):
        frozen = ImmutableList(map(freeze, value))
    elif isinstance(value, set):
        frozen = ImmutableSet(value)
    elif kind is tuple:
        frozen = tuple(map(freeze, value))
    elif isinstance(value, tuple) and hasattr(kind, "_make"):  # a named tuple
        frozen = kind._make(map(freeze, value))
    elif isinstance(value, deque):
        frozen = ImmutableDeque(map(freeze, value), value.maxlen)
    elif kind is bytearray:  # as bytes it equals what it was
        frozen = bytes(value)
    return frozen


_IMMUTABLE = frozenset(
    {
        *(ImmutableDeque, ImmutableDict, ImmutableList, ImmutableSet),
        *(str, int, float, bool, bytes, NoneType),
    }
)


def is_scalar(annotation: Any) -> bool:
    """Return whether values of this type surely hold no list, mapping or set.

    Args:
        annotation: a type, as it stands in a class body.

    Example:
        >>> from happened.immutable import is_scalar
        >>> is_scalar(str | None), is_scalar(list[str])
        (True, False)
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        return is_scalar(get_args(annotation)[0])
    if origin is Union or origin is UnionType:
        return all(map(is_scalar, get_args(annotation)))
    if origin is Literal:
        return True
    return isinstance(annotation, type) and issubclass(annotation, _SCALARS)


def check_frozen(place: str, annotation: Any) -> None:
    """Refuse a field of something immutable whose values could change, and cannot be frozen.

    Args:
        place: the class and the field, for the error.
        annotation: the type of the field.

    Raises:
        ConfigurationError: it holds objects of a class that is not immutable, or is read only once.

    Example:
        >>> from dataclasses import dataclass
        >>> from happened import ConfigurationError
        >>> from happened.immutable import check_frozen
        >>> @dataclass
        ... class Point:
        ...     x: int
        >>> try:
        ...     check_frozen("TreasureFound.where", Point)
        ... except ConfigurationError as error:
        ...     print(error)
        TreasureFound.where: Point can be changed; derive it from ValueObject
    """
    problem = _changeable(annotation, (), alone=False)
    if problem:
        raise ConfigurationError(f"{place}: {problem}")


_READ_ONCE: Final = (Iterable, Iterator, Generator)
_FROZEN_IN_FIELDS: Final = (
    *(list, dict, set, deque, bytearray),
    *(Sequence, Mapping, MutableSet),
)


def _changeable(annotation: Any, within: tuple[type, ...], *, alone: bool) -> str:
    """Why values of a type could change, or nothing.

    Args:
        annotation: the type.
        within: the classes that led here.
        alone: whether nobody freezes the value, as it stands in an object that is none of ours.
    """
    if is_scalar(annotation):
        return ""
    for name in ("__supertype__", "__value__"):  # of a new type, and of an alias
        if hasattr(annotation, name):
            return _changeable(getattr(annotation, name), within, alone=alone)
    origin = get_origin(annotation)
    kind = origin if isinstance(origin, type) else annotation
    parts: Sequence[Any] = get_args(annotation)[: 1 if origin is Annotated else None]
    if isinstance(kind, type) and kind not in within and not hasattr(kind, "_containers"):
        problem = _unfrozen(kind, within, alone=alone)
        if problem:
            return problem
        if hasattr(kind, "model_fields") or is_dataclass(kind):
            within, parts, alone = (*within, kind), _parts(kind), True
        elif is_typeddict(kind) or hasattr(kind, "_fields"):
            within, parts = (*within, kind), _parts(kind)
    found = (_changeable(part, within, alone=alone) for part in parts)
    return next(filter(None, found), "")


def _unfrozen(kind: type, within: tuple[type, ...], *, alone: bool) -> str:
    """Why objects of a class that is none of ours could change, whatever they hold, or nothing."""
    if kind in _READ_ONCE:
        return f"{kind.__name__} is read only once; use list or tuple"
    if kind in (Counter, OrderedDict):  # Pydantic would not write an `ImmutableDict` as one
        return f"{kind.__name__} cannot be made immutable; use dict"
    if alone and issubclass(kind, _FROZEN_IN_FIELDS) and not issubclass(kind, tuple):
        by = within[-1].__name__
        return f"the {kind.__name__} in {by} can be changed; derive {by} from ValueObject"
    if (is_dataclass(kind) or issubclass(kind, BaseModel)) and not _is_frozen(kind):
        return f"{kind.__name__} can be changed; derive it from ValueObject"
    return ""


def _is_frozen(kind: Any) -> bool:
    if issubclass(kind, BaseModel):
        return bool(kind.model_config.get("frozen"))
    return bool(kind.__dataclass_params__.frozen)


def _parts(kind: Any) -> list[Any]:
    """The types of the fields of a class, as far as they can be known."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [field.annotation for field in kind.model_fields.values()]
    try:
        hints = get_type_hints(kind)
    except NameError:
        return []
    names = [each.name for each in fields(kind)] if is_dataclass(kind) else [*hints]
    return [hints[name] for name in names]
