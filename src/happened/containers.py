"""Layer 2. The lists and mappings in the fields of entities: their changes are validated, too."""

from collections.abc import Callable
from typing import Any

__all__ = ["FieldDict", "FieldList", "held"]


class FieldList(list[Any]):
    """A list in a field: a change that does not fit the field leaves it as it was.

    Raises:
        ValidationError: at a change that does not fit, or that breaks an invariant.

    Example:
        >>> from happened import Aggregate, ValidationError
        >>> from happened.fields import List
        >>> class Book(Aggregate):
        ...     tags: list[str] = List(max_length=2, default=list)
        >>> book = Book(tags=["novel", "classic"])
        >>> try:
        ...     book.tags.append("long")
        ... except ValidationError as error:
        ...     print(len(book.tags))
        2
    """

    __slots__ = ("_field", "_owner")

    _owner: Any
    _field: str

    def _replace(self, items: list[Any]) -> None:
        list.__setitem__(self, slice(None), items)

    def __reduce__(self) -> tuple[Any, ...]:
        return (list, (list(self),))


class FieldDict(dict[Any, Any]):
    """A mapping in a field: a change that does not fit the field leaves it as it was.

    Raises:
        ValidationError: at a change that does not fit, or that breaks an invariant.

    Example:
        >>> from happened import Aggregate
        >>> class Book(Aggregate):
        ...     pages: dict[str, int] = {}
        >>> book = Book()
        >>> book.pages["paperback"] = "474"
        >>> book.pages
        {'paperback': 474}
    """

    __slots__ = ("_field", "_owner")

    _owner: Any
    _field: str

    def _replace(self, items: dict[Any, Any]) -> None:
        dict.clear(self)
        dict.update(self, items)

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, (dict(self),))


def _validated(base: type, name: str) -> Callable[..., Any]:
    mutate = getattr(base, name)

    def change(self: Any, *args: Any, **options: Any) -> Any:
        changed = base(self)
        result = mutate(changed, *args, **options)
        self._owner._set_field(self._field, changed)
        return self if name in ("__iadd__", "__imul__", "__ior__") else result

    change.__name__ = name
    return change


for _name in (
    *("append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse"),
    *("__setitem__", "__delitem__", "__iadd__", "__imul__"),
):
    setattr(FieldList, _name, _validated(list, _name))
for _name in (
    *("update", "setdefault", "pop", "popitem", "clear"),
    *("__setitem__", "__delitem__", "__ior__"),
):
    setattr(FieldDict, _name, _validated(dict, _name))


def held(value: Any, owner: Any, field: str, before: Any = None) -> Any:
    """Return what a field is to hold in place of a validated value.

    Args:
        value: the validated value.
        owner: the entity.
        field: the name of the field.
        before: what the field held; a list or mapping stays the same object.

    Returns:
        A `FieldList` for a list, a `FieldDict` for a dict, and anything else as it is.

    Example:
        >>> from happened.containers import held
        >>> held("Emma", None, "title")
        'Emma'
    """
    kinds: tuple[tuple[type, Any], ...] = ((list, FieldList), (dict, FieldDict))
    for plain, kind in kinds:
        if isinstance(value, plain):
            same: Any = before if type(before) is kind and before._owner is owner else None
            if same is not None:
                same._replace(value)
                return same
            made = kind(value)
            made._owner, made._field = owner, field
            return made
    return value
