"""Layer 2. Elements: what a domain registers, and the base classes that decorators add."""

import difflib
import inspect
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar

from happened.errors import ConfigurationError
from happened.handlers import Handler, name_of
from happened.messages import Command, Event, Message
from happened.model import Aggregate, Entity, Projection, ValueObject
from happened.streams import belongs_to

__all__ = ["BASES", "Element", "Kind", "Reaction", "nearest", "with_base", "with_options"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

Kind = Literal[
    "aggregate",
    "projection",
    "entity",
    "value object",
    "command",
    "event",
    "command handler",
    "event handler",
    "repository",
]

# From the most special to the most general: a projection is stored as an aggregate is, and an
# aggregate is an entity, too.
BASES: dict[Kind, type] = {
    "projection": Projection,
    "aggregate": Aggregate,
    "entity": Entity,
    "value object": ValueObject,
    "command": Command,
    "event": Event,
}


@dataclass(slots=True, kw_only=True)
class Element:
    """One class or function that was registered, and with what.

    Attributes:
        kind: what it is, ``"event handler"``.
        target: the class or function.
        part_of: the aggregate that it belongs to; a name until it is resolved.
        name: the stable name, for a message or a handler.
        version: the version, for a message, from 1.
        stream_category: the category, for an aggregate and for an event handler.
        source_stream: the category in which chains must have begun, for an event handler.
        retries: how often a handler is called again after a failure, see `Reaction`.
        backoff: how long the first retry waits in asynchronous processing, in seconds.
        start_from: where a new subscription begins, ``"beginning"`` or ``"now"``.
        on_dead_letter: whether later messages of the stream wait, ``"hold"``, or ``"go_on"``.
        messages: what a handler function handles.

    Example:
        >>> from happened.elements import Element
        >>> Element(kind="event", target=object).version
        1
    """

    kind: Kind
    target: Any
    part_of: type | str | None = None
    name: str | None = None
    version: int = 1
    stream_category: str | None = None
    source_stream: str | None = None
    retries: int | None = None
    backoff: float = 1.0
    start_from: str = "beginning"
    on_dead_letter: str = "hold"
    messages: tuple[type[Message] | str, ...] = ()

    @property
    def title(self) -> str:
        """What errors call it: the name of the class or function."""
        target = self.target
        if self.kind == "event handler" and callable(target) and not isinstance(target, type):
            return name_of(target)
        return str(getattr(target, "__name__", target))

    @property
    def subscription(self) -> str:
        """What the checkpoints of a handler class or function are kept under."""
        return self.name or self.title

    def __str__(self) -> str:
        return f"{self.kind} {self.title}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """A handler as a domain calls it.

    Attributes:
        handler: what is called.
        accepts: the message classes, resolved.
        part_of: the aggregate that it belongs to, or ``None`` for a function.
        stream_category: only messages of this category are handled; ``None`` for all.
        source_stream: only messages whose chain began in this category; ``None`` for all.
        retries: how often it is called again: in synchronous processing after a
            `ConcurrencyError`, at once; in asynchronous processing after any failure, later. By
            default not at all in the one, 5 times in the other.
        backoff: how long the first retry waits in asynchronous processing, in seconds.
        start_from: where its subscription begins, ``"beginning"`` or ``"now"``.
        on_dead_letter: whether later messages of the stream wait, ``"hold"``, or ``"go_on"``.

    Example:
        >>> from happened import Event
        >>> from happened.elements import Reaction
        >>> from happened.handlers import handler
        >>> Reaction(handler=handler(print, (Event,)), accepts=(Event,)).takes(Event)
        True
    """

    handler: Handler
    accepts: tuple[type[Message], ...]
    part_of: type[Aggregate] | None = None
    stream_category: str | None = None
    source_stream: str | None = None
    retries: int | None = None
    backoff: float = 1.0
    start_from: str = "beginning"
    on_dead_letter: str = "hold"

    @property
    def subscription(self) -> str:
        """The name of the subscription that it belongs to: that of its class, or its own."""
        return self.handler.name.partition(".")[0]

    def takes(self, event: type[Event]) -> bool:
        """Return whether this handler handles events of a class, wherever their chain began.

        Args:
            event: the class.
        """
        if not issubclass(event, self.accepts):
            return False
        return self.stream_category in (None, getattr(event._part_of, "_category", None))

    def follows(self, origin_stream: str | None) -> bool:
        """Return whether a chain that began in a stream is one that this handler asks for.

        Args:
            origin_stream: the origin stream of an event.
        """
        source = self.source_stream
        return source is None or belongs_to(origin_stream, source)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'storage'?"`` for a misspelt name, or nothing.

    Args:
        name: what was found.
        known: what would have been right.

    Example:
        >>> from happened.elements import nearest
        >>> nearest("storge", ["storage", "broker"])
        "; did you mean 'storage'?"
    """
    close = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def with_base(kind: Kind, target: Any, place: str) -> Any:
    """Return the class with the base of its kind, so that the decorator alone is enough.

    Args:
        kind: what the class is to be; handlers and repositories have no base here.
        target: the class.
        place: where it is registered, for the error.

    Raises:
        ConfigurationError: it is no class, is of another kind, or cannot have the base.

    Example:
        >>> from happened.elements import with_base
        >>> class Money:
        ...     cents: int
        >>> with_base("value object", Money, "here")(cents=5)
        Money(cents=5)
    """
    base = BASES.get(kind)
    if base is None:
        return target
    article = "an" if kind[0] in "aeiou" else "a"
    if not isinstance(target, type):
        raise ConfigurationError(f"{place} is no class; {article} {kind} is one")
    for other, found in BASES.items():
        if issubclass(target, found):
            if other == kind:
                return target
            decorator = f"@domain.{other.replace(' ', '_')}"
            raise ConfigurationError(
                f"{place} derives from {found.__name__}, and so is no {kind}; register it with "
                f"{decorator}"
            )
    try:
        return _derived(target, base)
    except (TypeError, ValueError) as error:  # the second one for __slots__
        raise ConfigurationError(
            f"{place} cannot be made {article} {kind}: {error}; derive it from {base.__name__}"
        ) from error


def with_options(maker: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a maker of decorators that says how to write it where its options were left away.

    Args:
        maker: a method that takes options, one of them ``part_of``, and nothing else.

    Raises:
        ConfigurationError: later, for a class in place of the options.

    Example:
        >>> from happened import ConfigurationError, Domain
        >>> shelf = Domain("shelf")
        >>> try:
        ...     @shelf.command_handler
        ...     class Books: ...
        ... except ConfigurationError as error:
        ...     print(error)
        Books: say which aggregate it is a part of, as @domain.command_handler(part_of=Book)
    """

    @wraps(maker)
    def checked(*args: _P.args, **options: _P.kwargs) -> _R:
        if len(args) > 1:
            name = getattr(args[1], "__name__", repr(args[1]))
            raise ConfigurationError(
                f"{name}: say which aggregate it is a part of, as "
                f"@domain.{maker.__name__}(part_of=Book)"
            )
        return maker(*args, **options)

    return checked


# What Python keeps in a class and makes anew for another one.
_OF_THE_CLASS = ("__dict__", "__weakref__", "__annotations_cache__", "_abc_impl")


def _derived(target: type, base: type) -> type:
    body = {name: member for name, member in vars(target).items() if name not in _OF_THE_CLASS}
    body["__qualname__"] = target.__qualname__
    bases = tuple(each for each in target.__bases__ if each is not object)
    made = types.new_class(target.__name__, (*bases, base), exec_body=lambda ns: ns.update(body))
    for cell in _cells_of(body.values()):  # super() without arguments finds its class in a cell
        if cell.cell_contents is target:
            cell.cell_contents = made
    return made


def _cells_of(members: Iterable[Any]) -> Iterator[types.CellType]:
    """Yield what the methods of a class body close over, and has a value."""
    for member in members:
        for part in ("__func__", "func", "fget", "fset", "fdel"):
            function = inspect.unwrap(getattr(member, part, None) or member)
            for cell in getattr(function, "__closure__", None) or ():
                try:
                    cell.cell_contents  # noqa: B018 - an empty cell raises
                except ValueError:
                    continue
                yield cell
