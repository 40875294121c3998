"""Domain events for Python: from one event in one process to handlers on a server.

The names below are the public ones; each is loaded when it is first used, so that importing the
package costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from happened.dispatcher import Dispatcher
    from happened.domain import Domain, current_domain
    from happened.errors import (
        ConcurrencyError,
        ConfigurationError,
        HappenedError,
        ImmutableError,
        MessageError,
        NotFoundError,
        StorageError,
        ValidationError,
    )
    from happened.handlers import handle
    from happened.identifiers import new_id
    from happened.invariants import atomic_change, invariant
    from happened.messages import Command, Event
    from happened.model import Aggregate, Entity, Projection, ValueObject
    from happened.recording import record
    from happened.repository import Repository
    from happened.tracing import trace

__all__ = [
    "Aggregate",
    "Command",
    "ConcurrencyError",
    "ConfigurationError",
    "Dispatcher",
    "Domain",
    "Entity",
    "Event",
    "HappenedError",
    "ImmutableError",
    "MessageError",
    "NotFoundError",
    "Projection",
    "Repository",
    "StorageError",
    "ValidationError",
    "ValueObject",
    "atomic_change",
    "current_domain",
    "handle",
    "invariant",
    "new_id",
    "record",
    "trace",
]

_MODULES = {
    "Aggregate": "model",
    "Command": "messages",
    "Dispatcher": "dispatcher",
    "Domain": "domain",
    "Entity": "model",
    "Event": "messages",
    "Projection": "model",
    "Repository": "repository",
    "ValueObject": "model",
    "atomic_change": "invariants",
    "current_domain": "domain",
    "handle": "handlers",
    "invariant": "invariants",
    "new_id": "identifiers",
    "record": "recording",
    "trace": "tracing",
}


if not TYPE_CHECKING:  # to a type checker, a name that is not above does not exist

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f"happened.{_MODULES.get(name, 'errors')}")
        found = globals()[name] = getattr(module, name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
