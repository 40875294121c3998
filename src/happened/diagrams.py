"""Layer 7. Diagrams in Mermaid's notation, drawn from a registry or from a recorded run."""

from collections.abc import Iterator, Sequence

from happened.domain import Domain
from happened.elements import nearest
from happened.errors import ConfigurationError
from happened.hooks import Step
from happened.mermaid import Direction, Flowchart, Shape, label
from happened.messages import Command, Event, Message
from happened.model import Aggregate
from happened.registry import Registry

__all__ = [
    "causation_diagram",
    "domain_diagram",
    "domain_diagrams",
    "senders",
    "sequence_diagram",
]


# ------------------------------------------------------------------------------- the domain


def domain_diagram(
    domain: Domain | Registry,
    aggregate: type[Aggregate] | str | None = None,
    *,
    direction: Direction = "TB",
) -> str:
    """Return a flowchart of a domain: commands, their handlers, aggregates, events, their handlers.

    An event handler leads on to the aggregate that it is part of, unless that is the one that
    raised the event.

    Args:
        domain: the domain, or its registry, after `init`.
        aggregate: an aggregate or its name, to draw only that one and its neighbours: the
            handlers of its events, and the events of others that its own handlers handle. By
            default all are drawn.
        direction: ``"TB"``, the default, grows from top to bottom, which fits a phone; ``"LR"``
            grows from left to right.

    Raises:
        ConfigurationError: `init` was not called, or the domain has no such aggregate.

    Example:
        >>> from happened import Aggregate, Domain, Event
        >>> from happened.diagrams import domain_diagram
        >>> shelf = Domain("shelf")
        >>> @shelf.aggregate
        ... class Book(Aggregate): ...
        >>> @shelf.event(part_of=Book)
        ... class BookAdded(Event): ...
        >>> @shelf.on(BookAdded)
        ... def print_slip(event: BookAdded) -> None: ...
        >>> shelf.init(traverse=False)
        >>> print(domain_diagram(shelf))
        flowchart TB
            a1[["Book"]]:::aggregate
            e1(["BookAdded"]):::event
            h1["print_slip"]:::handler
            a1 --> e1
            e1 --> h1
    """
    registry = _resolved(domain)
    return _flow(registry, _found(registry, aggregate)).text(direction)


def domain_diagrams(
    domain: Domain | Registry, *, limit: int = 20, direction: Direction = "TB"
) -> dict[str, str]:
    """Return as many flowcharts of a domain as it takes to keep them readable, by their titles.

    Args:
        domain: the domain, or its registry, after `init`.
        limit: the number of elements up to which there is one drawing, under the domain's name;
            with more, there is one for each aggregate, under its name. 20 by default.
        direction: as for `domain_diagram`.

    Raises:
        ConfigurationError: `init` was not called.

    Example:
        >>> from happened import Aggregate, Domain
        >>> from happened.diagrams import domain_diagrams
        >>> shelf = Domain("shelf")
        >>> @shelf.aggregate
        ... class Book(Aggregate): ...
        >>> @shelf.aggregate
        ... class Reader(Aggregate): ...
        >>> shelf.init(traverse=False)
        >>> list(domain_diagrams(shelf)), list(domain_diagrams(shelf, limit=1))
        (['shelf'], ['Book', 'Reader'])
    """
    registry = _resolved(domain)
    whole = _flow(registry, None)
    if len(whole) <= limit:
        return {registry.name: whole.text(direction)}
    return {
        name: _flow(registry, aggregate).text(direction)
        for name, aggregate in _names(registry).items()
    }


def _resolved(domain: Domain | Registry) -> Registry:
    registry = domain if isinstance(domain, Registry) else domain.registry
    if not registry.resolved:
        raise ConfigurationError(
            f"domain {registry.name!r} is not ready; call init() before it is drawn"
        )
    return registry


def _names(registry: Registry) -> dict[str, type[Aggregate]]:
    """The aggregates by their names; those that share one by their modules, too."""
    known = [aggregate.__name__ for aggregate in registry.aggregates]
    return {
        name if known.count(name) == 1 else f"{aggregate.__module__}.{name}": aggregate
        for name, aggregate in zip(known, registry.aggregates, strict=True)
    }


def _found(registry: Registry, wanted: type[Aggregate] | str | None) -> type[Aggregate] | None:
    names = _names(registry)
    for name, aggregate in names.items():
        if wanted in (name, aggregate):
            return aggregate
    if wanted is None:
        return None
    name = wanted if isinstance(wanted, str) else wanted.__name__
    raise ConfigurationError(
        f"domain {registry.name!r} has no aggregate {name!r}"
        f"{nearest(name, names) or '; it has ' + (', '.join(names) or 'none')}"
    )


