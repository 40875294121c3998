"""Layer 7. The command line: ``happened diagram``."""

import argparse
import contextlib
import importlib
import sys
from collections.abc import Generator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from happened.diagrams import domain_diagram, domain_diagrams
from happened.domain import Domain
from happened.elements import nearest
from happened.errors import ConfigurationError, HappenedError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return 0; or 1 after saying on standard error what was wrong.

    Args:
        arguments: what stands after ``happened`` on the command line, by default that of this
            process.

    Raises:
        SystemExit: the arguments are wrong, with 2; or they ask for help or the version, with 0.

    Example:
        >>> from happened.cli import main
        >>> main(["diagram", "no_such_module"])
        1
    """
    options = _parser().parse_args(arguments)
    try:
        text = _diagram(options)
        if options.output is None:
            sys.stdout.write(text)
        else:
            options.output.write_text(text, encoding="utf-8")
    except ConfigurationError as error:
        return _wrong(*error.problems)
    except HappenedError as error:
        return _wrong(str(error))
    except OSError as error:
        return _wrong(f"cannot write {options.output}: {error.strerror}")
    return 0


def _wrong(*problems: str) -> int:
    for problem in problems:
        print(f"happened: {' '.join(problem.split())}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="happened", description="Tools for domains.")
    parser.add_argument("--version", action="version", version=f"happened {version('happened')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    diagram = commands.add_parser(
        "diagram",
        help="draw a domain in Mermaid's notation",
        description="Draw a domain in Mermaid's notation: commands, their handlers, aggregates, "
        "events, their handlers. A domain of more than 20 elements is drawn as a Markdown text "
        "with one drawing for each aggregate and its neighbours.",
        epilog="example:\n  happened diagram bookshelf:shelf --aggregate Order -o order.mmd",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    diagram.add_argument(
        "domain",
        metavar="MODULE[:NAME]",
        help="the module, as in an import, and the domain's name in it; the name may be left out "
        "where there is one domain",
    )
    diagram.add_argument("--aggregate", metavar="CLASS", help="draw this one and its neighbours")
    diagram.add_argument("--whole", action="store_true", help="one drawing, however large")
    diagram.add_argument(
        "--direction",
        choices=("TB", "LR"),
        default="TB",
        help="from top to bottom, the default, or from left to right",
    )
    diagram.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write to this file, not to the screen"
    )
    return parser


def _diagram(options: argparse.Namespace) -> str:
    domain = _domain(options.domain)
    if not domain.registry.resolved:
        with _importing(options.domain.partition(":")[0]):
            domain.init()
    if options.aggregate or options.whole:
        drawing = domain_diagram(domain, options.aggregate, direction=options.direction)
        return f"{drawing}\n"
    drawings = domain_diagrams(domain, direction=options.direction)
    if len(drawings) == 1:
        return "".join(f"{drawing}\n" for drawing in drawings.values())
    return "\n".join(
        f"## {title}\n\n```mermaid\n{drawing}\n```\n" for title, drawing in drawings.items()
    )


def _domain(reference: str) -> Domain:
    """Return the domain that MODULE[:NAME] means."""
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
    """Keep what modules print out of the drawing, and say which one cannot be imported."""
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
