"""Layer 2. Associations: the entities that an entity has, and who owns them."""

from collections.abc import Iterator, MutableSequence, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from happened.containers import FieldList
from happened.errors import ConfigurationError, ValidationError

__all__ = [
    "EntityList",
    "Exchange",
    "check_association",
    "check_owned",
    "entities_in",
    "holds_entities",
]


class EntityList(FieldList):
    """The entities that an aggregate has: a list whose changes are validated.

    A change that does not fit the field or breaks an invariant raises `ValidationError` and
    leaves the list as it was. Each entity in it has this aggregate as its one owner.

    Example:
        >>> from happened import Aggregate, Entity
        >>> class Line(Entity):
        ...     book_id: str
        >>> class Order(Aggregate):
        ...     lines: list[Line] = []
        >>> order = Order()
        >>> order.lines.append(Line(book_id="b1"))
        >>> [line.book_id for line in order.lines]
        ['b1']
    """

    __slots__ = ()


class Exchange:
    """The exchange of the entities in one field for others, which can be undone.

    Args:
        owner: the entity whose field is about to change.
        field: the name of the field.

    Example:
        >>> from happened import Aggregate, Entity
        >>> from happened.associations import Exchange
        >>> class Blurb(Entity):
        ...     body: str
        >>> class Book(Aggregate):
        ...     blurb: Blurb
        >>> Exchange(Book(blurb=Blurb(id="b1", body="Read it")), "blurb").entities
        [Blurb(id='b1', body='Read it')]
    """

    def __init__(self, owner: Any, field: str) -> None:
        self.owner = owner
        self.field = field
        self.value = owner.__dict__[field]
        self.entities = list(entities_in(self.value))
        self._owners: list[tuple[Any, Any]] = []

    def make(self) -> None:
        """Own the entities that the field has now, and let go of those that it had.

        Raises:
            ValidationError: the owner would be part of itself.
        """
        values = self.owner.__dict__
        new = list(entities_in(values[self.field]))
        self._refuse_a_circle(new)
        self._owners = [(entity, entity._owner) for entity in (*self.entities, *new)]
        for entity in self.entities:
            if entity._owner is self.owner:
                entity._standing.owner = None
        if isinstance(self.value, EntityList) and isinstance(values[self.field], list):
            self.value._replace(new)
            values[self.field] = self.value
        for name in self.owner._associations:
            self.owner._own(name)

    def undo(self) -> None:
        """Put the entities back, whether the exchange was made or not."""
        if isinstance(self.value, EntityList):
            self.value._replace(self.entities)
        for entity, owner in self._owners:
            entity._standing.owner = owner

    def _refuse_a_circle(self, new: list[Any]) -> None:
        above = self.owner
        while above is not None:
            if any(entity is above for entity in new):
                messages = {self.field: ["an entity cannot be part of itself"]}
                raise ValidationError(messages, type(self.owner).__name__)
            above = above._owner


def check_owned(owner: Any, field: str, value: Any) -> None:
    """Refuse entities that another one owns, and two with one identity.

    Args:
        owner: the entity that is to own them.
        field: the name of its field.
        value: what the field holds.

    Raises:
        ValidationError: for one of these reasons.

    Example:
        >>> from happened.associations import check_owned
        >>> check_owned(None, "lines", [])
    """
    seen: set[str] = set()
    for entity in entities_in(value):
        title, text = type(entity).__name__, ""
        if entity._owner is not None and entity._owner is not owner:
            holder = f"{type(entity._owner).__name__} {entity._owner.identity!r}"
            text = f"{title} {entity.identity!r} is part of {holder}; take it out there first"
        elif entity.identity in seen:
            text = f"{title} {entity.identity!r} is in it twice; each has an identity of its own"
        if text:
            raise ValidationError({field: [text]}, type(owner).__name__)
        seen.add(entity.identity)


def entities_in(value: Any) -> Iterator[Any]:
    """Yield the entities in an association, which is a list, one entity, or ``None``.

    Args:
        value: what the field holds.

    Example:
        >>> from happened.associations import entities_in
        >>> list(entities_in(None))
        []
    """
    if isinstance(value, list):
        yield from value
    elif value is not None:
        yield value


def holds_entities(annotation: Any, *, aggregates: bool = False) -> bool:
    """Return whether values of this type are entities, or have some in them.

    Args:
        annotation: a type, as it stands in a class body.
        aggregates: whether only aggregates count.

    Example:
        >>> from happened import Entity
        >>> from happened.associations import holds_entities
        >>> holds_entities(list[Entity]), holds_entities(list[str])
        (True, False)
    """
    if _is_entity(annotation) and (not aggregates or hasattr(annotation, "_category")):
        return True
    return any(holds_entities(each, aggregates=aggregates) for each in get_args(annotation))


def check_association(place: str, field: FieldInfo) -> None:
    """Refuse a field whose entities could not be followed when they change.

    Args:
        place: the class and the field, for the error.
        field: the field.

    Raises:
        ConfigurationError: the entities stand in a mapping or the like, or share a default.

    Example:
        >>> from happened import Aggregate, ConfigurationError, Entity
        >>> class Line(Entity): ...
        >>> try:
        ...     class Order(Aggregate):
        ...         lines: dict[str, Line]
        ... except ConfigurationError as error:
        ...     print(error)
        Order.lines: entities stand in a field of their own or in a list, as list[Line]
    """
    if holds_entities(field.annotation, aggregates=True):
        raise ConfigurationError(
            f"{place}: an aggregate is named by its identity, not held; store the identity as text"
        )
    for kind in _options(field.annotation):
        listed = get_origin(kind) in (list, Sequence, MutableSequence)
        items = _options(get_args(kind)[0]) if listed else (kind,)
        if holds_entities(kind) and not all(map(_is_entity, items)):
            raise ConfigurationError(
                f"{place}: entities stand in a field of their own or in a list, as list[Line]"
            )
    if _is_entity(type(field.default)):
        raise ConfigurationError(
            f"{place}: all would share this default; give a callable that makes a new one"
        )


def _options(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _options(get_args(annotation)[0])
    return get_args(annotation) if origin in (Union, UnionType) else (annotation,)


def _is_entity(kind: Any) -> bool:
    return isinstance(kind, type) and hasattr(kind, "_associations")
