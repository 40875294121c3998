"""Layer 1. Lists, mappings and sets that cannot change, for the fields of what is immutable."""

import datetime as dt
import decimal
import uuid
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin

from happened.errors import ImmutableError

__all__ = ["ImmutableDict", "ImmutableList", "ImmutableSet", "freeze", "is_scalar"]

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


def freeze(value: Any) -> Any:
    """Return the value with every list, mapping and set in it made immutable.

    Args:
        value: plain data; what is neither a list, a mapping, a set nor a tuple is returned as it
            is.

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
    return frozen


_IMMUTABLE = frozenset(
    {ImmutableDict, ImmutableList, ImmutableSet, str, int, float, bool, bytes, NoneType}
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
