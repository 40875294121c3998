"""Layer 0. Every error that the library raises, under one root.

Each error says what was found, where, and what to do; the facts are attributes, so that a
program never has to read the text.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "BrokerError",
    "ConcurrencyError",
    "ConfigurationError",
    "HappenedError",
    "ImmutableError",
    "MessageError",
    "NotFoundError",
    "StorageError",
    "ValidationError",
    "was_committed",
]


class HappenedError(Exception):
    """The root of all errors of this library: catch it to catch any of them.

    Example:
        >>> from happened import HappenedError, NotFoundError
        >>> issubclass(NotFoundError, HappenedError)
        True
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Let an error pass from one process to another, with its text and its attributes."""
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[HappenedError], args: tuple[Any, ...]) -> HappenedError:
    error: HappenedError = kind.__new__(kind, *args)
    error.args = args
    return error


class ConfigurationError(HappenedError):
    """A composition, a declaration or a setting is wrong.

    Args:
        problems: every mistake found, each a sentence that names its place and the mend.

    Attributes:
        problems: the same sentences, as a tuple.

    Example:
        >>> from happened import ConfigurationError, Domain
        >>> try:
        ...     Domain("shelf", storge="memory://")
        ... except ConfigurationError as error:
        ...     print(error)
        domain 'shelf': 'storge' is not a configuration key; did you mean 'storage'?
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: tuple[str, ...] = (
            (problems,) if isinstance(problems, str) else tuple(problems)
        )
        if len(self.problems) == 1:
            super().__init__(self.problems[0])
        else:
            listed = "".join(f"\n  {n}. {text}" for n, text in enumerate(self.problems, 1))
            super().__init__(f"{len(self.problems)} mistakes:{listed}")


class ValidationError(HappenedError, ValueError):
    """Values do not fit the fields or break an invariant.

    Args:
        messages: the texts for each field. A nested field is named by its path
            (``"lines.0.quantity"``); what concerns the whole object stands under ``"_entity"``.
        title: the class whose values were refused.

    Attributes:
        messages: field to list of texts.
        title: the class whose values were refused, ``""`` if there is none.

    Example:
        >>> from happened import Event, ValidationError
        >>> class BookLent(Event):
        ...     book_id: str
        ...     days: int
        >>> try:
        ...     BookLent(days="soon")
        ... except ValidationError as error:
        ...     print(sorted(error.messages))
        ['book_id', 'days']
    """

    def __init__(self, messages: Mapping[str, Sequence[str]], title: str = "") -> None:
        self.messages = {
            field: [texts] if isinstance(texts, str) else list(texts)
            for field, texts in messages.items()
        }
        self.title = title
        lines = [f"{field}: {text}" for field, texts in self.messages.items() for text in texts]
        head = f"{title} is not valid" if title else "not valid"
        if len(lines) == 1:
            super().__init__(f"{head}: {lines[0]}")
        else:
            super().__init__(f"{head}:" + "".join(f"\n  {line}" for line in lines))


class NotFoundError(HappenedError, LookupError):
    """No aggregate has this id, or fits these values.

    Args:
        type: the class that was looked for.
        criteria: what was looked for, field to value.

    Attributes:
        type: the class that was looked for.
        criteria: what was looked for, field to value.

    Example:
        >>> from happened import Aggregate, Domain, NotFoundError
        >>> shelf = Domain("shelf")
        >>> @shelf.aggregate
        ... class Book(Aggregate):
        ...     title: str
        >>> shelf.init(traverse=False)
        >>> try:
        ...     shelf.repository_for(Book).get("b1")
        ... except NotFoundError as error:
        ...     print(error)
        no Book with id='b1' is stored; add it first, or check the value
    """

    def __init__(self, type: type, criteria: Mapping[str, Any]) -> None:
        self.type = type
        self.criteria = dict(criteria)
        found = " and ".join(f"{field}={value!r}" for field, value in self.criteria.items())
        with_ = f" with {found}" if found else ""
        super().__init__(f"no {type.__name__}{with_} is stored; add it first, or check the value")


class ConcurrencyError(HappenedError):
    """Another writer changed this aggregate since it was read; nothing was written.

    Args:
        stream: the aggregate's stream, ``"order-<id>"``.
        expected: the version that the writer had read; 0 means that it was new.
        found: the version that is stored.

    Attributes:
        stream: the aggregate's stream.
        expected: the version that the writer had read.
        found: the version that is stored.

    Example:
        >>> from happened import ConcurrencyError
        >>> print(ConcurrencyError("order-7", expected=1, found=2))
        order-7 is at version 2, but this change was made to version 1; get it again and repeat it
    """

    def __init__(self, stream: str, *, expected: int, found: int) -> None:
        self.stream = stream
        self.expected = expected
        self.found = found
        if expected == 0:
            text = (
                f"{stream} is already stored, at version {found}; get it, and change what you get"
            )
        elif found == 0:
            text = f"{stream} was removed after it was read at version {expected}; get it again"
        else:
            text = (
                f"{stream} is at version {found}, but this change was made to version "
                f"{expected}; get it again and repeat it"
            )
        super().__init__(text)


