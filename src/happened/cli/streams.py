"""Layer 7. ``happened streams``: what was recorded."""

from typing import Annotated, Any

import typer
from rich.text import Text

from happened.cli.arguments import DomainArgument, JsonOption, example, group
from happened.cli.display import as_json, console, moment, parsed, table
from happened.cli.domains import find_stored_domain
from happened.errors import HappenedError
from happened.storage import StoredMessage

__all__ = ["commands"]

commands = typer.Typer()
_group = group("streams", "Show what was recorded.")
commands.add_typer(_group)

LimitOption = Annotated[int, typer.Option(min=1, metavar="N", help="How many at most.")]


@_group.command(
    "list",
    epilog=example("happened streams list shop:domain --category order"),
    short_help="Show which streams there are.",
)
def list_(
    domain: DomainArgument,
    *,
    category: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only those of this stream category.")
    ] = None,
    after: Annotated[
        str, typer.Option(metavar="STREAM", help="Only those whose names come after this one.")
    ] = "",
    limit: LimitOption = 1000,
    json: JsonOption = False,
) -> None:
    """Show which streams there are, by their names, with how many messages each has.

    With --json, a line for each.
    """
    found = find_stored_domain(domain).storage.streams(category, after, limit + 1)
    shown, more = found[:limit], found[limit:]
    if json:
        for each in shown:
            as_json(each._asdict())
        return
    rows = table("stream", "messages", "last", numbers=["messages"])
    for each in shown:
        rows.add_row(each.stream, str(each.messages), moment(each.last))
    console().print(rows if shown else Text("no streams"))
    if more:
        console(stderr=True).print(f"there are more; go on with --after {shown[-1].stream}")


@_group.command(
    epilog=example("happened streams show shop:domain order-7 --limit 20"),
    short_help="Show the messages of a stream.",
)
def show(
    domain: DomainArgument,
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="The name of a stream.")],
    *,
    start: Annotated[
        int, typer.Option("--from", min=0, metavar="POSITION", help="Where to begin.")
    ] = 0,
    limit: LimitOption = 1000,
    json: JsonOption = False,
) -> None:
    """Show the messages of a stream, in order, with their data.

    With --json, a line for each, with all of its metadata.
    """
    found = find_stored_domain(domain).storage.read(stream, start, limit + 1)
    shown, more = found[:limit], found[limit:]
    if not shown:
        raise HappenedError(
            f"the stream {stream!r} has no messages from position {start} on; "
            "`happened streams list` shows which there are"
        )
    if json:
        for message in shown:
            as_json(_data(message))
        return
    rows = table("position", "made", "message", numbers=["position"])
    for metadata, data, _ in shown:
        rows.add_row(
            str(metadata.position), moment(metadata.timestamp), f"{metadata.type}\n{data.decode()}"
        )
    console().print(rows)
    if more:
        console(stderr=True).print(f"there are more; go on with --from {start + limit}")


def _data(message: StoredMessage) -> dict[str, Any]:
    return {"metadata": message.metadata.to_dict(), "data": parsed(message.data)}
