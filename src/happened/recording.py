"""Layer 7. Recordings: what a domain did while a block ran, as data and as a drawing."""

import inspect
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import PurePath
from types import CodeType
from typing import Any

from pydantic_core import to_jsonable_python

from happened.diagrams import causation_diagram, senders, sequence_diagram
from happened.domain import Domain
from happened.handlers import method_named
from happened.hooks import Step
from happened.messages import Command, Event, Message
from happened.registry import Registry

__all__ = ["Recording", "record"]


class Recording:
    """What happened in a block under `record`, step by step.

    Attributes:
        steps: every step, in the order in which it happened.

    Args:
        registry: tells where the handlers are written; none by default.

    Example:
        >>> from happened.recording import Recording
        >>> Recording().steps
        []
    """

    def __init__(self, registry: Registry | None = None) -> None:
        self.steps: list[Step] = []
        self._registry = registry

    @property
    def events(self) -> list[Event]:
        """The events that were persisted, in the order in which that happened."""
        return [event for step in self.steps for event in step.events]

    def diagram(self) -> str:
        """Return a sequence diagram of the run in Mermaid's notation.

        Example:
            >>> from happened.recording import Recording
            >>> print(Recording().diagram())
            sequenceDiagram
        """
        return sequence_diagram(self.steps)

    def causation_diagram(self) -> str:
        """Return a flowchart of which message led to which, in Mermaid's notation.

        Example:
            >>> from happened.recording import Recording
            >>> print(Recording().causation_diagram())
            flowchart TB
        """
        return causation_diagram(self.steps)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the steps as plain data that JSON can hold, in order.

        Returns:
            For each step: ``step``, its number from 0; ``kind``, as of a `Step`; ``message``;
            ``sent_by``, the number of the ``"handling"`` step in which a message that is received
            was sent, ``None`` from outside; ``handler``; ``aggregate``; ``stream``; ``events``;
            ``error``. A message has ``kind``, ``name``, ``data`` and its metadata; a handler
            ``name``, ``file``, and its first and last ``line`` there, from 1, where they are
            known; an error ``name`` and ``text``.

        Example:
            >>> from happened import Event
            >>> from happened.hooks import Step
            >>> from happened.recording import Recording
            >>> class BookLent(Event):
            ...     book_id: str
            >>> recording = Recording()
            >>> recording.steps.append(Step(kind="received", message=BookLent(book_id="b1")))
            >>> [step] = recording.to_dicts()
            >>> step["kind"], step["message"]["name"], step["message"]["data"]
            ('received', 'BookLent', {'book_id': 'b1'})
        """
        numbers = {id(step): number for number, step in enumerate(self.steps)}
        return [
            {
                "step": number,
                "kind": step.kind,
                "message": None if step.message is None else _message(step.message),
                "sent_by": numbers.get(id(sender)),
                "handler": None if step.handler is None else self._handler(step),
                "aggregate": None if step.aggregate is None else step.aggregate.__name__,
                "stream": step.stream,
                "events": [_message(event) for event in step.events],
                "error": None if step.error is None else _error(step.error),
            }
            for number, (step, sender) in enumerate(
                zip(self.steps, senders(self.steps), strict=True)
            )
        ]

    def _handler(self, step: Step) -> dict[str, Any]:
        code = _code_of(self._registry, str(step.handler))
        return {
            "name": step.handler,
            "file": None if code is None else PurePath(code.co_filename).name,
            "line": None if code is None else code.co_firstlineno,
            "last_line": None if code is None else _last_line(code),
        }


@contextmanager
def record(domain: Domain) -> Generator[Recording, None, None]:
    """Record what a domain does while a block runs.

    Recordings may be nested, and several may run at once; what a handler raises passes through,
    and what was recorded until then is kept.

    Args:
        domain: the domain to observe.

    Yields:
        The recording, which grows while the block runs.

    Example:
        >>> from happened import Aggregate, Domain, Event, record
        >>> shelf = Domain("shelf")
        >>> @shelf.aggregate
        ... class Book(Aggregate): ...
        >>> @shelf.event(part_of=Book)
        ... class BookAdded(Event):
        ...     book_id: str
        >>> shelf.init(traverse=False)
        >>> with record(shelf) as recording:
        ...     book = Book(id="b1")
        ...     book.raise_(BookAdded(book_id="b1"))
        ...     shelf.repository_for(Book).add(book)
        >>> recording.events
        [BookAdded(book_id='b1')]
    """
    recording = Recording(domain.registry)
    observer = recording.steps.append
    domain.observers.append(observer)
    try:
        yield recording
    finally:
        domain.observers.remove(observer)


def _message(message: Message) -> dict[str, Any]:
    return {
        "kind": "command" if isinstance(message, Command) else "event",
        "name": type(message).__name__,
        "data": message.to_dict(),
        **to_jsonable_python(message._metadata.to_dict(), serialize_unknown=True),
    }


def _error(error: BaseException) -> dict[str, str]:
    return {"name": type(error).__name__, "text": str(error)}


def _code_of(registry: Registry | None, name: str) -> CodeType | None:
    """The code of a handler that is known by its name."""
    owner, _, method = name.rpartition(".")
    for element in registry.elements if registry else ():
        target, found = element.target, None
        if element.kind not in ("command handler", "event handler"):
            continue
        if isinstance(target, type):
            if element.subscription == owner:
                found = method_named(target, method)
        elif name == element.subscription:
            found = target if inspect.isroutine(target) else type(target).__call__
        code = getattr(inspect.unwrap(found), "__code__", None) if found else None
        if isinstance(code, CodeType):
            return code
    return None


def _last_line(code: CodeType) -> int:
    inner = [_last_line(part) for part in code.co_consts if isinstance(part, CodeType)]
    return max([line for _, _, line in code.co_lines() if line is not None] + inner)
