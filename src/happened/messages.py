"""Layer 1. Messages: events, which record what happened, and commands, which ask for a change."""

from collections.abc import Mapping
from datetime import UTC, datetime
from json import dumps
from traceback import format_exception_only
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

import pydantic
from pydantic import BaseModel
from pydantic_core import CoreSchema, PydanticSerializationError, to_jsonable_python

from happened.declaration import (
    STORABLE,
    FrozenMeta,
    plain_data,
    replaced,
    storable,
    unstorable,
    validation_error,
)
from happened.errors import ImmutableError, MessageError, ValidationError
from happened.identifiers import new_id
from happened.immutable import check_frozen, freeze, is_scalar
from happened.metadata import NO_HEADERS, Metadata  # pyright: ignore[reportUnusedImport]
from happened.tracing import current_trace

__all__ = ["Command", "Event", "Message"]

_new_tuple = tuple.__new__


def _freeze_containers(self: "Message", _context: Any, /) -> None:
    """Freeze what could change."""
    values: dict[str, Any] = self.__dict__  # pyright: ignore[reportAssignmentType]
    for name in self._containers:
        values[name] = freeze(values[name])


class Message(BaseModel, metaclass=FrozenMeta):
    """A command or an event: immutable, validated, with metadata.

    Use `Event` or `Command`. Two messages are equal when they are of one class and their fields
    are; ids and times do not count.

    Args:
        correlation_id: the id of the chain that this message belongs to; by default that of the
            message being handled, or else the message's own id.
        causation_id: the id of the message that led to this one; by default that of the message
            being handled, or else ``None``.
        metadata: a mapping of the caller's own that travels with the message; empty by default.
        **data: the values of the fields.

    Raises:
        ValidationError: a value is missing, wrong or unknown.
        ImmutableError: later, at any attempt to change it.

    Example:
        >>> from happened import Event
        >>> class BookLent(Event):
        ...     book_id: str
        >>> BookLent(book_id="b1") == BookLent(book_id="b1")
        True
    """

    model_config = {**STORABLE, "frozen": True}
    __slots__ = ("_metadata",)

    _reserved_names: ClassVar[frozenset[str]] = frozenset()
    _type_name: ClassVar[str] = "Message.v1"
    _type_version: ClassVar[int] = 1
    _own_name: ClassVar[str | None] = None
    _part_of: ClassVar[type | None] = None
    _registered_in: ClassVar[object | None] = None
    _can_be_raised: ClassVar[bool] = False
    _containers: ClassVar[tuple[str, ...]] = ()

    if TYPE_CHECKING:
        _metadata: Metadata = pydantic.PrivateAttr()
        correlation_id: str = pydantic.Field(default="")
        causation_id: str | None = pydantic.Field(default=None)
        metadata: Mapping[str, Any] = pydantic.Field(default={})
    else:

        def __init__(
            self,
            /,
            *,
            correlation_id: str | None = None,
            causation_id: str | None = None,
            metadata: Mapping[str, Any] | None = None,
            **data: Any,
        ) -> None:
            try:
                self.__pydantic_validator__.validate_python(data, self_instance=self)
            except pydantic.ValidationError as error:
                raise validation_error(error, type(self).__name__) from error
            if correlation_id is not None or causation_id is not None or metadata is not None:
                _check_given(type(self).__name__, correlation_id, causation_id, metadata)
            trace = current_trace.get()
            id = new_id()
            if trace is None:
                correlation = correlation_id or id
                causation = causation_id
                origin = None
            else:
                correlation = correlation_id or trace.correlation_id
                causation = causation_id or trace.id
                same = correlation == trace.correlation_id
                origin = trace.origin_stream if same else None
            _set_metadata(
                self,
                _new_tuple(
                    Metadata,
                    (
                        id,
                        self._type_name,
                        self._type_version,
                        datetime.now(UTC),
                        None,
                        None,
                        None,
                        correlation,
                        causation,
                        origin,
                        NO_HEADERS if metadata is None else _headers(type(self).__name__, metadata),
                    ),
                ),
            )

        __init__.__pydantic_base_init__ = True

        @property
        def correlation_id(self) -> str:
            """The id shared by all messages of one chain."""
            return self._metadata.correlation_id

        @property
        def causation_id(self) -> str | None:
            """The id of the message that led to this one, ``None`` for the first of a chain."""
            return self._metadata.causation_id

        @property
        def metadata(self) -> Mapping[str, Any]:
            """The caller's own mapping, read-only."""
            return self._metadata.headers

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Give each class its name, unless it says one itself."""
        super().__pydantic_init_subclass__(**options)
        cls._own_name = cls.__dict__.get("event_type", cls.__dict__.get("command_type"))
        cls._rename(cls._own_name or f"{cls.__name__}.v1", 1)
        cls._part_of = cls._registered_in = None

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        """Refuse fields that cannot be made immutable."""
        for name, field in cls.__pydantic_fields__.items():
            check_frozen(f"{cls.__name__}.{name}", field.annotation)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: pydantic.GetCoreSchemaHandler, /
    ) -> CoreSchema:
        """Let only messages that hold lists, mappings or sets pay for freezing them."""
        cls._containers = tuple(
            name
            for name, field in cls.__pydantic_fields__.items()
            if not is_scalar(field.annotation)
        )
        if not cls._containers and cls.model_post_init is _freeze_containers:
            cls.__pydantic_post_init__ = None
        return storable(cls, source, handler)

    model_post_init = _freeze_containers

    @classmethod
    def _rename(cls, name: str, version: int) -> None:
        cls._type_name = name
        cls._type_version = version

    @classmethod
    def _restore(cls, data: str | bytes, metadata: Metadata) -> Self:
        """Make the message again from what a storage or a broker holds of it."""
        try:
            message: Self = cls.__pydantic_validator__.validate_json(
                data, by_alias=False, by_name=True
            )
        except pydantic.ValidationError as error:
            reason = str(validation_error(error, cls.__name__))
            if not data:
                reason = (
                    "what is stored of it is damaged: it has no data, or its time or its headers "
                    "cannot be read; mend its row, or discard the message"
                )
            raise MessageError(reason, message_id=metadata.id, type=metadata.type) from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            said = "".join(format_exception_only(error)).strip()
            reason = f"{cls.__name__} failed while its data were checked: {said}"
            raise MessageError(reason, message_id=metadata.id, type=metadata.type) from error
        _set_metadata(message, metadata)
        return message

    def _stamp(self) -> Metadata:
        """Give the metadata of this moment to a message that was made without any."""
        stamped = Message()._metadata._replace(type=self._type_name, version=self._type_version)
        _set_metadata(self, stamped)
        return stamped

    def _place(self, stream: str, position: int | None) -> None:
        """Complete the metadata: the stream, the place in it, and the origin of the chain."""
        id, kind, version, moment, _, _, _, correlation, causation, origin, known = self._metadata
        _set_metadata(
            self,
            _new_tuple(
                Metadata,
                (
                    id,
                    kind,
                    version,
                    moment,
                    stream,
                    position,
                    None,
                    correlation,
                    causation,
                    origin or stream,
                    known,
                ),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data that JSON can hold; metadata are not among them.

        Raises:
            ValidationError: a field holds what JSON cannot.

        Example:
            >>> from datetime import date
            >>> from happened import Event
            >>> class BookLent(Event):
            ...     book_id: str
            ...     until: date
            >>> BookLent(book_id="b1", until=date(2026, 12, 24)).to_dict()
            {'book_id': 'b1', 'until': '2026-12-24'}
        """
        return plain_data(self)

    def to_json(self) -> bytes:
        """Return the fields as JSON, encoded in UTF-8.

        Raises:
            ValidationError: a field holds what JSON cannot, such as half a character.

        Example:
            >>> from happened import Event
            >>> class BookLent(Event):
            ...     book_id: str
            >>> BookLent(book_id="b1").to_json()
            b'{"book_id":"b1"}'
        """
        try:
            return self.__pydantic_serializer__.to_json(self, exclude_computed_fields=True)
        except PydanticSerializationError as error:
            raise unstorable(error, type(self).__name__) from error

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a new message with the same values, save those given: with an id of its own.

        Args:
            update: the values to replace, field to value.
            deep: without effect, since nothing in a message can change.

        Raises:
            ValidationError: a new value is wrong or unknown.

        Example:
            >>> from happened import Event
            >>> class BookLent(Event):
            ...     book_id: str
            >>> BookLent(book_id="b1").model_copy(update={"book_id": "b2"})
            BookLent(book_id='b2')
        """
        copied = replaced(self, update or {})
        copied._stamp()
        return copied

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: object) -> NoReturn:
            raise ImmutableError(type(self), name)

        def __delattr__(self, name: str) -> NoReturn:
            raise ImmutableError(type(self), name)

        def __getattr__(self, name: str) -> Any:
            if name == "_metadata":  # made without __init__, as by model_validate
                return self._stamp()
            return super().__getattr__(name)

    def __str__(self) -> str:
        return repr(self)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), "_metadata": tuple(self._metadata)}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        self.model_post_init(None)
        _set_metadata(self, Metadata(*state["_metadata"]))


_set_metadata = Message.__dict__["_metadata"].__set__  # the one way around immutability


def _check_given(
    title: str, correlation_id: object, causation_id: object, metadata: object
) -> None:
    """Refuse metadata of the caller's own that are not what they must be."""
    messages = {
        name: [f"Input should be a valid string (found {value!r})"]
        for name, value in {"correlation_id": correlation_id, "causation_id": causation_id}.items()
        if not (value is None or isinstance(value, str))
    }
    if not (metadata is None or isinstance(metadata, Mapping)):
        messages["metadata"] = [f"Input should be a mapping (found {metadata!r})"]
    if messages:
        raise ValidationError(messages, title)


