"""Layer 3. Repositories: where aggregates of one class are added and found."""

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Generic, TypeVar

from happened.errors import ConfigurationError, NotFoundError
from happened.model import Aggregate
from happened.query import Criteria, Page, Query
from happened.storage import Storage
from happened.unit_of_work import UnitOfWork, current_unit_of_work

__all__ = ["Repository"]

_A = TypeVar("_A", bound=Aggregate)


class Repository(Generic[_A]):
    """Where the aggregates of one class are added and found.

    Inside a handler, all that it does belongs to the handler's unit of work. Elsewhere, each
    call is a unit of work of its own: an ``add`` has committed when it returns, and the events
    have been dispatched.

    Args:
        aggregate: the class of the aggregates.
        storage: where they are.
        begin: makes a unit of work where there is none.

    Example:
        >>> from happened import Aggregate, Domain
        >>> shelf = Domain("shelf")
        >>> @shelf.aggregate
        ... class Book(Aggregate):
        ...     title: str
        >>> shelf.init(traverse=False)
        >>> books = shelf.repository_for(Book)
        >>> books.add(Book(id="b1", title="Emma"))
        >>> books.get("b1").title, "b1" in books, books["b1"].title
        ('Emma', True, 'Emma')
    """

    def __init__(
        self,
        aggregate: type[_A],
        storage: Storage,
        begin: Callable[[], AbstractContextManager[UnitOfWork]],
    ) -> None:
        self._aggregate = aggregate
        self._storage = storage
        self._begin = begin

    def add(self, aggregate: _A) -> None:
        """Persist an aggregate and the events that it raised.

        Args:
            aggregate: a new one, or one that was got and changed.

        Raises:
            ConfigurationError: it is not of this repository's class.
            ConcurrencyError: another writer changed it since it was got. Inside a handler, this
                is raised at the end of the unit of work.
            ValidationError: it holds what does not fit, or a value that must be unique is stored
                already; likewise.

        Example:
            >>> from happened import Aggregate, Domain
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate):
            ...     title: str
            >>> shelf.init(traverse=False)
            >>> shelf.repository_for(Book).add(Book(title="Emma"))
        """
        if type(aggregate) is not self._aggregate:
            raise self._refused(aggregate)
        current = self._current()
        if current is not None:
            current.add(aggregate)
            return
        with self._begin() as unit:
            unit.add(aggregate)

    def get(self, id: object) -> _A:
        """Return the aggregate with this identity.

        Args:
            id: its identity; what is not text is turned into text.

        Returns:
            A new object with the stored state; inside a unit of work, always the same one.

        Raises:
            NotFoundError: there is none.
        """
        found = self._get(id)
        if found is None:
            raise NotFoundError(self._aggregate, {self._aggregate._identity_field: str(id)})
        return found

    def find_by(self, **values: Any) -> _A:
        """Return the aggregate that has these values; of several, the one that was stored first.

        Args:
            **values: conditions as `Query.filter` takes them.

        Returns:
            The aggregate, as `get` returns it.

        Raises:
            NotFoundError: there is none.
            ValidationError: there is no such field.

        Example:
            >>> from happened import Aggregate, Domain
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate):
            ...     title: str
            >>> shelf.init(traverse=False)
            >>> books = shelf.repository_for(Book)
            >>> books.add(Book(id="b1", title="Emma"))
            >>> books.find_by(title="Emma").id
            'b1'
        """
        found = self.query.filter(**values).first()
        if found is None:
            raise NotFoundError(self._aggregate, values)
        return found

    def remove(self, aggregate: _A) -> None:
        """Remove an aggregate. The events that it raised are persisted, and its stream stays.

        Args:
            aggregate: one that is stored.

        Raises:
            ConfigurationError: it is not of this repository's class.
            ConcurrencyError: another writer changed or removed it since it was got. Inside a
                handler, this is raised at the end of the unit of work.

        Example:
            >>> from happened import Aggregate, Domain
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate): ...
            >>> shelf.init(traverse=False)
            >>> books = shelf.repository_for(Book)
            >>> books.add(Book(id="b1"))
            >>> books.remove(books.get("b1"))
            >>> "b1" in books
            False
        """
        if type(aggregate) is not self._aggregate:
            raise self._refused(aggregate)
        current = self._current()
        if current is not None:
            current.remove(aggregate)
            return
        with self._begin() as unit:
            unit.remove(aggregate)

    @property
    def query(self) -> Query[_A]:
        """A query for all aggregates of the class, to be narrowed down."""
        return Query(self._aggregate, self._run)

    def __iter__(self) -> Iterator[_A]:
        return iter(self.query)

    def __contains__(self, id: object) -> bool:
        return self._get(id) is not None

    def __getitem__(self, id: object) -> _A:
        return self.get(id)

    def _get(self, id: object) -> _A | None:
        id = id if type(id) is str else str(id)
        current = self._current()
        if current is not None:
            return current.get(self._aggregate, id)
        with self._reading() as unit:
            return unit.get(self._aggregate, id)

    def _run(self, criteria: Criteria) -> Page[_A]:
        current = self._current()
        if current is not None:
            return current.find(self._aggregate, criteria)
        with self._reading() as unit:
            return unit.find(self._aggregate, criteria)

    def _current(self) -> UnitOfWork | None:
        """The unit of work that is open here, unless it is another storage's."""
        unit = current_unit_of_work.get()
        if unit is None or unit.finished or unit.storage is not self._storage:
            return None
        return unit

    @contextmanager
    def _reading(self) -> Generator[UnitOfWork]:
        """A unit of work of its own for one call, which leaves no transaction open."""
        unit = UnitOfWork(self._storage)
        try:
            yield unit
        finally:
            unit.rollback()

    def _refused(self, aggregate: object) -> ConfigurationError:
        return ConfigurationError(
            f"this repository holds {self._aggregate.__name__}, found {aggregate!r}; "
            f"use repository_for({type(aggregate).__name__})"
        )
