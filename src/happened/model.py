"""Layer 2. The model: value objects, entities and aggregates."""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

import pydantic
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from happened.associations import (
    EntityList,
    Exchange,
    check_association,
    check_owned,
    entities_in,
    holds_entities,
)
from happened.containers import FieldDict, FieldList, held
from happened.declaration import (
    STORABLE,
    FrozenMeta,
    ModelMeta,
    field_specs,
    plain_data,
    replaced,
    storable,
    unstorable,
    validation_error,
)
from happened.errors import ConfigurationError, ImmutableError, ValidationError
from happened.immutable import check_frozen, freeze, is_scalar
from happened.invariants import atomic_change, check, invariants_of
from happened.messages import Event
from happened.streams import snake_case, stream

__all__ = ["Aggregate", "Entity", "Projection", "ValueObject"]

_STORED: dict[str, object] = {}  # the validation context of what is read from a storage


class ValueObject(BaseModel, metaclass=FrozenMeta):
    """Something that is described by its values alone, such as an amount or an address.

    It is immutable, and equal to any other of its class with the same values.

    Args:
        **data: the values of the fields.

    Raises:
        ValidationError: a value is missing, wrong or unknown, or an invariant is broken.
        ImmutableError: later, at any attempt to change it.

    Example:
        >>> from happened import ValueObject
        >>> class Money(ValueObject):
        ...     cents: int
        ...     currency: str = "EUR"
        >>> Money(cents=1250) == Money(cents=1250, currency="EUR")
        True
    """

    model_config = {**STORABLE, "frozen": True}

    _containers: ClassVar[tuple[str, ...]] = ()
    _invariants: ClassVar[tuple[Callable[[Any], None], ...]] = ()
    __get_pydantic_core_schema__ = classmethod(storable)  # pyright: ignore[reportAssignmentType]

    if not TYPE_CHECKING:

        def __init__(self, /, **data: Any) -> None:
            try:
                self.__pydantic_validator__.validate_python(data, self_instance=self)
            except pydantic.ValidationError as error:
                raise validation_error(error, type(self).__name__) from error

        __init__.__pydantic_base_init__ = True

        def __setattr__(self, name: str, value: object) -> NoReturn:
            raise ImmutableError(type(self), name)

        def __delattr__(self, name: str) -> NoReturn:
            raise ImmutableError(type(self), name)

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        """Note what each object of the class needs after its validation."""
        for name, field in cls.model_fields.items():
            if holds_entities(field.annotation):
                raise ConfigurationError(
                    f"{cls.__name__}.{name}: a value object cannot change, but an entity can; "
                    "hold its values instead"
                )
            check_frozen(f"{cls.__name__}.{name}", field.annotation)
        cls._invariants = invariants_of(cls)
        cls._containers = tuple(
            name for name, field in cls.model_fields.items() if not is_scalar(field.annotation)
        )

    def model_post_init(self, context: Any, /) -> None:
        """Freeze what could change, and check the invariants."""
        values: dict[str, Any] = self.__dict__  # pyright: ignore[reportAssignmentType]
        for name in self._containers:
            values[name] = freeze(values[name])
        if self._invariants and context is not _STORED:
            check(self, self._invariants)

    def replace(self, **changes: Any) -> Self:
        """Return a new value object with the same values, save those given.

        Args:
            **changes: the values to replace.

        Returns:
            A new object of the same class; this one stays as it is.

        Raises:
            ValidationError: a new value is wrong or unknown, or an invariant is broken.

        Example:
            >>> from happened import ValueObject
            >>> class Money(ValueObject):
            ...     cents: int
            ...     currency: str = "EUR"
            >>> Money(cents=1250).replace(cents=900)
            Money(cents=900, currency='EUR')
        """
        return replaced(self, changes)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return what `replace` returns; Pydantic's name for it.

        Args:
            update: the values to replace, field to value.
            deep: without effect, since nothing in a value object can change.
        """
        return self.replace(**(update or {}))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data that JSON can hold.

        Raises:
            ValidationError: a field holds what JSON cannot.

        Example:
            >>> from happened import ValueObject
            >>> class Money(ValueObject):
            ...     cents: int
            >>> Money(cents=1250).to_dict()
            {'cents': 1250}
        """
        return plain_data(self)

    def __str__(self) -> str:
        return repr(self)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        self.model_post_init(_STORED)


