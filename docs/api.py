"""The API reference as plain Markdown, for the copies of its pages."""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from griffe import Alias, Docstring, Object
from mkdocstrings_handlers.python import (
    PythonHandler,
    PythonOptions,
    do_filter_objects,
    do_format_code,
    do_order_members,
)

DIRECTIVE = re.compile(r"^::: (?P<name>[\w.]+)\n(?P<options>(?:[ \t]+\S.*\n)*)", re.MULTILINE)
REFERENCE = re.compile(r"\[(?P<text>[^\]\n]+)\]\[(?P<name>happened[\w.]*)\]")
WIDE = 88


def names(markdown: str) -> list[str]:
    """The names that a page describes."""
    return [found["name"] for found in DIRECTIVE.finditer(f"{markdown}\n")]


def described(markdown: str, handler: PythonHandler) -> str:
    """A page with the description of each name in the place of its directive."""

    def description(found: re.Match[str]) -> str:
        local = (yaml.safe_load(found["options"]) or {}).get("options", {})
        options = handler.get_options(local)
        parts = describe(handler.collect(found["name"], options), found["name"], options, 2)
        return "\n\n".join(parts) + "\n"

    return DIRECTIVE.sub(description, f"{markdown}\n").removesuffix("\n")


def describe(obj: Object | Alias, path: str, options: PythonOptions, level: int) -> Iterator[str]:
    """An object, then its public members: heading, signature, docstring."""
    yield f"{'#' * level} `{path}`"
    if code := signatures(obj):
        yield f"```python\n{code}\n```"
    if obj.docstring is not None:
        yield from text_of(obj.docstring)
    if not obj.is_class:
        return
    members = do_filter_objects(
        obj.members,
        filters=options.filters,
        members_list=options.members,
        keep_no_docstrings=options.show_if_no_docstring,
    )
    for member in do_order_members(members, options.members_order, options.members):
        yield from describe(member, f"{obj.name}.{member.name}", options, level + 1)


def signatures(obj: Any) -> str:
    """How something is called, each way in its own lines, or what type it has."""
    if obj.is_attribute:
        kind = f": {obj.annotation}" if obj.annotation is not None else ""
        value = f" = {obj.value}" if obj.value is not None else ""
        return f"{obj.name}{kind}{value}"
    if obj.is_class:
        bases = f"({', '.join(map(str, obj.bases))})" if obj.bases else ""
        return formatted(obj.signature()) or f"class {obj.name}{bases}"
    ways = obj.overloads or [obj]
    start = "async def " if "async" in obj.labels else "def "
    return "\n".join(start + formatted(each.signature(return_type=True)) for each in ways)


def formatted(signature: str) -> str:
    """A signature in lines that are not too long."""
    if not signature:
        return ""
    code = signature.replace("(/, ", "(")  # a method without its self
    lines = do_format_code(f"def {code}: pass", WIDE).strip().removeprefix("def ")
    return re.sub(r":\s*pass$", "", lines)


def text_of(docstring: Docstring) -> Iterator[str]:
    """A docstring, a paragraph or a list at a time."""
    for section in docstring.parsed:
        kind, value = section.kind.value, section.value
        if kind == "text":
            yield value
        elif kind == "examples":
            for part, text in value:
                yield text if part.value == "text" else f"```pycon\n{text}\n```"
        elif kind == "admonition":
            yield f"{section.title}: {value.contents}"
        else:
            yield f"{kind.capitalize()}:\n\n" + "\n".join(map(item, value))


def item(value: Any) -> str:
    """One parameter, result, error or attribute of a docstring."""
    name, annotation = getattr(value, "name", ""), value.annotation
    default = None if name.startswith("*") else getattr(value, "default", None)
    kind = f"`{annotation}`" if annotation is not None else ""
    if default is not None:
        kind = f"{kind}, default `{default}`".removeprefix(", ")
    told = f"`{name}` ({kind})" if name and kind else f"`{name}`" if name else kind
    text = value.description.replace("\n", "\n  ")
    return f"- {told}: {text}" if told else f"- {text}"
