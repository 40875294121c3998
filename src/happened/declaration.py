"""Layer 1. How a class body becomes a Pydantic model, whatever the style of its fields."""

import re
import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal as Number
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeVar, dataclass_transform

import pydantic
from pydantic_core import CoreSchema, PydanticSerializationError
from pydantic_core.core_schema import no_info_after_validator_function

from happened.errors import ConfigurationError, ValidationError
from happened.fields import (
    Boolean,
    Date,
    DateTime,
    Decimal,
    Dict,
    FieldSpec,
    Float,
    HasMany,
    HasOne,
    Identifier,
    Integer,
    List,
    String,
    Text,
    ValueObject,
)
from happened.identifiers import new_id

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(pydantic.BaseModel)

__all__ = [
    "STORABLE",
    "FrozenMeta",
    "ModelMeta",
    "field_specs",
    "plain_data",
    "replaced",
    "shortened",
    "storable",
    "storable_number",
    "unstorable",
    "validation_error",
]

# What every model has in common: only what JSON can hold and give back unchanged is accepted.
STORABLE: Final = pydantic.ConfigDict(
    extra="forbid",
    validate_default=True,
    allow_inf_nan=False,
    ser_json_bytes="base64",
    val_json_bytes="base64",
)

_M = TypeVar("_M", bound=pydantic.BaseModel)
_CALL = re.compile(r"[A-Za-z_][\w.]*\(")


_SETTINGS = ("event_type", "command_type")


def _annotations(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of a class body, evaluated as far as its style of annotations needs."""
    if sys.version_info >= (3, 14) and "__annotations__" not in namespace:
        import annotationlib  # noqa: PLC0415 - new in Python 3.14

        annotate = annotationlib.get_annotate_from_class_namespace(namespace)
        if annotate is None:
            return {}
        return dict(annotationlib.call_annotate_function(annotate, annotationlib.Format.FORWARDREF))
    return dict(namespace.get("__annotations__", {}))


def _scope() -> dict[str, Any]:
    """The names that are local where a class is written; none if that is the top of a module."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and (
        frame.f_globals.get("__name__", "").partition(".")[0] in ("happened", "types")
        or frame.f_code.co_name.startswith("<generic parameters of")
    ):
        frame = frame.f_back
    return {} if frame is None or frame.f_locals is frame.f_globals else dict(frame.f_locals)


def _evaluated(annotation: Any, module: str, scope: Mapping[str, Any]) -> Any:
    """Turn the text ``"String(max_length=20)"`` into the field; leave all else alone."""
    if not isinstance(annotation, str) or not _CALL.match(annotation):
        return annotation
    known = vars(sys.modules[module]) if module in sys.modules else {}
    try:
        return eval(annotation, dict(known), scope)  # noqa: S307 - the text of a class body
    except NameError:
        return annotation


def _refuse_fields_of_plain_classes(name: str, bases: tuple[type, ...]) -> None:
    for each in (each for base in bases for each in base.__mro__):
        if isinstance(each, ModelMetaclass):
            continue
        declared = {**_annotations(vars(each)), **vars(each)}
        fields = [field for field, value in declared.items() if isinstance(value, FieldSpec)]
        if fields:
            raise ConfigurationError(
                f"{name}: its base {each.__name__} declares {' and '.join(fields)}, but is a plain "
                f"class; derive {each.__name__} from Aggregate, Entity, ValueObject, Event or "
                "Command"
            )


def _declare(
    name: str, bases: tuple[type, ...], namespace: dict[str, Any], scope: dict[str, Any]
) -> None:
    """Rewrite declared fields in a class body into what Pydantic reads."""
    _refuse_fields_of_plain_classes(name, bases)
    written = _annotations(namespace)
    annotations = _without_settings(name, bases, namespace, written)
    for field, annotation in annotations.items():
        spec = _evaluated(annotation, namespace.get("__module__", ""), {**scope, **namespace})
        value = namespace.get(field)
        if isinstance(spec, FieldSpec):
            annotations[field] = spec.annotate(spec.annotation)
            if field not in namespace:
                namespace[field] = spec.value(optional=not spec.required)
        elif isinstance(value, FieldSpec):
            annotations[field] = value.annotate(annotation)
            namespace[field] = value.value(optional=False)
    for field, value in list(namespace.items()):
        if isinstance(value, FieldSpec):
            annotations[field] = value.annotate(value.annotation)
            namespace[field] = value.value(optional=not value.required)
    if annotations != written:  # else Python's own, which it may evaluate later, stay
        _annotate(namespace, annotations)


def _without_settings(
    name: str, bases: tuple[type, ...], namespace: dict[str, Any], annotations: dict[str, Any]
) -> dict[str, Any]:
    """What a class body annotates, but for names that are no fields; those of ours are refused."""
    reserved = frozenset[str]().union(*(getattr(base, "_reserved_names", ()) for base in bases))
    taken = sorted(reserved & (annotations.keys() | namespace.keys()))
    if taken:
        raise ConfigurationError(
            f"{name}.{taken[0]}: every class of this kind has this name already; give the field "
            "another one"
        )
    return {
        field: annotation
        for field, annotation in annotations.items()
        if field not in _SETTINGS or not any(hasattr(base, field) for base in bases)
    }