class Standing:
    """What is known of an entity beside its fields. One object for all: it is read at one go.

    Attributes:
        owner: the entity that it is part of.
        pending: whether the check of its invariants is postponed.
        events: what it raised since it was persisted.
        version: how many times it was persisted.
        next_position: the position after the last persisted event in its stream.
    """

    __slots__ = ("events", "next_position", "owner", "pending", "version")

    def __init__(self) -> None:
        self.owner: Entity | None = None
        self.pending = False
        self.events: list[Event] = []
        self.version = self.next_position = 0

    def persisted(self) -> list[Event]:
        """Note that state and events are stored, and hand over the events."""
        events, self.events = self.events, []
        self.version += 1
        self.next_position += len(events)
        return events


class Entity(BaseModel, metaclass=ModelMeta):
    """Something with an identity that stays the same while its values change.

    It has an ``id`` (a `new_id` by default) unless one of its fields is declared with
    ``identifier=True``. Two entities of one class are equal when their identities are.

    Args:
        id: its identity; a new one by default.
        **data: the values of the fields.

    Raises:
        ValidationError: a value is missing, wrong or unknown, or an invariant is broken; also
            later, when a field is changed, and then the old value stays.

    Example:
        >>> from happened import Entity
        >>> class Line(Entity):
        ...     book_id: str
        ...     quantity: int = 1
        >>> line = Line(id="l1", book_id="b1")
        >>> line.quantity = 2
        >>> line == Line(id="l1", book_id="b1")
        True
    """

    model_config = {**STORABLE, "validate_assignment": True}
    __slots__ = ("_standing",)

    _abstract: ClassVar[bool] = True
    _reserved_names: ClassVar[frozenset[str]] = frozenset()
    _identity_field: ClassVar[str] = "id"
    _associations: ClassVar[tuple[str, ...]] = ()
    _is_plain: ClassVar[bool] = True
    _is_flat: ClassVar[bool] = True
    _containers: ClassVar[tuple[str, ...]] = ()
    _invariants: ClassVar[tuple[Callable[[Any], None], ...]] = ()
    __get_pydantic_core_schema__ = classmethod(storable)  # pyright: ignore[reportAssignmentType]

    if TYPE_CHECKING:
        _standing: Standing = pydantic.PrivateAttr()
        id: str = pydantic.Field(default="")
    else:

        def __init__(self, /, **data: Any) -> None:
            try:
                self.__pydantic_validator__.validate_python(data, self_instance=self)
            except pydantic.ValidationError as error:
                raise validation_error(error, type(self).__name__) from error

        __init__.__pydantic_base_init__ = True

        def __setattr__(self, name: str, value: object) -> None:
            if name not in self.__pydantic_fields__:
                self._set_other(name, value)
            elif name == self._identity_field and value != self.__dict__[name]:
                advice = f"it identifies this {type(self).__name__}; make a new one"
                raise ImmutableError(type(self), name, advice)
            else:
                self._set_field(name, value)

        def __delattr__(self, name: str) -> None:
            if name in self.__pydantic_fields__:
                raise ValidationError({name: ["a field cannot be deleted"]}, type(self).__name__)
            super().__delattr__(name)

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        """Note what each object of the class needs after its validation."""
        specs = field_specs(cls)
        identities = [name for name, spec in specs.items() if spec.identifier]
        if len(identities) > 1:
            raise ConfigurationError(
                f"{cls.__name__}: {' and '.join(identities)} are both declared with "
                "identifier=True; an entity has one identity"
            )
        cls._reserved_names = frozenset({"identity"})
        cls._identity_field = identity = identities[0] if identities else "id"
        if identity in cls.model_fields and cls.model_fields[identity].default is None:
            raise ConfigurationError(
                f"{cls.__name__}.{identity}: an identity is never None; give it required=True or "
                "default=new_id"
            )
        cls._invariants = invariants_of(cls)
        cls._associations = tuple(
            name for name, field in cls.model_fields.items() if holds_entities(field.annotation)
        )
        cls._containers = tuple(
            name
            for name, field in cls.model_fields.items()
            if name not in cls._associations and not is_scalar(field.annotation)
        )
        for name in cls._associations:
            check_association(f"{cls.__name__}.{name}", cls.model_fields[name])
        cls._is_flat = not (cls._containers or cls._associations)
        cls._is_plain = cls._is_flat and not cls._invariants

    def model_post_init(self, context: Any, /) -> None:
        """Begin as part of nothing, own the entities in it, and check the invariants."""
        _set_standing(self, Standing())
        if self._is_plain:
            return
        for name in self._containers:
            self._hold(name)
        for name in self._associations:
            self._own(name)
        if self._invariants and context is not _STORED:
            check(self, self._invariants)

    @property
    def _owner(self) -> "Entity | None":
        return self._standing.owner

    @property
    def identity(self) -> str:
        """The value of the field that identifies the entity, as text."""
        return str(self.__dict__[self._identity_field])

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data that JSON can hold, entities and value objects included.

        Raises:
            ValidationError: a field holds what JSON cannot.

        Example:
            >>> from happened import Aggregate
            >>> class Book(Aggregate):
            ...     title: str
            >>> Book(id="b1", title="Emma").to_dict()
            {'id': 'b1', 'title': 'Emma'}
        """
        return plain_data(self)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy that shares nothing with the original, the events it raised included.

        Args:
            update: values to change in the copy, field to value.
            deep: without effect, since a copy is always deep.

        Raises:
            ValidationError: a value is wrong or unknown, or an invariant is broken.
            ImmutableError: the identity is to be changed.

        Example:
            >>> from happened import Aggregate
            >>> class Book(Aggregate):
            ...     title: str
            >>> Book(id="b1", title="Emma").model_copy(update={"title": "Persuasion"})
            Book(id='b1', title='Persuasion')
        """
        copied = copy.deepcopy(self)
        with atomic_change(copied):
            for name, value in (update or {}).items():
                setattr(copied, name, value)
        return copied

    def __copy__(self) -> Self:
        return copy.deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        copied = type(self).__new__(type(self))
        copied.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return copied

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        Entity.model_post_init(self, _STORED)

    def __str__(self) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.identity == other.identity

    def __hash__(self) -> int:
        return hash((type(self), self.identity))

    def _set_field(self, name: str, value: object) -> None:
        """Validate the value and check the invariants; on failure nothing has changed."""
        before = self.__dict__
        exchange = contained = None
        items: Any = None
        if not self._is_flat:
            exchange = Exchange(self, name) if name in self._associations else None
            contained = before[name] if name in self._containers else None
            items = copy.copy(contained)
        try:
            self.__pydantic_validator__.validate_assignment(self, name, value)
            if exchange is not None:
                exchange.make()
            elif contained is not None:
                self._hold(name, contained)
            self._changed()
        except BaseException as error:
            object.__setattr__(self, "__dict__", before)
            if exchange is not None:
                exchange.undo()
            elif isinstance(contained, FieldList | FieldDict):
                contained._replace(items)
            if isinstance(error, pydantic.ValidationError):
                raise validation_error(error, type(self).__name__) from error
            raise

    def _set_other(self, name: str, value: object) -> None:
        try:
            super().__setattr__(name, value)
        except ValueError as error:
            if hasattr(type(self), name):  # a property, whose own error this is
                raise
            messages = {name: [f"there is no such field (found {value!r})"]}
            raise ValidationError(messages, type(self).__name__) from error

    def _hold(self, name: str, before: Any = None) -> None:
        """Put a list or mapping that validates its changes into a field that holds one."""
        values: dict[str, Any] = self.__dict__  # pyright: ignore[reportAssignmentType]
        values[name] = held(values[name], self, name, before)

    def _own(self, name: str) -> None:
        """Make this the owner of the entities in a field; a list becomes an `EntityList`."""
        values: dict[str, Any] = self.__dict__  # pyright: ignore[reportAssignmentType]
        value = values[name]
        check_owned(self, name, value)
        if isinstance(value, list):
            if not isinstance(value, EntityList) or value._owner is not self:
                value = values[name] = EntityList(value)
                value._owner, value._field = self, name
            for entity in value:
                entity._standing.owner = self
        elif value is not None:
            value._standing.owner = self

    def _changed(self, *, with_parts: bool = False) -> None:
        """Check the invariants of this and of all that it is part of, unless postponed.

        Args:
            with_parts: whether to check the entities in it, too.
        """
        changed: Entity | None = self
        path = []
        while changed is not None:
            standing = changed._standing
            if standing.pending:
                return
            if changed._invariants:
                path.append(changed)
            changed = standing.owner
        for each in (*self._parts(), *path) if with_parts else path:
            check(each, each._invariants)

    def _parts(self) -> "Iterator[Entity]":
        """The entities in it, and those in them."""
        for name in self._associations:
            for entity in entities_in(self.__dict__[name]):
                yield entity
                yield from entity._parts()

    def _is_changing(self) -> bool:
        """Whether the check of the invariants, of this or of a part, is postponed."""
        return self._standing.pending or any(part._standing.pending for part in self._parts())

    def _begin_change(self) -> object:
        before = (self._standing.pending, self._kept())
        self._standing.pending = True
        return before

    def _end_change(self, before: Any) -> None:
        self._standing.pending = before[0]
        self._changed(with_parts=True)

    def _undo_change(self, before: Any) -> None:
        self._standing.pending = before[0]
        self._put_back(before[1])

    def _kept(self) -> dict[str, Any]:
        """All that `_put_back` needs to make this, and the entities in it, what they are now."""
        values = self.__dict__
        copied = {name: copy.deepcopy(values[name]) for name in self._containers}
        return {
            "values": {**values, **copied},
            "lists": {
                name: list(values[name])
                for name in self._associations
                if isinstance(values[name], EntityList)
            },
            "parts": [
                (entity, entity._kept())
                for name in self._associations
                for entity in entities_in(values[name])
            ],
        }

    def _put_back(self, kept: dict[str, Any]) -> None:
        for name in self._associations:
            for entity in entities_in(self.__dict__[name]):
                entity._standing.owner = None
        containers = {name: self.__dict__[name] for name in self._containers}
        object.__setattr__(self, "__dict__", kept["values"])
        for name, contained in containers.items():
            self._hold(name, contained)
        for name, items in kept["lists"].items():
            self.__dict__[name]._replace(items)
        for name in self._associations:
            self._own(name)
        for entity, values in kept["parts"]:
            entity._put_back(values)


