"""Layer 1. Hooks: what observers of a domain are told while it runs."""

from dataclasses import dataclass
from typing import Literal, Protocol

from happened.messages import Event, Message

__all__ = ["Observer", "Step", "StepKind"]

StepKind = Literal["received", "handling", "persisted", "removed", "handled", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened while a message was processed.

    Attributes:
        kind: ``"received"``: a command came in, or an event was given to ``dispatch``;
            ``"handling"``: a handler is about to be called;
            ``"persisted"``: an aggregate was committed with the events that it raised;
            ``"removed"``: an aggregate was removed, and the events that it raised committed;
            ``"handled"``: the handler is done and its unit of work committed;
            ``"failed"``: the handler raised, or its commit was refused; nothing of it is stored.
        message: the command or event that is processed; ``None`` for an aggregate that was
            persisted outside of any handler.
        handler: the name of the handler, ``"Stock.reduce"``; ``None`` for ``"received"``.
        stream: the stream of the aggregate, for ``"persisted"`` and ``"removed"``.
        aggregate: the class of the aggregate, likewise.
        events: the events that it raised, in order, likewise.
        error: what was raised, for ``"failed"``.

    Example:
        >>> from happened import Event
        >>> from happened.hooks import Step
        >>> class BookLent(Event):
        ...     book_id: str
        >>> Step(kind="received", message=BookLent(book_id="b1")).handler is None
        True
    """

    kind: StepKind
    message: Message | None
    handler: str | None = None
    stream: str | None = None
    aggregate: type | None = None
    events: tuple[Event, ...] = ()
    error: BaseException | None = None


class Observer(Protocol):
    """Whatever can be called with a step. It must not raise, and should return soon.

    Example:
        >>> from happened.hooks import Observer
        >>> steps = []
        >>> observer: Observer = steps.append
    """

    def __call__(self, step: Step, /) -> None:
        """Take note of a step."""
