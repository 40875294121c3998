"""Layer 7. The domain that ``MODULE:DOMAIN`` means on the command line."""

import contextlib
import importlib
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

from happened.domain import Domain
from happened.elements import nearest
from happened.errors import ConfigurationError, HappenedError

__all__ = ["find_domain", "find_stored_domain"]


def find_domain(reference: str) -> Domain:
    """Return a domain that is ready to be used; `Domain.init` is called if nobody has.

    Its module is imported, from the current folder first.

    Args:
        reference: ``"shop.domain:shop"``, or ``"shop.domain"`` where that has one domain.

    Raises:
        ConfigurationError: there is no such module or domain, it cannot be imported, or its
            composition is wrong.
        HappenedError: importing it raised this.

    Example:
        >>> from happened import ConfigurationError
        >>> from happened.cli.domains import find_domain
        >>> try:
        ...     find_domain("no_such_module:shop")
        ... except ConfigurationError as error:
        ...     print(error)
        no module is named 'no_such_module'
    """
    domain = _domain(reference)
    if not domain.registry.resolved:
        with _importing(reference.partition(":")[0]):
            domain.init()
    return domain


def find_stored_domain(reference: str) -> Domain:
    """Return what `find_domain` returns, if its storage can be seen by more than one process.

    Args:
        reference: as for `find_domain`.

    Raises:
        ConfigurationError: as for `find_domain`; or the storage is gone when its process ends.
        HappenedError: importing it raised this.
    """
    domain = find_domain(reference)
    if not domain.storage.durable:
        raise ConfigurationError(
            f"domain {domain.name!r} is stored in {domain.storage.url}, which no other process can "
            "see; give it a storage that lasts, such as HAPPENED_STORAGE=sqlite:///shop.db"
        )
    return domain


def _domain(reference: str) -> Domain:
    module_name, _, name = reference.partition(":")
    module = _module(module_name)
    if name:
        return _named(module, name)
    found = _domains(module)
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise ConfigurationError(
            f"module {module_name!r} has no domain; name the module in which Domain(...) is made"
        )
    raise ConfigurationError(
        f"module {module_name!r} has {len(found)} domains; name one, as {module_name}:"
        f"{f' or {module_name}:'.join(found)}"
    )


def _domains(module: ModuleType) -> dict[str, Domain]:
    """Return a module's domains by name; one with several names by its first."""
    found: dict[str, Domain] = {}
    for name, value in vars(module).items():
        if isinstance(value, Domain) and value not in found.values():
            found[name] = value
    return found


def _named(module: ModuleType, name: str) -> Domain:
    found = getattr(module, name, None)
    if not isinstance(found, Domain):
        domains = _domains(module)
        hint = nearest(name, domains) or f"; it has {', '.join(domains) or 'none'}"
        raise ConfigurationError(f"module {module.__name__!r} has no domain {name!r}{hint}")
    return found


def _module(name: str) -> ModuleType:
    """Import a module, from the current folder first."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(
            f"{name!r} is not the name of a module; write it as in an import, such as shop.domain"
        )
    if sys.path[:1] != [str(Path.cwd())]:
        sys.path.insert(0, str(Path.cwd()))
    with _importing(name):
        return importlib.import_module(name)


@contextlib.contextmanager
def _importing(name: str) -> Generator[None, None, None]:
    """Keep what modules print out of what is shown, and say which one cannot be imported."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except ModuleNotFoundError as error:
        if f"{name}.".startswith(f"{error.name}."):
            raise ConfigurationError(f"no module is named {error.name!r}") from error
        raise ConfigurationError(
            f"module {name!r} imports {error.name!r}, which was not found"
        ) from error
    except HappenedError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"module {name!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