class ImmutableError(HappenedError, AttributeError):
    """Something that cannot change was to be changed: a message, metadata, a value object, an id.

    Args:
        type: the class of what was to be changed.
        field: the name of the attribute.
        advice: what to do instead.

    Attributes:
        type: the class of what was to be changed.
        field: the name of the attribute.

    Example:
        >>> from happened import Event, ImmutableError
        >>> class BookLent(Event):
        ...     book_id: str
        >>> try:
        ...     BookLent(book_id="b1").book_id = "b2"
        ... except ImmutableError as error:
        ...     print(error)
        BookLent.book_id cannot be changed: BookLent objects are immutable; make a new one
    """

    def __init__(self, type: type, field: str, advice: str = "") -> None:
        self.type = type
        self.field = field
        advice = advice or f"{type.__name__} objects are immutable; make a new one"
        super().__init__(f"{type.__name__}.{field} cannot be changed: {advice}")


class MessageError(HappenedError, ValueError):
    """A message cannot be read: its type is not registered, or its data do not fit the type.

    Args:
        reason: what is wrong with it, and what to do.
        message_id: the id of the message, where it is known.
        type: the type that it claims to have, where it is known.

    Attributes:
        reason: what is wrong with it.
        message_id: its id, or ``None``.
        type: its claimed type, or ``None``.

    Example:
        >>> from happened import MessageError
        >>> print(MessageError("no such type is registered", type="Shelf.BookLent.v1"))
        Shelf.BookLent.v1: no such type is registered
    """

    def __init__(
        self, reason: str, *, message_id: str | None = None, type: str | None = None
    ) -> None:
        self.reason = reason
        self.message_id = message_id
        self.type = type
        named = " ".join(part for part in (type, message_id) if part)
        super().__init__(f"{named}: {reason}" if named else reason)


class StorageError(HappenedError, OSError):
    """A storage cannot be reached or broke off; the driver's error is its ``__cause__``.

    Args:
        storage: the storage's URL without its password.
        reason: what happened, and what to do.

    Attributes:
        storage: the storage's URL without its password.

    Example:
        >>> from happened import StorageError
        >>> print(StorageError("memory://", "the storage is closed; init() opens it again"))
        memory://: the storage is closed; init() opens it again
    """

    def __init__(self, storage: str, reason: str) -> None:
        self.storage = storage
        super().__init__(f"{storage}: {reason}")


class BrokerError(HappenedError, OSError):
    """A broker cannot be reached or broke off; the driver's error is its ``__cause__``.

    Args:
        broker: the broker's URL without its password.
        reason: what happened, and what to do.

    Attributes:
        broker: the broker's URL without its password.

    Example:
        >>> from happened.errors import BrokerError
        >>> print(BrokerError("nats://broker", "nobody answers; start the broker"))
        nats://broker: nobody answers; start the broker
    """

    def __init__(self, broker: str, reason: str) -> None:
        self.broker = broker
        super().__init__(f"{broker}: {reason}")


def was_committed(error: BaseException) -> bool:
    """Return whether a call had committed before it raised: only what followed failed.

    Args:
        error: what was raised by `Domain.process`, `Domain.aprocess`, a repository or a block of
            `Domain.unit_of_work`.

    Returns:
        True: the command or the change is stored, with its events, and handlers of these failed;
        do not repeat it. False: it was refused, and what was raised says why; or it is not known.

    Example:
        >>> from happened import Aggregate, Domain, Event
        >>> from happened.errors import was_committed
        >>> shelf = Domain("shelf")
        >>> @shelf.aggregate
        ... class Book(Aggregate): ...
        >>> @shelf.event(part_of=Book)
        ... class BookLost(Event): ...
        >>> @shelf.on(BookLost)
        ... def search(event: BookLost) -> None:
        ...     raise KeyError("no lamp")
        >>> shelf.init(traverse=False)
        >>> book = Book()
        >>> book.raise_(BookLost())
        >>> try:
        ...     shelf.repository_for(Book).add(book)
        ... except KeyError as error:
        ...     was_committed(error), book.id in shelf.repository_for(Book)
        (True, True)
    """
    known: bool | None = vars(error).get(_COMMITTED)
    if known is None and isinstance(error, BaseExceptionGroup):
        return all(was_committed(each) for each in error.exceptions)
    return bool(known)


def note_committed(*errors: BaseException, committed: bool) -> None:
    """Note on errors whether what they came from had committed, for `was_committed`.

    Args:
        *errors: any exceptions.
        committed: whether it had.

    Example:
        >>> from happened.errors import note_committed, was_committed
        >>> error = KeyError("no lamp")
        >>> note_committed(error, committed=True)
        >>> was_committed(error)
        True
    """
    for error in errors:
        vars(error)[_COMMITTED] = committed  # not by setattr, which a class may refuse


_COMMITTED = "_happened_committed"
