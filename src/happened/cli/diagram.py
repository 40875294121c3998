"""Layer 7. ``happened diagram``: draws a domain."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from happened.cli.arguments import DomainArgument, example
from happened.cli.domains import find_domain
from happened.diagrams import domain_diagram, domain_diagrams
from happened.domain import Domain
from happened.errors import HappenedError

__all__ = ["commands"]

commands = typer.Typer()


@commands.command(
    epilog=example("happened diagram bookshelf:shelf --aggregate Order -o order.mmd"),
    short_help="Draw a domain in Mermaid's notation.",
)
def diagram(
    domain: DomainArgument,
    *,
    aggregate: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Draw this one and its neighbours.")
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="One drawing, however large.")] = False,
    direction: Annotated[
        Literal["TB", "LR"], typer.Option(help="From top to bottom, or from left to right.")
    ] = "TB",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write to this file, not to the screen."
        ),
    ] = None,
) -> None:
    """Draw a domain in Mermaid's notation: commands, handlers, aggregates, events.

    A domain of more than 20 elements is drawn as a Markdown text with one drawing for each
    aggregate and its neighbours.
    """
    text = _drawn(find_domain(domain), aggregate, direction, whole=whole)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HappenedError(f"cannot write {output}: {error.strerror}") from error


def _drawn(
    domain: Domain, aggregate: str | None, direction: Literal["TB", "LR"], *, whole: bool
) -> str:
    if aggregate or whole:
        return f"{domain_diagram(domain, aggregate, direction=direction)}\n"
    drawings = domain_diagrams(domain, direction=direction)
    if len(drawings) == 1:
        return "".join(f"{drawing}\n" for drawing in drawings.values())
    return "\n".join(
        f"## {title}\n\n```mermaid\n{drawing}\n```\n" for title, drawing in drawings.items()
    )