def _annotate(namespace: dict[str, Any], annotations: dict[str, Any]) -> None:
    namespace["__annotations__"] = annotations
    namespace.pop("__annotate_func__", None)
    namespace.pop("__annotate__", None)


def _identify(namespace: dict[str, Any], bases: tuple[type, ...]) -> None:
    """Give a class of entities its ``id``: a field, or another name for an identity of its own."""
    wanted = [base for base in bases if hasattr(base, "_identity_field")]
    known = [field for base in wanted for field in getattr(base, "__pydantic_fields__", {})]
    annotations = _annotations(namespace)
    if not wanted or known or "id" in annotations or namespace.get("_abstract"):
        return
    for annotation in annotations.values():
        extras = getattr(annotation, "__metadata__", ())
        if any(isinstance(extra, FieldSpec) and extra.identifier for extra in extras):
            namespace["id"] = property(lambda entity: entity.identity)
            return
    spec: FieldSpec = Identifier(default=new_id)
    _annotate(namespace, {"id": spec.annotate(str), **annotations})
    namespace["id"] = spec.value(optional=False)


@dataclass_transform(
    kw_only_default=True,
    field_specifiers=(
        pydantic.Field,
        pydantic.PrivateAttr,
        Boolean,
        Date,
        DateTime,
        Decimal,
        Dict,
        Float,
        HasMany,
        HasOne,
        Identifier,
        Integer,
        List,
        String,
        Text,
        ValueObject,
    ),
)
class ModelMeta(ModelMetaclass):
    """Makes the classes whose objects can change: entities and aggregates."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any
    ) -> Any:
        """Make the class."""
        scope = _scope()
        _declare(name, bases, namespace, scope)
        _identify(namespace, bases)
        made: Any = super().__new__(mcs, name, bases, namespace, **options)
        if scope and not made.__pydantic_complete__:  # Pydantic looked for names in this function
            made.model_rebuild(raise_errors=False, _types_namespace=scope)
        return made


@dataclass_transform(
    kw_only_default=True,
    frozen_default=True,
    field_specifiers=(
        pydantic.Field,
        pydantic.PrivateAttr,
        Boolean,
        Date,
        DateTime,
        Decimal,
        Dict,
        Float,
        HasMany,
        HasOne,
        Identifier,
        Integer,
        List,
        String,
        Text,
        ValueObject,
    ),
)
class FrozenMeta(ModelMeta):
    """Makes the classes whose objects cannot change: messages and value objects."""


def storable_number(value: Number) -> Number:
    """Return a decimal number if every storage can compare it with others.

    Args:
        value: the number; what is infinite or no number is refused elsewhere.

    Raises:
        ValueError: it has more digits than PostgreSQL's numeric.

    Source:
        PostgreSQL's manual, 8.1.2: 131072 digits before the decimal point, 16383 after it.

    Example:
        >>> from decimal import Decimal
        >>> from happened.declaration import storable_number
        >>> storable_number(Decimal("12.50"))
        Decimal('12.50')
    """
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and (exponent < -16_383 or value.adjusted() >= 131_072):
        raise ValueError(
            "Decimal input should have at most 131072 digits before the decimal point and 16383 "
            "after it"
        )
    return value


def storable(
    cls: type[pydantic.BaseModel], source: Any, handler: pydantic.GetCoreSchemaHandler
) -> CoreSchema:
    """Make Pydantic's schema of a class, in which each decimal number is a `storable_number`.

    Args:
        cls: the class.
        source: the class, as Pydantic gives it.
        handler: makes the schema.

    Returns:
        The schema. It is what ``__get_pydantic_core_schema__`` of a class is to return.

    Example:
        >>> from decimal import Decimal
        >>> from happened import ValidationError, ValueObject
        >>> class Price(ValueObject):
        ...     amount: Decimal
        >>> try:
        ...     Price(amount="1E+200000")
        ... except ValidationError as error:
        ...     print([*error.messages])
        ['amount']
    """
    schema = handler(source)
    _limit(schema, cls, handler, set())
    return schema


# Where a schema holds what is no schema.
_NO_SCHEMA: Final = frozenset(
    {"cls", "config", "default", "expected", "function", "metadata", "serialization"}
)


def _limit(node: Any, cls: type, handler: pydantic.GetCoreSchemaHandler, seen: set[str]) -> None:
    """Let every decimal number in a schema be looked at when its type was."""
    kind = node.get("type") if isinstance(node, dict) else None
    inner: Iterable[Any] = ()
    if kind in ("model", "dataclass") and _has_own(node["cls"], cls):
        return
    if kind == "decimal":
        number: Any = dict(node)
        node.clear()
        node.update(no_info_after_validator_function(storable_number, number))
    elif kind == "definition-ref" and node["schema_ref"] not in seen:
        seen.add(node["schema_ref"])
        reference: Any = node
        try:
            inner = [handler.resolve_ref_schema(reference)]
        except LookupError:  # a class that is being made
            return
    elif isinstance(node, dict) and (node.get("function") or {}) != _LIMIT:
        known = isinstance(kind, str)
        inner = [each for name, each in node.items() if not (known and name in _NO_SCHEMA)]
    elif isinstance(node, list | tuple):
        inner = node
    for each in inner:
        _limit(each, cls, handler, seen)


def _has_own(kind: type, cls: type) -> bool:
    """Whether objects of a class are made with the schema of that class, whatever they stand in."""
    return kind is not cls and hasattr(kind, "__pydantic_validator__")


_LIMIT: Final = no_info_after_validator_function(storable_number, {"type": "any"})["function"]


def field_specs(cls: type[pydantic.BaseModel]) -> dict[str, FieldSpec]:
    """Return the declared fields of a class: those with options, name to declaration.

    Args:
        cls: a message, a value object, an entity or an aggregate.

    Example:
        >>> from happened import ValueObject
        >>> from happened.declaration import field_specs
        >>> from happened.fields import String
        >>> class Shelfmark(ValueObject):
        ...     room: str = String(unique=True)
        ...     row: int
        >>> [name for name, spec in field_specs(Shelfmark).items() if spec.unique]
        ['room']
    """
    return {
        name: extra
        for name, field in cls.model_fields.items()
        for extra in field.metadata
        if isinstance(extra, FieldSpec)
    }


def replaced(model: _M, changes: Mapping[str, Any]) -> _M:
    """Return a new object with the same values, save those given.

    Args:
        model: a message or a value object.
        changes: the values to replace, field to value.

    Raises:
        ValidationError: a new value is wrong or unknown, or an invariant is broken.

    Example:
        >>> from happened import ValueObject
        >>> from happened.declaration import replaced
        >>> class Money(ValueObject):
        ...     cents: int
        >>> replaced(Money(cents=1250), {"cents": 900})
        Money(cents=900)
    """
    kind = type(model)
    values = {name: getattr(model, name) for name in kind.model_fields} | dict(changes)
    try:
        made: _M = kind.__pydantic_validator__.validate_python(values, by_alias=False, by_name=True)
    except pydantic.ValidationError as error:
        raise validation_error(error, kind.__name__) from error
    return made


def validation_error(error: pydantic.ValidationError, title: str) -> ValidationError:
    """Translate Pydantic's error, so that nested errors keep their paths.

    Args:
        error: what Pydantic raised.
        title: the class whose values were refused.

    Returns:
        The error to raise, chained with ``from``.

    Example:
        >>> import pydantic
        >>> from happened.declaration import validation_error
        >>> try:
        ...     pydantic.TypeAdapter(int).validate_python("many")
        ... except pydantic.ValidationError as error:
        ...     print(validation_error(error, "Quantity").title)
        Quantity
    """
    messages: dict[str, list[str]] = {}
    for line in error.errors(include_url=False):
        path = ".".join(str(part) for part in line["loc"])
        cause = line.get("ctx", {}).get("error")
        if isinstance(cause, ValidationError):
            for field, texts in cause.messages.items():
                nested = path if field == "_entity" else f"{path}.{field}" if path else field
                messages.setdefault(nested or "_entity", []).extend(texts)
            continue
        text = str(cause) if cause is not None else line["msg"]
        if line["type"] == "missing":
            text = "a value is required"
        elif line["type"] == "extra_forbidden":
            text = f"there is no such field (found {shortened(line['input'])})"
        else:
            text = f"{text} (found {shortened(line['input'])})"
        messages.setdefault(path or "_entity", []).append(text)
    return ValidationError(messages, title)


def plain_data(model: pydantic.BaseModel) -> dict[str, Any]:
    """Return the fields of an object as plain data that JSON can hold.

    Args:
        model: a message, a value object, an entity or an aggregate.

    Raises:
        ValidationError: a field holds what JSON cannot.

    Example:
        >>> from happened import ValueObject
        >>> from happened.declaration import plain_data
        >>> class Money(ValueObject):
        ...     cents: int
        >>> plain_data(Money(cents=1250))
        {'cents': 1250}
    """
    try:
        return model.model_dump(mode="json", exclude_computed_fields=True)
    except PydanticSerializationError as error:
        raise unstorable(error, type(model).__name__) from error


def unstorable(error: PydanticSerializationError, title: str) -> ValidationError:
    """Return what it means that an object cannot be written as JSON.

    Args:
        error: what Pydantic raised.
        title: the class of the object.

    Returns:
        The error to raise, chained with ``from``.

    Example:
        >>> from pydantic_core import PydanticSerializationError
        >>> from happened.declaration import unstorable
        >>> print(unstorable(PydanticSerializationError("what is it?"), "Book"))
        Book is not valid: _entity: it holds a value that does not fit its field: what is it?
    """
    messages = {"_entity": [f"it holds a value that does not fit its field: {error}"]}
    return ValidationError(messages, title)


def shortened(value: Any) -> str:
    """Return how a value is shown in an error: what Python writes for it, but not much of it.

    Args:
        value: any value.

    Example:
        >>> from happened.declaration import shortened
        >>> shortened("Emma"), shortened(10**5000)
        ("'Emma'", 'a very large int')
    """
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python writes
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
