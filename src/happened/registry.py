"""Layer 2. The registry: which elements a domain has, and who handles what."""

import re
from dataclasses import dataclass, field
from typing import Any, TypeVar

from happened.composition import Composition
from happened.elements import Element, Kind, Reaction, with_base
from happened.errors import ConfigurationError
from happened.messages import Command, Event, Message
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
    _by_event: dict[type[Event], tuple[tuple[Reaction, ...], bool]] = field(default_factory=dict)

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
        if type(element.retries) is not int or element.retries < 0:
            raise ConfigurationError(
                f"{place}: retries={element.retries!r}; retries are a whole number, 0 for none"
            )
        if not (element.name is None or (isinstance(element.name, str) and element.name)):
            raise ConfigurationError(
                f"{place}: name={element.name!r}; the name of a message is text"
            )
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
        kind, cache = type(event), self._by_event
        known = cache.get(kind)
        if known is None:
            takers = tuple(each for each in self.reactions if each.takes(kind))
            known = takers, any(each.source_stream for each in takers)
            cache[kind] = known
        found, ask_for_the_source = known
        if ask_for_the_source:
            return tuple(each for each in found if each.follows(event))
        return found

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
