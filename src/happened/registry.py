"""Layer 2. The registry: which elements a domain has, and what is wrong with their composition."""

import difflib
import inspect
import re
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast

from happened.errors import ConfigurationError
from happened.handlers import Handler, handler, handlers_in
from happened.messages import Command, Event, Message
from happened.model import Aggregate, Entity, ValueObject
from happened.streams import belongs_to, checked_category, snake_case

__all__ = ["Element", "Kind", "Reaction", "Registry", "nearest"]

_C = TypeVar("_C", bound=type)

Kind = Literal[
    "aggregate",
    "entity",
    "value object",
    "command",
    "event",
    "command handler",
    "event handler",
    "repository",
]

_BASES: dict[Kind, type | None] = {
    "aggregate": Aggregate,
    "entity": Entity,
    "value object": ValueObject,
    "command": Command,
    "event": Event,
    "command handler": None,
    "event handler": None,
    "repository": None,
}


@dataclass(slots=True, kw_only=True)
class Element:
    """One class or function that was registered, and with what.

    Attributes:
        kind: what it is, ``"event handler"``.
        target: the class or function.
        part_of: the aggregate that it belongs to; a name until it is resolved.
        name: the stable name, for a message.
        version: the version, for a message, from 1.
        stream_category: the category, for an aggregate and for an event handler.
        source_stream: the category in which chains must have begun, for an event handler.
        retries: how often a command handler is called again after a `ConcurrencyError`.
        messages: what a handler function handles.

    Example:
        >>> from happened.registry import Element
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
    retries: int = 0
    messages: tuple[type[Message] | str, ...] = ()

    @property
    def title(self) -> str:
        """What errors call it: the name of the class or function."""
        return str(getattr(self.target, "__name__", self.target))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """A handler as a domain calls it.

    Attributes:
        handler: what is called.
        accepts: the message classes, resolved.
        part_of: the aggregate that it belongs to, or ``None`` for a function.
        stream_category: only messages of this category are handled; ``None`` for all.
        source_stream: only messages whose chain began in this category; ``None`` for all.
        retries: how often it is called again after a `ConcurrencyError`.

    Example:
        >>> from happened import Event
        >>> from happened.handlers import handler
        >>> from happened.registry import Reaction
        >>> Reaction(handler=handler(print, (Event,)), accepts=(Event,)).wants(Event())
        True
    """

    handler: Handler
    accepts: tuple[type[Message], ...]
    part_of: type[Aggregate] | None = None
    stream_category: str | None = None
    source_stream: str | None = None
    retries: int = 0

    def wants(self, message: Message) -> bool:
        """Return whether this handler handles the message.

        Args:
            message: a raised event, or a command.
        """
        if not isinstance(message, self.accepts):
            return False
        return self.source_stream is None or belongs_to(
            message._metadata.origin_stream, self.source_stream
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'storage'?"`` for a misspelt name, or nothing.

    Args:
        name: what was found.
        known: what would have been right.

    Example:
        >>> from happened.registry import nearest
        >>> nearest("storge", ["storage", "broker"])
        "; did you mean 'storage'?"
    """
    close = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


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
    _by_event: dict[type[Event], tuple[Reaction, ...]] = field(default_factory=dict)

    def add(self, kind: Kind, target: _C, **options: Any) -> _C:
        """Register a class or a function.

        Args:
            kind: what it is.
            target: the class or function; a class without the base of its kind is given it.
            **options: the other attributes of `Element`.

        Returns:
            The class, with its base, or the function.

        Raises:
            ConfigurationError: a category or version is not one, or the class cannot be used.

        Example:
            >>> from happened.registry import Registry
            >>> class Book:
            ...     title: str
            >>> Registry("shelf").add("aggregate", Book)(title="Emma").title
            'Emma'
        """
        base = _BASES[kind]
        if base is not None and isinstance(target, type) and not issubclass(target, base):
            target = cast("_C", _with_base(target, base))
        element = Element(kind=kind, target=target, **options)
        place = f"domain {self.name!r}: {element.title}"
        for category in (element.stream_category, element.source_stream):
            if category is not None:
                checked_category(category, place)
        if not isinstance(element.version, int) or element.version < 1:
            raise ConfigurationError(
                f"{place}: version={element.version!r}; versions are whole numbers from 1"
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
        _Resolution(self).run()
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
        kind = type(event)
        found = self._by_event.get(kind)
        if found is None:
            found = tuple(each for each in self.reactions if issubclass(kind, each.accepts))
            self._by_event[kind] = found
        if any(each.source_stream for each in found):
            return tuple(each for each in found if each.wants(event))
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
        words = re.findall(r"[A-Za-z0-9]+", self.name)
        return "".join(word[0].upper() + word[1:] for word in words)


class _Resolution:
    """One run over a registry: what it finds is put into the registry only if nothing is wrong."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.problems: list[str] = []
        self.classes: dict[str, list[type]] = {}
        self.aggregates: dict[type[Aggregate], Element] = {}
        self.messages: dict[str, type[Message]] = {}
        self.commands: dict[type[Command], list[Reaction]] = {}
        self.reactions: list[Reaction] = []
        self.repositories: dict[type[Aggregate], type] = {}

    def run(self) -> None:
        elements = self.registry.elements
        for element in elements:
            if isinstance(element.target, type):
                self.classes.setdefault(element.title, []).append(element.target)
        self._complete_models()
        self._each("aggregate", self._aggregate)
        for element in elements:
            if element.part_of is not None:
                self._part_of(element)
        self._each("entity", self._entity)
        self._each("event", self._message)
        self._each("command", self._message)
        self._each("command handler", self._command_handler)
        self._each("event handler", self._event_handler)
        self._each("repository", self._repository)
        self._commands_have_one_handler()
        if self.problems:
            raise ConfigurationError(
                f"domain {self.registry.name!r}: {problem}" for problem in self.problems
            )
        self._store()

    def _each(self, kind: Kind, check: Callable[[Element], None]) -> None:
        for element in self.registry.elements:
            if element.kind == kind:
                check(element)

    def _store(self) -> None:
        registry = self.registry
        for aggregate, element in self.aggregates.items():
            aggregate._category = element.stream_category or snake_case(aggregate.__name__)
            aggregate._registered_in = registry
        for element in registry.elements:
            if element.kind in ("event", "command"):
                element.target._rename(self._type_name(element), element.version)
                element.target._part_of = element.part_of
                element.target._registered_in = registry
        registry.aggregates = self.aggregates
        registry.messages = self.messages
        registry.commands = {kind: found[0] for kind, found in self.commands.items()}
        registry.reactions = self.reactions
        registry.repositories = self.repositories
        registry._by_event = {}

    def _complete_models(self) -> None:
        names = {name: found[0] for name, found in self.classes.items()}
        for element in self.registry.elements:
            model = element.target
            if _BASES[element.kind] is None or model.__pydantic_complete__:
                continue
            try:
                model.model_rebuild(_types_namespace=names)
            except (NameError, TypeError) as error:
                self.problems.append(f"{element.kind} {element.title}: {error}")

    def _resolved(self, reference: type | str, place: str) -> type | None:
        """The class that a reference means; a name that means none is a mistake."""
        if not isinstance(reference, str):
            return reference
        found = self.classes.get(reference, [])
        if len(found) == 1:
            return found[0]
        if found:
            self.problems.append(
                f"{place}: {reference!r} is the name of several classes; give the class"
            )
        else:
            self.problems.append(
                f"{place}: no class is named {reference!r}{nearest(reference, self.classes)}"
            )
        return None

    def _part_of(self, element: Element) -> None:
        place = f"{element.kind} {element.title}"
        found = self._resolved(cast("type | str", element.part_of), f"{place}: part_of")
        element.part_of = found
        if found is not None and found not in self.aggregates:
            self.problems.append(
                f"{place}: part_of={found.__name__} is not an aggregate of this domain; "
                f"register it with @domain.aggregate"
            )

    def _only_here(self, element: Element) -> None:
        other = element.target.__dict__.get("_registered_in")
        if other is not None and other is not self.registry:
            self.problems.append(
                f"{element.kind} {element.title} is registered in domain {other.name!r} already; "
                "a class belongs to one domain"
            )

    def _aggregate(self, element: Element) -> None:
        self._only_here(element)
        category = element.stream_category or snake_case(element.title)
        for other, known in self.aggregates.items():
            if (known.stream_category or snake_case(known.title)) == category:
                self.problems.append(
                    f"aggregates {other.__name__} and {element.title} share the stream category "
                    f"{category!r}; give one of them stream_category="
                )
        self.aggregates[element.target] = element

    def _entity(self, element: Element) -> None:
        if element.part_of is None:
            self.problems.append(
                f"entity {element.title} belongs to no aggregate; give it part_of="
            )

    def _type_name(self, element: Element) -> str:
        named = element.name or element.target._own_name
        return named or f"{self.registry.prefix}.{element.title}.v{element.version}"

    def _message(self, element: Element) -> None:
        self._only_here(element)
        name = self._type_name(element)
        if name in self.messages:
            self.problems.append(
                f"{element.kind}s {self.messages[name].__name__} and {element.title} have the same "
                f"name {name!r}; give one of them name= or version="
            )
        self.messages[name] = element.target
        if element.part_of is None and element.kind == "event":
            self.problems.append(f"event {element.title} belongs to no aggregate; give it part_of=")

    def _known(self, found: Handler, wanted: type[Message]) -> tuple[type[Message], ...]:
        """The message classes of a handler; those that are wrong are mistakes."""
        word = "command" if wanted is Command else "event"
        known = []
        for reference in found.accepts:
            message = self._resolved(reference, f"{word} handler {found.name}")
            if message is None:
                continue
            if not issubclass(message, wanted):
                other = "event" if wanted is Command else "command"
                self.problems.append(
                    f"{word} handler {found.name} handles {message.__name__}, which is no {word}; "
                    f"put it into a class under @domain.{other}_handler"
                )
            elif message is not wanted and message not in self.messages.values():
                self.problems.append(
                    f"{word} handler {found.name} handles {message.__name__}, which is not "
                    f"registered; put @domain.{word} on it"
                )
            else:
                known.append(message)
        return tuple(known)

    def _handlers(self, element: Element) -> list[Handler]:
        place = f"{element.kind} {element.title}"
        if not isinstance(element.target, type):
            found = [handler(element.target, element.messages)]
        else:
            found = list(handlers_in(element.target))
            if not found:
                self.problems.append(f"{place} handles nothing; mark its methods with @handle(...)")
            required = [
                name
                for name, parameter in inspect.signature(element.target).parameters.items()
                if parameter.default is parameter.empty
                and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            ]
            if required:
                self.problems.append(
                    f"{place} cannot be made without {', '.join(required)}; a new one is made "
                    "for each message, so give its __init__ no required parameters"
                )
        for each in found:
            if each.is_async:
                self.problems.append(
                    f"{element.kind} {each.name} is async; a domain calls plain functions and "
                    "methods (a Dispatcher awaits async ones)"
                )
        return found

    def _command_handler(self, element: Element) -> None:
        if element.part_of is None:
            self.problems.append(
                f"command handler {element.title} belongs to no aggregate; give it part_of="
            )
        for found in self._handlers(element):
            reaction = Reaction(
                handler=found,
                accepts=self._known(found, Command),
                part_of=cast("type[Aggregate] | None", element.part_of),
                retries=element.retries,
            )
            for command in cast("tuple[type[Command], ...]", reaction.accepts):
                self.commands.setdefault(command, []).append(reaction)

    def _commands_have_one_handler(self) -> None:
        for element in self.registry.elements:
            if element.kind != "command":
                continue
            found = self.commands.get(element.target, [])
            if not found:
                self.problems.append(
                    f"command {element.title} has no handler; handle it in a class under "
                    "@domain.command_handler"
                )
            elif len(found) > 1:
                names = " and ".join(reaction.handler.name for reaction in found)
                self.problems.append(
                    f"command {element.title} has {len(found)} handlers, {names}; a command has "
                    "exactly one"
                )
            elif element.part_of is None:
                element.part_of = found[0].part_of

    def _category_of(self, aggregate: Any) -> str:
        element = self.aggregates[aggregate]
        return element.stream_category or snake_case(element.title)

    def _event_handler(self, element: Element) -> None:
        part_of = cast("type[Aggregate] | None", element.part_of)
        is_function = not isinstance(element.target, type)
        category = element.stream_category
        if category is None and part_of in self.aggregates:
            category = self._category_of(part_of)
        if category is None and not is_function:
            self.problems.append(
                f"event handler {element.title} reads no stream; give it part_of= or stream_category="
            )
        for found in self._handlers(element):
            accepts = self._known(found, Event)
            self._readable(found, accepts, category)
            self.reactions.append(
                Reaction(
                    handler=found,
                    accepts=accepts,
                    part_of=part_of,
                    stream_category=category,
                    source_stream=element.source_stream,
                )
            )

    def _readable(
        self, found: Handler, accepts: tuple[type[Message], ...], category: str | None
    ) -> None:
        """Each event that a handler handles must be in the category that it reads."""
        if category is None:
            return
        parts = {element.target: element.part_of for element in self.registry.elements}
        for event in accepts:
            part_of = parts.get(event)
            if part_of not in self.aggregates:
                continue
            raised_in = self._category_of(part_of)
            if raised_in != category:
                self.problems.append(
                    f"event handler {found.name} reads the stream category {category!r}, but "
                    f"{event.__name__} is in {raised_in!r}; give it stream_category={raised_in!r}"
                )

    def _repository(self, element: Element) -> None:
        aggregate = cast("type[Aggregate] | None", element.part_of)
        if aggregate is None:
            self.problems.append(
                f"repository {element.title} belongs to no aggregate; give it part_of="
            )
        elif aggregate in self.repositories:
            self.problems.append(
                f"aggregate {aggregate.__name__} has two repositories, "
                f"{self.repositories[aggregate].__name__} and {element.title}; it has one"
            )
        else:
            self.repositories[aggregate] = element.target


def _with_base(target: type, base: type) -> type:
    """The same class with a base of ours, so that the decorator alone is enough."""
    body = {
        name: member
        for name, member in vars(target).items()
        if name not in ("__dict__", "__weakref__")
    }
    bases = tuple(each for each in target.__bases__ if each is not object)
    made = types.new_class(target.__name__, (*bases, base), exec_body=lambda ns: ns.update(body))
    for member in body.values():  # super() without arguments finds its class in a closure
        function = inspect.unwrap(getattr(member, "__func__", getattr(member, "fget", member)))
        for cell in getattr(function, "__closure__", None) or ():
            if cell.cell_contents is target:
                cell.cell_contents = made
    return made
