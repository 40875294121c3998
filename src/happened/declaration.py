"""Layer 1. How a class body becomes a Pydantic model, in whichever style its fields are declared."""

import re
import sys
from typing import TYPE_CHECKING, Any, dataclass_transform

import pydantic

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

__all__ = ["FrozenMeta", "ModelMeta", "field_specs", "validation_error"]

_CALL = re.compile(r"[A-Za-z_][\w.]*\(")


def _annotations(namespace: dict[str, Any]) -> dict[str, Any]:
    """The annotations of a class body, evaluated as far as its style of annotations needs."""
    if sys.version_info >= (3, 14) and "__annotations__" not in namespace:
        import annotationlib

        annotate = annotationlib.get_annotate_from_class_namespace(namespace)
        if annotate is None:
            return {}
        return dict(annotationlib.call_annotate_function(annotate, annotationlib.Format.FORWARDREF))
    return dict(namespace.get("__annotations__", {}))


def _evaluated(annotation: Any, namespace: dict[str, Any]) -> Any:
    """Turn the text ``"String(max_length=20)"`` into the field; leave all else alone."""
    if not isinstance(annotation, str) or not _CALL.match(annotation):
        return annotation
    module = sys.modules.get(namespace.get("__module__", ""))
    try:
        return eval(annotation, dict(vars(module)) if module else {}, namespace)  # noqa: S307
    except NameError:
        return annotation


def _declare(name: str, namespace: dict[str, Any], reserved: frozenset[str]) -> None:
    """Rewrite declared fields in a class body into what Pydantic reads."""
    annotations = _annotations(namespace)
    taken = sorted(reserved & (annotations.keys() | namespace.keys()))
    if taken:
        raise ConfigurationError(
            f"{name}.{taken[0]}: this name belongs to every message; give the field another one"
        )
    declared = False
    for field, annotation in annotations.items():
        spec = _evaluated(annotation, namespace)
        value = namespace.get(field)
        if isinstance(spec, FieldSpec):
            annotations[field] = spec.annotate(spec.annotation)
            if field not in namespace:
                namespace[field] = spec.value(optional=not spec.required)
        elif isinstance(value, FieldSpec):
            annotations[field] = value.annotate(annotation)
            namespace[field] = value.value(optional=False)
        else:
            continue
        declared = True
    for field, value in list(namespace.items()):
        if isinstance(value, FieldSpec):
            annotations[field] = value.annotate(value.annotation)
            namespace[field] = value.value(optional=not value.required)
            declared = True
    if declared:
        namespace["__annotations__"] = annotations
        namespace.pop("__annotate_func__", None)
        namespace.pop("__annotate__", None)


def _identify(namespace: dict[str, Any], bases: tuple[type, ...]) -> None:
    """Give a class of entities its ``id``, unless it or a base of it has an identity."""
    wanted = [base for base in bases if hasattr(base, "_identity_field")]
    known = [field for base in wanted for field in getattr(base, "__pydantic_fields__", {})]
    annotations = _annotations(namespace)
    if not wanted or known or "id" in annotations or namespace.get("_abstract"):
        return
    for annotation in annotations.values():
        extras = getattr(annotation, "__metadata__", ())
        if any(isinstance(extra, FieldSpec) and extra.identifier for extra in extras):
            return
    spec: FieldSpec = Identifier(default=new_id)
    namespace["__annotations__"] = {"id": spec.annotate(str), **annotations}
    namespace["id"] = spec.value(optional=False)
    namespace.pop("__annotate_func__", None)
    namespace.pop("__annotate__", None)


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
        reserved = frozenset[str]().union(*(getattr(base, "_reserved_names", ()) for base in bases))
        _declare(name, namespace, reserved)
        _identify(namespace, bases)
        return super().__new__(mcs, name, bases, namespace, **options)


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
            text = f"there is no such field (found {line['input']!r})"
        else:
            text = f"{text} (found {_shortened(line['input'])})"
        messages.setdefault(path or "_entity", []).append(text)
    return ValidationError(messages, title)


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
