"""Layer 2. The registry: which elements a domain has, and who handles what."""

import re
from dataclasses import dataclass, field
from typing import Any, TypeVar

from happened.composition import Composition
from happened.elements import Element, Kind, Reaction, with_base
from happened.errors import ConfigurationError, MessageError
from happened.messages import Command, Event, Message
from happened.metadata import Metadata
from happened.model import Aggregate
from happened.streams import checked_category

__all__ = ["Registry"]

_C = TypeVar("_C")


@dataclass(slots=True)
class Registry:
    """Which elements a domain has. It knows what exists; it runs nothing.

    Args:
        name: the name of the domain.

    Example:
        >>> from happened import Aggregate
        >>> from happened.registry import Registry
        >>> class Book(Aggregate): ...
        >>> registry = Registry("shelf")
        >>> _ = registry.add("aggregate", Book)
        >>> registry.resolve()
        >>> [aggregate.__name__ for aggregate in registry.aggregates]
        ['Book']
    """

    name: str
    elements: list[Element] = field(default_factory=list)
    resolved: bool = False
    aggregates: dict[type[Aggregate], Element] = field(default_factory=dict)
    messages: dict[str, type[Message]] = field(default_factory=dict)
    commands: dict[type[Command], Reaction] = field(default_factory=dict)
    reactions: list[Reaction] = field(default_factory=list)
    repositories: dict[type[Aggregate], type] = field(default_factory=dict)
    _by_event: dict[type[Event], tuple[tuple[Reaction, ...], tuple[str, ...], bool]] = field(
        default_factory=dict
    )

    def add(self, kind: Kind, target: _C, **options: Any) -> _C:
        """Register a class or a function.

        Args:
            kind: what it is.
            target: the class or function; a class without the base of its kind is given it.
            **options: the other attributes of `Element`.

        Returns:
            The class, with its base, or the function.

        Raises:
            ConfigurationError: an option is not what it should be, or the class cannot be used.

        Example:
            >>> from happened.registry import Registry
            >>> class Book:
            ...     title: str
            >>> Registry("shelf").add("aggregate", Book)(title="Emma").title
            'Emma'
        """
        element = Element(kind=kind, target=target, **options)
        place = f"domain {self.name!r}: {element.title}"
        element.target = target = with_base(kind, target, place)
        for category in (element.stream_category, element.source_stream):
            if category is not None:
                checked_category(category, place)
        if type(element.version) is not int or element.version < 1:
            raise ConfigurationError(
                f"{place}: version={element.version!r}; versions are whole numbers from 1"
            )
        _check_options(element, place)
        self.elements.append(element)
        self.resolved = False
        return target

    def resolve(self) -> None:
        """Resolve names, connect messages with their handlers, and check the composition.

        Raises:
            ConfigurationError: with every mistake that was found.

        Example:
            >>> from happened import ConfigurationError, Event
            >>> from happened.registry import Registry
            >>> class BookLent(Event): ...
            >>> registry = Registry("shelf")
            >>> _ = registry.add("event", BookLent)
            >>> try:
            ...     registry.resolve()
            ... except ConfigurationError as error:
            ...     print(error)
            domain 'shelf': event BookLent belongs to no aggregate; give it part_of=
        """
        found = Composition(self.name, self.prefix, self.elements, self)
        found.check()
        for aggregate in found.aggregates:
            aggregate._category = found.category_of(aggregate)
            aggregate._registered_in = self
        for element in self.elements:
            element.part_of = found.part_of(element)
            if element.kind in ("event", "command"):
                element.target._rename(found.type_name(element), element.version)
                element.target._part_of = element.part_of
                element.target._registered_in = self
        self.aggregates = found.aggregates
        self.messages = found.messages
        self.commands = {command: reactions[0] for command, reactions in found.commands.items()}
        self.reactions = found.reactions
        self.repositories = found.repositories
        self._by_event = {}
        self.resolved = True

    def handlers_of(self, event: Event) -> tuple[Reaction, ...]:
        """Return the handlers of an event, in the order of their registration.

        Args:
            event: an event of this domain.

        Example:
            >>> from happened import Event
            >>> from happened.registry import Registry
            >>> Registry("shelf").handlers_of(Event())
            ()
        """
        found, _, asks = self._by_event.get(type(event)) or self._known(type(event))
        if not asks:
            return found
        origin = event._metadata.origin_stream
        return tuple(each for each in found if each.follows(origin))

    def names_of(self, event: Event) -> tuple[str, ...]:
        """Return the names of the handlers of an event, in the order of their registration.

        Args:
            event: an event of this domain.

        Example:
            >>> from happened import Event
            >>> from happened.registry import Registry
            >>> Registry("shelf").names_of(Event())
            ()
        """
        found, names, asks = self._by_event.get(type(event)) or self._known(type(event))
        if not asks:
            return names
        origin = event._metadata.origin_stream
        return tuple(each.handler.name for each in found if each.follows(origin))

    def _known(self, kind: type[Event]) -> tuple[tuple[Reaction, ...], tuple[str, ...], bool]:
        """The handlers of a class of events, their names, and whether any asks for the source."""
        takers = tuple(each for each in self.reactions if each.takes(kind))
        names = tuple(each.handler.name for each in takers)
        known = takers, names, any(each.source_stream for each in takers)
        self._by_event[kind] = known
        return known

    def restore(self, metadata: Metadata, data: bytes) -> Message:
        """Return the message that a storage holds, as an object of its class.

        Args:
            metadata: its metadata, as they are stored.
            data: its fields as JSON, encoded in UTF-8.

        Raises:
            MessageError: its type is not registered, or its data do not fit the type.

        Example:
            >>> from happened import Event, MessageError
            >>> from happened.registry import Registry
            >>> event = Event()
            >>> try:
            ...     Registry("shelf").restore(event._metadata, event.to_json())
            ... except MessageError as error:
            ...     print(error.reason)
            domain 'shelf' has no message of this type; register its class, or discard the message
        """
        kind = self.messages.get(metadata.type)
        if kind is None:
            reason = (
                f"domain {self.name!r} has no message of this type; register its class, "
                "or discard the message"
            )
            raise MessageError(reason, message_id=metadata.id, type=metadata.type)
        return kind._restore(data, metadata)

    def of_kind(self, kind: Kind) -> list[Any]:
        """Return the classes and functions of one kind, in the order of their registration.

        Args:
            kind: such as ``"event"``.

        Example:
            >>> from happened.registry import Registry
            >>> Registry("shelf").of_kind("event")
            []
        """
        return [element.target for element in self.elements if element.kind == kind]

    @property
    def prefix(self) -> str:
        """What the names of this domain's messages begin with, ``"Shelf"``."""
        words = re.findall(r"[^\W_]+", self.name)
        return "".join(word[0].upper() + word[1:] for word in words)


def _check_options(element: Element, place: str) -> None:
    retries, backoff, name = element.retries, element.backoff, element.name
    if element.kind in ("command handler", "event handler"):
        if not (name is None or (isinstance(name, str) and name.isidentifier())):
            raise ConfigurationError(
                f"{place}: name={name!r}; the name of a handler is one word, as that of a class is"
            )
    elif not (name is None or (isinstance(name, str) and name)):
        raise ConfigurationError(f"{place}: name={name!r}; the name of a message is text")
    if not (retries is None or (type(retries) is int and retries >= 0)):
        raise ConfigurationError(
            f"{place}: retries={retries!r}; retries are a whole number, 0 for none"
        )
    if type(backoff) not in (int, float) or not 0 <= backoff < 86_400:
        raise ConfigurationError(
            f"{place}: backoff={backoff!r}; the first retry waits for a number of seconds, 0 to "
            "86400"
        )
    for name, allowed in {
        "start_from": ("beginning", "now"),
        "on_dead_letter": ("hold", "go_on"),
    }.items():
        value = getattr(element, name)
        if value not in allowed:
            raise ConfigurationError(
                f"{place}: {name}={value!r}; expected {allowed[0]!r} or {allowed[1]!r}"
            )
