"""Layer 7. Recordings: what a domain did while a block ran, as data and as a drawing."""

from collections.abc import Iterator
from contextlib import contextmanager

from happened.diagrams import sequence_diagram
from happened.domain import Domain
from happened.hooks import Step
from happened.messages import Event

__all__ = ["Recording", "record"]


class Recording:
    """What happened in a block under `record`, step by step.

    Attributes:
        steps: every step, in the order in which it happened.

    Example:
        >>> from happened.recording import Recording
        >>> Recording().steps
        []
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []

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


@contextmanager
def record(domain: Domain) -> Iterator[Recording]:
    """Record what a domain does while a block runs.

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
    recording = Recording()
    observer = recording.steps.append
    domain.observers.append(observer)
    try:
        yield recording
    finally:
        domain.observers.remove(observer)