def _flow(registry: Registry, focus: type[Aggregate] | None) -> Flowchart:
    """Draw what concerns one aggregate, or all."""
    flow = Flowchart()
    for command, reaction in registry.commands.items():
        if reaction.part_of is not None and focus in (None, reaction.part_of):
            flow.node("command", command, command.__name__)
            flow.node("handler", id(reaction), reaction.handler.name)
            flow.node("aggregate", reaction.part_of, reaction.part_of.__name__)
            flow.arrow(command, id(reaction))
            flow.arrow(id(reaction), reaction.part_of)
    for aggregate in registry.aggregates:
        if focus in (None, aggregate):
            flow.node("aggregate", aggregate, aggregate.__name__)
    for event, raised_by in _events(registry):
        reactions = [
            reaction
            for reaction in registry.reactions  # where chains begin shows in runs only
            if reaction.takes(event) and focus in (None, raised_by, reaction.part_of)
        ]
        if reactions or focus in (None, raised_by):
            flow.node("aggregate", raised_by, raised_by.__name__)
            flow.node("event", event, event.__name__)
            flow.arrow(raised_by, event)
        for reaction in reactions:
            flow.node("handler", id(reaction), reaction.handler.name)
            flow.arrow(event, id(reaction))
            if reaction.part_of is not None and reaction.part_of is not raised_by:
                flow.node("aggregate", reaction.part_of, reaction.part_of.__name__)
                flow.arrow(id(reaction), reaction.part_of)
    return flow


def _events(registry: Registry) -> Iterator[tuple[type[Event], type[Aggregate]]]:
    """Yield each event with the aggregate that raises it."""
    for element in registry.elements:
        if element.kind == "event":
            yield element.target, element.part_of  # type: ignore[misc]


# ------------------------------------------------------------------------------- recorded runs


def sequence_diagram(steps: Sequence[Step]) -> str:
    """Return a sequence diagram of what was recorded, as it truly ran.

    A solid arrow is a command, or an aggregate that is persisted; the note over the aggregate
    names the events that it raised. A dashed arrow is an event on its way to a handler. A cross
    at the end of an arrow is a handler that failed, with the class of the error.

    Args:
        steps: what was recorded, in order.

    Example:
        >>> from happened import Event
        >>> from happened.diagrams import sequence_diagram
        >>> from happened.hooks import Step
        >>> class BookLent(Event):
        ...     book_id: str
        >>> event = BookLent(book_id="b1")
        >>> print(sequence_diagram([
        ...     Step(kind="received", message=event),
        ...     Step(kind="handling", message=event, handler="Desk.print_slip"),
        ...     Step(kind="handled", message=event, handler="Desk.print_slip"),
        ... ]))
        sequenceDiagram
            actor p1 as caller
            participant p2 as Desk
            p1--)p2: BookLent
    """
    drawing = _Sequence(steps)
    lines = [*drawing.participants, *drawing.lines]
    return "\n    ".join(["sequenceDiagram", *lines])


def causation_diagram(steps: Sequence[Step]) -> str:
    """Return a flowchart of which message led to which: causation as arrows, correlation as boxes.

    An arrow leads from a message to each one that was made while it was handled, and bears the
    name of the handler that made it. The messages in one box share one correlation id.

    Args:
        steps: what was recorded, in order.

    Example:
        >>> from happened import Event
        >>> from happened.diagrams import causation_diagram
        >>> from happened.hooks import Step
        >>> class BookLent(Event):
        ...     book_id: str
        >>> event = BookLent(book_id="b1", correlation_id="request 17")
        >>> print(causation_diagram([Step(kind="received", message=event)]))
        flowchart TB
            subgraph b1["correlation id request 17"]
                direction TB
                e1(["BookLent"]):::event
            end
    """
    made: dict[str, tuple[Message, str]] = {}
    for step, sender in zip(steps, senders(steps), strict=True):
        if step.kind == "received" and step.message is not None:
            by = (sender and sender.handler) or ""
            made.setdefault(step.message._metadata.id, (step.message, by))
        for event in step.events:
            made.setdefault(event._metadata.id, (event, step.handler or ""))
    flow = Flowchart()
    for id, (message, _) in made.items():
        correlation = message._metadata.correlation_id
        first = made.get(correlation)
        flow.box(correlation, f"correlation id {f'of {_name(first[0])}' if first else correlation}")
        shape: Shape = "command" if isinstance(message, Command) else "event"
        flow.node(shape, id, _name(message), box=correlation)
    for id, (message, by) in made.items():
        cause = message._metadata.causation_id
        if cause in made:
            flow.arrow(cause, id, by)
    return flow.text("TB")


