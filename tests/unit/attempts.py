"""What tests try that a type checker would not let them write."""

from collections.abc import Callable
from typing import Any

import pytest

from happened import ConfigurationError, ValidationError


def made(kind: Any, **data: Any) -> Any:
    """An object made with whatever values."""
    return kind(**data)


def refused(action: Callable[..., object], *args: Any, **data: Any) -> dict[str, list[str]]:
    """The messages of the validation error that a call raises."""
    with pytest.raises(ValidationError) as raised:
        action(*args, **data)
    return raised.value.messages


def changed(target: object, **values: Any) -> None:
    """Set attributes."""
    for name, value in values.items():
        setattr(target, name, value)


def misconfigured(action: Callable[..., object], *args: Any, **options: Any) -> tuple[str, ...]:
    """The problems of the configuration error that a call raises."""
    with pytest.raises(ConfigurationError) as raised:
        action(*args, **options)
    return raised.value.problems
