"""Layer 2. Invariants: what is always true of an object, checked after each change of it."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from happened.errors import ConfigurationError, ValidationError

__all__ = ["atomic_change", "check", "invariant", "invariants_of"]

_F = TypeVar("_F", bound=Callable[[Any], None])


def invariant(method: _F) -> _F:
    """Mark a method as an invariant of a value object, an entity or an aggregate.

    It takes no arguments, changes nothing, and raises ``ValueError`` with a sentence (or
    `ValidationError`, to name fields) when something is not as it must be. All invariants are
    checked after construction and after each change; a change that breaks one is undone.

    Args:
        method: the method.

    Returns:
        The same method.

    Example:
        >>> from happened import Aggregate, ValidationError, invariant
        >>> class Shelf(Aggregate):
        ...     room: int
        ...     books: int = 0
        ...     @invariant
        ...     def the_books_fit(self) -> None:
        ...         if self.books > self.room:
        ...             raise ValueError(f"there is room for {self.room} books")
        >>> shelf = Shelf(room=2)
        >>> try:
        ...     shelf.books = 3
        ... except ValidationError as error:
        ...     print(error)
        Shelf is not valid: _entity: there is room for 2 books
        >>> shelf.books
        0
    """
    method._is_invariant = True  # type: ignore[attr-defined]
    return method


def invariants_of(cls: type) -> tuple[Callable[[Any], None], ...]:
    """Return the invariants of a class and of its bases, in the order in which they are written.

    Args:
        cls: a value object, an entity or an aggregate.

    Example:
        >>> from happened import Aggregate, invariant
        >>> from happened.invariants import invariants_of
        >>> class Shelf(Aggregate):
        ...     @invariant
        ...     def the_books_fit(self) -> None: ...
        >>> len(invariants_of(Shelf))
        1
    """
    names = dict.fromkeys(
        name
        for base in reversed(cls.__mro__)
        for name, member in vars(base).items()
        if getattr(member, "_is_invariant", False)
    )
    return tuple(getattr(cls, name) for name in names)


def check(checked: object, invariants: tuple[Callable[[Any], None], ...]) -> None:
    """Check the invariants of an object.

    Args:
        checked: the object.
        invariants: those of its class.

    Raises:
        ValidationError: what all broken invariants say.

    Example:
        >>> from happened.invariants import check
        >>> check(object(), ())
    """
    messages: dict[str, list[str]] = {}
    for each in invariants:
        try:
            answer: object = each(checked)
            if answer is not None:
                name = f"{type(checked).__name__}.{each.__name__}"
                raise ConfigurationError(
                    f"{name} returned {answer!r}; invariants return None, or raise ValueError"
                )
        except ValidationError as error:
            for field, texts in error.messages.items():
                messages.setdefault(field, []).extend(texts)
        except (ValueError, AssertionError) as error:
            messages.setdefault("_entity", []).append(str(error))
    if messages:
        raise ValidationError(messages, type(checked).__name__)


class _Changeable(Protocol):
    def _begin_change(self) -> object: ...
    def _end_change(self, before: object) -> None: ...
    def _undo_change(self, before: object) -> None: ...


_C = TypeVar("_C", bound=_Changeable)


@contextmanager
def atomic_change(aggregate: _C) -> Generator[_C, None, None]:
    """Change several fields that only together keep the invariants.

    The invariants are checked at the end of the block. If one is broken then, or if the block
    raises, the aggregate is as it was before the block, the events raised in it included.

    Args:
        aggregate: the aggregate or entity to change.

    Yields:
        The same object.

    Raises:
        ValidationError: an invariant is broken at the end of the block.

    Example:
        >>> from happened import Aggregate, atomic_change, invariant
        >>> class Loan(Aggregate):
        ...     first_day: int
        ...     last_day: int
        ...     @invariant
        ...     def it_ends_after_it_begins(self) -> None:
        ...         if self.last_day < self.first_day:
        ...             raise ValueError("a loan ends after it begins")
        >>> loan = Loan(first_day=1, last_day=5)
        >>> with atomic_change(loan):
        ...     loan.first_day = 8
        ...     loan.last_day = 12
        >>> loan.last_day
        12
    """
    before = aggregate._begin_change()
    try:
        yield aggregate
        aggregate._end_change(before)
    except BaseException:
        aggregate._undo_change(before)
        raise