def senders(steps: Sequence[Step]) -> list[Step | None]:
    """Return for each step in which call of a handler its message was sent.

    Args:
        steps: what was recorded, in order.

    Returns:
        The ``"handling"`` step of that call for each ``"received"`` step whose message a handler
        sent: the call for the message that is its cause, or else the innermost one; ``None`` for
        messages from outside and for all other steps.

    Example:
        >>> from happened import Event
        >>> from happened.diagrams import senders
        >>> from happened.hooks import Step
        >>> senders([Step(kind="received", message=Event())])
        [None]
    """
    running: list[Step] = []
    found: list[Step | None] = []
    for step in steps:
        sender = None
        if step.kind == "received" and step.message is not None:
            cause = step.message._metadata.causation_id
            causes = [call for call in running if _id(call) == cause]
            sender = next(reversed(causes or running), None)
        elif step.kind == "handling":
            running.append(step)
        elif step.kind in ("handled", "failed"):
            running = [call for call in running if _call(call) != _call(step)]
        found.append(sender)
    return found


class _Sequence:
    """A sequence diagram: who takes part, and what went from whom to whom."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.participants: list[str] = []
        self.lines: list[str] = []
        self._ids: dict[tuple[str, str], str] = {}
        self._origins: dict[str | None, str] = {}  # who sent or raised each message
        self._repeated: set[tuple[str | None, str | None]] = set()
        for step, sender, following in zip(steps, senders(steps), _following(steps), strict=True):
            if step.kind == "received":
                self._received(step, sender, following)
            elif step.kind == "handling":
                self._handling(step)
            elif step.kind in ("persisted", "removed"):
                self._persisted(step)
            elif step.kind == "failed":
                self._failed(step, following)

    def _received(self, step: Step, sender: Step | None, following: Step | None) -> None:
        start = self._origins[_id(step)] = self._handler(sender)
        if following is None:
            self.lines.append(f"Note over {start}: {_shown(step.message)}, no handler")

    def _handling(self, step: Step) -> None:
        start = self._origins.get(_id(step)) or self._handler(None)
        here = self._handler(step)
        arrow = "->>" if isinstance(step.message, Command) else "--)"
        if _call(step) in self._repeated:
            self._repeated.remove(_call(step))
            self.lines.append(f"{here}->>{here}: {_shown(step.message)}, again")
        else:
            self.lines.append(f"{start}{arrow}{here}: {_shown(step.message)}")

    def _persisted(self, step: Step) -> None:
        name = step.aggregate.__name__ if step.aggregate else "aggregate"
        start, here = self._handler(step), self._participant("aggregate", name)
        self.lines.append(f"{start}->>{here}: {'remove' if step.kind == 'removed' else 'persist'}")
        if step.events:
            self.lines.append(f"Note over {here}: {'<br/>'.join(map(_shown, step.events))}")
        for event in step.events:
            self._origins[event._metadata.id] = here

    def _failed(self, step: Step, following: Step | None) -> None:
        """The one who sent a command gets the failure, unless the handler is called again."""
        here = end = self._handler(step)
        if (
            following is not None
            and following.kind == "handling"
            and _call(following) == _call(step)
        ):
            self._repeated.add(_call(step))
        elif isinstance(step.message, Command):
            end = self._origins.get(_id(step)) or self._handler(None)
        self.lines.append(f"{here}-x{end}: {label(type(step.error).__name__)}")

    def _handler(self, step: Step | None) -> str:
        """The handler of a step, its class if it is a method; or the caller, outside of all."""
        if step is None or step.handler is None:
            return self._participant("actor", "caller")
        owner, _, _ = step.handler.rpartition(".")
        return self._participant("handler", owner or step.handler)

    def _participant(self, kind: str, name: str) -> str:
        key = kind, name
        if key not in self._ids:
            id = self._ids[key] = f"p{len(self._ids) + 1}"
            word = "actor" if kind == "actor" else "participant"
            self.participants.append(f"{word} {id} as {label(name)}")
        return self._ids[key]


def _following(steps: Sequence[Step]) -> list[Step | None]:
    """For each step the next one of the same message."""
    found: list[Step | None] = []
    later: dict[str | None, Step] = {}
    for step in reversed(steps):
        found.append(later.get(_id(step)))
        later[_id(step)] = step
    return found[::-1]


def _name(message: Message) -> str:
    return type(message).__name__


def _shown(message: Message | None) -> str:
    return label(type(message).__name__)


def _id(step: Step) -> str | None:
    return None if step.message is None else step.message._metadata.id


def _call(step: Step) -> tuple[str | None, str | None]:
    """What tells one call of a handler from those that run at the same time."""
    return step.handler, _id(step)
