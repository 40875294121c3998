"""Layer 7. Arguments and options that several commands take."""

from typing import Annotated

import typer

__all__ = ["DomainArgument", "JsonOption", "YesOption", "example", "group"]

DomainArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:DOMAIN",
        help="The module, as in an import, and the name of the domain in it; the name may be left "
        "out where there is one domain.",
        show_default=False,
    ),
]
"""Which domain a command is for."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
"""Whether a command prints JSON."""

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
"""Whether a command does without a question first."""


def example(line: str) -> str:
    """Return what stands below the help of a command.

    Args:
        line: how the command is used.

    Example:
        >>> from happened.cli.arguments import example
        >>> example("happened status shop").splitlines()[-1]
        '  happened status shop'
    """
    return f"\b\nExample:\n  {line}"


def group(name: str, title: str) -> typer.Typer:
    """Return a group of commands, to which each is added.

    Args:
        name: what stands before them on the command line.
        title: what they are for.

    Example:
        >>> from happened.cli.arguments import group
        >>> group("streams", "Show what was recorded.").info.name
        'streams'
    """
    return typer.Typer(name=name, help=title, no_args_is_help=True)
