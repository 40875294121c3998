"""Layer 2. The composition of a domain: names resolved, and every mistake in it found."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast, get_args, get_origin

from pydantic import SecretBytes, SecretStr
from pydantic.errors import PydanticUserError

from happened.associations import holds_entities
from happened.elements import BASES, Element, Kind, Reaction, nearest
from happened.errors import ConfigurationError
from happened.handlers import Handler, handler, handlers_in, signature_of
from happened.messages import Command, Event, Message
from happened.model import Aggregate, Projection
from happened.streams import snake_case

__all__ = ["Composition"]


class Composition:
    """How the elements of a domain belong together. Nothing is changed by finding it out.

    Args:
        domain: the name of the domain, for the errors.
        prefix: what the names of its messages begin with.
        elements: what was registered, in this order.
        owner: what classes that are in use already are registered in.

    Attributes:
        problems: every mistake, a sentence each.
        aggregates: the aggregates, with their elements.
        parts: the aggregate that each element belongs to, by the identity of the element.
        messages: the messages, by their names.
        commands: the handlers of each command; one each if there is no mistake.
        reactions: the handlers of events, in the order of registration.
        repositories: the users' repositories.

    Example:
        >>> from happened import Event
        >>> from happened.composition import Composition
        >>> from happened.elements import Element
        >>> class BookLent(Event): ...
        >>> Composition("shelf", "Shelf", [Element(kind="event", target=BookLent)], None).problems
        ['event BookLent belongs to no aggregate; give it part_of=']
    """

    def __init__(self, domain: str, prefix: str, elements: list[Element], owner: object) -> None:
        self.problems: list[str] = []
        self.aggregates: dict[type[Aggregate], Element] = {}
        self.parts: dict[int, type[Aggregate] | None] = {}
        self.messages: dict[str, type[Message]] = {}
        self.commands: dict[type[Command], list[Reaction]] = {}
        self.reactions: list[Reaction] = []
        self.repositories: dict[type[Aggregate], type] = {}
        self._domain = domain
        self._prefix = prefix
        self._elements = elements
        self._owner = owner
        self._classes: dict[str, list[type]] = {}
        self._seen: set[type] = set()
        self._subscribers: dict[str, Element] = {}
        self._find_classes()
        self._each("aggregate", self._aggregate)
        self._each("projection", self._aggregate)
        for element in elements:
            self._part_of(element)
            self._can_be_read_back(element)
        self._each("entity", self._needs_aggregate)
        self._each("event", self._message)
        self._each("command", self._message)
        self._each("command handler", self._command_handler)
        self._each("event handler", self._event_handler)
        self._each("repository", self._repository)
        self._each("command", self._has_one_handler)

    def check(self) -> None:
        """Raise every mistake.

        Raises:
            ConfigurationError: there is at least one.
        """
        if self.problems:
            raise ConfigurationError(
                f"domain {self._domain!r}: {problem}" for problem in self.problems
            )

    def part_of(self, element: Element) -> type[Aggregate] | None:
        """Return the aggregate that an element belongs to.

        Args:
            element: one of the domain.
        """
        return self.parts[id(element)]

    def category_of(self, aggregate: type[Aggregate]) -> str:
        """Return the stream category of an aggregate.

        Args:
            aggregate: one of the domain.
        """
        element = self.aggregates[aggregate]
        return element.stream_category or snake_case(element.title)

    def type_name(self, element: Element) -> str:
        """Return the stable name of a message.

        Args:
            element: an event or a command.
        """
        named = element.name or element.target._own_name
        return named or f"{self._prefix}.{element.title}.v{element.version}"

    def _each(self, kind: Kind, look: Callable[[Element], None]) -> None:
        for element in self._elements:
            if element.kind == kind:
                look(element)

    def _problem(self, text: str) -> None:
        self.problems.append(text)

    # ---------------------------------------------------------------------------- classes

    def _find_classes(self) -> None:
        """Note the classes by their names, and complete those that name one another."""
        for element in self._elements:
            if isinstance(element.target, type):
                named = self._classes.setdefault(element.title, [])
                if element.target not in named:
                    named.append(element.target)
        names = {name: found[0] for name, found in self._classes.items()}
        for element in self._elements:
            if element.kind in BASES and not element.target.__pydantic_complete__:
                try:
                    element.target.model_rebuild(_types_namespace=names)
                except ConfigurationError as error:
                    self.problems += error.problems
                except (NameError, TypeError, PydanticUserError) as error:
                    self._problem(f"{element}: {str(error).splitlines()[0]}")

    def _resolved(self, reference: type | str, place: str) -> type | None:
        """The class that a reference means; a name that means none is a mistake."""
        if not isinstance(reference, str):
            return reference
        found = self._classes.get(reference, [])
        if len(found) == 1:
            return found[0]
        if found:
            self._problem(f"{place}: {reference!r} is the name of several classes; give the class")
        else:
            near = nearest(reference, self._classes)
            self._problem(f"{place}: no class is named {reference!r}{near}")
        return None

    def _part_of(self, element: Element) -> None:
        reference = element.part_of
        found: Any = None
        if reference is not None:
            found = self._resolved(reference, f"{element}: part_of")
        if found is not None and not (isinstance(found, type) and found in self.aggregates):
            name = getattr(found, "__name__", repr(found))
            self._problem(
                f"{element}: part_of={name} is not an aggregate of this domain; register it with "
                "@domain.aggregate"
            )
        elif (
            found is not None
            and issubclass(found, Projection)
            and element.kind
            in (
                "command",
                "command handler",
                "entity",
                "event",
            )
        ):
            self._problem(
                f"{element}: part_of={found.__name__} is a projection, which changes only in "
                "event handlers; give it an aggregate"
            )
        self.parts[id(element)] = found

    def _can_be_read_back(self, element: Element) -> None:
        """What a field holds must be the same after it was stored."""
        for name, field in getattr(element.target, "__pydantic_fields__", {}).items():
            if field.exclude:
                self._problem(f"{element}.{name} is declared with exclude=, so it is not stored")
            if _mentions(field.annotation, SecretStr | SecretBytes):
                self._problem(
                    f"{element}.{name} is a secret, which is stored as asterisks; store a key to "
                    "the place where it is kept, or a hash"
                )
            if element.kind in ("event", "command") and holds_entities(field.annotation):
                self._problem(
                    f"{element}.{name} holds an entity, which can change; a message holds values"
                )

    def _needs_aggregate(self, element: Element) -> None:
        if element.part_of is None:
            self._problem(f"{element} belongs to no aggregate; give it part_of=")

    def _is_here_alone(self, element: Element) -> bool:
        """Whether a class is registered once, and in no other domain."""
        other = element.target.__dict__.get("_registered_in")
        if other is not None and other is not self._owner:
            self._problem(
                f"{element} is registered in domain {other.name!r} already; a class belongs to one "
                "domain"
            )
        if element.target in self._seen:
            self._problem(f"{element} is registered twice; once is enough")
            return False
        self._seen.add(element.target)
        return True

    def _aggregate(self, element: Element) -> None:
        if not self._is_here_alone(element):
            return
        others = [*self.aggregates]
        self.aggregates[element.target] = element
        category = self.category_of(element.target)
        for other in others:
            if self.category_of(other) == category:
                self._problem(
                    f"aggregates {other.__name__} and {element.title} share the stream category "
                    f"{category!r}; give one of them stream_category="
                )

    def _message(self, element: Element) -> None:
        if not self._is_here_alone(element):
            return
        name = self.type_name(element)
        if name in self.messages:
            self._problem(
                f"{self.messages[name].__name__} and {element.title} have the same name {name!r}; "
                "give one of them name= or version="
            )
        self.messages[name] = element.target
        if element.kind == "event":
            self._needs_aggregate(element)

    # --------------------------------------------------------------------------- handlers

    def _known(self, found: Handler, wanted: type[Message]) -> tuple[type[Message], ...]:
        """The message classes of a handler; those that are wrong are mistakes."""
        word, other = ("command", "event") if wanted is Command else ("event", "command")
        known = []
        for reference in found.accepts:
            message = self._resolved(reference, f"{word} handler {found.name}")
            if message is None:
                continue
            if not issubclass(message, wanted):
                self._problem(
                    f"{word} handler {found.name} handles {message.__name__}, which is no {word}; "
                    f"put it into a class under @domain.{other}_handler"
                )
            elif message is not Event and message not in self._seen:
                self._problem(
                    f"{word} handler {found.name} handles {message.__name__}, which is not "
                    f"registered; put @domain.{word} on it"
                )
            else:
                known.append(message)
        return tuple(known)

    def _handlers(self, element: Element) -> list[Handler]:
        if not isinstance(element.target, type):
            found = [replace(handler(element.target, element.messages), name=element.title)]
        else:
            found = list(handlers_in(element.target))
            if not found:
                self._problem(f"{element} handles nothing; mark its methods with @handle(...)")
            required = _required_arguments(element.target)
            if required:
                self._problem(
                    f"{element} cannot be made without {', '.join(required)}; a new one is made "
                    "for each message, so give its __init__ no required parameters"
                )
        if element.name is not None:
            found = [replace(each, name=_renamed(each, element.name)) for each in found]
        for each in found:
            if each.mismatch:
                self._problem(
                    f"{element.kind} {each.name} is called with the message alone, but "
                    f"{each.mismatch}"
                )
            if each.is_generator:
                self._problem(
                    f"{element.kind} {each.name} yields, so a call would run nothing of it; do the "
                    "work and return"
                )
        return found

    def _command_handler(self, element: Element) -> None:
        self._needs_aggregate(element)
        names: set[str] = set()
        for found in self._handlers(element):
            if found.name in names:
                self._problem(
                    f"command handler {found.name} is the name of two methods, and a name "
                    "identifies a handler; give one of them another name"
                )
            names.add(found.name)
            reaction = Reaction(
                handler=found,
                accepts=self._known(found, Command),
                part_of=self.part_of(element),
                **_options(element),
            )
            self._subscribes(element, reaction)
            for command in cast("tuple[type[Command], ...]", reaction.accepts):
                self.commands.setdefault(command, []).append(reaction)

    def _has_one_handler(self, element: Element) -> None:
        found = self.commands.get(element.target, [])
        if not found:
            self._problem(
                f"{element} has no handler; handle it in a class under @domain.command_handler"
            )
        elif len(found) > 1:
            names = " and ".join(reaction.handler.name for reaction in found)
            self._problem(
                f"{element} has {len(found)} handlers, {names}; a command has exactly one"
            )
        elif element.part_of is None:
            self.parts[id(element)] = found[0].part_of

    def _event_handler(self, element: Element) -> None:
        part_of = self.part_of(element)
        category = element.stream_category
        if (
            category is None
            and part_of is not None
            and part_of in self.aggregates
            and not issubclass(part_of, Projection)
        ):
            category = self.category_of(part_of)
        if isinstance(element.target, type) and element.stream_category is element.part_of is None:
            self._problem(f"{element} reads no stream; give it part_of= or stream_category=")
        for found in self._handlers(element):
            if found.name in {reaction.handler.name for reaction in self.reactions}:
                self._problem(
                    f"event handler {found.name} is registered twice; was its module imported "
                    "under two names? A name identifies a handler, so give another one another name"
                )
            accepts = self._known(found, Event)
            if category is not None:
                self._reads(found, accepts, category)
            reaction = Reaction(
                handler=found,
                accepts=accepts,
                part_of=part_of,
                stream_category=category,
                source_stream=element.source_stream,
                **_options(element),
            )
            self._subscribes(element, reaction)
            self.reactions.append(reaction)

    def _subscribes(self, element: Element, reaction: Reaction) -> None:
        """The name of a class or function is that of its subscription, so no two share one."""
        other = self._subscribers.setdefault(reaction.subscription, element)
        if other is not element and str(other) == str(element):
            return  # told as a handler that is registered twice
        if other is not element:
            self._problem(
                f"{other} and {element} share the name {reaction.subscription!r}, and a name "
                "identifies a handler; give one of them another name"
            )

    def _reads(self, found: Handler, accepts: tuple[type[Message], ...], category: str) -> None:
        """Each event that a handler handles must be in the category that it reads."""
        raised_by = {element.target: self.part_of(element) for element in self._elements}
        for event in accepts:
            aggregate = raised_by.get(event)
            if aggregate is None or aggregate not in self.aggregates:
                continue
            raised_in = self.category_of(aggregate)
            if raised_in != category:
                self._problem(
                    f"event handler {found.name} reads the stream category {category!r}, but "
                    f"{event.__name__} is in {raised_in!r}; give it stream_category={raised_in!r}"
                )

    def _repository(self, element: Element) -> None:
        self._needs_aggregate(element)
        aggregate = self.part_of(element)
        if aggregate is None:
            return
        if aggregate in self.repositories:
            self._problem(
                f"aggregate {aggregate.__name__} has two repositories, "
                f"{self.repositories[aggregate].__name__} and {element.title}; it has one"
            )
        self.repositories[aggregate] = element.target


def _options(element: Element) -> dict[str, Any]:
    names = ("retries", "backoff", "start_from", "on_dead_letter")
    return {name: getattr(element, name) for name in names}


def _renamed(found: Handler, name: str) -> str:
    """The name of a handler under the given name of its class or function."""
    _, dot, method = found.name.partition(".")
    return f"{name}{dot}{method}"


def _mentions(annotation: Any, kinds: Any) -> bool:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return issubclass(annotation, kinds)
    return any(_mentions(each, kinds) for each in get_args(annotation))


def _required_arguments(kind: type) -> list[str]:
    return [
        name
        for name, parameter in signature_of(kind).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