def _headers(  # pyright: ignore[reportUnusedFunction] - used where type checkers do not look
    title: str, metadata: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The caller's own mapping as plain data, which nobody can change."""
    try:
        data = to_jsonable_python(dict(metadata), inf_nan_mode="constants")
        dumps(data, allow_nan=False)  # only some storages would refuse it
    except (PydanticSerializationError, ValueError) as error:
        texts = [f"it takes text, numbers, lists and mappings of these: {error}"]
        raise ValidationError({"metadata": texts}, title) from error
    return freeze(data)  # type: ignore[no-any-return]


class Event(Message):
    """An immutable record of something that happened, named in the past tense.

    The class has a stable name, `event_type`: what its body says, or else
    ``"<Class>.v1"``, or ``"<Domain>.<Class>.v<version>"`` once a domain has registered it.

    Args:
        correlation_id: as for every message.
        causation_id: as for every message.
        metadata: a mapping of the caller's own that travels with the event; empty by default.
        **data: the values of the fields.

    Raises:
        ValidationError: a value is missing, wrong or unknown.
        ImmutableError: later, at any attempt to change it.

    Example:
        >>> from happened import Event
        >>> class InviteSent(Event):
        ...     event_type = "invite.sent"
        ...     invite_id: int
        ...     email: str | None = None
        >>> event = InviteSent(invite_id=7)
        >>> event
        InviteSent(invite_id=7, email=None)
        >>> event.event_type, event.correlation_id == event.event_id
        ('invite.sent', True)
    """

    event_type: ClassVar[str] = "Event.v1"
    _can_be_raised: ClassVar[bool] = True
    _reserved_names: ClassVar[frozenset[str]] = frozenset(
        {"event_id", "occurred_at", "correlation_id", "causation_id", "metadata"}
    )

    @property
    def event_id(self) -> str:
        """The event's identifier, unique."""
        return self._metadata.id

    @property
    def occurred_at(self) -> datetime:
        """When the event was made, an aware moment in UTC."""
        return self._metadata.timestamp

    @classmethod
    def _rename(cls, name: str, version: int) -> None:
        super()._rename(name, version)
        cls.event_type = name


class Command(Message):
    """A request to change something, named in the imperative; exactly one handler may refuse it.

    Args:
        correlation_id: as for every message.
        causation_id: as for every message.
        metadata: a mapping of the caller's own that travels with the command; empty by default.
        **data: the values of the fields.

    Raises:
        ValidationError: a value is missing, wrong or unknown.
        ImmutableError: later, at any attempt to change it.

    Example:
        >>> from happened import Command
        >>> class LendBook(Command):
        ...     book_id: str
        >>> LendBook(book_id="b1")
        LendBook(book_id='b1')
    """

    command_type: ClassVar[str] = "Command.v1"
    _reserved_names: ClassVar[frozenset[str]] = frozenset(
        {"command_id", "issued_at", "correlation_id", "causation_id", "metadata"}
    )

    @property
    def command_id(self) -> str:
        """The command's identifier, unique."""
        return self._metadata.id

    @property
    def issued_at(self) -> datetime:
        """When the command was made, an aware moment in UTC."""
        return self._metadata.timestamp

    @classmethod
    def _rename(cls, name: str, version: int) -> None:
        super()._rename(name, version)
        cls.command_type = name
