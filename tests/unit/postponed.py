"""Declarations in a module whose annotations are postponed, as text."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from happened import Aggregate, Entity, ValueObject, fields
from happened.fields import HasMany, Identifier, Integer, String


class Copy(Aggregate):
    book_id: str = Identifier()
    title: Annotated[str, Field(max_length=5)] = ""
    lent: int = 0
    section: String(max_length=2, default="A1")  # type: ignore[valid-type]
    room: fields.Integer(required=True)  # type: ignore[valid-type]
    note = String(max_length=3)
    price: Money | None = None
    chapters: list[Chapter] = HasMany("Chapter", default=list)
    ratings: ClassVar[int] = 5


class Money(ValueObject):
    cents: int


class Chapter(Entity):
    heading: str
    pages: int = Integer(min_value=1, default=1)


Copy.model_rebuild()


def local() -> Any:
    """A class that is written in a function."""
    from happened.fields import Dict as Mapping  # noqa: PLC0415 - a name of this function

    class Book(Aggregate):
        price: Mapping(required=True)  # type: ignore[valid-type]

    return Book(price={"cents": 5})
