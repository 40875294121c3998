"""Layer 1. Declared fields: ``String(max_length=20)`` and its kin, and the options they take.

A field may stand in three places, and all of them may be mixed in one class::

    title: str = String(max_length=200)        # typed, with a field
    section: String(max_length=20)             # annotated with a field
    note = String(max_length=200)              # assigned

In the first, the annotation decides whether a value is required, as type checkers read it: it is,
unless there is a default; ``str | None`` without one must be given, and may be ``None``. In the
other two, ``required=True`` does.
"""

import datetime as dt
import decimal
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Final, NoReturn, Optional, TypeVar, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
)
from pydantic_core import CoreSchema

from happened.errors import ConfigurationError

__all__ = [
    "Boolean",
    "Date",
    "DateTime",
    "Decimal",
    "Dict",
    "FieldSpec",
    "Float",
    "HasMany",
    "HasOne",
    "Identifier",
    "Integer",
    "List",
    "String",
    "Text",
    "ValueObject",
]

_T = TypeVar("_T")


class _Unset(Enum):
    UNSET = "unset"


_UNSET: Final = _Unset.UNSET
_Choices = type[Enum] | Iterable[Any] | None
_Check = Callable[[Any], object]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FieldSpec:
    """What was declared of one field. It stays in the metadata of the Pydantic field.

    Attributes:
        type: the type of the values where no annotation gives one.
        required: whether a value must be given where no annotation decides it.
        default: the value to use when none is given, or a callable that makes one.
        constraints: the keyword arguments for ``pydantic.Field``.
        choices: the allowed values, or ``None``.
        validators: called with each value; they refuse it by raising ``ValueError``.
        unique: whether no two aggregates may have the same value.
        index: whether the storage keeps an index, for queries.
        identifier: whether this field identifies the entity.
        items: what was declared of each item of a list, or ``None``.

    Example:
        >>> from happened.fields import FieldSpec
        >>> FieldSpec(type=str, constraints={"max_length": 20}).required
        False
    """

    type: Any
    required: bool = False
    default: Any = _UNSET
    constraints: dict[str, Any]
    choices: tuple[Any, ...] | None = None
    validators: tuple[_Check, ...] = ()
    unique: bool = False
    index: bool = False
    identifier: bool = False
    items: "FieldSpec | None" = None

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Leave the type that this field annotates as it is; it is none itself."""
        return self._refuse(handler.field_name) if source is self else handler(source)

    def __or__(self, other: object) -> NoReturn:
        self._refuse(None)

    __ror__ = __or__

    def _refuse(self, field: str | None) -> NoReturn:
        place = f"field {field!r}: " if field else ""
        kind, field = getattr(self.type, "__name__", "str"), field or "name"
        raise ConfigurationError(
            f"{place}a declared field, such as String(), is no type, and cannot be a part of one, "
            f"such as Optional[...]; assign it, as `{field}: {kind} | None = ...`, or in a list "
            f"use `{field}: list[str] = List(String())`"
        )

    @property
    def annotation(self) -> Any:
        """The type of the field where no annotation gives one."""
        if self.required or not (self.default is _UNSET or self.default is None):
            return self.type
        return Optional[self.type]  # noqa: UP045 - the type may be a name

    def annotate(self, annotation: Any) -> Any:
        """Return the annotation with all that this field adds to it.

        Args:
            annotation: the type of the values; a string is resolved later.

        Returns:
            An ``Annotated`` type with the constraints, the checks, and this declaration.

        Example:
            >>> from typing import get_args
            >>> from happened.fields import FieldSpec
            >>> spec = FieldSpec(type=str, constraints={"max_length": 20})
            >>> get_args(spec.annotate(str))[-1] is spec
            True
        """
        checks: list[Any] = []
        if self.type is AwareDatetime:
            checks.append(AfterValidator(_aware))
        if self.choices is not None:
            checks += [BeforeValidator(_plain), AfterValidator(_one_of(self.choices))]
        checks += [AfterValidator(_passing(validator)) for validator in self.validators]
        if self.items is not None:  # the annotation knows nothing of what each item must be
            annotation = Optional[self.type] if _is_optional(annotation) else self.type  # noqa: UP045
        constraints = dict(self.constraints)
        if "coerce_numbers_to_str" in constraints and not _is_text(annotation):
            constraints = {}  # an Identifier whose annotation says that it is a number
        return Annotated[(annotation, Field(**constraints), *checks, self)]

    def value(self, *, optional: bool) -> Any:
        """Return what to assign in the class body, so that Pydantic sees the default.

        Args:
            optional: whether ``None`` is the default where none was declared.

        Returns:
            What ``pydantic.Field`` returns for this default.

        Example:
            >>> from happened.fields import FieldSpec
            >>> FieldSpec(type=str, constraints={}, default="A1").value(optional=False).default
            'A1'
        """
        if self.default is _UNSET:
            return Field(default=None) if optional else Field()
        if callable(self.default):
            return Field(default_factory=self.default)
        return Field(default=self.default)


def _is_text(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return not re.search(r"\b(int|UUID)\b", annotation)
    kinds = get_args(annotation) or (annotation,)
    return not any(isinstance(kind, type) and issubclass(kind, int | uuid.UUID) for kind in kinds)


def _is_optional(annotation: Any) -> bool:
    if isinstance(annotation, str):  # with `from __future__ import annotations`
        return re.search(r"\bNone\b|\bOptional\b", annotation) is not None
    return type(None) in get_args(annotation)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _one_of(choices: tuple[Any, ...]) -> Callable[[_T], _T]:
    def check(value: _T) -> _T:
        if value is not None and _plain(value) not in choices:
            raise ValueError(f"Input should be one of {', '.join(map(repr, choices))}")
        return value

    return check


def _aware(value: Any) -> Any:
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        raise ValueError("Input should have timezone info")
    return value


def _passing(validator: _Check) -> Callable[[_T], _T]:
    def check(value: _T) -> _T:
        if value is not None:
            validator(value)
        return value

    return check


def _spec(
    type_: Any,
    *,
    required: bool = False,
    default: Any = _UNSET,
    choices: _Choices = None,
    unique: bool = False,
    index: bool = False,
    identifier: bool = False,
    validators: Iterable[_Check] = (),
    items: FieldSpec | None = None,
    **constraints: Any,
) -> Any:
    return FieldSpec(
        type=type_,
        required=required or (identifier and default is _UNSET),
        default=default if default is _UNSET else _plain(default),
        constraints={name: value for name, value in constraints.items() if value is not None},
        choices=None if choices is None else tuple(_plain(choice) for choice in choices),
        validators=tuple(validators),
        unique=unique,
        index=index,
        identifier=identifier,
        items=items,
    )


def String(
    *,
    required: bool = False,
    default: Any = _UNSET,
    max_length: int | None = None,
    min_length: int | None = None,
    choices: _Choices = None,
    unique: bool = False,
    index: bool = False,
    identifier: bool = False,
    validators: Iterable[_Check] = (),
    description: str | None = None,
) -> Any:
    """Declare a field of text.

    Args:
        required: whether a value must be given, where no annotation decides it.
        default: the value when none is given, or a callable without arguments that makes one.
        max_length: the largest number of characters; unlimited by default.
        min_length: the smallest number of characters; 0 by default.
        choices: the allowed values: an ``Enum``, whose values are stored, or any iterable.
        unique: whether no two stored aggregates of the class may have the same value.
        index: whether the storage keeps an index of it, for queries that look at it often.
        identifier: whether this field identifies the entity, in place of ``id``.
        validators: called with each value that is not ``None``; raise ``ValueError`` to refuse it.
        description: what the field means, for schemas and readers.

    Returns:
        The declaration, typed ``Any`` so that it may be assigned to a typed field.

    Example:
        >>> from happened import ValidationError, ValueObject
        >>> from happened.fields import String
        >>> class Shelfmark(ValueObject):
        ...     room: str = String(max_length=2)
        >>> try:
        ...     Shelfmark(room="A12")
        ... except ValidationError as error:
        ...     print(error)
        Shelfmark is not valid: room: String should have at most 2 characters (found 'A12')
    """
    return _spec(
        str,
        required=required,
        default=default,
        max_length=max_length,
        min_length=min_length,
        choices=choices,
        unique=unique,
        index=index,
        identifier=identifier,
        validators=validators,
        description=description,
    )


def Text(
    *,
    required: bool = False,
    default: Any = _UNSET,
    validators: Iterable[_Check] = (),
    description: str | None = None,
) -> Any:
    """Declare a field of text of any length.

    Args:
        required: whether a value must be given, where no annotation decides it.
        default: the value when none is given, or a callable without arguments that makes one.
        validators: called with each value that is not ``None``; raise ``ValueError`` to refuse it.
        description: what the field means, for schemas and readers.

    Returns:
        The declaration, typed ``Any`` so that it may be assigned to a typed field.

    Example:
        >>> from happened import ValueObject
        >>> from happened.fields import Text
        >>> class Blurb(ValueObject):
        ...     body: str = Text(default="")
        >>> Blurb()
        Blurb(body='')
    """
    return _spec(
        str, required=required, default=default, validators=validators, description=description
    )


def Integer(
    *,
    required: bool = False,
    default: Any = _UNSET,
    min_value: int | None = None,
    max_value: int | None = None,
    choices: _Choices = None,
    unique: bool = False,
    index: bool = False,
    identifier: bool = False,
    validators: Iterable[_Check] = (),
    description: str | None = None,
) -> Any:
    """Declare a field of whole numbers.

    Args:
        required: whether a value must be given, where no annotation decides it.
        default: the value when none is given, or a callable without arguments that makes one.
        min_value: the smallest allowed value; unlimited by default.
        max_value: the largest allowed value; unlimited by default.
        choices: the allowed values: an ``Enum``, whose values are stored, or any iterable.
        unique: whether no two stored aggregates of the class may have the same value.
        index: whether the storage keeps an index of it, for queries that look at it often.
        identifier: whether this field identifies the entity, in place of ``id``.
        validators: called with each value that is not ``None``; raise ``ValueError`` to refuse it.
        description: what the field means, for schemas and readers.

    Returns:
        The declaration, typed ``Any`` so that it may be assigned to a typed field.

    Example:
        >>> from happened import ValueObject
        >>> from happened.fields import Integer
        >>> class Quantity(ValueObject):
        ...     copies: int = Integer(min_value=1)
        >>> Quantity(copies=3)
        Quantity(copies=3)
    """
    return _spec(
        int,
        required=required,
        default=default,
        ge=min_value,
        le=max_value,
        choices=choices,
        unique=unique,
        index=index,
        identifier=identifier,
        validators=validators,
        description=description,
    )


def Float(
    *,
    required: bool = False,
    default: Any = _UNSET,
    min_value: float | None = None,
    max_value: float | None = None,
    index: bool = False,
    validators: Iterable[_Check] = (),
    description: str | None = None,
) -> Any:
    """Declare a field of binary floating-point numbers; for money, use `Decimal`.

    Args:
        required: whether a value must be given, where no annotation decides it.
        default: the value when none is given, or a callable without arguments that makes one.
        min_value: the smallest allowed value; unlimited by default.
        max_value: the largest allowed value; unlimited by default.
        validators: called with each value that is not ``None``; raise ``ValueError`` to refuse it.
        index: whether the storage keeps an index of it, for queries that look at it often.
        description: what the field means, for schemas and readers.

    Returns:
        The declaration, typed ``Any`` so that it may be assigned to a typed field.

    Example:
        >>> from happened import ValueObject
        >>> from happened.fields import Float
        >>> class Rating(ValueObject):
        ...     stars: float = Float(min_value=0, max_value=5)
        >>> Rating(stars=4.5)
        Rating(stars=4.5)
    """
    return _spec(
        float,
        required=required,
        default=default,
        ge=min_value,
        le=max_value,
        validators=validators,
        index=index,
        description=description,
        allow_inf_nan=False,  # JSON has neither, so they could not be stored
    )


def Decimal(
    *,
    required: bool = False,
    default: Any = _UNSET,
    min_value: decimal.Decimal | int | None = None,
    max_value: decimal.Decimal | int | None = None,
    max_digits: int | None = None,
    decimal_places: int | None = None,
    index: bool = False,
    validators: Iterable[_Check] = (),
    description: str | None = None,
) -> Any:
    """Declare a field of exact decimal numbers, such as amounts of money.

    A number has at most 131072 digits before the point and 16383 after it: more cannot be compared
    in PostgreSQL, and so it is refused with every storage.

    Args:
        required: whether a value must be given, where no annotation decides it.
        default: the value when none is given, or a callable without arguments that makes one.
        min_value: the smallest allowed value; unlimited by default.
        max_value: the largest allowed value; unlimited by default.
        max_digits: the largest number of digits, before and after the point together.
        decimal_places: the largest number of digits after the point.
        validators: called with each value that is not ``None``; raise ``ValueError`` to refuse it.
        index: whether the storage keeps an index of it, for queries that look at it often.
        description: what the field means, for schemas and readers.

    Returns:
        The declaration, typed ``Any`` so that it may be assigned to a typed field.

    Example:
        >>> import decimal
        >>> from happened import ValueObject
        >>> from happened.fields import Decimal
        >>> class Price(ValueObject):
        ...     amount: decimal.Decimal = Decimal(min_value=0, decimal_places=2)
        >>> Price(amount="12.50")
        Price(amount=Decimal('12.50'))
    """
    return _spec(
        decimal.Decimal,
        required=required,
        default=default,
        ge=min_value,
        le=max_value,
        max_digits=max_digits,
        decimal_places=decimal_places,
        validators=validators,
        index=index,
        description=description,
    )


def Boolean(
    *, required: bool = False, default: Any = _UNSET, description: str | None = None
) -> Any:
    """Declare a field that is true or false.

    Args:
        required: whether a value must be given, where no annotation decides it.
        default: the value when none is given, or a callable without arguments that makes one.
        description: what the field means, for schemas and readers.

    Returns:
        The declaration, typed ``Any`` so that it may be assigned to a typed field.

    Example:
        >>> from happened import ValueObject
        >>> from happened.fields import Boolean
        >>> class Cover(ValueObject):
        ...     hard: bool = Boolean(default=False)
        >>> Cover()
        Cover(hard=False)
    """
    return _spec(bool, required=required, default=default, description=description)


def Date(
    *,
    required: bool = False,
    default: Any = _UNSET,
    min_value: dt.date | None = None,
    max_value: dt.date | None = None,
    index: bool = False,
    description: str | None = None,
) -> Any:
    """Declare a field of calendar dates.

    Args:
        required: whether a value must be given, where no annotation decides it.
        default: the value when none is given, or a callable without arguments that makes one.
        min_value: the earliest allowed date; unlimited by default.
        max_value: the latest allowed date; unlimited by default.
        index: whether the storage keeps an index of it, for queries that look at it often.
        description: what the field means, for schemas and readers.

    Returns:
        The declaration, typed ``Any`` so that it may be assigned to a typed field.

    Example:
        >>> import datetime
        >>> from happened import ValueObject
        >>> from happened.fields import Date
        >>> class Edition(ValueObject):
        ...     printed: datetime.date = Date()
        >>> Edition(printed="2026-03-01").printed.year
        2026
    """
    return _spec(
        dt.date,
        required=required,
        default=default,
        ge=min_value,
        le=max_value,
        index=index,
        description=description,
    )


def DateTime(
    *,
    required: bool = False,
    default: Any = _UNSET,
    min_value: dt.datetime | None = None,
    max_value: dt.datetime | None = None,
    index: bool = False,
    description: str | None = None,
) -> Any:
    """Declare a field of moments. A moment without a time zone is refused: it is not one.

    Args:
        required: whether a value must be given, where no annotation decides it.
        default: the value when none is given, or a callable without arguments that makes one.
        min_value: the earliest allowed moment; unlimited by default.
        max_value: the latest allowed moment; unlimited by default.
        index: whether the storage keeps an index of it, for queries that look at it often.
        description: what the field means, for schemas and readers.

    Returns:
        The declaration, typed ``Any`` so that it may be assigned to a typed field.

    Example:
        >>> from happened import Aggregate, ValidationError
        >>> from happened.fields import DateTime
        >>> class Visit(Aggregate):
        ...     at = DateTime(required=True)
        >>> try:
        ...     Visit(at="2026-03-01T10:00:00")
        ... except ValidationError as error:
        ...     print(error.messages["at"])
        ["Input should have timezone info (found '2026-03-01T10:00:00')"]
    """
    return _spec(
        AwareDatetime,
        required=required,
        default=default,
        ge=min_value,
        le=max_value,
        index=index,
        description=description,
    )


def Identifier(
    *,
    required: bool = False,
    default: Any = _UNSET,
    unique: bool = False,
    index: bool = False,
    identifier: bool = False,
    description: str | None = None,
) -> Any:
    """Declare a field that holds an identifier, stored as text; a number is stored as its text.

    Args:
        required: whether a value must be given, where no annotation decides it.
        default: the value when none is given, or a callable such as `new_id` that makes one.
        unique: whether no two stored aggregates of the class may have the same value.
        index: whether the storage keeps an index of it, for queries that look at it often.
        identifier: whether this field identifies the entity itself, in place of ``id``.
        description: what the field means, for schemas and readers.

    Returns:
        The declaration, typed ``Any`` so that it may be assigned to a typed field.

    Example:
        >>> from happened import ValueObject
        >>> from happened.fields import Identifier
        >>> class Loan(ValueObject):
        ...     book_id: str = Identifier()
        >>> Loan(book_id=7)
        Loan(book_id='7')
    """
    return _spec(
        str,
        required=required,
        default=default,
        unique=unique,
        index=index,
        identifier=identifier,
        description=description,
        min_length=1 if identifier else None,
        coerce_numbers_to_str=True,
    )


def List(
    content_type: Any = Any,
    *,
    required: bool = False,
    default: Any = _UNSET,
    max_length: int | None = None,
    min_length: int | None = None,
    description: str | None = None,
) -> Any:
    """Declare a field that holds a list; empty by default unless it is required.

    Args:
        content_type: the type of each item, or a declared field such as ``String(max_length=20)``.
        required: whether a value must be given.
        default: the value when none is given, or a callable without arguments that makes one.
        max_length: the largest number of items; unlimited by default.
        min_length: the smallest number of items; 0 by default.
        description: what the field means, for schemas and readers.

    Returns:
        The declaration, typed ``Any`` so that it may be assigned to a typed field.

    Example:
        >>> from happened import Aggregate
        >>> from happened.fields import List, String
        >>> class Book(Aggregate):
        ...     tags: list[str] = List(String(max_length=20), default=list)
        >>> Book(tags=["novel"]).tags
        ['novel']
    """
    items = content_type if isinstance(content_type, FieldSpec) else None
    item = content_type if items is None else items.annotate(items.type)
    return _spec(
        list[item],  # type: ignore[valid-type]
        items=items,
        required=required,
        default=list if default is _UNSET and not required else default,
        max_length=max_length,
        min_length=min_length,
        description=description,
    )


def Dict(*, required: bool = False, default: Any = _UNSET, description: str | None = None) -> Any:
    """Declare a field that holds a mapping of text to plain values; empty unless required.

    Args:
        required: whether a value must be given.
        default: the value when none is given, or a callable without arguments that makes one.
        description: what the field means, for schemas and readers.

    Returns:
        The declaration, typed ``Any`` so that it may be assigned to a typed field.

    Example:
        >>> from happened import Aggregate
        >>> from happened.fields import Dict
        >>> class Book(Aggregate):
        ...     extras = Dict()
        >>> Book(extras={"pages": 320}).extras["pages"]
        320
    """
    return _spec(
        dict[str, Any],
        required=required,
        default=dict if default is _UNSET and not required else default,
        description=description,
    )


def ValueObject(
    value_object: Any,
    *,
    required: bool = False,
    default: Any = _UNSET,
    description: str | None = None,
) -> Any:
    """Declare a field that holds a value object.

    Args:
        value_object: the class of the value object.
        required: whether a value must be given, where no annotation decides it.
        default: the value when none is given, or a callable without arguments that makes one.
        description: what the field means, for schemas and readers.

    Returns:
        The declaration, typed ``Any`` so that it may be assigned to a typed field.

    Example:
        >>> import happened
        >>> from happened.fields import ValueObject
        >>> class Money(happened.ValueObject):
        ...     cents: int
        >>> class Book(happened.Aggregate):
        ...     price = ValueObject(Money, required=True)
        >>> Book(price={"cents": 1250}).price
        Money(cents=1250)
    """
    return _spec(value_object, required=required, default=default, description=description)


def _no_base(_bases: tuple[object, ...]) -> NoReturn:
    raise ConfigurationError(
        "happened.fields.ValueObject declares a field, and is no class; derive a value object from "
        "happened.ValueObject"
    )


vars(ValueObject)["__mro_entries__"] = _no_base  # Python asks for it where it is used as a base


def HasOne(
    entity: Any,
    *,
    required: bool = False,
    default: Any = None,
    description: str | None = None,
) -> Any:
    """Declare that an aggregate has one entity of a class, or none.

    Args:
        entity: the class of the entity.
        required: whether there must be one; then there is no default.
        default: the value when none is given, or a callable that makes one; ``None`` by default.
            Type checkers want it written out to know that the field may be left away.
        description: what the association means, for schemas and readers.

    Returns:
        The declaration, typed ``Any`` so that it may be assigned to a typed field.

    Example:
        >>> from happened import Aggregate, Entity
        >>> from happened.fields import HasOne
        >>> class Blurb(Entity):
        ...     body: str
        >>> class Book(Aggregate):
        ...     blurb: Blurb | None = HasOne(Blurb, default=None)
        >>> Book().blurb is None
        True
    """
    return _spec(
        entity if required else Optional[entity],  # noqa: UP045 - it may be a name
        required=required,
        default=_UNSET if required else default,
        description=description,
    )


def HasMany(
    entity: Any,
    *,
    default: Any = list,
    max_length: int | None = None,
    min_length: int | None = None,
    description: str | None = None,
) -> Any:
    """Declare that an aggregate has a list of entities of a class.

    Each change of the list and of the entities in it is validated, and the aggregate's
    invariants are checked after it.

    Args:
        entity: the class of the entities.
        default: the value when none is given, or a callable that makes one; an empty list by
            default. Type checkers want it written out to know that the field may be left away.
        max_length: the largest number of entities; unlimited by default.
        min_length: the smallest number of entities; 0 by default.
        description: what the association means, for schemas and readers.

    Returns:
        The declaration, typed ``Any`` so that it may be assigned to a typed field.

    Example:
        >>> from happened import Aggregate, Entity
        >>> from happened.fields import HasMany
        >>> class Line(Entity):
        ...     book_id: str
        >>> class Order(Aggregate):
        ...     lines: list[Line] = HasMany(Line, default=list)
        >>> order = Order()
        >>> order.lines.append(Line(book_id="b1"))
        >>> len(order.lines)
        1
    """
    return _spec(
        list[entity],
        default=default,
        max_length=max_length,
        min_length=min_length,
        description=description,
    )