_set_standing = Entity.__dict__["_standing"].__set__


class Aggregate(Entity):
    """The unit of consistency: an entity with all that changes together with it.

    Its methods change it and raise events. A repository persists both in one transaction; then
    the events are dispatched to their handlers.

    Args:
        id: its identity; a new one by default.
        **data: the values of the fields.

    Raises:
        ValidationError: as for every entity.

    Example:
        >>> from happened import Aggregate, Event
        >>> class CopyLent(Event):
        ...     copy_id: str
        >>> class Copy(Aggregate):
        ...     lent: int = 0
        ...     def lend(self) -> None:
        ...         self.lent += 1
        ...         self.raise_(CopyLent(copy_id=self.id))
        >>> copy = Copy(id="c1")
        >>> copy.lend()
        >>> copy._events
        [CopyLent(copy_id='c1')]
        >>> copy._events[0]._metadata.stream
        'copy-c1'
    """

    _abstract: ClassVar[bool] = True
    _category: ClassVar[str] = "aggregate"
    _registered_in: ClassVar[object | None] = None

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Give each class its stream category, unless a domain gives it another one."""
        super().__pydantic_init_subclass__(**options)
        cls._category = snake_case(cls.__name__)
        cls._registered_in = None

    def raise_(self, event: Event) -> None:
        """Raise an event: collect it until this aggregate is persisted.

        The event's metadata are complete from here on: its stream is this aggregate's, and its
        position the next one in it.

        Args:
            event: a new event.

        Raises:
            ConfigurationError: the event is registered for another aggregate, or not at all.
            ImmutableError: the event was raised before.

        Example:
            >>> from happened import Aggregate, Event
            >>> class CopyLost(Event):
            ...     copy_id: str
            >>> class Copy(Aggregate): ...
            >>> copy = Copy(id="c1")
            >>> copy.raise_(CopyLost(copy_id="c1"))
            >>> copy._events[0]._metadata.position
            0
        """
        kind = type(event)
        try:
            part_of, can_be_raised = kind._part_of, kind._can_be_raised
        except AttributeError:
            raise ConfigurationError(self._not_mine(event)) from None
        if not can_be_raised or (
            part_of is not type(self)
            and (self._registered_in if part_of is None else not isinstance(self, part_of))
        ):
            raise ConfigurationError(self._not_mine(event))
        if event._metadata.stream is not None:
            raise ImmutableError(
                kind, "_metadata", "this event was raised before; make a new one for each fact"
            )
        standing = self._standing
        position = standing.next_position + len(standing.events)
        event._place(stream(self._category, self.identity), position)
        standing.events.append(event)

    def _not_mine(self, event: object) -> str:
        own, name = type(self).__name__, type(event).__name__
        if isinstance(event, type):
            return f"{own}.raise_ takes an event, found a class; make one: {event.__name__}(...)"
        if not isinstance(event, Event):
            return f"{own}.raise_ takes an event, found {event!r}; derive {name} from Event"
        part_of = type(event)._part_of
        known = f"is part of {part_of.__name__}" if part_of else "is not registered"
        return (
            f"{own} cannot raise {name}, which {known}; "
            f"register it with @domain.event(part_of={own})"
        )

    @property
    def _stream(self) -> str:
        return stream(self._category, self.identity)

    @property
    def _events(self) -> list[Event]:
        return self._standing.events

    @property
    def _version(self) -> int:
        return self._standing.version

    def _to_document(self) -> bytes:
        """The state as JSON, which can be read again."""
        try:
            if self._is_flat:  # each value was validated when it was set
                return self.__pydantic_serializer__.to_json(self, exclude_computed_fields=True)
            document = self.__pydantic_serializer__.to_json(
                self, warnings="error", exclude_computed_fields=True
            )
        except PydanticSerializationError as error:
            raise unstorable(error, type(self).__name__) from error
        if not self._is_changing():
            self._changed(with_parts=True)
        self._from_document(document, 0, 0)  # what lies deeper was changed behind our back, perhaps
        return document

    @classmethod
    def _from_document(cls, document: str | bytes, version: int, next_position: int) -> Self:
        """The aggregate as it was stored; its invariants held then."""
        try:
            loaded: Self = cls.__pydantic_validator__.validate_json(
                document, context=_STORED, by_alias=False, by_name=True
            )
        except pydantic.ValidationError as error:
            raise validation_error(error, cls.__name__) from error
        standing = loaded._standing
        standing.version, standing.next_position = version, next_position
        return loaded

    def _kept(self) -> dict[str, Any]:
        return {**super()._kept(), "events": list(self._events)}

    def _put_back(self, kept: dict[str, Any]) -> None:
        super()._put_back(kept)
        self._events[:] = kept["events"]

    def __getstate__(self) -> dict[Any, Any]:
        standing = self._standing
        stored = (list(standing.events), standing.version, standing.next_position)
        return {**super().__getstate__(), "_stored": stored}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        standing = self._standing
        standing.events, standing.version, standing.next_position = state["_stored"]


class Projection(Aggregate):
    """A view for reading, kept up to date by event handlers: it is stored as an aggregate is.

    It raises no events. What it holds can be made anew from the stored events at any time, see
    `Domain.rebuild`.

    Args:
        id: its identity; a new one by default.
        **data: the values of the fields.

    Raises:
        ValidationError: as for every entity.

    Example:
        >>> from happened import Projection
        >>> class Bestseller(Projection):
        ...     sold: int = 0
        >>> Bestseller(id="b1", sold=3)
        Bestseller(id='b1', sold=3)
    """

    _abstract: ClassVar[bool] = True

    def raise_(self, event: Event) -> None:
        """Refuse: what happens is raised by aggregates.

        Args:
            event: an event.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            f"{type(self).__name__} is a projection, which raises no events; raise "
            f"{type(event).__name__} in an aggregate"
        )
